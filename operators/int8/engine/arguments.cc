#include "operators/int8/engine/arguments.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/nearest_name.h"
#include "base/return_if_error.h"
#include "netdef/dnnlowp_settings.h"
#include "netdef/read_argument.h"
#include "operators/enforce.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

// What Sigmoid and Tanh of 8 bits take: x / limit in 127 codes on either side
// of 128. The limits are where 1 - tanh(x / 2), 1 - tanh(x) fall below 0.02,
// rounded up to whole numbers.
constexpr double kSigmoidLimit = 6;
constexpr double kTanhLimit = 3;
constexpr int32_t kMiddleCode = 128;
constexpr int kCodesOfOneSide = 127;

// The options of activations or weights, of codes that storage_bits hold.
Status ReadOptions(const caffe2::OperatorDef& definition, bool is_weight,
                   int storage_bits, ChooseOptions* options) {
  ChooseOptions result;
  RETURN_IF_ERROR(DnnlowpOptions(definition, is_weight, &result));
  if (result.type.precision > storage_bits) {
    return Refuse(is_weight ? "weight" : "activation", "_precision is ",
                  result.type.precision, ", expected 1 to ", storage_bits,
                  " bits; engines ending in _16 have up to 16");
  }
  *options = result;
  return Status::Ok();
}

// The parameters that Y_scale and Y_zero_point give, if they do; of the second
// output, Y2_scale and Y2_zero_point.
Status GivenParameters(const caffe2::ArgumentHelper& arguments,
                       const std::string& output, const QuantizedType& type,
                       std::optional<QuantizationParams>* params) {
  std::optional<float> scale;
  std::optional<int64_t> zero_point;
  std::optional<std::string> followed_by;
  const std::string scale_name = output + "_scale";
  const std::string zero_point_name = output + "_zero_point";
  RETURN_IF_ERROR(FirstError(
      {ReadArgument(arguments, scale_name, "a float", &scale),
       ReadArgument(arguments, zero_point_name, "an integer", &zero_point),
       ReadArgument(arguments, "followed_by", "a string", &followed_by)}));
  if (!scale.has_value()) {
    if (!zero_point.has_value()) return Status::Ok();
    return Refuse("argument ", zero_point_name, " is ", *zero_point,
                  " without ", scale_name, ", expected both or none");
  }
  const int64_t zero_code = zero_point.value_or(0);
  if (zero_code < type.qmin() || zero_code > type.qmax()) {
    return Refuse("argument ", zero_point_name, " is ", zero_code,
                  ", expected a code, ", type.qmin(), " to ", type.qmax());
  }
  params->emplace(type, *scale, static_cast<int32_t>(zero_code));
  const Status status = (*params)->Validate();
  return status.ok() ? status
                     : Refuse("argument ", scale_name, ": ", status.message());
}

// Makes of given parameters those for [0, max].
Status Rectify(const ChooseOptions& options,
               std::optional<QuantizationParams>* params) {
  if (!params->has_value()) return Status::Ok();
  Choice choice;
  RETURN_IF_ERROR(
      ChooseFromRange(0, (*params)->RepresentedMax(0), options, &choice));
  params->emplace(options.type, choice.scale, choice.zero_point);
  return (*params)->Validate();
}

}  // namespace

Status ReadIntArgument(const caffe2::OperatorDef& definition,
                       const std::string& name, int64_t* value) {
  return ReadArgument(caffe2::ArgumentHelper(definition), name, "an integer",
                      value);
}

Status ReadBoolArgument(const caffe2::OperatorDef& definition,
                        const std::string& name, bool* value) {
  return ReadBoolArgument(caffe2::ArgumentHelper(definition), name, value);
}

Status ReadOrderArgument(const caffe2::OperatorDef& definition,
                         bool* channels_first, const std::string& name) {
  std::string order = "NCHW";
  RETURN_IF_ERROR(ReadArgument(caffe2::ArgumentHelper(definition), name,
                               "a string", &order));
  *channels_first = order == "NCHW" || order == "nchw";
  if (!*channels_first && order != "NHWC" && order != "nhwc") {
    return Refuse("argument ", name, " is '", order, "', expected NCHW or NHWC",
                  DidYouMean(order, {"NCHW", "NHWC"}));
  }
  return Status::Ok();
}

Status ActivationOptions(const caffe2::OperatorDef& definition,
                         int storage_bits, ChooseOptions* options) {
  return ReadOptions(definition, /*is_weight=*/false, storage_bits, options);
}

Status ReadEngineArguments(const caffe2::OperatorDef& definition,
                           int storage_bits, bool relu_fused,
                           EngineArguments* arguments, const ArgumentSet& set) {
  EngineArguments result;
  if (set.parameters) {
    RETURN_IF_ERROR(
        ActivationOptions(definition, storage_bits, &result.activations));
  }
  if (set.weights) {
    RETURN_IF_ERROR(ReadOptions(definition, /*is_weight=*/true, storage_bits,
                                &result.weights));
  }
  if (set.output_form) {
    RETURN_IF_ERROR(
        FirstError({ReadBoolArgument(definition, "dequantize_output",
                                     &result.dequantize_output),
                    ReadBoolArgument(definition, "measure_quantization_error",
                                     &result.measure_quantization_error)}));
  }
  if (set.parameters) {
    // What a fused Relu stands in for is still read, so that it is refused if
    // it must be.
    RETURN_IF_ERROR(
        StaticParameters(definition, result.activations, &result.outputs[0]));
    const auto followed_by =
        caffe2::ArgumentHelper(definition)
            .GetSingleArgument<std::string>("followed_by", "");
    result.output_is_rectified = relu_fused || followed_by == "Relu";
    if (relu_fused && followed_by != "Relu") {
      result.outputs[0].reset();
      RETURN_IF_ERROR(FirstError(
          {GivenParameters(caffe2::ArgumentHelper(definition), "Y",
                           result.activations.type, &result.outputs[0]),
           Rectify(result.activations, &result.outputs[0])}));
    }
    if (set.code_outputs > 1) {
      RETURN_IF_ERROR(GivenParameters(caffe2::ArgumentHelper(definition), "Y2",
                                      result.activations.type,
                                      &result.outputs[1]));
      if (!followed_by.empty()) {
        return Refuse("argument followed_by is '", followed_by,
                      "', expected none for an operator with ",
                      set.code_outputs, " outputs");
      }
    }
  }
  *arguments = result;
  return Status::Ok();
}

Status StaticParameters(const caffe2::OperatorDef& definition,
                        const ChooseOptions& options,
                        std::optional<QuantizationParams>* params) {
  const caffe2::ArgumentHelper arguments(definition);
  std::optional<QuantizationParams> result;
  RETURN_IF_ERROR(GivenParameters(arguments, "Y", options.type, &result));
  const auto followed_by =
      arguments.GetSingleArgument<std::string>("followed_by", "");
  if (followed_by == "Sigmoid" || followed_by == "Tanh") {
    const double limit = followed_by == "Tanh" ? kTanhLimit : kSigmoidLimit;
    result.emplace(options.type, static_cast<float>(limit / kCodesOfOneSide),
                   kMiddleCode);
    const Status status = result->Validate();
    if (!status.ok()) {
      return Refuse("argument followed_by is ", followed_by, ": ",
                    status.message());
    }
  } else if (followed_by == "Relu") {
    RETURN_IF_ERROR(Rectify(options, &result));
  } else if (arguments.HasArgument("followed_by")) {
    return Refuse("argument followed_by is '", followed_by,
                  "', expected Relu, Sigmoid or Tanh");
  }
  *params = std::move(result);
  return Status::Ok();
}

Status ChooseOutputParameters(const caffe2::Tensor* y,
                              const ChooseOptions& options, bool is_rectified,
                              QuantizationParams* params) {
  float min = 0, max = 0;
  if (y != nullptr && y->numel() > 0) {
    const auto extremes = kernels::MinMax(y->data<float>(), y->numel());
    if (extremes.left_out() > 0) {
      return Refuse(
          extremes.left_out(), " of ", y->numel(),
          " float outputs are NaN or infinite and have no range to choose "
          "parameters of, expected finite values, or Y_scale and Y_zero_point");
    }
    min = is_rectified ? std::max(extremes.min, 0.0f) : extremes.min;
    max = is_rectified ? std::max(extremes.max, 0.0f) : extremes.max;
  }
  Choice choice;
  RETURN_IF_ERROR(ChooseFromRange(min, max, options, &choice));
  *params = QuantizationParams(options.type, choice.scale, choice.zero_point);
  return Status::Ok();
}

}  // namespace caffe2_quantization
