#include "quantization/least_squares.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "quantization/choose.h"
#include "tests/quantization/choose_reference.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

// Arrays of every kind: whole, rectified, long tails, one-sided, few values.
std::vector<float> RandomArray(TestRandom* random, std::size_t count) {
  const int kind = static_cast<int>(random->Integer(0, 8));
  const float unit = std::ldexp(1.0f, random->Integer(-8, 8));
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& x : values) {
    x = normal(random->generator());
    switch (kind) {
      case 0:
        break;
      case 1:  // rectified
        x = std::max(x, 0.0f);
        break;
      case 2:  // long tails
        x = x * x * x;
        break;
      case 3:  // longer ones
        x /= normal(random->generator()) + 0.001f;
        break;
      case 4:  // far from 0
        x += 20;
        break;
      case 5:  // of one sign
        x = -std::fabs(x);
        break;
      case 6:  // few values
        x = std::round(x);
        break;
      case 7:  // lopsided
        x = random->Float(-0.1f, 0.5f);
        break;
      default:  // constant
        x = 3;
    }
    x *= unit;
  }
  if (random->OneIn(4)) values[0] = 40 * unit;
  if (std::all_of(values.begin(), values.end(),
                  [](float x) { return x == 0; })) {
    values[0] = unit;
  }
  return values;
}

TwoSides SidesOf(const std::vector<float>& values) {
  std::vector<float> sides[2];
  for (const float x : values) sides[x < 0].push_back(std::fabs(x));
  return {OneSide(sides[0]), OneSide(sides[1])};
}

double SquaresOf(const std::vector<float>& values) {
  long double sum = 0;
  for (const double x : values) sum += x * x;
  return static_cast<double>(sum);
}

// With the rounding and the clipping of quantization.
double ErrorOf(const std::vector<float>& values, int levels, double scale,
               int below) {
  long double sum = 0;
  for (const double x : values) {
    const double q = std::clamp<double>(std::nearbyint(x / scale), -below,
                                        levels - 1 - below);
    sum += (x - scale * q) * (x - scale * q);
  }
  return static_cast<double>(sum);
}

// The least of all scales, by what defines it: between two scales at which some
// value changes its code, the codes q are given and the best scale is
// sum x q / sum q^2, or an end.
double LeastError(const std::vector<float>& values, int levels, int below) {
  std::vector<double> ends;
  for (const double x : values) {
    const int codes = x < 0 ? below : levels - 1 - below;
    for (int j = 0; j < codes; ++j) {
      if (x != 0) ends.push_back(std::fabs(x) / (j + 0.5));
    }
  }
  if (ends.empty()) return SquaresOf(values);
  std::sort(ends.begin(), ends.end());
  ends.insert(ends.begin(), ends.front() / 2);
  ends.push_back(2 * ends.back());
  double least = SquaresOf(values);
  for (std::size_t i = 0; i + 1 < ends.size(); ++i) {
    const double middle = (ends[i] + ends[i + 1]) / 2;
    double products = 0;
    double squares = 0;
    for (const double x : values) {
      const double q = std::clamp<double>(std::nearbyint(x / middle), -below,
                                          levels - 1 - below);
      products += x * q;
      squares += q * q;
    }
    const double scale =
        squares == 0 ? middle
                     : std::clamp(products / squares, ends[i], ends[i + 1]);
    least = std::min(least, ErrorOf(values, levels, scale, below));
  }
  return least;
}

TEST(MinimizeSquaredErrorTest, EqualsTheLeastOfAllPieces) {
  TestRandom random;
  const int64_t cases = CaseCount(400, 20000);
  for (int64_t i = 0; i < cases; ++i) {
    const int precision = static_cast<int>(random.Integer(1, 8));
    const int levels = 1 << precision;
    const int most_values = precision <= 4 ? 24 : precision <= 6 ? 8 : 3;
    const auto values = RandomArray(&random, random.Integer(1, most_values));
    LeastSquaresOptions options;
    options.levels = levels;
    options.least_below = 0;
    options.most_below = levels - 1;
    if (random.OneIn(2)) {
      options.least_below = options.most_below =
          static_cast<int>(random.Integer(0, levels - 1));
    }
    double least = std::numeric_limits<double>::infinity();
    for (int b = options.least_below; b <= options.most_below; ++b) {
      least = std::min(least, LeastError(values, levels, b));
    }
    const LeastSquares found = MinimizeSquaredError(SidesOf(values), options);
    SCOPED_TRACE(std::to_string(values.size()) + " values, " +
                 std::to_string(precision) + " bits");
    const double rounding = 0x1p-44 * SquaresOf(values);
    EXPECT_GE(found.below, options.least_below);
    EXPECT_LE(found.below, options.most_below);
    EXPECT_LE(found.error, least * (1 + kLeastSquaresGap) + rounding);
    EXPECT_GE(found.error, least - rounding);
    if (found.scale > 0) {
      EXPECT_NEAR(ErrorOf(values, levels, found.scale, found.below),
                  found.error, rounding);
    }
  }
}

// Whatever scale and zero point one tries.
TEST(MinimizeSquaredErrorTest, NothingTriedIsBetter) {
  TestRandom random;
  for (int i = 0; i < 120; ++i) {
    const int levels = 1 << random.Integer(2, 8);
    // Both ways of keeping points.
    const auto values =
        RandomArray(&random, random.OneIn(4) ? 6000 : random.Integer(1, 400));
    const TwoSides sides = SidesOf(values);
    LeastSquaresOptions options;
    options.levels = levels;
    options.most_below = levels - 1;
    options.power_of_two = random.OneIn(4);
    options.smallest_scale = random.OneIn(4) ? 0.01 : 0;
    const LeastSquares found = MinimizeSquaredError(sides, options);
    EXPECT_GE(found.scale, options.smallest_scale);
    // A bound of the work, ten times what was seen.
    EXPECT_LE(found.evaluated, 10000);
    const double rounding = 0x1p-44 * SquaresOf(values);
    for (int k = 0; k < 300; ++k) {
      double scale = random.OneIn(2)
                         ? found.scale * random.Float(0.97f, 1.03f)
                         : sides.largest() * std::exp2(random.Float(-9, 1));
      if (options.power_of_two) {
        scale = std::exp2(std::round(std::log2(scale)));
      }
      if (scale < options.smallest_scale) continue;
      const auto below = static_cast<int>(random.Integer(
          std::max(0, found.below - 3), std::min(levels - 1, found.below + 3)));
      const double error = ErrorOf(values, levels, scale, below);
      EXPECT_LE(found.error, error * (1 + kLeastSquaresGap) + rounding);
      EXPECT_NEAR(SquaredErrorOf(sides, levels, scale, below), error, rounding);
    }
  }
}

Choice ChosenOf(const std::vector<float>& values,
                const ChooseOptions& options) {
  Choice choice;
  const Status status =
      ChooseFromArray(values.data(), values.size(), options, &choice);
  EXPECT_TRUE(status.ok()) << status.message();
  return choice;
}

// As ChooseFromArray's callers quantize.
double ErrorOf(const std::vector<float>& values, const Choice& choice,
               QuantizedType codes) {
  double sum = 0;
  for (const double x : values) {
    const double q =
        std::clamp<double>(std::nearbyint(x / choice.scale) + choice.zero_point,
                           codes.qmin(), codes.qmax());
    const double y = choice.scale * (q - choice.zero_point);
    sum += (x - y) * (x - y);
  }
  return sum;
}

TEST(ChooseMseTest, IsNeverWorseThanOtherMethods) {
  TestRandom random;
  for (int i = 0; i < 300; ++i) {
    const auto values =
        RandomArray(&random, random.OneIn(8) ? 5000 : random.Integer(1, 300));
    ChooseOptions options;
    options.type = {static_cast<int>(random.Integer(1, 16)), random.OneIn(2)};
    options.preserve_sparsity = random.OneIn(2);
    options.force_scale_power_of_two = random.OneIn(4);
    options.reduced_range = options.type.precision > 1 && random.OneIn(4);
    const QuantizedType codes = options.Codes();
    options.method = ChooseMethod::kMse;
    const Choice best = ChosenOf(values, options);
    EXPECT_GE(best.zero_point, codes.qmin());
    EXPECT_LE(best.zero_point, codes.qmax());
    const double error = ErrorOf(values, best, codes);
    const double rounding = 0x1p-43 * SquaresOf(values);
    EXPECT_NEAR(best.objective, error, rounding + 1e-6 * error);
    for (const ChooseMethod method :
         {ChooseMethod::kMinMax, ChooseMethod::kL2Approx,
          ChooseMethod::kPercentile}) {
      // Above 8 bits other zero points than that of kMinMax are not searched.
      if (codes.precision > 8 && method != ChooseMethod::kMinMax) continue;
      options.method = method;
      const Choice other = ChosenOf(values, options);
      if (options.preserve_sparsity && other.zero_point != best.zero_point)
        continue;
      SCOPED_TRACE(Name(method) + ", " + std::to_string(codes.precision) +
                   " bits, " + std::to_string(values.size()) + " values");
      EXPECT_LE(error, ErrorOf(values, other, codes) * (1 + kLeastSquaresGap) +
                           rounding);
    }
  }
}

// What a histogram holds lies evenly in its bins.
TEST(ChooseMseTest, OfBinsNothingTriedIsBetter) {
  TestRandom random;
  for (int i = 0; i < 150; ++i) {
    const auto num_bins = static_cast<int>(random.Integer(1, 60));
    BinCounts bins;
    bins.counts.resize(num_bins);
    for (uint64_t& count : bins.counts) {
      count = random.OneIn(2) ? random.Integer(0, 1000)
                              : random.Integer(0, int64_t{1} << 40);
      if (random.OneIn(3)) count = 0;
    }
    bins.counts[random.Integer(0, num_bins - 1)] = 7;
    // Bins of width 1.
    bins.min = random.Float(-70, 10);
    if (random.OneIn(3)) bins.min = 0;
    bins.max = bins.min + static_cast<float>(num_bins);
    ChooseOptions options;
    options.method = ChooseMethod::kMse;
    options.type = {static_cast<int>(random.Integer(2, 8)), random.OneIn(2)};
    options.preserve_sparsity = random.OneIn(2);
    options.smallest_scale = 0;
    Choice choice;
    ASSERT_TRUE(ChooseFromCounts(bins, options, &choice).ok());
    const int levels = 1 << options.type.precision;
    const double width = (double{bins.max} - bins.min) / num_bins;
    const auto error = [&](double scale, int32_t zero_point) {
      const double below = zero_point - options.type.qmin();
      return width * width *
             ReferenceError(bins.counts, 2, levels,
                            (-(below + 0.5) * scale - bins.min) / width,
                            levels * scale / width);
    };
    double squares = 0;
    for (int b = 0; b < num_bins; ++b) {
      squares += bins.counts[b] * std::pow(bins.min + width * (b + 0.5), 2);
    }
    const double least = error(choice.scale, choice.zero_point);
    const double rounding = 1e-12 * (squares + least);
    EXPECT_NEAR(choice.objective, least, 1e-6 * least + rounding);
    options.method = ChooseMethod::kMinMax;
    Choice whole;
    ASSERT_TRUE(ChooseFromCounts(bins, options, &whole).ok());
    EXPECT_LE(least,
              error(whole.scale, whole.zero_point) * (1 + 1e-9) + rounding);
    for (int k = 0; k < 100; ++k) {
      const double scale = random.OneIn(2)
                               ? choice.scale * random.Float(0.9f, 1.1f)
                               : choice.scale * std::exp2(random.Float(-4, 2));
      int32_t zero_point = choice.zero_point;
      if (!options.preserve_sparsity) {
        zero_point = static_cast<int32_t>(
            random.Integer(std::max(options.type.qmin(), zero_point - 4),
                           std::min(options.type.qmax(), zero_point + 4)));
      }
      EXPECT_LE(least, error(scale, zero_point) * (1 + 2 * kLeastSquaresGap) +
                           rounding);
    }
  }
}

TEST(ChooseMseTest, OfAHistogramItsExtremesCutTheOutermostBins) {
  // Counted in [0, 256), of which values reach to 200.
  Histogram histogram(4);
  for (int x = 0; x <= 200; ++x) histogram.AddRepeated(x, 1);
  ASSERT_GE(histogram.upper_edge(), 256);
  ChooseOptions options;
  options.method = ChooseMethod::kMse;
  Choice choice;
  ASSERT_TRUE(ChooseFromHistogram(histogram, 0, 200, options, &choice).ok());
  EXPECT_NEAR(choice.scale, 200 / 255.0, 0.01);
  EXPECT_EQ(choice.zero_point, 0);
  ASSERT_TRUE(ChooseFromHistogram(histogram, 0, 255.9f, options, &choice).ok());
  EXPECT_NEAR(choice.scale, 256 / 255.0, 0.01);
}

std::vector<float> Normal(int seed, std::size_t count, bool rectified) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& x : values) {
    x = normal(generator);
    if (rectified) x = std::max(x, 0.0f);
  }
  return values;
}

// Where the search over whole bins does worse than leaving the range alone.
TEST(ChooseMseTest, IsBetterThanTheSearchOverBins) {
  for (int seed = 1; seed <= 4; ++seed) {
    for (const bool symmetric : {false, true}) {
      const auto values = Normal(seed, 20000, !symmetric);
      double errors[3];
      for (const ChooseMethod method :
           {ChooseMethod::kMinMax, ChooseMethod::kL2, ChooseMethod::kMse}) {
        ChooseOptions options;
        options.method = method;
        options.preserve_sparsity = symmetric;
        errors[method == ChooseMethod::kMse ? 2 : static_cast<int>(method)] =
            ErrorOf(values, ChosenOf(values, options), options.type);
      }
      EXPECT_LT(errors[2], errors[0]) << symmetric;
      EXPECT_LT(errors[2], errors[1]) << symmetric;
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
