"""The functions of Caffe2's own module of this name, which no wheel has.

Those of the observers and of quantization parameters: same names, arguments,
defaults and files, over the plugin's operators. In place of
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

``Register…`` reads such a file and gives its scales and zero points to the int8
operators (engines DNNLOWP and ONEDNN) of every net that is made from now on,
``AddRegister…`` to those of one net, ``AddScaleZeroOffset…`` to those of a NetDef.
Tensors are found by name; a tensor that the file lacks is an error that names it.
A profile of ``calibrate`` will do in place of the file.

What is chosen is what Caffe2's module would choose: no scale below 6.1e-5, and p99
in bins of the whole range. ``caffe2_quantization.choose`` has neither limit.

Errors are RuntimeErrors with the message of the plugin's operator, also where
Caffe2's module logs a warning and goes on with scale 1.
"""

import itertools
import sys
import types

import numpy as np

from caffe2_quantization import _operators, choose, hardcode_scale_zp, observers
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


class QueryTensorQparam(object):
    """Parameters of one tensor, whose codes are unsigned.

    Attributes:
        scale: x = scale * (q - zero_point); the value of a float32.
        zero_point: the code of 0.
        precision: bits.
        min: what the smallest code stands for.
        max: what the largest code stands for.
    """

    def __init__(self, scale, zero_point, precision):
        self._scale = np.float32(scale)
        self._zero_point = int(zero_point)
        self._precision = int(precision)

    scale = property(lambda self: float(self._scale))
    zero_point = property(lambda self: self._zero_point)
    precision = property(lambda self: self._precision)
    min = property(lambda self: self._value(0))
    max = property(lambda self: self._value((1 << self._precision) - 1))

    def __repr__(self):
        return "QueryTensorQparam(%r, %r, %r)" % (self.scale, self.zero_point,
                                                  self.precision)

    def _value(self, code):
        return float(self._scale * np.float32(code - self._zero_point))


class Registration(object):
    """What ``AddRegisterQuantizationParamsWithHistogramObserver`` returns.

    Attributes:
        net: the net's name.
        path: the file its parameters are from.
    """

    def __init__(self, net, path):
        self.net = net
        self.path = path


def ClearNetObservers():
    """Leaves nets that are made from now on alone: observes none, and gives none
    quantization parameters."""
    observers.stop_attaching_to_later_nets()
    _run("RegisterQuantizationParams", enable=0)


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
    return observer


def DumpOutputColumnMaxHistogramFile(ob):
    """Writes what ``AddOutputColumnMaxHistogramObserver``'s observer saw since the
    last time."""
    ob.dump()


def ChooseQuantizationParams(blob_name):
    """Chooses for the values of a float blob, as the flags caffe2_dnnlowp_weight_*
    say. Returns (scale, zero point)."""
    return _read("ChooseQuantizationParams", [blob_name], ["scale", "zero_point"],
                 flags="weight", dnnlowp=1)


def ChooseStaticQuantizationParams(min, max, bins, preserve_sparsity=True, precision=8,
                                   quant_scheme="min_max", p99_threshold=0.99,
                                   is_weight=False):
    """Chooses for values that were counted in bins of one width from ``min`` to
    ``max``, by the scheme min_max, l1, l2, l2_approx, kl or p99, or one of DNNLOWP's
    long names. Returns a QueryTensorQparam."""
    choice = choose.from_counts(
        bins, min, max, quant_scheme, flags="weight" if is_weight else "activation",
        preserve_sparsity=bool(preserve_sparsity), precision=precision,
        percentile=float(p99_threshold), dnnlowp=True)
    return QueryTensorQparam(choice.scale, choice.zero_point, precision)


def RegisterQuantizationParams(min_max_file_name, is_weight=False,
                               qparams_output_file_name=""):
    """Gives every later net the parameters for what ``ObserveMinMaxOfOutput``
    wrote; what was chosen is written to ``qparams_output_file_name``."""
    _register("RegisterQuantizationParams", min_max_file_name, is_weight,
              qparams_output_file_name)


def RegisterQuantizationParamsWithHistogram(histogram_file_name, is_weight=False,
                                            qparams_output_file_name=""):
    """The same for what ``ObserveHistogramOfOutput`` wrote."""
    _register("RegisterQuantizationParamsWithHistogram", histogram_file_name, is_weight,
              qparams_output_file_name)


def AddRegisterQuantizationParamsWithHistogramObserver(
        net_name, histogram_file_name, is_weight=False, qparams_output_file_name=""):
    """The same for one net of the current workspace, before it runs first."""
    _register("RegisterQuantizationParamsWithHistogram", histogram_file_name, is_weight,
              qparams_output_file_name, net=net_name)
    return Registration(net_name, histogram_file_name)


def AddScaleZeroOffsetArgumentsWithHistogram(net_def_bytes, histogram_file_name):
    """Adds the parameters to the int8 operators of a serialized NetDef. Returns the
    new one, serialized."""
    return _read("AddScaleZeroOffsetArgumentsWithHistogram", [], ["net"],
                 net_def=net_def_bytes, path=histogram_file_name, dnnlowp=1)[0]


def freeze_quantization_params(net_def_bytes):
    """Writes what the parameter blobs of a serialized NetDef hold in the current
    workspace into its operators. Returns the new one, serialized."""
    return _read("FreezeQuantizationParams", [], ["net"], net_def=net_def_bytes)[0]


def CreateInt8QuantSchemeBlob(quant_scheme_blob_name, quantization_kind,
                              preserve_sparsity):
    """Makes a blob that says how Int8GenQuantParams shall choose."""
    _run("Int8QuantSchemeBlobFill", outputs=[quant_scheme_blob_name],
         quantization_kind=quantization_kind,
         preserve_sparsity=int(bool(preserve_sparsity)))


def CreateInt8QuantParamsBlob(quant_param_blob_name, scale, zero_point):
    """Makes a blob of parameters for Int8Quantize and Int8FC."""
    _run("Int8QuantParamsBlobFill", outputs=[quant_param_blob_name], scale=float(scale),
         zero_point=int(zero_point))


def ObserveInt8QuantParamsBlob(quant_params_blob_name):
    """Returns (scale, zero point) of a blob of parameters."""
    return _read("Int8QuantParamsBlobInfo", [quant_params_blob_name],
                 ["scale", "zero_point"])


def ObserveInt8QuantSchemeBlob(quant_scheme_blob_name):
    """Returns (quantization kind, preserve sparsity) of a blob of a scheme."""
    kind, preserve_sparsity = _read("Int8QuantSchemeBlobInfo", [quant_scheme_blob_name],
                                    ["kind", "preserve_sparsity"])
    return kind.decode("utf-8"), preserve_sparsity


def install():
    """Puts this module in the place of ``caffe2.quantization.server.dnnlowp_pybind11``,
    and ``hardcode_scale_zp`` in that of ``caffe2.python.fb.hardcode_scale_zp``, where
    that is missing."""
    host()
    from caffe2 import python
    from caffe2.quantization import server

    module = sys.modules[__name__]
    sys.modules[server.__name__ + ".dnnlowp_pybind11"] = module
    server.dnnlowp_pybind11 = module
    try:
        from caffe2.python.fb import hardcode_scale_zp as _  # noqa: F401
    except ImportError:
        name = python.__name__ + ".fb"
        package = sys.modules.setdefault(name, types.ModuleType(name))
        if not hasattr(package, "__path__"):
            package.__path__ = []
        package.hardcode_scale_zp = hardcode_scale_zp
        sys.modules[name + ".hardcode_scale_zp"] = hardcode_scale_zp
        python.fb = package


def _run(op_type, inputs=(), outputs=(), **arguments):
    _operators.run(_operators.make(op_type, list(inputs), list(outputs), arguments))


def _read(op_type, inputs, names, **arguments):
    """Runs an operator whose outputs are tensors of one value. Returns the values."""
    _, workspace = host()
    outputs = ["_dnnlowp_pybind11_%d_%s" % (next(_counter), name) for name in names]
    try:
        _run(op_type, inputs, outputs, **arguments)
        values = tuple(workspace.C.fetch_blob(name)[0] for name in outputs)
    finally:
        for name in outputs:
            _operators.remove_blob(name)
    return tuple(value.item() if isinstance(value, np.generic) else value
                 for value in values)


def _register(op_type, path, is_weight, output, **arguments):
    _run(op_type, path=path, is_weight=int(bool(is_weight)), output=output or None,
         dnnlowp=1, **arguments)


def _observe_later_nets(path, dump_freq, delimiter, **options):
    observers.attach_to_later_nets(
        path=path, dump_freq=_frequency(dump_freq), delimiter=delimiter,
        observer="dnnlowp_pybind11_%d" % next(_counter), **options)


def _frequency(dump_freq):
    return dump_freq if dump_freq > 0 else None


def _literally(name):
    """Returns the pattern that matches this name alone."""
    return "".join("[%s]" % each if each in "*?[" else each for each in name)
