"""Int8 blobs as numpy arrays and back, and what the host reads of them."""

import numpy as np
import pytest

import caffe2_quantization
from caffe2.python import core, workspace
from caffe2_quantization import Int8Blob, feed_int8, fetch_int8


def run(op_type, inputs, outputs, **arguments):
    workspace.RunOperatorOnce(core.CreateOperator(op_type, inputs, outputs, **arguments))


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4"])
@pytest.mark.parametrize("shape", [(2, 3), (7,), (2, 3, 4, 5), (0, 3), (3, 0), ()])
def test_there_and_back(dtype, shape):
    random = np.random.RandomState(3)
    limits = np.iinfo(dtype)
    codes = random.randint(limits.min, limits.max + 1, shape, dtype=np.int64).astype(dtype)
    zero_point = int(random.randint(limits.min, limits.max + 1, dtype=np.int64))
    scale = float(random.uniform(1e-3, 1))
    feed_int8("q", codes, scale, zero_point)
    back = fetch_int8("q")
    assert back.codes.dtype == np.dtype(dtype)
    assert back.codes.shape == shape
    np.testing.assert_array_equal(back.codes, codes)
    assert back.scale == float(np.float32(scale))
    assert back.zero_point == zero_point
    # The host's own way, and a second time from what was fetched.
    host = workspace.FetchInt8Blob("q")
    np.testing.assert_array_equal(host.data, codes)
    feed_int8("again", back)
    again = fetch_int8("again")
    np.testing.assert_array_equal(again.codes, codes)
    assert again[1:] == back[1:]


def test_nothing_else_is_left_in_the_workspace():
    before = set(workspace.Blobs())
    feed_int8("alone", np.uint8([1]), 1, 0)
    with pytest.raises(RuntimeError):
        feed_int8("alone", np.uint8([1]), -1, 0)
    assert set(workspace.Blobs()) - before == {"alone"}


def test_a_copy():
    codes = np.uint8([1, 2, 3])
    feed_int8("q", codes, 0.5, 2)
    codes[0] = 200
    first = fetch_int8("q")
    feed_int8("q", np.uint8([9, 9, 9]), 0.5, 2)
    assert first.codes.tolist() == [1, 2, 3]
    assert fetch_int8("q").codes.tolist() == [9, 9, 9]


@pytest.mark.parametrize("array", [
    np.arange(12, dtype=">u2").reshape(3, 4), np.arange(12, dtype="u2").reshape(3, 4).T,
    np.arange(24, dtype="u2").reshape(6, 4)[::2], np.asfortranarray(
        np.arange(12, dtype="u2").reshape(3, 4))])
def test_strides_and_byte_order(array):
    feed_int8("q", array, 0.1, 5)
    np.testing.assert_array_equal(fetch_int8("q").codes, array)


def test_the_host_reads_what_was_fed():
    codes = np.arange(256, dtype=np.uint8)
    feed_int8("q", codes, 0.037, 100)
    run("Int8Dequantize", ["q"], ["y"])
    np.testing.assert_array_equal(workspace.FetchBlob("y"), fetch_int8("q").dequantize())
    # Of an operator of the host: the same values.
    run("Int8Relu", ["q"], ["r"], Y_scale=0.037, Y_zero_point=100)
    relu = fetch_int8("r")
    np.testing.assert_array_equal(relu.codes, np.maximum(codes, 100))


@pytest.mark.parametrize("engine", ["DNNLOWP_16", "ONEDNN_16"])
def test_16_bits(engine):
    codes = np.uint16([0, 1, 1000, 40000, 65535])
    feed_int8("q", codes, 0.0037, 40000)
    run("Dequantize", ["q"], ["y"], engine=engine)
    np.testing.assert_array_equal(workspace.FetchBlob("y"), fetch_int8("q").dequantize())
    # And what the engine made is fetched.
    workspace.FeedBlob("x", np.float32([-1, 0, 1]))
    run("Quantize", ["x"], ["q"], engine=engine, activation_precision=16, Y_scale=1e-4,
        Y_zero_point=30000)
    made = fetch_int8("q")
    assert made.codes.dtype == np.uint16
    assert made.codes.tolist() == [20000, 30000, 40000]


def test_a_bias_of_codes():
    feed_int8("x", np.uint8([[1, 2]]), 1, 0)
    feed_int8("w", np.uint8([[3, 4]]), 1, 0)
    feed_int8("b", np.int32([-5]), 1, 0)
    run("Int8FC", ["x", "w", "b"], ["y"], engine="ONEDNN", Y_scale=1.0, Y_zero_point=0)
    assert fetch_int8("y").codes.tolist() == [[6]]
    # Fed anew, it counts in an operator that lives too.
    net = core.Net("lives")
    net.Proto().op.extend([core.CreateOperator(
        "Int8FC", ["x", "w", "b"], ["y"], engine="ONEDNN", Y_scale=1.0, Y_zero_point=0)])
    workspace.CreateNet(net)
    workspace.RunNet(net)
    feed_int8("b", np.int32([7]), 1, 0)
    feed_int8("w", np.uint8([[5, 6]]), 1, 0)
    workspace.RunNet(net)
    assert fetch_int8("y").codes.tolist() == [[24]]


def test_dequantize_is_the_operators():
    random = np.random.RandomState(5)
    for dtype in (np.uint8, np.uint16):
        codes = random.randint(0, np.iinfo(dtype).max + 1, 1000).astype(dtype)
        for _ in range(20):
            scale = float(random.uniform(1e-4, 10))
            zero_point = int(random.randint(0, np.iinfo(dtype).max + 1))
            feed_int8("q", codes, scale, zero_point)
            run("Dequantize", ["q"], ["y"], engine="ONEDNN" if dtype == np.uint8
                else "ONEDNN_16")
            np.testing.assert_array_equal(workspace.FetchBlob("y"),
                                          fetch_int8("q").dequantize())


def test_refusals():
    workspace.FeedBlob("floats", np.float32([1]))
    workspace.C.create_blob("empty")
    with pytest.raises(KeyError, match="there is no blob 'nosuch'"):
        fetch_int8("nosuch")
    with pytest.raises(TypeError, match="'floats' holds a tensor of float32, expected"):
        fetch_int8("floats")
    with pytest.raises(TypeError, match="blob 'empty' holds"):
        fetch_int8("empty")
    feed_int8("q", np.uint8([1]), 1, 0)
    for codes in (np.int8([1]), np.float32([1]), [1, 2], np.uint32([1])):
        with pytest.raises(TypeError, match="expected uint8, uint16 or int32"):
            feed_int8("q", codes, 1, 0)
    with pytest.raises(ValueError, match="masked"):
        feed_int8("q", np.ma.masked_array(np.uint8([1, 2]), [True, False]), 1, 0)
    for arguments in ((), (1,), (None, 0)):
        with pytest.raises(TypeError, match="is missing, expected a number"):
            feed_int8("q", np.uint8([1]), *arguments)
    with pytest.raises(TypeError, match="beside an Int8Blob"):
        feed_int8("q", Int8Blob(np.uint8([1]), 1, 0), 2, 0)
    for scale in (0, -1, float("nan"), float("inf"), 1e-40):
        with pytest.raises(RuntimeError, match=r"^Int8TensorFromCodes: quantization "
                                               r"parameters: scales\[0\] is"):
            feed_int8("q", np.uint8([1]), scale, 0)
    for zero_point in (-1, 256, 2 ** 40):
        with pytest.raises(RuntimeError, match="^Int8TensorFromCodes: argument zero_point"):
            feed_int8("q", np.uint8([1]), 1, zero_point)
    with pytest.raises(ValueError, match="zero_point is 0.5, expected a whole number"):
        feed_int8("q", np.uint8([1]), 1, 0.5)
    assert fetch_int8("q")[1:] == (1, 0)
    assert caffe2_quantization.fetch_int8 is fetch_int8
