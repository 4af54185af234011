"""caffe2_quantization.byte_weight: quantize, dequantize and fill_ops."""

import numpy as np
import pytest

from caffe2.python import workspace
from caffe2_quantization import byte_weight

SEEDS = range(10)


def random_weights(seed):
    rng = np.random.RandomState(seed)
    shape = rng.randint(1, 9, size=rng.randint(1, 5))
    return (rng.randn(*shape) * 10.0 ** rng.uniform(-5, 5)).astype(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("formula, full_span", [("affine", 1), ("centered", 2)])
def test_there_and_back_is_within_half_a_step(seed, formula, full_span):
    weights = random_weights(seed)
    data, low, high = byte_weight.quantize(weights, formula=formula)
    assert data.dtype == np.uint8 and data.shape == weights.shape
    back = byte_weight.dequantize(data, low, high, formula=formula)
    assert back.dtype == np.float32 and back.shape == weights.shape
    step = full_span * (high - low) / 255
    # Beside half a step, a few roundings to float of the largest value.
    slack = 4 * np.spacing(np.abs(weights).max())
    assert np.abs(back.astype(np.float64) - weights).max() <= step / 2 + slack


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("formula", ["affine", "centered"])
def test_each_channel_is_as_if_it_were_alone(seed, formula):
    weights = random_weights(seed)
    axis = seed % weights.ndim
    data, low, high = byte_weight.quantize(weights, axis=axis, formula=formula)
    back = byte_weight.dequantize(data, low, high, axis=axis, formula=formula)
    for channel in range(weights.shape[axis]):
        alone = byte_weight.quantize(weights.take(channel, axis), formula=formula)
        assert (low[channel], high[channel]) == (alone.min, alone.max)
        np.testing.assert_array_equal(data.take(channel, axis), alone.bytes)
        np.testing.assert_array_equal(
            back.take(channel, axis), byte_weight.dequantize(*alone, formula=formula))


def test_worked_row_affine():
    data, low, high = byte_weight.quantize([-1, -0.5, 0, 0.5, 1.55])
    assert (low, high) == (-1, np.float32(1.55))
    assert data.tolist() == [0, 50, 100, 150, 255]


def test_worked_row_centered():
    # scale = (max - min) / 255 = 1, value = 2 * byte - 255
    back = byte_weight.dequantize(bytes([0, 127, 128, 255]), -127.5, 127.5,
                                  formula="centered")
    assert back.tolist() == [-255, -1, 1, 255]


def test_centered_with_a_narrower_range_of_bytes():
    # scale = 2 / (3 - 1) = 1, value = 2 * byte - 4
    back = byte_weight.dequantize(b"\1\2\3", -1, 1, formula="centered", quant_min=1,
                                  quant_max=3)
    assert back.tolist() == [-2, 0, 2]
    again = byte_weight.quantize(back, min=-1, max=1, formula="centered", quant_min=1,
                                 quant_max=3)
    assert again.bytes.tolist() == [1, 2, 3]


def test_values_outside_a_given_range_saturate():
    assert byte_weight.quantize([-9, 0, 9], min=-1, max=1).bytes.tolist()[::2] == [0, 255]


def test_a_constant_comes_back():
    back = byte_weight.dequantize(*byte_weight.quantize(np.full(5, 0.25)))
    assert back.tolist() == [0.25] * 5


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,)])
def test_unusual_shapes(shape):
    weights = np.full(shape, 2.5, dtype=np.float32)
    data, low, high = byte_weight.quantize(weights)
    assert data.shape == shape
    back = byte_weight.dequantize(data, low, high)
    assert back.shape == shape
    np.testing.assert_array_equal(back, weights)


def test_other_types_and_orders_are_converted():
    weights = np.arange(6, dtype=np.float64).reshape(2, 3).T
    data, low, high = byte_weight.quantize(weights)
    assert (low, high) == (0, 5)
    assert data.tolist() == [[0, 153], [51, 204], [102, 255]]


def test_dequantize_to_another_shape():
    assert byte_weight.dequantize(b"\0\xff", 0, 1, shape=(2, 1)).tolist() == [[0], [1]]


@pytest.mark.parametrize("call, message", [
    (lambda: byte_weight.quantize([np.nan, np.inf]),
     "ByteWeightQuant: .* 1 NaN and 1 infinite values"),
    (lambda: byte_weight.quantize([1], min=0), "ByteWeightQuant: one of min and max"),
    (lambda: byte_weight.quantize([1], axis=1), "ByteWeightQuant: axis is 1"),
    (lambda: byte_weight.quantize([1], formula="other"), "formula is 'other'"),
    (lambda: byte_weight.quantize([1], quant_max=9), "belong to formula 'centered'"),
    (lambda: byte_weight.dequantize(b"ab", 0, 1, shape=[3]), "holds 2 .* for 3"),
    (lambda: byte_weight.dequantize(b"ab", [0], [1], axis=0), "mins has 1 .* expected 2"),
    (lambda: byte_weight.dequantize(b"ab", 0, np.inf), "max is inf"),
])
def test_refusals_are_the_operator_s_own_words(call, message):
    with pytest.raises(RuntimeError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_dequantize_refuses_what_are_no_bytes():
    with pytest.raises(TypeError, match="int64"):
        byte_weight.dequantize([1, 2], 0, 1)


def test_the_user_s_workspace_is_not_touched():
    workspace.FeedBlob("X", np.zeros(1, dtype=np.float32))
    byte_weight.dequantize(*byte_weight.quantize([1, 2]))
    assert list(workspace.Blobs()) == ["X"]


@pytest.mark.parametrize("options", [
    {}, {"axis": 0}, {"formula": "centered", "quant_min": 1, "quant_max": 254}])
def test_fill_ops_fill_a_blob(options):
    weights = random_weights(0)
    ops = byte_weight.fill_ops("w", weights, **options)
    assert [op.type for op in ops] == ["GivenTensorByteStringToUInt8Fill",
                                       "ByteWeightDequant"]
    workspace.RunOperatorsOnce(ops)
    expected = byte_weight.dequantize(*byte_weight.quantize(weights, **options), **options)
    np.testing.assert_array_equal(workspace.FetchBlob("w"), expected)
