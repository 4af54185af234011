#include "quantization/requantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

constexpr int32_t kLowest = std::numeric_limits<int32_t>::min();
constexpr int32_t kLargest = std::numeric_limits<int32_t>::max();

std::string MessageOf(const Status& status) {
  return status.ok() ? "ok" : status.message();
}

TEST(ChooseFixedPointMultiplier, IsExactOfOrdinaryMultipliers) {
  FixedPointMultiplier fixed;
  ASSERT_TRUE(ChooseFixedPointMultiplier(0.5f, &fixed).ok());
  EXPECT_EQ(fixed.multiplier, 1 << 30);
  EXPECT_EQ(fixed.right_shift, 31);
  ASSERT_TRUE(ChooseFixedPointMultiplier(1.0f, &fixed).ok());
  EXPECT_EQ(fixed.multiplier, 1 << 30);
  EXPECT_EQ(fixed.right_shift, 30);
  TestRandom random;
  for (int i = 0; i < 1000; ++i) {
    const float real = std::ldexp(random.Float(0.5f, 1),
                                  static_cast<int>(random.Integer(-30, 30)));
    if (real >= 0x1p30f) continue;
    ASSERT_TRUE(ChooseFixedPointMultiplier(real, &fixed).ok());
    ASSERT_GE(fixed.multiplier, 1 << 30);
    ASSERT_GE(fixed.right_shift, 1);
    ASSERT_EQ(std::ldexp(double{1} * fixed.multiplier, -fixed.right_shift),
              real);
  }
  ASSERT_TRUE(ChooseFixedPointMultiplier(1e-40f, &fixed).ok());
  EXPECT_EQ(fixed.multiplier, 0);
  EXPECT_EQ(fixed.right_shift, 62);
}

TEST(ChooseFixedPointMultiplier, Refuses) {
  FixedPointMultiplier fixed;
  EXPECT_EQ(MessageOf(ChooseFixedPointMultiplier(0, &fixed)),
            "requantization: multiplier is 0, expected a positive number below "
            "2^30");
  for (const float real :
       {-1.0f, 0x1p30f, std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    EXPECT_FALSE(ChooseFixedPointMultiplier(real, &fixed).ok());
  }
}

TEST(Requantize, RoundsAsItSays) {
  const std::vector<int32_t> sums = {1, 3, 5, -1, -3, 600, -600, 0};
  std::vector<uint8_t> codes(8);
  Requantization half;
  half.multipliers = {0.5f};
  half.zero_point = 100;
  ASSERT_TRUE(Requantize(sums.data(), {8}, half, codes.data()).ok());
  EXPECT_EQ(codes, (std::vector<uint8_t>{100, 102, 102, 100, 98, 255, 0, 100}));
  ASSERT_TRUE(RequantizeFixedPoint(sums.data(), {8}, half, codes.data()).ok());
  EXPECT_EQ(codes, (std::vector<uint8_t>{101, 102, 103, 100, 99, 255, 0, 100}));
}

// The definitions, value by value, in double and in 128 bits.
int64_t InFloat(int32_t sum, float multiplier, const Requantization& to) {
  const float product = static_cast<float>(sum) * multiplier;
  const double code = double{std::nearbyint(product)} + to.zero_point;
  return static_cast<int64_t>(
      std::min<double>(std::max<double>(code, to.type.qmin()), to.type.qmax()));
}

int64_t InFixedPoint(int32_t sum, float multiplier, const Requantization& to) {
  FixedPointMultiplier fixed;
  EXPECT_TRUE(ChooseFixedPointMultiplier(multiplier, &fixed).ok());
  __extension__ using Wide = __int128;
  const Wide product = Wide{sum} * fixed.multiplier;
  const Wide code =
      ((product + (Wide{1} << (fixed.right_shift - 1))) >> fixed.right_shift) +
      to.zero_point;
  return static_cast<int64_t>(
      std::min<Wide>(std::max<Wide>(code, to.type.qmin()), to.type.qmax()));
}

template <typename T>
void ExpectTheDefinitions(QuantizedType type, TestRandom* random) {
  SCOPED_TRACE(type.Name());
  for (int round = 0; round < 100; ++round) {
    Requantization to;
    to.type = type;
    to.zero_point =
        static_cast<int32_t>(random->Integer(type.qmin(), type.qmax()));
    std::vector<int64_t> shape = {random->Integer(1, 9), random->Integer(1, 90),
                                  random->Integer(1, 40)};
    if (random->OneIn(2)) {
      to.axis = static_cast<int>(random->Integer(0, 2));
      to.multipliers.resize(shape[to.axis]);
    }
    for (float& each : to.multipliers) {
      each = std::ldexp(
          random->Float(0.5f, 1),
          static_cast<int>(random->OneIn(4) ? random->Integer(-100, 29)
                                            : random->Integer(-25, 0)));
    }
    const int64_t count = shape[0] * shape[1] * shape[2];
    std::vector<int32_t> sums(count);
    for (auto& sum : sums) {
      const int64_t reach = int64_t{1} << random->Integer(1, 31);
      sum = static_cast<int32_t>(random->OneIn(9)
                                     ? (random->OneIn(2) ? kLowest : kLargest)
                                     : random->Integer(-reach, reach - 1));
    }
    std::vector<T> in_float(count + 1, 1), in_fixed_point(count + 1, 1);
    ASSERT_EQ(MessageOf(Requantize(sums.data(), shape, to, in_float.data())),
              "ok");
    ASSERT_EQ(MessageOf(RequantizeFixedPoint(sums.data(), shape, to,
                                             in_fixed_point.data())),
              "ok");
    int64_t inner = 1;
    for (int i = to.axis + 1; i < 3; ++i) inner *= shape[i];
    for (int64_t i = 0; i < count; ++i) {
      const float multiplier = to.multipliers.size() == 1
                                   ? to.multipliers[0]
                                   : to.multipliers[i / inner % shape[to.axis]];
      ASSERT_EQ(in_float[i], InFloat(sums[i], multiplier, to))
          << sums[i] << " * " << multiplier;
      ASSERT_EQ(in_fixed_point[i], InFixedPoint(sums[i], multiplier, to))
          << sums[i] << " * " << multiplier;
    }
    ASSERT_EQ(in_float[count], 1);
    ASSERT_EQ(in_fixed_point[count], 1);
  }
}

TEST(Requantize, FollowsTheDefinitionsOnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    ExpectTheDefinitions<uint8_t>(QuantizedType::UInt8(), &random);
    ExpectTheDefinitions<int8_t>(QuantizedType::Int8(), &random);
    ExpectTheDefinitions<int8_t>(QuantizedType::Int4(), &random);
    ExpectTheDefinitions<int16_t>(QuantizedType::Int16(), &random);
    ExpectTheDefinitions<uint16_t>({12, false}, &random);
    ExpectTheDefinitions<int32_t>(QuantizedType::Int32(), &random);
  });
}

TEST(Requantize, RefusesAndWritesNothing) {
  const std::vector<int32_t> sums(6, 1);
  std::vector<uint8_t> codes(6, 9);
  Requantization to;
  to.zero_point = 256;
  EXPECT_EQ(
      MessageOf(Requantize(sums.data(), {6}, to, codes.data())),
      "requantization: zero_point is 256, expected a value of uint8, 0 to "
      "255");
  to.zero_point = 0;
  to.multipliers = {1, -2};
  EXPECT_EQ(MessageOf(Requantize(sums.data(), {2, 3}, to, codes.data())),
            "requantization: multipliers[1] is -2, expected a positive number");
  to.multipliers = {1, 2};
  EXPECT_EQ(MessageOf(Requantize(sums.data(), {3, 2}, to, codes.data())),
            "requantization: 2 multipliers, expected one, or one for each of 3 "
            "channels");
  to.multipliers = {0x1p30f};
  EXPECT_FALSE(RequantizeFixedPoint(sums.data(), {6}, to, codes.data()).ok());
  to.type = QuantizedType::Int8();
  EXPECT_EQ(MessageOf(Requantize(sums.data(), {6}, to, codes.data())),
            "quantization: values of int8 in an array of uint8_t, expected "
            "int8_t");
  EXPECT_EQ(codes, std::vector<uint8_t>(6, 9));
}

}  // namespace
}  // namespace caffe2_quantization
