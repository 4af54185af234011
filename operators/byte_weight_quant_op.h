// ByteWeightQuant: quantizes weights to bytes, the inverse of
// ByteWeightDequant.
//
// Input 0   float tensor, any shape.
// Output 0  uint8 tensor of the same shape.
// Output 1  float, the range's min: one number, or one per channel with axis.
// Output 2  float, the range's max, likewise.
// ByteWeightDequant takes outputs 1 and 2 as min and max (mins and maxs).
//
// Arguments: min and max (mins and maxs with axis), by default the data's own
// range; axis; formula, quant_min and quant_max as in ByteWeightDequant.
// Rounding is half to even; values outside the range saturate. NaN and infinity
// are refused.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_QUANT_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_QUANT_OP_H_

#include <vector>

#include "operators/byte_weight_parameters.h"

namespace caffe2_quantization {

class ByteWeightQuantOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  ByteWeightQuantOp(const caffe2::OperatorDef& definition,
                    caffe2::Workspace* workspace);
  bool RunOnDevice() override;

 private:
  ByteWeightEquation equation_;
  bool has_axis_;
  int axis_;
  // Empty: the range is taken from the data.
  std::vector<float> given_mins_;
  std::vector<float> given_maxs_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_QUANT_OP_H_
