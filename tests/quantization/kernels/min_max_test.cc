#include "quantization/kernels/min_max.h"

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

std::vector<std::size_t> Sizes() {
  std::vector<std::size_t> sizes;
  for (std::size_t n = 0; n <= 140; ++n) sizes.push_back(n);
  for (const std::size_t n : {511, 4095, 4096, 4097, 8192, 12345}) {
    sizes.push_back(n);
  }
  return sizes;
}

template <typename T>
void ExpectEqual(const FloatExtremes<T>& actual,
                 const FloatExtremes<T>& wanted) {
  // As bits: -0 and +0 must not be mixed up either.
  EXPECT_EQ(std::memcmp(&actual.min, &wanted.min, sizeof(T)), 0)
      << actual.min << " for " << wanted.min;
  EXPECT_EQ(std::memcmp(&actual.max, &wanted.max, sizeof(T)), 0)
      << actual.max << " for " << wanted.max;
  EXPECT_EQ(actual.nan_count, wanted.nan_count);
  EXPECT_EQ(actual.positive_infinity_count, wanted.positive_infinity_count);
  EXPECT_EQ(actual.negative_infinity_count, wanted.negative_infinity_count);
}

template <typename T>
T RandomValue(int flavour, TestRandom* random) {
  switch (flavour) {
    case 1:  // a stray NaN or infinity now and then
      if (random->OneIn(50)) return std::numeric_limits<T>::quiet_NaN();
      if (random->OneIn(50)) return std::numeric_limits<T>::infinity();
      if (random->OneIn(50)) return -std::numeric_limits<T>::infinity();
      break;
    case 2:  // zeros of both signs, denormals
      if (random->OneIn(3)) return -T{0};
      if (random->OneIn(3)) return T{0};
      return std::numeric_limits<T>::denorm_min() *
             static_cast<T>(random->Integer(-3, 3));
    case 3:  // nothing finite
      return random->OneIn(2) ? std::numeric_limits<T>::quiet_NaN()
                              : std::numeric_limits<T>::infinity();
    case 4:  // the ends of the range
      return random->OneIn(2) ? std::numeric_limits<T>::max()
                              : std::numeric_limits<T>::lowest();
    default:
      break;
  }
  return static_cast<T>(random->Float(-1000, 1000));
}

template <typename T>
void TestFloats() {
  TestRandom random;
  OnEveryTarget([&] {
    for (int flavour = 0; flavour <= 4; ++flavour) {
      for (const std::size_t count : Sizes()) {
        SCOPED_TRACE("flavour " + std::to_string(flavour) + ", count " +
                     std::to_string(count));
        std::vector<T> src(count + 1);
        for (auto& x : src) x = RandomValue<T>(flavour, &random);
        const T* data = src.data() + random.Integer(0, 1);
        ExpectEqual(MinMax(data, count), reference::MinMax(data, count));
      }
    }
  });
}

TEST(MinMax, Float) { TestFloats<float>(); }
TEST(MinMax, Double) { TestFloats<double>(); }

TEST(MinMax, EveryHalf) {
  // All 65,536 bit patterns, NaN and infinities among them.
  std::vector<uint16_t> all(65536);
  for (int i = 0; i < 65536; ++i) all[i] = static_cast<uint16_t>(i);
  OnEveryTarget([&] {
    ExpectEqual(MinMaxHalf(all.data(), all.size()),
                reference::MinMaxHalf(all.data(), all.size()));
    for (std::size_t i = 0; i < all.size(); i += 7) {
      ExpectEqual(
          MinMaxHalf(&all[i], std::min<std::size_t>(70, 65536 - i)),
          reference::MinMaxHalf(&all[i], std::min<std::size_t>(70, 65536 - i)));
    }
  });
}

TEST(MinMax, HalfToFloatIsExact) {
  EXPECT_EQ(HalfToFloat(0x0000), 0.0f);
  EXPECT_EQ(HalfToFloat(0x0001), std::ldexp(1.0f, -24));
  EXPECT_EQ(HalfToFloat(0x03ff), std::ldexp(1023.0f, -24));
  EXPECT_EQ(HalfToFloat(0x0400), std::ldexp(1.0f, -14));
  EXPECT_EQ(HalfToFloat(0x3c00), 1.0f);
  EXPECT_EQ(HalfToFloat(0xc000), -2.0f);
  EXPECT_EQ(HalfToFloat(0x7bff), 65504.0f);
  EXPECT_EQ(HalfToFloat(0x7c00), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(HalfToFloat(0x7e01)));
}

template <typename T>
class MinMaxInteger : public testing::Test {};
#define TYPE(T) , T
template <typename Ignored, typename... Rest>
struct Listed {
  using Types = testing::Types<Rest...>;
};
using IntegerTypes =
    Listed<void CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(TYPE)>::Types;
#undef TYPE
TYPED_TEST_SUITE(MinMaxInteger, IntegerTypes);

TYPED_TEST(MinMaxInteger, EqualsTheReference) {
  using T = TypeParam;
  TestRandom random;
  OnEveryTarget([&] {
    for (const std::size_t count : Sizes()) {
      std::vector<T> src(count + 1);
      const bool narrow = random.OneIn(2);
      for (auto& x : src) {
        x = narrow ? static_cast<T>(random.Integer(40, 60))
                   : static_cast<T>(random.generator()());
      }
      const T* data = src.data() + random.Integer(0, 1);
      const auto actual = MinMax(data, count);
      const auto wanted = reference::MinMax(data, count);
      ASSERT_EQ(actual.min, wanted.min) << "count " << count;
      ASSERT_EQ(actual.max, wanted.max) << "count " << count;
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
