"""The observers' functions of Caffe2's own module of this name, which no wheel has.

Same names, arguments, defaults and files, over the plugin's operators. In place of
the missing module:

    from caffe2_quantization import dnnlowp_pybind11
    dnnlowp_pybind11.install()
    from caffe2.quantization.server import dnnlowp_pybind11

Importing this loads the plugin.

``Observe…`` observes every net that is made from now on, each call with one more
observer; ``Add…`` observes one net of the current workspace. Every ``dump_freq``
runs what was seen since the last time goes to "name_K.ext", and when the net ends
(with its workspace or the process) everything to "name.ext". With ``mul_nets`` each
net has a file of its own: a number is added to the name.
"""

import itertools
import sys

from caffe2_quantization import observers
from caffe2_quantization._library import host, load

load()

_HISTOGRAM_BINS = 2048

_counter = itertools.count(1)


class Observer(object):
    """What the ``Add…`` functions return and the ``Dump…`` functions take.

    Attributes:
        net: the net's name.
        label: the observer's label.
        path: the file it writes.
    """

    def __init__(self, net, path, mul_nets):
        number = next(_counter)
        self.net = net
        self.label = "dnnlowp_pybind11_%d" % number
        self.path = "%s.%d" % (path, number) if mul_nets else path

    def attach(self, dump_freq, delimiter, **options):
        observers.attach(self.net, self.path, _frequency(dump_freq), observer=self.label,
                         delimiter=delimiter, **options)

    def dump(self):
        observers.dump_and_reset(self.net, self.path, observer=self.label)


def ClearNetObservers():
    """Leaves nets that are made from now on alone."""
    observers.stop_attaching_to_later_nets()


def ObserveMinMaxOfOutput(min_max_file_name, dump_freq=-1, delimiter=" "):
    """Measures the smallest and largest output values of every later net."""
    _observe_later_nets(min_max_file_name, dump_freq, delimiter, format="min_max")


def ObserveHistogramOfOutput(out_file_name, dump_freq=-1, mul_nets=False, op_filter="",
                             delimiter=" "):
    """Counts the output values of every later net; of one type of operator, if
    ``op_filter`` names it."""
    _observe_later_nets(
        out_file_name, dump_freq, delimiter, format="histogram",
        histogram_bins=_HISTOGRAM_BINS, unique_paths=mul_nets,
        op_types=[_literally(op_filter)] if op_filter else None)


def AddHistogramObserver(net_name, out_file_name, dump_freq=-1, mul_nets=False,
                         delimiter=" "):
    """Counts the output values of one net. Returns the observer."""
    observer = Observer(net_name, out_file_name, mul_nets)
    observer.attach(dump_freq, delimiter, format="histogram",
                    histogram_bins=_HISTOGRAM_BINS)
    return observer


def DumpHistogramFile(ob):
    """Writes what ``AddHistogramObserver``'s observer saw since the last time."""
    ob.dump()


def AddOutputColumnMaxHistogramObserver(net_name, out_file_name,
                                        observe_column_max_for_blobs, dump_freq=-1,
                                        bin_nums=16, mul_nets=False, delimiter=" "):
    """Counts each column's maxima in the runs of one net, of the outputs that are
    named. Returns the observer."""
    names = [str(name) for name in observe_column_max_for_blobs]
    observer = Observer(net_name, out_file_name, mul_nets)
    observer.attach(dump_freq, delimiter, format="column_max", column_max_blobs=names,
                    column_max_bins=bin_nums,
                    outputs=[_literally(name) for name in names])
    found = {output["tensor_name"]
             for op in observers.info(net_name, observer.label)["operators"]
             for output in op["outputs"]}
    missing = [name for name in names if name not in found]
    if missing:
        observers.detach(net_name, observer.label)
        raise RuntimeError("AddOutputColumnMaxHistogramObserver: net '%s' has no output "
                           "'%s'" % (net_name, "', '".join(missing)))
    return observer


def DumpOutputColumnMaxHistogramFile(ob):
    """Writes what ``AddOutputColumnMaxHistogramObserver``'s observer saw since the
    last time."""
    ob.dump()


def install():
    """Puts this module in the place of ``caffe2.quantization.server.dnnlowp_pybind11``."""
    host()
    from caffe2.quantization import server

    module = sys.modules[__name__]
    sys.modules[server.__name__ + ".dnnlowp_pybind11"] = module
    server.dnnlowp_pybind11 = module


def _observe_later_nets(path, dump_freq, delimiter, **options):
    observers.attach_to_later_nets(
        path=path, dump_freq=_frequency(dump_freq), delimiter=delimiter,
        observer="dnnlowp_pybind11_%d" % next(_counter), **options)


def _frequency(dump_freq):
    return dump_freq if dump_freq > 0 else None


def _literally(name):
    """Returns the pattern that matches this name alone."""
    return "".join("[%s]" % each if each in "*?[" else each for each in name)
