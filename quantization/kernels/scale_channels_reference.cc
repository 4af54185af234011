// The plain form of scale_channels.h, and what the others are prepared by.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantization/kernels/scale_channels.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

// Shorter runs of a channel are written out, element by element.
constexpr int64_t kShortestRun = 16;
// More than a target computes at once.
constexpr int64_t kBehind = 64;
constexpr double kUnit = 0x1p-24;
// What is larger than this might not fit into 32 bits.
constexpr double kLargest = 0x1p30;

// What the last bit of a float that is not 0 is worth; infinity for 0.
double LastBit(float x) {
  if (x == 0) return HUGE_VAL;
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const auto exponent = static_cast<int>(bits >> 23 & 0xFF);
  const uint32_t mantissa = (bits & 0x7FFFFF) | (exponent > 0 ? 0x800000 : 0);
  return std::ldexp(static_cast<double>(mantissa & -mantissa),
                    std::max(exponent, 1) - 150);
}

// Whether neither the kernel, multiplier * code + offset in float, nor the
// plain form rounds before the end: ties are then ties in both. The quotients
// by the scale are floats, and all sums are multiples of their last bit that a
// float holds. The plain form's numerators are these times the scale, of 24
// bits more, and a double holds them.
bool IsExact(double alpha, double beta, double scale) {
  const auto a = static_cast<float>(alpha / scale);
  const auto b = static_cast<float>(beta / scale);
  if (a * scale != alpha || b * scale != beta) return false;
  const double last = std::min(LastBit(a), LastBit(b));
  return last >= 0x1p-126 &&
         255 * std::fabs(double{a}) + std::fabs(double{b}) <= 0x1p24 * last;
}

// Repeats each of the first `channels` values, then what is there from its
// beginning on.
void SpreadOut(int64_t channels, int64_t repeats, std::vector<float>* values) {
  float* const to = values->data();
  for (int64_t c = channels - 1; c >= 0 && repeats > 1; --c) {
    std::fill_n(to + c * repeats, repeats, to[c]);
  }
  const int64_t period = channels * repeats;
  for (int64_t i = 0; i < kBehind; ++i) to[period + i] = to[i];
}

}  // namespace

void PrepareChannels(ChannelScaling* scaling) {
  ChannelScaling& s = *scaling;
  s.repeats = s.inner < kShortestRun ? s.inner : 1;
  s.period = s.channels * s.repeats;
  for (auto* values : {&s.multipliers, &s.low_offsets, &s.high_offsets}) {
    values->resize(s.period + kBehind);
  }
  const double* const alpha = s.alpha.data();
  const double* const beta = s.beta.data();
  float* const multipliers = s.multipliers.data();
  float* const low = s.low_offsets.data();
  float* const high = s.high_offsets.data();
  const double scale = s.scale, inverse = 1 / scale;
  // No code is farther from the zero point than this, and a half.
  const double reach = std::max(s.range.qmax - s.range.zero_point,
                                s.range.zero_point - s.range.qmin) +
                       1;
  bool may_be_exact = false;
  // A compiler makes vectors of this.
  for (int64_t c = 0; c < s.channels; ++c) {
    const double multiplier = alpha[c] * inverse;
    const double offset = (beta[c] - alpha[c] * s.zero_point) * inverse;
    const double far = std::fabs(offset);
    // The multiplier, the product, the offset and the sum are rounded. What is
    // not saturated is at most `reach`, and then the product at most that and
    // the offset. Roundings in double are less than a hundredth of it.
    const double error = kUnit * 1.01 * (3 * reach + 4 * far + 1);
    const bool fits = 255 * std::fabs(multiplier) + far <= kLargest;
    multipliers[c] = static_cast<float>(fits ? multiplier : 0);
    low[c] = static_cast<float>(fits ? offset - error : -kLargest);
    high[c] = static_cast<float>(fits ? offset + error : kLargest);
    may_be_exact |= multipliers[c] * scale == alpha[c];
  }
  for (int64_t c = 0; c < s.channels && may_be_exact; ++c) {
    if (multipliers[c] * scale != alpha[c] || low[c] <= -kLargest) continue;
    if (!IsExact(alpha[c], beta[c], scale)) continue;
    low[c] = high[c] =
        static_cast<float>((beta[c] - alpha[c] * s.zero_point) * inverse);
  }
  for (auto* values : {&s.multipliers, &s.low_offsets, &s.high_offsets}) {
    SpreadOut(s.channels, s.repeats, values);
  }
}

namespace reference {

uint8_t ScaledCode(const ChannelScaling& s, int64_t channel, uint8_t code) {
  const double value =
      s.alpha[channel] * (code - s.zero_point) + s.beta[channel];
  return static_cast<uint8_t>(RoundedCode(value / s.scale, s.range));
}

void ScaleChannels(const ChannelScaling& s, const uint8_t* src, int64_t first,
                   int64_t count, uint8_t* dst) {
  for (int64_t i = 0; i < count; ++i) {
    dst[i] = ScaledCode(s, (first + i) / s.inner % s.channels, src[i]);
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
