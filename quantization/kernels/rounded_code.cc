// The plain part of rounded_code.h.
#include "quantization/kernels/rounded_code.h"

#include <algorithm>
#include <cmath>

namespace caffe2_quantization {
namespace kernels {
namespace {

// What the last bit of x that is not 0 is worth; x is not 0.
double LastBit(double x) {
  int exponent;
  auto mantissa =
      static_cast<int64_t>(std::ldexp(std::frexp(x, &exponent), 53));
  const int64_t last = mantissa & -mantissa;
  return std::ldexp(static_cast<double>(last), exponent - 53);
}

}  // namespace

template <typename T>
void RoundReals(const float* src, int64_t count, float scale,
                const CodeRange& range, T* dst) {
  const double denominator = scale;
  for (int64_t i = 0; i < count; ++i) {
    dst[i] = static_cast<T>(RoundedCode(src[i] / denominator, range));
  }
}
template void RoundReals(const float*, int64_t, float, const CodeRange&,
                         uint8_t*);
template void RoundReals(const float*, int64_t, float, const CodeRange&,
                         uint16_t*);

double SumSlack(const double* multipliers, const double* largest, int count,
                bool all_exact) {
  // Each term's multiplier and product are rounded, and so is each of the
  // count - 1 sums: count + 1 relative errors of 2^-24 of what is at most the
  // sum of magnitudes. One more covers their products with each other.
  constexpr double kUnit = 0x1p-24;
  double magnitude = 0;
  double last_bit = HUGE_VAL;
  for (int i = 0; i < count; ++i) {
    magnitude += std::fabs(multipliers[i]) * largest[i];
    if (multipliers[i] != 0) {
      last_bit = std::min(last_bit, LastBit(multipliers[i]));
    }
  }
  // Products that no float holds say nothing.
  if (!(magnitude < 0x1p120)) return HUGE_VAL;
  // Every term, and every sum, is a multiple of last_bit below 2^24 times it.
  // What is subnormal in float has fewer bits.
  if (all_exact && last_bit >= 0x1p-126 && magnitude <= 0x1p24 * last_bit) {
    return 0;
  }
  return (count + 2) * kUnit * magnitude;
}

bool IsExactQuotient(double numerator, double denominator) {
  const double quotient = numerator / denominator;
  return std::isfinite(quotient) &&
         std::fma(quotient, denominator, -numerator) == 0;
}

}  // namespace kernels
}  // namespace caffe2_quantization
