#include "operators/int8/product_stage.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/text.h"

namespace caffe2_quantization {

Status ProductStage::Set(const Weights& weights, float x_scale,
                         int32_t x_zero_point, const int32_t* bias,
                         float y_scale) {
  constexpr int64_t kLargestK = std::numeric_limits<int32_t>::max();
  if (weights.k > kLargestK) {
    return Status::OutOfRange("K is " + std::to_string(weights.k) +
                              ", expected at most " +
                              std::to_string(kLargestK));
  }
  const int64_t n = weights.n;
  const bool one_set = weights.scales->size() == 1;
  k_ = weights.k;
  zero_points_.resize(n);
  multipliers_.resize(n);
  scales_.resize(n);
  x_scale_ = x_scale;
  bool has_zero_points = false;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t set = one_set ? 0 : i;
    const int32_t zero_point = (*weights.zero_points)[set];
    const float scale = (*weights.scales)[set];
    zero_points_[i] = zero_point;
    scales_[i] = scale;
    has_zero_points = has_zero_points || zero_point != 0;
    multipliers_[i] = x_scale * scale / y_scale;
    if (!std::isfinite(multipliers_[i])) {
      return Status::OutOfRange(
          "input scale " + NineDigits(x_scale) + " * weight scale " +
          NineDigits(scale) + " / output scale " + NineDigits(y_scale) +
          " is " + NineDigits(multipliers_[i]) + ", expected a finite float");
    }
  }
  stage_ = kernels::OutputStage();
  stage_.columns = n;
  stage_.weight_zero_points = has_zero_points ? zero_points_.data() : nullptr;
  offsets_.Set(n, weights.k, x_zero_point, weights.column_sums,
               zero_points_.data(), bias);
  offsets_.Lend(&stage_);
  stage_.multipliers = multipliers_.data();
  return Status::Ok();
}

Status ProductStage::SetCodes(const Weights& weights, float x_scale,
                              int32_t x_zero_point, const ProductBias* bias,
                              const QuantizationParams& y, bool relu) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Set(weights, x_scale, x_zero_point,
          bias == nullptr ? nullptr : bias->codes.data(), y.scales[0]));
  if (bias != nullptr && !bias->large.empty()) {
    large_bias_ = LargeInCodes(*bias, y.scales[0]);
    stage_.bias = large_bias_.data();
  }
  stage_.zero_point = y.zero_points[0];
  stage_.low = relu ? stage_.zero_point : y.type.qmin();
  stage_.high = y.type.qmax();
  return Status::Ok();
}

Status ProductStage::SetFloats(const Weights& weights, float x_scale,
                               int32_t x_zero_point, const float* bias,
                               bool relu) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Set(weights, x_scale, x_zero_point, nullptr, 1));
  stage_.bias = bias;
  stage_.relu = relu;
  return Status::Ok();
}

template <typename Store>
void ProductStage::Multiply(const uint16_t* a, const int16_t* w, int64_t m,
                            const Store& store) const {
  // |acc| <= 65,535^2 * (2^31 - 1) + 2^31 < 2^63. Its terms together may leave
  // 64 bits on the way, so they are unsigned.
  const int64_t n = stage_.columns;
  for (int64_t row = 0; row < m; ++row) {
    const uint16_t* const x = a + row * k_;
    int64_t row_sum = 0;
    for (int64_t i = 0; i < k_; ++i) row_sum += x[i];
    for (int64_t column = 0; column < n; ++column) {
      const int16_t* const c = w + column * k_;
      int64_t sum = 0;
      for (int64_t i = 0; i < k_; ++i) sum += int64_t{x[i]} * c[i];
      const uint64_t acc =
          static_cast<uint64_t>(sum) +
          static_cast<uint64_t>(offsets_.exact()[column]) -
          static_cast<uint64_t>(zero_points_[column] * row_sum);
      store(row * n + column, column, static_cast<int64_t>(acc));
    }
  }
}

void ProductStage::ToCodes(const uint16_t* a, const int16_t* w, int64_t m,
                           uint16_t* y) const {
  Multiply(a, w, m, [&](int64_t index, int64_t column, int64_t sum) {
    float scaled = static_cast<float>(sum) * multipliers_[column];
    if (stage_.bias != nullptr) scaled += stage_.bias[column];
    // In doubles, which hold the sum of both exactly or saturate alike.
    const double code = double{std::nearbyint(scaled)} + stage_.zero_point;
    y[index] = static_cast<uint16_t>(
        std::clamp(code, double{1} * stage_.low, double{1} * stage_.high));
  });
}

void ProductStage::ToFloats(const uint16_t* a, const int16_t* w, int64_t m,
                            float* y) const {
  Multiply(a, w, m, [&](int64_t index, int64_t column, int64_t sum) {
    const float bias = stage_.bias == nullptr ? 0.0f : stage_.bias[column];
    const float value =
        static_cast<float>(sum) * x_scale_ * scales_[column] + bias;
    y[index] = stage_.relu ? std::max(value, 0.0f) : value;
  });
}

}  // namespace caffe2_quantization
