"""Weights that a NetDef carries as int8 codes, made of arrays."""

import numpy as np
import pytest

import conftest
from caffe2.proto import caffe2_pb2
from caffe2.python import core, workspace
from caffe2.python.predictor import predictor_exporter
from caffe2_quantization import feed_int8, fetch_int8, weights

CONVOLUTIONS = {"Conv", "ConvRelu", "Int8Conv", "Int8ConvRelu", "Int8ConvSum",
                "Int8ConvSumRelu"}
FULLY_CONNECTED = {"FC", "Int8FC", "Int8FCRelu"}
KEYS = sorted(key for key in conftest.engine_keys()
              if key[0] in CONVOLUTIONS | FULLY_CONNECTED)


def arguments(op):
    return {each.name: each for each in op.arg}


def codes_of(op):
    found = arguments(op)
    return np.frombuffer(found["values"].s, np.int8).reshape(found["shape"].ints)


class Layer(object):
    """An operator of a key with float weights, and the same with packed ones."""

    def __init__(self, op_type, engine, order="NHWC"):
        random = np.random.RandomState(7)
        self.type, self.engine = op_type, engine
        self.is_fc = op_type in FULLY_CONNECTED
        self.order = "FC" if self.is_fc else order
        self.arguments = {"Y_scale": 0.1, "Y_zero_point": 100}
        # FC under _ROWWISE has a scale for each row.
        self.granularity = "channel"
        if self.is_fc:
            shapes = {"x": (3, 20), "w": (6, 20), "b": (6,)}
            self.arguments["quantize_channelwise"] = 1
        else:
            nhwc = order == "NHWC"
            shapes = {"x": (2, 5, 5, 4) if nhwc else (2, 4, 5, 5),
                      "w": (6, 3, 3, 2) if nhwc else (6, 2, 3, 3), "b": (6,)}
            self.arguments.update(kernel=3, group=2, order=order, quantize_channelwise=1)
            if "Sum" in op_type:
                shapes["s"] = (2, 3, 3, 6) if nhwc else (2, 6, 3, 3)
        self.inputs = list(shapes)
        self.values = {name: random.uniform(-1, 1, shape).astype(np.float32)
                       for name, shape in shapes.items()}
        for name, value in self.values.items():
            workspace.FeedBlob(name, value)

    def run(self, w):
        inputs = [w if name == "w" else name for name in self.inputs]
        workspace.RunOperatorOnce(core.CreateOperator(
            self.type, inputs, ["y"], engine=self.engine, **self.arguments))
        return fetch_int8("y")

    def fill(self, **options):
        options = dict({"group": 1 if self.is_fc else 2}, **options)
        return weights.packed_fill("packed", self.values["w"], self.order, **options)


@pytest.mark.parametrize("op_type,engine", KEYS)
@pytest.mark.parametrize("order", ["NHWC", "NCHW"])
def test_every_key_of_8_bits_takes_them(op_type, engine, order):
    layer = Layer(op_type, engine, order)
    workspace.RunOperatorOnce(layer.fill().op)
    if engine.endswith("_16"):
        with pytest.raises(RuntimeError, match="packed"):
            layer.run("packed")
        return
    expected, packed = layer.run("w"), layer.run("packed")
    np.testing.assert_array_equal(packed.codes, expected.codes)
    assert packed[1:] == expected[1:]
    assert len(np.unique(expected.codes)) > 10


@pytest.mark.parametrize("op_type,engine",
                         [key for key in KEYS if not key[1].endswith("_16")])
def test_what_does_not_fit_is_refused(op_type, engine):
    layer = Layer(op_type, engine)
    workspace.FeedBlob("y", np.float32([5]))
    if layer.is_fc:
        wrong = [layer.fill(granularity="tensor"),
                 weights.packed_fill("packed", layer.values["w"][:, :-1], "FC"),
                 weights.packed_fill("packed", np.ones((6, 2, 3, 3)), "NHWC", group=2)]
    else:
        wrong = [weights.packed_fill("packed", layer.values["w"], "NHWC"),
                 weights.packed_fill("packed", layer.values["w"], "NCHW", group=2),
                 weights.packed_fill("packed", layer.values["w"][..., :1], "NHWC", group=2),
                 weights.packed_fill("packed", np.ones((6, 20)), "FC")]
    for fill in wrong:
        workspace.RunOperatorOnce(fill.op)
        with pytest.raises(RuntimeError, match=op_type + ": "):
            layer.run("packed")
        assert workspace.FetchBlob("y").tolist() == [5]


def test_codes_scales_and_zero_points():
    random = np.random.RandomState(1)
    w = random.randn(5, 8).astype(np.float32)
    w[3] = 0
    fill = weights.packed_fill("w", w, "FC")
    assert fill.op.type == "Int8GivenPackedWeightFill"
    assert list(fill.op.output) == ["w"]
    assert fill.scales.dtype == np.float32 and fill.scales.shape == (5,)
    codes = codes_of(fill.op).astype(np.int64)
    values = fill.scales[:, None] * (codes - fill.zero_points[:, None])
    assert np.all(np.abs(values - w) <= 0.501 * fill.scales[:, None])
    for name, array in (("scales", fill.scales), ("zero_points", fill.zero_points)):
        found = arguments(fill.op)[name]
        assert list(found.floats or found.ints) == array.tolist()

    symmetric = weights.packed_fill("w", w, "FC", preserve_sparsity=True)
    # A row of zeros has its 0 at the first code.
    assert symmetric.zero_points.tolist() == [0, 0, 0, -128, 0]
    largest = np.abs(w).max(axis=1)
    mask = largest > 0
    np.testing.assert_allclose(symmetric.scales[mask], largest[mask] / 127.5, rtol=1e-2)
    four = weights.packed_fill("w", w, "FC", precision=4)
    assert codes_of(four.op).min() >= -8 and codes_of(four.op).max() <= 7
    one = weights.packed_fill("w", w, "FC", granularity="tensor", method="MSE")
    assert one.scales.shape == (1,)


def test_granularities_of_a_filter():
    w = np.random.RandomState(2).randn(6, 3, 3, 2)
    for granularity, count in (("tensor", 1), ("group", 3), ("channel", 6)):
        fill = weights.packed_fill("w", w, "NHWC", granularity=granularity, group=3)
        assert fill.scales.shape == (count,)
        assert arguments(fill.op)["group"].i == 3


def test_a_bias_is_packed_too():
    layer = Layer("Int8Conv", "ONEDNN")
    layer.inputs.remove("b")
    feed_int8("x", np.rint(layer.values["x"] * 50 + 100).astype(np.uint8), 0.01, 100)
    fill = layer.fill(bias=layer.values["b"], in_scale=0.01)
    unit = np.float32(0.01) * fill.scales
    np.testing.assert_array_equal(arguments(fill.op)["bias"].ints,
                                  np.rint(layer.values["b"] * (1 / unit)))
    workspace.RunOperatorOnce(fill.op)
    packed = layer.run("packed")
    layer.inputs.append("b")
    np.testing.assert_array_equal(packed.codes, layer.run("w").codes)


def test_an_init_net_of_them():
    layer = Layer("Int8FC", "ONEDNN_ROWWISE")
    expected = layer.run("w")
    init = core.Net("init")
    init.Proto().op.extend([layer.fill().op])
    parsed = caffe2_pb2.NetDef.FromString(init.Proto().SerializeToString())
    workspace.ResetWorkspace()
    workspace.RunNetOnce(parsed)
    for name in ("x", "b"):
        workspace.FeedBlob(name, layer.values[name])
    np.testing.assert_array_equal(layer.run("packed").codes, expected.codes)


# What an exporter makes of the blob itself: nothing, in words.
def test_packed_blobs_are_not_saved(tmp_path):
    layer = Layer("Int8FC", "ONEDNN")
    workspace.RunOperatorOnce(layer.fill().op)
    net = core.Net("exported")
    net.Proto().op.extend([
        core.CreateOperator("Int8FC", ["x", "packed", "b"], ["q"], engine="ONEDNN",
                            **layer.arguments),
        core.CreateOperator("Int8Dequantize", ["q"], ["y"], engine="ONEDNN")])
    net.Proto().external_input.extend(["x", "packed", "b"])
    net.Proto().external_output.append("y")
    workspace.RunNetOnce(net)

    def export():
        predictor_exporter.save_to_db(
            "minidb", str(tmp_path / "predictor"), predictor_exporter.PredictorExportMeta(
                net.Proto(), ["packed", "b"], ["x"], ["y"]))

    saves = [export,
             lambda: workspace.SerializeBlob("packed"),
             lambda: workspace.RunOperatorOnce(core.CreateOperator(
                 "Save", ["packed"], [], db=str(tmp_path / "db"), db_type="minidb",
                 absolute_path=1))]
    for save in saves:
        with pytest.raises(RuntimeError, match="blob 'packed' holds weights packed for this "
                                               "process, which cannot be saved; expected "
                                               "the init net"):
            save()


def test_refusals():
    w = np.ones((4, 6), np.float32)
    with pytest.raises(TypeError, match="no option 'is_signed'"):
        weights.packed_fill("w", w, "FC", is_signed=True)
    with pytest.raises(TypeError, match="did you mean 'granularity'"):
        weights.packed_fill("w", w, "FC", granularty="tensor")
    with pytest.raises(TypeError, match="in_scale is given without a bias"):
        weights.packed_fill("w", w, "FC", in_scale=0.5)
    with pytest.raises(TypeError, match="expected real numbers"):
        weights.packed_fill("w", w.astype(complex), "FC")
    own = "^MakeInt8GivenPackedWeightFill: "
    with pytest.raises(RuntimeError, match=own + "argument order is 'fc', expected FC, NHWC"):
        weights.packed_fill("w", w, "fc")
    with pytest.raises(RuntimeError, match=own + "argument group is given"):
        weights.packed_fill("w", w, "FC", group=2)
    with pytest.raises(RuntimeError, match=own + "argument granularity is 'row'"):
        weights.packed_fill("w", w, "FC", granularity="row")
    with pytest.raises(RuntimeError, match=own + "argument group is 3, expected a number"):
        weights.packed_fill("w", w[:, :, None], "NHWC", group=3)
    w[2, 3] = np.nan
    with pytest.raises(RuntimeError, match=own + "tensor 'W': parameter set 2 of 4"):
        weights.packed_fill("w", w, "FC")
