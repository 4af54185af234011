// ExactCode: the rule of quantization/kernels/rounded_code.h in integers alone,
// against which plain forms in double are tested.
#ifndef CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_KERNELS_EXACT_CODE_H_
#define CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_KERNELS_EXACT_CODE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "quantization/kernels/requantize.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {

// Returns numerator / denominator, which is positive, rounded half to even, as
// a code.
inline int64_t ExactCode(int64_t numerator, int64_t denominator,
                         const CodeRange& range) {
  int64_t floor = numerator / denominator;
  if (numerator % denominator < 0) --floor;
  const int64_t rest = numerator - floor * denominator;
  const int64_t to_half = rest - (denominator - rest);
  const bool goes_up = to_half > 0 || (to_half == 0 && floor % 2 != 0);
  return std::clamp<int64_t>(floor + (goes_up ? 1 : 0) + range.zero_point,
                             range.qmin, range.qmax);
}

// A scale that is an integer of at most `bits` bits: one bit alone, in which
// ties are common, or any.
inline int64_t RandomIntegerScale(TestRandom* random, int bits) {
  if (random->OneIn(3)) return int64_t{1} << random->Integer(0, bits - 1);
  return random->Integer(1, (int64_t{1} << random->Integer(1, bits)) - 1);
}

// A range of codes that T holds, most often all of them.
template <typename T>
CodeRange RandomCodeRange(TestRandom* random) {
  const int64_t bits =
      random->OneIn(2) ? 8 * sizeof(T) : random->Integer(1, 8 * sizeof(T));
  const auto most = static_cast<int32_t>((int64_t{1} << bits) - 1);
  const auto zero_point =
      random->OneIn(3) ? 0 : static_cast<int32_t>(random->Integer(0, most));
  return {zero_point, random->OneIn(4) ? zero_point : 0, most};
}

// Any scale that tensors may have: most often within a factor of 2^12 of 1,
// at times from 2^-126 to 2^126, and a power of two now and then.
inline float RandomScale(TestRandom* random) {
  const auto exponent = static_cast<int>(
      random->OneIn(8) ? random->Integer(-126, 125) : random->Integer(-6, 6));
  return std::ldexp(random->OneIn(4) ? 1.0f : random->Float(1, 2), exponent);
}

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_KERNELS_EXACT_CODE_H_
