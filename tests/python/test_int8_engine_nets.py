"""A trained net moves from engine DNNLOWP to ONEDNN: by its definition, by preferences,
fused, packed, in another order, with parameters that are given and that are chosen."""

import os

import numpy as np
import pytest

from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace
from caffe2_quantization import hardcode_scale_zp

REGISTERED = set(workspace.RegisteredOperators())
MIN_ACCURACY = 0.98  # 0.9907 in floats


def cpu():
    """Returns the key of preferences: Caffe2 asks for a type that PyTorch names."""
    import torch

    return torch._C._autograd.DeviceType.CPU


@pytest.fixture(autouse=True)
def no_preferences():
    core.SetEnginePref({}, {})
    yield
    core.SetEnginePref({}, {})


class Digits(object):
    """The example's net, in floats in the workspace, and its int8 forms."""

    def __init__(self, folder):
        def read(name, proto):
            with open(os.path.join(folder, name), "rb") as stream:
                proto.ParseFromString(stream.read())
            return proto

        tensors = {each.name: each for each in
                   read("test_images.pb", caffe2_pb2.TensorProtos()).protos}
        self.images = np.array(tensors["data"].float_data, np.float32).reshape(
            tensors["data"].dims)
        self.labels = np.array(tensors["label"].int32_data, np.int32)
        workspace.FeedBlob("data", self.images)
        workspace.RunNetOnce(read("init_net.pb", caffe2_pb2.NetDef()))
        self.floats = read("predict_net.pb", caffe2_pb2.NetDef())
        workspace.RunNetOnce(self.floats)
        self.ranges = {name: (workspace.FetchBlob(name).min(),
                              workspace.FetchBlob(name).max())
                       for name in ["data"] + [op.output[0] for op in self.floats.op]}
        for op in self.floats.op:  # or they would stay float tensors
            workspace.C.Workspace.current.remove_blob(op.output[0])

    def net(self, engine, static=True, fused=False, packed=False, order="NCHW"):
        """Returns a NetDef from `data` to `softmax` with codes between. Operators that
        the engine does not have are DNNLOWP's; with engine "" none is named."""
        net = caffe2_pb2.NetDef(name="int8")
        ops = [core.CreateOperator("Quantize", ["data"], ["data_q"])]
        if order == "NHWC":
            ops.insert(0, core.CreateOperator("NCHW2NHWC", ["data"], ["data_nhwc"]))
            ops[1].input[0] = "data_nhwc"
        layers = list(self.floats.op)
        while layers:
            op = caffe2_pb2.OperatorDef()
            op.CopyFrom(layers.pop(0))
            if op.type in ("Conv", "FC") and fused and layers[0].type == "Relu":
                op.type = {"Conv": "ConvRelu", "FC": "Int8FCRelu"}[op.type]
                op.output[0] = layers.pop(0).output[0]
            ops.append(op)
        packing = []
        for op in ops:
            if op.input[0] == "data" and op.type != "NCHW2NHWC" and op.type != "Quantize":
                op.input[0] = "data_q"
            is_layer = op.type in ("Conv", "ConvRelu", "FC", "Int8FCRelu")
            if order == "NHWC" and op.type in ("Conv", "ConvRelu", "MaxPool"):
                del op.arg[[each.name for each in op.arg].index("order")]
                op.arg.extend([core.utils.MakeArgument("order", "NHWC")])
            if op.output[0] == "fc2":
                op.arg.extend([core.utils.MakeArgument("dequantize_output", 1)])
            elif (is_layer or op.type == "Quantize") and static:
                name = "data" if op.type == "Quantize" else op.output[0]
                params = hardcode_scale_zp.choose_quantization_params(*self.ranges[name])
                op.arg.extend([core.utils.MakeArgument("Y_scale", params.scale),
                               core.utils.MakeArgument("Y_zero_point", params.zero_point)])
            if engine and "%s_ENGINE_DNNLOWP" % op.type in REGISTERED:
                ours = "%s_ENGINE_%s" % (op.type, engine) in REGISTERED
                op.engine = engine if ours else "DNNLOWP"
            if packed and is_layer:
                packing.append(self._packing(op, engine))
        net.op.extend(packing + ops)
        return net

    def _packing(self, op, engine):
        packer = "Int8FCPackWeight" if "FC" in op.type else "Int8ConvPackWeight"
        pack = core.CreateOperator(packer, [op.input[1]], [op.input[1] + "_packed"],
                                   engine=engine)
        pack.arg.extend(each for each in op.arg if each.name in ("kernel", "pad"))
        op.input[1] += "_packed"
        return pack

    def feed_nhwc(self):
        """Filters and the first fully connected layer's weights for the order NHWC."""
        for name in ("conv1_w", "conv2_w"):
            w = workspace.FetchBlob(name)
            workspace.FeedBlob(name, np.ascontiguousarray(w.transpose(0, 2, 3, 1)))
        w = workspace.FetchBlob("fc1_w")
        w = w.reshape(-1, 32, 2, 2).transpose(0, 2, 3, 1).reshape(w.shape)
        workspace.FeedBlob("fc1_w", np.ascontiguousarray(w))

    def run(self, net):
        """Returns the softmax of all images, and the codes of every blob of codes."""
        workspace.FeedBlob("data", self.images)
        workspace.RunNetOnce(net)
        codes = {}
        for op in net.op:
            if op.engine and op.output[0] != "fc2" and "Pack" not in op.type:
                blob = workspace.FetchInt8Blob(op.output[0])
                codes[op.output[0]] = (blob.data, blob.scale, blob.zero_point)
        return workspace.FetchBlob("softmax"), codes

    def accuracy(self, softmax):
        result = (softmax.argmax(axis=1) == self.labels).mean()
        print("accuracy %.4f" % result)
        return result


@pytest.fixture
def digits(digits_folder):
    return Digits(digits_folder)


def assert_same(a, b):
    np.testing.assert_array_equal(a[0], b[0])
    assert sorted(a[1]) == sorted(b[1])
    for name in a[1]:
        np.testing.assert_array_equal(a[1][name][0], b[1][name][0], err_msg=name)
        assert a[1][name][1:] == b[1][name][1:], name


@pytest.mark.parametrize("fused", [False, True])
def test_by_its_definition(digits, fused):
    host = digits.run(digits.net("DNNLOWP", fused=fused))
    ours = digits.run(digits.net("ONEDNN", fused=fused))
    assert len(ours[1]) == (6 if fused else 9)
    assert_same(host, ours)
    assert digits.accuracy(ours[0]) >= MIN_ACCURACY


@pytest.mark.parametrize("engine", ["DNNLOWP", "ONEDNN"])
@pytest.mark.parametrize("fused", [False, True])
def test_parameters_that_are_chosen(digits, engine, fused):
    softmax, _ = digits.run(digits.net(engine, static=False, fused=fused))
    assert digits.accuracy(softmax) >= MIN_ACCURACY


def test_packed(digits):
    plain = digits.run(digits.net("ONEDNN", order="NCHW"))
    digits.feed_nhwc()
    packed = digits.run(digits.net("ONEDNN", order="NHWC", packed=True))
    # The order of the last pooling's output is the other one.
    np.testing.assert_array_equal(plain[0], packed[0])


def test_orders(digits):
    nchw = digits.run(digits.net("ONEDNN"))
    digits.feed_nhwc()
    nhwc = digits.run(digits.net("ONEDNN", order="NHWC"))
    np.testing.assert_array_equal(nchw[0], nhwc[0])
    assert sorted(nchw[1]) == sorted(nhwc[1])
    for name, (codes, scale, zero_point) in nhwc[1].items():
        expected = nchw[1][name]
        assert (scale, zero_point) == expected[1:]
        if codes.ndim == 4:
            codes = codes.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(codes, expected[0], err_msg=name)


def is_ours(net, op_type):
    """Whether operators of the type are the engine's: its errors are its own. The net
    has run; they run alone, since the host does not survive every output of theirs."""
    op = caffe2_pb2.OperatorDef()
    op.CopyFrom([each for each in net.op if each.type == op_type][0])
    op.output[0] = "probe"
    op.arg.extend([core.utils.MakeArgument("dequantize_output", 7)])
    try:
        workspace.RunOperatorOnce(op)
    except RuntimeError as error:
        return "%s: argument dequantize_output is 7" % op_type in str(error)
    return False


@pytest.mark.parametrize("types", [["Conv"], ["FC"], ["Conv", "FC"]])
def test_by_preferences_of_operators(digits, types):
    host = digits.run(digits.net("DNNLOWP"))
    net = digits.net("")
    workspace.C.set_global_engine_pref({cpu(): ["DNNLOWP"]})
    workspace.C.set_per_op_engine_pref(
        {cpu(): {op_type: ["ONEDNN"] for op_type in types}})
    np.testing.assert_array_equal(digits.run(net)[0], host[0])
    assert [op_type for op_type in ("Conv", "FC") if is_ours(net, op_type)] == types


def test_by_a_preference_of_the_process(digits):
    host = digits.run(digits.net("DNNLOWP"))
    net = digits.net("")
    workspace.C.set_global_engine_pref({cpu(): ["ONEDNN", "DNNLOWP"]})
    softmax, _ = digits.run(net)
    assert is_ours(net, "Conv") and is_ours(net, "FC")
    np.testing.assert_array_equal(softmax, host[0])
    assert digits.accuracy(softmax) >= MIN_ACCURACY


CHANGES = {
    # Caffe2 copies into the tensor that is there.
    "FeedBlob": (lambda value, net: workspace.FeedBlob("w", value), False),
    "ResetBlob": (lambda value, net: (workspace.ResetBlob("w"),
                                      workspace.FeedBlob("w", value)), True),
    "CreateNet": (lambda value, net: (workspace.FeedBlob("w", value),
                                      workspace.CreateNet(net, overwrite=True)), True),
    "another size": (lambda value, net: (
        workspace.FeedBlob("w", np.zeros(2 * value.size, np.float32)),
        workspace.FeedBlob("w", value)), True),
}


@pytest.mark.parametrize("op_type, inputs, arguments, when_it_changes", [
    ("FC", ["x", "w", "b"], {}, {"constant_weight": 0}),
    ("Conv", ["x", "w", "b"], {"kernel": 1}, {"constant_weight": 0}),
    ("BatchMatMul", ["x", "w"], {"trans_b": 1, "constant_B": 1}, {"constant_B": 0}),
])
@pytest.mark.parametrize("change", sorted(CHANGES))
def test_weights_that_change(op_type, inputs, arguments, when_it_changes, change):
    change_w, is_seen = CHANGES[change]
    shape = (2, 4, 1, 1) if op_type == "Conv" else (2, 4)
    for extra in ({}, when_it_changes):
        workspace.FeedBlob("x", np.ones((1,) + shape[1:], np.float32))
        workspace.FeedBlob("w", np.ones(shape, np.float32))
        workspace.FeedBlob("b", np.zeros(2, np.float32))
        net = core.Net(caffe2_pb2.NetDef(name="net", op=[core.CreateOperator(
            op_type, inputs, ["y"], engine="ONEDNN", Y_scale=0.5, Y_zero_point=0,
            **dict(arguments, **extra))]))
        workspace.CreateNet(net, overwrite=True)
        workspace.RunNet(net)
        assert workspace.FetchInt8Blob("y").data.ravel().tolist() == [8, 8]  # 4 / 0.5
        change_w(np.full(shape, 3, np.float32), net)
        workspace.RunNet(net)
        expected = 24 if is_seen or extra else 8
        assert workspace.FetchInt8Blob("y").data.ravel().tolist() == [expected, expected]


MEASURED_NET = """
import sys
import numpy as np
from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace
import caffe2_quantization
caffe2_quantization.load(sys.argv[1])

random = np.random.RandomState(1)
for name, shape in [("x", (2, 8, 10, 10)), ("w", (16, 8, 3, 3)), ("b", (16,))]:
    workspace.FeedBlob(name, random.randn(*shape).astype(np.float32))
arguments = dict(kernel=3, pad=1)
workspace.RunOperatorOnce(core.CreateOperator("Conv", ["x", "w", "b"], ["f"], **arguments))
floats = workspace.FetchBlob("f").astype(np.float64)
scale = 6 / 255.0
workspace.CreateNet(core.Net(caffe2_pb2.NetDef(name="relu6", op=[core.CreateOperator(
    "ConvRelu", ["x", "w", "b"], ["y"], engine="ONEDNN", Y_scale=scale, Y_zero_point=0,
    measure_quantization_error=1, **arguments)])))
workspace.RunNet("relu6")
y = workspace.FetchInt8Blob("y")
actual = y.data * float(y.scale)

def sqnr_db(exact):
    return 10 * np.log10(np.sum(exact ** 2) / np.sum((actual - exact) ** 2))

print(sqnr_db(np.clip(floats, 0, 6)), sqnr_db(np.maximum(floats, 0)),
      100 * (floats > 6 + scale / 2).mean())
"""


def test_error_of_a_fused_relu6_is_reported(run_python, plugin_path):
    """Parameters of [0, 6] are how it is fused: what they clip is meant to be clipped."""
    done = run_python(MEASURED_NET, plugin_path)
    expected = [float(each) for each in done.stdout.split()]
    assert expected[0] > 30 and expected[1] < 10 and expected[2] > 15
    report = done.stderr[done.stderr.index("output 'y' of ConvRelu: 1 runs"):]
    reported = [float(part.split(" dB")[0]) for part in report.split("SQNR ")[1:]]
    assert reported == pytest.approx(expected[:2], abs=0.001)
    share = report.split(" % of the float values")[0].split("; ")[1]
    assert float(share) == pytest.approx(expected[2], rel=1e-6)
