// Int8FCPackWeight under the engine ONEDNN: weights of FC in the form in which
// Int8FC of this engine multiplies them, made once, in an initial net.
//
//   W [, b] -> packed [, b codes]
//
//   W        float tensor or Int8TensorCPU of uint8, [N, K] by axis_w
//   b        optional: float tensor [N], or Int8TensorCPU of int32
//   packed   PackedFcWeights (fc_weights.h): ours alone, not to be mistaken for
//            what DNNLOWP's operator of the same name makes. It serves any
//            number of operators and nets
//   b codes  optional: Int8TensorCPU of int32, the bias in units of in_scale *
//            W's scale; not with one parameter set per row, for which it has no
//            scale
//
// Arguments: axis_w; quantize_channelwise, or an engine with _ROWWISE: one
// parameter set per row; in_scale: the scale of the input, which a bias needs;
// save_unpacked_weights: keep the codes too (Int8FC with outputs for debugging
// asks for them); the arguments for weights (netdef/dnnlowp_settings.h).
// nbits_in_non_outlier of _ACC16 has no effect: sums are exact.
#include <algorithm>
#include <cmath>
#include <limits>

#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/products/fc_weights.h"

namespace caffe2_quantization {
namespace {

constexpr int kWeights = 0, kBias = 1;
constexpr int kPacked = 0, kBiasCodes = 1;

class FcPackWeightOp final : public Int8Operator<uint8_t> {
 public:
  FcPackWeightOp(const caffe2::OperatorDef& definition,
                 caffe2::Workspace* workspace, EngineSuffix suffix)
      : Int8Operator(definition, workspace, OperatorForm()) {
    options_.per_row = suffix.per_row;
  }

 protected:
  Status ReadArguments() override {
    options_.choose = arguments().weights;
    return FirstError({ReadFcWeightsOptions(debug_def(), &options_),
                       ReadBoolArgument(debug_def(), "save_unpacked_weights",
                                        &options_.keep_codes)});
  }
  void Compute() override {
    PackedFcWeights packed;
    EnforceOk(*this,
              MakeFcWeights(InputBlob(kWeights), options_, &packed.weights),
              "blob '", Name(kWeights), "': ");
    if (InputSize() > kBias) {
      packed.bias = std::make_shared<const Bias>(PackBias(*packed.weights));
    }
    if (OutputSize() > kBiasCodes) {
      Enforce(packed.bias != nullptr, "output '",
              debug_def().output(kBiasCodes),
              "' is the bias as codes and there is no bias, expected a "
              "second input");
      Enforce(!options_.per_row, "output '", debug_def().output(kBiasCodes),
              "' would need a scale a row, which an Int8TensorCPU does not "
              "have; expected weights of one parameter set");
      auto* const codes = Int8Output(kBiasCodes);
      codes->scale = packed.bias->units[0];
      codes->zero_point = 0;
      codes->t.Resize(packed.weights->n);
      std::copy(packed.bias->codes.begin(), packed.bias->codes.end(),
                codes->t.mutable_data<int32_t>());
    }
    *OperatorBase::Output<PackedFcWeights>(kPacked) = std::move(packed);
  }

 private:
  // The bias as codes in units of the input's scale times the weights'.
  Bias PackBias(const FcWeights<int8_t>& weights) {
    Enforce(HasSingleArgumentOfType<float>("in_scale"), "argument in_scale is ",
            HasArgument("in_scale") ? "not a float" : "not given",
            ", expected the scale of the input, in which the bias '",
            Name(kBias), "' becomes codes");
    const float in_scale = GetSingleArgument<float>("in_scale", 1);
    EnforceOk(
        *this,
        QuantizationParams(QuantizedType::UInt8(), in_scale, 0).Validate(),
        "argument in_scale: ");
    const std::vector<float>& scales = weights.quantized.scales;
    const Bias given = ReadBias(this, kBias, weights.n, BiasOwner::kFc);
    onednn::ProductBias product =
        BiasInUnits(*this, kBias, given, in_scale, scales,
                    /*check_unit=*/scales.size() == 1, BiasOwner::kFc);
    Bias packed;
    for (const float scale : scales) packed.units.push_back(in_scale * scale);
    packed.is_packed = true;
    packed.codes = std::move(product.codes);
    if (product.large.empty()) return packed;
    // What codes do not hold is kept; the codes that are given out saturate.
    packed.values = BiasValues(given);
    for (int64_t i = 0; i < weights.n; ++i) {
      if (product.large[i] == 0) continue;
      constexpr double kSmallest = std::numeric_limits<int32_t>::min();
      constexpr double kLargest = std::numeric_limits<int32_t>::max();
      packed.codes[i] = static_cast<int32_t>(
          std::clamp(std::nearbyint(double{product.large[i]} / packed.unit(i)),
                     kSmallest, kLargest));
    }
    return packed;
  }

  FcWeightsOptions options_;
};

}  // namespace

void RegisterOnednnFCPackWeight(const char* name,
                                const EngineSuffixes& suffixes) {
  RegisterEngine<FcPackWeightOp>(name, suffixes);
}

}  // namespace caffe2_quantization
