"""What operators of the engine ONEDNN that have no packed weights refuse.

Each type has one well-formed case, which is run under every key of the registry and
spoiled in one way at a time. Every error names the operator, the thing, what was found
and what was expected; the output blob is as it was; and afterwards the well-formed case
still gives the right codes.
"""

import numpy as np
import pytest

import conftest
from caffe2.python import core, workspace
from caffe2_quantization import _operators
from caffe2_quantization import dnnlowp_pybind11 as dnnlowp

# Those are in test_int8_engine_errors.py.
OTHERS = {"Quantize", "Dequantize", "Conv", "FC", "BatchMatMul"}
NAN, INF = float("nan"), float("inf")


class Codes(object):
    """An int8 tensor to be fed: codes, scale and zero point."""

    def __init__(self, shape, seed=1, scale=0.25, zero_point=7):
        random = np.random.RandomState(seed)
        self.data = np.asarray(random.randint(0, 30, shape))
        self.scale, self.zero_point = scale, zero_point

    def feed(self, name, wide):
        if wide:
            workspace.FeedBlob("floats", np.asarray(self.real(), np.float32))
            workspace.RunOperatorOnce(core.CreateOperator(
                "Quantize", ["floats"], [name], engine="ONEDNN_16", Y_scale=self.scale,
                Y_zero_point=self.zero_point, activation_precision=16))
            return
        workspace.RunOperatorOnce(core.CreateOperator(
            "Int8GivenTensorFill", [], [name], values=self.data.astype(
                np.uint8).tobytes(), shape=self.data.shape, Y_scale=self.scale,
            Y_zero_point=self.zero_point))

    def real(self):
        return np.asarray(
            np.float64(np.float32(self.scale)) * (self.data - self.zero_point))


def floats(*values):
    return np.array(values, np.float32)


def ints(*values):
    return np.array(values, np.int32)


class Family(object):
    """A well-formed case of some types.

    Attributes:
        types: the operators.
        blobs: the inputs, by their names, in order.
        arguments: the operator's.
        real: from the inputs' real values to the output's.
        kind: "takes" parameters from arguments, "keeps" the input's, or is a "move" of
            the host's.
        data: how many of the inputs, from the first, are codes.
        takes_floats: whether these may be floats.
        spoiled: what else is wrong: (name, value, words of the message), of a blob, or
            of an argument where no blob has the name.
    """

    def __init__(self, types, blobs, real, arguments=None, kind="takes", data=1,
                 outputs=1, takes_floats=True, spoiled=()):
        self.types, self.blobs, self.real = types, blobs, real
        self.arguments, self.kind, self.data = arguments or {}, kind, data
        self.outputs, self.takes_floats = outputs, takes_floats
        self.spoiled = list(spoiled)


def windows(x, reduce):
    return np.array([[[[reduce(c[i:i + 2, j:j + 2]) for j in (0, 2)] for i in (0, 2)]
                      for c in image] for image in x])


def batch_norm(x, scale, bias, mean, variance):
    by_channel = [each.reshape(-1, 1, 1) for each in (scale, bias, mean, variance)]
    scale, bias, mean, variance = [each.astype(np.float64) for each in by_channel]
    return scale * (x - mean) / np.sqrt(variance + np.float32(1e-5)) + bias


def group_norm(x, gamma, beta):
    groups = x.reshape(2, 2, -1)
    mean = groups.mean(axis=2, keepdims=True)
    rsig = 1 / np.sqrt(groups.var(axis=2, keepdims=True) + np.float32(1e-5))
    return ((groups - mean) * rsig).reshape(x.shape) * gamma.reshape(
        -1, 1, 1).astype(np.float64) + beta.reshape(-1, 1, 1)


def lstm(h, c, gates, lengths, t):
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    i, f, o, g = np.split(gates, 4, axis=2)
    cell = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    hidden = sigmoid(o) * np.tanh(cell)
    runs = (t[0] < lengths).reshape(1, -1, 1)
    return np.where(runs, hidden, h)


def shuffle(x):
    return x.reshape(2, 2, 2, 4, 4).transpose(0, 2, 1, 3, 4).reshape(x.shape)


# Moves of ours, of which floats stay floats.
MOVES = ["Resize", "BatchPermutation", "Squeeze", "Split", "NCHW2NHWC", "NHWC2NCHW"]

IMAGE = Codes((2, 4, 4, 4))
LAST = Codes((1, 2, 3, 2))  # channels last
CHANNELS = {"scale": floats(1, 2, -1, 0.5), "bias": floats(0, 1, 2, 3),
            "mean": floats(1, 0, 2, -1), "var": floats(1, 2, 0.5, 4)}
ORDER = [("order", "NWHC", ["NWHC"]), ("order", 1, [])]
EPSILON = [("epsilon", each, ["epsilon"]) for each in (NAN, INF, -INF, "small")]
UNLIKE = [("b", Codes((3, 2)), ["[3, 2]", "[2, 3]"]), ("b", Codes((4,)), ["[4]"]),
          ("b", Codes((2, 2)), ["[2, 2]"])]
BROADCAST = [
    ("broadcast", 2, ["2"]), ("broadcast", "yes", []), ("axis", 1, ["broadcast"]),
    ("axis", 1 << 40, ["broadcast"]), ("axis", "first", []),
    ("axis_str", "C", ["broadcast"]), ("axis_str", 1, []), ("order", 1, [])]
POOL = ORDER + [
    ("kernel", None, []), ("kernel", 0, ["0"]), ("kernel", -1, ["-1"]),
    ("kernel", 1 << 31, [str(1 << 31)]), ("kernel", 1 << 40, [str(1 << 40)]),
    ("kernel", 1 << 20, ["kernel"]), ("kernel", 5, ["kernel", "[2, 4, 4, 4]"]),
    ("kernel", "two", []), ("kernel", 0.5, []), ("kernels", [2, 2, 2, 2], []),
    ("kernels", [2, 2, 2], ["strides"]), ("kernels", [0.5, 2.0], []),
    ("stride", 0, ["0"]), ("stride", -1, ["-1"]), ("stride", 1 << 40, [str(1 << 40)]),
    ("stride", 0.5, []), ("strides", [1, 1, 1], []), ("strides", [1, 0], []),
    ("pad", -1, ["-1"]), ("pad", 2, ["[2, 2, 2, 2]"]), ("pad", 1 << 40, []),
    ("pad", "SAME", []), ("pads", [1, 1], []), ("pads", [0, 0, 0, 2], []),
    ("dilation", 2, ["2"]), ("dilation", 0, ["0"]),
    ("legacy_pad", 9, ["9"]), ("legacy_pad", -1, ["-1"]), ("legacy_pad", 0.5, []),
    ("global_pooling", 2, ["2"]), ("global_pooling", "yes", []),
    ("global_pooling", 1, ["strides"]),
    ("x", Codes((2, 4)), ["[2, 4]"]), ("x", Codes(()), []),
    ("x", Codes((2, 4, 4)), ["[2, 4, 4]"]), ("x", Codes((2, 4, 0, 4)), ["[2, 4, 0, 4]"]),
    ("x", Codes((2, 0, 4, 4)), ["[2, 0, 4, 4]"]), ("x", Codes((2, 4, 1, 4)), ["[2, 4, 1, 4]"])]
RESIZE = ORDER + [
    (name, value, [name]) for name in ("height_scale", "width_scale")
    for value in (0.0, -1.0, NAN, INF, 1e30, "two", 2)] + [
    ("output_size", [4, 6], ["output_size"]), ("x", Codes((2, 3)), ["[2, 3]"]),
    ("x", Codes(()), [])]

FAMILIES = [
    Family(["Relu", "Int8Relu"], {"x": IMAGE}, lambda x: np.maximum(x, 0), kind="keeps"),
    Family(["Add", "Int8Add", "Int8AddRelu"],
           {"a": Codes((2, 3)), "b": Codes((2, 3), 2, 0.1, 200)}, lambda a, b: a + b,
           data=2, spoiled=UNLIKE + BROADCAST),
    Family(["Mul", "Int8Mul"], {"a": Codes((2, 3)), "b": Codes((2, 3), 2, 0.1, 2)},
           lambda a, b: a * b, data=2, spoiled=UNLIKE + BROADCAST),
    Family(["Sum", "SumRelu", "Int8Sum", "Int8SumRelu"],
           {"a": Codes((2, 3)), "b": Codes((2, 3), 2, 0.1, 2), "c": Codes((2, 3), 3)},
           lambda a, b, c: a + b + c, data=3, spoiled=UNLIKE + [
               ("c", Codes((1, 3)), ["'c'", "[1, 3]", "[2, 3]"]),
               ("a", Codes(()), ["[2, 3]"])]),
    Family(["Int8Softmax"], {"x": Codes((2, 3))},
           lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), spoiled=[
               ("axis", 2, ["2", "[2, 3]"]), ("axis", -3, ["-3"]),
               ("axis", 1 << 40, [str(1 << 40)]), ("axis", -1 << 63, ["axis"]),
               ("axis", 0.5, ["axis"]), ("axis", "x", ["axis"]),
               ("x", Codes(()), ["'x'"]), ("x", Codes((3,)), ["axis", "[3]"])]),
    Family(["Int8Clip"], {"x": IMAGE}, lambda x: np.clip(x, 0, 3),
           {"min": 0.0, "max": 3.0}, "keeps", spoiled=[
               ("min", NAN, ["min"]), ("max", NAN, ["max"]), ("min", "x", ["min"]),
               ("max", 1, ["max"]), ("min", 4.0, ["4", "3"])]),
    Family(["Int8LeakyRelu"], {"x": IMAGE}, lambda x: np.where(x > 0, x, 0.5 * x),
           {"alpha": 0.5}, spoiled=[
               ("alpha", NAN, ["alpha"]), ("alpha", INF, ["alpha"]),
               ("alpha", "x", ["alpha"]), ("alpha", 1, ["alpha"])]),
    Family(["Int8PRelu"], {"x": IMAGE, "slope": floats(0.5, 1, -1, 0.25)},
           lambda x, s: np.where(x > 0, x, s.reshape(-1, 1, 1).astype(np.float64) * x),
           spoiled=ORDER + [
               ("slope", floats(1, 2), ["'slope'", "[2]"]), ("slope", floats(), ["'slope'"]),
               ("slope", floats(1, NAN, 1, 1), ["'slope'"]),
               ("slope", IMAGE, ["'slope'", "Int8TensorCPU"]), ("x", Codes(()), ["'x'"])]),
    Family(["Int8Squeeze"], {"x": Codes((2, 1, 4, 1))}, lambda x: x.reshape(2, 4),
           {"dims": [1, 3]}, "keeps", spoiled=[
               ("dims", [0], ["[2, 1, 4, 1]"]), ("dims", [4], ["4"]), ("dims", [-5], ["-5"]),
               ("dims", None, ["dims"]), ("dims", [0.5], ["dims"]), ("dims", "x", ["dims"]),
               ("x", Codes(()), ["'x'"])]),
    Family(["Int8Split"], {"x": Codes((2, 4))}, lambda x: x[:, :2], {"axis": 1}, "keeps",
           outputs=2, spoiled=[
               ("axis", 2, ["2"]), ("axis", -3, ["-3"]), ("axis", 0.5, ["axis"]),
               ("split", [1, 2], ["4"]), ("split", [5, -1], ["5"]), ("split", [-1, 5], ["-1"]), ("split", [4], ["split"]),
               ("split", [0.5, 3.5], ["split"]), ("x", Codes((2, 3)), ["[2, 3]"]),
               ("x", Codes(()), ["'x'"])]),
    Family(["Int8NCHW2NHWC"], {"x": IMAGE}, lambda x: x.transpose(0, 2, 3, 1),
           kind="keeps", spoiled=[("x", Codes(()), ["'x'"]), ("x", Codes((2,)), ["[2]"])]),
    Family(["Int8NHWC2NCHW"], {"x": IMAGE}, lambda x: x.transpose(0, 3, 1, 2),
           kind="keeps", spoiled=[("x", Codes(()), ["'x'"]), ("x", Codes((2,)), ["[2]"])]),
    Family(["Sigmoid", "Int8Sigmoid"], {"x": IMAGE}, lambda x: 1 / (1 + np.exp(-x)),
           kind="keeps"),
    Family(["Tanh", "Int8Tanh"], {"x": IMAGE}, np.tanh, kind="keeps"),
    Family(["SpatialBN", "Int8SpatialBN", "Int8SpatialBNRelu"],
           dict([("x", IMAGE)] + list(CHANNELS.items())), batch_norm, {"is_test": 1},
           spoiled=ORDER + EPSILON + [
               ("epsilon", -1.0, ["-1"]), ("epsilon", 0.0, ["0"]),
               ("is_test", 0, ["0"]), ("is_test", 2, ["2"]),
               ("momentum", -1.0, ["-1"]), ("momentum", NAN, []), ("momentum", "x", []),
               ("x", Codes((2,)), ["[2]"]), ("x", Codes(()), []),
               ("x", Codes((2, 0, 4)), ["[2, 0, 4]"])] + [
               (name, value, ["'%s'" % name, word]) for name in CHANNELS
               for value, word in [
                   (floats(1, 2), "[2]"), (floats(), "[0]"), (floats(1, NAN, 1, 1), "nan"),
                   (floats(1, 1, 1, INF), "inf"), (IMAGE, "Int8TensorCPU")]] + [
               ("var", floats(1, -1, 1, 1), ["'var'", "-1"])]),
    Family(["GroupNorm", "Int8GroupNorm"],
           {"x": IMAGE, "gamma": floats(1, 2, -1, 0.5), "beta": floats(0, 1, 2, 3)},
           group_norm, {"group": 2}, spoiled=ORDER + EPSILON + [
               ("epsilon", -1.0, ["-1"]), ("group", 0, ["0"]),
               ("group", -1, ["-1"]), ("group", 3, ["3", "4"]), ("group", None, ["32"]),
               ("group", 1 << 40, [str(1 << 40)]), ("group", 0.5, []),
               ("is_test", 0, ["0"]), ("is_test", 2, ["2"]),
               ("is_param_constant", 2, ["2"]),
               ("x", Codes((2,)), ["[2]"]), ("x", Codes(()), []),
               ("gamma", Codes((3,)), ["'gamma'", "[3]"]),
               ("beta", Codes((4,)), ["'beta'", "int32"])] + [
               (name, value, ["'%s'" % name, word]) for name in ("gamma", "beta")
               for value, word in [(floats(1, 2), "[2]"), (floats(), "[0]"),
                                   (floats(1, NAN, 1, 1), "nan"),
                                   (floats(1, 1, 1, INF), "inf")]]),
    Family(["ElementwiseLinear", "Int8ElementwiseLinear"],
           {"x": Codes((2, 3)), "a": floats(1, 2, -1), "b": floats(0, 1, 2)},
           lambda x, a, b: x * a.astype(np.float64) + b, spoiled=[
               ("axis", 2, ["2"]), ("axis", -3, ["-3"]), ("axis", 1 << 40, []),
               ("axis", -1 << 63, []), ("axis", 0, ["'a'", "[3]", "[6]"]),
               ("axis", 0.5, []), ("x", Codes((3,)), ["axis"]), ("x", Codes(()), [])] + [
               (name, value, ["'%s'" % name, word]) for name in ("a", "b")
               for value, word in [
                   (floats(1, 2), "[2]"), (np.ones((1, 3), np.float32), "[1, 3]"),
                   (floats(1, NAN, 1), "nan"), (floats(1, 1, -INF), "-inf"),
                   (IMAGE, "Int8TensorCPU")]]),
    Family(["LSTMUnit", "Int8LSTMUnit"],
           {"h": Codes((1, 2, 3), 1, 0.02, 9), "c": Codes((1, 2, 3), 2, 0.1, 9),
            "gates": Codes((1, 2, 12), 3, 0.1, 9), "lengths": ints(1, 3), "t": ints(1)},
           lstm, data=3, outputs=2, spoiled=[
               ("forget_bias", each, ["forget_bias"]) for each in (NAN, INF, "x", 1)] + [
               ("sequence_lengths", 0, ["5", "4"]), ("sequence_lengths", 2, ["2"]),
               ("drop_states", 2, ["2"]), ("drop_states", "x", []),
               ("followed_by", "Relu", ["Relu"]), ("Y2_scale", 0.0, []),
               ("Y2_scale", NAN, []), ("Y2_scale", -1.0, []),
               ("Y2_zero_point", 3, ["3", "Y2_scale"]),
               ("lengths", ints(1, 2, 3), ["'lengths'", "[3]", "2"]),
               ("lengths", ints(), ["'lengths'", "[0]"]),
               ("lengths", np.array([1, 2]), ["'lengths'", "long"]),
               ("lengths", IMAGE, ["'lengths'", "Int8TensorCPU"]),
               ("t", ints(), ["'t'"]), ("t", floats(1), ["'t'", "float"]),
               ("h", Codes((1, 3, 3)), ["'h'", "[1, 3, 3]"]),
               ("c", Codes((2, 2, 3)), ["'c'", "[2, 2, 3]"]),
               ("c", Codes((2, 3)), ["'c'", "[2, 3]"]), ("c", Codes(()), ["'c'"]),
               ("gates", Codes((1, 2, 11)), ["'gates'", "[1, 2, 11]", "[1, 2, 12]"])]),
    Family(["MaxPool", "Int8MaxPool", "Int8MaxPoolRelu"], {"x": IMAGE},
           lambda x: windows(x, np.max), {"kernel": 2, "stride": 2}, "keeps",
           spoiled=POOL),
    Family(["AveragePool", "Int8AveragePool", "Int8AveragePoolRelu"], {"x": IMAGE},
           lambda x: windows(x, np.mean), {"kernel": 2, "stride": 2},
           spoiled=POOL + [("count_include_pad", 2, ["2"]),
                           ("count_include_pad", "x", [])]),
    Family(["Int8ResizeNearest"], {"x": LAST},
           lambda x: x.repeat(2, axis=1).repeat(2, axis=2),
           {"height_scale": 2.0, "width_scale": 2.0}, "keeps",
           spoiled=RESIZE + [("x", Codes((1, 1, 2, 3, 2)), ["[1, 1, 2, 3, 2]"])]),
    Family(["Int8ResizeNearest3D"], {"x": Codes((1, 2, 2, 3, 2))},
           lambda x: x.repeat(2, axis=1).repeat(2, axis=2),
           {"height_scale": 2.0, "temporal_scale": 2.0}, "keeps",
           spoiled=RESIZE + [("x", LAST, ["[1, 2, 3, 2]"]),
                             ("temporal_scale", 0.0, ["0"]),
                             ("temporal_scale", NAN, ["nan"])]),
    Family(["BatchPermutation", "Int8BatchPermutation"],
           {"x": Codes((3, 2)), "indices": ints(2, 0, 2)}, lambda x, i: x[i],
           kind="keeps", spoiled=[
               ("indices", ints(0, 3, 1), ["3", "2"]), ("indices", ints(0, 1, -1), ["-1"]),
               ("indices", ints(0, 1), ["[2]", "3"]), ("indices", ints(), ["[0]"]),
               ("indices", ints([0, 1, 2]), ["[1, 3]"]),
               ("indices", np.array([0, 1, 2]), ["long"]),
               ("indices", IMAGE, ["Int8TensorCPU"]), ("x", Codes(()), ["'x'"])]),
    Family(["ChannelShuffle", "Int8ChannelShuffle"], {"x": IMAGE}, shuffle, {"group": 2},
           "keeps", spoiled=ORDER + [
               ("group", 0, ["0"]), ("group", -1, ["-1"]), ("group", 3, ["3", "4"]),
               ("group", 1 << 40, [str(1 << 40)]), ("group", 0.5, []),
               ("x", Codes((2,)), ["[2]"]), ("x", Codes(()), [])]),
    Family(["Concat", "Int8Concat"],
           {"a": Codes((2, 3)), "b": Codes((2, 2), 2, 0.1, 2)},
           lambda a, b: np.concatenate([a, b], axis=1), {"axis": 1}, data=2, outputs=2,
           spoiled=[
               ("axis", 2, ["2"]), ("axis", -3, ["-3"]), ("axis", 1 << 40, []),
               ("axis", -1 << 63, []), ("axis", 0.5, []), ("axis", 0, ["'b'", "[2, 2]"]),
               ("add_axis", 1, ["'b'", "[2, 2]"]),
               ("add_axis", 0.5, []), ("order", "NCHW", ["axis"]),
               ("b", Codes((3, 2)), ["'b'", "[3, 2]", "[2, 3]"]),
               ("b", Codes((2, 3, 1)), ["'b'", "[2, 3, 1]"]), ("b", Codes(()), ["'b'"])]),
    Family(["Gather", "Int8Gather"], {"x": Codes((3, 2)), "indices": ints(2, 0, -1)},
           lambda x, i: x[i], kind="gathers", spoiled=[
               ("indices", ints(0, 3), ["3", "2"]), ("indices", ints(-4), ["-4", "-3"]),
               ("indices", np.array([0, 1 << 40]), [str(1 << 40)]),
               ("indices", floats(0), ["float"]), ("indices", IMAGE, ["Int8TensorCPU"]),
               ("wrap_indices", 0, ["-1"]), ("wrap_indices", 2, ["2"]),
               ("wrap_indices", "x", []), ("match_outer", 1, ["axis"]),
               ("match_outer", 2, ["2"]), ("axis", 2, ["2"]), ("axis", -3, ["-3"]),
               ("axis", -1 << 63, []), ("axis", 0.5, []), ("x", Codes(()), ["axis"])]),
    Family(["Int8Flatten"], {"x": IMAGE}, lambda x: x.reshape(2, -1), kind="move",
           takes_floats=False, spoiled=[
               ("axis", 5, ["5", "[2, 4, 4, 4]"]), ("axis", -1, ["-1"]),
               ("axis", 1 << 40, [str(1 << 40)]), ("axis", 0.5, [])]),
    Family(["Int8Reshape"], {"x": IMAGE}, lambda x: x.reshape(8, 16),
           {"shape": [8, -1]}, "move", outputs=2, takes_floats=False, spoiled=[
               ("shape", [3, 3], ["[3, 3]", "[2, 4, 4, 4]"]), ("shape", [3, -1], ["[3, -1]"]),
               ("shape", [-1, -1], ["[-1, -1]"]), ("shape", [-2, 64], ["[-2, 64]"]),
               ("shape", None, ["shape"]), ("shape", [0.5], []), ("shape", "x", []),
               ("shape", [2, 4, 4, 4, 0], ["[2, 4, 4, 4, 0]"]),
               ("shape", [1 << 32, 1 << 32], ["[4294967296, 4294967296]"]),
               ("shape", [128, (1 << 57) + 1], []), ("shape", [-2, -64], ["[-2, -64]"])]),
    Family(["Int8Slice"], {"x": IMAGE}, lambda x: x[:, 1:3],
           {"starts": [0, 1, 0, 0], "ends": [-1, 3, -1, -1]}, "move",
           takes_floats=False, spoiled=[
               ("starts", [0, 4, 0, 0], ["starts"]), ("starts", [0, 1], ["starts"]),
               ("starts", [0] * 5, ["starts"]), ("starts", [0, -9, 0, 0], ["-9"]),
               ("ends", [-1, 0, -1, -1], ["ends"]), ("ends", [-1, -9, -1, -1], ["-9"]),
               ("starts", None, ["starts"]), ("ends", None, ["ends"]),
               ("starts", [0.5] * 4, ["starts"]), ("ends", "x", ["ends"])]),
    Family(["Int8Transpose"], {"x": IMAGE}, lambda x: x.transpose(0, 2, 3, 1),
           {"axes": [0, 2, 3, 1]}, "move", takes_floats=False, spoiled=[
               ("axes", [0, 1], ["[0, 1]"]), ("axes", [0, 1, 2, 2], ["[0, 1, 2, 2]"]),
               ("axes", [0, 1, 2, 4], ["[0, 1, 2, 4]"]),
               ("axes", [0, 1, 2, -1], ["[0, 1, 2, -1]"]),
               ("axes", [0, 1, 2, 3, 4], ["[0, 1, 2, 3, 4]"]),
               ("axes", [0, 1, 2, 3 + (1 << 32)], ["axes"]),
               ("axes", [0.5] * 4, ["axes"]), ("axes", "x", ["axes"])]),
]
BY_TYPE = {op: family for family in FAMILIES for op in family.types}


def tensor_keys():
    return sorted(key for key in conftest.engine_keys()
                  if not any(each in key[0] for each in OTHERS))


def is_untouched(name):
    try:
        return workspace.FetchBlob(name).tolist() == [5, 6]
    except RuntimeError:  # an int8 tensor without codes
        return False


class Case(object):
    """A family's case under one key."""

    def __init__(self, op, engine):
        self.type, self.engine, self.family = op, engine, BY_TYPE[op]
        self.wide = engine.endswith("_16")
        self.reset()

    def reset(self):
        self.arguments = dict(self.family.arguments)
        if self.family.kind == "takes":
            self.arguments.update(Y_scale=0.5, Y_zero_point=3)
        self.blobs = dict(self.family.blobs)
        self.inputs = list(self.blobs)
        self.outputs = ["y", "y2"][:self.family.outputs]

    def run(self):
        for name, value in self.blobs.items():
            if isinstance(value, Codes):
                value.feed(name, self.wide)
            elif callable(value):
                value(name)
            else:
                workspace.FeedBlob(name, value)
        workspace.RunOperatorOnce(core.CreateOperator(
            self.type, self.inputs, self.outputs, engine=self.engine, **self.arguments))

    def wrong_code(self):
        """Runs the well-formed case; returns what is not right of it, or None."""
        self.reset()
        self.run()
        y = workspace.FetchInt8Blob("y")
        first = next(iter(self.blobs.values()))
        given = (0.5, 3)
        if self.family.kind in ("keeps", "gathers", "move"):
            given = (first.scale, first.zero_point)
        if "Sigmoid" in self.type:
            given = (1 / 254.0, 0)
        if "Tanh" in self.type:
            given = (1 / 127.0, 128)
        rectifies = self.type.endswith("Relu") and self.type not in (
            "Int8LeakyRelu", "Int8PRelu")
        if not rectifies or self.family.kind == "keeps":
            if (y.scale, y.zero_point) != (np.float32(given[0]), given[1]):
                return "parameters %r, expected %r" % (y[1:], given)
        real = self.family.real(*[each.real() if isinstance(each, Codes) else each
                                  for each in self.blobs.values()])
        if rectifies:
            real = np.maximum(real, 0)
        most = 65535 if y.data.dtype == np.uint16 and self.family.kind != "takes" else 255
        expected = np.clip(np.rint(real / np.float64(np.float32(y.scale))) +
                           y.zero_point, 0, most)
        if y.data.shape != expected.shape or (y.data != expected).any():
            return "codes %s, expected %s" % (y.data.tolist(), expected.tolist())
        return None

    def spoiled(self, what, words, expects=True):
        """Runs what was spoiled; returns what is not right of the error, or None."""
        try:
            for name in self.outputs:
                workspace.FeedBlob(name, floats(5, 6))
            try:
                self.run()
            except RuntimeError as error:
                text = str(error)
            else:
                return "%s: no error" % (what,)
            for name in set(self.outputs) - set(self.inputs):
                if not is_untouched(name):
                    return "%s: output '%s' is written over" % (what, name)
            if words == "host":
                return None if self.type in text else "%s: %s" % (what, text)
            message = _operators.own_message(self.type, text)
            if message is None:
                return "%s: not its own: %s" % (what, text.split("\nframe")[0])
            missing = [each for each in words if each not in message]
            if expects and "expected" not in message and " is not a" not in message:
                missing.append("expected")
            return "%s: %s lacks %s" % (what, message, missing) if missing else None
        finally:
            self.reset()
            workspace.ResetWorkspace()


@pytest.fixture(params=tensor_keys(), ids="_".join)
def case(request):
    """A case whose test appends what is wrong to case.wrong."""
    result = Case(*request.param)
    result.wrong = []
    yield result
    result.wrong.append(result.wrong_code())
    wrong = [each for each in result.wrong if each is not None]
    assert not wrong, "\n".join(wrong)


def test_every_key_has_a_case():
    registered = {tuple(key.split("_ENGINE_")) for key in workspace.RegisteredOperators()
                  if "_ENGINE_ONEDNN" in key}
    ours = {key for key in registered if key in set(conftest.engine_keys())}
    assert {key[0] for key in ours if not any(each in key[0] for each in OTHERS)} == set(
        BY_TYPE)
    assert set(tensor_keys()) <= registered


def test_well_formed(case):
    pass


def test_numbers_of_blobs(case):
    inputs, outputs = case.inputs, case.outputs
    fewer = [] if case.type in ("Concat", "Int8Concat") or "Sum" in case.type else \
        inputs[:-1]
    tries = [(fewer, outputs), ([], outputs), (inputs, []), (inputs, outputs + ["z"] * 3)]
    if case.outputs == 1 or "Sum" not in case.type and "Concat" not in case.type:
        tries.append((inputs + inputs, outputs))
    for tried in tries:
        case.inputs, case.outputs = tried
        case.wrong.append(case.spoiled(tried, "host"))


def test_one_blob_for_two_outputs(case):
    if case.family.outputs == 2:
        case.outputs = ["y", "y"]
    elif "GroupNorm" in case.type:
        case.outputs = ["y", "mu", "mu"]
    else:
        return
    case.wrong.append(case.spoiled(case.outputs, ["'%s'" % case.outputs[1]]))
    if "GroupNorm" in case.type:
        for case.outputs in (["y", "y", "rsig"], ["y", "mu", "y"]):
            case.wrong.append(case.spoiled(case.outputs, ["'y'"]))


def test_another_kind_of_blob(case):
    def scheme(name):
        dnnlowp.CreateInt8QuantSchemeBlob(name, "MIN_MAX_QUANTIZATION", False)

    def string(name):
        workspace.FeedBlob(name, "text")

    def missing(name):
        pass

    for name in case.inputs:
        for value, words in [
                (scheme, ["'%s'" % name, "Int8QuantSchemeBlob"]),
                (string, ["'%s'" % name, "string"]), (missing, "host")] + [
                (np.zeros((2, 3), dtype), ["'%s'" % name, word]) for dtype, word in [
                    (np.float64, "double"), (np.uint8, "char"), (np.bool_, "bool"),
                    (np.int16, "short"), (np.float16, "Half")]]:
            if case.family.kind == "move" and isinstance(value, np.ndarray):
                words = ["'%s'" % name, "expected an Int8TensorCPU"]
            case.blobs[name] = value
            case.wrong.append(case.spoiled((name, value), words))


def test_codes_that_do_not_fit(case):
    for name in case.inputs[:case.family.data]:
        shape = case.family.blobs[name].data.shape

        def wrong_width(name):
            Codes(shape).feed(name, wide=not case.wide)

        def sums(name):
            workspace.RunOperatorOnce(core.CreateOperator(
                "Int8GivenIntTensorFill", [], [name], shape=shape,
                values=[1] * int(np.prod(shape)), Y_scale=0.5, Y_zero_point=0))

        if case.family.kind != "move":
            case.blobs[name] = wrong_width
            case.wrong.append(case.spoiled((name, "width"), [
                "'%s'" % name, "char" if case.wide else "short"]))
        case.blobs[name] = sums
        case.wrong.append(case.spoiled((name, "int32"), ["'%s'" % name, "int"]))
        if case.wide:
            continue
        for scale, zero_point in [(NAN, 7), (0.0, 7), (-1.0, 7), (INF, 7), (-0.0, 7),
                                  (0.5, -1), (0.5, 256), (0.5, -1 << 31)]:
            case.blobs[name] = Codes(shape, 1, scale, zero_point)
            case.wrong.append(case.spoiled(
                (name, scale, zero_point), ["'%s'" % name, "scale" if zero_point == 7
                                            else str(zero_point)]))


def test_floats_that_are_not_finite(case):
    if not case.family.takes_floats or case.type in ("Relu", "Int8Relu"):
        return
    if "Sigmoid" in case.type or "Tanh" in case.type or case.family.kind == "move":
        return  # fixed parameters
    if any(each in case.type for each in MOVES):
        return  # floats stay floats
    for name in case.inputs[:case.family.data]:
        for value in (NAN, INF, -INF):
            # In all places, so that it is among what a Gather reads.
            if np.isinf(value) and (name == "gates" or case.type == "Int8Clip"):
                continue  # which have finite results
            case.blobs[name] = np.full(case.family.blobs[name].data.shape, value,
                                       np.float32)
            for each in ("Y_scale", "Y_zero_point"):
                case.arguments.pop(each, None)
            case.wrong.append(case.spoiled((name, value), ["NaN"]))


def test_arguments_of_the_output(case):
    if case.family.kind == "move":
        return
    tried = [("dequantize_output", 2), ("dequantize_output", "yes"),
             ("dequantize_output", 0.5)]
    if not any(each in case.type for each in MOVES):
        tried += [("measure_quantization_error", -1), ("measure_quantization_error", "x")]
    if case.family.kind == "takes":
        tried += [("Y_scale", each) for each in (0.0, -1.0, NAN, INF, "one", 1, [0.5])]
        tried += [("Y_zero_point", each) for each in (-1, 256 << 8, 0.5, "x", 1 << 40)]
        tried += [("followed_by", each) for each in ("relu", "Sigmod", "", 1)]
        tried += [("activation_precision", each) for each in (0, -1, 17, 0.5, "x")]
        tried += [("preserve_activation_sparsity", 2), ("force_scale_power_of_two", 2)]
        if not case.wide:
            tried += [("activation_precision", 9), ("activation_precision", 16),
                      ("Y_zero_point", 256)]
    for name, value in tried:
        case.arguments[name] = value
        case.wrong.append(case.spoiled((name, value), [name]))
    if case.family.kind == "takes":
        del case.arguments["Y_scale"]
        case.wrong.append(case.spoiled("zero point alone", ["Y_zero_point", "3"]))


def test_what_is_its_own(case):
    """And all of it with floats in place of codes, too."""
    for with_floats in ([False, True] if case.family.takes_floats else [False]):
        for name, value, words in case.family.spoiled:
            if name in case.blobs:
                case.blobs[name] = value
            elif value is None:
                del case.arguments[name]
            else:
                words = words + [name[:6] if name not in (
                    "kernel", "stride", "pad", "dilation", "global_pooling",
                    "sequence_lengths", "group", "add_axis", "match_outer", "wrap_indices"
                ) else ""]
                case.arguments[name] = value
                if name == "kernels":
                    del case.arguments["kernel"]
                if name == "strides":
                    del case.arguments["stride"]
                if name == "followed_by":
                    del case.arguments["Y_scale"], case.arguments["Y_zero_point"]
            if with_floats:
                for each in case.inputs[:case.family.data]:
                    if isinstance(case.blobs[each], Codes):
                        case.blobs[each] = np.asarray(
                            case.blobs[each].real(), np.float32)
            if words and "Int8TensorCPU" in words and case.wide:
                case.reset()
                continue
            case.wrong.append(case.spoiled((with_floats, name, value), words))
