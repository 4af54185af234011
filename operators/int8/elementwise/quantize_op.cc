// Quantize and Int8Quantize under the engine ONEDNN: floats to unsigned codes.
//
//   X [, params] -> Y
//
//   X       float tensor of any shape
//   params  optional: an Int8QuantParamsBlob (int8_quant_blobs.h)
//   Y       Int8TensorCPU of X's shape; uint8, or uint16 (engines ending in
//           _16), with its scale and zero point
//
// Scale and zero point come from params; else from the arguments Y_scale,
// Y_zero_point and followed_by (arguments.h); else from X's smallest and
// largest value, in every run, by ChooseFromRange. As in DNNLOWP, the argument
// activation_quantization_kind has no effect on that.
//
// Arguments beside these: activation_precision, bits of a code, up to 8 or 16;
// preserve_activation_sparsity and force_scale_power_of_two, as
// dnnlowp_settings.h has them. Rounding: quantization/quantize.h.
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"

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
  void Compute() override {
    const caffe2::Tensor& x = FloatInput(this, 0);
    const QuantizationParams& params = ParametersOf(x);
    QuantizeOneSet(x.data<float>(), x.numel(), params,
                   this->OutputCodes(x.sizes(), params));
  }

 private:
  const QuantizationParams& ParametersOf(const caffe2::Tensor& x) {
    if (this->HasGivenParameters()) return this->OutputParameters();
    const ChooseOptions& options = this->arguments().activations;
    chosen_.type = options.type;
    ChooseInputParameters(this, 0, x, options,
                          "expected finite values, or Y_scale and Y_zero_point",
                          &chosen_);
    return chosen_;
  }

  QuantizationParams chosen_;
};

}  // namespace

void RegisterOnednnQuantize(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<QuantizeOp>(name, suffixes);
}

}  // namespace caffe2_quantization
