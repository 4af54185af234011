// Quantize and Int8Quantize under the engine ONEDNN: floats to unsigned codes.
//
//   X [, params] -> Y
//
//   X       float tensor of any shape
//   params  optional: an Int8QuantParamsBlob (int8_quant_blobs.h)
//   Y       Int8TensorCPU of X's shape; uint8, or uint16 (engines ending in
//           _16), with its scale and zero point
//
// With the argument input_order NCHW, X is [N, C, ...], of 3 to 5 dimensions,
// and Y is [N, ..., C]: the codes are those of Quantize with their channels
// last, in one pass (quantization/quantize_order.h). NHWC, the default, leaves
// them where they are.
//
// Scale and zero point come from params; else from the arguments Y_scale,
// Y_zero_point and followed_by (arguments.h); else from X's smallest and
// largest value, in every run, by ChooseFromRange. As in DNNLOWP, the argument
// activation_quantization_kind has no effect on that.
//
// Arguments beside these: activation_precision, bits of a code, up to 8 or 16;
// preserve_activation_sparsity and force_scale_power_of_two, as
// dnnlowp_settings.h has them. Rounding: quantization/quantize.h.
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
class QuantizeOp final : public Int8Operator<T> {
 public:
  QuantizeOp(const caffe2::OperatorDef& definition,
             caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace,
                        {nullptr, 0, /*params_input=*/1, /*rectifies=*/false,
                         kParametersAlone}) {}

 protected:
  Status ReadArguments() override {
    if (!this->HasArgument("input_order")) return Status::Ok();
    return ReadOrderArgument(this->debug_def(), &moves_channels_,
                             "input_order");
  }

  void Compute() override {
    const caffe2::Tensor& x = FloatInput(this, 0);
    if (moves_channels_) CheckImages(x.sizes());
    const QuantizationParams& params = ParametersOf(x);
    if (moves_channels_) return WriteChannelsLast(x, params);
    QuantizeOneSet(x.data<float>(), x.numel(), params,
                   this->OutputCodes(x.sizes(), params));
  }

 private:
  void CheckImages(at::IntArrayRef sizes) const {
    this->Enforce(sizes.size() >= 3 && sizes.size() <= 5, "tensor '",
                  this->Name(0), "' has sizes ", sizes,
                  ", and argument input_order is NCHW, expected 3 to 5 "
                  "dimensions: [N, C, ...]");
  }

  void WriteChannelsLast(const caffe2::Tensor& x,
                         const QuantizationParams& params) {
    const auto sizes = SwitchedSizes(x.sizes().vec(), /*channels_last=*/true);
    T* const codes = this->OutputCodes(sizes, params);
    const auto* const values = x.data<float>();
    ForEachStrip(sizes, [&](int64_t image, int64_t pixels, int64_t channels,
                            int64_t first, int64_t count) {
      const int64_t begin = image * pixels * channels;
      QuantizeToChannelsLast(values + begin + first, channels, count, pixels,
                             params, codes + begin + first * channels);
    });
  }

  const QuantizationParams& ParametersOf(const caffe2::Tensor& x) {
    if (this->HasGivenParameters()) return this->OutputParameters();
    const ChooseOptions& options = this->arguments().activations;
    chosen_.type = options.type;
    ChooseInputParameters(this, 0, x, options,
                          "expected finite values, or Y_scale and Y_zero_point",
                          &chosen_);
    return chosen_;
  }

  bool moves_channels_ = false;
  QuantizationParams chosen_;
};

}  // namespace

void RegisterOnednnQuantize(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<QuantizeOp>(name, suffixes);
  const bool is_int8 = std::string(name) == "Int8Quantize";
  ReplaceInference(name, [is_int8](const caffe2::OperatorDef& definition,
                                   const std::vector<caffe2::TensorShape>& in) {
    std::vector<caffe2::TensorShape> out{in[0]};
    if (is_int8) out[0].set_data_type(caffe2::TensorProto::UINT8);
    SwitchByArgument(definition, "input_order", /*channels_last=*/true,
                     &out[0]);
    return out;
  });
}

}  // namespace caffe2_quantization
