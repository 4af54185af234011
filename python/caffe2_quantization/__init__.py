"""The Python front of the Caffe2 quantization plugin.

    import caffe2_quantization
    caffe2_quantization.load()

From then on every net of this process can use the plugin's operators. Three
modules make them easier to call from Python:

    observers    measure the outputs of nets while they run
    byte_weight  float weights to bytes and back, numpy in and numpy out
    qtensor      QTensors of numpy arrays, of blobs and of files

Importing this package touches neither Caffe2 nor the plugin; ``load()`` does.
"""

from caffe2_quantization import byte_weight, observers, qtensor
from caffe2_quantization._library import LoadError, Plugin, isa, load, version

# The plugin's version too. A literal: setup.cfg reads it without importing this.
__version__ = "0.1.0"

__all__ = [
    "LoadError",
    "Plugin",
    "__version__",
    "byte_weight",
    "isa",
    "load",
    "observers",
    "qtensor",
    "version",
]
