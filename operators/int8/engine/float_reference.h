// Runs the host's float operator beside an int8 one: with the same arguments,
// on the same inputs, with codes turned back to floats. An operator without
// given output parameters takes the range of its output from it, and an
// operator that measures its quantization error compares with it, as with
// DNNLOWP's OpWrapper (caffe2/quantization/server/op_wrapper.h of Caffe2).
//
// It is the host's own operator, taken from the registry by name: engine
// preferences, which might lead back here, are ignored.
//
// Thread rule: one thread at a time, as for the operator that owns it.
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
  // type: the host's float operator, such as "FC". It gets the first num_inputs
  // inputs of the definition, and as many outputs as that has.
  FloatReference(const caffe2::OperatorDef& definition, const char* type,
                 int num_inputs);

  // Sets an input to the values, which are shared and must live as long as they
  // are used.
  void SetInput(int index, const caffe2::Tensor& values);
  // Sets an input to codes of 8, 16 or 32 bits, turned to floats.
  void SetInput(int index, const caffe2::int8::Int8TensorCPU& codes);

  // Runs the operator and returns its first output, a float tensor. Enforces
  // that the run succeeds.
  caffe2::Tensor& Run();
  // Returns an output of the last run.
  caffe2::Tensor& Output(int index);

 private:
  const std::string type_;
  caffe2::Workspace workspace_;
  std::vector<caffe2::Blob*> inputs_;
  std::vector<bool> shares_;  // whether an input is a tensor of another owner
  std::unique_ptr<caffe2::OperatorBase> op_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_FLOAT_REFERENCE_H_
