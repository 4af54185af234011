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
// Integers up to this, and halves, are floats.
constexpr double kLargest = 0x1p22;

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

}  // namespace

void PrepareChannels(ChannelScaling* scaling) {
  ChannelScaling& s = *scaling;
  s.repeats = s.inner < kShortestRun ? s.inner : 1;
  s.period = s.channels * s.repeats;
  const int64_t size = s.period + kBehind;
  s.multipliers.resize(size);
  s.offsets.resize(size);
  s.sure.resize(size);
  const double scale = s.scale, inverse = 1 / scale;
  // No code is farther from the zero point than this, and a half.
  const double reach = std::max(s.range.qmax - s.range.zero_point,
                                s.range.zero_point - s.range.qmin) +
                       1;
  for (int64_t c = 0; c < s.channels; ++c) {
    const double multiplier = s.alpha[c] * inverse;
    const double offset = (s.beta[c] - s.alpha[c] * s.zero_point) * inverse;
    const double far = std::fabs(offset);
    // Both are rounded to float, and so is the sum, once or twice. What is not
    // saturated is at most `reach`, and then the product at most that and the
    // offset; the roundings in double are less than a hundredth of it.
    const double error = kUnit * 1.01 * (2 * (reach + far) + far + reach);
    double sure = 0.5 - error - kUnit;
    if (!(255 * std::fabs(multiplier) + far <= kLargest)) {
      sure = -1;
    } else if (static_cast<double>(static_cast<float>(multiplier)) * scale ==
                   s.alpha[c] &&
               IsExact(s.alpha[c], s.beta[c], scale)) {
      sure = 0.5;
    }
    std::fill_n(s.multipliers.data() + c * s.repeats, s.repeats,
                static_cast<float>(multiplier));
    std::fill_n(s.offsets.data() + c * s.repeats, s.repeats,
                static_cast<float>(offset));
    std::fill_n(s.sure.data() + c * s.repeats, s.repeats,
                static_cast<float>(sure));
  }
  for (std::vector<float>* values : {&s.multipliers, &s.offsets, &s.sure}) {
    for (int64_t i = s.period; i < size; ++i) {
      (*values)[i] = (*values)[i - s.period];
    }
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
