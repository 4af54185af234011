// ComputeEqualizationScale: computes one factor per column, which brings the
// columns of activations and weights to the same range before they are
// quantized.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_COMPUTE_EQUALIZATION_SCALE_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_COMPUTE_EQUALIZATION_SCALE_OP_H_

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

//   S[j] = sqrt(max_i |W[i][j]| / max_i |X[i][j]|),  1 where either is 0
//
// Then the columns of X × diag(S) and W × diag(1 / S) have the same largest
// magnitude, and X × W^T is unchanged. (Nagel et al. 2019, "Data-Free
// Quantization Through Weight Equalization and Bias Correction"; Caffe2's
// compute_equalization_scale.cc.)
//
// Inputs: X [M, K] and W [N, K], finite floats; if M or N is 0, the maxima
// count as 0. Output: S [K]; shape inference says [1, K], as upstream. The
// ratio is computed in double and limited to the largest float, so that no S is
// 0 or infinite.
class ComputeEqualizationScaleOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_COMPUTE_EQUALIZATION_SCALE_OP_H_
