"""A float net made int8, by a profile of it or by a recipe."""

import collections
import json
import os

from caffe2_quantization import _names, _operators
from caffe2_quantization._library import ensure_loaded, host
from caffe2_quantization.profiles import json_of_profile

_OPTIONS = ("engine", "per_channel", "activation_method", "activation_percentile",
            "activation_bits", "weight_method", "weight_percentile", "weight_bits",
            "keep_float", "only", "int8_io")
_LISTS = ("keep_float", "only")
_FLAGS = ("per_channel", "int8_io")
_NUMBERS = ("activation_bits", "weight_bits")
_SHARES = ("activation_percentile", "weight_percentile")

QuantizedNets = collections.namedtuple(
    "QuantizedNets", ["init_net", "predict_net", "recipe", "report"])
QuantizedNets.__doc__ = """An int8 net.

Attributes:
    init_net: the NetDef that makes its weights.
    predict_net: the NetDef.
    recipe: a dict: the options, what became of each operator, and each tensor's scale
        and zero point. ``quantize`` takes it back, and makes the same nets of it.
    report: a dict: what was made, and what was lost. docs/formats.md has the fields of
        both.
"""


def quantize(init_net, predict_net, profile=None, recipe=None, **options):
    """Makes an int8 net of a float net.

    Nothing is run. Weights are what constant fills of ``init_net`` make
    (GivenTensorFill, ConstantFill); ``caffe2-quantize quantize`` also runs an init net
    with other operators.

    Args:
        init_net: the net that makes the weights: a NetDef, a ``core.Net``, bytes, or
            the path of a file.
        predict_net: the float net, in one of these forms.
        profile: of a calibration of ``predict_net`` (``calibrate``): the path of a
            file, its bytes, or the dict that ``profiles.read_profile`` gives.
        recipe: in place of a profile and options: the dict of an earlier call, JSON, or
            the path of a file. To keep an operator float, set its "decision" to
            "float".
        **options: ``engine``, "ONEDNN" or "DNNLOWP", a net that needs no plugin;
            ``per_channel`` (True) scales of weights; ``activation_method`` ("MIN_MAX",
            "MSE", "P99.9" ...), ``activation_percentile``, ``activation_bits`` (8), and
            the same for weights with ``weight_``; ``keep_float``, operators that stay
            float, and ``only``, those that alone may be int8: names, first outputs,
            types or regular expressions of these; ``int8_io`` (False), whether inputs
            and outputs become int8 tensors.

    Returns:
        QuantizedNets: both nets, the recipe and the report.

    Raises:
        TypeError: there is no such option, or an argument is of another type.
        ValueError: profile and recipe are both given, or neither.
        RuntimeError: what is given contradicts itself: the profile is of another net,
            an option has no such value, a name matches no operator. The message names
            it, and what is near.
    """
    _names.check_options(quantize, options, _OPTIONS)
    if (profile is None) == (recipe is None):
        raise ValueError("quantize() got %s, expected a profile or a recipe"
                         % ("neither" if profile is None else "both"))
    # The operator's argument has a name of its own, since every operator has an engine.
    arguments = {"int8_engine" if name == "engine" else name: _argument(name, value)
                 for name, value in options.items() if value is not None}
    blobs = {
        "init": _net_bytes(init_net, "init_net"),
        "predict": _net_bytes(predict_net, "predict_net"),
        "profile": _document(
            json_of_profile(profile) if isinstance(profile, dict) else profile, "profile"),
        "recipe": _document(recipe, "recipe"),
    }
    ensure_loaded()
    _, workspace = host()
    scratch = workspace.C.Workspace()
    for name, value in blobs.items():
        scratch.create_blob(name).feed(value)
    outputs = ["int8_init", "int8_predict", "int8_recipe", "report"]
    _operators.run(_operators.make("QuantizeNet", list(blobs), outputs, arguments), scratch)
    init, predict, made, report = (scratch.fetch_blob(name)[0] for name in outputs)
    from caffe2.proto import caffe2_pb2

    return QuantizedNets(
        caffe2_pb2.NetDef.FromString(init), caffe2_pb2.NetDef.FromString(predict),
        _parsed(made), _parsed(report))


def _argument(name, value):
    if name in _LISTS:
        return [value] if isinstance(value, str) else [str(each) for each in value] or None
    if name in _FLAGS:
        return int(bool(value))
    if name in _NUMBERS:
        return int(value)
    return float(value) if name in _SHARES else str(value)


def _net_bytes(net, what):
    if hasattr(net, "Proto"):
        net = net.Proto()
    if hasattr(net, "SerializeToString"):
        return net.SerializeToString()
    if isinstance(net, bytes):
        return net
    if isinstance(net, (str, os.PathLike)):
        return _contents(net)
    raise TypeError("%s is a %s, expected a NetDef, a core.Net, bytes or a path"
                    % (what, type(net).__name__))


def _document(value, what):
    if value is None:
        return b""
    if isinstance(value, dict):
        return json.dumps(value).encode("utf-8")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return value.encode("utf-8")
    if isinstance(value, (str, os.PathLike)):
        return _contents(value)
    raise TypeError("%s is a %s, expected a dict, bytes, JSON or a path"
                    % (what, type(value).__name__))


def _contents(path):
    with open(path, "rb") as stream:
        return stream.read()


def _parsed(text):
    """Parses protobuf's JSON, in which integers of 64 bits are strings."""
    def integers(message):
        for name in ("float_bytes", "int8_bytes"):
            if name in message:
                message[name] = int(message[name])
        if "dims" in message:
            message["dims"] = [int(dim) for dim in message["dims"]]
        return message

    return json.loads(text.decode("utf-8"), object_hook=integers)
