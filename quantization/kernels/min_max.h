// Finds the smallest and largest value of an array, and its zeros, in one pass.
//
// Floating-point arrays: NaN and infinities are counted and never reach min or
// max. A zero is reported as +0, whichever signs the array held, so the bits do
// not depend on the order in which a target visits the elements. With no finite
// element min is +infinity and max is -infinity. Bit patterns are compared, as
// integers: a denormal is no zero, even if the processor is set to treat
// denormals as zeros. zero_count counts +0 and -0. Integer arrays: compared as
// integers, never through float. An empty array gives min = the type's largest
// and max = its smallest value.
//
// Every target gives the same bits. No alignment is needed.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MIN_MAX_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MIN_MAX_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace caffe2_quantization {
namespace kernels {

template <typename T>
struct FloatExtremes {
  T min = std::numeric_limits<T>::infinity();
  T max = -std::numeric_limits<T>::infinity();
  uint64_t zero_count = 0;
  uint64_t nan_count = 0;
  uint64_t positive_infinity_count = 0;
  uint64_t negative_infinity_count = 0;
  uint64_t infinity_count() const {
    return positive_infinity_count + negative_infinity_count;
  }
  // Elements that are not finite.
  uint64_t left_out() const {
    return nan_count + positive_infinity_count + negative_infinity_count;
  }
};

template <typename T>
struct IntegerExtremes {
  T min = std::numeric_limits<T>::max();
  T max = std::numeric_limits<T>::lowest();
  uint64_t zero_count = 0;
};

// An integer in the order of the real numbers: a < b exactly when its key is
// smaller. No NaN; -0 comes before +0.
template <typename T>
auto OrderKey(T value) {
  using Key = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  static_assert(sizeof(T) == sizeof(Key), "float or double");
  Key bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits < 0 ? static_cast<Key>(bits ^ std::numeric_limits<Key>::max())
                  : bits;
}

// Adds what was found in one part of an array to what was found in others.
template <typename T>
void Merge(const FloatExtremes<T>& part, FloatExtremes<T>* all) {
  if (OrderKey(part.min) < OrderKey(all->min)) all->min = part.min;
  if (OrderKey(part.max) > OrderKey(all->max)) all->max = part.max;
  all->zero_count += part.zero_count;
  all->nan_count += part.nan_count;
  all->positive_infinity_count += part.positive_infinity_count;
  all->negative_infinity_count += part.negative_infinity_count;
}

template <typename T>
void Merge(const IntegerExtremes<T>& part, IntegerExtremes<T>* all) {
  if (part.min < all->min) all->min = part.min;
  if (part.max > all->max) all->max = part.max;
  all->zero_count += part.zero_count;
}

FloatExtremes<float> MinMax(const float* src, std::size_t count);
FloatExtremes<double> MinMax(const double* src, std::size_t count);
// src holds IEEE binary16 bit patterns.
FloatExtremes<float> MinMaxHalf(const uint16_t* src, std::size_t count);

// The same for each column of a row-major matrix src [rows, columns]: min and
// max have `columns` elements (+infinity and -infinity where a column has
// nothing finite). Returns what MinMax(src, rows * columns) does. min, max and
// src do not overlap.
FloatExtremes<float> MinMaxColumns(const float* src, std::size_t rows,
                                   std::size_t columns, float* min, float* max);

// For integers, zero_count counts the values equal to `zero`: a zero point, for
// example. One entry per type: the list drives declarations, dispatch and
// tests.
#define CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(X) \
  X(int8_t)                                     \
  X(uint8_t)                                    \
  X(int16_t)                                    \
  X(uint16_t)                                   \
  X(int32_t)                                    \
  X(int64_t)

#define CAFFE2_QUANTIZATION_DECLARE(T) \
  IntegerExtremes<T> MinMax(const T* src, std::size_t count, T zero = 0);
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(CAFFE2_QUANTIZATION_DECLARE)
#undef CAFFE2_QUANTIZATION_DECLARE

// The value of an IEEE binary16 bit pattern; exact: no half is a denormal
// float.
float HalfToFloat(uint16_t bits);

namespace reference {
FloatExtremes<float> MinMax(const float* src, std::size_t count);
FloatExtremes<double> MinMax(const double* src, std::size_t count);
FloatExtremes<float> MinMaxHalf(const uint16_t* src, std::size_t count);
FloatExtremes<float> MinMaxColumns(const float* src, std::size_t rows,
                                   std::size_t columns, float* min, float* max);
#define CAFFE2_QUANTIZATION_DECLARE(T) \
  IntegerExtremes<T> MinMax(const T* src, std::size_t count, T zero = 0);
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(CAFFE2_QUANTIZATION_DECLARE)
#undef CAFFE2_QUANTIZATION_DECLARE
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MIN_MAX_H_
