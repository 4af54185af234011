// Int8Squeeze under the engine ONEDNN: a tensor without some of its dimensions
// of size 1.
//
//   X -> Y, which may be the same blob
//
//   X   Int8TensorCPU of uint8, or uint16 (engines ending in _16), with its
//       scale and zero point; or a float tensor
//   Y   as X, without the dimensions that the argument dims names, which are of
//       size 1. A float tensor with dequantize_output
//
// As in the host's float operator, dims is there, and none of it is negative.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "operators/int8/engine/register_engine.h"
#include "operators/int8/moves/move_operator.h"
#include "operators/registration.h"

namespace caffe2_quantization {
namespace {

template <typename T>
class SqueezeOp final : public MoveOperatorOf<T> {
 public:
  SqueezeOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : MoveOperatorOf<T>(definition, workspace, /*inputs=*/1) {}

 protected:
  Status ReadArguments() override {
    dims_ = caffe2::ArgumentHelper(this->debug_def())
                .template GetRepeatedArgument<int64_t>("dims");
    if (dims_.empty()) {
      return Refuse("argument dims is no list of integers, expected one");
    }
    for (const int64_t dim : dims_) {
      if (dim >= 0) continue;
      return Refuse("argument dims has ", dim, ", expected 0 or more");
    }
    return Status::Ok();
  }

  void Compute() override {
    const std::vector<int64_t> x = this->SizesOfX().vec();
    const auto rank = static_cast<int64_t>(x.size());
    for (const int64_t dim : dims_) {
      this->Enforce(dim < rank && x[dim] == 1, "tensor '", this->Name(0),
                    "' has sizes ", at::IntArrayRef(x),
                    " and argument dims has ", dim,
                    ", expected a dimension of size 1");
    }
    std::vector<int64_t> y;
    for (int64_t dim = 0; dim < rank; ++dim) {
      if (std::count(dims_.begin(), dims_.end(), dim) == 0) y.push_back(x[dim]);
    }
    const int64_t count = c10::multiply_integers(x);
    this->WriteMoved(y, [&](const void* from, int64_t value_bytes, void* to) {
      if (from != to) std::memcpy(to, from, count * value_bytes);
    });
  }

 private:
  std::vector<int64_t> dims_;
};

}  // namespace

void RegisterOnednnSqueeze(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<SqueezeOp>(name, suffixes);
  // The host has neither the operator nor a schema of it.
  RegisterNoGradient("Int8Squeeze");
  CAFFE2_QUANTIZATION_SCHEMA("Int8Squeeze")
      .NumInputs(1)
      .NumOutputs(1)
      .AllowInplace({{0, 0}})
      .SetDoc("X without dimensions of size 1; engine ONEDNN.")
      .Arg("dims", "the dimensions that are left out")
      .Arg("dequantize_output", "1: the output is a float tensor")
      .Input(0, "X", "Int8TensorCPU, or float tensor")
      .Output(0, "Y", "as X, of fewer dimensions")
      .TensorInferenceFunction([](const caffe2::OperatorDef& definition,
                                  const std::vector<caffe2::TensorShape>& in) {
        return caffe2::OpSchemaRegistry::Schema("Squeeze")->InferTensor(
            definition, in);
      });
}

}  // namespace caffe2_quantization
