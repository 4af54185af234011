// Int8ConvPackWeight under the engine ONEDNN: a filter, and a bias, in the form
// that convolutions of the engine multiply by.
//
//   filter [, bias] -> W_packed
//
//   filter     floats, or an Int8TensorCPU of uint8 codes; always in the order
//              NHWC, [M, kernel..., C / group], of 1 to 3 dimensions
//   bias       M floats, or an Int8TensorCPU of int32; needs in_scale
//   W_packed   a PackedConvWeights (conv_weights.h); the host's own packed
//              filters, of the engine DNNLOWP, are something else
//
// Arguments: group (1); quantize_groupwise, quantize_channelwise
// (conv_weights.h); in_scale, the scale of the convolution's input, in which
// the bias is quantized; save_unpacked_weights (0), keeps the codes too;
// weight_precision and the like (netdef/dnnlowp_settings.h). Strides,
// paddings and dilations, which DNNLOWP packs for, are not read: the packed
// form serves all of them.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_PACK_WEIGHT_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_PACK_WEIGHT_OP_H_

#include "caffe2/core/operator.h"
#include "operators/int8/conv_weights.h"

namespace caffe2_quantization {

class Int8ConvPackWeightOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;

 private:
  // The packed form's part of a convolution's shape.
  onednn::ConvolutionShape ShapeOf(const caffe2::Tensor& filter);
  float InputScale();
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_PACK_WEIGHT_OP_H_
