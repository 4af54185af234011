"""The operator ByteWeightDequant: the host's bits, and what the host lacks.

The plugin's operator takes the place of the host's, so the host's own runs in a
process without the plugin.
"""

import numpy as np
import pytest

from caffe2.python import core, workspace

HOST_CASES = 400
SEED = 20260


def dequant(data, shape, name="x", **arguments):
    """Runs ByteWeightDequant of this process on an array, or on a bytes object."""
    value = np.array([data], dtype=object) if isinstance(data, bytes) else data
    workspace.FeedBlob(name, value)
    workspace.RunOperatorOnce(core.CreateOperator(
        "ByteWeightDequant", [name], ["y"], shape=[int(dim) for dim in shape],
        **arguments))
    return workspace.FetchBlob("y")


def bits(array):
    return np.asarray(array, dtype=np.float32).view(np.uint32)


def affine(data, low, high):
    """The host's equation: it subtracts in float and divides in double."""
    low, high = np.float32(low), np.float32(high)
    scale = np.float32((high - low) / 255.0)
    return data.astype(np.float32) * scale + low


def random_cases():
    """Returns (bytes, shape, min, max): many sizes, and ranges of every magnitude."""
    rng = np.random.RandomState(SEED)
    cases = []
    for index in range(HOST_CASES):
        if index < 140:
            shape = [index + 1]  # the host refuses an empty one
        else:
            shape = rng.randint(1, 14, size=rng.randint(1, 5)).tolist()
        count = int(np.prod(shape))
        data = rng.randint(0, 256, size=count + rng.randint(0, 3)).astype(np.uint8)
        limits = (rng.randn(2) * 10.0 ** rng.uniform(-38, 37)).astype(np.float32)
        cases.append((data, shape, float(limits[0]), float(limits[1])))
    return cases


HOST = """
import sys
import numpy as np
from caffe2.python import core, workspace
assert "ByteWeightQuant" not in workspace.RegisteredOperators()
cases = np.load(sys.argv[1], allow_pickle=True)["cases"]
results = np.empty(len(cases), dtype=object)
for index, (data, shape, low, high) in enumerate(cases):
    workspace.FeedBlob("x", data)
    workspace.RunOperatorOnce(core.CreateOperator(
        "ByteWeightDequant", ["x"], ["y"], shape=list(shape), min=low, max=high))
    results[index] = workspace.FetchBlob("y")
np.savez(sys.argv[2], results=results)
"""


def test_same_bits_as_the_host(run_python, tmp_path):
    cases = random_cases()
    stored = np.empty((len(cases), 4), dtype=object)
    for index, case in enumerate(cases):
        stored[index, :] = case
    np.savez(str(tmp_path / "cases.npz"), cases=stored)
    run_python(HOST, "cases.npz", "results.npz")
    results = np.load(str(tmp_path / "results.npz"), allow_pickle=True)["results"]
    for index, ((data, shape, low, high), expected) in enumerate(zip(cases, results)):
        found = dequant(data, shape, min=low, max=high)
        assert found.shape == expected.shape == tuple(shape)
        np.testing.assert_array_equal(
            bits(found), bits(expected),
            "seed %d, case %d: shape %s, min %r, max %r" % (SEED, index, shape, low, high))


@pytest.mark.parametrize("seed", range(20))
def test_same_bits_as_float_arithmetic(seed):
    rng = np.random.RandomState(seed)
    data = rng.randint(0, 256, size=rng.randint(1, 5000)).astype(np.uint8)
    low, high = (rng.randn(2) * 10.0 ** rng.uniform(-6, 6)).astype(np.float32)
    found = dequant(data, data.shape, min=float(low), max=float(high))
    np.testing.assert_array_equal(bits(found), bits(affine(data, low, high)))


def test_large_output_has_the_same_bits():
    # More than any cache: written by streaming stores.
    data = np.random.RandomState(0).randint(0, 256, size=(1 << 23) + 3).astype(np.uint8)
    found = dequant(data, data.shape, min=-1.5, max=2.5)
    np.testing.assert_array_equal(bits(found), bits(affine(data, -1.5, 2.5)))


def test_defaults_are_the_host_s():
    data = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(bits(dequant(data, [256])), bits(affine(data, -3, 3)))


@pytest.mark.parametrize("seed", range(5))
def test_string_tensor(seed):
    data = np.random.RandomState(seed).randint(0, 256, size=99).astype(np.uint8)
    found = dequant(data.tobytes(), [9, 11], min=-1.0, max=1.0)
    np.testing.assert_array_equal(bits(found), bits(affine(data, -1, 1)).reshape(9, 11))


@pytest.mark.parametrize("seed", range(10))
def test_centered(seed):
    rng = np.random.RandomState(seed)
    data = rng.randint(0, 256, size=rng.randint(1, 200)).astype(np.uint8)
    low, high = np.sort(rng.randn(2).astype(np.float32))
    quant_min, quant_max = sorted(int(q) for q in rng.choice(256, 2, replace=False))
    found = dequant(data, data.shape, min=float(low), max=float(high),
                    formula="centered", quant_min=quant_min, quant_max=quant_max)
    scale = np.float32((high - low) / np.float64(quant_max - quant_min))
    exact = 2 * data.astype(np.int64) - quant_min - quant_max
    np.testing.assert_array_equal(bits(found), bits(exact.astype(np.float32) * scale))


@pytest.mark.parametrize("seed", range(10))
def test_per_channel(seed):
    rng = np.random.RandomState(seed)
    data = rng.randint(0, 256, size=rng.randint(1, 8, size=4)).astype(np.uint8)
    axis = int(rng.randint(-4, 4))
    channels = data.shape[axis]
    mins = rng.randn(channels).astype(np.float32)
    maxs = mins + rng.rand(channels).astype(np.float32)
    found = dequant(data, data.shape, axis=axis, mins=[float(low) for low in mins],
                    maxs=[float(high) for high in maxs])
    for channel in range(channels):
        np.testing.assert_array_equal(
            bits(found.take(channel, axis)),
            bits(affine(data.take(channel, axis), mins[channel], maxs[channel])))


def test_longer_input_is_read_as_far_as_the_shape_goes():
    data = np.arange(10, dtype=np.uint8)
    np.testing.assert_array_equal(dequant(data, [4], min=0.0, max=255.0), [0, 1, 2, 3])


@pytest.mark.parametrize("data, held", [
    (np.zeros(7, dtype=np.uint8), 7), (b"seven b", 7), (b"", 0)])
@pytest.mark.parametrize("shape, asked", [
    ([8], 8), ([3, 3], 9), ([1 << 40], 1 << 40), ([1 << 31, 1 << 30], 1 << 61)])
def test_a_shape_that_is_too_large_is_refused(data, held, shape, asked):
    workspace.FeedBlob("y", np.float32([1, 2]))
    with pytest.raises(RuntimeError) as error:
        dequant(data, shape)
    assert "input 'x' holds %d bytes" % held in str(error.value)
    assert "asks for %d" % asked in str(error.value)
    assert workspace.FetchBlob("y").tolist() == [1, 2]


@pytest.mark.parametrize("shape, message", [
    ([-1], r"shape\[0\] is -1"),
    ([2, -3], r"shape\[1\] is -3"),
    ([1 << 32, 1 << 32], "passes 2\\^62 elements"),
    ([1 << 62, 2, 2], "passes 2\\^62 elements"),
])
def test_an_impossible_shape_is_refused(shape, message):
    with pytest.raises(RuntimeError, match=message):
        dequant(np.zeros(4, dtype=np.uint8), shape)


@pytest.mark.parametrize("array", [
    np.zeros(4, dtype=np.float32), np.zeros(4, dtype=np.int8), np.zeros(4, dtype=bool)])
def test_another_type_is_refused(array):
    with pytest.raises(RuntimeError, match="expected uint8 or string"):
        dequant(array, [4])


@pytest.mark.parametrize("arguments, message", [
    ({"formula": "other"}, "formula is 'other'"),
    ({"quant_min": 0}, "belong to formula 'centered'"),
    ({"formula": "centered", "quant_min": 5, "quant_max": 5}, "quant_min < quant_max"),
    ({"mins": [0.0], "maxs": [1.0]}, "need the argument axis"),
    ({"axis": 0, "mins": [0.0], "maxs": [1.0]}, "mins has 1 and maxs has 1"),
    ({"axis": 0, "mins": [0.0] * 4, "maxs": [1.0] * 4, "min": 0.0}, "not by min"),
    ({"axis": 1, "mins": [0.0] * 4, "maxs": [1.0] * 4}, "axis is 1"),
    ({"min": float("nan")}, "min is nan"),
    ({"max": float("inf")}, "max is inf"),
    ({"min": -3e38, "max": 3e38}, "overflows float"),
])
def test_a_wrong_argument_is_refused(arguments, message):
    with pytest.raises(RuntimeError, match=message):
        dequant(np.zeros(4, dtype=np.uint8), [4], **arguments)
