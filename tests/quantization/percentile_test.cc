#include "quantization/percentile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quantization/choose.h"
#include "tests/support/denormals_are_zeros.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

TEST(PercentileTest, LeavesOutTheShareAtEitherEnd) {
  EXPECT_EQ(LeftOutAtEitherEnd(0, 0.5), 0u);
  EXPECT_EQ(LeftOutAtEitherEnd(1, 0.5), 0u);
  EXPECT_EQ(LeftOutAtEitherEnd(1000, 1), 0u);
  // (n - 1) * 0.00005, where it is a whole number and a value before.
  for (const uint64_t k : {1, 2, 3, 7, 50, 4999, 50000}) {
    EXPECT_EQ(LeftOutAtEitherEnd(20000 * k + 1, 0.9999), k);
    EXPECT_EQ(LeftOutAtEitherEnd(20000 * k, 0.9999), k - 1);
    EXPECT_EQ(LeftOutAtEitherEnd(20000 * k + 1, 99.99 / 100), k);
    EXPECT_EQ(LeftOutAtEitherEnd(200 * k + 1, 0.99), k);
    EXPECT_EQ(LeftOutAtEitherEnd(200 * k, 0.99), k - 1);
  }
  EXPECT_EQ(LeftOutAtEitherEnd(1000020, 0.9999), 50u);
  // Never more than there are.
  for (const uint64_t n : {1, 2, 3, 4, 5, 100, 101}) {
    EXPECT_EQ(LeftOutAtEitherEnd(n, 1e-300), (n - 1) / 2) << n;
  }
  constexpr uint64_t kMost = ~uint64_t{0};
  EXPECT_NEAR(LeftOutAtEitherEnd(kMost, 0.5), kMost * 0.25, kMost * 1e-9);
}

// Any bits but those of NaN and infinity.
float AnyFloat(TestRandom* random) {
  switch (random->Integer(0, 4)) {
    case 0:
      return random->Float(-1, 1);
    case 1:
      return static_cast<float>(random->Integer(-3, 3));
    case 2:
      return random->OneIn(2) ? -0.0f : 0.0f;
    case 3:
      return std::ldexp(random->Float(-1, 1),
                        static_cast<int>(random->Integer(-148, 127)));
    default:
      return random->OneIn(2) ? std::numeric_limits<float>::max()
                              : -std::numeric_limits<float>::denorm_min();
  }
}

void ExpectWhatSortingFinds() {
  TestRandom random;
  for (int round = 0; round < 400; ++round) {
    std::vector<float> values(random.Integer(1, random.OneIn(5) ? 5000 : 60));
    const float one = AnyFloat(&random);
    const bool near = random.OneIn(3);
    for (float& x : values) {
      x = near ? std::nextafter(one, random.Float(-1, 1)) : AnyFloat(&random);
      if (!std::isfinite(x)) x = one;
    }
    const auto left_out =
        static_cast<std::size_t>(random.Integer(0, (values.size() - 1) / 2));
    const ValueRange found =
        OrderStatistics(values.data(), values.size(), left_out);
    std::sort(values.begin(), values.end());
    ASSERT_EQ(found.min, values[left_out]) << values.size();
    ASSERT_EQ(found.max, values[values.size() - 1 - left_out]);
    ASSERT_FALSE(found.min == 0 && std::signbit(found.min));
  }
}

TEST(PercentileTest, OrderStatisticsAreWhatSortingFinds) {
  ExpectWhatSortingFinds();
}

TEST(PercentileTest, DenormalsKeepTheirOrder) {
  const float smallest = std::numeric_limits<float>::denorm_min();
  const std::vector<float> values = {3 * smallest, -smallest, 0, smallest,
                                     -3 * smallest};
  const DenormalsAreZeros mode;
  const ValueRange found = OrderStatistics(values.data(), values.size(), 1);
  // As integers: as floats they are zeros now.
  EXPECT_EQ(std::memcmp(&found.min, &values[1], sizeof(float)), 0);
  EXPECT_EQ(std::memcmp(&found.max, &values[3], sizeof(float)), 0);
}

TEST(PercentileTest, BinsAreThoseOfTheValues) {
  TestRandom random;
  for (int round = 0; round < 500; ++round) {
    std::vector<uint64_t> counts(random.Integer(1, 40));
    std::vector<std::size_t> bins;
    for (std::size_t bin = 0; bin < counts.size(); ++bin) {
      counts[bin] = random.OneIn(2) ? 0 : random.Integer(0, 9);
      bins.insert(bins.end(), counts[bin], bin);
    }
    if (bins.empty()) continue;
    ASSERT_EQ(TotalCount(counts), bins.size());
    const auto left_out =
        static_cast<std::size_t>(random.Integer(0, (bins.size() - 1) / 2));
    const BinsOfRange found = BinsOfOrderStatistics(counts, left_out);
    ASSERT_EQ(found.first, bins[left_out]);
    ASSERT_EQ(found.last, bins[bins.size() - 1 - left_out]);
  }
  // Beyond 64 bits.
  constexpr uint64_t kMost = ~uint64_t{0};
  EXPECT_EQ(TotalCount({kMost, 1, kMost}), kMost);
  EXPECT_EQ(BinsOfOrderStatistics({1, kMost, kMost, 1}, kMost / 4).first, 1u);
}

ChooseOptions Percentile(double percentile) {
  ChooseOptions options;
  options.method = ChooseMethod::kPercentile;
  options.percentile = percentile;
  return options;
}

// A million values and twenty that are far out: the case percentiles are for.
TEST(PercentileTest, ValuesFarOutDoNotWidenTheRange) {
  TestRandom random;
  std::vector<float> values(1000000);
  for (float& x : values) x = random.Float(0, 1);
  values.insert(values.end(), 20, 1e6f);
  Choice choice;
  ASSERT_TRUE(
      ChooseFromArray(values.data(), values.size(), Percentile(0.9999), &choice)
          .ok());
  std::vector<float> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(choice.min, sorted[50]);
  EXPECT_EQ(choice.max, sorted[sorted.size() - 51]);
  EXPECT_LT(choice.max, 1);
  EXPECT_GT(choice.max, 0.9998f);
  EXPECT_EQ(choice.clipped_share, 20.0 / values.size());
  EXPECT_EQ(choice.warning, "");

  // DNNLOWP's are a bin off, which is 488 wide.
  ChooseOptions in_bins = Percentile(0.9999);
  ChooseLikeDnnlowp(&in_bins);
  EXPECT_EQ(in_bins.method, ChooseMethod::kPercentileInBins);
  ASSERT_TRUE(
      ChooseFromArray(values.data(), values.size(), in_bins, &choice).ok());
  EXPECT_GT(choice.max, 400);

  // Bins of the whole range cannot tell, and the choice says so.
  BinCounts bins{0, 1e6f, std::vector<uint64_t>(2048)};
  bins.counts.front() = 1000000;
  bins.counts.back() = 20;
  ASSERT_TRUE(ChooseFromCounts(bins, Percentile(0.9999), &choice).ok());
  EXPECT_EQ(choice.min, 0);
  EXPECT_FLOAT_EQ(choice.max, 488.28125f);
  EXPECT_NE(choice.warning.find(
                "P99.99 cannot be told from bins 488.28125 wide: the values "
                "within [0, 488.28125] may all lie in a smaller part of it"),
            std::string::npos)
      << choice.warning;
}

TEST(PercentileTest, OfCountsToABin) {
  TestRandom random;
  std::normal_distribution<float> normal;
  for (int round = 0; round < 20; ++round) {
    std::vector<float> values(random.Integer(100, 20000));
    for (float& x : values) x = normal(random.generator());
    Histogram histogram;
    histogram.Add(values.data(), values.size());
    std::sort(values.begin(), values.end());
    for (const double percentile : {0.5, 0.9, 0.99, 0.999, 1.0}) {
      Choice exact, counted;
      ASSERT_TRUE(ChooseFromArray(values.data(), values.size(),
                                  Percentile(percentile), &exact)
                      .ok());
      ASSERT_TRUE(ChooseFromHistogram(histogram, values.front(), values.back(),
                                      Percentile(percentile), &counted)
                      .ok());
      const double width = histogram.bin_width();
      EXPECT_LE(counted.min, exact.min);
      // A whole bin, if the value stands on its edge.
      EXPECT_GE(counted.min, exact.min - width);
      EXPECT_GE(counted.max, exact.max);
      EXPECT_LE(counted.max, exact.max + width);
      EXPECT_NEAR(counted.clipped_share, exact.clipped_share, 0.01);
      EXPECT_EQ(counted.warning.find("cannot be told"), std::string::npos);
    }
  }
  Histogram histogram;
  const float one = 1;
  histogram.Add(&one, 1);
  Choice choice;
  EXPECT_FALSE(
      ChooseFromHistogram(histogram, 2, 1, Percentile(0.9), &choice).ok());
}

// Of few values nothing is left out.
TEST(PercentileTest, OfFewValuesIsAllOfThem) {
  const std::vector<float> values = {-3, 1, 2, 100};
  Choice all, choice;
  ASSERT_TRUE(ChooseFromArray(values.data(), 4, ChooseOptions(), &all).ok());
  ASSERT_TRUE(
      ChooseFromArray(values.data(), 4, Percentile(0.9999), &choice).ok());
  EXPECT_EQ(choice.scale, all.scale);
  EXPECT_EQ(choice.zero_point, all.zero_point);
  EXPECT_EQ(choice.clipped_share, 0);
  EXPECT_EQ(choice.warning, "");
}

}  // namespace
}  // namespace caffe2_quantization
