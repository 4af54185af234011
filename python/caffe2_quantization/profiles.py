"""Profiles: what was observed of a net, as a file; reading and merging them.

    profile = profiles.read_profile("net.profile")
    for each in profile["inputs"]:
        print(each["tensor_name"], each["range"])
    for op in profile["operators"]:
        for output in op["outputs"]:
            counts, edges = profiles.histogram(output["histogram"])

``observers.dump(net, path, format="profile")``, ``caffe2_quantization.calibrate`` and
``caffe2-quantize calibrate`` write them; docs/formats.md says what is in one.
"""

import json
import os

import numpy as np

from caffe2_quantization import _operators
from caffe2_quantization._library import host

# The messages of proto/profile.proto: each field with its default, a list with what
# it is of. protobuf's JSON leaves fields out, and writes 64-bit integers as strings.
_RANGE = {"kind": "", "min": None, "max": None, "integer_min": 0, "integer_max": 0}
_HISTOGRAM = {"max_bins": 0, "exponent": 0, "first_bin": 0, "counts": [0]}
_OUTPUT = {
    "output_index": 0, "tensor_name": "", "types": [""], "shapes": [{"dims": [0]}],
    "more_shapes": False, "range": _RANGE, "raw_range": _RANGE, "histogram": _HISTOGRAM,
    "column_max": [_HISTOGRAM], "runs": 0, "count": 0, "zero_count": 0, "nan_count": 0,
    "positive_infinity_count": 0, "negative_infinity_count": 0, "empty_runs": 0,
    "missing_runs": 0, "unsupported_runs": 0, "column_max_unsupported_runs": 0,
}
_OPERATOR = {"path": "", "op_index": 0, "step_index": -1, "op_type": "",
             "outputs": [_OUTPUT]}
_OPTIONS = {
    "histogram_bins": 0, "column_max_bins": 0, "column_max_blobs": [""],
    "op_types": [""], "op_names": [""], "outputs": [""], "inputs": [""], "every": 1,
    "run_limit": 0,
}
_PROVENANCE = {"first_record_ns": 0, "last_record_ns": 0, "hosts": [""]}
_CHECKPOINT = {"batches": 0, "settings": [{"name": "", "value": ""}]}
_PROFILE = {
    "format_version": 0, "net_name": "", "observer": "", "net_hash": "",
    "options": _OPTIONS, "runs": 0, "recorded_runs": 0, "samples": 0, "forced": [""],
    "inputs": [_OUTPUT], "operators": [_OPERATOR], "provenance": _PROVENANCE, "checkpoint": _CHECKPOINT,
}


def read_profile(path):
    """Reads a profile, binary or JSON.

    Args:
        path: the file.

    Returns:
        A dict with the fields of ``ProfileProto`` (docs/formats.md), all of them:
        what the file leaves out has its default. A range is None where there was
        no finite value, else a dict with ``kind``, ``min`` and ``max``, ints if
        its kind is "INTEGER". A histogram is None where there is none, and so is
        ``checkpoint`` but for an unfinished one of ``caffe2-quantize calibrate``.

        An operator has its ``path`` ("3", "3/then_net/2") and the ``op_index`` with
        which that begins. In format version 1 an operator of a step net has a
        ``step_index`` of 0 or more, by the host's order of steps, and the path
        "3/step_net[2]"; else ``step_index`` is -1. ``inputs`` are as outputs, where
        ``output_index`` is the index in the net's external_input; version 1 has none.

    Raises:
        RuntimeError: it cannot be read, or is no profile.
    """
    _, workspace = host()
    scratch = workspace.C.Workspace()
    _operators.run(
        _operators.make("ProfileToJson", [], ["json"], {"path": os.fspath(path)}), scratch)
    text = scratch.fetch_blob("json")[0].decode("utf-8")
    return profile_of_json(json.loads(text))


def profile_of_json(parsed):
    """Returns what ``read_profile`` would of a profile's parsed JSON."""
    parsed = dict(parsed)
    parsed.setdefault("options", {})
    parsed.setdefault("provenance", {})
    return _filled(_PROFILE, parsed)


def json_of_profile(profile):
    """The reverse: a dict of ``read_profile`` as a profile's JSON has it."""
    added = ("op_index", "step_index") if profile.get("format_version") == 2 else ("path",)

    def stored(value):
        if isinstance(value, list):
            return [stored(each) for each in value] if value and isinstance(value[0], dict) else value
        if not isinstance(value, dict):
            return value
        if value.get("kind") == "INTEGER" and "min" in value and "max" in value:
            return {"kind": "INTEGER", "integer_min": value["min"], "integer_max": value["max"]}
        is_operator = "op_type" in value and "outputs" in value
        return {name: stored(each) for name, each in value.items()
                if not (is_operator and name in added)}

    return stored(profile)


def merge_profiles(inputs, output, force=False):
    """Makes one profile of many: exact, and the same whatever their order.

    Args:
        inputs: the files, binary or JSON.
        output: the file to write: JSON if it ends in ".json".
        force: merge profiles of other nets or options too; the result says what
            differed.

    Raises:
        RuntimeError: a file cannot be read or written, or they do not belong
            together; the message says how they differ.
    """
    _, workspace = host()
    _operators.run(
        _operators.make("OutputMinMaxObserverMerge", [], [], {
            "paths": [os.fspath(path) for path in inputs],
            "output": os.fspath(output),
            "force": 1 if force else None,
        }), workspace.C.Workspace())


def histogram(bins):
    """Returns a profile's histogram as numpy's ``histogram`` does.

    Args:
        bins: the dict of ``read_profile``; None stands for an empty one.

    Returns:
        counts: uint64 array [n].
        edges: float64 array [n + 1], exact; 2^1024 is infinity. A bin has its lower
            edge and not its upper one.
    """
    if bins is None:
        return np.zeros(0, dtype=np.uint64), np.zeros(1)
    counts = np.array(bins["counts"], dtype=np.uint64)
    indices = bins["first_bin"] + np.arange(counts.size + 1, dtype=np.int64)
    with np.errstate(over="ignore"):
        return counts, np.ldexp(indices.astype(np.float64), bins["exponent"])


def quantiles(bins, fractions, limits=None):
    """Estimates quantiles from a histogram, as if each bin's values lay evenly in it.

    Args:
        bins: the dict of ``read_profile``, not empty.
        fractions: array of numbers from 0 to 1.
        limits: the smallest and largest value, if known: no quantile lies outside.

    Returns:
        A float64 array of the fractions' shape.
    """
    counts, edges = histogram(bins)
    edges = np.nan_to_num(edges)  # infinity cannot be interpolated
    cumulative = np.concatenate([[0.0], np.cumsum(counts, dtype=np.float64)])
    # Without the edges between two empty bins: a value there was never seen.
    keep = np.concatenate([[True], counts > 0])
    keep[:-1] |= counts > 0
    values = np.interp(np.asarray(fractions, dtype=np.float64) * cumulative[-1],
                       cumulative[keep], edges[keep])
    return values if limits is None else np.clip(values, *limits)


def _filled(schema, found):
    if isinstance(schema, list):
        return [_filled(schema[0], each) for each in found or ()]
    if isinstance(schema, dict):
        if found is None:
            return None
        message = {name: _filled(part, found.get(name)) for name, part in schema.items()}
        if schema is _RANGE:
            return _range(message)
        return _placed(message) if schema is _OPERATOR else message
    if found is None:
        return schema
    return int(found) if type(schema) is int else found


def _placed(message):
    """Fills in what the other format version calls the place of an operator."""
    if message["path"]:
        message["op_index"] = int(message["path"].split("/")[0])
    else:
        message["path"] = str(message["op_index"])
        if message["step_index"] >= 0:
            message["path"] += "/step_net[%d]" % message["step_index"]
    return message


def _range(message):
    integer = message["kind"] == "INTEGER"
    prefix, number = ("integer_", int) if integer else ("", float)
    return {"kind": message["kind"], "min": number(message[prefix + "min"]),
            "max": number(message[prefix + "max"])}
