#include "quantization/kernels/scale_channels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

// Multipliers as nets have them, large ones, powers of two (whose ties are
// exact), 0, and what is not finite.
double DrawMultiplier(TestRandom* random, double scale, bool ties) {
  if (ties) return scale * std::ldexp(random->Integer(-9, 9), -2);
  switch (random->Integer(0, 9)) {
    case 0:
      return 0;
    case 1:
      return scale * random->Float(-3000, 3000);
    case 2:
      return scale * std::ldexp(1.0, random->Integer(-60, 60));
    case 3:
      return random->OneIn(4) ? std::numeric_limits<double>::infinity()
                              : scale * 1e300;
    default:
      return scale * random->Float(-4, 4);
  }
}

ChannelScaling DrawScaling(TestRandom* random) {
  ChannelScaling s;
  s.channels =
      random->OneIn(2) ? random->Integer(1, 9) : random->Integer(1, 150);
  s.inner =
      random->OneIn(2) ? 1 : random->Integer(2, random->OneIn(3) ? 900 : 40);
  s.zero_point = random->Byte();
  s.scale = random->OneIn(2) ? std::ldexp(1.0f, random->Integer(-9, 3))
                             : random->Float(0.001f, 2);
  s.range.zero_point = random->Byte();
  if (random->OneIn(3)) {
    s.range.qmax =
        static_cast<int32_t>(random->Integer(s.range.zero_point, 255));
  }
  if (random->OneIn(3)) s.range.qmin = s.range.zero_point;
  const bool ties = random->OneIn(3);
  for (int64_t c = 0; c < s.channels; ++c) {
    s.alpha.push_back(DrawMultiplier(random, s.scale, ties));
    s.beta.push_back(50 * DrawMultiplier(random, s.scale, ties));
  }
  PrepareChannels(&s);
  return s;
}

// The rule, written anew.
uint8_t Expected(const ChannelScaling& s, int64_t channel, int code) {
  double value = (s.alpha[channel] * (code - s.zero_point) + s.beta[channel]) /
                 double{s.scale};
  if (std::isnan(value)) value = 0;
  return static_cast<uint8_t>(std::clamp<double>(
      std::nearbyint(value) + s.range.zero_point, s.range.qmin, s.range.qmax));
}

TEST(ScaleChannels, ThePlainFormIsTheEquation) {
  TestRandom random;
  for (int i = 0; i < 300; ++i) {
    const ChannelScaling s = DrawScaling(&random);
    const int64_t first = random.Integer(0, 1000), count = 500;
    std::vector<uint8_t> src(count), dst(count);
    for (uint8_t& code : src) code = random.Byte();
    reference::ScaleChannels(s, src.data(), first, count, dst.data());
    for (int64_t k = 0; k < count; ++k) {
      const int64_t channel = (first + k) / s.inner % s.channels;
      ASSERT_EQ(dst[k], Expected(s, channel, src[k])) << k;
    }
  }
}

TEST(ScaleChannels, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    constexpr int kGuards = 3;
    for (int i = 0; i < 400; ++i) {
      const ChannelScaling s = DrawScaling(&random);
      const int64_t count = random.Integer(0, random.OneIn(9) ? 4000 : 300);
      const int64_t first = random.Integer(0, 3 * s.channels * s.inner);
      std::vector<uint8_t> src(count + kGuards);
      for (uint8_t& code : src) code = random.Byte();
      std::vector<uint8_t> expected = src, dst = src, in_place = src;
      reference::ScaleChannels(s, src.data(), first, count, expected.data());
      ScaleChannels(s, src.data(), first, count, dst.data());
      ASSERT_EQ(dst, expected)
          << s.channels << " channels of " << s.inner << ", " << count;
      ScaleChannels(s, in_place.data(), first, count, in_place.data());
      ASSERT_EQ(in_place, expected) << "in place";
    }
  });
}

// Half of all values are ties, of scales that are powers of two.
TEST(ScaleChannels, TiesGoToEven) {
  OnEveryTarget([&] {
    ChannelScaling s;
    s.channels = 2;
    s.zero_point = 100;
    s.scale = 0.5f;
    s.range.zero_point = 31;
    s.alpha = {0.25, -0.25};
    s.beta = {0, 1};
    PrepareChannels(&s);
    EXPECT_EQ(s.low_offsets[0], s.high_offsets[0])
        << "ties that floats tell are not slow";
    const std::vector<uint8_t> src = {101, 101, 102, 102, 103, 103, 97, 97};
    std::vector<uint8_t> dst(src.size());
    ScaleChannels(s, src.data(), 0, 8, dst.data());
    // 0.5, 1.5; 1, 1; 1.5, 0.5; -1.5, 3.5.
    EXPECT_EQ(dst, (std::vector<uint8_t>{31, 33, 32, 32, 33, 31, 29, 35}));
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
