#include "quantization/choose.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "quantization/norm_minimization.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

constexpr ChooseMethod kMethods[] = {
    ChooseMethod::kMinMax,
    ChooseMethod::kL2,
    ChooseMethod::kL2Approx,
    ChooseMethod::kL1,
    ChooseMethod::kKl,
    ChooseMethod::kPercentile,
    ChooseMethod::kPercentileInBins,
    ChooseMethod::kMse,
};

Choice Choose(const std::vector<float>& values, const ChooseOptions& options) {
  Choice choice;
  const Status status =
      ChooseFromArray(values.data(), values.size(), options, &choice);
  EXPECT_TRUE(status.ok()) << status.message();
  return choice;
}

double Quantized(double x, const Choice& choice, QuantizedType type) {
  const double q = std::nearbyint(x / choice.scale) + choice.zero_point;
  return choice.scale *
         (std::min<double>(std::max<double>(q, type.qmin()), type.qmax()) -
          choice.zero_point);
}

double SquaredError(const std::vector<float>& values, const Choice& choice,
                    QuantizedType type) {
  double sum = 0;
  for (const float x : values) {
    sum += std::pow(x - Quantized(x, choice, type), 2);
  }
  return sum;
}

// Values of every size get the same parameters, but for their unit.
TEST(ChooseFromArrayTest, ThePowerOfTwoOfValuesIsThatOfTheScale) {
  TestRandom random;
  std::normal_distribution<float> normal;
  std::vector<float> values(5000);
  for (float& value : values) value = normal(random.generator());
  for (const auto method :
       {ChooseMethod::kMinMax, ChooseMethod::kL2, ChooseMethod::kL2Approx,
        ChooseMethod::kL1, ChooseMethod::kKl, ChooseMethod::kMse,
        ChooseMethod::kPercentile}) {
    SCOPED_TRACE(Name(method));
    ChooseOptions options;
    options.method = method;
    Choice one;
    ASSERT_TRUE(
        ChooseFromArray(values.data(), values.size(), options, &one).ok());
    for (const int exponent : {-50, -30, 40, 100}) {
      std::vector<float> others = values;
      for (float& value : others) value = std::ldexp(value, exponent);
      Choice choice;
      ASSERT_TRUE(
          ChooseFromArray(others.data(), others.size(), options, &choice).ok());
      // MSE's error is the least to a millionth, its scale is so to less.
      EXPECT_NEAR(choice.scale / std::ldexp(one.scale, exponent), 1, 1e-4);
      EXPECT_EQ(choice.zero_point, one.zero_point);
    }
  }
}

// What the whole range has above the smallest scale is searched, also where the
// extent of the values, half of a symmetric range, would have less.
TEST(ChooseFromArrayTest, TheSmallestScaleLeavesWiderSymmetricRangesAlone) {
  TestRandom random;
  std::vector<float> values(14);
  for (float& value : values) value = random.Float(-1, 1) / 4096;
  values[7] = 50.0f / 4096;
  for (const auto method : {ChooseMethod::kL2, ChooseMethod::kL1}) {
    ChooseOptions options;
    options.method = method;
    options.preserve_sparsity = true;
    Choice free, limited;
    ASSERT_TRUE(
        ChooseFromArray(values.data(), values.size(), options, &free).ok());
    ChooseLikeDnnlowp(&options);
    ASSERT_TRUE(
        ChooseFromArray(values.data(), values.size(), options, &limited).ok());
    EXPECT_GT(limited.scale, kDnnlowpSmallestScale);
    EXPECT_EQ(free.scale, limited.scale);
    EXPECT_EQ(free.zero_point, limited.zero_point);
  }
}

TEST(ChooseMethodTest, NamesReadBack) {
  for (const ChooseMethod method : kMethods) {
    ChooseMethod read;
    ASSERT_TRUE(ChooseMethodFromName(Name(method), &read, nullptr).ok());
    EXPECT_EQ(read, method);
  }
  ChooseMethod method;
  double percentile = 0;
  ASSERT_TRUE(
      ChooseMethodFromName("l2_min_quantization_approx", &method, &percentile)
          .ok());
  EXPECT_EQ(method, ChooseMethod::kL2Approx);
  ASSERT_TRUE(ChooseMethodFromName("p99.9", &method, &percentile).ok());
  EXPECT_EQ(method, ChooseMethod::kPercentile);
  EXPECT_DOUBLE_EQ(percentile, 0.999);
  // An option may say which.
  ASSERT_TRUE(ChooseMethodFromName("P99", &method, &percentile).ok());
  EXPECT_DOUBLE_EQ(percentile, 0.999);
  ASSERT_TRUE(
      ChooseMethodFromName("p99.99_dnnlowp", &method, &percentile).ok());
  EXPECT_EQ(method, ChooseMethod::kPercentileInBins);
  EXPECT_DOUBLE_EQ(percentile, 0.9999);
  for (const char* name : {"", "P", "P0", "P101", "P9.9.9", "L3", "MINMAX",
                           "P_DNNLOWP", "P99_", "P99_DNNLOW", "L2_DNNLOWP_"}) {
    EXPECT_FALSE(ChooseMethodFromName(name, &method, &percentile).ok()) << name;
  }
}

TEST(ChooseFromRangeTest, KnownRanges) {
  ChooseOptions options;
  Choice choice;
  ASSERT_TRUE(ChooseFromRange(-1, 1.55f, options, &choice).ok());
  EXPECT_FLOAT_EQ(choice.scale, 0.01f);
  EXPECT_EQ(choice.zero_point, 100);
  // Widened to hold 0.
  ASSERT_TRUE(ChooseFromRange(2, 5.1f, options, &choice).ok());
  EXPECT_FLOAT_EQ(choice.scale, 0.02f);
  EXPECT_EQ(choice.zero_point, 0);
  // Nothing to go by.
  ASSERT_TRUE(ChooseFromRange(0, 0, options, &choice).ok());
  EXPECT_FLOAT_EQ(choice.scale, 0.1f);
  EXPECT_EQ(choice.zero_point, 0);
  // Symmetric.
  options.preserve_sparsity = true;
  ASSERT_TRUE(ChooseFromRange(-1.28f, 0.5f, options, &choice).ok());
  EXPECT_FLOAT_EQ(choice.scale, 0.01f);
  EXPECT_EQ(choice.zero_point, 128);
  options.type = QuantizedType::Int8();
  ASSERT_TRUE(ChooseFromRange(-1.28f, 0.5f, options, &choice).ok());
  EXPECT_EQ(choice.zero_point, 0);
  options.force_scale_power_of_two = true;
  ASSERT_TRUE(ChooseFromRange(-1.28f, 0.5f, options, &choice).ok());
  EXPECT_EQ(choice.scale, 0.015625f);
}

TEST(ChooseFromRangeTest, RepresentsTheRange) {
  TestRandom random;
  for (int i = 0; i < 5000; ++i) {
    ChooseOptions options;
    options.type = {static_cast<int>(random.Integer(1, 16)), random.OneIn(2)};
    options.preserve_sparsity = random.OneIn(2);
    options.force_scale_power_of_two = random.OneIn(3);
    options.reduced_range = options.type.precision > 1 && random.OneIn(3);
    const float unit = std::ldexp(1.0f, random.Integer(-30, 60));
    float min = random.Float(-1, 1) * unit;
    float max = random.Float(-1, 1) * unit;
    if (min > max) std::swap(min, max);
    Choice choice;
    ASSERT_TRUE(ChooseFromRange(min, max, options, &choice).ok());
    const QuantizedType codes = options.Codes();
    EXPECT_GE(choice.zero_point, codes.qmin());
    EXPECT_LE(choice.zero_point, codes.qmax());
    EXPECT_GT(choice.scale, 0);
    EXPECT_GE(choice.scale, options.smallest_scale);
    // The zero point was rounded: half a code at either end. Of one bit and on
    // both sides of 0, one side has no code.
    if (codes.precision == 1 && options.preserve_sparsity && min < 0 && max > 0)
      continue;
    const double slack = 0.501 * choice.scale;
    EXPECT_LE(choice.RepresentedMin(codes), min + slack);
    EXPECT_GE(choice.RepresentedMax(codes), max - slack);
    if (options.force_scale_power_of_two) {
      int exponent;
      EXPECT_EQ(std::frexp(choice.scale, &exponent), 0.5f);
    }
  }
}

// The range decides, down to what the arithmetic carries.
TEST(ChooseFromRangeTest, SmallRangesHaveSmallScales) {
  TestRandom random;
  for (int i = 0; i < 3000; ++i) {
    ChooseOptions options;
    options.type.precision = static_cast<int>(random.Integer(2, 16));
    const double codes = options.type.qmax();
    const auto max = std::ldexp(random.Float(0.5f, 1),
                                static_cast<int>(random.Integer(-149, 20)));
    Choice choice, dnnlowp;
    ASSERT_TRUE(ChooseFromRange(0, max, options, &choice).ok());
    if (max == 0) continue;
    EXPECT_EQ(choice.scale, static_cast<float>(std::max(max / codes, 0x1p-63)));
    EXPECT_EQ(choice.zero_point, 0);
    ASSERT_TRUE(ChooseFromRange(-max, 0, options, &choice).ok());
    EXPECT_EQ(choice.zero_point, codes);
    ChooseLikeDnnlowp(&options);
    ASSERT_TRUE(ChooseFromRange(-max, 0, options, &dnnlowp).ok());
    if (choice.scale >= kDnnlowpSmallestScale) {
      EXPECT_EQ(dnnlowp.scale, choice.scale);
    } else if (max > 1e-32f) {  // DNNLOWP's has no scale without reciprocal
      EXPECT_EQ(dnnlowp.scale, kDnnlowpSmallestScale);
    }
    options.force_scale_power_of_two = true;
    options.smallest_scale = kSmallestChosenScale;
    ASSERT_TRUE(ChooseFromRange(0, max, options, &choice).ok());
    EXPECT_GE(choice.scale, 0x1p-63f);
    EXPECT_GE(choice.scale, static_cast<float>(max / codes));
    EXPECT_LT(choice.scale / 2, std::max(max / codes, 0x1p-63));
  }
  ChooseOptions options;
  options.type.precision = 16;
  Choice choice;
  ASSERT_TRUE(ChooseFromRange(0, 1, options, &choice).ok());
  EXPECT_FLOAT_EQ(choice.scale, 1.0f / 65535);
}

// The derivation beside the constant: what is made of two scales at the limit.
TEST(ChooseFromRangeTest, TheSmallestScaleIsWhatRequantizationCarries) {
  constexpr float kSmallestNormal = std::numeric_limits<float>::min();
  const float unit = kSmallestChosenScale * kSmallestChosenScale;
  EXPECT_EQ(unit, kSmallestNormal);
  EXPECT_TRUE(std::isnormal(1 / unit));
  EXPECT_TRUE(std::isfinite(unit / kSmallestChosenScale));
  const float next = kSmallestChosenScale / 2;
  EXPECT_LT(next * kSmallestChosenScale, kSmallestNormal);
}

TEST(ChooseFromRangeTest, RefusesWhatIsNoRange) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  Choice choice;
  choice.zero_point = 77;
  for (const auto& [min, max] : std::vector<std::pair<float, float>>{
           {nan, 1}, {0, nan}, {-inf, 0}, {0, inf}, {2, 1}}) {
    const Status status = ChooseFromRange(min, max, ChooseOptions(), &choice);
    EXPECT_FALSE(status.ok()) << min << " " << max;
    EXPECT_EQ(choice.zero_point, 77);
  }
}

TEST(ChooseFromRangeTest, TakesTheWidestRanges) {
  const float largest = std::numeric_limits<float>::max();
  Choice choice;
  ASSERT_TRUE(
      ChooseFromRange(-largest, largest, ChooseOptions(), &choice).ok());
  EXPECT_FLOAT_EQ(choice.scale, static_cast<float>(largest / 127.5));
}

TEST(ChooseOptionsTest, EachRuleHasItsMessage) {
  const auto message = [](void (*change)(ChooseOptions*)) {
    ChooseOptions options;
    change(&options);
    return options.Validate().message();
  };
  using Options = ChooseOptions*;
  EXPECT_EQ(ChooseOptions().Validate().message(), "");
  EXPECT_NE(message([](Options o) { o->type.precision = 0; }).find("precision"),
            std::string::npos);
  EXPECT_NE(message([](Options o) {
              o->type = QuantizedType::Int32();
            }).find("expected 1 to 16"),
            std::string::npos);
  EXPECT_NE(message([](Options o) {
              o->type.precision = 1;
              o->reduced_range = true;
            }).find("reduced_range"),
            std::string::npos);
  EXPECT_NE(message([](Options o) { o->percentile = 1.5; }).find("percentile"),
            std::string::npos);
  EXPECT_NE(
      message([](Options o) { o->smallest_scale = -1; }).find("smallest_scale"),
      std::string::npos);
  EXPECT_NE(message([](Options o) {
              o->clipped_share_limit = 2;
            }).find("clipped_share_limit"),
            std::string::npos);
}

TEST(ChooseFromArrayTest, RefusesValuesThatAreNotFinite) {
  const float values[] = {1, std::nanf(""), 2,
                          std::numeric_limits<float>::infinity()};
  for (const ChooseMethod method : kMethods) {
    ChooseOptions options;
    options.method = method;
    Choice choice;
    const Status status = ChooseFromArray(values, 4, options, &choice);
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.message().find("1 NaN and 1 infinite of 4"),
              std::string::npos)
        << status.message();
  }
}

// Every method takes whatever is finite, and its choice is usable.
TEST(ChooseFromArrayTest, TakesEveryKindOfArray) {
  TestRandom random;
  const std::vector<std::vector<float>> arrays = {
      {},
      {0},
      {-0.0f},
      {3},
      {-3},
      std::vector<float>(100, 1000),
      std::vector<float>(100, -1e-30f),
      {1e-45f, 2e-45f},
      {-3e38f, 3e38f},
      {1000000, 1000001, 1000002},
      {-1000000, -1000001},
      {16777216, 16777218},
      {-1, 1e30f},
      {0, 0, 0, 0, 7},
  };
  for (const auto& values : arrays) {
    for (const ChooseMethod method : kMethods) {
      // What the other options change comes after that search, the longest.
      const int combinations = method == ChooseMethod::kKl ? 2 : 8;
      for (int bits = 0; bits < combinations; ++bits) {
        ChooseOptions options;
        options.method = method;
        options.preserve_sparsity = bits & 1;
        options.type.is_signed = bits & 2;
        options.force_scale_power_of_two = bits & 4;
        const Choice choice = Choose(values, options);
        SCOPED_TRACE(Name(method) + " of " + std::to_string(values.size()) +
                     (values.empty() ? "" : " " + std::to_string(values[0])));
        EXPECT_TRUE(std::isfinite(choice.scale) && choice.scale > 0)
            << choice.scale;
        EXPECT_GE(choice.zero_point, options.type.qmin());
        EXPECT_LE(choice.zero_point, options.type.qmax());
        EXPECT_GE(choice.clipped_share, 0);
        EXPECT_LE(choice.clipped_share, 1);
        EXPECT_TRUE(std::isfinite(choice.objective));
      }
    }
  }
}

TEST(ChooseFromArrayTest, PrecisionsFrom1To16) {
  TestRandom random;
  std::normal_distribution<float> normal;
  std::vector<float> values(3000);
  for (float& x : values) x = normal(random.generator());
  for (const ChooseMethod method :
       {ChooseMethod::kMinMax, ChooseMethod::kL2Approx, ChooseMethod::kL2,
        ChooseMethod::kPercentile, ChooseMethod::kMse}) {
    double last = std::numeric_limits<double>::infinity();
    for (const int precision : {1, 2, 3, 4, 6, 8, 12, 16}) {
      ChooseOptions options;
      options.method = method;
      options.type.precision = precision;
      options.percentile = 0.99999;
      options.smallest_scale = 0;
      const double error =
          SquaredError(values, Choose(values, options), options.type);
      EXPECT_LT(error, last) << Name(method) << " " << precision;
      last = error;
    }
  }
}

TEST(ChooseFromArrayTest, L2ClipsAnOutlierAndSaysSo) {
  TestRandom random;
  std::normal_distribution<float> normal;
  std::vector<float> values(1 << 14);
  for (float& x : values) x = normal(random.generator());
  values[7] = 60;
  ChooseOptions options;
  const double all =
      SquaredError(values, Choose(values, options), options.type);
  for (const ChooseMethod method :
       {ChooseMethod::kL1, ChooseMethod::kKl, ChooseMethod::kPercentile}) {
    options.method = method;
    EXPECT_LT(Choose(values, options).max, 30) << Name(method);
  }
  options.type.precision = 4;
  options.method = ChooseMethod::kMinMax;
  const double all4 =
      SquaredError(values, Choose(values, options), options.type);
  for (const ChooseMethod method : {ChooseMethod::kL2, ChooseMethod::kMse}) {
    options.method = method;
    EXPECT_LT(SquaredError(values, Choose(values, options), options.type), all4)
        << Name(method);
  }
  options.type.precision = 8;
  options.method = ChooseMethod::kL2;
  EXPECT_LE(SquaredError(values, Choose(values, options), options.type),
            all * 1.001);

  // A percentile says what it does.
  options.method = ChooseMethod::kPercentile;
  const Choice choice = Choose(values, options);
  EXPECT_NEAR(choice.clipped_share, 0.01, 0.004);
  EXPECT_NE(choice.warning.find("P99 clips"), std::string::npos)
      << choice.warning;
  options.clipped_share_limit = 0.05;
  EXPECT_EQ(Choose(values, options).warning, "");
}

TEST(ChooseFromArrayTest, ObjectiveIsTheExpectedError) {
  TestRandom random;
  std::normal_distribution<float> normal;
  std::vector<float> values(1 << 15);
  for (float& x : values) x = 3 * normal(random.generator());
  for (const ChooseMethod method :
       {ChooseMethod::kL2, ChooseMethod::kL2Approx, ChooseMethod::kMse}) {
    ChooseOptions options;
    options.method = method;
    const Choice choice = Choose(values, options);
    EXPECT_NEAR(choice.objective / SquaredError(values, choice, options.type),
                1, 0.05)
        << Name(method);
  }
}

TEST(ChooseFromArrayTest, MseIsSymmetricWhereThatIsAskedFor) {
  TestRandom random;
  std::normal_distribution<float> normal;
  for (int i = 0; i < 20; ++i) {
    std::vector<float> values(4000);
    for (float& x : values) x = normal(random.generator()) + (i % 3 - 1);
    ChooseOptions options;
    options.method = ChooseMethod::kMse;
    options.preserve_sparsity = true;
    options.type = {static_cast<int>(random.Integer(2, 8)), true};
    const Choice choice = Choose(values, options);
    EXPECT_EQ(choice.zero_point, 0);
    // No other scale is clearly better.
    const double error = SquaredError(values, choice, options.type);
    for (double factor = 0.3; factor < 2; factor += 0.01) {
      Choice other = choice;
      other.scale *= static_cast<float>(factor);
      EXPECT_GE(SquaredError(values, other, options.type), error * (1 - 1e-5))
          << factor;
    }
  }
}

TEST(ChooseFromArrayTest, SymmetricSearchesReachTheFarSide) {
  TestRandom random;
  std::vector<float> values(5000);
  for (float& x : values) x = random.Float(-0.1f, 0.5f);
  for (const ChooseMethod method : {ChooseMethod::kL2, ChooseMethod::kL2Approx,
                                    ChooseMethod::kL1, ChooseMethod::kMse}) {
    ChooseOptions options;
    options.method = method;
    options.preserve_sparsity = true;
    EXPECT_NEAR(Choose(values, options).RepresentedMax(options.type), 0.5, 0.02)
        << Name(method);
  }
}

TEST(ChooseFromArrayTest, ReducedRangeUsesHalfTheCodes) {
  const std::vector<float> values = {-1, 0.5f, 1};
  for (const bool is_signed : {false, true}) {
    ChooseOptions options;
    options.type.is_signed = is_signed;
    options.reduced_range = true;
    const Choice choice = Choose(values, options);
    EXPECT_FLOAT_EQ(choice.scale, 2.0f / 127);
    const QuantizedType codes = options.Codes();
    EXPECT_EQ(codes.qmax() - codes.qmin(), 127);
    EXPECT_NEAR(choice.RepresentedMin(codes), -1, choice.scale / 2);
    EXPECT_NEAR(choice.RepresentedMax(codes), 1, choice.scale / 2);
  }
}

TEST(ChooseFromCountsTest, ManyBinsAreMerged) {
  TestRandom random;
  BinCounts fine;
  fine.min = -2;
  fine.max = 3;
  fine.counts.resize(50000);
  for (std::size_t b = 0; b < fine.counts.size(); ++b) {
    fine.counts[b] = static_cast<uint64_t>(
        1000 * std::exp(-std::pow((b - 20000.0) / 5000, 2)));
  }
  ChooseOptions options;
  options.method = ChooseMethod::kL2;
  Choice choice;
  ASSERT_TRUE(ChooseFromCounts(fine, options, &choice).ok());
  EXPECT_LT(choice.clipped_share, 0.01);
  EXPECT_LT(choice.max - choice.min, 4);
}

TEST(ChooseFromCountsTest, RefusesNoBins) {
  Choice choice;
  EXPECT_FALSE(ChooseFromCounts(BinCounts(), ChooseOptions(), &choice).ok());
}

TEST(ChooseFromHistogramTest, AgreesWithTheArray) {
  TestRandom random;
  std::normal_distribution<float> normal;
  std::vector<float> values(1 << 15);
  for (float& x : values) x = std::max(0.0f, normal(random.generator()));
  Histogram histogram;
  histogram.Add(values.data(), values.size());
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  for (const ChooseMethod method :
       {ChooseMethod::kMinMax, ChooseMethod::kL2, ChooseMethod::kL1}) {
    ChooseOptions options;
    options.method = method;
    Choice choice;
    ASSERT_TRUE(
        ChooseFromHistogram(histogram, *min, *max, options, &choice).ok());
    const Choice expected = Choose(values, options);
    // The error hardly changes about its least, so that other bins may find it
    // a few percent away.
    const double tolerance = method == ChooseMethod::kMinMax ? 1e-6 : 0.06;
    EXPECT_NEAR(choice.scale / expected.scale, 1, tolerance) << Name(method);
    EXPECT_EQ(choice.zero_point, 0);
  }
}

}  // namespace
}  // namespace caffe2_quantization
