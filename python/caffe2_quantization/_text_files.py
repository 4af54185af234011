"""The text files of the observers: .minmax, histograms, column maxima.

A line is one output (or one column of it); docs/formats.md has the fields.
"""

import collections
import math
import re

import numpy as np

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

HistogramLine = collections.namedtuple(
    "HistogramLine",
    ["op_index", "op_type", "output_index", "tensor_name", "min", "max", "counts"])
HistogramLine.__doc__ = """One line of a histogram file.

Attributes:
    op_index: the operator's place in its net.
    op_type: its type; None in the older form of the format, which lacks it.
    output_index: which of its outputs.
    tensor_name: the output's name.
    min: the lower edge of the first bin.
    max: the upper edge of the last bin.
    counts: uint64 array; its bins are equally wide.
"""

ColumnMaxLine = collections.namedtuple(
    "ColumnMaxLine",
    ["op_index", "output_index", "tensor_name", "column", "min", "max", "counts"])
ColumnMaxLine.__doc__ = """One line of a column-max histogram file.

Attributes:
    op_index: the operator's place in its net.
    output_index: which of its outputs.
    tensor_name: the output's name.
    column: the column whose maxima were counted.
    min: the lower edge of the first bin.
    max: the upper edge of the last bin.
    counts: uint64 array; its bins are equally wide.
"""


def read_minmax(path, delimiter=" "):
    """Reads a .minmax file, in the form with op_type or the older one without.

    Args:
        path: the file.
        delimiter: what stands between two fields; " " takes any blanks.

    Returns:
        A list of MinMaxLine.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is malformed; the message has its number.
    """
    return _read(path, delimiter, _parse_minmax)


def read_histograms(path, delimiter=" "):
    """Reads a histogram file, in the form with op_type or the older one without.

    Args:
        path: the file.
        delimiter: as of ``read_minmax``.

    Returns:
        A list of HistogramLine.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is malformed; the message has its number.
    """
    return _read(path, delimiter, _parse_histogram)


def read_column_max(path, delimiter=" "):
    """Reads a file of column-max histograms.

    Args:
        path: the file.
        delimiter: as of ``read_minmax``.

    Returns:
        A list of ColumnMaxLine.

    Raises:
        OSError: it cannot be read.
        ValueError: a line is malformed; the message has its number.
    """
    return _read(path, delimiter, _parse_column_max)


def _read(path, delimiter, parse):
    field, ending = _patterns(delimiter)
    lines = []
    with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        for number, text in enumerate(stream, 1):
            try:
                fields = _split(text.rstrip(ending), field)
                if fields:
                    lines.append(parse(fields))
            except ValueError as error:
                raise ValueError("'%s', line %d: %s" % (path, number, error)) from None
    return lines


# Blanks as the plugin sees them: Python's \s would take more of Unicode.
_BLANKS = " \t\r\v\f"
_BLANK_FIELD = re.compile(
    r'[%s]*(?:"((?:[^"\\]|\\.)*)"|([^"%s][^%s]*)|(")|$)' % ((_BLANKS,) * 3), re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]+")
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


def _patterns(delimiter):
    """Returns the pattern of a field and what may end a line."""
    if not delimiter or re.search(r'["\\A-Za-z0-9+\-.\n\r]', delimiter):
        raise ValueError("delimiter is %r, expected a string without quote, backslash, "
                         "letter, digit, sign, point or line break" % delimiter)
    if not delimiter.strip(_BLANKS):
        return _BLANK_FIELD, "\n"
    end = r"(?:%s|$)" % re.escape(delimiter)
    return re.compile(r'(?:"((?:[^"\\]|\\.)*)"%s|((?!").*?)%s|("))' % (end, end),
                      re.DOTALL), "\r\n"


def _split(text, field):
    """Splits a line into fields; a name in double quotes may hold a delimiter."""
    fields = []
    at = 0
    while at < len(text):
        match = field.match(text, at)
        quoted, plain, open_quote = match.groups()
        if open_quote is not None:
            raise ValueError("a quote is left open")
        if quoted is not None:
            fields.append(_ESCAPE.sub(
                lambda escape: {"n": "\n", "r": "\r"}.get(escape.group(1),
                                                          escape.group(1)), quoted))
        elif plain is not None:
            fields.append(plain)
        at = match.end()
    return fields


def _parse_minmax(fields):
    if len(fields) not in (5, 6):
        raise ValueError("%d fields, expected 6 (or 5, without op_type)" % len(fields))
    op_index, output_index, name, low, high = fields[:1] + fields[-4:]
    indices = _index("op_index", op_index), _index("output_index", output_index)
    limits = _integers(low, high) or _floats(low, high)
    if limits is None:
        raise ValueError("min and max are '%s' and '%s', expected finite numbers"
                         % (low, high))
    if limits[0] > limits[1]:  # how a range with no value in it is written
        limits = (None, None)
    return MinMaxLine(indices[0], fields[1] if len(fields) == 6 else None, indices[1],
                      name, *limits)


def _parse_histogram(fields):
    # A type is no number, so an index in its place means the form without it.
    old = len(fields) > 1 and _INTEGER.fullmatch(fields[1]) is not None
    op_type = None if old else fields[1] if len(fields) > 1 else ""
    rest = fields[:1] + fields[1 if old else 2:]
    if len(rest) < 6:
        raise ValueError("%d fields, expected 7 or more (or 6, without op_type)"
                         % len(fields))
    return HistogramLine(_index("op_index", rest[0]), op_type,
                         _index("output_index", rest[1]), rest[2], *_bins(rest[3:]))


def _parse_column_max(fields):
    if len(fields) < 7:
        raise ValueError("%d fields, expected 7 or more" % len(fields))
    return ColumnMaxLine(_index("op_index", fields[0]), _index("output_index", fields[1]),
                         fields[2], _index("column", fields[3]), *_bins(fields[4:]))


def _bins(fields):
    """Returns min, max and counts of the fields min, max, nbins and counts."""
    limits = _floats(*fields[:2])
    if limits is None or not limits[0] < limits[1]:
        raise ValueError("min and max are '%s' and '%s', expected finite numbers, the "
                         "first smaller" % tuple(fields[:2]))
    count = _index("nbins", fields[2])
    if count != len(fields) - 3:
        raise ValueError("nbins is %d, but %d counts follow" % (count, len(fields) - 3))
    for text in fields[3:]:
        if not text.isdigit() or int(text) >= 2 ** 64:
            raise ValueError("a count is '%s', expected an integer from 0 to 2^64 - 1"
                             % text)
    return limits + (np.array([int(text) for text in fields[3:]], dtype=np.uint64),)


def _index(key, text):
    if not _INTEGER.fullmatch(text):
        raise ValueError("%s is '%s', expected an integer" % (key, text))
    return int(text)


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
