"""One version: the package's, the plugin's and CMake's."""

import os
import re

import caffe2_quantization


def test_package_and_plugin_have_the_same_version():
    assert caffe2_quantization.version() == caffe2_quantization.__version__


def test_package_and_cmake_have_the_same_version(digits_folder):
    checkout = os.path.dirname(os.path.dirname(digits_folder))
    with open(os.path.join(checkout, "CMakeLists.txt")) as stream:
        project = re.search(r"project\(caffe2_quantization\s+VERSION (\S+)", stream.read())
    assert project.group(1) == caffe2_quantization.__version__


def test_isa_is_one_of_the_documented():
    assert caffe2_quantization.isa() in ("scalar", "SCALAR", "AVX2", "AVX3", "AVX3_DL")
