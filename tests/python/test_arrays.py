"""What becomes of arrays on their way to Caffe2: values, never bytes."""

import numpy as np
import pytest

from caffe2.python import workspace
from caffe2_quantization import byte_weight, choose, qtensor
from caffe2_quantization._arrays import blob_value, floats

NATIVE = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "?"]


def fed(value):
    """What the host's blob holds after blob_value."""
    workspace.FeedBlob("x", blob_value(value, "batch 0: blob 'x'"))
    return workspace.FetchBlob("x")


def assert_same(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_type_in_both_byte_orders(name, order):
    expected = np.array([[1, 2, 0], [4, 5, 100]]).astype(name)
    array = expected.astype(expected.dtype.newbyteorder(order))
    assert_same(fed(array), expected)
    assert_same(fed(array[:, ::-2].T), expected[:, ::-2].T)
    assert_same(fed(np.asfortranarray(array)), expected)
    assert_same(fed(array[1, 2]), expected[1, 2])


def test_arrays_that_are_not_plain():
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    bytes_before = b"\0" + expected.astype(">f4").tobytes()
    odd = np.frombuffer(bytes_before, np.uint8)[1:].view(">f4").reshape(2, 3)
    for array in (odd, np.matrix(expected), np.ma.masked_array(expected, mask=False)):
        assert_same(fed(array), expected)
    assert_same(fed(np.broadcast_to(np.float32(2), (2, 3))), np.full((2, 3), 2, np.float32))
    assert_same(fed(np.zeros((0, 3), ">f4")), np.zeros((0, 3), np.float32))
    assert_same(fed(np.array(3, ">f4")), np.array(3, np.float32))


@pytest.mark.parametrize("value, expected", [
    ([[1.5, 2], [3, 4]], np.array([[1.5, 2], [3, 4]], np.float32)),
    ((1, -2), np.array([1, -2], np.int64)),
    ([True, False], np.array([True, False])),
    (2.5, np.array(2.5, np.float32)),
    (np.float64(2.5), np.array(2.5)),
    (7, np.array(7, np.int64)),
    ([], np.zeros(0, np.float32)),
])
def test_numbers_of_python(value, expected):
    assert_same(fed(value), expected)


@pytest.mark.parametrize("value", [
    ["a", "bc"], [b"a", b"bc"], np.array(["a", "bc"]), np.array([b"a", b"bc"]),
    np.array([b"a", "bc"], object)])
def test_strings(value):
    assert list(fed(value)) == [b"a", b"bc"]


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor([[1.0, 2], [3, 4]], requires_grad=True)
    assert_same(fed(tensor.t()), np.array([[1, 3], [2, 4]], np.float32))
    with pytest.raises(ValueError, match="blob 'x' is a Tensor that numpy makes no array of"):
        fed(tensor.bfloat16())


@pytest.mark.parametrize("value, reason", [
    (np.zeros(2, "u4"), "is of dtype uint32, which Caffe2 does not have"),
    (np.zeros(2, ">u8"), "is of dtype >u8, which Caffe2 does not have"),
    (np.zeros(2, "c8"), "dtype complex64"),
    (np.zeros(2, "c16"), "dtype complex128"),
    (np.zeros(2, "g"), "dtype float128"),
    (np.zeros(2, "M8[s]"), r"dtype datetime64\[s\]"),
    (np.zeros(2, [("a", "f4")]), r"dtype \[\('a'"),
    (np.zeros(2, "V4"), "which Caffe2 does not have"),
    (np.array([[1, None]], object), r"dtype object and has a int at \[0, 0\], expected bytes"),
    (np.array([b"a", None], object), r"dtype object and has a NoneType at \[1\]"),
    (None, "dtype object and has a NoneType"),
    ({"a": 1}, "dtype object and has a dict"),
    (np.ma.masked_greater(np.arange(5.0), 2), "has 2 masked values of 5"),
])
def test_what_no_blob_can_hold_is_refused(value, reason):
    with pytest.raises(ValueError, match="batch 0: blob 'x' .*" + reason):
        fed(value)


@pytest.mark.parametrize("name", NATIVE + ["u4", "u8", "g"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_functions_that_compute_in_float32(name, order):
    plain = np.array([[0, 1], [1, 0]], np.float32)
    array = plain.astype(np.dtype(name).newbyteorder(order))
    assert_same(floats(array, "values"), plain)
    assert choose.from_array(array) == choose.from_array(plain)
    assert byte_weight.quantize(array).bytes.tolist() == [[0, 255], [255, 0]]
    assert qtensor.from_numpy(array) == qtensor.from_numpy(plain)


def test_integers_of_the_other_byte_order():
    counts = np.array([5, 0, 300])
    assert (choose.from_counts(counts.astype(">u8"), -1, 2)
            == choose.from_counts(counts, -1, 2))
    assert qtensor.from_integers(counts.astype(">i2")).integers().tolist() == [5, 0, 300]


@pytest.mark.parametrize("function", [
    choose.from_array, byte_weight.quantize, qtensor.from_numpy])
@pytest.mark.parametrize("value, error, reason", [
    (np.array([1, 2j]), TypeError, "is of dtype complex128, expected real numbers"),
    (["1", "2"], TypeError, "is of dtype <U1, expected real numbers"),
    (np.array([1, None]), TypeError, "is of dtype object, expected real numbers"),
    (np.zeros(2, "m8[s]"), TypeError, "expected real numbers"),
    (np.ma.masked_array([1.0, 2], mask=[0, 1]), ValueError, "has 1 masked values of 2"),
])
def test_what_is_no_real_number_is_refused(function, value, error, reason):
    with pytest.raises(error, match=reason):
        function(value)


def test_masked_counts_and_bytes_are_refused():
    masked = np.ma.masked_array(np.array([1, 2], np.uint8), mask=[0, 1])
    for call in (lambda: choose.from_counts(masked, 0, 1),
                 lambda: qtensor.from_integers(masked),
                 lambda: byte_weight.dequantize(masked, 0, 1)):
        with pytest.raises(ValueError, match="has 1 masked values of 2"):
            call()
