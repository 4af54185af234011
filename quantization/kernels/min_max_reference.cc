// The plain scalar forms of the min/max kernels.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace kernels {

float HalfToFloat(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu;
  const uint32_t mantissa = bits & 0x3ffu;
  float value;
  if (exponent == 0) {
    value = static_cast<float>(mantissa) * 0x1p-24f;  // zero or subnormal
    return sign != 0 ? -value : value;
  }
  const uint32_t wide =
      exponent == 31 ? sign | 0x7f800000u | (mantissa << 13)
                     : sign | ((exponent + 112) << 23) | (mantissa << 13);
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

namespace reference {
namespace {

template <typename T>
void Visit(T x, FloatExtremes<T>* extremes) {
  if (std::isnan(x)) {
    ++extremes->nan_count;
  } else if (std::isinf(x)) {
    ++(x > 0 ? extremes->positive_infinity_count
             : extremes->negative_infinity_count);
  } else {
    const T value = x + T{0};  // -0 becomes +0
    extremes->min = std::min(extremes->min, value);
    extremes->max = std::max(extremes->max, value);
  }
}

template <typename T>
FloatExtremes<T> MinMaxFloat(const T* src, std::size_t count) {
  FloatExtremes<T> extremes;
  for (std::size_t i = 0; i < count; ++i) Visit(src[i], &extremes);
  return extremes;
}

template <typename T>
IntegerExtremes<T> MinMaxInteger(const T* src, std::size_t count) {
  IntegerExtremes<T> extremes;
  for (std::size_t i = 0; i < count; ++i) {
    extremes.min = std::min(extremes.min, src[i]);
    extremes.max = std::max(extremes.max, src[i]);
  }
  return extremes;
}

}  // namespace

FloatExtremes<float> MinMax(const float* src, std::size_t count) {
  return MinMaxFloat(src, count);
}

FloatExtremes<double> MinMax(const double* src, std::size_t count) {
  return MinMaxFloat(src, count);
}

FloatExtremes<float> MinMaxHalf(const uint16_t* src, std::size_t count) {
  FloatExtremes<float> extremes;
  for (std::size_t i = 0; i < count; ++i) {
    Visit(HalfToFloat(src[i]), &extremes);
  }
  return extremes;
}

#define DEFINE(T)                                              \
  IntegerExtremes<T> MinMax(const T* src, std::size_t count) { \
    return MinMaxInteger(src, count);                          \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
