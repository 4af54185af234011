"""The wheel's own tests with our modules in place of those that it lacks.

Its observer_test.py asserts nothing: what counts are the files that it asks for. The
others check themselves, and are run by CTest (tests/upstream/CMakeLists.txt), those that
test an engine with ours in its place.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import conftest
from caffe2_quantization.observers import read_column_max, read_histograms, read_minmax

X = np.array([[1, 2], [3, 4]], np.float32)
W = np.array([[5, 6], [7, 8]], np.float32)
B = np.array([0, 1], np.float32)
Y = X.dot(W.T) + B


def run_upstream(name, folder, *options):
    """Runs a file of the wheel's; returns what it printed."""
    done = start_upstream(name, folder, *options)
    assert done.returncode == 0, done.stdout
    return done.stdout


def start_upstream(name, folder, *options):
    runner = os.path.join(conftest.CHECKOUT, "tests", "upstream", "run.py")
    env = dict(os.environ, PYTHONPATH=conftest.PYTHON_FOLDER,
               CAFFE2_QUANTIZATION_PLUGIN=conftest.PLUGIN)
    return subprocess.run(
        [sys.executable, runner] + list(options) + [name], cwd=str(folder), env=env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)


@pytest.mark.parametrize("name, tests", [
    ("fully_connected_dnnlowp_op_test.py", 1),
    ("quantize_dnnlowp_op_test.py", 1),
])
def test_that_checks_itself(name, tests, tmp_path):
    assert "\nRan %d test" % tests in run_upstream(name, tmp_path)


def test_as_many_examples_as_asked_for(tmp_path):
    printed = run_upstream("quantize_dnnlowp_op_test.py", tmp_path, "--examples", "3")
    assert printed.count("Trying example") == 3
    done = start_upstream("quantize_dnnlowp_op_test.py", tmp_path, "--examples", "-1")
    assert done.returncode != 0
    assert "max_examples" in done.stdout


def test_an_operator_that_an_engine_lacks_is_an_error(tmp_path):
    done = start_upstream("quantize_dnnlowp_op_test.py", tmp_path, "--engine", "NONE")
    assert done.returncode != 0
    assert "there is no operator Quantize_ENGINE_NONE" in done.stdout


def test_operators_of_the_engine_are_counted(tmp_path):
    printed = run_upstream("relu_dnnlowp_op_test.py", tmp_path, "--engine", "ONEDNN",
                           "--examples", "2")
    for op_type in "Quantize", "Relu", "Int8Relu", "Dequantize":
        assert " operators %s of ONEDNN" % op_type in printed


@pytest.mark.parametrize("is_long, examples", [("0", 3), ("1", 100)])
def test_as_many_examples_as_a_long_run_makes(is_long, examples, tmp_path, monkeypatch):
    monkeypatch.setenv("CAFFE2_QUANTIZATION_LONG_TESTS", is_long)
    printed = run_upstream("quantize_dnnlowp_op_test.py", tmp_path, "--examples-in-ci", "3")
    assert printed.count("Trying example") == examples


def test_a_file_without_an_engine_is_an_error(tmp_path):
    done = start_upstream("observer_test.py", tmp_path, "--engine", "ONEDNN")
    assert done.returncode != 0
    assert "names no DNNLOWP engine" in done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("upstream")
    assert "[[17. 24.]\n [39. 54.]]" in run_upstream("observer_test.py", folder)
    return folder


def test_the_files_and_no_others(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "test_net._col_max_hist", "test_net.hist", "test_net.minmax", "test_net_1.hist",
        "test_net_1.minmax", "test_net_2.hist", "test_net_2.minmax"]


@pytest.mark.parametrize("name", ["test_net.minmax", "test_net_1.minmax",
                                  "test_net_2.minmax"])
def test_min_and_max(folder, name):
    assert read_minmax(folder / name) == [(0, "FC", 0, "Y", Y.min(), Y.max())]


@pytest.mark.parametrize("name, runs", [("test_net.hist", 2), ("test_net_1.hist", 1),
                                        ("test_net_2.hist", 1)])
def test_histogram(folder, name, runs):
    line, = read_histograms(folder / name)
    assert line[:4] == (0, "FC", 0, "Y")
    # Upstream writes 2,048 bins; nothing that reads them asks for their number.
    assert 1024 <= len(line.counts) <= 2048
    width = (line.max - line.min) / len(line.counts)
    assert line.min <= Y.min() < line.min + width
    assert line.max - width <= Y.max() <= line.max
    expected, _ = np.histogram(Y, bins=len(line.counts), range=(line.min, line.max))
    np.testing.assert_array_equal(line.counts, runs * expected.astype(np.uint64))


def test_column_maxima(folder):
    lines = read_column_max(folder / "test_net._col_max_hist")
    assert [line[:4] for line in lines] == [(0, 0, "Y", 0), (0, 0, "Y", 1)]
    for line, column_max in zip(lines, Y.max(axis=0)):
        assert line.min <= column_max <= line.max
        assert len(line.counts) == 1
        expected, _ = np.histogram([column_max], bins=1, range=(line.min, line.max))
        np.testing.assert_array_equal(line.counts, expected.astype(np.uint64))
