// ComputeEqualizationScale: a factor for each column that brings the columns of
// activations and weights to the same range before they are quantized.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_COMPUTE_EQUALIZATION_SCALE_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_COMPUTE_EQUALIZATION_SCALE_OP_H_

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

//   S[j] = sqrt(max_i |W[i][j]| / max_i |X[i][j]|),  1 where either is 0
//
// X × diag(S) and W × diag(1 / S) then have columns with the same largest
// magnitude, and X × W^T stays what it was. (Nagel et al. 2019, "Data-Free
// Quantization Through Weight Equalization and Bias Correction"; Caffe2's
// compute_equalization_scale.cc.)
//
// Inputs: X [M, K] and W [N, K], floats, finite; M or N of 0 counts as zeros.
// Output: S [K]; to shape inference [1, K], as upstream. The ratio is taken in
// double and limited to the largest float, so that no S is 0 or infinite.
class ComputeEqualizationScaleOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_COMPUTE_EQUALIZATION_SCALE_OP_H_
