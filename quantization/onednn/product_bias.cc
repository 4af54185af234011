#include "quantization/onednn/product_bias.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace caffe2_quantization {
namespace onednn {
namespace {

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

}  // namespace onednn
}  // namespace caffe2_quantization
