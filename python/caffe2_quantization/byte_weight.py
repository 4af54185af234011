"""Float weights as bytes: the plugin's two operators, numpy in and numpy out.

    affine:   value = byte * (max - min) / 255 + min
    centered: value = (2 * byte - quant_min - quant_max) * scale,
              scale = (max - min) / (quant_max - quant_min)

Each function runs in a workspace of its own; the user's is not touched.
"""

import collections

import numpy as np

from caffe2_quantization import _operators
from caffe2_quantization._arrays import as_array, floats
from caffe2_quantization._library import ensure_loaded, host

ByteWeights = collections.namedtuple("ByteWeights", ["bytes", "min", "max"])
ByteWeights.__doc__ = """Quantized weights.

Attributes:
    bytes: uint8 array of the weights' shape.
    min: the range's lower limit: a float, or with axis a float32 array with one
        number a channel.
    max: the range's upper limit, likewise.
"""


def quantize(array, axis=None, formula="affine", min=None, max=None,
             quant_min=None, quant_max=None):
    """Quantizes weights to bytes.

    Rounding is half to even; values outside the range saturate.

    Args:
        array: the weights; real numbers of another type become float32.
        axis: quantize each channel of this axis by a range of its own.
        formula: "affine" or "centered".
        min: the range's lower limit, with axis one a channel. Both limits or
            none; by default the data's own range.
        max: the range's upper limit.
        quant_min: of "centered": the smallest byte (0).
        quant_max: of "centered": the largest byte (255).

    Returns:
        ByteWeights: all that ``dequantize`` wants.

    Raises:
        TypeError: ``array`` is not of real numbers.
        ValueError: it has masked values.
        RuntimeError: an argument is wrong, or a value is NaN or infinite.
    """
    array = floats(array, "array")
    op = _operators.make(
        "ByteWeightQuant", ["X"], ["bytes", "min", "max"],
        _arguments(axis, min, max, formula, quant_min, quant_max))
    data, low, high = _run(op, array)
    if axis is None:
        return ByteWeights(data, float(low[0]), float(high[0]))
    return ByteWeights(data, low, high)


def dequantize(data, min, max, shape=None, axis=None, formula="affine",
               quant_min=None, quant_max=None):
    """Turns bytes back into weights.

    Args:
        data: a uint8 array, or bytes.
        min: the range's lower limit, with axis one a channel.
        max: the range's upper limit, likewise.
        shape: the weights' shape; by default that of ``data``.
        axis: the axis of the channels, if each has a range of its own.
        formula: "affine" or "centered".
        quant_min: of "centered": the smallest byte (0).
        quant_max: of "centered": the largest byte (255).

    Returns:
        A float32 array.

    Raises:
        TypeError: ``data`` is neither bytes nor a uint8 array.
        RuntimeError: an argument is wrong, or ``shape`` asks for more bytes than
            ``data`` has.
    """
    if isinstance(data, (bytes, bytearray)):
        data = np.frombuffer(data, dtype=np.uint8)
    data = np.asarray(as_array(data, "data"), order="C")
    if data.dtype != np.uint8:
        # A cast would wrap or cut without a word.
        raise TypeError("data is an array of %s, expected uint8 or bytes" % data.dtype)
    arguments = _arguments(axis, min, max, formula, quant_min, quant_max)
    arguments["shape"] = [int(dim) for dim in (data.shape if shape is None else shape)]
    return _run(_operators.make("ByteWeightDequant", ["X"], ["Y"], arguments), data)[0]


def fill_ops(name, array, axis=None, formula="affine", min=None, max=None,
             quant_min=None, quant_max=None):
    """Makes the operators that fill a blob from byte weights, for an init net.

    Args:
        name: the blob to fill; its bytes go to ``name`` + "_bytes".
        array: its weights.
        axis: as of ``quantize``, and so are the others.
        formula: see above.
        min: see above.
        max: see above.
        quant_min: see above.
        quant_max: see above.

    Returns:
        Two OperatorDefs: GivenTensorByteStringToUInt8Fill, ByteWeightDequant.
    """
    weights = quantize(array, axis, formula, min, max, quant_min, quant_max)
    shape = list(weights.bytes.shape)
    arguments = _arguments(axis, weights.min, weights.max, formula, quant_min,
                           quant_max)
    arguments["shape"] = shape
    return [
        _operators.make("GivenTensorByteStringToUInt8Fill", [], [name + "_bytes"],
                        {"shape": shape, "values": [weights.bytes.tobytes()]}),
        _operators.make("ByteWeightDequant", [name + "_bytes"], [name], arguments),
    ]


def _arguments(axis, low, high, formula, quant_min, quant_max):
    """Returns the arguments that both operators take; None: not given."""
    def limit(value):
        if value is None:
            return None
        return float(value) if axis is None else [float(each) for each in value]

    plural = "" if axis is None else "s"
    return {"axis": axis, "min" + plural: limit(low), "max" + plural: limit(high),
            "formula": formula, "quant_min": quant_min, "quant_max": quant_max}


def _run(op, value):
    """Runs `op` on `value` in a workspace of its own; returns its outputs."""
    ensure_loaded()
    _, workspace = host()
    scratch = workspace.C.Workspace()
    scratch.feed_blob(op.input[0], value)
    _operators.run(op, scratch)
    return [np.array(scratch.fetch_blob(name)) for name in op.output]
