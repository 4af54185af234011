"""Finding the plugin, loading it into the running Caffe2, and saying why not."""

import collections
import ctypes
import os
import sys
import threading
from typing import List, Optional, Union

import numpy as np

LIBRARY_NAME = "libcaffe2_quantization.so"
PATH_VARIABLE = "CAFFE2_QUANTIZATION_PLUGIN"

# Operators that only the plugin has. They show whether it registered itself with
# the Caffe2 that Python sees.
_OWN_OPERATORS = (
    "ByteWeightQuant",
    "OutputMinMaxObserverAttach",
    "OutputMinMaxObserverInfo",
    "QTensorLoad",
)

# Of plugin/plugin.h: name, result, arguments.
_FUNCTIONS = (
    ("caffe2_quantization_version", ctypes.c_char_p, []),
    ("caffe2_quantization_load_error", ctypes.c_char_p, []),
    ("caffe2_quantization_isa", ctypes.c_char_p, []),
    ("caffe2_quantization_add_record_callback", ctypes.c_int64,
     [ctypes.c_void_p, ctypes.c_void_p]),
    ("caffe2_quantization_remove_record_callback", ctypes.c_int, [ctypes.c_int64]),
)

Plugin = collections.namedtuple("Plugin", ["path", "version", "isa"])
Plugin.__doc__ = """The plugin as it was loaded.

Attributes:
    path: the library's absolute path.
    version: its version, such as "0.1.0".
    isa: the instruction set its kernels run on: "scalar" (the plain reference),
        "SCALAR" (a processor without AVX2), "AVX2", "AVX3" (AVX-512) or "AVX3_DL"
        (AVX-512 with VBMI2, VPOPCNTDQ and VNNI).
"""

_lock = threading.RLock()
_plugin: Optional[Plugin] = None
_library: Optional[ctypes.CDLL] = None
_registered = False  # the operators were seen, whoever loaded them


class LoadError(ImportError):
    """The plugin cannot be loaded.

    Attributes:
        path: the library in question; None when none was found or Caffe2 itself
            is missing.
    """


def load(path: Optional[Union[str, os.PathLike]] = None) -> Plugin:
    """Loads the plugin into the Caffe2 of this process.

    Calling it again does nothing; neither does loading the same file with
    ``dyndep.InitOpsLibrary`` or ``LoadModule`` before or after.

    Args:
        path: the library. By default the one that ``load`` has loaded already;
            else the one that the environment variable CAFFE2_QUANTIZATION_PLUGIN
            names; else the first that is found in ``build/lib`` of the checkout
            that this package lies in, the folder of this package, ``lib`` of the
            Python installation, ``/usr/local/lib``.

    Returns:
        Where it was found, its version, and the instruction set it runs on.

    Raises:
        LoadError: there is no such file, it is not the plugin, the plugin does
            not fit the running Caffe2 or this process has another copy of it.
            The message says what to do.
    """
    global _library, _plugin, _registered
    with _lock:
        if _plugin is not None and path is None:
            return _plugin
        path = _find() if path is None else os.path.abspath(os.fspath(path))
        if _plugin is not None and _same_file(path, _plugin.path):
            return _plugin
        if not os.path.isfile(path):
            raise LoadError("'%s' is not a file; build it (script/test does), or pass "
                            "the path of %s" % (path, LIBRARY_NAME), path=path)
        # Before the plugin, or it would bring a second Caffe2 into the process.
        core, workspace = host()
        library = _open(path)
        error = library.caffe2_quantization_load_error().decode("utf-8", "replace")
        if error:
            if _plugin is not None:
                error += "; the one in use is '%s'" % _plugin.path
            raise LoadError("'%s' did not register its operators: %s"
                            % (path, error), path=path)
        core.RefreshRegisteredOperators()
        missing = set(_OWN_OPERATORS).difference(workspace.RegisteredOperators())
        if missing:
            raise LoadError(
                "'%s' is loaded, but Caffe2 does not know %s: it went into another "
                "copy of libtorch_cpu.so than the one of '%s'; load the plugin "
                "only after caffe2.python.workspace, and keep one torch in the "
                "process" % (path, ", ".join(sorted(missing)),
                             os.path.dirname(workspace.__file__)), path=path)
        _registered = True
        _library = library
        _plugin = Plugin(
            path,
            library.caffe2_quantization_version().decode("ascii"),
            library.caffe2_quantization_isa().decode("ascii"))
        return _plugin


def version() -> str:
    """Returns the plugin's version, such as "0.1.0"; loads it if need be."""
    return load().version


def isa() -> str:
    """Returns the instruction set of the kernels; loads the plugin if need be."""
    return load().isa


def library() -> ctypes.CDLL:
    """Returns the plugin's C functions (plugin/plugin.h); loads it if need be."""
    load()
    return _library


def host():
    """Imports Caffe2.

    Returns:
        The modules ``caffe2.python.core`` and ``caffe2.python.workspace``.

    Raises:
        LoadError: Caffe2 cannot be imported, or not be used with the numpy that
            is installed.
    """
    # Built for numpy 1, Caffe2 can be imported beside numpy 2 and ends the process
    # with its first array.
    if int(np.__version__.split(".")[0]) >= 2:
        raise LoadError("numpy %s is installed, and caffe2.python of the wheels works "
                        "with numpy 1 alone: install numpy<1.23" % np.__version__)
    try:
        from caffe2.python import core, workspace
    # Caffe2 leaves the process when its binary part cannot be imported, and protobuf
    # from 4 on raises a TypeError at its messages.
    except (Exception, SystemExit) as error:
        raise LoadError(
            "caffe2.python cannot be imported by Python %d.%d with numpy %s and protobuf "
            "%s (%s): install torch==1.10.2, numpy<1.23, protobuf<3.21, future and six for "
            "Python 3.6 to 3.9"
            % (sys.version_info[0], sys.version_info[1], np.__version__,
               _protobuf_version(), str(error).split("\n")[0])) from error
    return core, workspace


def ensure_loaded() -> None:
    """Loads the plugin unless its operators are there, whoever loaded them."""
    global _registered
    if _registered:
        return
    _, workspace = host()
    if set(_OWN_OPERATORS).issubset(workspace.RegisteredOperators()):
        _registered = True
    else:
        load()


def _protobuf_version():
    try:
        from google import protobuf
        return protobuf.__version__
    except Exception:  # whatever is wrong with it
        return "unknown"


def _find() -> str:
    """Returns the path of the library to load by default, or raises LoadError."""
    path = os.environ.get(PATH_VARIABLE)
    if path:
        path = os.path.abspath(path)
        if not os.path.isfile(path):
            raise LoadError(
                "'%s', which the environment variable %s names, is not a file; "
                "correct it, or unset it to use the checkout's build"
                % (path, PATH_VARIABLE), path=path)
        return path
    candidates = _candidates()
    for path in candidates:
        if os.path.isfile(path):
            return path
    raise LoadError(
        "there is no %s: looked for %s; build it (script/test does), or say where "
        "it is: load(path) or the environment variable %s"
        % (LIBRARY_NAME, ", ".join("'%s'" % each for each in candidates),
           PATH_VARIABLE))


def _candidates() -> List[str]:
    package = os.path.dirname(os.path.abspath(__file__))
    checkout = os.path.dirname(os.path.dirname(package))
    folders = (
        os.path.join(checkout, "build", "lib"),
        package,
        checkout,  # installed: PREFIX/lib/python/caffe2_quantization
        os.path.join(sys.prefix, "lib"),
        "/usr/local/lib",
    )
    return [os.path.join(folder, LIBRARY_NAME) for folder in folders]


def _open(path: str) -> ctypes.CDLL:
    """Returns the library with its functions declared, or raises LoadError."""
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise LoadError(
            "'%s' cannot be loaded as a shared library: %s; if it is the plugin, "
            "build it again against the Caffe2 that runs here (CMake's "
            "-DCAFFE2_HOST_ROOT)" % (path, error), path=path) from None
    for name, result, arguments in _FUNCTIONS:
        try:
            function = getattr(library, name)
        except AttributeError:
            raise LoadError(
                "'%s' is a shared library, but not the plugin, or not of this version: "
                "it has no function %s; pass the path of %s"
                % (path, name, LIBRARY_NAME), path=path) from None
        function.restype = result
        function.argtypes = arguments
    return library


def _same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:  # one of them is gone by now
        return os.path.realpath(path) == os.path.realpath(other)
