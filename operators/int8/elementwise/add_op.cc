// Add, Int8Add and Int8AddRelu under the engine ONEDNN: sums of two tensors.
//
//   A, B -> Y, which may be the blob of an input that has Y's sizes
//
//   A, B   Int8TensorCPU of uint8, or float tensors; one of each works too
//   Y      Int8TensorCPU of uint8, or with dequantize_output a float tensor:
//          A + B, for Int8AddRelu not below 0. Its sizes, and the arguments
//          broadcast, axis, axis_str and order, are explained in binary_op.h
//
// Parameters of Y come from the arguments (arguments.h), for Int8AddRelu
// changed to begin at 0; else they are chosen in every run, from the range of
// the host's float operator's output for the same inputs.
//
// A code is the exact sum of the inputs' values over Y's scale, rounded half to
// even, plus the zero point, saturated (add_codes.h). With floats it is that of
// what the float operator gives.
//
// What differs from DNNLOWP, beside errors for what it silently accepts:
//   - it adds the zero point before it rounds, and sums of unlike sizes, or of
//     floats, pass through 16 bits of the widest range of both;
//   - sizes that numpy would repeat are repeated; there they are refused, or
//     added in memory's order if both have as many values;
//   - codes of Y stay within activation_precision, which says nothing of the
//     inputs.
// Int8AddRelu is one of the host's default engine alone.
#include <array>

#include "operators/int8/elementwise/binary_op.h"
#include "operators/int8/engine/register_engine.h"

namespace caffe2_quantization {
namespace {

class AddOp final : public BinaryOp {
 public:
  AddOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : BinaryOp(definition, workspace, "Add") {}

 protected:
  void Prepare(const kernels::CodeScale& a, const kernels::CodeScale& b,
               float scale, const kernels::CodeRange& range) override {
    sum_ = kernels::CodeSum::Of<uint8_t>({a, b}, scale, range);
  }
  void ComputeCodes(const uint8_t* a, const uint8_t* b, int64_t count,
                    uint8_t* y) const override {
    const std::array<const uint8_t*, 2> addends = {a, b};
    kernels::AddCodes(sum_, addends.data(), 0, count, y);
  }

 private:
  kernels::CodeSum sum_;  // of this run
};

}  // namespace

void RegisterOnednnAdd(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<AddOp>(name, suffixes);
}

}  // namespace caffe2_quantization
