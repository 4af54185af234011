"""What operators of the engine ONEDNN refuse, and that none of them is missing.

Every case goes through every key of the registry that it is for. An error names the
operator and the thing; the output is as it was, and what is well formed still runs.
"""

import numpy as np
import pytest

import conftest
from caffe2.python import core, workspace
from caffe2_quantization import _operators
from caffe2_quantization import dnnlowp_pybind11 as dnnlowp

CONVOLUTIONS = ["Conv", "ConvRelu", "Int8Conv", "Int8ConvRelu"]
SUMS = ["Int8ConvSum", "Int8ConvSumRelu"]  # which the host has a schema of, no engine
TRANSPOSED = ["ConvTranspose", "Int8ConvTranspose"]
FULLY_CONNECTED = ["FC", "Int8FC", "Int8FCRelu"]
PRODUCTS = ["BatchMatMul", "Int8BatchMatMul"]
PACKERS = ["Int8ConvPackWeight", "Int8FCPackWeight"]
CONVERTERS = ["Quantize", "Int8Quantize", "Dequantize", "Int8Dequantize",
              "Int8DequantizeRowWise"]
LAYERS = CONVOLUTIONS + SUMS + TRANSPOSED + FULLY_CONNECTED + PRODUCTS

REGISTERED = set(workspace.RegisteredOperators())


def keys(types):
    """Returns (type, engine) of all that the engine has."""
    return sorted(key for key in conftest.engine_keys() if key[0] in types)


def is_wide(engine):
    return engine.endswith("_16")


class Layer(object):
    """A well-formed operator and its blobs, to be spoiled by a test."""

    def __init__(self, op, engine):
        random = np.random.RandomState(1)

        def floats(*shape):
            return random.uniform(-1, 1, shape).astype(np.float32)

        self.type, self.engine = op, engine
        self.arguments = {"Y_scale": 0.1, "Y_zero_point": 100}
        if op in FULLY_CONNECTED:
            self.blobs = {"x": floats(2, 8), "w": floats(6, 8), "b": floats(6)}
        elif op in PRODUCTS:
            self.blobs = {"x": floats(2, 3, 4), "w": floats(2, 4, 5)}
        else:
            self.arguments["kernel"] = 3
            self.blobs = {"x": floats(2, 4, 5, 5), "w": floats(6, 4, 3, 3),
                          "b": floats(6)}
            if op in TRANSPOSED:
                self.blobs["w"] = floats(4, 6, 3, 3)
            if op in SUMS:
                self.blobs["s"] = floats(2, 6, 3, 3)
        self.inputs = list(self.blobs)

    def names(self, name):
        """Returns how messages about shapes name an input."""
        return {"x": "A ", "w": "B "}[name] if self.type in PRODUCTS else "'%s'" % name

    def run(self):
        for name, value in self.blobs.items():
            if value is not None:
                workspace.FeedBlob(name, value)
        workspace.RunOperatorOnce(core.CreateOperator(
            self.type, self.inputs, ["y"], engine=self.engine, **self.arguments))

    def error(self):
        """Runs the operator, which must fail; returns its own message."""
        workspace.FeedBlob("y", np.array([5, 6], np.float32))
        with pytest.raises(RuntimeError) as caught:
            self.run()
        message = _operators.own_message(self.type, str(caught.value))
        assert message is not None, str(caught.value)
        assert workspace.FetchBlob("y").tolist() == [5, 6]
        return message


@pytest.fixture(params=keys(LAYERS), ids="_".join)
def layer(request):
    result = Layer(*request.param)
    yield result
    if result.type not in SUMS:
        assert "%s_ENGINE_%s" % request.param in REGISTERED
    Layer(*request.param).run()
    assert workspace.HasBlob("y")


@pytest.mark.parametrize("op", CONVOLUTIONS + FULLY_CONNECTED + PRODUCTS + PACKERS +
                         CONVERTERS)
def test_every_suffix_of_dnnlowp_is_there(op):
    dnnlowp_keys = {key for key in REGISTERED if key.startswith(op + "_ENGINE_DNNLOWP")}
    assert dnnlowp_keys
    assert {key.replace("DNNLOWP", "ONEDNN") for key in dnnlowp_keys} <= REGISTERED


@pytest.mark.parametrize("op", SUMS)
def test_sums_that_dnnlowp_lacks_are_there(op):
    assert op + "_ENGINE_ONEDNN" in REGISTERED


@pytest.mark.parametrize("op, engine", keys(CONVERTERS))
@pytest.mark.parametrize("value, words", [
    ("NCWH", ["'NCWH'", "NCHW or NHWC", "did you mean 'NCHW'"]), ("", ["''"]), (1, []),
    ("NCHW", ["[2, 3]", "3 to 5 dimensions"])])
def test_orders_of_what_converts(op, engine, value, words):
    x = np.ones((2, 3), np.float32)
    argument = "input_order" if op.endswith("Quantize") else "output_order"
    workspace.FeedBlob("x", x)
    if argument == "output_order":
        workspace.ResetBlob("x")
        workspace.FeedBlob("floats", x)
        workspace.RunOperatorOnce(core.CreateOperator(
            "Quantize", ["floats"], ["x"],
            engine="ONEDNN_16" if is_wide(engine) else "ONEDNN"))
    workspace.FeedBlob("y", np.array([5, 6], np.float32))
    with pytest.raises(RuntimeError) as caught:
        workspace.RunOperatorOnce(core.CreateOperator(
            op, ["x"], ["y"], engine=engine, **{argument: value}))
    message = _operators.own_message(op, str(caught.value))
    assert message is not None, str(caught.value)
    for word in [argument, "expected" if isinstance(value, str) else "string"] + words:
        assert word in message
    assert workspace.FetchBlob("y").tolist() == [5, 6]
    workspace.RunOperatorOnce(core.CreateOperator(op, ["x"], ["y"], engine=engine))
    workspace.ResetWorkspace()


def test_well_formed(layer):
    layer.run()


@pytest.mark.parametrize("name", ["x", "w"])
def test_another_blob_than_a_tensor(layer, name):
    dnnlowp.CreateInt8QuantSchemeBlob(name, "MIN_MAX_QUANTIZATION", False)
    layer.blobs[name] = None
    message = layer.error()
    assert "'%s'" % name in message and "Int8QuantSchemeBlob" in message
    assert "expected" in message
    workspace.ResetWorkspace()


@pytest.mark.parametrize("name", ["x", "w", "b", "s"])
@pytest.mark.parametrize("type, word", [(np.int32, "int"), (np.float64, "double"),
                                        (np.uint8, "unsigned char")])
def test_values_of_another_type(layer, name, type, word):
    if name not in layer.blobs:
        return
    layer.blobs[name] = layer.blobs[name].astype(type)
    message = layer.error()
    assert "'%s'" % name in message and word in message and "expected" in message


@pytest.mark.parametrize("name", ["x", "w", "b", "s"])
def test_codes_of_another_width(layer, name):
    if name not in layer.blobs:
        return
    engine = "DNNLOWP" if is_wide(layer.engine) else "DNNLOWP_16"
    workspace.FeedBlob("floats", layer.blobs[name])
    workspace.RunOperatorOnce(core.CreateOperator("Quantize", ["floats"], [name],
                                                  engine=engine))
    layer.blobs[name] = None
    message = layer.error()
    assert "'%s'" % name in message and "expected" in message
    assert ("unsigned char" if is_wide(layer.engine) else "short") in message
    workspace.ResetWorkspace()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["x", "w"])
def test_values_that_are_not_finite(layer, name, value):
    layer.blobs[name].flat[3] = value
    message = layer.error()
    assert "'%s'" % name in message and ("NaN" in message or "finite" in message)


def test_another_rank(layer):
    layer.blobs["x"] = np.zeros((), np.float32)
    assert layer.names("x") in layer.error()
    if layer.type not in FULLY_CONNECTED:
        return
    layer.arguments["axis"] = 5
    layer.blobs["x"] = np.zeros((2, 8), np.float32)
    assert "axis" in layer.error()


def test_a_filter_of_another_rank(layer):
    if layer.type in PRODUCTS:
        return
    layer.blobs["w"] = np.ones((6,), np.float32)
    assert "'w'" in layer.error()


@pytest.mark.parametrize("name, axis", [("x", 1), ("w", 1)])
def test_sizes_that_do_not_match(layer, name, axis):
    value = layer.blobs[name]
    if layer.type in PRODUCTS and name == "x":
        axis = 2
    if layer.type in TRANSPOSED and name == "w":
        axis = 0
    layer.blobs[name] = np.concatenate([value, value], axis=axis)
    message = layer.error()
    assert layer.names("w") in message or layer.names("x") in message
    assert str(layer.blobs[name].shape[axis]) in message


@pytest.mark.parametrize("size", [0, 5, 7])
def test_a_bias_of_another_size(layer, size):
    if "b" not in layer.blobs:
        return
    layer.blobs["b"] = np.zeros(size, np.float32)
    message = layer.error()
    assert "'b'" in message and str(size) in message and "6" in message


def test_a_bias_of_codes_of_another_scale(layer):
    if "b" not in layer.blobs or is_wide(layer.engine):
        return
    if layer.type in FULLY_CONNECTED and "ROWWISE" in layer.engine:
        return  # no one scale is expected of it
    workspace.RunOperatorOnce(core.CreateOperator(
        "Int8GivenIntTensorFill", [], ["b"], values=[1] * 6, shape=[6], Y_scale=7.0,
        Y_zero_point=0))
    layer.blobs["b"] = None
    message = layer.error()
    assert "'b'" in message and "scale 7" in message and "expected" in message
    workspace.ResetWorkspace()


def test_an_addend_of_another_shape(layer):
    if layer.type not in SUMS:
        return
    layer.blobs["s"] = layer.blobs["s"][:1]
    message = layer.error()
    assert "'s'" in message and "[1, 6, 3, 3]" in message and "[2, 6, 3, 3]" in message


@pytest.mark.parametrize("name, value", [
    ("Y_scale", 0.0), ("Y_scale", -1.0), ("Y_scale", float("nan")),
    ("Y_scale", float("inf")), ("Y_scale", "one"),
    ("Y_zero_point", -1), ("Y_zero_point", 1 << 16), ("Y_zero_point", 0.5),
    ("followed_by", "Nothing"), ("followed_by", 1),
    ("dequantize_output", 2), ("dequantize_output", "yes"),
    ("measure_quantization_error", -1),
    ("activation_precision", 0), ("activation_precision", 17),
    ("weight_precision", 0), ("weight_precision", 17),
    ("preserve_activation_sparsity", 2), ("preserve_weight_sparsity", 2),
])
def test_arguments(layer, name, value):
    if layer.type in PRODUCTS and name.startswith(("weight", "preserve_weight")):
        return  # no weights
    layer.arguments[name] = value
    if name == "Y_scale" and isinstance(value, str):
        del layer.arguments["Y_zero_point"]
    message = layer.error()
    assert name in message


@pytest.mark.parametrize("precision", [9, 16])
def test_precisions_that_8_bits_do_not_hold(layer, precision):
    if is_wide(layer.engine):
        return
    layer.arguments["activation_precision"] = precision
    message = layer.error()
    assert "activation_precision" in message and str(precision) in message


@pytest.mark.parametrize("name, value", [
    ("kernel", 0), ("kernel", -3), ("stride", 0), ("stride", -1), ("dilation", 0),
    ("pad", -1), ("group", 0), ("group", 3), ("order", "NWHC"), ("kernels", [3, 3, 3]),
    ("quantize_groupwise", 2), ("quantize_channelwise", "x"), ("legacy_pad", 9),
])
def test_geometry(layer, name, value):
    if layer.type not in CONVOLUTIONS + SUMS + TRANSPOSED:
        return
    layer.arguments[name] = value
    if name == "kernels":
        del layer.arguments["kernel"]
    message = layer.error()
    assert any(word in message for word in (name, "'x'", "'w'"))


@pytest.mark.parametrize("name, value, words", [
    ("adj", 1, ["adjs", "[1, 1]", "strides"]), ("adj", -1, ["adjs", "-1"]),
    ("adjs", [0, 0, 0], ["adjs", "[0, 0, 0]"]), ("adj", "x", ["adj"]),
    ("dilation", 2, ["dilations", "[2, 2]"]), ("legacy_pad", 3, ["legacy_pad", "3"]),
    ("pad", 4, ["'x'", "output", "-1"]), ("stride", 1 << 20, ["strides"]),
    ("stride", 1 << 40, ["strides"]), ("group", 1 << 40, ["group"])])
def test_geometry_of_transposed_convolutions(layer, name, value, words):
    if layer.type not in TRANSPOSED:
        return
    layer.arguments[name] = value
    message = layer.error()
    assert "expected" in message or "is not" in message
    for word in words:
        assert word in message


def test_no_kernel(layer):
    if layer.type not in CONVOLUTIONS + SUMS + TRANSPOSED:
        return
    del layer.arguments["kernel"]
    assert "kernel" in layer.error()


def test_a_kernel_larger_than_its_input(layer):
    if layer.type not in CONVOLUTIONS + SUMS:
        return
    layer.arguments["dilation"] = 4
    message = layer.error()
    assert "'x'" in message and "expected" in message


def test_a_convolution_to_floats(layer):
    if layer.type not in CONVOLUTIONS + SUMS + TRANSPOSED:
        return
    layer.arguments["dequantize_output"] = 1
    assert "dequantize_output" in layer.error()


@pytest.mark.parametrize("engine", ["DNNLOWP", "DNNLOWP_ROWWISE", "DNNLOWP_ACC16"])
def test_weights_that_dnnlowp_packed(layer, engine):
    packer = "Int8FCPackWeight" if layer.type in FULLY_CONNECTED else "Int8ConvPackWeight"
    if layer.type in PRODUCTS or "%s_ENGINE_%s" % (packer, engine) not in REGISTERED:
        return
    if layer.type not in FULLY_CONNECTED:
        # The order in which the engine packs.
        layer.arguments["order"] = "NHWC"
        layer.blobs["x"] = layer.blobs["x"].transpose(0, 2, 3, 1).copy()
    w = layer.blobs["w"]
    workspace.FeedBlob("floats", w if w.ndim == 2 else w.transpose(0, 2, 3, 1).copy())
    workspace.RunOperatorOnce(core.CreateOperator(packer, ["floats"], ["w"], kernel=3,
                                                  engine=engine))
    layer.blobs["w"] = None
    message = layer.error()
    assert "'w'" in message and "expected" in message
    workspace.ResetWorkspace()


def test_weights_packed_for_another_layer(layer):
    if layer.type in PRODUCTS:
        return
    packer = "Int8ConvPackWeight" if layer.type in FULLY_CONNECTED else "Int8FCPackWeight"
    w = layer.blobs["w"]
    workspace.FeedBlob("floats", np.ones((6, 3, 3, 4) if w.ndim == 2 else (6, 36),
                                         np.float32))
    workspace.RunOperatorOnce(core.CreateOperator(packer, ["floats"], ["w"], kernel=3,
                                                  engine="ONEDNN"))
    layer.blobs["w"] = None
    message = layer.error()
    assert "'w'" in message and "expected" in message
    workspace.ResetWorkspace()


@pytest.fixture(params=keys(PACKERS), ids="_".join)
def packer(request):
    op, engine = request.param

    class Packer(Layer):
        def __init__(self):
            self.type, self.engine = op, engine
            self.arguments = {"in_scale": 0.1}
            shape = (6, 8) if op == "Int8FCPackWeight" else (6, 3, 3, 4)
            self.blobs = {"w": np.linspace(-1, 1, np.prod(shape)).astype(
                np.float32).reshape(shape), "b": np.zeros(6, np.float32)}
            self.inputs = ["w", "b"]

    yield Packer()
    Packer().run()


def test_packing_well_formed(packer):
    packer.run()


@pytest.mark.parametrize("name", ["w", "b"])
def test_packing_another_type(packer, name):
    packer.blobs[name] = packer.blobs[name].astype(np.int64)
    message = packer.error()
    assert "'%s'" % name in message and "long" in message


@pytest.mark.parametrize("name", ["w", "b"])
def test_packing_values_that_are_not_finite(packer, name):
    packer.blobs[name].flat[1] = np.nan
    message = packer.error()
    assert "'%s'" % name in message


def test_packing_another_size(packer):
    packer.blobs["b"] = np.zeros(5, np.float32)
    message = packer.error()
    assert "'b'" in message and "5" in message and "6" in message
    packer.blobs["w"] = np.zeros(6, np.float32)
    assert "'w'" in packer.error()


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), None])
def test_packing_a_bias_needs_in_scale(packer, scale):
    packer.arguments = {} if scale is None else {"in_scale": scale}
    assert "in_scale" in packer.error()


def test_an_input_that_is_not_there(layer):
    layer.blobs["x"] = None
    with pytest.raises(RuntimeError, match="op %s: .*non-existing input blob: x" %
                       layer.type):
        layer.run()
