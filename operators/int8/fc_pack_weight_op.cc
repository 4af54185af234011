#include "operators/int8/fc_pack_weight_op.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "base/text.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/int8_arguments.h"
#include "operators/registration.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

constexpr int kWeights = 0, kBias = 1;
constexpr int kPacked = 0, kBiasCodes = 1;

template <bool kPerRow>
class FcPackWeightOpOfKind final : public FcPackWeightOp {
 public:
  FcPackWeightOpOfKind(const caffe2::OperatorDef& definition,
                       caffe2::Workspace* workspace)
      : FcPackWeightOp(definition, workspace, kPerRow) {}
};

}  // namespace

FcPackWeightOp::FcPackWeightOp(const caffe2::OperatorDef& definition,
                               caffe2::Workspace* workspace, bool per_row)
    : Operator(definition, workspace), per_row_(per_row) {}

FcWeightsOptions FcPackWeightOp::ReadOptions() const {
  FcWeightsOptions options;
  const auto read = [&]() -> Status {
    Int8Arguments arguments;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadInt8Arguments(debug_def(), 8, /*relu_fused=*/false, &arguments));
    options.choose = arguments.weights;
    int64_t axis_w = 1;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadIntArgument(debug_def(), "axis_w", &axis_w));
    options.axis_w = static_cast<int>(axis_w);
    if (options.axis_w != axis_w) {
      return Status::InvalidArgument("argument axis_w is " +
                                     std::to_string(axis_w) +
                                     ", expected a dimension");
    }
    bool channelwise = false;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadBoolArgument(debug_def(), "quantize_channelwise", &channelwise));
    options.per_row = per_row_ || channelwise;
    return ReadBoolArgument(debug_def(), "save_unpacked_weights",
                            &options.keep_codes);
  };
  const Status status = read();
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  return options;
}

FcBias FcPackWeightOp::PackBias(const FcWeights<int8_t>& weights) const {
  CAFFE_ENFORCE(HasSingleArgumentOfType<float>("in_scale"), type(),
                ": argument in_scale is ",
                HasArgument("in_scale") ? "not a float" : "not given",
                ", expected the scale of the input, in which the bias '",
                debug_def().input(kBias), "' becomes codes");
  const float in_scale = GetSingleArgument<float>("in_scale", 1);
  Status status =
      QuantizationParams(QuantizedType::UInt8(), in_scale, 0).Validate();
  CAFFE_ENFORCE(status.ok(), type(), ": argument in_scale: ", status.message());
  FcBias given, codes;
  ProductBias product;
  status = ReadFcBias(*Inputs()[kBias], weights.n, &given);
  if (status.ok()) status = BiasCodes(given, in_scale, weights, &product);
  CAFFE_ENFORCE(status.ok(), type(), ": blob '", debug_def().input(kBias),
                "': ", status.message());
  for (const float scale : weights.quantized.scales) {
    codes.units.push_back(in_scale * scale);
  }
  codes.is_packed = true;
  codes.codes = std::move(product.codes);
  if (!product.large.empty()) {
    // What codes do not hold is kept; the codes that are given out saturate.
    codes.values = BiasValues(given);
    for (int64_t i = 0; i < weights.n; ++i) {
      if (product.large[i] == 0) continue;
      constexpr double kSmallest = std::numeric_limits<int32_t>::min();
      constexpr double kLargest = std::numeric_limits<int32_t>::max();
      codes.codes[i] = static_cast<int32_t>(
          std::clamp(std::nearbyint(double{product.large[i]} / codes.unit(i)),
                     kSmallest, kLargest));
    }
  }
  return codes;
}

bool FcPackWeightOp::RunOnDevice() {
  const FcWeightsOptions options = ReadOptions();
  PackedFcWeights packed;
  const Status status =
      MakeFcWeights(InputBlob(kWeights), options, &packed.weights);
  CAFFE_ENFORCE(status.ok(), type(), ": blob '", debug_def().input(kWeights),
                "': ", status.message());
  if (InputSize() > kBias) {
    packed.bias = std::make_shared<const FcBias>(PackBias(*packed.weights));
  }
  if (OutputSize() > kBiasCodes) {
    CAFFE_ENFORCE(packed.bias != nullptr, type(), ": output '",
                  debug_def().output(kBiasCodes),
                  "' is the bias as codes and there is no bias, expected a "
                  "second input");
    CAFFE_ENFORCE(!options.per_row, type(), ": output '",
                  debug_def().output(kBiasCodes),
                  "' would need a scale a row, which an Int8TensorCPU does not "
                  "have; expected weights of one parameter set");
    auto* const codes = OperatorBase::Output<Int8TensorCPU>(kBiasCodes);
    codes->scale = packed.bias->units[0];
    codes->zero_point = 0;
    codes->t.Resize(packed.weights->n);
    std::copy(packed.bias->codes.begin(), packed.bias->codes.end(),
              codes->t.mutable_data<int32_t>());
  }
  *OperatorBase::Output<PackedFcWeights>(kPacked) = std::move(packed);
  return true;
}

void RegisterOnednnInt8FCPackWeight() {
  using Op = FcPackWeightOpOfKind<false>;
  RegisterCpuOperator<Op>("Int8FCPackWeight_ENGINE_ONEDNN");
  RegisterCpuOperator<Op>("Int8FCPackWeight_ENGINE_ONEDNN_ACC16");
  RegisterCpuOperator<FcPackWeightOpOfKind<true>>(
      "Int8FCPackWeight_ENGINE_ONEDNN_ROWWISE");
}

}  // namespace caffe2_quantization
