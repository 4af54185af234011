"""read_histograms, read_column_max and the delimiters: what they take and refuse."""

import numpy as np
import pytest

from caffe2_quantization import choose
from caffe2_quantization.observers import (read_column_max, read_histograms, read_minmax)


@pytest.fixture
def file(tmp_path):
    def write(data):
        path = tmp_path / "net.hist"
        path.write_bytes(data)
        return path

    return write


def test_with_and_without_op_type(file):
    new, old = read_histograms(file(b"3 Conv 1 conv1 -1.5 2.5 4 0 1 2 18446744073709551615\n"
                                    b"3 1 conv1 -1 1 2 5 6\n"))
    assert new[:6] == (3, "Conv", 1, "conv1", -1.5, 2.5)
    assert new.counts.dtype == np.uint64
    assert new.counts.tolist() == [0, 1, 2, 2 ** 64 - 1]
    assert old[:6] == (3, None, 1, "conv1", -1.0, 1.0)
    assert old.counts.tolist() == [5, 6]


def test_code_for_upstream_loses_nothing(tmp_path):
    # It hands a line's fields to ChooseStaticQuantizationParams as they are.
    from caffe2.python import core, workspace
    from caffe2_quantization import dnnlowp_pybind11

    random = np.random.RandomState(3)
    path = str(tmp_path / "net.hist")
    for low, high in [(-1, 1.0001), (0, 8.001), (-5, 0), (0, 16), (3, 3.1), (-1e-4, 5e-4)]:
        x = np.float32(random.uniform(low, high, 5000))
        workspace.ResetWorkspace()
        workspace.FeedBlob("x", x)
        net = core.Net("net")
        net.Copy("x", "y")
        workspace.CreateNet(net)
        observer = dnnlowp_pybind11.AddHistogramObserver(net.Name(), path)
        workspace.RunNet(net.Name())
        dnnlowp_pybind11.DumpHistogramFile(observer)
        line, = read_histograms(path)
        width = (line.max - line.min) / len(line.counts)
        assert x.min() - width < line.min <= x.min() <= x.max() <= line.max < x.max() + width
        chosen = choose.from_counts(line.counts.astype(np.int64), line.min, line.max)
        exact = choose.from_array(x)
        assert exact.scale <= chosen.scale < exact.scale + 2 * width / 255
        if exact.scale > 6.1e-5:
            scale = dnnlowp_pybind11.ChooseStaticQuantizationParams(
                line.min, line.max, line.counts.astype(np.int64), False).scale
            assert scale == chosen.scale


def test_a_file_with_padding_is_still_read(file):
    line, = read_histograms(file(b"0 FC 0 y -1.5 2.5 8 1 1 0 1 0 0 2 0\n"))
    assert line[4:6] == (-1.5, 2.5)
    assert line.counts.tolist() == [1, 1, 0, 1, 0, 0, 2, 0]


def test_column_max(file):
    line, = read_column_max(file(b'0 0 "a b" 7 0 1 3 1 2 3\n'))
    assert line[:6] == (0, 0, "a b", 7, 0.0, 1.0)
    assert line.counts.tolist() == [1, 2, 3]


@pytest.mark.parametrize("line, message", [
    (b"0 Conv 0 y 0 1", "6 fields, expected 7 or more"),
    (b"0", "1 fields"),
    (b"x Conv 0 y 0 1 1 1", "op_index is 'x', expected an integer"),
    (b"0 Conv z y 0 1 1 1", "output_index is 'z', expected an integer"),
    (b"0 Conv 0 y 0 inf 1 1", "'inf', expected finite numbers"),
    (b"0 Conv 0 y 1 1 1 1", "expected finite numbers, the first smaller"),
    (b"0 Conv 0 y 0 1 2 1", "nbins is 2, but 1 counts follow"),
    (b"0 Conv 0 y 0 1 x 1", "nbins is 'x', expected an integer"),
    (b"0 Conv 0 y 0 1 1 -1", "a count is '-1', expected an integer from 0"),
    (b"0 Conv 0 y 0 1 1 18446744073709551616", "expected an integer from 0 to 2^64 - 1"),
    (b'0 Conv 0 "y 0 1 1 1', "a quote is left open"),
])
def test_errors_tell_the_line(file, line, message):
    path = file(b"0 Conv 0 y 0 1 1 1\n" + line + b"\n")
    with pytest.raises(ValueError) as error:
        read_histograms(path)
    assert str(error.value).startswith("'%s', line 2: " % path)
    assert message in str(error.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", ", ", "|", "::", " | ", "_", "(*)"])
def test_delimiters(file, delimiter):
    fields = ["0", "Relu", "0", '"a,b;c | d\t:: (*)"', "-1e-05", "2.5"]
    line, = read_minmax(file((delimiter.join(fields) + "\n").encode()), delimiter)
    assert line == (0, "Relu", 0, "a,b;c | d\t:: (*)", -1e-05, 2.5)
    fields[3] = '"say \\"x\\""'
    line, = read_minmax(file((delimiter.join(fields) + "\r\n").encode()), delimiter)
    assert line.tensor_name == 'say "x"'


@pytest.mark.parametrize("delimiter", ["", "1", "-", "+", ".", "a", "\n", "\r", '"', "\\",
                                       ",e", "_1"])
def test_delimiters_that_would_not_be_read_back(file, delimiter):
    with pytest.raises(ValueError, match="delimiter"):
        read_minmax(file(b""), delimiter)


def test_a_field_that_goes_on_behind_its_quote(file):
    with pytest.raises(ValueError, match="quote"):
        read_minmax(file(b'0,Relu,0,"a"b,1,2\n'), ",")
