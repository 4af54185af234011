"""read_minmax: both forms of the .minmax format, and what is wrong with others."""

import numpy as np
import pytest

from caffe2_quantization.observers import MinMaxLine, read_minmax


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "net.minmax"
        path.write_bytes(data)
        return read_minmax(path)

    return read_bytes


def test_six_fields(read):
    assert read(b"0 Conv 0 conv1 -1.5 2.25\n3 Split 1 b 0 255\n") == [
        MinMaxLine(0, "Conv", 0, "conv1", -1.5, 2.25),
        MinMaxLine(3, "Split", 1, "b", 0, 255),
    ]


def test_five_fields(read):
    assert read(b"0 1 conv1 -1.5 2.25\n") == [MinMaxLine(0, None, 1, "conv1", -1.5, 2.25)]


def test_blank_lines_and_any_blanks_between_fields(read):
    assert read(b"\n  0\tConv  0 a 1 2 \r\n\n1 0 b 3 4") == [
        MinMaxLine(0, "Conv", 0, "a", 1, 2), MinMaxLine(1, None, 0, "b", 3, 4)]


def test_empty_file(read):
    assert read(b"") == []


@pytest.mark.parametrize("written, name", [
    (b'"a b"', "a b"),
    (b'""', ""),
    (b'"say \\"x\\""', 'say "x"'),
    (b'"back\\\\slash"', "back\\slash"),
    (b'"two\\nlines\\r"', "two\nlines\r"),
    (b'in"side', 'in"side'),
    ("h\u00e9".encode("utf-8"), "h\u00e9"),
    ("a\u00a0b".encode("utf-8"), "a\u00a0b"),  # a no-break space is no blank
])
def test_names(read, written, name):
    assert read(b"0 Relu 0 " + written + b" 1 2\n")[0].tensor_name == name


def test_a_name_that_is_not_utf_8_survives(read):
    name = read(b"0 Relu 0 \xff\xfe 1 2\n")[0].tensor_name
    assert name.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_integers_are_kept_whole(read):
    line = read(b"0 Copy 0 x -9223372036854775808 9223372036854775807\n")[0]
    assert (line.min, line.max) == (-2 ** 63, 2 ** 63 - 1)
    assert isinstance(line.min, int)


def test_an_integer_beside_a_float_is_a_float(read):
    line = read(b"0 Relu 0 x 0 1e+20\n")[0]
    assert (line.min, line.max) == (0.0, 1e20)
    assert isinstance(line.min, float)


def test_larger_than_int64_is_a_float(read):
    assert isinstance(read(b"0 Relu 0 x 0 340282346638528860000\n")[0].max, float)


def test_a_range_without_a_value_has_no_limits(read):
    line = read(b"0 Relu 0 x 3.4028235e+38 -3.4028235e+38\n")[0]
    assert (line.min, line.max) == (None, None)


@pytest.mark.parametrize("seed", range(5))
def test_floats_come_back(read, seed):
    bits = np.random.RandomState(seed).randint(0, 2 ** 32, size=200, dtype=np.uint32)
    values = bits.view(np.float32)
    values = np.sort(values[np.isfinite(values)])
    text = "".join("0 Relu 0 x %s %s\n" % (low, high)
                   for low, high in zip(values, values[1:]))
    lines = read(text.encode())
    assert [np.float32(line.min) for line in lines] == list(values[:-1])
    assert [np.float32(line.max) for line in lines] == list(values[1:])


@pytest.mark.parametrize("text, message", [
    (b"0 Relu 0 x 1 2\n1 2\n", "line 2: 2 fields, expected 6"),
    (b"0 Relu 0 x 1 2 3\n", "line 1: 7 fields"),
    (b"\nzero Relu 0 x 1 2\n", "line 2: op_index is 'zero'"),
    (b"0 Relu 0.5 x 1 2\n", "line 1: output_index is '0.5'"),
    (b"0 Relu 0 x 1 two\n", "line 1: min and max are '1' and 'two'"),
    (b"0 Relu 0 x nan 2\n", "expected finite numbers"),
    (b"0 Relu 0 x -inf 2\n", "expected finite numbers"),
    (b"0 Relu 0 x 0 1e999\n", "expected finite numbers"),
    (b"0 Relu 0 x 0 1_000\n", "expected finite numbers"),
    (b'0 Relu 0 "x 1 2\n', "line 1: a quote is left open"),
    (b'0 Relu 0 "x\\" 1 2\n', "line 1: a quote is left open"),
])
def test_a_malformed_line_is_refused(read, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(text)
    assert "net.minmax" in str(error.value)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(OSError):
        read_minmax(tmp_path / "missing.minmax")
