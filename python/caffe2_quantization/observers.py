"""Measures the smallest and largest value of every output of a net.

    caffe2_quantization.load()
    workspace.CreateNet(net)
    with observers.observing(net, path="net.minmax") as observation:
        workspace.RunNet(net)
    for op in observation.info()["operators"]:
        for output in op["outputs"]:
            print(output["tensor_name"], output["min"], output["max"])

A net is given as a ``core.Net``, as a NetDef or by its name, and belongs to the
current workspace. Attach and detach while it is not running; all else may be
called while it runs. NaN and infinities are counted, and are no part of the range.

Errors are RuntimeErrors with the message of the plugin's operator.
"""

import collections
import contextlib
import itertools
import json
import math
import os
import re

from caffe2_quantization import _operators
from caffe2_quantization._library import host

MinMaxLine = collections.namedtuple(
    "MinMaxLine",
    ["op_index", "op_type", "output_index", "tensor_name", "min", "max"])
MinMaxLine.__doc__ = """One line of a .minmax file.

Attributes:
    op_index: the operator's place in its net.
    op_type: its type; None in the older form of the format, which lacks it.
    output_index: which of its outputs.
    tensor_name: the output's name.
    min: the smallest finite value; None when there was none. An int when both
        limits are written as integers, else a float.
    max: the largest, likewise.
"""


def attach(net, path=None, dump_freq=None, op_types=None, outputs=None):
    """Starts measuring a net.

    Args:
        net: the net, which CreateNet has made.
        path: file of the dumps, written at the net's end or by ``detach``. By
            default only ``dump`` writes, to the file it names.
        dump_freq: every so many runs, write what was seen since the last time to
            "name_K.ext" beside ``path``, and start anew.
        op_types: observe only operators of these types.
        outputs: observe only operators that have one of these outputs.
    """
    _run("Attach", net, path=_path(path), dump_freq=dump_freq,
         op_types=_names(op_types), outputs=_names(outputs))


def attach_to_later_nets(folder=None, dump_freq=None, op_types=None, outputs=None):
    """Starts measuring every net that is made from now on in this process.

    Args:
        folder: each net is dumped to "folder/<net name>.minmax". By default to
            no file.
        dump_freq: as of ``attach``.
        op_types: as of ``attach``.
        outputs: as of ``attach``.
    """
    _run("AttachToLaterNets", folder=_path(folder), dump_freq=dump_freq,
         op_types=_names(op_types), outputs=_names(outputs))


def stop_attaching_to_later_nets():
    """Leaves nets that are made from now on alone."""
    _run("AttachToLaterNets", enable=0)


def info(net=None):
    """Reads what was measured.

    Args:
        net: the net, which may be gone by now. By default all that were observed.

    Returns:
        A dict with ``net``, ``runs``, ``stopped``, ``net_alive``,
        ``attached_at`` and ``operators``, a list of dicts with ``op_index``,
        ``op_type``, ``first_record``, ``last_record`` and ``outputs``, a list of
        dicts with ``output_index``, ``tensor_name``, ``type``, ``shape``, ``min``
        and ``max`` (since the last reset), ``total_min`` and ``total_max`` (since
        attach), ``runs``, ``count``, ``nan``, ``positive_infinity``,
        ``negative_infinity`` and ``unsupported_runs``. A limit is None when
        there was no finite value. Without ``net`` a list of such dicts.
    """
    _, workspace = host()
    blob = _unused_blob(workspace)
    try:
        _run("Info", net, blobs=[blob])
        return json.loads(workspace.FetchBlob(blob)[0].decode("utf-8"))
    finally:
        if workspace.HasBlob(blob):
            workspace.C.Workspace.current.remove_blob(blob)


def dump(net, path=None):
    """Writes the ranges since attach in the .minmax format.

    Args:
        net: the net, which may be gone by now.
        path: the file; by default the one given at attach.
    """
    _run("Dump", net, path=_path(path))


def dump_and_reset(net, path=None):
    """Writes the ranges since the last reset, and resets.

    When the file cannot be written the ranges stay as they were.

    Args:
        net: the net, which may be gone by now.
        path: the file; by default the one given at attach.
    """
    _run("Dump", net, path=_path(path), reset=1)


def reset(net):
    """Forgets the ranges seen so far; totals and counts stay."""
    _run("Reset", net)


def stop(net):
    """Records no run of a net until ``resume``."""
    _run("Stop", net)


def resume(net):
    """Goes on recording after ``stop``."""
    _run("Resume", net)


def detach(net):
    """Ends measuring a net, and forgets what was measured.

    If it was attached with a path, the totals are written there first.
    """
    _run("Detach", net)


class Observation(object):
    """What ``observing`` gives: the measurement of one net.

    Attributes:
        net: the net's name.
    """

    def __init__(self, net):
        self.net = _net_name(net)
        self._final = None

    def info(self):
        """Returns the measurement as the function ``info`` does; once the block
        has been left, as it was then."""
        return info(self.net) if self._final is None else self._final


@contextlib.contextmanager
def observing(net, path=None, dump_freq=None, op_types=None, outputs=None):
    """Measures a net while a block runs.

    Args:
        net: as of ``attach``, and so are the others.
        path: see above; written when the block is left.
        dump_freq: see above.
        op_types: see above.
        outputs: see above.

    Yields:
        Observation: whose ``info()`` still answers after the block.

    Raises:
        RuntimeError: the net cannot be observed, or ``path`` cannot be written;
            the observer then stays attached, with all that it measured.
    """
    observation = Observation(net)
    attach(net, path, dump_freq, op_types, outputs)
    try:
        yield observation
    except BaseException:
        # The block's error counts, whatever becomes of the measurement.
        with contextlib.suppress(RuntimeError):
            _finish(observation)
        raise
    else:
        _finish(observation)


def _finish(observation):
    observation._final = info(observation.net)
    detach(observation.net)


# Blanks as the plugin sees them: Python's \s would take more of Unicode.
_BLANK = r"[ \t\r\v\f]"
_FIELD = re.compile(
    r'%s*(?:"((?:[^"\\]|\\.)*)"|([^" \t\r\v\f][^ \t\r\v\f]*)|(")|$)' % _BLANK,
    re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def read_minmax(path):
    """Reads a .minmax file, in the form with op_type or the older one without.

    Args:
        path: the file.

    Returns:
        A list of MinMaxLine.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is malformed; the message has its number.
    """
    lines = []
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        for number, text in enumerate(stream, 1):
            try:
                fields = _split(text.rstrip("\n"))
                if fields:
                    lines.append(_parse(fields))
            except ValueError as error:
                raise ValueError("'%s', line %d: %s" % (path, number, error)) from None
    return lines


def _split(text):
    """Splits a line at blanks; a name in double quotes may hold some."""
    fields = []
    at = 0
    while True:
        match = _FIELD.match(text, at)
        quoted, plain, open_quote = match.groups()
        if open_quote is not None:
            raise ValueError("a quote is left open")
        if quoted is not None:
            fields.append(_ESCAPE.sub(
                lambda escape: {"n": "\n", "r": "\r"}.get(escape.group(1),
                                                          escape.group(1)), quoted))
        elif plain is not None:
            fields.append(plain)
        else:
            return fields
        at = match.end()


def _parse(fields):
    if len(fields) not in (5, 6):
        raise ValueError("%d fields, expected 6 (or 5, without op_type)" % len(fields))
    op_index, output_index, name, low, high = fields[:1] + fields[-4:]
    for key, text in (("op_index", op_index), ("output_index", output_index)):
        if not _INTEGER.fullmatch(text):
            raise ValueError("%s is '%s', expected an integer" % (key, text))
    limits = _integers(low, high) or _floats(low, high)
    if limits is None:
        raise ValueError("min and max are '%s' and '%s', expected finite numbers"
                         % (low, high))
    if limits[0] > limits[1]:  # how a range with no value in it is written
        limits = (None, None)
    return MinMaxLine(int(op_index), fields[1] if len(fields) == 6 else None,
                      int(output_index), name, *limits)


def _integers(*texts):
    if all(_INTEGER.fullmatch(text) for text in texts):
        values = tuple(int(text) for text in texts)
        if all(-2 ** 63 <= value < 2 ** 63 for value in values):
            return values
    return None


def _floats(*texts):
    if all(_NUMBER.fullmatch(text) for text in texts):
        values = tuple(float(text) for text in texts)
        if all(math.isfinite(value) for value in values):
            return values
    return None


_counter = itertools.count()


def _unused_blob(workspace):
    while True:
        name = "_caffe2_quantization_info_%d" % next(_counter)
        if not workspace.HasBlob(name):
            return name


def _run(action, net=None, blobs=(), **arguments):
    """Runs OutputMinMaxObserver<action>, which has the outputs `blobs`."""
    if net is not None:
        arguments["net"] = _net_name(net)
    _operators.run(_operators.make("OutputMinMaxObserver" + action, [], list(blobs),
                                   arguments))


def _net_name(net):
    """Returns the name of a core.Net, a NetDef, or of what is a name itself."""
    if isinstance(net, str):
        return net
    name = getattr(net, "Name", None)
    if callable(name):
        return name()
    name = getattr(net, "name", None)
    if isinstance(name, str):
        return name
    raise TypeError("net is a %s, expected a core.Net, a NetDef or a name"
                    % type(net).__name__)


def _path(path):
    return None if path is None else os.fspath(path)


def _names(names):
    # A string is a sequence too, of names with one letter.
    if isinstance(names, str):
        return [names]
    return None if names is None else [str(name) for name in names]
