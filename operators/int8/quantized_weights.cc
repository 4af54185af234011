#include "operators/int8/quantized_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "quantization/kernels/quantize.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {
namespace {

// By how much codes are moved to become signed ones.
int32_t MiddleOf(QuantizedType type) { return 1 << (type.precision - 1); }

// code: the value in units, a whole number or what no number is.
void SetBias(int64_t i, double code, double value, ProductBias* bias) {
  if (std::isnan(code)) return;
  constexpr double kLowest = std::numeric_limits<int32_t>::lowest();
  constexpr double kLargest = std::numeric_limits<int32_t>::max();
  if (code >= kLowest && code <= kLargest) {
    bias->codes[i] = static_cast<int32_t>(code);
    return;
  }
  bias->large.resize(bias->codes.size());
  bias->large[i] = static_cast<float>(value);
}

}  // namespace

template <typename T>
Status QuantizeWeights(const float* w, int64_t rows, int64_t columns,
                       int64_t sets, const ChooseOptions& options,
                       QuantizedWeights<T>* result) {
  const QuantizedType type{options.type.precision, /*is_signed=*/true};
  if (type.precision > static_cast<int>(8 * sizeof(T))) {
    return Status::InvalidArgument(
        "weight_precision is " + std::to_string(type.precision) +
        ", expected 1 to " + std::to_string(8 * sizeof(T)) + " bits");
  }
  if (sets < 1 || rows % sets != 0) {
    return Status::InvalidArgument(
        "weights of " + std::to_string(rows) + " rows in " +
        std::to_string(sets) +
        " parameter sets, expected a number that divides them");
  }
  QuantizedWeights<T> weights;
  weights.codes.resize(rows * columns);
  const int64_t count = rows / sets * columns;
  for (int64_t set = 0; set < sets; ++set) {
    const float* const values = w + set * count;
    Choice choice;
    const Status status = ChooseFromArray(values, count, options, &choice);
    if (!status.ok()) {
      return sets == 1 ? status
                       : Status::InvalidArgument(
                             "parameter set " + std::to_string(set) + " of " +
                             std::to_string(sets) + ": " + status.message());
    }
    const int32_t zero_point = choice.zero_point - MiddleOf(type);
    weights.scales.push_back(choice.scale);
    weights.zero_points.push_back(zero_point);
    if (count == 0) continue;
    float inverse, float_zero_point;
    kernels::PrepareRuns(&choice.scale, &zero_point, 1, &inverse,
                         &float_zero_point);
    kernels::QuantizeRuns(values, count, count, &inverse, &float_zero_point,
                          type.qmin(), type.qmax(),
                          weights.codes.data() + set * count);
  }
  *result = std::move(weights);
  return Status::Ok();
}

template <typename T>
Status WeightsFromInt8Tensor(const caffe2::int8::Int8TensorCPU& w,
                             const ChooseOptions& options,
                             QuantizedWeights<T>* result) {
  using Unsigned = std::make_unsigned_t<T>;
  if (!w.t.template IsType<Unsigned>()) {
    return Status::InvalidArgument(
        "weights are an Int8TensorCPU of " + std::string(w.t.dtype().name()) +
        ", expected " + std::string(caffe2::TypeMeta::Make<Unsigned>().name()));
  }
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      QuantizationParams({8 * sizeof(T), false}, w.scale, w.zero_point)
          .Validate());
  const int32_t middle = MiddleOf(options.type);
  constexpr int32_t kSmallest = std::numeric_limits<T>::min();
  constexpr int32_t kLargest = std::numeric_limits<T>::max();
  QuantizedWeights<T> weights;
  weights.codes.resize(w.t.numel());
  const auto* const codes = w.t.template data<Unsigned>();
  for (std::size_t i = 0; i < weights.codes.size(); ++i) {
    const int32_t code = codes[i] - middle;
    if (code < kSmallest || code > kLargest) {
      return Status::InvalidArgument(
          "weight code " + std::to_string(codes[i]) + ", expected 0 to " +
          std::to_string(2 * middle - 1) + " for " +
          std::to_string(options.type.precision) + " bits");
    }
    weights.codes[i] = static_cast<T>(code);
  }
  weights.scales.push_back(w.scale);
  weights.zero_points.push_back(w.zero_point - middle);
  *result = std::move(weights);
  return Status::Ok();
}

ProductBias QuantizeBias(const float* bias, int64_t count, float x_scale,
                         const std::vector<float>& weight_scales) {
  const int64_t run = count / static_cast<int64_t>(weight_scales.size());
  ProductBias result;
  result.codes.resize(count);
  for (int64_t i = 0; i < count; ++i) {
    const float inverse = 1 / (x_scale * weight_scales[i / run]);
    SetBias(i, std::nearbyint(bias[i] * inverse), bias[i], &result);
  }
  return result;
}

ProductBias ConvertBias(const int32_t* codes, int64_t count,
                        const std::vector<float>& units, float x_scale,
                        const std::vector<float>& weight_scales) {
  // Closer than this, relative to the unit, codes are taken as they are.
  constexpr float kSameUnit = 1e-5f;
  const int64_t run = count / static_cast<int64_t>(weight_scales.size());
  ProductBias result;
  result.codes.resize(count);
  for (int64_t i = 0; i < count; ++i) {
    const double unit = units[units.size() == 1 ? 0 : i];
    const float expected = x_scale * weight_scales[i / run];
    const bool is_same = std::fabs(unit - expected) <= kSameUnit * expected;
    SetBias(i,
            is_same ? double{1} * codes[i]
                    : std::nearbyint(unit * codes[i] / expected),
            unit * codes[i], &result);
  }
  return result;
}

std::vector<float> LargeInCodes(const ProductBias& bias, float y_scale) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  std::vector<float> result;
  for (const float value : bias.large) {
    result.push_back(static_cast<float>(
        std::clamp(double{value} / y_scale, -kLargest, kLargest)));
  }
  return result;
}

template struct QuantizedWeights<int8_t>;
template struct QuantizedWeights<int16_t>;
template Status QuantizeWeights(const float*, int64_t, int64_t, int64_t,
                                const ChooseOptions&,
                                QuantizedWeights<int8_t>*);
template Status QuantizeWeights(const float*, int64_t, int64_t, int64_t,
                                const ChooseOptions&,
                                QuantizedWeights<int16_t>*);
template Status WeightsFromInt8Tensor(const caffe2::int8::Int8TensorCPU&,
                                      const ChooseOptions&,
                                      QuantizedWeights<int8_t>*);
template Status WeightsFromInt8Tensor(const caffe2::int8::Int8TensorCPU&,
                                      const ChooseOptions&,
                                      QuantizedWeights<int16_t>*);

}  // namespace caffe2_quantization
