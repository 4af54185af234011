"""Stands in for ``caffe2.python.fb.hardcode_scale_zp``, which no wheel has.

Caffe2's tests and ``caffe2.quantization.server.utils`` import it.
"""

import collections

from caffe2_quantization import choose

__all__ = ["QuantizationParam", "choose_quantization_params"]

QuantizationParam = collections.namedtuple("QuantizationParam", ["scale", "zero_point"])
QuantizationParam.__doc__ = """x = scale * (q - zero_point), q from 0 to 255."""


def choose_quantization_params(tensor_min, tensor_max):
    """Returns the QuantizationParam that DNNLOWP chooses for a range."""
    choice = choose.from_range(tensor_min, tensor_max, dnnlowp=True)
    return QuantizationParam(choice.scale, choice.zero_point)
