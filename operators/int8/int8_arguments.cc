#include "operators/int8/int8_arguments.h"

#include <algorithm>
#include <cstdint>

#include "netdef/dnnlowp_settings.h"
#include "netdef/read_argument.h"
#include "operators/int8/output_parameters.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

Status CheckPrecision(const char* name, int precision, int storage_bits) {
  if (precision <= storage_bits) return Status::Ok();
  return Status::InvalidArgument(
      std::string(name) + " is " + std::to_string(precision) +
      ", expected 1 to " + std::to_string(storage_bits) +
      " bits; engines ending in _16 have up to 16");
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

Status ReadInt8Arguments(const caffe2::OperatorDef& definition,
                         int storage_bits, bool relu_fused,
                         Int8Arguments* arguments) {
  Int8Arguments result;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ActivationOptions(definition, storage_bits, &result.activations));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      DnnlowpOptions(definition, /*is_weight=*/true, &result.weights));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckPrecision(
      "weight_precision", result.weights.type.precision, storage_bits));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ReadBoolArgument(
      definition, "dequantize_output", &result.dequantize_output));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadBoolArgument(definition, "measure_quantization_error",
                       &result.measure_quantization_error));

  caffe2::OperatorDef adjusted = definition;
  if (relu_fused) {
    // What it stands in for is still read, so that it is refused if it must be.
    std::optional<QuantizationParams> unused;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        StaticParameters(definition, result.activations, &unused));
    auto* all = adjusted.mutable_arg();
    for (int i = all->size() - 1; i >= 0; --i) {
      if (all->Get(i).name() == "followed_by") all->DeleteSubrange(i, 1);
    }
    *all->Add() = caffe2::MakeArgument<std::string>("followed_by", "Relu");
  }
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      StaticParameters(adjusted, result.activations, &result.output));
  result.output_is_rectified =
      caffe2::ArgumentHelper(adjusted).GetSingleArgument<std::string>(
          "followed_by", "") == "Relu";
  *arguments = result;
  return Status::Ok();
}

Status ChooseOutputParameters(const caffe2::Tensor& y,
                              const ChooseOptions& options, bool is_rectified,
                              QuantizationParams* params) {
  const auto extremes = kernels::MinMax(y.data<float>(), y.numel());
  if (extremes.left_out() > 0) {
    return Status::InvalidArgument(
        std::to_string(extremes.left_out()) + " of " +
        std::to_string(y.numel()) +
        " float outputs are NaN or infinite and have no range to choose "
        "parameters of, expected finite values, or Y_scale and Y_zero_point");
  }
  float min = y.numel() == 0 ? 0 : extremes.min;
  float max = y.numel() == 0 ? 0 : extremes.max;
  if (is_rectified) {
    min = std::max(min, 0.0f);
    max = std::max(max, 0.0f);
  }
  Choice choice;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ChooseFromRange(min, max, options, &choice));
  *params = QuantizationParams(options.type, choice.scale, choice.zero_point);
  return Status::Ok();
}

}  // namespace caffe2_quantization
