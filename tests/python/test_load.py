"""load(): what it finds, what it refuses, and that it may be called again."""

import ctypes.util
import os
import shutil

import pytest

import caffe2_quantization

# Prints what load() says of the path given, and whether the host knows the plugin's
# operators then.
LOAD = """
import sys
import caffe2_quantization
try:
    print("loaded", caffe2_quantization.load(*sys.argv[1:]).path)
except caffe2_quantization.LoadError as error:
    print("LoadError", error.path, error)
from caffe2.python import workspace
print("known" if "ByteWeightQuant" in workspace.RegisteredOperators() else "unknown")
"""


@pytest.fixture
def text_file(tmp_path):
    path = tmp_path / "libcaffe2_quantization.so"
    path.write_text("not a library\n")
    return str(path)


def test_load_returns_the_plugin(plugin_path):
    plugin = caffe2_quantization.load(plugin_path)
    assert plugin.path == plugin_path
    assert plugin == caffe2_quantization.load()
    assert plugin.version == caffe2_quantization.version()
    assert plugin.isa == caffe2_quantization.isa()


def test_load_accepts_another_name_of_the_same_file(plugin_path, tmp_path):
    link = tmp_path / "plugin.so"
    link.symlink_to(plugin_path)
    assert caffe2_quantization.load(link) == caffe2_quantization.load()


def test_importing_the_package_does_not_import_caffe2(run_python):
    run_python("""
import sys
import caffe2_quantization
assert not any(name.split(".")[0] == "caffe2" for name in sys.modules)
""")


def test_load_in_a_fresh_process(run_python, plugin_path):
    out = run_python(LOAD, plugin_path).stdout
    assert out.splitlines() == ["loaded " + plugin_path, "known"]


def test_load_finds_the_path_in_the_environment(run_python, plugin_path):
    out = run_python(LOAD, CAFFE2_QUANTIZATION_PLUGIN=plugin_path).stdout
    assert out.splitlines() == ["loaded " + plugin_path, "known"]


def test_load_twice(run_python, plugin_path):
    run_python("""
import sys
import caffe2_quantization
first = caffe2_quantization.load(sys.argv[1])
assert caffe2_quantization.load(sys.argv[1]) is first
assert caffe2_quantization.load() is first
""", plugin_path)


def test_load_after_dyndep(run_python, plugin_path):
    run_python("""
import sys
from caffe2.python import dyndep, workspace
dyndep.InitOpsLibrary(sys.argv[1])
assert "ByteWeightQuant" in workspace.RegisteredOperators()
import caffe2_quantization
assert caffe2_quantization.observers.info() == []  # needs no load() then
assert caffe2_quantization.load(sys.argv[1]).path == sys.argv[1]
""", plugin_path)


def test_dyndep_after_load(run_python, plugin_path):
    run_python("""
import sys
import caffe2_quantization
caffe2_quantization.load(sys.argv[1])
from caffe2.python import dyndep
dyndep.InitOpsLibrary(sys.argv[1])
assert caffe2_quantization.observers.info() == []
""", plugin_path)


def test_operators_are_known_to_core_after_load(run_python, plugin_path):
    run_python("""
import sys
import caffe2_quantization
from caffe2.python import core
assert not core.IsOperator("ByteWeightQuant")
caffe2_quantization.load(sys.argv[1])
assert core.IsOperator("ByteWeightQuant")
core.Net("net").ByteWeightQuant(["x"], ["bytes", "min", "max"])
""", plugin_path)


def test_helpers_load_the_plugin_themselves(run_python, plugin_path):
    run_python("""
import caffe2_quantization
assert caffe2_quantization.byte_weight.quantize([0, 1]).bytes.tolist() == [0, 255]
""", CAFFE2_QUANTIZATION_PLUGIN=plugin_path)


def test_missing_file_is_refused(run_python, tmp_path):
    missing = str(tmp_path / "missing.so")
    with pytest.raises(caffe2_quantization.LoadError, match="is not a file") as error:
        caffe2_quantization.load(missing)
    assert missing in str(error.value)
    assert error.value.path == missing
    refusal, known = run_python(LOAD, missing).stdout.splitlines()
    assert refusal.startswith("LoadError %s '%s' is not a file" % (missing, missing))
    assert known == "unknown"


def test_missing_file_of_the_environment_is_refused(run_python, tmp_path):
    missing = str(tmp_path / "missing.so")
    refusal = run_python(LOAD, CAFFE2_QUANTIZATION_PLUGIN=missing).stdout
    assert refusal.startswith("LoadError %s '%s', which the environment variable "
                              "CAFFE2_QUANTIZATION_PLUGIN names" % (missing, missing))


def test_no_library_anywhere_lists_where_it_was_looked_for(run_python, tmp_path):
    package = os.path.dirname(caffe2_quantization.__file__)
    copy = tmp_path / "checkout" / "python" / "caffe2_quantization"
    shutil.copytree(package, str(copy))
    program = "import sys; sys.path.insert(0, 'checkout/python')\n" + LOAD
    refusal = run_python(program).stdout
    assert refusal.startswith("LoadError None there is no libcaffe2_quantization.so")
    assert str(tmp_path / "checkout" / "build" / "lib") in refusal
    assert str(copy) in refusal
    assert "CAFFE2_QUANTIZATION_PLUGIN" in refusal


def test_library_beside_the_package_is_found(run_python, tmp_path, plugin_path):
    package = os.path.dirname(caffe2_quantization.__file__)
    copy = tmp_path / "site" / "caffe2_quantization"
    shutil.copytree(package, str(copy))
    beside = copy / "libcaffe2_quantization.so"
    beside.symlink_to(plugin_path)
    program = "import sys; sys.path.insert(0, 'site')\n" + LOAD
    assert run_python(program).stdout.splitlines() == ["loaded %s" % beside, "known"]


def test_text_file_is_refused(run_python, text_file):
    refusal, known = run_python(LOAD, text_file).stdout.splitlines()
    assert refusal.startswith(
        "LoadError %s '%s' cannot be loaded as a shared library" % (text_file, text_file))
    assert known == "unknown"


def test_folder_is_refused(tmp_path):
    with pytest.raises(caffe2_quantization.LoadError, match="is not a file"):
        caffe2_quantization.load(tmp_path)


def test_library_that_is_not_the_plugin_is_refused(run_python, tmp_path):
    # A copy, so that it has a path whatever the system's folders are called.
    name = ctypes.util.find_library("m")
    with open("/proc/self/maps") as maps:
        found = [line.split()[-1] for line in maps if line.rstrip().endswith("/" + name)]
    libm = tmp_path / "libm.so"
    shutil.copy(found[0], str(libm))
    refusal, known = run_python(LOAD, libm).stdout.splitlines()
    assert refusal.startswith("LoadError %s '%s' is a shared library, but not the plugin"
                              % (libm, libm))
    assert "caffe2_quantization_version" in refusal
    assert known == "unknown"


def test_a_refusal_does_not_stop_a_later_load(run_python, text_file, plugin_path):
    run_python("""
import sys
import caffe2_quantization
try:
    caffe2_quantization.load(sys.argv[1])
except caffe2_quantization.LoadError:
    assert caffe2_quantization.load(sys.argv[2]).path == sys.argv[2]
else:
    raise AssertionError("loaded a text file")
""", text_file, plugin_path)


@pytest.mark.parametrize("first", [
    "caffe2_quantization.load(sys.argv[1])",
    "dyndep.InitOpsLibrary(sys.argv[1])",
])
def test_second_copy_is_refused(run_python, plugin_path, tmp_path, first):
    copy = tmp_path / "second.so"
    shutil.copy(plugin_path, str(copy))
    run_python("""
import sys
import caffe2_quantization
from caffe2.python import dyndep
%s
try:
    caffe2_quantization.load(sys.argv[2])
except caffe2_quantization.LoadError as error:
    assert sys.argv[2] in str(error), error
    assert "another copy" in str(error), error
else:
    raise AssertionError("loaded a second copy")
# The first one is as good as before.
assert caffe2_quantization.load(sys.argv[1]).path == sys.argv[1]
assert caffe2_quantization.byte_weight.quantize([0, 1]).bytes.tolist() == [0, 255]
""" % first, plugin_path, copy)


def test_unknown_isa_is_refused(run_python, plugin_path):
    refusal, known = run_python(
        LOAD, plugin_path, CAFFE2_QUANTIZATION_MAX_ISA="avx1024").stdout.splitlines()
    assert refusal.startswith("LoadError %s '%s' did not register its operators"
                              % (plugin_path, plugin_path))
    assert "CAFFE2_QUANTIZATION_MAX_ISA" in refusal
    assert "avx1024" in refusal
    assert known == "unknown"


def test_isa_can_be_capped(run_python, plugin_path):
    out = run_python("""
import sys
import caffe2_quantization
print(caffe2_quantization.load(sys.argv[1]).isa)
""", plugin_path, CAFFE2_QUANTIZATION_MAX_ISA="scalar").stdout
    assert out.strip() == "scalar"


# What protobuf 4 and later say of Caffe2's messages.
DESCRIPTORS = "Descriptors cannot be created directly.\nIf this call came from a _pb2.py"


@pytest.mark.parametrize("error", [
    ImportError("not this Python"),
    TypeError(DESCRIPTORS),
    AttributeError("module 'numpy' has no attribute 'bool'"),
    SystemExit(1),
])
def test_whatever_stops_the_import_of_caffe2_is_a_load_error(run_python, plugin_path,
                                                             tmp_path, error):
    package = tmp_path / "caffe2" / "python"
    package.mkdir(parents=True)
    (tmp_path / "caffe2" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("raise %r\n" % error)
    out = run_python("""
import sys
sys.path.insert(0, "")
import google.protobuf
google.protobuf.__version__ = "5.29.5"
import caffe2_quantization
try:
    caffe2_quantization.load(sys.argv[1])
except caffe2_quantization.LoadError as error:
    print(error)
""", plugin_path).stdout
    assert out.startswith("caffe2.python cannot be imported by Python")
    assert "and protobuf 5.29.5 (%s)" % str(error).split("\n")[0] in out
    assert "torch==1.10.2, numpy<1.23, protobuf<3.21" in out
    assert len(out.splitlines()) == 1


@pytest.mark.parametrize("version, refused", [
    ("1.19.5", False), ("1.24.4", False), ("2.0.2", True), ("2.1.0rc1", True),
    ("10.0.0", True)])
def test_numpy_2_is_refused_before_caffe2_is_touched(run_python, plugin_path, version,
                                                     refused):
    out = run_python("""
import sys
import numpy
numpy.__version__ = sys.argv[2]
import caffe2_quantization
try:
    caffe2_quantization.load(sys.argv[1])
    print("loaded")
except caffe2_quantization.LoadError as error:
    assert "caffe2" not in sys.modules
    try:
        caffe2_quantization.choose.from_array([1, 2])
    except caffe2_quantization.LoadError as again:
        assert str(again) == str(error)
    print(error)
""", plugin_path, version).stdout
    if refused:
        assert out.startswith("numpy %s is installed" % version)
        assert "install numpy<1.23" in out
    else:
        assert out == "loaded\n"
