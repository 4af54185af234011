// Operators that choose scale and zero point in a net: for a tensor's values,
// or for counts that stand for them (quantization/choose.h).
//
//   ChooseQuantizationParams        X, a float tensor
//   ChooseStaticQuantizationParams  counts, an int64 tensor [n] of n bins of
//                                   equal width between the arguments min and
//                                   max
//     -> scale, float [1]; zero_point, int32 [1]; choice, optional: the Choice
//        as JSON, a string [1]
#ifndef CAFFE2_QUANTIZATION_OPERATORS_CHOOSE_QUANTIZATION_PARAMS_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_CHOOSE_QUANTIZATION_PARAMS_OP_H_

#include "caffe2/core/operator.h"
#include "quantization/choose.h"

namespace caffe2_quantization {

// Arguments: method, precision, is_signed, preserve_sparsity,
// force_scale_power_of_two, reduced_range, percentile, smallest_scale; the
// defaults are those of ChooseOptions or, with the argument flags "activation"
// or "weight", the host's caffe2_dnnlowp_* flags. With the argument dnnlowp the
// options are then changed by ChooseLikeDnnlowp, except for a smallest_scale
// that is given. A choice's warning is logged.
class ChooseQuantizationParamsOpBase
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  ChooseQuantizationParamsOpBase(const caffe2::OperatorDef& definition,
                                 caffe2::Workspace* workspace);

 protected:
  // Throws a failed Status as the host's enforce error.
  void Enforce(const Status& status) const;
  void SetOutputs(const Choice& choice);

  ChooseOptions options_;
};

class ChooseQuantizationParamsOp final : public ChooseQuantizationParamsOpBase {
 public:
  using ChooseQuantizationParamsOpBase::ChooseQuantizationParamsOpBase;
  bool RunOnDevice() override;
};

class ChooseStaticQuantizationParamsOp final
    : public ChooseQuantizationParamsOpBase {
 public:
  ChooseStaticQuantizationParamsOp(const caffe2::OperatorDef& definition,
                                   caffe2::Workspace* workspace);
  bool RunOnDevice() override;

 private:
  float min_;
  float max_;
};

// Adds those arguments but is_signed to the schema of an operator that chooses
// parameters, and returns it.
caffe2::OpSchema& AddChooseArguments(caffe2::OpSchema* schema);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_CHOOSE_QUANTIZATION_PARAMS_OP_H_
