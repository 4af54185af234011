"""dnnlowp_pybind11: the signatures of Caffe2's own module, and what the calls do."""

import inspect
import os

import numpy as np
import pytest

from caffe2.python import core, workspace
from caffe2_quantization import dnnlowp_pybind11 as dnnlowp
from caffe2_quantization.observers import read_column_max, read_histograms, read_minmax

X = np.array([[1, -2, 4], [3, 0, -5]], np.float32)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    workspace.ResetWorkspace()  # writes what is left, while this is the folder


def make_net(name="net"):
    workspace.FeedBlob("X", X)
    net = core.Net(name)
    net.Proto().name = name
    net.Relu(["X"], ["Y"])
    net.Negative(["Y"], ["Z"])
    workspace.CreateNet(net)
    return net


def files():
    return sorted(os.listdir("."))


@pytest.mark.parametrize("name, signature", [
    ("ClearNetObservers", "()"),
    ("ObserveMinMaxOfOutput", "(min_max_file_name, dump_freq=-1, delimiter=' ')"),
    ("ObserveHistogramOfOutput", "(out_file_name, dump_freq=-1, mul_nets=False, "
     "op_filter='', delimiter=' ')"),
    ("AddHistogramObserver", "(net_name, out_file_name, dump_freq=-1, mul_nets=False, "
     "delimiter=' ')"),
    ("DumpHistogramFile", "(ob)"),
    ("AddOutputColumnMaxHistogramObserver", "(net_name, out_file_name, "
     "observe_column_max_for_blobs, dump_freq=-1, bin_nums=16, mul_nets=False, "
     "delimiter=' ')"),
    ("DumpOutputColumnMaxHistogramFile", "(ob)"),
    ("ChooseQuantizationParams", "(blob_name)"),
    ("ChooseStaticQuantizationParams", "(min, max, bins, preserve_sparsity=True, "
     "precision=8, quant_scheme='min_max', p99_threshold=0.99, is_weight=False)"),
    ("RegisterQuantizationParams", "(min_max_file_name, is_weight=False, "
     "qparams_output_file_name='')"),
    ("RegisterQuantizationParamsWithHistogram", "(histogram_file_name, "
     "is_weight=False, qparams_output_file_name='')"),
    ("AddRegisterQuantizationParamsWithHistogramObserver", "(net_name, "
     "histogram_file_name, is_weight=False, qparams_output_file_name='')"),
    ("AddScaleZeroOffsetArgumentsWithHistogram",
     "(net_def_bytes, histogram_file_name)"),
    ("freeze_quantization_params", "(net_def_bytes)"),
    ("CreateInt8QuantSchemeBlob", "(quant_scheme_blob_name, quantization_kind, "
     "preserve_sparsity)"),
    ("CreateInt8QuantParamsBlob", "(quant_param_blob_name, scale, zero_point)"),
    ("ObserveInt8QuantParamsBlob", "(quant_params_blob_name)"),
    ("ObserveInt8QuantSchemeBlob", "(quant_scheme_blob_name)"),
    ("QueryTensorQparam", "(scale, zero_point, precision)"),
])
def test_signatures(name, signature):
    assert str(inspect.signature(getattr(dnnlowp, name))) == signature


def test_min_max_of_every_later_net():
    before = make_net("before")
    dnnlowp.ObserveMinMaxOfOutput("all.minmax")
    net = make_net()
    workspace.RunNet(before)
    workspace.RunNet(net)
    assert files() == []
    workspace.ResetWorkspace()
    assert files() == ["all.minmax"]
    assert read_minmax("all.minmax") == [(0, "Relu", 0, "Y", 0, 4),
                                         (1, "Negative", 0, "Z", -4, 0)]


def test_calls_add_up_until_they_are_cleared():
    dnnlowp.ObserveMinMaxOfOutput("a.minmax")
    dnnlowp.ObserveMinMaxOfOutput("b.minmax", delimiter=",")
    dnnlowp.ObserveHistogramOfOutput("c.hist")
    workspace.RunNet(make_net("first"))
    dnnlowp.ClearNetObservers()
    workspace.RunNet(make_net("second"))
    workspace.ResetWorkspace()
    assert files() == ["a.minmax", "b.minmax", "c.hist"]
    assert read_minmax("a.minmax") == read_minmax("b.minmax", ",")
    assert open("b.minmax").readline() == "0,Relu,0,Y,0,4\n"


def test_dump_freq():
    dnnlowp.ObserveMinMaxOfOutput("net.minmax", 2)
    net = make_net()
    for factor in (1, 10, 2, 3, 1):
        workspace.FeedBlob("X", X * factor)
        workspace.RunNet(net)
    workspace.ResetWorkspace()
    assert files() == ["net.minmax", "net_1.minmax", "net_2.minmax"]
    assert [read_minmax(name)[0].max for name in files()] == [40, 40, 12]


def test_histogram_of_one_type_of_operator():
    dnnlowp.ObserveHistogramOfOutput("net.hist", op_filter="Negative")
    workspace.RunNet(make_net())
    workspace.ResetWorkspace()
    line, = read_histograms("net.hist")
    assert line[:4] == (1, "Negative", 0, "Z")


def test_a_file_for_each_of_many_nets():
    dnnlowp.ObserveHistogramOfOutput("net.hist", mul_nets=True)
    for name in ("first", "second"):
        workspace.RunNet(make_net(name))
    workspace.ResetWorkspace()
    names = files()
    assert len(names) == 2
    assert all(name.startswith("net.hist.") for name in names)


def test_one_net_and_its_dumps():
    net = make_net()
    observer = dnnlowp.AddHistogramObserver(net.Name(), "net.hist")
    other = dnnlowp.AddHistogramObserver("net", "other.hist", mul_nets=True,
                                         delimiter=",")
    workspace.RunNet(net)
    dnnlowp.DumpHistogramFile(observer)
    first, _ = read_histograms("net.hist")
    assert first.counts.sum() == X.size and 1024 <= len(first.counts) <= 2048
    for _ in range(2):
        workspace.RunNet(net)
    dnnlowp.DumpHistogramFile(observer)  # since the last time
    first, _ = read_histograms("net.hist")
    assert first.counts.sum() == 2 * X.size
    workspace.ResetWorkspace()  # everything
    first, _ = read_histograms("net.hist")
    assert first.counts.sum() == 3 * X.size
    assert os.path.basename(other.path) in files()
    assert read_histograms(other.path, ",")[0].counts.sum() == 3 * X.size


def test_column_maxima():
    net = make_net()
    observer = dnnlowp.AddOutputColumnMaxHistogramObserver(
        "net", "net._col_max_hist", ["Z", "Y"], bin_nums=8)
    for factor in (1, 2, 5):
        workspace.FeedBlob("X", X * np.float32(factor))
        workspace.RunNet(net)
    dnnlowp.DumpOutputColumnMaxHistogramFile(observer)
    lines = read_column_max("net._col_max_hist")
    assert [(line.tensor_name, line.column) for line in lines] == [
        (name, column) for name in "YZ" for column in range(3)]
    relu = np.maximum(X, 0)
    for line in lines:
        values = relu if line.tensor_name == "Y" else -relu
        maxima = [factor * values[:, line.column].max() for factor in (1, 2, 5)]
        assert len(line.counts) <= 8
        expected, _ = np.histogram(maxima, bins=len(line.counts),
                                   range=(line.min, line.max))
        np.testing.assert_array_equal(line.counts, expected.astype(np.uint64))


def test_column_maxima_of_what_is_no_output():
    net = make_net()
    with pytest.raises(RuntimeError, match="'net' has no output 'X', 'nothing'"):
        dnnlowp.AddOutputColumnMaxHistogramObserver("net", "net._col_max_hist",
                                                    ["X", "Y", "nothing"])
    with pytest.raises(RuntimeError, match="nothing"):
        dnnlowp.AddOutputColumnMaxHistogramObserver("net", "x", ["nothing"])
    workspace.RunNet(net)
    workspace.ResetWorkspace()
    assert files() == []


def test_names_with_a_patterns_characters():
    workspace.FeedBlob("X", X)
    net = core.Net("net")
    net.Proto().name = "net"
    net.Copy(["X"], ["a[0]*"])
    net.Copy(["X"], ["a0x"])
    workspace.CreateNet(net)
    observer = dnnlowp.AddOutputColumnMaxHistogramObserver("net", "f", ["a[0]*"])
    workspace.RunNet(net)
    dnnlowp.DumpOutputColumnMaxHistogramFile(observer)
    assert {line.tensor_name for line in read_column_max("f")} == {"a[0]*"}


def test_errors_name_what_is_wrong():
    with pytest.raises(RuntimeError, match="no net 'nowhere'"):
        dnnlowp.AddHistogramObserver("nowhere", "x.hist")
    net = make_net()
    observer = dnnlowp.AddHistogramObserver("net", "missing/folder/x.hist")
    workspace.RunNet(net)
    with pytest.raises(RuntimeError, match="missing/folder/x.hist"):
        dnnlowp.DumpHistogramFile(observer)
    from caffe2_quantization import observers

    observers.reset("net")
    os.makedirs("missing/folder")


def test_in_place_of_the_missing_module(run_python, plugin_path):
    done = run_python("""
from caffe2_quantization import dnnlowp_pybind11 as ours
ours.install()
from caffe2.quantization.server import dnnlowp_pybind11
import caffe2.quantization.server
import importlib
assert dnnlowp_pybind11 is ours
assert caffe2.quantization.server.dnnlowp_pybind11 is ours
assert importlib.import_module("caffe2.quantization.server.dnnlowp_pybind11") is ours
from caffe2.python.fb import hardcode_scale_zp
assert importlib.import_module("caffe2.python.fb.hardcode_scale_zp") is hardcode_scale_zp
assert hardcode_scale_zp.QuantizationParam(2.0, 3) == (2.0, 3)
import caffe2.quantization.server.utils as utils
assert utils.choose_quantization_params(-1.0, 1.0, True).zero_point == 128
print("same")
""", CAFFE2_QUANTIZATION_PLUGIN=plugin_path)
    assert done.stdout == "same\n"
