// Operators on profile files, so that any front end that can run an operator
// can merge and read them without a compiled binding or protobuf.
//
//   OutputMinMaxObserverMerge   paths, output, force (0)
//   ProfileToJson               path  -> JSON, one string
#ifndef CAFFE2_QUANTIZATION_OPERATORS_PROFILE_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_PROFILE_OP_H_

#include "caffe2/core/operator.h"

namespace caffe2_quantization {

// Merges several profile files into one (MergeProfileFiles).
class OutputMinMaxObserverMergeOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

// Returns the JSON of a profile file of either form (ProfileToJson).
class ProfileToJsonOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;
  bool RunOnDevice() override;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_PROFILE_OP_H_
