"""dnnlowp_pybind11's parameters: chosen, kept in blobs, and given to int8 nets."""

import copy
import os

import numpy as np
import pytest

from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace
from caffe2_quantization import choose, observers
from caffe2_quantization import dnnlowp_pybind11 as dnnlowp

INT8_TYPES = {"Conv", "Relu", "MaxPool", "FC"}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    dnnlowp.ClearNetObservers()


class Digits(object):
    """The example's net, measured as float, and the same net for int8."""

    def __init__(self, folder):
        def read(name, proto):
            with open(os.path.join(folder, name), "rb") as stream:
                proto.ParseFromString(stream.read())
            return proto

        tensors = {each.name: each for each in
                   read("test_images.pb", caffe2_pb2.TensorProtos()).protos}
        data = tensors["data"]
        self.digits = np.array(tensors["label"].int32_data, np.int32)
        workspace.FeedBlob(
            "data", np.array(data.float_data, np.float32).reshape(data.dims))
        workspace.RunNetOnce(read("init_net.pb", caffe2_pb2.NetDef()))
        self.net = read("predict_net.pb", caffe2_pb2.NetDef())

    def measure(self):
        workspace.CreateNet(self.net)
        with observers.observing(self.net, "digits.minmax"), \
                observers.observing(self.net, "digits.hist", observer="histograms",
                                    histogram_bins=2048), \
                observers.observing(self.net, "digits.profile", observer="profile",
                                    histogram_bins=2048, format="profile"):
            workspace.RunNet(self.net.name)
        self.float_accuracy = self.accuracy()
        self.float_values = {name: workspace.FetchBlob(name)
                             for op in self.net.op for name in op.output}
        for name in self.float_values:  # or it would stay a float tensor
            workspace.C.Workspace.current.remove_blob(name)

    def int8_net(self, name="int8"):
        """Quantizes the images first, and dequantizes what the softmax reads."""
        net = caffe2_pb2.NetDef()
        net.CopyFrom(self.net)
        net.name = name
        del net.op[:]
        net.op.extend([core.CreateOperator("Quantize", ["data"], ["data_q"],
                                           engine="DNNLOWP")])
        net.op.extend(self.net.op)
        net.op[1].input[0] = "data_q"
        for op in net.op:
            if op.type in INT8_TYPES:
                op.engine = "DNNLOWP"
            if op.output[0] == "fc2":
                op.arg.extend([core.utils.MakeArgument("dequantize_output", 1)])
        return net

    def run(self, net):
        workspace.RunNet(net.name)
        return self.accuracy()

    def accuracy(self):
        return (workspace.FetchBlob("softmax").argmax(axis=1) == self.digits).mean()


@pytest.fixture
def digits(digits_folder):
    result = Digits(digits_folder)
    result.measure()
    return result


def parameters(name):
    """Returns the scale and zero point that an int8 blob was given."""
    blob = workspace.FetchInt8Blob(name)
    return blob.scale, blob.zero_point


def read_parameters(path):
    """Returns {tensor: (scale, zero point)} of a file of parameters."""
    with open(path) as stream:
        lines = [line.split() for line in stream]
    assert all(len(line) == 9 for line in lines)
    return {line[3]: (np.float32(line[6]), int(line[7])) for line in lines}


def int8_values_close(digits, names):
    """Whether values are the float net's, up to a few steps: all that was clipped or
    rounded stays small."""
    for name in names:
        blob = workspace.FetchInt8Blob(name)
        values = blob.scale * (blob.data.astype(np.float32) - blob.zero_point)
        error = np.abs(values - digits.float_values[name]).mean()
        assert error < 2 * blob.scale, name


@pytest.mark.parametrize("path", ["digits.minmax", "digits.profile"])
def test_min_and_max_of_later_nets(digits, path):
    dnnlowp.RegisterQuantizationParams(path, False, "chosen")
    net = digits.int8_net()
    workspace.CreateNet(net)
    assert digits.run(net) >= digits.float_accuracy - 0.01
    chosen = read_parameters("chosen")
    for name in ("conv1", "conv2", "fc1"):
        values = digits.float_values[name]
        expected = choose.from_range(values.min(), values.max())
        assert chosen[name] == expected[:2]
        assert parameters(name) == expected[:2]
    int8_values_close(digits, ["conv1", "conv2", "fc1"])


@pytest.mark.parametrize("path", ["digits.hist", "digits.profile"])
def test_histograms_of_later_nets(digits, path):
    dnnlowp.RegisterQuantizationParamsWithHistogram(path, False, "chosen")
    net = digits.int8_net()
    for op in net.op:
        if op.engine:
            op.arg.extend([core.utils.MakeArgument("activation_quantization_kind",
                                                   "l2_approx")])
    workspace.CreateNet(net)
    assert digits.run(net) >= digits.float_accuracy - 0.01
    chosen = read_parameters("chosen")
    for name in ("conv1", "conv2", "fc1"):
        assert parameters(name) == chosen[name]
        # Bins are powers of two: an edge is a bin away from the value at most.
        assert chosen[name][0] <= np.ptp(digits.float_values[name]) / 255 * 1.01
    int8_values_close(digits, ["conv1", "conv2", "fc1"])


@pytest.mark.parametrize("kind, percentile", [
    ("p99.99", 0.9999), ("P99.9", 0.999), ("p99", 0.99)])
def test_percentiles_of_int8_nets(digits, kind, percentile):
    net = digits.int8_net()
    for op in net.op:
        if op.engine:
            op.engine = "ONEDNN" if op.type in ("Quantize", "Conv", "FC") else op.engine
            for what in ("activation", "weight"):
                op.arg.extend([core.utils.MakeArgument(what + "_quantization_kind", kind)])
    workspace.CreateNet(net)
    workspace.RunOperatorOnce(core.CreateOperator(
        "RegisterQuantizationParamsWithHistogram", [], [], path="digits.hist", net="int8",
        output="chosen"))
    assert digits.run(net) >= digits.float_accuracy - 0.02
    chosen = read_parameters("chosen")
    for line in observers.read_histograms("digits.hist"):
        if line.tensor_name not in ("conv1", "conv2", "fc1"):
            continue
        assert parameters(line.tensor_name) == chosen[line.tensor_name]
        expected = choose.from_counts(line.counts.astype(np.int64), line.min, line.max,
                                      "P99", percentile=percentile)
        np.testing.assert_allclose(chosen[line.tensor_name][0], expected.scale, rtol=1e-6)
        exact = choose.from_array(digits.float_values[line.tensor_name], kind)
        width = (line.max - line.min) / len(line.counts)
        assert exact.scale <= expected.scale <= exact.scale + 2 * width / 255


def test_one_net(digits):
    net = digits.int8_net()
    workspace.CreateNet(net)
    other = digits.int8_net("other")
    workspace.CreateNet(other)
    registration = dnnlowp.AddRegisterQuantizationParamsWithHistogramObserver(
        "int8", "digits.hist", qparams_output_file_name="chosen")
    assert (registration.net, registration.path) == ("int8", "digits.hist")
    digits.run(net)
    chosen = read_parameters("chosen")
    assert parameters("fc1") == chosen["fc1"]
    digits.run(other)
    assert parameters("fc1") != chosen["fc1"]


def test_a_net_def(digits):
    net = digits.int8_net()
    result = caffe2_pb2.NetDef()
    result.ParseFromString(dnnlowp.AddScaleZeroOffsetArgumentsWithHistogram(
        net.SerializeToString(), "digits.hist"))
    given = {op.output[0]: {arg.name: arg for arg in op.arg} for op in result.op}
    for op in net.op:
        if op.engine and op.output[0] not in ("fc2", "data_q"):
            assert given[op.output[0]]["Y_scale"].f > 0
        else:
            assert "Y_scale" not in given[op.output[0]]
    workspace.CreateNet(result)
    assert digits.run(result) >= digits.float_accuracy - 0.01
    assert parameters("conv2") == (given["conv2"]["Y_scale"].f,
                                   given["conv2"]["Y_zero_point"].i)


def test_nets_of_another_kind_are_left_alone(digits):
    dnnlowp.RegisterQuantizationParams("digits.minmax")
    net = core.Net("other")
    net.Proto().name = "other"
    net.Proto().op.extend([
        core.CreateOperator("Relu", ["data"], ["elsewhere"]),
        core.CreateOperator("Quantize", ["elsewhere"], ["q"], engine="DNNLOWP"),
        core.CreateOperator("Relu", ["q"], ["r"], engine="DNNLOWP")])
    workspace.CreateNet(net)
    workspace.RunNet("other")
    assert workspace.FetchInt8Blob("r").scale > 0


@pytest.mark.parametrize("register", [dnnlowp.RegisterQuantizationParams,
                                      dnnlowp.RegisterQuantizationParamsWithHistogram])
def test_a_net_that_fits_in_part_is_not_made(digits, register):
    register("digits.minmax" if register is dnnlowp.RegisterQuantizationParams
             else "digits.hist")
    net = digits.int8_net()
    net.op[4].output[0] = net.op[5].input[0] = "renamed"
    with pytest.raises(RuntimeError, match="has no line of 'renamed', expected one for "
                                           "each output of the int8 operators"):
        workspace.CreateNet(net)
    assert "int8" not in workspace.C.Workspace.current.nets
    dnnlowp.ClearNetObservers()
    workspace.CreateNet(net)


def test_files_that_are_wrong():
    with open("wrong", "w") as stream:
        stream.write("0 Relu 0 y 0\n")
    with pytest.raises(RuntimeError, match="'wrong', line 1: 5 fields"):
        dnnlowp.RegisterQuantizationParamsWithHistogram("wrong")
    with pytest.raises(RuntimeError, match="'wrong', line 1"):
        dnnlowp.RegisterQuantizationParams("wrong")
    with pytest.raises(RuntimeError, match="missing"):
        dnnlowp.RegisterQuantizationParams("missing")
    with pytest.raises(RuntimeError, match="no net 'nowhere'"):
        dnnlowp.AddRegisterQuantizationParamsWithHistogramObserver("nowhere", "wrong")
    with pytest.raises(RuntimeError, match="no NetDef"):
        dnnlowp.AddScaleZeroOffsetArgumentsWithHistogram(b"\xff", "wrong")


def test_static_parameters_are_those_of_the_operators():
    counts = [4, 0, 1, 7]
    for is_weight in (False, True):
        chosen = dnnlowp.ChooseStaticQuantizationParams(-12.8, 5, counts,
                                                        is_weight=is_weight)
        assert (chosen.scale, chosen.zero_point) == (np.float32(0.1), 128)
        assert chosen.precision == 8
        assert chosen.min == pytest.approx(-12.8)
        assert chosen.max == pytest.approx(12.7)
    chosen = dnnlowp.ChooseStaticQuantizationParams(0, 15, counts, False, 4,
                                                    "MIN_MAX_QUANTIZATION")
    assert (chosen.scale, chosen.zero_point, chosen.max) == (1, 0, 15)
    with pytest.raises(RuntimeError, match="method 'best' is unknown"):
        dnnlowp.ChooseStaticQuantizationParams(0, 1, counts, quant_scheme="best")
    with pytest.raises(AttributeError):
        chosen.scale = 2


def test_parameters_of_a_blob():
    workspace.FeedBlob("w", np.array([-1, 0, 24.5], np.float32))
    assert dnnlowp.ChooseQuantizationParams("w") == (np.float32(0.1), 10)
    assert workspace.Blobs() == ["w"]
    with pytest.raises(RuntimeError, match="non-existing input blob: nowhere"):
        dnnlowp.ChooseQuantizationParams("nowhere")
    workspace.FeedBlob("i", np.array([1], np.int32))
    with pytest.raises(RuntimeError, match="'i' is of type int, expected float"):
        dnnlowp.ChooseQuantizationParams("i")


def test_blobs_of_schemes_and_parameters():
    dnnlowp.CreateInt8QuantSchemeBlob("scheme", "L2_MIN_QUANTIZATION_APPROX", True)
    assert dnnlowp.ObserveInt8QuantSchemeBlob("scheme") == (
        "L2_MIN_QUANTIZATION_APPROX", True)
    dnnlowp.CreateInt8QuantParamsBlob("params", 0.3, 5)
    assert dnnlowp.ObserveInt8QuantParamsBlob("params") == (np.float32(0.3), 5)
    assert sorted(workspace.Blobs()) == ["params", "scheme"]
    with pytest.raises(RuntimeError, match="expected an Int8QuantParamsBlob"):
        dnnlowp.ObserveInt8QuantParamsBlob("scheme")
    with pytest.raises(RuntimeError, match="method 'best' is unknown"):
        dnnlowp.CreateInt8QuantSchemeBlob("scheme", "best", False)
    with pytest.raises(RuntimeError, match="scale is 0, expected"):
        dnnlowp.CreateInt8QuantParamsBlob("params", 0, 5)
    assert dnnlowp.ObserveInt8QuantParamsBlob("params") == (np.float32(0.3), 5)


def test_blobs_of_a_workspace_that_is_an_object():
    with workspace.WorkspaceGuard(workspace.C.Workspace()):
        dnnlowp.CreateInt8QuantParamsBlob("params", 0.3, 5)
        assert dnnlowp.ObserveInt8QuantParamsBlob("params") == (np.float32(0.3), 5)
        assert "params" in workspace.C.blobs()
    assert workspace.Blobs() == []


def test_freezing_gives_the_same_result():
    x = np.random.RandomState(0).uniform(-1, 1, (3, 4)).astype(np.float32)
    workspace.FeedBlob("x", x)
    workspace.FeedBlob("w", np.eye(5, 4, dtype=np.float32))
    workspace.FeedBlob("b", np.zeros(5, np.float32))
    dnnlowp.CreateInt8QuantParamsBlob("x_params", 0.01, 100)
    dnnlowp.CreateInt8QuantParamsBlob("y_params", 0.02, 90)
    net = caffe2_pb2.NetDef(name="net")
    net.op.extend([
        core.CreateOperator("Int8Quantize", ["x", "x_params"], ["x_q"], engine="DNNLOWP"),
        core.CreateOperator("Int8FC", ["x_q", "w", "b", "y_params"], ["y"],
                            engine="DNNLOWP")])
    workspace.RunNetOnce(net)
    before = copy.deepcopy(workspace.FetchInt8Blob("y"))
    frozen = caffe2_pb2.NetDef()
    frozen.ParseFromString(dnnlowp.freeze_quantization_params(net.SerializeToString()))
    assert [list(op.input) for op in frozen.op] == [["x"], ["x_q", "w", "b"]]
    for name in ("x_params", "y_params"):
        workspace.C.Workspace.current.remove_blob(name)
    workspace.RunNetOnce(frozen)
    after = workspace.FetchInt8Blob("y")
    assert (after.scale, after.zero_point) == (np.float32(0.02), 90)
    np.testing.assert_array_equal(after.data, before.data)
