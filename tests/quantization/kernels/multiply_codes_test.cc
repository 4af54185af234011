#include "quantization/kernels/multiply_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/quantization/kernels/exact_code.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

std::vector<uint8_t> RandomCodes(TestRandom* random, int64_t count) {
  std::vector<uint8_t> codes(count);
  for (uint8_t& code : codes) code = random->Byte();
  return codes;
}

int32_t RandomZeroPoint(TestRandom* random) {
  return random->OneIn(3) ? 0 : random->Byte();
}

TEST(MultiplyCodes, RoundsHalfToEvenBeforeItAddsTheZeroPoint) {
  // Values -1.5, -0.5, 0.5, 1.5 and 2.5, and both ends.
  const std::vector<uint8_t> a = {7, 9, 11, 13, 15, 0, 255};
  const std::vector<uint8_t> b = {2, 2, 2, 2, 2, 255, 255};
  const std::vector<uint8_t> expected = {1, 3, 3, 5, 5, 0, 200};
  const CodeProduct product({0.25f, 10}, {0.5f, 1}, 0.25f, {3, 0, 200});
  EXPECT_EQ(product.slack, 0);
  OnEveryTarget([&] {
    std::vector<uint8_t> dst(a.size());
    MultiplyCodes(product, a.data(), b.data(), static_cast<int64_t>(a.size()),
                  dst.data());
    EXPECT_EQ(dst, expected);
  });
}

// Scales are integers, so that products are.
TEST(MultiplyCodes, ThePlainFormIsExact) {
  TestRandom random;
  constexpr int64_t kCount = 64;
  for (int i = 0; i < 3000; ++i) {
    const int64_t a_scale = RandomIntegerScale(&random, 20);
    const int64_t b_scale = RandomIntegerScale(&random, 20);
    const int64_t scale = RandomIntegerScale(&random, 24)
                          << random.Integer(0, 24);
    const int32_t a_zero = RandomZeroPoint(&random);
    const int32_t b_zero = RandomZeroPoint(&random);
    const CodeRange range = RandomCodeRange<uint8_t>(&random);
    const CodeProduct product({static_cast<float>(a_scale), a_zero},
                              {static_cast<float>(b_scale), b_zero},
                              static_cast<float>(scale), range);
    const auto a = RandomCodes(&random, kCount);
    const auto b = RandomCodes(&random, kCount);
    std::vector<uint8_t> dst(kCount);
    reference::MultiplyCodes(product, a.data(), b.data(), kCount, dst.data());
    for (int64_t k = 0; k < kCount; ++k) {
      const int64_t numerator =
          a_scale * b_scale * ((a[k] - a_zero) * (b[k] - b_zero));
      ASSERT_EQ(dst[k], ExactCode(numerator, scale, range))
          << numerator << " / " << scale;
    }
  }
}

TEST(MultiplyCodes, OnEveryTarget) {
  TestRandom random;
  constexpr int64_t kGuards = 3;
  OnEveryTarget([&] {
    for (int64_t count = 0; count < 300; ++count) {
      auto a = RandomCodes(&random, count + kGuards);
      auto b = RandomCodes(&random, count + kGuards);
      const CodeProduct product(
          {RandomScale(&random), RandomZeroPoint(&random)},
          {RandomScale(&random), RandomZeroPoint(&random)},
          RandomScale(&random), RandomCodeRange<uint8_t>(&random));
      auto expected = RandomCodes(&random, count + kGuards);
      auto dst = expected;
      reference::MultiplyCodes(product, a.data(), b.data(), count,
                               expected.data());
      MultiplyCodes(product, a.data(), b.data(), count, dst.data());
      ASSERT_EQ(dst, expected) << count;
      // In place of one of the sources.
      auto& in_place = random.OneIn(2) ? a : b;
      std::copy(in_place.begin() + count, in_place.end(),
                expected.begin() + count);
      MultiplyCodes(product, a.data(), b.data(), count, in_place.data());
      ASSERT_EQ(in_place, expected) << count << " in place";
    }
  });
}

// Each pair of codes, of scales whose products fill the range: some of them lie
// so close to a tie that floats cannot tell.
TEST(MultiplyCodes, EachPairOnEveryTarget) {
  TestRandom random;
  std::vector<uint8_t> a(1 << 16), b(1 << 16);
  for (int i = 0; i < 1 << 16; ++i) {
    a[i] = static_cast<uint8_t>(i);
    b[i] = static_cast<uint8_t>(i >> 8);
  }
  for (int i = 0; i < 20; ++i) {
    const CodeProduct product({random.Float(0.5f, 2), RandomZeroPoint(&random)},
                              {random.Float(0.5f, 2), RandomZeroPoint(&random)},
                              random.Float(50, 500),
                              RandomCodeRange<uint8_t>(&random));
    std::vector<uint8_t> expected(a.size()), dst(a.size());
    reference::MultiplyCodes(product, a.data(), b.data(), 1 << 16,
                             expected.data());
    OnEveryTarget([&] {
      MultiplyCodes(product, a.data(), b.data(), 1 << 16, dst.data());
      ASSERT_EQ(dst, expected);
    });
  }
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
