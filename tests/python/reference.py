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


def output(index, name, values, histogram_bins=2048):
    """What a profile holds of one output in one run."""
    values = np.asarray(values)
    kind = {"f": "FLOAT64" if values.dtype == np.float64 else "FLOAT32"}.get(
        values.dtype.kind, "INTEGER")
    seen = finite(values)
    floats = values.dtype.kind == "f"
    return {
        "output_index": index, "tensor_name": name, "types": [values.dtype.name],
        "shapes": [{"dims": list(values.shape)}], "more_shapes": False,
        "range": {"kind": kind, "min": seen.min().item(), "max": seen.max().item()}
                 if seen.size else None,
        "raw_range": None,
        "histogram": histogram(values, histogram_bins) if histogram_bins else None,
        "column_max": [], "runs": 1, "count": values.size,
        "zero_count": int((values == 0).sum()),
        "nan_count": int(np.isnan(values).sum()) if floats else 0,
        "positive_infinity_count": int(np.isposinf(values).sum()) if floats else 0,
        "negative_infinity_count": int(np.isneginf(values).sum()) if floats else 0,
        "empty_runs": 0 if values.size else 1, "missing_runs": 0, "unsupported_runs": 0,
        "column_max_unsupported_runs": 0,
    }


def profile(outputs, name="net", samples=0, histogram_bins=2048):
    """A profile's dict with one operator for each (type, tensor name, array)."""
    return {
        "format_version": 1, "net_name": name, "observer": "",
        "net_hash": "0123456789abcdef" * 2,
        "options": {"histogram_bins": histogram_bins, "column_max_bins": 0,
                    "column_max_blobs": [], "op_types": [], "op_names": [], "outputs": [],
                    "every": 1, "run_limit": 0},
        "runs": 1, "recorded_runs": 1, "samples": samples, "forced": [],
        "operators": [
            {"op_index": index, "step_index": -1, "op_type": op_type,
             "outputs": [output(0, tensor, values, histogram_bins)]}
            for index, (op_type, tensor, values) in enumerate(outputs)],
        "provenance": {"first_record_ns": 1767225600 * 10 ** 9,
                       "last_record_ns": 1767225660 * 10 ** 9, "hosts": ["host"]},
    }
