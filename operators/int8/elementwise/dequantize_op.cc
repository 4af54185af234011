// Dequantize, Int8Dequantize and Int8DequantizeRowWise under the engine ONEDNN:
// unsigned codes to floats.
//
//   X -> Y
//
//   X   Int8TensorCPU of any shape, of uint8, or uint16 (engines ending in
//       _16), with its scale and zero point
//   Y   float tensor of X's shape: scale * (X - zero_point), rounded once
//
// Int8DequantizeRowWise is the same operator, as in DNNLOWP: an Int8TensorCPU
// has one scale. The argument: with output_order NCHW, X is [N, ..., C], of 3
// to 5 dimensions, and Y is [N, C, ...], the same values with their channels
// first, in one pass (quantization/quantize_order.h). NHWC, the default, leaves
// them where they are.

#include <string>
#include <vector>

#include "operators/int8/elementwise/image_strips.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/engine/switched_order.h"
#include "operators/registration.h"
#include "quantization/quantize_order.h"

namespace caffe2_quantization {
namespace {

template <typename T>
class DequantizeOp final : public Int8Operator<T> {
 public:
  DequantizeOp(const caffe2::OperatorDef& definition,
               caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace, KeepsParameters(nullptr)) {}

 protected:
  Status ReadArguments() override {
    if (!this->HasArgument("output_order")) return Status::Ok();
    return ReadOrderArgument(this->debug_def(), &moves_channels_,
                             "output_order");
  }

  void Compute() override {
    const std::string& name = this->Name(0);
    CAFFE_ENFORCE(this->IsCodes(0), this->type(), ": blob '", name,
                  "' holds a ", this->InputBlob(0).TypeName(),
                  ", expected an Int8TensorCPU");
    const auto& x = this->Int8Input(0);
    CAFFE_ENFORCE(x.t.template IsType<T>(), this->type(), ": tensor '", name,
                  "' is of type ", x.t.dtype().name(), ", expected ",
                  params_.type.Name());
    EnforceOk(*this, SetParameters(x.scale, x.zero_point, &params_), "tensor '",
              name, "': ");
    if (moves_channels_) return WriteChannelsFirst(x.t);
    DequantizeOneSet(x.t.template data<T>(), x.t.numel(), params_,
                     this->OutputFloats(x.t.sizes()));
  }

 private:
  void WriteChannelsFirst(const caffe2::Tensor& x) {
    const std::vector<int64_t> sizes = x.sizes().vec();
    this->Enforce(sizes.size() >= 3 && sizes.size() <= 5, "tensor '",
                  this->Name(0), "' has sizes ", at::IntArrayRef(sizes),
                  ", and argument output_order is NCHW, expected 3 to 5 "
                  "dimensions: [N, ..., C]");
    float* const values =
        this->OutputFloats(SwitchedSizes(sizes, /*channels_last=*/false));
    const T* const codes = x.template data<T>();
    ForEachStrip(sizes, [&](int64_t image, int64_t pixels, int64_t channels,
                            int64_t first, int64_t count) {
      const int64_t begin = image * pixels * channels;
      DequantizeToChannelsFirst(codes + begin + first * channels, channels,
                                count, params_, values + begin + first, pixels);
    });
  }

  bool moves_channels_ = false;
  QuantizationParams params_{{8 * sizeof(T), false}, 1, 0};
};

std::vector<caffe2::TensorShape> InferShape(
    const caffe2::OperatorDef& definition,
    const std::vector<caffe2::TensorShape>& in) {
  std::vector<caffe2::TensorShape> out{in[0]};
  out[0].set_data_type(caffe2::TensorProto::FLOAT);
  SwitchByArgument(definition, "output_order", /*channels_last=*/false,
                   &out[0]);
  return out;
}

}  // namespace

void RegisterOnednnDequantize(const char* name,
                              const EngineSuffixes& suffixes) {
  RegisterEngine<DequantizeOp>(name, suffixes);
  if (std::string(name) != "Int8DequantizeRowWise") {
    return ReplaceInference(name, InferShape);
  }
  // The host has the operator and no schema of it.
  RegisterNoGradient("Int8DequantizeRowWise");
  CAFFE2_QUANTIZATION_SCHEMA("Int8DequantizeRowWise")
      .NumInputs(1)
      .NumOutputs(1)
      .SetDoc("Int8 tensor to floats; engines DNNLOWP and ONEDNN.")
      .Arg("output_order",
           "NCHW: X is [N, ..., C], and Y [N, C, ...]; engine ONEDNN")
      .Input(0, "X", "Int8TensorCPU with its scale and zero point")
      .Output(0, "Y", "float tensor of X's shape")
      .TensorInferenceFunction(InferShape);
}

}  // namespace caffe2_quantization
