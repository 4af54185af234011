// MaxPool, Int8MaxPool and Int8MaxPoolRelu under the engine ONEDNN.
//
//   X -> Y
//
//   X   Int8TensorCPU of uint8, or uint16 (engines ending in _16), [N, C,
//   in...]
//       or, with the order NHWC, [N, in..., C], of 1 to 3 dimensions; N may be
//       0. Or floats, which become codes by their smallest and largest value,
//       as Quantize makes them
//   Y   Int8TensorCPU with the scale and zero point of X: the largest code of
//       each window; Relu: the zero point at least. Padding counts as nothing
//
// Arguments: engine/window_geometry.h without dilation; dequantize_output,
// measure_quantization_error; of floats also those by which parameters are
// chosen. Nothing is rounded: codes are those of the float operator's maxima.
//
// As in DNNLOWP, Y_scale and Y_zero_point are not read. DNNLOWP refuses
// dequantize_output, and has no Int8MaxPoolRelu.
#include <string>

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/pooling/pool_geometry.h"

namespace caffe2_quantization {
namespace {

template <typename T>
class MaxPoolOp final : public Int8Operator<T> {
 public:
  MaxPoolOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace, KeepsParameters("MaxPool")),
        rectifies_(definition.type().find("Relu") != std::string::npos) {
    this->Enforce(this->InputSize() == 1 && this->OutputSize() == 1,
                  this->InputSize(), " inputs and ", this->OutputSize(),
                  " outputs, expected one of each");
    EnforceOk(*this, PoolGeometry::Read(definition, &geometry_));
  }

 protected:
  Status ReadArguments() override {
    return ActivationOptions(this->debug_def(), 8 * sizeof(T), &options_);
  }

  void Compute() override {
    if (!this->IsCodes(0)) floats_.Read(this, 0, options_);
    const InputCodes<T>& x = this->IsCodes(0) ? this->Input(0) : floats_;
    PoolPlan plan;
    EnforceOk(*this, geometry_.PlanFor({this->Name(0), x.sizes.vec()}, &plan));
    const T least = rectifies_ ? static_cast<T>(x.zero_point()) : T{0};
    this->WriteCodes(plan.output_sizes, x.params, [&](T* y) {
      WritePoolLines(plan.shape, y, [&](int64_t begin, int64_t end, T* dst) {
        kernels::MaxPool(plan.shape, x.codes, least, begin, end, dst);
      });
    });
  }

  caffe2::OperatorDef ReferenceDefinition() const override {
    return geometry_.FloatDefinition(this->debug_def());
  }

  void FinishReference(caffe2::Tensor* y) override {
    if (!rectifies_) return;
    auto* const values = y->template mutable_data<float>();
    for (int64_t i = 0; i < y->numel(); ++i) {
      values[i] = std::max(values[i], 0.0f);
    }
  }

 private:
  const bool rectifies_;
  PoolGeometry geometry_;
  ChooseOptions options_;
  InputCodes<T> floats_;
};

}  // namespace

void RegisterOnednnMaxPool(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<MaxPoolOp>(name, suffixes);
}

}  // namespace caffe2_quantization
