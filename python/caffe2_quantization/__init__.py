"""The Python front of the Caffe2 quantization plugin.

    import caffe2_quantization
    caffe2_quantization.load()

From then on every net of this process can use the plugin's operators. These
modules and functions make them easier to call from Python:

    observers     measure the outputs of nets while they run
    calibrate     run a net over data, and keep what was measured as a profile
    quantize      make an int8 net of a float net, by a profile of it
    profiles      read and merge profiles
    plot_profile  draw a profile: pictures and one HTML page
    choose        scale and zero point for an array, counts or a range
    byte_weight   float weights to bytes and back, numpy in and numpy out
    qtensor       QTensors of numpy arrays, of blobs and of files
    weights       float weights to int8 codes that a NetDef carries
    fetch_int8    an int8 blob's codes, scale and zero point; feed_int8, the other way

``caffe2_quantization.dnnlowp_pybind11``, to be imported by that name, has the
functions of Caffe2's own module for observers and quantization parameters, which no
wheel has.

Importing this package touches neither Caffe2 nor the plugin; ``load()`` does.
"""

from caffe2_quantization import (byte_weight, choose, observers, profiles, qtensor,
                                 weights)
from caffe2_quantization._calibrate import calibrate
from caffe2_quantization._int8_blobs import Int8Blob, feed_int8, fetch_int8
from caffe2_quantization._library import LoadError, Plugin, isa, load, version
from caffe2_quantization._quantize import QuantizedNets, quantize
from caffe2_quantization.plots import plot_profile

# The plugin's version too. A literal: setup.cfg reads it without importing this.
__version__ = "0.1.0"

__all__ = [
    "Int8Blob",
    "LoadError",
    "Plugin",
    "QuantizedNets",
    "__version__",
    "byte_weight",
    "calibrate",
    "choose",
    "feed_int8",
    "fetch_int8",
    "isa",
    "load",
    "observers",
    "plot_profile",
    "profiles",
    "qtensor",
    "quantize",
    "version",
    "weights",
]
