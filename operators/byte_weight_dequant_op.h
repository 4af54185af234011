// ByteWeightDequant: converts byte weights to float.
//
// Input 0   uint8 tensor, or a string tensor whose first string holds the
//           bytes.
// Output 0  float tensor of `shape`.
//
// Arguments: shape; min (-3) and max (3), or axis with mins and maxs (one per
// channel); formula "affine" (default, the host's) or "centered" with quant_min
// (0) and quant_max (255). byte_weight_parameters.h has the equations.
//
// An input longer than the shape is read as far as the shape goes, as the host
// does; a shorter input is refused (the host reads past its end). Every refusal
// is the host's enforce error, and the output keeps its former value.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_DEQUANT_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_DEQUANT_OP_H_

#include <vector>

#include "base/export.h"
#include "operators/byte_weight_parameters.h"

namespace caffe2_quantization {

class CAFFE2_QUANTIZATION_API ByteWeightDequantOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  ByteWeightDequantOp(const caffe2::OperatorDef& definition,
                      caffe2::Workspace* workspace);
  bool RunOnDevice() override;

 private:
  std::vector<int64_t> shape_;
  int64_t count_;
  ByteWeightEquation equation_;
  ChannelLayout layout_;
  std::vector<float> scales_;   // one per channel
  std::vector<float> offsets_;  // one per channel
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_BYTE_WEIGHT_DEQUANT_OP_H_
