#include "quantization/kernels/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quantization/kernels/nibbles.h"
#include "tests/support/denormals_are_zeros.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Runs {
  std::size_t count, length;
  std::vector<float> scales, inverses, zero_points;
};

// Lengths that are 1, below, at and above every vector, and whole steps.
Runs RandomRuns(int32_t qmin, int32_t qmax, TestRandom* random) {
  static constexpr std::size_t kLengths[] = {
      1, 2, 7, 8, 15, 16, 17, 32, 33, 64, 100, 128, 31, 48, 49, 200, 256, 5000};
  Runs runs;
  runs.length = kLengths[random->Integer(0, std::size(kLengths) - 1)];
  runs.count = random->Integer(0, 700);
  const std::size_t sets = runs.count / runs.length + 1;
  for (std::size_t i = 0; i < sets; ++i) {
    const float scale = std::ldexp(
        random->Float(0.5f, 1),
        static_cast<int>(random->OneIn(10) ? random->Integer(-125, 100)
                                           : random->Integer(-10, 3)));
    runs.scales.push_back(scale);
    runs.inverses.push_back(1 / scale);
    runs.zero_points.push_back(static_cast<float>(random->Integer(qmin, qmax)));
  }
  return runs;
}

// Values within the range, beyond it, on ties, and none at all.
float RandomValue(float scale, int32_t qmax, TestRandom* random) {
  switch (random->Integer(0, 9)) {
    case 0:
      return kNaN;
    case 1:
      return random->OneIn(2) ? kInfinity : -kInfinity;
    case 2:
      return random->Float(-1, 1) * std::numeric_limits<float>::max();
    case 3:
    case 4:
      return (static_cast<float>(random->Integer(-qmax, qmax)) + 0.5f) * scale;
    default:
      return random->Float(-1.5f, 1.5f) * static_cast<float>(qmax) * scale;
  }
}

template <typename T>
void ExpectEveryTargetAgrees(int precision) {
  TestRandom random;
  const int32_t qmin = std::is_signed_v<T> ? -(1 << (precision - 1)) : 0;
  const int32_t qmax = (1 << (precision - std::is_signed_v<T>)) - 1;
  OnEveryTarget([&] {
    for (int round = 0; round < 400; ++round) {
      const Runs runs = RandomRuns(qmin, qmax, &random);
      std::vector<float> src(runs.count);
      for (std::size_t i = 0; i < runs.count; ++i) {
        src[i] = RandomValue(runs.scales[i / runs.length], qmax, &random);
      }
      std::vector<T> expected(runs.count + 1, T{5}), actual(runs.count + 1, 5);
      reference::QuantizeRuns(src.data(), runs.count, runs.length,
                              runs.inverses.data(), runs.zero_points.data(),
                              qmin, qmax, expected.data());
      QuantizeRuns(src.data(), runs.count, runs.length, runs.inverses.data(),
                   runs.zero_points.data(), qmin, qmax, actual.data());
      ASSERT_EQ(actual, expected) << runs.count << " / " << runs.length;
      ASSERT_EQ(actual[runs.count], T{5});

      std::vector<float> wanted(runs.count + 1, 7), got(runs.count + 1, 7);
      reference::DequantizeRuns(expected.data(), runs.count, runs.length,
                                runs.scales.data(), runs.zero_points.data(),
                                wanted.data());
      DequantizeRuns(expected.data(), runs.count, runs.length,
                     runs.scales.data(), runs.zero_points.data(), got.data());
      ASSERT_EQ(
          std::memcmp(got.data(), wanted.data(), got.size() * sizeof(float)), 0)
          << runs.count << " / " << runs.length;

      alignas(kCacheLine) float lines[704];
      const std::size_t done = StreamDequantizedRuns(
          expected.data(), runs.count, runs.length, runs.scales.data(),
          runs.zero_points.data(), lines);
      FlushStream();
      ASSERT_LE(done, runs.count);
      ASSERT_EQ(done * sizeof(float) % kCacheLine, 0u);
      ASSERT_EQ(std::memcmp(lines, wanted.data(), done * sizeof(float)), 0);
    }
  });
}

TEST(QuantizeKernels, EveryTargetHasTheReferencesBits) {
  ExpectEveryTargetAgrees<uint8_t>(8);
  ExpectEveryTargetAgrees<int8_t>(8);
  ExpectEveryTargetAgrees<uint8_t>(3);
  ExpectEveryTargetAgrees<int8_t>(4);
  ExpectEveryTargetAgrees<int16_t>(16);
  ExpectEveryTargetAgrees<uint16_t>(16);
  ExpectEveryTargetAgrees<uint16_t>(11);
}

TEST(QuantizeKernels, NibblesAreThePackedCodes) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int round = 0; round < 400; ++round) {
      const bool is_signed = random.OneIn(2);
      const int32_t qmin = is_signed ? -8 : 0, qmax = is_signed ? 7 : 15;
      const Runs runs = RandomRuns(qmin, qmax, &random);
      std::vector<float> src(runs.count);
      for (std::size_t i = 0; i < runs.count; ++i) {
        src[i] = RandomValue(runs.scales[i / runs.length], qmax, &random);
      }
      std::vector<uint8_t> packed((runs.count + 1) / 2 + 1, 77);
      std::size_t done = QuantizeRunsToNibbles(
          src.data(), runs.count, runs.length, runs.inverses.data(),
          runs.zero_points.data(), qmin, qmax, packed.data());
      ASSERT_LE(done, runs.count);
      ASSERT_EQ(done % 2, 0u);
      ASSERT_EQ(packed.back(), 77);
      std::vector<uint8_t> codes(runs.count), expected(packed.size(), 77);
      if (is_signed) {
        reference::QuantizeRuns(src.data(), runs.count, runs.length,
                                runs.inverses.data(), runs.zero_points.data(),
                                qmin, qmax,
                                reinterpret_cast<int8_t*>(codes.data()));
      } else {
        reference::QuantizeRuns(src.data(), runs.count, runs.length,
                                runs.inverses.data(), runs.zero_points.data(),
                                qmin, qmax, codes.data());
      }
      reference::PackNibbles(codes.data(), done, expected.data());
      ASSERT_EQ(packed, expected) << runs.count << " / " << runs.length;

      reference::PackNibbles(codes.data(), runs.count, packed.data());
      std::vector<float> wanted(runs.count);
      if (is_signed) {
        reference::DequantizeRuns(reinterpret_cast<const int8_t*>(codes.data()),
                                  runs.count, runs.length, runs.scales.data(),
                                  runs.zero_points.data(), wanted.data());
      } else {
        reference::DequantizeRuns(codes.data(), runs.count, runs.length,
                                  runs.scales.data(), runs.zero_points.data(),
                                  wanted.data());
      }
      alignas(kCacheLine) float got[704];
      for (const bool streaming : {false, true}) {
        done = DequantizeRunsOfNibbles(packed.data(), is_signed, runs.count,
                                       runs.length, runs.scales.data(),
                                       runs.zero_points.data(), got, streaming);
        FlushStream();
        ASSERT_LE(done, runs.count);
        // memcmp takes no null, which an empty vector has.
        ASSERT_TRUE(done == 0 ||
                    std::memcmp(got, wanted.data(), done * sizeof(float)) == 0);
      }
    }
  });
}

TEST(QuantizeKernels, RoundsHalfToEvenAndSaturates) {
  const std::vector<float> values = {0.5f, 1.5f,  2.5f,      -0.5f,      -7,
                                     300,  1e30f, kInfinity, -kInfinity, kNaN};
  const std::vector<uint8_t> expected = {100, 102, 102, 100, 93,
                                         255, 255, 255, 0,   100};
  const float one = 1, zero_point = 100;
  OnEveryTarget([&] {
    // Twice, so that both whole steps and what is left are seen.
    for (const std::size_t copies : {1, 20}) {
      std::vector<float> src;
      std::vector<uint8_t> wanted;
      for (std::size_t i = 0; i < copies; ++i) {
        src.insert(src.end(), values.begin(), values.end());
        wanted.insert(wanted.end(), expected.begin(), expected.end());
      }
      std::vector<uint8_t> actual(src.size());
      QuantizeRuns(src.data(), src.size(), src.size(), &one, &zero_point, 0,
                   255, actual.data());
      EXPECT_EQ(actual, wanted);
    }
  });
}

TEST(QuantizeKernels, DenormalModeChangesNothing) {
  const float scale = 0x1p-126f, inverse = 0x1p126f, zero_point = 3;
  std::vector<uint8_t> codes(256), back(256);
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
  std::vector<float> values(256);
  OnEveryTarget([&] {
    DenormalsAreZeros mode;
    DequantizeRuns(codes.data(), 256, 256, &scale, &zero_point, values.data());
    QuantizeRuns(values.data(), 256, 256, &inverse, &zero_point, 0, 255,
                 back.data());
    EXPECT_EQ(back, codes);
  });
}

TEST(QuantizeKernels, PreparedRuns) {
  const std::vector<float> scales(37, 0.1f);
  std::vector<int32_t> zero_points(37);
  for (int i = 0; i < 37; ++i) zero_points[i] = i * 1000 - 32768;
  OnEveryTarget([&] {
    std::vector<float> inverses(38, 5), floats(38, 5);
    PrepareRuns(scales.data(), zero_points.data(), 37, inverses.data(),
                floats.data());
    for (int i = 0; i < 37; ++i) {
      ASSERT_EQ(inverses[i], 1 / 0.1f);
      ASSERT_EQ(floats[i], static_cast<float>(zero_points[i]));
    }
    EXPECT_EQ(inverses[37], 5);
    EXPECT_EQ(floats[37], 5);
    PrepareRuns(scales.data(), zero_points.data(), 37, nullptr, floats.data());
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
