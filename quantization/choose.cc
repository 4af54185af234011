#include "quantization/choose.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

struct MethodNames {
  ChooseMethod method;
  const char* name;
  const char* dnnlowp;  // null: DNNLOWP has none
};

constexpr MethodNames kMethodNames[] = {
    {ChooseMethod::kMinMax, "MIN_MAX", "MIN_MAX_QUANTIZATION"},
    {ChooseMethod::kL2, "L2", "L2_MIN_QUANTIZATION"},
    {ChooseMethod::kL2Approx, "L2_APPROX", "L2_MIN_QUANTIZATION_APPROX"},
    {ChooseMethod::kL1, "L1", "L1_MIN_QUANTIZATION"},
    {ChooseMethod::kKl, "KL", "KL_MIN_QUANTIZATION"},
    {ChooseMethod::kPercentile, "P99", "P99_QUANTIZATION"},
    {ChooseMethod::kMse, "MSE", nullptr},
};

std::string Upper(std::string text) {
  for (char& each : text) {
    if (each >= 'a' && each <= 'z') each = static_cast<char>(each - 'a' + 'A');
  }
  return text;
}

std::string Text(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", value);
  return text;
}

float ToFloat(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::min(std::max(value, -kLargest), kLargest));
}

// The smallest power of two that is not below a positive value.
double NextPowerOfTwo(double value) {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);  // 0.5 <= fraction < 1
  return std::ldexp(1.0, fraction == 0.5 ? exponent - 1 : exponent);
}

}  // namespace

std::string Name(ChooseMethod method) {
  for (const auto& each : kMethodNames) {
    if (each.method == method) return each.name;
  }
  return "?";
}

Status ChooseMethodFromName(const std::string& name, ChooseMethod* method,
                            double* percentile) {
  const std::string upper = Upper(name);
  for (const auto& each : kMethodNames) {
    if (upper == each.name ||
        (each.dnnlowp != nullptr && upper == each.dnnlowp)) {
      *method = each.method;
      if (each.method == ChooseMethod::kPercentile && percentile != nullptr) {
        *percentile = 0.99;
      }
      return Status::Ok();
    }
  }
  if (upper.size() > 1 && upper[0] == 'P' &&
      upper.find_first_not_of("0123456789.", 1) == std::string::npos) {
    char* end = nullptr;
    const double percent = std::strtod(upper.c_str() + 1, &end);
    if (*end == '\0' && percent > 0 && percent <= 100) {
      *method = ChooseMethod::kPercentile;
      if (percentile != nullptr) *percentile = percent / 100;
      return Status::Ok();
    }
  }
  return Status::InvalidArgument(
      "quantization method '" + name +
      "' is unknown, expected MIN_MAX, L2, L2_APPROX, L1, KL, MSE, or P and a "
      "percentage, such as P99.9");
}

Status ChooseOptions::Validate() const {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(type.Validate());
  if (type.precision == 32) {
    return Status::InvalidArgument(
        "choosing parameters: precision is 32, expected 1 to 16 bits");
  }
  if (reduced_range && type.precision == 1) {
    return Status::InvalidArgument(
        "choosing parameters: reduced_range leaves no bit of precision 1");
  }
  if (!(percentile > 0 && percentile <= 1)) {
    return Status::InvalidArgument("choosing parameters: percentile is " +
                                   Text(percentile) +
                                   ", expected a share above 0 and up to 1");
  }
  if (!(smallest_scale >= 0) || std::isinf(smallest_scale)) {
    return Status::InvalidArgument("choosing parameters: smallest_scale is " +
                                   Text(smallest_scale) +
                                   ", expected 0 or a positive number");
  }
  if (!(clipped_share_limit >= 0 && clipped_share_limit <= 1)) {
    return Status::InvalidArgument(
        "choosing parameters: clipped_share_limit is " +
        Text(clipped_share_limit) + ", expected a share, 0 to 1");
  }
  return Status::Ok();
}

float Choice::RepresentedMin(QuantizedType type) const {
  return static_cast<float>(scale * (double{1} * type.qmin() - zero_point));
}

float Choice::RepresentedMax(QuantizedType type) const {
  return static_cast<float>(scale * (double{1} * type.qmax() - zero_point));
}

Status ChooseFromRange(float min, float max, const ChooseOptions& options,
                       Choice* choice) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(options.Validate());
  if (!std::isfinite(min) || !std::isfinite(max) || min > max) {
    return Status::InvalidArgument(
        "choosing parameters: the range is [" + Text(min) + ", " + Text(max) +
        "], expected two finite numbers, the smaller one first");
  }
  const QuantizedType codes = options.Codes();
  const double qmin = codes.qmin();
  const double qmax = codes.qmax();
  Choice result;
  result.min = min;
  result.max = max;

  // Around 0 one code more lies below than above.
  const bool symmetric = options.preserve_sparsity && min < 0 && max > 0;
  if (symmetric) {
    const int above = (codes.qmax() - codes.qmin()) / 2;
    const int below = above + 1;
    // Of one bit, both codes are 0 and below.
    const double step =
        above == 0
            ? -double{min}
            : std::max<double>(std::fabs(min / static_cast<float>(below)),
                               std::fabs(max / static_cast<float>(above)));
    min = ToFloat(-step * below);
    max = ToFloat(step * above);
  }
  min = std::min(min, 0.0f);
  max = std::max(max, 0.0f);

  double scale = (double{max} - min) / (qmax - qmin);
  if (static_cast<float>(scale) == 0 ||
      std::isinf(1 / static_cast<float>(scale))) {
    scale = 0.1;
  }
  double smallest = options.smallest_scale;
  if (options.force_scale_power_of_two) {
    scale = NextPowerOfTwo(scale);
    if (smallest > 0) smallest = NextPowerOfTwo(smallest);
  }
  if (scale < smallest) {
    const float widening = static_cast<float>(static_cast<float>(smallest) /
                                              static_cast<float>(scale));
    scale = smallest;
    if (min == 0) {
      max = static_cast<float>(smallest * (qmax - qmin));
    } else if (max == 0) {
      min = static_cast<float>(-smallest * (qmax - qmin));
    } else {
      min *= widening;
      max *= widening;
    }
  }

  // Of the two equations that 0 must satisfy, the one with the smaller terms.
  const double from_min = qmin - min / scale;
  const double from_max = qmax - max / scale;
  double zero_point = std::fabs(qmin) + std::fabs(min / scale) <
                              std::fabs(qmax) + std::fabs(max / scale)
                          ? from_min
                          : from_max;
  if (symmetric) zero_point = codes.is_signed ? 0 : (codes.qmax() + 1) / 2;
  result.scale = static_cast<float>(scale);
  result.zero_point = static_cast<int32_t>(
      std::nearbyint(std::min(std::max(zero_point, qmin), qmax)));
  *choice = result;
  return Status::Ok();
}

Status ChooseFromCounts(const BinCounts& counts, const ChooseOptions& options,
                        Choice* choice) {
  return ChooseFromRange(counts.min, counts.max, options, choice);
}

Status ChooseFromArray(const float* values, std::size_t count,
                       const ChooseOptions& options, Choice* choice) {
  if (count == 0) return ChooseFromRange(0, 0, options, choice);
  const auto extremes = kernels::MinMax(values, count);
  if (extremes.left_out() != 0) {
    return Status::InvalidArgument(
        "choosing parameters: " + std::to_string(extremes.nan_count) +
        " NaN and " +
        std::to_string(extremes.positive_infinity_count +
                       extremes.negative_infinity_count) +
        " infinite of " + std::to_string(count) +
        " values, expected finite values");
  }
  return ChooseFromRange(extremes.min, extremes.max, options, choice);
}

Status ChooseFromHistogram(const Histogram& histogram, float min, float max,
                           const ChooseOptions& options, Choice* choice) {
  return ChooseFromRange(min, max, options, choice);
}

}  // namespace caffe2_quantization
