"""Python functions that hear of every recorded output."""

import _thread
import atexit
import ctypes
import json
import os
import sys
import threading
import traceback

from caffe2_quantization._library import library

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)

_lock = threading.Lock()
_callbacks = {}  # id: what the plugin calls, which must outlive its registration
_retired = []  # removed from within a callback
_thread_state = threading.local()  # depth: how many callbacks this thread is in


def add_callback(function):
    """Has a function called after each recorded output of every observed net.

    It gets one dict: ``net``, ``observer``, ``path``, ``op_index``, ``step_index``,
    ``op_type``, ``op_name``, ``output_index``, ``tensor_name``, ``type``,
    ``shape``, ``min`` and ``max`` of this run (None without a finite value), ``raw_min`` and
    ``raw_max`` (the stored integers of quantized tensors), ``count``, ``zero``,
    ``nan``, ``positive_infinity``, ``negative_infinity`` and ``run``, the number
    of the operator's recorded run.

    It is called in the thread that runs the operator, perhaps in several at once,
    and must not attach or detach. An exception in it is printed, the first time,
    and changes nothing for the net.

    Args:
        function: called with each record.

    Returns:
        A handle for ``remove_callback``.
    """
    failed = []

    def call(record, _):
        _thread_state.depth = getattr(_thread_state, "depth", 0) + 1
        try:
            function(json.loads(record.decode("utf-8", "replace")))
        except KeyboardInterrupt:
            # Meant for the main thread's own code, which the net will return to.
            threading.Timer(0.05, _thread.interrupt_main).start()
        except BaseException:
            if not failed:
                failed.append(True)
                print("caffe2_quantization: a callback failed; what it raises from "
                      "now on is not shown", file=sys.stderr)
                traceback.print_exc()
        finally:
            _thread_state.depth -= 1

    pointer = _CALLBACK(call)
    with _lock:
        handle = library().caffe2_quantization_add_record_callback(pointer, None)
        if handle <= 0:
            raise RuntimeError("the plugin did not take the callback")
        _callbacks[handle] = pointer
    return handle


def remove_callback(handle):
    """Ends the calls of a function.

    When this returns no call of it is running, unless it is called from within
    the function, and none will start.

    Args:
        handle: what ``add_callback`` returned.

    Raises:
        KeyError: there is no such callback, or it was removed before.
    """
    with _lock:
        pointer = _callbacks.pop(handle, None)
    if pointer is None:
        raise KeyError("there is no callback %r" % (handle,))
    # Waits for calls that are running, and they for Python: ctypes lets it go.
    library().caffe2_quantization_remove_record_callback(handle)
    if getattr(_thread_state, "depth", 0):
        _retired.append(pointer)  # one that removes itself returns through it


def _renew_lock():
    # A thread that held it is not in the child.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # Python 3.7
    os.register_at_fork(after_in_child=_renew_lock)


@atexit.register
def _remove_all():
    # A net may run on while Python ends, and cannot call it any more.
    for handle in list(_callbacks):
        remove_callback(handle)
