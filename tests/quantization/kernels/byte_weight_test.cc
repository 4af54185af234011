#include "quantization/kernels/byte_weight.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

constexpr ByteWeightFormula kFormulas[] = {ByteWeightFormula::kAffine,
                                           ByteWeightFormula::kCentered};

// Sizes below, at and above every vector width, and with odd tails.
std::vector<std::size_t> Sizes() {
  std::vector<std::size_t> sizes;
  for (std::size_t n = 0; n <= 130; ++n) sizes.push_back(n);
  for (const std::size_t n : {255, 256, 257, 1000, 4096, 5003})
    sizes.push_back(n);
  return sizes;
}

std::vector<uint8_t> RandomBytes(std::size_t count, TestRandom* random) {
  std::vector<uint8_t> bytes(count);
  for (auto& byte : bytes) byte = random->Byte();
  return bytes;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() ||
          std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

TEST(ByteWeightReference, FollowsTheEquations) {
  const uint8_t bytes[] = {0, 1, 128, 255};
  float values[4];
  const float step = static_cast<float>(6.0f / 255.0);
  reference::DequantizeByteWeights(ByteWeightFormula::kAffine, bytes, 4, step,
                                   -3.0f, values);
  EXPECT_EQ(values[0], -3.0f);
  EXPECT_NEAR(values[1], -3.0 + 6.0 / 255, 1e-6);
  EXPECT_NEAR(values[2], -3.0 + 128 * 6.0 / 255, 1e-6);
  EXPECT_NEAR(values[3], 3.0, 1e-6);
  // The centered form spans twice as much: -(max - min) to +(max - min).
  reference::DequantizeByteWeights(ByteWeightFormula::kCentered, bytes, 4, step,
                                   -255.0f, values);
  EXPECT_NEAR(values[0], -6.0, 1e-6);
  EXPECT_NEAR(values[1], -253 * 6.0 / 255, 1e-6);
  EXPECT_NEAR(values[2], 6.0 / 255, 1e-6);
  EXPECT_NEAR(values[3], 6.0, 1e-6);
}

TEST(ByteWeight, EveryTargetHasTheReferencesBits) {
  TestRandom random;
  OnEveryTarget([&] {
    for (const auto formula : kFormulas) {
      for (const std::size_t count : Sizes()) {
        const auto src = RandomBytes(count + 3, &random);
        const float scale = random.Float(-1, 1);
        const float offset =
            formula == ByteWeightFormula::kAffine
                ? random.Float(-10, 10)
                : static_cast<float>(random.Integer(-600, 600));
        std::vector<float> expected(count);
        reference::DequantizeByteWeights(formula, src.data(), count, scale,
                                         offset, expected.data());
        for (const auto hint : {StoreHint::kCached, StoreHint::kStreaming}) {
          // Every alignment of source and destination; a guard on each side.
          const std::size_t shift = random.Integer(0, 3);
          std::vector<float> padded(count + 8, 7.0f);
          std::vector<uint8_t> moved(count + shift);
          if (count > 0) std::memcpy(moved.data() + shift, src.data(), count);
          DequantizeByteWeights(formula, moved.data() + shift, count, scale,
                                offset, padded.data() + 1 + shift, hint);
          ASSERT_TRUE(SameBits(
              {padded.begin() + 1 + shift, padded.begin() + 1 + shift + count},
              expected))
              << "count " << count;
          ASSERT_EQ(padded[shift], 7.0f) << "count " << count;
          ASSERT_EQ(padded[1 + shift + count], 7.0f) << "count " << count;
        }
      }
    }
  });
}

TEST(ByteWeight, PerChannelEqualsOneChannelAtATime) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int round = 0; round < 60; ++round) {
      const auto formula = kFormulas[round % 2];
      const std::size_t outer = random.Integer(0, 4);
      const std::size_t channels = random.Integer(1, 70);
      const std::size_t inner = random.OneIn(2) ? 1 : random.Integer(0, 40);
      const auto src = RandomBytes(outer * channels * inner, &random);
      std::vector<float> scales(channels), offsets(channels);
      for (auto& scale : scales) scale = random.Float(-1, 1);
      for (auto& offset : offsets)
        offset = std::nearbyint(random.Float(-99, 99));
      std::vector<float> expected(src.size()), actual(src.size());
      reference::DequantizeByteWeightsPerChannel(
          formula, src.data(), outer, channels, inner, scales.data(),
          offsets.data(), expected.data());
      DequantizeByteWeightsPerChannel(formula, src.data(), outer, channels,
                                      inner, scales.data(), offsets.data(),
                                      actual.data());
      ASSERT_TRUE(SameBits(actual, expected))
          << outer << " x " << channels << " x " << inner;
    }
  });
}

TEST(ByteWeight, QuantizeIsTheInverse) {
  std::vector<uint8_t> all(256);
  for (int i = 0; i < 256; ++i) all[i] = static_cast<uint8_t>(i);
  OnEveryTarget([&] {
    for (const auto formula : kFormulas) {
      const float offset =
          formula == ByteWeightFormula::kAffine ? -3.0f : -255.0f;
      const float scale = static_cast<float>(6.0f / 255.0);
      std::vector<float> values(256);
      DequantizeByteWeights(formula, all.data(), 256, scale, offset,
                            values.data());
      std::vector<uint8_t> back(256);
      QuantizeByteWeights(formula, values.data(), 256, scale, offset, 0, 255,
                          back.data());
      EXPECT_EQ(back, all);
    }
  });
}

TEST(ByteWeight, QuantizeRoundsHalfToEvenAndSaturates) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values = {0.5f,  1.5f,      2.5f, -7.0f,  300.0f,
                                     1e30f, -infinity, 10.f, 9.999f, infinity};
  const std::vector<uint8_t> expected = {2, 2, 2, 2, 200, 200, 2, 10, 10, 200};
  OnEveryTarget([&] {
    // Twice, so that both the vector part and the tail are seen.
    for (const std::size_t copies : {1, 20}) {
      std::vector<float> src;
      std::vector<uint8_t> wanted;
      for (std::size_t i = 0; i < copies; ++i) {
        src.insert(src.end(), values.begin(), values.end());
        wanted.insert(wanted.end(), expected.begin(), expected.end());
      }
      std::vector<uint8_t> actual(src.size());
      QuantizeByteWeights(ByteWeightFormula::kAffine, src.data(), src.size(),
                          1.0f, 0.0f, 2, 200, actual.data());
      EXPECT_EQ(actual, wanted);
    }
  });
}

TEST(ByteWeight, QuantizeHasTheReferencesBytes) {
  TestRandom random;
  OnEveryTarget([&] {
    for (const auto formula : kFormulas) {
      for (const std::size_t count : Sizes()) {
        std::vector<float> src(count);
        for (auto& x : src) x = random.Float(-5, 5);
        const float scale = random.Float(0.001f, 0.1f);
        const float offset = std::nearbyint(random.Float(-300, 300));
        std::vector<uint8_t> expected(count), actual(count);
        reference::QuantizeByteWeights(formula, src.data(), count, scale,
                                       offset, 0, 255, expected.data());
        QuantizeByteWeights(formula, src.data(), count, scale, offset, 0, 255,
                            actual.data());
        ASSERT_EQ(actual, expected) << "count " << count;
      }
    }
  });
}

TEST(ByteWeight, AConstantTensorQuantizesToItsLowestByte) {
  const std::vector<float> src(40, 2.5f);
  std::vector<uint8_t> bytes(40, 9);
  QuantizeByteWeights(ByteWeightFormula::kAffine, src.data(), 40, 0.0f, 2.5f, 0,
                      255, bytes.data());
  EXPECT_EQ(bytes, std::vector<uint8_t>(40, 0));
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
