// Quantize and Int8Quantize under the engine ONEDNN: floats to unsigned codes.
//
//   X [, params] -> Y
//
//   X       float tensor of any shape
//   params  optional: an Int8QuantParamsBlob (int8_quant_blobs.h)
//   Y       Int8TensorCPU of X's shape; uint8, or uint16 (engines ending in
//           _16), with its scale and zero point
//
// Scale and zero point come from params; else from the arguments Y_scale,
// Y_zero_point and followed_by (output_parameters.h); else of X's smallest and
// largest value, in every run, by ChooseFromRange. As in DNNLOWP the kind of
// choosing (activation_quantization_kind) has no part in that.
//
// Arguments beside these: activation_precision, bits of a code, up to 8 or 16;
// preserve_activation_sparsity and force_scale_power_of_two, as
// dnnlowp_settings.h has them. Rounding: quantization/quantize.h.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZE_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZE_OP_H_

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "quantization/choose.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t, which hold the codes.
template <typename T>
class Int8QuantizeOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;

 private:
  void ReadArguments();

  bool arguments_read_ = false;
  bool is_static_ = false;
  ChooseOptions options_;
  QuantizationParams params_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZE_OP_H_
