#include "quantization/kernels/output_stage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "tests/support/denormals_are_zeros.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

constexpr int32_t kLowest = std::numeric_limits<int32_t>::min();
constexpr int32_t kLargest = std::numeric_limits<int32_t>::max();

// A stage with all that it points to, and sums for it.
struct Case {
  int64_t rows, columns, sums_stride, dst_stride;
  std::vector<int32_t> sums, row_sums, weight_zero_points, column_offsets;
  // For the wide forms, as large as a K of 2^31 makes them.
  std::vector<double> wide_sums, wide_row_sums, wide_offsets;
  std::vector<float> multipliers, bias;
  std::vector<uint8_t> addend;
  OutputStage stage;

  explicit Case(TestRandom* random) {
    rows = random->Integer(0, 9);
    columns = random->Integer(1, random->OneIn(4) ? 200 : 40);
    sums_stride = columns + (random->OneIn(2) ? 0 : random->Integer(1, 9));
    dst_stride = columns + (random->OneIn(2) ? 0 : random->Integer(1, 9));
    // Not a value more than is read.
    sums.resize(rows == 0 ? 0 : (rows - 1) * sums_stride + columns);
    for (int32_t& sum : sums) {
      const int64_t reach = int64_t{1} << random->Integer(1, 31);
      sum = static_cast<int32_t>(random->OneIn(99)
                                     ? (random->OneIn(2) ? kLowest : kLargest)
                                     : random->Integer(-reach, reach - 1));
    }
    const auto wide = [&](int most_bits) {
      const int64_t reach = int64_t{1} << random->Integer(1, most_bits);
      return static_cast<double>(random->Integer(-reach, reach));
    };
    for (std::size_t i = 0; i < sums.size(); ++i) wide_sums.push_back(wide(46));
    for (int64_t r = 0; r < rows; ++r) {
      wide_row_sums.push_back(std::abs(wide(39)));
    }
    for (int64_t n = 0; n < columns; ++n) wide_offsets.push_back(wide(47));
    stage.columns = columns;
    if (random->OneIn(3)) stage.wide_offsets = wide_offsets.data();
    if (random->OneIn(2)) {
      Fill(random, -128, 127, columns, &weight_zero_points);
      // All the same, or all but one.
      if (random->OneIn(2)) {
        std::fill_n(weight_zero_points.begin() + random->Integer(0, 1),
                    columns - 1, weight_zero_points[0]);
      }
      stage.weight_zero_points = weight_zero_points.data();
      Fill(random, 0, random->OneIn(2) ? 1 << 20 : kLargest, rows, &row_sums);
    }
    if (random->OneIn(2)) {
      Fill(random, kLowest, kLargest, columns, &column_offsets);
      stage.column_offsets = column_offsets.data();
    }
    for (int64_t n = 0; n < columns; ++n) {
      multipliers.push_back(
          random->OneIn(20)
              ? 0
              : std::ldexp(random->Float(0.5f, 1),
                           static_cast<int>(random->OneIn(9)
                                                ? random->Integer(-140, 120)
                                                : random->Integer(-30, 2))));
      // Many are 0 of codes; the largest are what no code holds.
      bias.push_back(random->OneIn(3) ? 0
                     : random->OneIn(9)
                         ? std::copysign(3e38f, random->Float(-1, 1))
                         : random->Float(-10, 10));
    }
    // Ties: sums of which half a code each is made.
    if (random->OneIn(3)) {
      std::fill(multipliers.begin(), multipliers.end(), 0.5f);
    }
    stage.multipliers = multipliers.data();
    stage.high = (1 << random->Integer(2, 8)) - 1;
    stage.zero_point = static_cast<int32_t>(random->Integer(0, stage.high));
    if (random->OneIn(2)) stage.low = stage.zero_point;
    if (random->OneIn(2)) stage.bias = bias.data();
    stage.relu = random->OneIn(2);
    if (random->OneIn(2)) {
      addend.resize(rows * dst_stride + 1);
      for (uint8_t& code : addend) code = random->Byte();
      stage.addend = addend.data();
      stage.addend_zero_point = random->Byte();
      stage.addend_multiplier = random->Float(0, 2);
    }
  }

 private:
  static void Fill(TestRandom* random, int64_t low, int64_t high, int64_t count,
                   std::vector<int32_t>* values) {
    for (int64_t i = 0; i < count; ++i) {
      values->push_back(static_cast<int32_t>(random->Integer(low, high)));
    }
  }
};

// The definition, in 64 bits and double but where it says float.
template <typename S>
int64_t AccumulatorOf(const Case& c, const std::vector<S>& sums,
                      const std::vector<S>& row_sums, int64_t r, int64_t n) {
  auto acc = static_cast<int64_t>(sums[r * c.sums_stride + n]);
  if (c.stage.weight_zero_points != nullptr) {
    acc -= c.weight_zero_points[n] * static_cast<int64_t>(row_sums[r]);
  }
  if (c.stage.wide_offsets != nullptr) {
    return acc + static_cast<int64_t>(c.wide_offsets[n]);
  }
  if (c.stage.column_offsets != nullptr) acc += c.column_offsets[n];
  if (std::is_same_v<S, double>) return acc;
  // Beyond 32 bits the narrow form is not for; it wraps alike everywhere.
  const int64_t span = int64_t{1} << 32;
  return ((acc - kLowest) % span + span) % span + kLowest;
}

template <typename S>
void ExpectTheEquation(const Case& c, const std::vector<S>& sums,
                       const std::vector<S>& row_sums) {
  std::vector<uint8_t> codes(c.rows * c.dst_stride + 1);
  std::vector<float> floats(c.rows * c.dst_stride + 1);
  reference::SumsToCodes(sums.data(), c.sums_stride, row_sums.data(), c.rows,
                         c.stage, codes.data(), c.dst_stride);
  reference::SumsToFloats(sums.data(), c.sums_stride, row_sums.data(), c.rows,
                          c.stage, floats.data(), c.dst_stride);
  for (int64_t r = 0; r < c.rows; ++r) {
    for (int64_t n = 0; n < c.columns; ++n) {
      const auto acc =
          static_cast<float>(AccumulatorOf(c, sums, row_sums, r, n));
      const float product = acc * c.multipliers[n];
      float y = product;
      if (c.stage.bias != nullptr) y += c.stage.bias[n];
      if (c.stage.addend != nullptr) {
        y += static_cast<float>(c.addend[r * c.dst_stride + n] -
                                c.stage.addend_zero_point) *
             c.stage.addend_multiplier;
      }
      const double code = std::nearbyint(double{y}) + c.stage.zero_point;
      ASSERT_EQ(codes[r * c.dst_stride + n],
                std::clamp<double>(code, c.stage.low, c.stage.high));
      float expected = product;
      if (c.stage.bias != nullptr) {
        expected = std::fma(acc, c.multipliers[n], c.stage.bias[n]);
      }
      if (c.stage.relu) expected = std::max(0.0f, expected);
      ASSERT_EQ(floats[r * c.dst_stride + n], expected);
    }
  }
}

TEST(OutputStage, ThePlainFormIsTheEquation) {
  TestRandom random;
  for (int round = 0; round < 500; ++round) {
    const Case c(&random);
    ASSERT_NO_FATAL_FAILURE(ExpectTheEquation(c, c.sums, c.row_sums));
    ASSERT_NO_FATAL_FAILURE(ExpectTheEquation(c, c.wide_sums, c.wide_row_sums));
  }
}

template <typename S>
void ExpectTheReferencesBits(const Case& c, const std::vector<S>& sums,
                             const std::vector<S>& row_sums) {
  const int64_t count = c.rows * c.dst_stride + 1;
  std::vector<uint8_t> expected(count, 7), actual(count, 7);
  reference::SumsToCodes(sums.data(), c.sums_stride, row_sums.data(), c.rows,
                         c.stage, expected.data(), c.dst_stride);
  SumsToCodes(sums.data(), c.sums_stride, row_sums.data(), c.rows, c.stage,
              actual.data(), c.dst_stride);
  ASSERT_EQ(actual, expected);

  std::vector<float> wanted(count, 7), got(count, 7);
  reference::SumsToFloats(sums.data(), c.sums_stride, row_sums.data(), c.rows,
                          c.stage, wanted.data(), c.dst_stride);
  SumsToFloats(sums.data(), c.sums_stride, row_sums.data(), c.rows, c.stage,
               got.data(), c.dst_stride);
  ASSERT_EQ(std::memcmp(got.data(), wanted.data(), count * sizeof(float)), 0);
}

void ExpectTheReferencesBits(TestRandom* random) {
  for (int round = 0; round < 1000; ++round) {
    const Case c(random);
    SCOPED_TRACE(testing::Message() << c.rows << " x " << c.columns);
    ASSERT_NO_FATAL_FAILURE(ExpectTheReferencesBits(c, c.sums, c.row_sums));
    ASSERT_NO_FATAL_FAILURE(
        ExpectTheReferencesBits(c, c.wide_sums, c.wide_row_sums));
  }
}

// More columns than a wide tile has.
TEST(OutputStage, ManyColumnsHaveTheReferencesBits) {
  TestRandom random;
  Case c(&random);
  c.rows = 3;
  c.columns = c.stage.columns = c.sums_stride = c.dst_stride = 5001;
  c.stage.addend = nullptr;
  c.stage.weight_zero_points = nullptr;
  c.stage.bias = nullptr;
  c.wide_sums.resize(c.rows * c.columns);
  for (double& sum : c.wide_sums) {
    sum = static_cast<double>(random.Integer(-1e12, 1e12));
  }
  c.wide_offsets.assign(c.columns, -3e11);
  c.stage.wide_offsets = c.wide_offsets.data();
  c.multipliers.assign(c.columns, 1e-10f);
  c.stage.multipliers = c.multipliers.data();
  OnEveryTarget([&] {
    ASSERT_NO_FATAL_FAILURE(ExpectTheEquation(c, c.wide_sums, c.wide_row_sums));
    ASSERT_NO_FATAL_FAILURE(
        ExpectTheReferencesBits(c, c.wide_sums, c.wide_row_sums));
  });
}

TEST(OutputStage, EveryTargetHasTheReferencesBits) {
  TestRandom random;
  OnEveryTarget([&] { ExpectTheReferencesBits(&random); });
}

TEST(OutputStage, EveryTargetHasTheReferencesBitsWithoutDenormals) {
  TestRandom random;
  OnEveryTarget([&] {
    const DenormalsAreZeros mode;
    ExpectTheReferencesBits(&random);
  });
}

TEST(OutputStage, TheAddendMayBeTheOutput) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int round = 0; round < 300; ++round) {
      Case c(&random);
      if (c.stage.addend == nullptr) continue;
      std::vector<uint8_t> expected = c.addend;
      reference::SumsToCodes(c.sums.data(), c.sums_stride, c.row_sums.data(),
                             c.rows, c.stage, expected.data(), c.dst_stride);
      SumsToCodes(c.sums.data(), c.sums_stride, c.row_sums.data(), c.rows,
                  c.stage, c.addend.data(), c.dst_stride);
      ASSERT_EQ(c.addend, expected);
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
