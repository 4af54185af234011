"""The plugin on a real network: the digits example, in all its forms."""

import os

import numpy as np
import pytest

from caffe2.proto import caffe2_pb2
from caffe2.python import workspace
from caffe2_quantization import byte_weight, observers

INIT_NETS = ["init_net.pb", "init_net_byte.pb", "init_net_qtensor.pb"]
MIN_ACCURACY = 0.97


@pytest.fixture
def read(digits_folder):
    def read_proto(name, proto):
        with open(os.path.join(digits_folder, name), "rb") as stream:
            proto.ParseFromString(stream.read())
        return proto

    return read_proto


@pytest.fixture
def images(read):
    """Returns (images, digits) of the test set."""
    tensors = {each.name: each
               for each in read("test_images.pb", caffe2_pb2.TensorProtos()).protos}
    data, label = tensors["data"], tensors["label"]
    return (np.array(data.float_data, dtype=np.float32).reshape(data.dims),
            np.array(label.int32_data, dtype=np.int32))


@pytest.fixture
def predict_net(read, images):
    workspace.FeedBlob("data", images[0])
    return read("predict_net.pb", caffe2_pb2.NetDef())


def accuracy(images):
    return (workspace.FetchBlob("softmax").argmax(axis=1) == images[1]).mean()


@pytest.mark.parametrize("init_net", INIT_NETS)
def test_accuracy_and_ranges(read, images, predict_net, init_net):
    workspace.RunNetOnce(read(init_net, caffe2_pb2.NetDef()))
    workspace.CreateNet(predict_net)
    with observers.observing(predict_net) as observation:
        workspace.RunNet(predict_net.name)
    assert accuracy(images) >= MIN_ACCURACY

    measured = observation.info()
    assert [op["op_type"] for op in measured["operators"]] == [
        op.type for op in predict_net.op]
    for op, proto in zip(measured["operators"], predict_net.op):
        assert [output["tensor_name"] for output in op["outputs"]] == list(proto.output)
        for output in op["outputs"]:
            value = workspace.FetchBlob(output["tensor_name"])
            assert (output["min"], output["max"]) == (value.min(), value.max())
            assert output["shape"] == list(value.shape)
            assert output["count"] == value.size


def test_ranges_of_batches_are_those_of_the_whole(read, images, predict_net):
    workspace.RunNetOnce(read("init_net.pb", caffe2_pb2.NetDef()))
    workspace.CreateNet(predict_net)
    expected = {}
    with observers.observing(predict_net) as observation:
        for batch in np.array_split(images[0], 7):
            workspace.FeedBlob("data", batch)
            workspace.RunNet(predict_net.name)
            for op in predict_net.op:
                value = workspace.FetchBlob(op.output[0])
                low, high = expected.get(op.output[0], (np.inf, -np.inf))
                expected[op.output[0]] = min(low, value.min()), max(high, value.max())
    outputs = [op["outputs"][0] for op in observation.info()["operators"]]
    assert {output["tensor_name"]: (output["min"], output["max"])
            for output in outputs} == expected


@pytest.mark.parametrize("options", [{}, {"axis": 0}, {"formula": "centered"}])
def test_weights_made_bytes_here(read, images, predict_net, options):
    init_net = read("init_net.pb", caffe2_pb2.NetDef())
    workspace.RunNetOnce(init_net)
    for op in init_net.op:
        name = op.output[0]
        if name.endswith("_w"):
            weights = workspace.FetchBlob(name)
            workspace.RunOperatorsOnce(byte_weight.fill_ops(name, weights, **options))
            assert 0 < np.abs(workspace.FetchBlob(name) - weights).max() < 0.05
    workspace.RunNetOnce(predict_net)
    assert accuracy(images) >= MIN_ACCURACY


@pytest.mark.parametrize("init_net, step", [
    ("init_net_byte.pb", lambda w: (w.max() - w.min()) / 255),
    ("init_net_qtensor.pb", lambda w: np.abs(w).max() / 255),
])
def test_stored_weights_are_within_half_a_step(read, init_net, step):
    workspace.RunNetOnce(read("init_net.pb", caffe2_pb2.NetDef()))
    exact = {name: workspace.FetchBlob(name) for name in workspace.Blobs()}
    workspace.ResetWorkspace()
    workspace.RunNetOnce(read(init_net, caffe2_pb2.NetDef()))
    for name, weights in exact.items():
        error = np.abs(workspace.FetchBlob(name).astype(np.float64) - weights).max()
        if name.endswith("_w"):
            # The margin is for values rounded to float.
            assert error <= step(weights.astype(np.float64)) / 2 * (1 + 1e-4), name
        else:
            assert error == 0, name
