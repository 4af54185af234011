#!/bin/bash
# Caffe2 (torch 1.10.2): the float GroupNorm on the CPU gives NaN for a blank
# image in the order NHWC, and right values in NCHW.
#
# One expects: the same output in both orders. A group whose values are all the
# same has the variance 0, so that every value becomes beta.
# What happens: in NHWC the variance is the mean of the squares less the square
# of the mean, in float. Of equal values it is what rounding leaves: beyond some
# 10 in magnitude it is less than -epsilon, and 1 / sqrt of it NaN. Values that
# differ a little beside a large mean get a standard deviation that is wrong.
# Why it matters: NHWC is the order of int8 nets. A float net that is measured
# for its ranges, or that an int8 net is compared with, has NaN where one image
# of a batch is blank or saturated; NaN has no range.
# Here: the engine ONEDNN takes statistics from exact sums of codes, in either
# order (operators/int8/normalization/group_norm_op.cc).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A CPython 3.9, for which the wheel is made: PYTHON, on the path, or pyenv's.
for python in "${PYTHON:-}" python3.9 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.9*/bin/python; do
  "$python" -c '' 2>/dev/null && break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  torch==1.10.2 numpy==1.22.4 protobuf==3.20.3 future==1.0.0 six==1.17.0

"$folder/venv/bin/python" - <<'PROGRAM'
import sys

import numpy as np
from caffe2.python import core, workspace

workspace.GlobalInit(["group_norm", "--caffe2_log_level=3"])


def group_norm(x, order):
    """Returns y and 1 / standard deviation of two groups of 4 channels, in NCHW."""
    workspace.FeedBlob("x", x if order == "NCHW" else x.transpose(0, 2, 3, 1).copy())
    workspace.FeedBlob("gamma", np.ones(4, np.float32))
    workspace.FeedBlob("beta", np.zeros(4, np.float32))
    workspace.RunOperatorOnce(core.CreateOperator(
        "GroupNorm", ["x", "gamma", "beta"], ["y", "mu", "rsig"],
        group=2, epsilon=1e-5, order=order))
    y = workspace.FetchBlob("y")
    return y if order == "NCHW" else y.transpose(0, 3, 1, 2), workspace.FetchBlob("rsig")


blank = np.full((1, 4, 7, 7), 100.1, np.float32)
nan = {}
for order in ("NCHW", "NHWC"):
    y, rsig = group_norm(blank, order)
    nan[order] = bool(np.isnan(y).any())
    print("blank image, %s: largest output %s, 1/sd %s" % (order, np.abs(y).max(), rsig.ravel()))

# A standard deviation of 0.05 around 100.
x = (100 + 0.05 * np.random.RandomState(1).randn(1, 4, 7, 7)).astype(np.float32)
expected = 1 / np.sqrt(x.astype(np.float64).reshape(1, 2, -1).var(-1) + 1e-5)
off = {}
for order in ("NCHW", "NHWC"):
    _, rsig = group_norm(x, order)
    off[order] = float(np.abs(rsig / expected - 1).max())
    print("sd 0.05 around 100, %s: 1/sd is off by %.2g of itself" % (order, off[order]))
sys.exit(0 if nan == {"NCHW": False, "NHWC": True} else 1)
PROGRAM
