#!/bin/bash
# Caffe2 (torch 1.10.2) with onnx 1.10.2: the init net of the ONNX importer holds
# the whole model, and its two nets cannot be run one after the other.
#
# One expects: onnx_graph_to_caffe2_net(model) gives an init net that makes the
# weights and a predict net over them, so that RunNetOnce(init) works in an empty
# workspace, and CreateNet(predict) after it.
# What happens: the importer splits a model by onnx.optimizer, which onnx 1.9
# took out. It warns, and puts all operators of the model into both nets. The
# init net then fails, since nobody has fed the model's input. Even with an
# input, the predict net of a model of IR 4 or later fails: it declares the
# model's inputs, and the weights are no inputs there.
# Why it matters: whoever calibrates or quantizes an imported model begins with
# its init net, and takes everything in it for weights.
# Here: the command line leaves out operators of an init net that read what
# nothing before them makes, and declares the weights (docs/formats.md, "Models";
# netdef/model_nets.h).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# A CPython 3.9, for which the wheel is made: PYTHON, on the path, or pyenv's.
for python in "${PYTHON:-}" python3.9 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.9*/bin/python; do
  "$python" -c '' 2>/dev/null && break
done
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  torch==1.10.2 onnx==1.10.2 numpy==1.22.4 protobuf==3.20.3 future==1.0.0 six==1.17.0

"$folder/venv/bin/python" - <<'PROGRAM'
import sys

import numpy as np
from caffe2.python import workspace
from caffe2.python.onnx.backend import Caffe2Backend
from onnx import TensorProto, helper, numpy_helper

workspace.GlobalInit(["onnx_init_net", "--caffe2_log_level=3"])


def attempt(what, run):
    try:
        run()
        print("%s: works" % what)
        return True
    except RuntimeError as error:
        reason = str(error).split("] ", 1)[-1].splitlines()[0]
        print("%s: %s" % (what, reason[:100]))
        return False


weights = numpy_helper.from_array(np.ones((2, 3), np.float32), "w")
graph = helper.make_graph(
    [helper.make_node("MatMul", ["x", "w"], ["y"])], "one",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])], [weights])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)])
init, predict = Caffe2Backend.onnx_graph_to_caffe2_net(model)
print("operators of the init net:", [op.type for op in init.op])
print("operators of the predict net:", [op.type for op in predict.op])
print("inputs of the predict net:", list(predict.external_input))
found = [attempt("init net, nothing fed", lambda: workspace.RunNetOnce(init))]
workspace.FeedBlob("x", np.ones((1, 2), np.float32))
found.append(attempt("init net, input fed", lambda: workspace.RunNetOnce(init)))
found.append(attempt("predict net after it", lambda: workspace.RunNetOnce(predict)))
as_described = (found == [False, True, False]
                and [op.type for op in init.op][1:] == [op.type for op in predict.op])
sys.exit(0 if as_described else 1)
PROGRAM
