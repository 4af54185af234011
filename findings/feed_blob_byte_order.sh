#!/bin/bash
# Caffe2 (torch 1.10.2): FeedBlob takes an array of the other byte order for one
# of its own.
#
# One expects: workspace.FeedBlob("x", array) with a numpy array of dtype '>f4'
# stores the array's values, as torch.from_numpy or numpy.save would, or refuses
# it, as torch.from_numpy does.
# What happens: it stores the bytes as they are. 1.0 becomes 4.6e-41, integer 1
# becomes 16777216; no error, no warning.
# Why it matters: MNIST's idx files, FITS, NetCDF and GRIB give big-endian arrays.
# A calibration with such data measures ranges of denormals, and every scale that
# is chosen from them is wrong.
# Here: caffe2_quantization.calibrate makes arrays native first
# (python/caffe2_quantization/_arrays.py); the command line refuses them by name.
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
from caffe2.python import workspace

workspace.GlobalInit(["feed_blob_byte_order", "--caffe2_log_level=3"])
as_described = True
for name in ("f2", "f4", "f8", "i2", "i4", "i8", "u2"):
    native = np.array([1, 2, 3], dtype=name)
    other = native.astype(native.dtype.newbyteorder())
    assert (other == native).all()
    workspace.FeedBlob("x", other)
    found = workspace.FetchBlob("x")
    print("%s: fed %s, found %s" % (other.dtype.str, other.tolist(), found.tolist()))
    as_described &= found.tobytes() == other.tobytes() and found.dtype == native.dtype
sys.exit(0 if as_described else 1)
PROGRAM
