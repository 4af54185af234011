"""Int8 weights of FC and of convolutions, for a NetDef a quarter as large.

    w = scale * (code - zero_point), a scale and zero point for each output

``packed_fill`` quantizes an array and makes the operator of an init net that fills a
blob with the codes, packed as the engine ONEDNN multiplies by them. What the engine
computes is, bit for bit, what it computes of the same array as a float blob with
``quantize_channelwise``.
"""

import collections

import numpy as np

from caffe2_quantization import _names, _operators, choose
from caffe2_quantization._arrays import floats
from caffe2_quantization._library import ensure_loaded, host

__all__ = ["PackedFill", "packed_fill"]

# All but is_signed: codes of weights are signed.
_OPTIONS = tuple(name for name in choose._OPTIONS if name != "is_signed")

PackedFill = collections.namedtuple("PackedFill", ["op", "scales", "zero_points"])
PackedFill.__doc__ = """Weights as an operator of an init net.

Attributes:
    op: the OperatorDef, an Int8GivenPackedWeightFill.
    scales: float32 array: one scale, one per group, or one per output.
    zero_points: int32 array: the codes of 0, from -128 to 127.
"""


def packed_fill(name, array, order, granularity="channel", group=1, bias=None,
                in_scale=None, save_unpacked_weights=False, **options):
    """Quantizes weights, and makes the operator that fills a blob with them.

    Args:
        name: the blob to fill.
        array: the weights, finite real numbers; taken as float32.
        order: "FC" for [N, K...]; for the filter of a convolution its order: "NHWC",
            [M, kernel..., C / group], or "NCHW", [M, C / group, kernel...].
        granularity: what has a scale of its own: "tensor", "group", or "channel", an
            output. ``FC`` takes weights of "channel" with ``quantize_channelwise`` or
            the engine ONEDNN_ROWWISE, those of "tensor" without.
        group: groups of a convolution.
        bias: packed with the weights: real numbers, one per output. By default the
            operator that takes the weights gets a bias of its own, or none.
        in_scale: the scale of that operator's input; with a bias alone.
        save_unpacked_weights: keep the codes in memory too, for operators without
            ``Y_scale`` or with ``measure_quantization_error``.
        **options: how scales are chosen, as ``choose.from_array`` has it, but for
            ``is_signed``: ``method`` ("MIN_MAX"), ``preserve_sparsity``, ``precision``
            and so on. ``flags="weight"`` takes the defaults of int8 operators, the
            method too.

    Returns:
        PackedFill: the operator, its scales and zero points.

    Raises:
        TypeError: ``array`` is not of real numbers, or there is no such option.
        ValueError: it has masked values.
        RuntimeError: an argument is wrong, or a value is NaN or infinite.
    """
    _names.check_options(packed_fill, options, ("method",) + _OPTIONS)
    arguments = {key: value if key == "method" else choose._argument(key, value)
                 for key, value in options.items() if value is not None}
    arguments.update(blob=str(name), order=str(order), granularity=str(granularity),
                     group=int(group),
                     in_scale=None if in_scale is None else float(in_scale),
                     save_unpacked_weights=int(bool(save_unpacked_weights)))
    blobs = {"W": floats(array, "array")}
    if bias is not None:
        blobs["bias"] = floats(bias, "bias")
    elif in_scale is not None:
        raise TypeError("in_scale is given without a bias, expected both or none")
    ensure_loaded()
    _, workspace = host()
    scratch = workspace.C.Workspace()
    for key, value in blobs.items():
        scratch.create_blob(key).feed(value)
    _operators.run(_operators.make("MakeInt8GivenPackedWeightFill", list(blobs),
                                   ["fill", "scales", "zero_points"], arguments), scratch)
    from caffe2.proto import caffe2_pb2

    op = caffe2_pb2.OperatorDef.FromString(scratch.fetch_blob("fill")[0])
    return PackedFill(op, np.array(scratch.fetch_blob("scales")),
                      np.array(scratch.fetch_blob("zero_points")))
