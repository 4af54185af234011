#include "quantization/kernels/min_max.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/support/denormals_are_zeros.h"
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
  EXPECT_EQ(actual.zero_count, wanted.zero_count);
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

// The reference itself, against what the words say.
template <typename T>
void TestDefinition() {
  TestRandom random;
  OnEveryTarget([&] {
    for (int flavour = 0; flavour <= 4; ++flavour) {
      std::vector<T> src(static_cast<std::size_t>(random.Integer(0, 300)));
      for (auto& x : src) x = RandomValue<T>(flavour, &random);
      FloatExtremes<T> wanted;
      for (const T x : src) {
        if (x != x) {
          ++wanted.nan_count;
        } else if (x - x != 0) {
          ++(x > 0 ? wanted.positive_infinity_count
                   : wanted.negative_infinity_count);
        } else {
          wanted.zero_count += x == 0;
          wanted.min = x < wanted.min ? x + T{0} : wanted.min;
          wanted.max = x > wanted.max ? x + T{0} : wanted.max;
        }
      }
      ExpectEqual(MinMax(src.data(), src.size()), wanted);
      DenormalsAreZeros mode;
      ExpectEqual(MinMax(src.data(), src.size()), wanted);
    }
  });
}

TEST(MinMax, FloatDefinition) { TestDefinition<float>(); }
TEST(MinMax, DoubleDefinition) { TestDefinition<double>(); }

TEST(MinMax, DenormalsAreNoZerosWhateverTheMode) {
  constexpr float kTiny = std::numeric_limits<float>::denorm_min();
  for (const std::size_t count : {1, 3, 16, 40, 5000}) {
    std::vector<float> src(count, kTiny);
    src.back() = -2 * kTiny;
    OnEveryTarget([&] {
      FloatExtremes<float> wanted;
      wanted.min = -2 * kTiny;
      wanted.max = count == 1 ? -2 * kTiny : kTiny;
      DenormalsAreZeros mode;
      ExpectEqual(MinMax(src.data(), src.size()), wanted);
      ExpectEqual(reference::MinMax(src.data(), src.size()), wanted);
    });
  }
}

TEST(MinMax, ExtremesOfPartsMergeToThoseOfAll) {
  TestRandom random;
  for (int flavour = 0; flavour <= 4; ++flavour) {
    std::vector<float> src(1000);
    for (auto& x : src) x = RandomValue<float>(flavour, &random);
    DenormalsAreZeros mode;
    const auto cut = static_cast<std::size_t>(random.Integer(0, 1000));
    auto merged = MinMax(src.data() + cut, src.size() - cut);
    Merge(MinMax(src.data(), cut), &merged);
    ExpectEqual(merged, MinMax(src.data(), src.size()));
    EXPECT_EQ(merged.left_out(), merged.nan_count +
                                     merged.positive_infinity_count +
                                     merged.negative_infinity_count);
  }
}

TEST(MinMax, Columns) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int round = 0; round < 120; ++round) {
      const std::size_t widths[] = {0,  1,  2,  3,  7,   15,   16,   17,
                                    31, 63, 64, 65, 100, 2048, 2049, 5000};
      const std::size_t columns = widths[random.Integer(0, 15)];
      const auto rows =
          static_cast<std::size_t>(random.Integer(0, columns > 1000 ? 9 : 300));
      const int flavour = static_cast<int>(random.Integer(0, 4));
      SCOPED_TRACE(std::to_string(rows) + " x " + std::to_string(columns) +
                   ", flavour " + std::to_string(flavour));
      std::vector<float> src(rows * columns);
      for (auto& x : src) x = RandomValue<float>(flavour, &random);
      // A guard behind the last column.
      std::vector<float> min(columns + 1, 42), max(columns + 1, 42);
      FloatExtremes<float> all;
      {
        DenormalsAreZeros mode;
        all = MinMaxColumns(src.data(), rows, columns, min.data(), max.data());
      }
      ExpectEqual(all, MinMax(src.data(), src.size()));
      EXPECT_EQ(min[columns], 42);
      EXPECT_EQ(max[columns], 42);
      for (std::size_t c = 0; c < columns; ++c) {
        std::vector<float> column;
        for (std::size_t r = 0; r < rows; ++r) {
          column.push_back(src[r * columns + c]);
        }
        FloatExtremes<float> wanted =
            reference::MinMax(column.data(), column.size());
        FloatExtremes<float> actual = wanted;
        actual.min = min[c];
        actual.max = max[c];
        ExpectEqual(actual, wanted);
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
        x = narrow ? static_cast<T>(random.Integer(0, 20) * 5)
                   : static_cast<T>(random.generator()());
      }
      const T* data = src.data() + random.Integer(0, 1);
      const auto actual = MinMax(data, count);
      const auto wanted = reference::MinMax(data, count);
      ASSERT_EQ(actual.min, wanted.min) << "count " << count;
      ASSERT_EQ(actual.max, wanted.max) << "count " << count;
      ASSERT_EQ(actual.zero_count, wanted.zero_count) << "count " << count;
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
