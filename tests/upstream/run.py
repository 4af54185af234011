"""Runs a file of the installed caffe2/quantization/server with our modules in place.

    run.py observer_test.py

The wheel has the file, but not the module dnnlowp_pybind11 that it imports. A file
that only defines test cases has them run; the process fails if one does.
"""

import os
import runpy
import sys
import unittest

import caffe2_quantization
from caffe2.python import workspace

if __name__ == "__main__":
    workspace.GlobalInit(["upstream", "--caffe2_log_level=3"])
    caffe2_quantization.load()

    from caffe2.quantization import server
    from caffe2_quantization import dnnlowp_pybind11

    dnnlowp_pybind11.install()
    path = os.path.join(os.path.dirname(server.__file__), sys.argv[1])
    sys.argv[:] = [path] + sys.argv[2:]
    cases = [each for each in runpy.run_path(path, run_name="__main__").values()
             if isinstance(each, type) and issubclass(each, unittest.TestCase)]
    if cases:
        load = unittest.defaultTestLoader.loadTestsFromTestCase
        suite = unittest.TestSuite(load(case) for case in cases)
        sys.exit(not unittest.TextTestRunner().run(suite).wasSuccessful())
