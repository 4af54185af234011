#include "operators/int8/output_parameters.h"

#include <cstdint>
#include <string>
#include <utility>

#include "caffe2/utils/proto_utils.h"
#include "netdef/dnnlowp_settings.h"
#include "netdef/read_argument.h"

namespace caffe2_quantization {
namespace {

// What Sigmoid and Tanh of 8 bits take: x / limit in 127 codes on either side
// of 128. The limits are where 1 - tanh(x / 2), 1 - tanh(x) fall below 0.02,
// rounded up to whole numbers.
constexpr double kSigmoidLimit = 6;
constexpr double kTanhLimit = 3;
constexpr int32_t kMiddleCode = 128;
constexpr int kCodesOfOneSide = 127;

}  // namespace

Status ActivationOptions(const caffe2::OperatorDef& definition,
                         int storage_bits, ChooseOptions* options) {
  ChooseOptions result;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      DnnlowpOptions(definition, /*is_weight=*/false, &result));
  if (result.type.precision > storage_bits) {
    return Status::InvalidArgument(
        "activation_precision is " + std::to_string(result.type.precision) +
        ", expected 1 to " + std::to_string(storage_bits) +
        " bits; engines ending in _16 have up to 16");
  }
  *options = result;
  return Status::Ok();
}

Status StaticParameters(const caffe2::OperatorDef& definition,
                        const ChooseOptions& options,
                        std::optional<QuantizationParams>* params) {
  const caffe2::ArgumentHelper arguments(definition);
  std::optional<float> scale;
  std::optional<int64_t> zero_point;
  std::optional<std::string> followed_by;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadArgument(arguments, "Y_scale", "a float", &scale));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadArgument(arguments, "Y_zero_point", "an integer", &zero_point));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadArgument(arguments, "followed_by", "a string", &followed_by));
  if (zero_point.has_value() && !scale.has_value()) {
    return Status::InvalidArgument("argument Y_zero_point is " +
                                   std::to_string(*zero_point) +
                                   " without Y_scale, expected both or none");
  }

  std::optional<QuantizationParams> result;
  if (scale.has_value()) {
    const int64_t zero_code = zero_point.value_or(0);
    const int32_t qmin = options.type.qmin(), qmax = options.type.qmax();
    if (zero_code < qmin || zero_code > qmax) {
      return Status::InvalidArgument(
          "argument Y_zero_point is " + std::to_string(zero_code) +
          ", expected a code, " + std::to_string(qmin) + " to " +
          std::to_string(qmax));
    }
    result.emplace(options.type, *scale, static_cast<int32_t>(zero_code));
    const Status status = result->Validate();
    if (!status.ok()) {
      return Status::InvalidArgument("argument Y_scale: " + status.message());
    }
  }
  if (followed_by == "Sigmoid" || followed_by == "Tanh") {
    const double limit = followed_by == "Tanh" ? kTanhLimit : kSigmoidLimit;
    result.emplace(options.type, static_cast<float>(limit / kCodesOfOneSide),
                   kMiddleCode);
    const Status status = result->Validate();
    if (!status.ok()) {
      return Status::InvalidArgument("argument followed_by is " + *followed_by +
                                     ": " + status.message());
    }
  } else if (followed_by == "Relu") {
    if (result.has_value()) {
      Choice choice;
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
          ChooseFromRange(0, result->RepresentedMax(0), options, &choice));
      result.emplace(options.type, choice.scale, choice.zero_point);
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(result->Validate());
    }
  } else if (followed_by.has_value()) {
    return Status::InvalidArgument("argument followed_by is '" + *followed_by +
                                   "', expected Relu, Sigmoid or Tanh");
  }
  *params = std::move(result);
  return Status::Ok();
}

}  // namespace caffe2_quantization
