// The host's float operator beside an int8 one: the same arguments, on the same
// inputs, codes turned back to floats. It tells an operator to which nobody
// gave output parameters the range of its output, and one that measures its
// quantization error what to compare with; as DNNLOWP's OpWrapper
// (caffe2/quantization/server/op_wrapper.h of Caffe2).
//
// It is the host's own operator, taken from the registry by name: no engine
// preference, which might lead back here, has a part in it.
//
// Thread rule: one at a time, as the operator it belongs to.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_FLOAT_REFERENCE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_FLOAT_REFERENCE_H_

#include <memory>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "caffe2/core/workspace.h"

namespace caffe2_quantization {

class FloatReference {
 public:
  // type: the host's float operator, "FC". num_inputs: how many of the
  // definition's inputs it gets, and outputs: one.
  FloatReference(const caffe2::OperatorDef& definition, const char* type,
                 int num_inputs);

  // Shares values, which must live as long as they are used.
  void SetInput(int index, const caffe2::Tensor& values);
  // Codes of 8, 16 or 32 bits, turned to floats.
  void SetInput(int index, const caffe2::int8::Int8TensorCPU& codes);

  // Runs it. Enforces that it does; the output is a float tensor.
  caffe2::Tensor& Run();

 private:
  const std::string type_;
  caffe2::Workspace workspace_;
  std::vector<caffe2::Blob*> inputs_;
  std::vector<bool> shares_;  // inputs that are somebody else's tensors
  std::unique_ptr<caffe2::OperatorBase> op_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_FLOAT_REFERENCE_H_
