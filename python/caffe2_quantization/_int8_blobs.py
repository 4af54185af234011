"""Int8 blobs as numpy arrays with their scale and zero point, and back."""

import collections
import itertools

import numpy as np

from caffe2_quantization import _operators
from caffe2_quantization._arrays import as_array
from caffe2_quantization._library import ensure_loaded, host

_TYPES = tuple(np.dtype(each) for each in ("u1", "u2", "i4"))
_counter = itertools.count()


class Int8Blob(collections.namedtuple("Int8Blob", ["codes", "scale", "zero_point"])):
    """What an int8 blob holds.

    Attributes:
        codes: an array of uint8, uint16 (of operators of 16 bits) or int32 (a bias).
        scale: the value of a step: x = scale * (code - zero_point); the value of a
            float32.
        zero_point: the code of 0.
    """

    __slots__ = ()

    def dequantize(self):
        """Returns the values, a float32 array of the codes' shape.

        As the operators have it: the difference is rounded to float32, and so is the
        product.
        """
        codes = self.codes.astype(np.int64) - self.zero_point
        return codes.astype(np.float32) * np.float32(self.scale)


def fetch_int8(name):
    """Fetches an int8 blob of the current workspace.

    Args:
        name: the blob.

    Returns:
        Int8Blob: a copy of its codes, scale and zero point.

    Raises:
        KeyError: there is no such blob.
        TypeError: it holds something else.
    """
    _, workspace = host()
    name = str(name)
    if not workspace.C.has_blob(name):
        raise KeyError("there is no blob '%s' in the workspace" % name)
    try:
        value = workspace.C.fetch_blob(name)
    except RuntimeError as error:  # of what holds nothing yet
        raise TypeError("blob '%s' holds nothing that can be fetched, expected an int8 "
                        "tensor" % name) from error
    if not (isinstance(value, tuple) and len(value) == 3):
        held = ("a tensor of %s" % value.dtype if isinstance(value, np.ndarray)
                else "no tensor")
        raise TypeError("blob '%s' holds %s, expected an int8 tensor" % (name, held))
    codes, scale, zero_point = value
    return Int8Blob(codes, float(scale), int(zero_point))


def feed_int8(name, codes, scale=None, zero_point=None):
    """Makes a blob of the current workspace an int8 tensor.

    Args:
        name: the blob; what it held is replaced.
        codes: an array of uint8, uint16 or int32, of any shape; or an Int8Blob, which
            has all three.
        scale: above 0; becomes a float32.
        zero_point: a code of the array's type.

    Raises:
        TypeError: the codes are of another type, which is not cast; or scale or
            zero point are missing, or given twice.
        ValueError: values are masked, or the zero point is no whole number.
        RuntimeError: scale or zero point is out of range.
    """
    if isinstance(codes, Int8Blob):
        if scale is not None or zero_point is not None:
            raise TypeError("scale and zero_point are given beside an Int8Blob, which has "
                            "both")
        codes, scale, zero_point = codes
    if scale is None or zero_point is None:
        raise TypeError("%s is missing, expected a number"
                        % ("scale" if scale is None else "zero_point"))
    array = as_array(codes, "codes")
    native = array.dtype.newbyteorder("=")
    if native not in _TYPES:
        raise TypeError("codes is an array of %s, expected uint8, uint16 or int32"
                        % array.dtype)
    if zero_point != int(zero_point):
        raise ValueError("zero_point is %r, expected a whole number" % (zero_point,))
    array = np.array(array, dtype=native, order="C", ndmin=0)
    ensure_loaded()
    _, workspace = host()
    name = str(name)
    unused = "%s_codes_%d_%d" % (name, id(array), next(_counter))
    op = _operators.make("Int8TensorFromCodes", [unused], [name],
                         {"scale": float(scale), "zero_point": int(zero_point)})
    try:
        workspace.FeedBlob(unused, array)
        _operators.run(op)
    finally:
        _operators.remove_blob(unused)
