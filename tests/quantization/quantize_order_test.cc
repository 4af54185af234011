// Quantizing while channels move, against quantizing and then moving them.
#include "quantization/quantize_order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/quantize.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

int64_t RandomChannels(TestRandom* random) {
  switch (random->Integer(0, 3)) {
    case 0:
      return 3;
    case 1:
      return random->Integer(1, 17);
    case 2:
      return random->Integer(60, 70);
    default:
      return random->Integer(1, 300);
  }
}

template <typename T>
QuantizationParams RandomParams(TestRandom* random) {
  const int bits = random->OneIn(2) ? 8 * sizeof(T) : random->Integer(2, 8);
  return QuantizationParams(
      {bits, false}, std::ldexp(random->Float(1, 2), random->Integer(-10, 3)),
      static_cast<int32_t>(random->Integer(0, (1 << bits) - 1)));
}

template <typename T>
void ExpectLikeTwoPasses(TestRandom* random) {
  const int64_t channels = RandomChannels(random);
  const int64_t pixels = random->Integer(1, 20000 / channels + 70);
  const int64_t stride = pixels + (random->OneIn(2) ? 0 : 5);
  const QuantizationParams params = RandomParams<T>(random);
  const float inverse = 1 / params.scales[0];
  const auto zero_point = static_cast<float>(params.zero_points[0]);

  std::vector<float> planes((channels - 1) * stride + pixels);
  for (float& x : planes) {
    x = random->OneIn(50)
            ? (random->OneIn(2) ? std::nanf("")
                                : std::numeric_limits<float>::infinity())
            : random->Float(-300, 300) * params.scales[0];
  }
  std::vector<T> codes(planes.size());
  kernels::reference::QuantizeRuns(planes.data(), planes.size(), planes.size(),
                                   &inverse, &zero_point, params.type.qmin(),
                                   params.type.qmax(), codes.data());
  std::vector<T> expected(channels * pixels);
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t c = 0; c < channels; ++c) {
      expected[p * channels + c] = codes[c * stride + p];
    }
  }
  std::vector<T> dst(expected.size());
  QuantizeToChannelsLast(planes.data(), channels, pixels, stride, params,
                         dst.data());
  ASSERT_EQ(dst, expected) << channels << " channels of " << pixels;

  std::vector<float> values(dst.size());
  kernels::reference::DequantizeRuns(dst.data(), dst.size(), dst.size(),
                                     params.scales.data(), &zero_point,
                                     values.data());
  std::vector<float> moved(planes.size(), -7), back(planes.size(), -7);
  for (int64_t p = 0; p < pixels; ++p) {
    for (int64_t c = 0; c < channels; ++c) {
      moved[c * stride + p] = values[p * channels + c];
    }
  }
  DequantizeToChannelsFirst(dst.data(), channels, pixels, params, back.data(),
                            stride);
  ASSERT_EQ(back, moved) << channels << " channels of " << pixels;
}

TEST(QuantizeOrder, LikeTwoPassesOnEveryTarget) {
  TestRandom random;
  std::vector<std::string> targets = kernels::SupportedTargetNames();
  for (const std::string& target : targets) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(kernels::ForceTargetForTest(target));
    const int64_t cases = CaseCount(100, 2000);
    for (int64_t i = 0; i < cases && !testing::Test::HasFatalFailure(); ++i) {
      ExpectLikeTwoPasses<uint8_t>(&random);
      ExpectLikeTwoPasses<uint16_t>(&random);
    }
  }
  kernels::ClearForcedTargetForTest();
}

TEST(QuantizeOrder, ByHand) {
  const QuantizationParams params({8, false}, 0.5f, 10);
  const std::vector<float> planes = {0, 1, 2, -1, -2, 100, 500, 0.25f, 0.75f};
  std::vector<uint8_t> codes(9);
  QuantizeToChannelsLast(planes.data(), 3, 3, 3, params, codes.data());
  EXPECT_EQ(codes, (std::vector<uint8_t>{10, 8, 255, 12, 6, 10, 14, 210, 12}));
  std::vector<float> values(9);
  DequantizeToChannelsFirst(codes.data(), 3, 3, params, values.data(), 3);
  EXPECT_EQ(values, (std::vector<float>{0, 1, 2, -1, -2, 100, 122.5f, 0, 1}));
}

}  // namespace
}  // namespace caffe2_quantization
