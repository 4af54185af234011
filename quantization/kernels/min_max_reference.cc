// The plain scalar forms of the min/max kernels.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

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
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  if (std::isnan(x)) {
    ++extremes->nan_count;
  } else if (x == kInfinity) {
    ++extremes->positive_infinity_count;
  } else if (x == -kInfinity) {
    ++extremes->negative_infinity_count;
  } else {
    // Keys, since a comparison of denormals may find them equal to zero.
    if (OrderKey(x) == OrderKey(T{0}) || OrderKey(x) == OrderKey(-T{0})) {
      x = 0;
      ++extremes->zero_count;
    }
    if (OrderKey(x) < OrderKey(extremes->min)) extremes->min = x;
    if (OrderKey(x) > OrderKey(extremes->max)) extremes->max = x;
  }
}

template <typename T>
FloatExtremes<T> MinMaxFloat(const T* src, std::size_t count) {
  FloatExtremes<T> extremes;
  for (std::size_t i = 0; i < count; ++i) Visit(src[i], &extremes);
  return extremes;
}

template <typename T>
IntegerExtremes<T> MinMaxInteger(const T* src, std::size_t count, T zero) {
  IntegerExtremes<T> extremes;
  for (std::size_t i = 0; i < count; ++i) {
    extremes.min = std::min(extremes.min, src[i]);
    extremes.max = std::max(extremes.max, src[i]);
    if (src[i] == zero) ++extremes.zero_count;
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

FloatExtremes<float> MinMaxColumns(const float* src, std::size_t rows,
                                   std::size_t columns, float* min,
                                   float* max) {
  FloatExtremes<float> all;
  for (std::size_t c = 0; c < columns; ++c) {
    FloatExtremes<float> column;
    for (std::size_t r = 0; r < rows; ++r) Visit(src[r * columns + c], &column);
    min[c] = column.min;
    max[c] = column.max;
    Merge(column, &all);
  }
  return all;
}

#define DEFINE(T)                                                      \
  IntegerExtremes<T> MinMax(const T* src, std::size_t count, T zero) { \
    return MinMaxInteger(src, count, zero);                            \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
