// Operators that give int8 operators the parameters that follow from a profile
// (observers/register_quantization_params.h).
//
//   RegisterQuantizationParams                path, net (default: every later
//                                             net), is_weight (0), output,
//                                             enable (1)
//   RegisterQuantizationParamsWithHistogram   the same, from histograms
//   AddScaleZeroOffsetArgumentsWithHistogram  path, net_def: the bytes of a
//                                             NetDef -> its bytes, a string [1]
//
// enable=0 ends the registration for later nets, whichever operator began it.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_REGISTER_QUANTIZATION_PARAMS_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_REGISTER_QUANTIZATION_PARAMS_OP_H_

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

class RegisterQuantizationParamsOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  RegisterQuantizationParamsOp(const caffe2::OperatorDef& definition,
                               caffe2::Workspace* workspace)
      : Operator(definition, workspace), workspace_(workspace) {}
  bool RunOnDevice() override;

 private:
  caffe2::Workspace* const workspace_;
};

class AddScaleZeroOffsetArgumentsWithHistogramOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_REGISTER_QUANTIZATION_PARAMS_OP_H_
