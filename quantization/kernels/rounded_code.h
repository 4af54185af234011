// The one rule by which operators round real values to codes:
//
//   q = clamp(nearbyint(value) + zero_point)
//
// nearbyint is half to even, clamp is to [qmin, qmax], and NaN counts as 0. The
// value is a double that is rounded once, from integers and scales that are
// exact: numerator / denominator, as RoundedCode's callers write it.
//
// A SIMD kernel that follows the rule computes values in float first, which is
// enough for all but those that lie so close to a tie that the float's error
// could tip them; these few it gives to its plain form, in double
// (code_vectors-inl.h). So every target gives the same bits, those of the rule.
// SumSlack says how close is too close.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ROUNDED_CODE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ROUNDED_CODE_H_

#include <cstdint>

#include "quantization/kernels/requantize.h"

namespace caffe2_quantization {
namespace kernels {

// Precondition: qmin <= zero_point <= qmax, all within 16 bits.
inline int32_t RoundedCode(double value, const CodeRange& range) {
  // 1.5 * 2^52: its last bit is worth 1, so that the sum with it is rounded to
  // an integer, ties to even.
  constexpr double kMagic = 0x1.8p52;
  const double low = range.qmin - range.zero_point;
  const double high = range.qmax - range.zero_point;
  double clamped = value > low ? value : low;
  clamped = clamped < high ? clamped : high;
  clamped = value == value ? clamped : 0;
  return static_cast<int32_t>((clamped + kMagic) - kMagic) + range.zero_point;
}

// dst[i] = RoundedCode(src[i] / scale), for i < count. T: uint8_t, uint16_t.
template <typename T>
void RoundReals(const float* src, int64_t count, float scale,
                const CodeRange& range, T* dst);

// Bounds the error of a sum of `count` terms, factor * fl(multiplier), that is
// computed in float, each operation rounded: by how much it can be off from
// the sum of factor * multiplier. Factors are integers, or floats, of at most
// largest[i] in magnitude. It is 0 if multipliers and largest show that no
// operation rounds (all_exact: each multiplier is the true quotient of two
// scales, and factors are integers), as with scales that are powers of two;
// where ties are common, none is then in doubt. It is infinite if a product may
// leave the floats.
double SumSlack(const double* multipliers, const double* largest, int count,
                bool all_exact);

// Whether numerator / denominator is a double that needs no rounding.
bool IsExactQuotient(double numerator, double denominator);

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ROUNDED_CODE_H_
