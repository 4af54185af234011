// Mul and Int8Mul under the engine ONEDNN: products of two tensors, element by
// element.
//
//   A, B -> Y, which may be the blob of an input that has Y's sizes
//
//   A, B   Int8TensorCPU of uint8, or float tensors; one of each works too
//   Y      Int8TensorCPU of uint8, or with dequantize_output a float tensor:
//          A * B. Its sizes, and the arguments broadcast, axis, axis_str and
//          order, are explained in binary_op.h
//
// Parameters of Y come from the arguments (arguments.h); else they are chosen
// in every run, from the range of the host's float operator's output for the
// same inputs.
//
// A code is the exact product of the inputs' values over Y's scale, rounded
// half to even, plus the zero point, saturated (multiply_codes.h). With floats
// it is that of what the float operator gives.
//
// What differs from DNNLOWP, beside errors for what it silently accepts:
//   - its multiplier is rounded to a float, which tips some ties;
//   - it makes codes of floats first, so that the product is off by more than a
//     step;
//   - sizes that numpy would repeat are repeated; there they are refused;
//   - activation_precision says nothing of the inputs.
#include <optional>
#include <string>
#include <vector>

#include "operators/int8/elementwise/binary_op.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/registration.h"
#include "quantization/kernels/multiply_codes.h"

namespace caffe2_quantization {
namespace {

class MulOp final : public BinaryOp {
 public:
  MulOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : BinaryOp(definition, workspace, "Mul") {}

 protected:
  void Prepare(const kernels::CodeScale& a, const kernels::CodeScale& b,
               float scale, const kernels::CodeRange& range) override {
    product_.emplace(a, b, scale, range);
  }
  void ComputeCodes(const uint8_t* a, const uint8_t* b, int64_t count,
                    uint8_t* y) const override {
    kernels::MultiplyCodes(*product_, a, b, count, y);
  }

 private:
  std::optional<kernels::CodeProduct> product_;  // of this run
};

}  // namespace

void RegisterOnednnMul(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<MulOp>(name, suffixes);
  if (std::string(name) != "Int8Mul") return;
  // The host has the operator and no schema of it.
  RegisterNoGradient("Int8Mul");
  CAFFE2_QUANTIZATION_SCHEMA("Int8Mul")
      .NumInputs(2)
      .NumOutputs(1)
      .AllowInplace({{0, 0}, {1, 0}})
      .SetDoc("Product of two tensors; engines DNNLOWP and ONEDNN.")
      .Arg("broadcast", "1: B's sizes are a part of A's")
      .Arg("axis", "of A, where B's sizes begin; -1: B's are A's last")
      .Arg("axis_str", "the axis as a letter of order")
      .Arg("order", "for axis_str; NCHW")
      .Arg("dequantize_output", "1: the output is a float tensor")
      .Arg("Y_scale", "scale of the output")
      .Arg("Y_zero_point", "zero point of the output")
      .Input(0, "A", "Int8TensorCPU or float tensor")
      .Input(1, "B", "Int8TensorCPU or float tensor")
      .Output(0, "C", "Int8TensorCPU of the product")
      .TensorInferenceFunction([](const caffe2::OperatorDef& definition,
                                  const std::vector<caffe2::TensorShape>& in) {
        // Sizes are those of the float operator.
        const auto* const mul = caffe2::OpSchemaRegistry::Schema("Mul");
        std::vector<caffe2::TensorShape> out = mul->InferTensor(definition, in);
        const bool floats = caffe2::ArgumentHelper(definition)
                                .GetSingleArgument("dequantize_output", false);
        out[0].set_data_type(floats ? caffe2::TensorProto::FLOAT
                                    : caffe2::TensorProto::UINT8);
        return out;
      });
}

}  // namespace caffe2_quantization
