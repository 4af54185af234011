// Sum, SumRelu, Int8Sum and Int8SumRelu under the engine ONEDNN: sums of any
// number of tensors of one shape.
//
//   X0 [, X1, …] -> Y, which may be the blob of X0
//
//   Xi     Int8TensorCPU of uint8, or uint16 (engines ending in _16), or float
//          tensors, also some of each. One alone is requantized
//   Y      Int8TensorCPU of the same type, or with dequantize_output a float
//          tensor: the sum, with Relu in the name not below 0
//
// Parameters of Y come from the arguments (arguments.h), with Relu in the name
// changed to begin at 0; else they are chosen in every run, from the range of
// the host's float operator's output for the same inputs.
//
// A code is the exact sum of the inputs' values over Y's scale, rounded half to
// even, plus the zero point, saturated (add_codes.h). With floats it is that of
// what the float operator gives.
//
// What differs from DNNLOWP, beside errors for what it silently accepts:
//   - it adds the zero point before it rounds the sum of two; one of three and
//     more, or of 16 bits, passes through 16 bits of the widest range of all;
//   - of floats below 0 its upper part saturates, and it refuses floats beside
//     codes;
//   - inputs of unlike shapes, which it takes as one array, are refused;
//   - codes of Y stay within activation_precision, which says nothing of the
//     inputs.
#include <vector>

#include "operators/int8/elementwise/arithmetic_op.h"
#include "operators/int8/engine/register_engine.h"

namespace caffe2_quantization {
namespace {

template <typename T>
class SumOp final : public ArithmeticOp<T> {
 public:
  SumOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : ArithmeticOp<T>(definition, workspace, "Sum") {}

 protected:
  Status ReadArguments() override {
    if (this->InputSize() > 0 && this->OutputSize() == 1) return Status::Ok();
    return Refuse("it has ", this->InputSize(), " inputs and ",
                  this->OutputSize(), " outputs, expected 1 or more and 1");
  }

  void Compute() override {
    // The output may be in the place of an input.
    const std::vector<int64_t> sizes = this->SizesOf(0).vec();
    for (int i = 1; i < this->InputSize(); ++i) {
      const auto other = this->SizesOf(i);
      this->Enforce(other == at::IntArrayRef(sizes), "tensor '", this->Name(i),
                    "' has sizes ", other, ", expected those of '",
                    this->Name(0), "', ", at::IntArrayRef(sizes));
    }
    this->WriteOutput(
        sizes,
        [&](const QuantizationParams& y) {
          sum_ = kernels::CodeSum::Of<T>(this->scales(), y.scales[0],
                                         this->CodeRangeOf(y));
        },
        [&] {
          return [&](int64_t first, int64_t count, T* y) {
            kernels::AddCodes(sum_, this->codes().data(), first, count, y);
          };
        });
  }

 private:
  kernels::CodeSum sum_;  // of this run
};

}  // namespace

void RegisterOnednnSum(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<SumOp>(name, suffixes);
}

}  // namespace caffe2_quantization
