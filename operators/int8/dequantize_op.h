// Dequantize, Int8Dequantize and Int8DequantizeRowWise under the engine ONEDNN:
// unsigned codes to floats.
//
//   X -> Y
//
//   X   Int8TensorCPU of any shape, of uint8, or uint16 (engines ending in
//       _16), with its scale and zero point
//   Y   float tensor of X's shape: scale * (X - zero_point), rounded once
//
// Int8DequantizeRowWise is the same operator, as in DNNLOWP: an Int8TensorCPU
// has one scale. It takes no arguments.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_DEQUANTIZE_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_DEQUANTIZE_OP_H_

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t, which hold the codes.
template <typename T>
class Int8DequantizeOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;

 private:
  QuantizationParams params_{{8 * sizeof(T), false}, 1, 0};
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_DEQUANTIZE_OP_H_
