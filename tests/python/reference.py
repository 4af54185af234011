"""What numpy says of an array: the plain form that observers and profiles are
compared with."""

from fractions import Fraction
import math

import numpy as np

RESOLUTION_BITS = 22
MIN_EXPONENT = -126


def finite(values):
    """The finite values, flat; bools as integers."""
    values = np.asarray(values).ravel()
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def exponent_of(low, high, max_bins):
    """The smallest exponent whose bins are few and coarse enough."""
    low, high = exact(low), exact(high)
    exponent = MIN_EXPONENT
    while True:
        width = Fraction(2) ** exponent
        bins = math.floor(high / width) - math.floor(low / width) + 1
        if bins <= max_bins and max(abs(low), abs(high)) < width * 2 ** RESOLUTION_BITS:
            return exponent
        exponent += 1


def exact(value):
    value = value.item() if isinstance(value, np.generic) else value
    return Fraction(value)


def bins_of(values, exponent):
    """The index of each value's bin."""
    if values.dtype.kind in "iu":
        values = values.astype(np.int64)
        return values >> exponent if exponent >= 0 else values << -exponent
    values = values.astype(np.float64)
    indices = np.floor(np.ldexp(values, -exponent))
    # What is too small to be scaled is below zero nevertheless.
    return np.where((values < 0) & (indices == 0), -1, indices).astype(np.int64)


def histogram(values, max_bins):
    """The histogram of an array as a profile's dict; None when it has no finite value."""
    values = finite(values)
    if not values.size:
        return None
    exponent = exponent_of(values.min(), values.max(), max_bins)
    indices = bins_of(values, exponent)
    return {"max_bins": max_bins, "exponent": exponent, "first_bin": int(indices.min()),
            "counts": np.bincount(indices - indices.min()).tolist()}


MISSING = "missing"  # in place of an Observed: there was no tensor
MAX_SHAPES = 4

TYPE_NAMES = {
    "float32": "float", "float64": "double", "float16": "c10::Half", "bool": "bool",
    "int8": "signed char", "uint8": "unsigned char", "int16": "short int",
    "uint16": "short unsigned int", "int32": "int", "int64": "long int",
    "object": "std::basic_string<char>",
}


class Observed(object):
    """One output in one run.

    Attributes:
        values: an array; None of a type without values.
        raw: the stored integers of a quantized tensor, else None.
        shape: a tuple.
        type_name: the plugin's name of the type.
    """

    def __init__(self, values, raw=None, type_name=None):
        self.values = np.asarray(values)
        self.raw = raw
        self.shape = self.values.shape
        self.type_name = type_name or TYPE_NAMES[self.values.dtype.name]
        if self.values.dtype.kind == "O":
            self.values = None


def limits(arrays):
    """The range of all finite values as a profile's dict; None without any."""
    seen = [array for array in map(finite, arrays) if array.size]
    if not seen:
        return None
    floats = seen[0].dtype.kind == "f"
    kind = "INTEGER" if not floats else (
        "FLOAT64" if seen[0].dtype == np.float64 else "FLOAT32")
    return {"kind": kind, "min": min(array.min().item() for array in seen),
            "max": max(array.max().item() for array in seen)}


def output(index, name, runs, histogram_bins=2048):
    """What a profile holds of one output.

    Args:
        index: which output of its operator.
        name: the tensor's name.
        runs: what was seen of it in each run: Observed or MISSING.
        histogram_bins: 0: no histogram.

    Returns:
        An OutputProfileProto's dict.
    """
    seen = [run for run in runs if run is not MISSING]
    arrays = [run.values for run in seen if run.values is not None]
    shapes = sorted({tuple(run.shape) for run in seen})
    everything = np.concatenate([array.ravel() for array in arrays] or [np.zeros(0)])
    floats = everything.dtype.kind == "f"
    return {
        "output_index": index, "tensor_name": name,
        "types": sorted({run.type_name for run in seen}),
        "shapes": [{"dims": list(shape)} for shape in shapes[:MAX_SHAPES]],
        "more_shapes": len(shapes) > MAX_SHAPES,
        "range": limits(arrays),
        "raw_range": limits([run.raw for run in seen if run.raw is not None]),
        "histogram": histogram(everything, histogram_bins) if histogram_bins else None,
        "column_max": [], "runs": len(arrays), "count": everything.size,
        "zero_count": int((everything == 0).sum()),
        "nan_count": int(np.isnan(everything).sum()) if floats else 0,
        "positive_infinity_count": int(np.isposinf(everything).sum()) if floats else 0,
        "negative_infinity_count": int(np.isneginf(everything).sum()) if floats else 0,
        "empty_runs": sum(array.size == 0 for array in arrays),
        "missing_runs": sum(run is MISSING for run in runs),
        "unsupported_runs": len(seen) - len(arrays),
        "column_max_unsupported_runs": 0,
    }


def profile(outputs, name="net", samples=0, histogram_bins=2048):
    """A profile's dict with one operator for each (type, tensor name, array)."""
    return {
        "format_version": 2, "net_name": name, "observer": "",
        "net_hash": "0123456789abcdef" * 2,
        "options": {"histogram_bins": histogram_bins, "column_max_bins": 0,
                    "column_max_blobs": [], "op_types": [], "op_names": [], "outputs": [],
                    "inputs": [], "every": 1, "run_limit": 0},
        "runs": 1, "recorded_runs": 1, "samples": samples, "forced": [],
        "inputs": [],
        "operators": [
            {"path": str(index), "op_index": index, "step_index": -1, "op_type": op_type,
             "outputs": [output(0, tensor, [Observed(values)], histogram_bins)]}
            for index, (op_type, tensor, values) in enumerate(outputs)],
        "provenance": {"first_record_ns": 1767225600 * 10 ** 9,
                       "last_record_ns": 1767225660 * 10 ** 9, "hosts": ["host"]},
    }
