// AveragePool, Int8AveragePool and Int8AveragePoolRelu under the engine ONEDNN.
//
//   X -> Y
//
//   X   Int8TensorCPU of uint8, or uint16 (engines ending in _16), [N, C,
//   in...]
//       or, with the order NHWC, [N, in..., C], of 1 to 3 dimensions; N may be
//       0. Or floats
//   Y   Int8TensorCPU with its scale and zero point: the average of each window
//
//   y = clamp(round(x_scale * sum(x - x_zero_point) / (count * y_scale))
//             + y_zero_point)
//
// The sum is exact and goes over the window's codes inside of the input. count
// is their number or, with count_include_pad, the size of the kernel. The
// quotient is rounded once, half to even, before the zero point is added. Of
// floats, Y has the codes of what the host's float operator gives.
//
// Arguments: engine/window_geometry.h without dilation; count_include_pad
// (default 0); arguments.h. Without Y_scale the host's float AveragePool runs
// first, in every run, and its range gives the parameters. Relu sets negative
// averages to 0, and the parameters are those for [0, max].
//
// DNNLOWP does not read count_include_pad, refuses dequantize_output and one
// dimension, adds the zero point before it rounds, and makes codes of floats
// first; it has no Int8AveragePoolRelu.
#include <string>

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/pooling/pool_geometry.h"

namespace caffe2_quantization {
namespace {

template <typename T>
class AveragePoolOp final : public Int8Operator<T> {
 public:
  AveragePoolOp(const caffe2::OperatorDef& definition,
                caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace,
                        ComputesCodes("AveragePool", 1,
                                      definition.type().find("Relu") !=
                                          std::string::npos)) {
    this->Enforce(this->InputSize() == 1 && this->OutputSize() == 1,
                  this->InputSize(), " inputs and ", this->OutputSize(),
                  " outputs, expected one of each");
    EnforceOk(*this, PoolGeometry::Read(definition, &geometry_));
  }

 protected:
  Status ReadArguments() override {
    bool include_pad = false;
    RETURN_IF_ERROR(
        ReadBoolArgument(this->debug_def(), "count_include_pad", &include_pad));
    divisor_ = include_pad ? geometry_.kernel_values() : 0;
    return Status::Ok();
  }

  void Compute() override {
    if (!this->IsCodes(0)) {
      return this->WriteCodesOfReference(
          PlanFor(FloatInput(this, 0).sizes()).output_sizes);
    }
    const InputCodes<T>& x = this->Input(0);
    const PoolPlan plan = PlanFor(x.sizes);
    this->RunReference(/*is_empty=*/plan.shape.batch == 0);
    const QuantizationParams& y = this->OutputParameters();
    const kernels::AverageRounding rounding{
        x.scale(), x.zero_point(), y.scales[0], this->CodeRangeOf(y), divisor_};
    this->WriteCodes(plan.output_sizes, y, [&](T* codes) {
      WritePoolLines(plan.shape, codes,
                     [&](int64_t begin, int64_t end, T* dst) {
                       kernels::AveragePool(plan.shape, x.codes, rounding,
                                            begin, end, dst);
                     });
    });
  }

  caffe2::OperatorDef ReferenceDefinition() const override {
    return geometry_.FloatDefinition(this->debug_def());
  }

 private:
  PoolPlan PlanFor(at::IntArrayRef sizes) const {
    PoolPlan plan;
    EnforceOk(*this, geometry_.PlanFor({this->Name(0), sizes.vec()}, &plan));
    return plan;
  }

  PoolGeometry geometry_;
  int64_t divisor_ = 0;
};

}  // namespace

void RegisterOnednnAveragePool(const char* name,
                               const EngineSuffixes& suffixes) {
  RegisterEngine<AveragePoolOp>(name, suffixes);
}

}  // namespace caffe2_quantization
