// QTensorQuantize: makes a QTensor of floats, the inverse of QTensorDequantize.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_QUANTIZE_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_QUANTIZE_OP_H_

#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "quantization/kernels/bit_planes.h"

namespace caffe2_quantization {

// What an integer stands for: value = scale * (x + bias).
struct QTensorScaleBias {
  double scale = 1;
  double bias = 0;
};

// Returns the scale and bias whose integers span the data, computed in double:
//   signed:    scale = max(|min|, |max|) / largest, bias = 0
//   unsigned:  scale = (max - min) / largest,       bias = min / scale
// where largest = 2^precision - 1. A single value (max == min) is represented
// exactly: scale is its magnitude, or 1 for zero. scale is finite and above 0
// for all finite min <= max.
QTensorScaleBias ChooseQTensorScaleBias(float min, float max,
                                        kernels::BitPlaneFormat format);

// Returns the format that the arguments `<prefix>precision` and
// `<prefix>signed` ask for. Throws an enforce error unless precision is 1 to
// max_precision.
kernels::BitPlaneFormat QTensorFormatArgument(
    const caffe2::ArgumentHelper& arguments, const std::string& op,
    const std::string& prefix, int max_precision);

// Throws an enforce error unless scale is finite and above 0 and bias is
// finite. In its message `which` follows the names: "[3]" for channel 3.
void CheckQTensorScaleBias(const std::string& op, const std::string& prefix,
                           const std::string& which, QTensorScaleBias given);

// Input 0   float tensor of at least one dimension or one element, each
//           dimension below 2^31 - 1, all values finite.
// Output 0  QTensor blob of the same dims. With `axis`, a PerChannelQTensor
//           whose own scale and bias are 1 and 0, and whose data_type is FLOAT.
//
// Arguments: precision (bits of magnitude, 1 to 16; default 8) and signed
// (default 1); scale and bias (default 0), without scale chosen from the data;
// with axis (negative counts from the end) scales and biases (default 0), one
// per channel, without scales chosen from the data of each channel. Rounding is
// half to even; values outside the range saturate.
class QTensorQuantizeOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  QTensorQuantizeOp(const caffe2::OperatorDef& definition,
                    caffe2::Workspace* workspace);
  bool RunOnDevice() override;

 private:
  kernels::BitPlaneFormat format_;
  bool has_axis_;
  int axis_;
  std::vector<QTensorScaleBias> given_;  // empty: chosen from the data
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_QUANTIZE_OP_H_
