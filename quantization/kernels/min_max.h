// One pass over an array: its smallest and largest value.
//
// Floating-point arrays: NaN and infinities are counted and never reach min or
// max. A zero is reported as +0, whichever signs the array held, so the bits do
// not depend on the order in which a target visits the elements. With no finite
// element min is +infinity and max is -infinity.
// Integer arrays: compared as integers, never through float. An empty array
// gives min = the type's largest and max = its smallest value.
//
// Every target gives the same bits. No alignment is needed.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MIN_MAX_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MIN_MAX_H_

#include <cstddef>
#include <cstdint>
#include <limits>

namespace caffe2_quantization {
namespace kernels {

template <typename T>
struct FloatExtremes {
  T min = std::numeric_limits<T>::infinity();
  T max = -std::numeric_limits<T>::infinity();
  uint64_t nan_count = 0;
  uint64_t positive_infinity_count = 0;
  uint64_t negative_infinity_count = 0;
};

template <typename T>
struct IntegerExtremes {
  T min = std::numeric_limits<T>::max();
  T max = std::numeric_limits<T>::lowest();
};

FloatExtremes<float> MinMax(const float* src, std::size_t count);
FloatExtremes<double> MinMax(const double* src, std::size_t count);
// src holds IEEE binary16 bit patterns.
FloatExtremes<float> MinMaxHalf(const uint16_t* src, std::size_t count);

// One entry a type: the list drives declarations, dispatch and tests.
#define CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(X) \
  X(int8_t)                                     \
  X(uint8_t)                                    \
  X(int16_t)                                    \
  X(uint16_t)                                   \
  X(int32_t)                                    \
  X(int64_t)

#define CAFFE2_QUANTIZATION_DECLARE(T) \
  IntegerExtremes<T> MinMax(const T* src, std::size_t count);
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(CAFFE2_QUANTIZATION_DECLARE)
#undef CAFFE2_QUANTIZATION_DECLARE

// The value of an IEEE binary16 bit pattern; exact.
float HalfToFloat(uint16_t bits);

namespace reference {
FloatExtremes<float> MinMax(const float* src, std::size_t count);
FloatExtremes<double> MinMax(const double* src, std::size_t count);
FloatExtremes<float> MinMaxHalf(const uint16_t* src, std::size_t count);
#define CAFFE2_QUANTIZATION_DECLARE(T) \
  IntegerExtremes<T> MinMax(const T* src, std::size_t count);
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(CAFFE2_QUANTIZATION_DECLARE)
#undef CAFFE2_QUANTIZATION_DECLARE
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MIN_MAX_H_
