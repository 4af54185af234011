"""Arrays on their way to Caffe2, which takes the bytes of some kinds for what they
are not: of another byte order it swaps none.

What a blob can hold (``blob_value``):

    float16, 32, 64; int8, 16, 32, 64; uint8, 16; bool    as they are
    the same in the other byte order                      made native
    bytes, str; arrays of them                            strings
    lists, tuples, numbers                                float32, int64, bool or strings
    torch tensors on any device                           their values, without gradient
    masked arrays without a masked value                  their values
    all else: uint32 and 64, complex, long double,        ValueError
    dates, records, objects, masked values

Views of any strides become arrays in C's order, those without dimensions stay so.
What is computed with as float32 (``floats``) may be of any real type, uint64 too.
"""

import numpy as np

_NATIVE = frozenset(np.dtype(each) for each in (
    "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "?"))


def blob_value(value, what):
    """Returns what ``FeedBlob`` takes for the value that is meant.

    Args:
        value: see above. bytes, str and messages of Caffe2 are returned as they are.
        what: "batch 3: blob 'x'", which begins the errors.

    Raises:
        ValueError: no blob can hold it.
    """
    if isinstance(value, (bytes, str)) or hasattr(value, "SerializeToString"):
        return value
    array = as_array(value, what)
    if array.dtype.kind in "SUO":
        return _strings(array, what)
    if array.dtype == np.float64 and type(value) in (list, tuple, float):
        array = array.astype(np.float32)
    native = array.dtype.newbyteorder("=")
    if native not in _NATIVE:
        raise ValueError("%s is of dtype %s, which Caffe2 does not have; expected "
                         "float16, 32, 64, int8, 16, 32, 64, uint8, 16, bool or strings"
                         % (what, array.dtype))
    return np.asarray(array, dtype=native, order="C")


def floats(value, what):
    """Returns numbers as a float32 array in C's order, rounded to nearest.

    Args:
        value: of bools, integers or floats, of any size and byte order.
        what: the argument's name, which begins the errors.

    Raises:
        ValueError: values are masked, or have no single type.
        TypeError: it is of complex numbers, strings, dates, objects or records.
    """
    array = as_array(value, what)
    if array.dtype.kind not in "biuf":
        raise TypeError("%s is of dtype %s, expected real numbers" % (what, array.dtype))
    return np.asarray(array, dtype=np.float32, order="C")


def as_array(value, what):
    """Returns what numpy makes of a value, without a mask.

    Raises:
        ValueError: numpy cannot, or a value is masked.
    """
    try:
        if hasattr(value, "detach"):  # a torch tensor
            value = value.detach().cpu().numpy()
        array = np.asanyarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("%s is a %s that numpy makes no array of: %s"
                         % (what, type(value).__name__, error)) from None
    if np.ma.isMaskedArray(array):
        masked = int(np.count_nonzero(np.ma.getmaskarray(array)))
        if masked:
            raise ValueError("%s has %d masked values of %d, which Caffe2 would take for "
                             "values; fill them" % (what, masked, array.size))
    return np.asarray(array)


def _strings(array, what):
    """Returns strings as the object array that the host takes."""
    array = array.astype(object)
    for index, each in np.ndenumerate(array):
        if not isinstance(each, (bytes, str)):
            raise ValueError("%s is of dtype object and has a %s at %s, expected bytes or "
                             "str" % (what, type(each).__name__, list(index)))
    return array
