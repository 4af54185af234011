#include "operators/int8/products/stage.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/return_if_error.h"
#include "base/text.h"
#include "c10/util/StringUtil.h"

namespace caffe2_quantization {

Status ProductStage::Set(const Weights& weights, float x_scale,
                         int32_t x_zero_point, const int32_t* bias,
                         float y_scale) {
  Forget();
  constexpr int64_t kLargestK = std::numeric_limits<int32_t>::max();
  if (weights.k > kLargestK) {
    return Status::OutOfRange(
        c10::str("K is ", weights.k, ", expected at most ", kLargestK));
  }
  const int64_t n = weights.n;
  const auto sets = static_cast<int64_t>(weights.scales->size());
  const int64_t run = n / sets;
  k_ = weights.k;
  zero_points_.resize(n);
  multipliers_.resize(n);
  scales_.resize(n);
  x_scale_ = x_scale;
  bool has_zero_points = false;
  for (int64_t set = 0; set < sets; ++set) {
    const int32_t zero_point = (*weights.zero_points)[set];
    const float scale = (*weights.scales)[set];
    const float multiplier = x_scale * scale / y_scale;
    if (!std::isfinite(multiplier)) {
      return Status::OutOfRange(c10::str(
          "input scale ", NineDigits(x_scale), " * weight scale ",
          NineDigits(scale), " / output scale ", NineDigits(y_scale), " is ",
          NineDigits(multiplier), ", expected a finite float"));
    }
    has_zero_points = has_zero_points || zero_point != 0;
    std::fill_n(&zero_points_[set * run], run, zero_point);
    std::fill_n(&scales_[set * run], run, scale);
    std::fill_n(&multipliers_[set * run], run, multiplier);
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
                              int32_t x_zero_point,
                              const onednn::ProductBias* bias,
                              const QuantizationParams& y, bool relu) {
  RETURN_IF_ERROR(Set(weights, x_scale, x_zero_point,
                      bias == nullptr ? nullptr : bias->codes.data(),
                      y.scales[0]));
  if (bias != nullptr && !bias->large.empty()) {
    large_bias_ = onednn::LargeInCodes(*bias, y.scales[0]);
    stage_.bias = large_bias_.data();
  }
  stage_.zero_point = y.zero_points[0];
  stage_.low = relu ? stage_.zero_point : y.type.qmin();
  stage_.high = y.type.qmax();
  key_ = KeyOf(x_scale, x_zero_point, &y);
  return Status::Ok();
}

void ProductStage::SetAddend(const uint8_t* addend, float scale,
                             int32_t zero_point, float y_scale) {
  stage_.addend = addend;
  stage_.addend_zero_point = zero_point;
  stage_.addend_multiplier = scale / y_scale;
}

Status ProductStage::SetFloats(const Weights& weights, float x_scale,
                               int32_t x_zero_point, const float* bias,
                               bool relu) {
  RETURN_IF_ERROR(Set(weights, x_scale, x_zero_point, nullptr, 1));
  stage_.bias = bias;
  stage_.relu = relu;
  key_ = KeyOf(x_scale, x_zero_point, nullptr);
  return Status::Ok();
}

template <typename Store>
void ProductStage::Multiply(const uint16_t* a, const int16_t* w, int64_t first,
                            int64_t count, const Store& store) const {
  // |acc| <= 65,535^2 * (2^31 - 1) + 2^31 < 2^63. Its terms together may leave
  // 64 bits on the way, so they are unsigned.
  int64_t row_sum = 0;
  for (int64_t i = 0; i < k_; ++i) row_sum += a[i];
  for (int64_t column = first; column < first + count; ++column, w += k_) {
    int64_t sum = 0;
    for (int64_t i = 0; i < k_; ++i) sum += int64_t{a[i]} * w[i];
    const uint64_t acc = static_cast<uint64_t>(sum) +
                         static_cast<uint64_t>(offsets_.exact()[column]) -
                         static_cast<uint64_t>(zero_points_[column] * row_sum);
    store(column, static_cast<float>(static_cast<int64_t>(acc)));
  }
}

void ProductStage::ToCodes(const uint16_t* a, const int16_t* w, int64_t first,
                           int64_t count, uint16_t* y, int64_t y_stride) const {
  Multiply(a, w, first, count, [&](int64_t column, float sum) {
    float scaled = sum * multipliers_[column];
    if (stage_.bias != nullptr) scaled += stage_.bias[column];
    // In doubles, which hold the sum of both exactly or saturate alike.
    const double code = double{std::nearbyint(scaled)} + stage_.zero_point;
    y[(column - first) * y_stride] = static_cast<uint16_t>(
        std::clamp(code, double{1} * stage_.low, double{1} * stage_.high));
  });
}

void ProductStage::ToFloats(const uint16_t* a, const int16_t* w, int64_t first,
                            int64_t count, float* y, int64_t y_stride) const {
  Multiply(a, w, first, count, [&](int64_t column, float sum) {
    const float bias = stage_.bias == nullptr ? 0.0f : stage_.bias[column];
    const float value = sum * x_scale_ * scales_[column] + bias;
    y[(column - first) * y_stride] =
        stage_.relu ? std::max(value, 0.0f) : value;
  });
}

}  // namespace caffe2_quantization
