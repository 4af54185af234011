"""`caffe2-quantize quantize` of the forms in which the host's exporters write a model."""

import numpy as np
import pytest

from caffe2.proto import caffe2_pb2
from caffe2.python import workspace
from test_model_forms import BINARY, Model, command, pytestmark, write  # noqa: F401


@pytest.fixture
def model(tmp_path):
    return Model(tmp_path)


def quantized(model, *arguments):
    """Runs the command on the model's data; returns its nets and what it noted."""
    done = command("quantize", *arguments, "--data", model.npz, "-o", model.folder / "int8",
                   "--json", "-")
    assert done.returncode == 0, done.stderr
    nets = []
    for name in ("init_net.pb", "predict_net.pb"):
        nets.append(caffe2_pb2.NetDef.FromString((model.folder / "int8" / name).read_bytes()))
    return nets[0], nets[1], done.stderr


def check(model, init, predict, types=("Int8ConvRelu", "Int8FC")):
    """That the net is int8, and near the float one."""
    found = [op.type for op in predict.op]
    assert [each for each in types if each not in found] == []
    workspace.ResetWorkspace()
    workspace.RunNetOnce(init)
    workspace.FeedBlob("data", model.data)
    workspace.RunNetOnce(predict)
    scores = workspace.FetchBlob("prob")
    assert (scores.argmax(axis=1) == model.labels).all()
    assert np.abs(scores - model.scores).max() < 0.1


def test_a_predictor(model):
    # It has its own weights; their operators are no part of the new init net.
    init, predict, notes = quantized(model, "--predict", model.predictor())
    assert "were run once" in notes
    assert {op.type for op in init.op} == {"Int8GivenPackedWeightFill", "GivenTensorFill"}
    check(model, init, predict)


def test_a_predictor_and_weights_of_another(model):
    weights = model.predictor("weights")
    init, predict, _ = quantized(model, "--predict", model.predictor(), "--init", weights)
    check(model, init, predict)


def test_nets_of_the_mobile_exporter(model):
    # Its init net holds the place of the input, by a fill of one value.
    init_path, predict_path = model.mobile()
    init, predict, notes = quantized(model, "--init", init_path, "--predict", predict_path)
    assert "data" in [name for op in init.op for name in op.output]
    check(model, init, predict)


def test_undeclared_inputs(model):
    # As the ONNX importer writes nets: they declare some of their inputs.
    init_path, predict_path = model.mobile()
    net = caffe2_pb2.NetDef.FromString(predict_path.read_bytes())
    kept = [name for name in net.external_input if name == "data"]
    del net.external_input[:]
    net.external_input.extend(kept)
    init, predict, notes = quantized(model, "--init", init_path, "--predict",
                                     write(model.folder / "undeclared.pb", net))
    assert "the int8 net declares them" in notes
    check(model, init, predict)


def test_random_weights_are_those_that_were_calibrated(model):
    init_path = write(model.folder / "random.pb", model.helper.param_init_net.Proto())
    predict_path = write(model.folder / "predict.pb", model.helper.net.Proto())
    init, predict, notes = quantized(model, "--init", init_path, "--predict", predict_path)
    assert "operators draw random values" in notes
    assert "XavierFill" not in [op.type for op in init.op]
    report = (model.folder / "int8" / "report.json").read_text()
    assert "calibrated with other weights" not in report
    workspace.ResetWorkspace()
    workspace.RunNetOnce(init)
    workspace.FeedBlob("data", model.data)
    workspace.RunNetOnce(predict)
    assert np.isfinite(workspace.FetchBlob("prob")).all()
    names = sorted(each.name for each in model.folder.iterdir())
    assert names == ["data.npz", "int8", "predict.pb", "random.pb"]


def test_text(model):
    init_path, predict_path = model.mobile()
    for path in (init_path, predict_path):
        net = caffe2_pb2.NetDef.FromString(path.read_bytes())
        path.write_text(str(net))
    init, predict, _ = quantized(model, "--init", init_path, "--predict", predict_path)
    check(model, init, predict)
