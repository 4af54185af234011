"""Chooses scale and zero point for the values of a tensor.

    choice = choose.from_array(x, method="MSE")
    q = np.clip(np.rint(x / choice.scale) + choice.zero_point, 0, 255)

A method chooses the range to represent; values outside are clipped to its ends:

    MIN_MAX    all of it
    MSE        the least squared error, of all scales and zero points
    L2         DNNLOWP's search for it, among ranges of whole bins
    L2_APPROX  DNNLOWP's quick form of that
    L1         as L2, for the absolute error
    KL         the smallest Kullback-Leibler divergence
    P99        that percentage of the values, the same share left out at either end:
               "P99.99" too. Exact of an array: numpy.percentile(x, 0.005,
               interpolation="lower") to numpy.percentile(x, 99.995,
               interpolation="higher"). Of counts the edges of the bins that hold
               these; the choice's warning says where bins are too wide to tell
    P99_DNNLOWP  the same as DNNLOWP takes it: in bins of the whole range

MSE is exact, under the rounding and saturation of quantization, and never worse than
MIN_MAX; L2 often is. Both are asymmetric unless ``preserve_sparsity`` is set. Of counts
it takes values to be spread evenly within each bin.

These are the plugin's operators ChooseQuantizationParams and
ChooseStaticQuantizationParams, run in a workspace of their own. Errors are
RuntimeErrors with the operator's message; an option that there is not is a TypeError.
"""

import collections
import json
import numbers

import numpy as np

from caffe2_quantization import _names, _operators
from caffe2_quantization._arrays import as_array, floats
from caffe2_quantization._library import host

__all__ = ["Choice", "from_array", "from_counts", "from_range"]

_OPTIONS = ("precision", "is_signed", "preserve_sparsity", "force_scale_power_of_two",
            "reduced_range", "percentile", "smallest_scale", "dnnlowp", "flags")
_FLOATS = ("min", "max", "percentile", "smallest_scale")
_ONE_SCALE = ("it chooses one scale for all values; for one a channel call it for each: "
              "[from_array(each) for each in numpy.moveaxis(values, axis, 0)]")

Choice = collections.namedtuple("Choice", [
    "scale", "zero_point", "min", "max", "clipped_share", "objective", "warning"])
Choice.__doc__ = """What was chosen.

Attributes:
    scale: x = scale * (q - zero_point); the value of a float32.
    zero_point: the code of 0.
    min: the range the method chose, before 0 was made a part of it.
    max: its end.
    clipped_share: the share of the values more than half a scale beyond the codes.
    objective: the method's own sum at that range; 0 for MIN_MAX and P99.
    warning: not empty when the choice is usable and suspect.
"""


def from_array(values, method="MIN_MAX", **options):
    """Chooses for the values of an array.

    Args:
        values: finite real numbers, of any shape and type; taken as float32.
        method: see above.
        **options: what the codes are and which scales there are.

            precision: bits, 1 to 16 (8).
            is_signed: codes of both signs (False).
            preserve_sparsity: 0 is one end of the codes or their middle (False).
            force_scale_power_of_two: the next larger one (False).
            reduced_range: leaves one bit unused (False).
            percentile: of the method P99, the share of the values (0.99).
            smallest_scale: a smaller one becomes this one (2^-63, as small as the
                arithmetic of int8 operators carries); 0: none does.
            dnnlowp: what DNNLOWP chooses: no scale below 6.1e-5, P99 in bins (False).
            flags: "activation" or "weight": other defaults, of the method too,
                which is None then: those of the flags caffe2_dnnlowp_*.

    Returns:
        Choice: scale, zero point, and what they cost.
    """
    _names.check_options(from_array, options, _OPTIONS, {"axis": _ONE_SCALE})
    return _choose("ChooseQuantizationParams", floats(values, "values"), method, options)


def from_counts(counts, min, max, method="MIN_MAX", **options):
    """Chooses for values that were counted, as ``numpy.histogram`` does.

    Args:
        counts: of bins of one width, integers.
        min: the lower edge of the first one.
        max: the upper edge of the last one.
        method: as of ``from_array``.
        **options: as of ``from_array``.
    """
    _names.check_options(from_counts, options, _OPTIONS)
    array = as_array(counts, "counts")
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError("counts are of type %s, expected integers" % array.dtype)
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError("a count is %d, expected 2^63 - 1 at most" % array.max())
    return _choose("ChooseStaticQuantizationParams", array.astype(np.int64), method,
                   dict(options, min=float(min), max=float(max)))


def from_range(min, max, **options):
    """Chooses for all values between two limits; the others are as above."""
    _names.check_options(from_range, options, ("method",) + _OPTIONS)
    return from_counts([1], min, max, **options)


def _argument(name, value):
    """Returns an option's value as the operators take it."""
    if name == "flags":
        return value
    if isinstance(value, (bool, np.bool_)):
        value = int(value)
    if not isinstance(value, (numbers.Real, np.number)):
        raise TypeError("%s is %r, expected a number" % (name, value))
    if name in _FLOATS:
        return float(value)
    if value != int(value):
        raise ValueError("%s is %r, expected a whole number" % (name, value))
    return int(value)


def _choose(op_type, values, method, options):
    arguments = {name: _argument(name, value) for name, value in options.items()
                 if value is not None}
    _, workspace = host()
    own = workspace.C.Workspace()
    own.create_blob("values").feed(values)
    _operators.run(_operators.make(op_type, ["values"], ["scale", "zero_point", "choice"],
                                   dict(arguments, method=method)), own)
    return Choice(**json.loads(own.blobs["choice"].fetch()[0].decode("utf-8")))
