#include "quantization/quantization_error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/quantization/parameter_sets_testing.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using Real = long double;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kFloatInfinity = std::numeric_limits<float>::infinity();

Real Code(Real x, QuantizedType type, Real scale, int32_t zero_point) {
  return std::min<Real>(std::max<Real>(std::nearbyint(x / scale),
                                       Real{1} * type.qmin() - zero_point),
                        Real{1} * type.qmax() - zero_point);
}

// What a float stands for, as kernels/quantize.h defines it.
float Represented(float x, QuantizedType type, float scale,
                  int32_t zero_point) {
  const float zero = static_cast<float>(zero_point);
  const float code = std::nearbyint(std::fma(x, 1 / scale, zero));
  return scale * (std::min(std::max(code, static_cast<float>(type.qmin())),
                           static_cast<float>(type.qmax())) -
                  zero);
}

bool IsClipped(Real x, QuantizedType type, Real scale, int32_t zero_point) {
  return x < scale * (type.qmin() - zero_point - 0.5L) ||
         x > scale * (type.qmax() - zero_point + 0.5L);
}

void ExpectNear(double actual, double wanted, double tolerance) {
  EXPECT_LE(std::fabs(actual - wanted), tolerance * std::fabs(wanted))
      << actual << " instead of " << wanted;
}

void ExpectSame(const QuantizationError& actual,
                const QuantizationError& wanted, double tolerance) {
  EXPECT_EQ(actual.count, wanted.count);
  EXPECT_EQ(actual.nan_count, wanted.nan_count);
  EXPECT_EQ(actual.infinite_count, wanted.infinite_count);
  // A share of nearly nothing is the difference of two shares of a bin.
  EXPECT_NEAR(actual.clipped, wanted.clipped,
              1e-9 * static_cast<double>(wanted.count));
  ExpectNear(actual.signal, wanted.signal, tolerance);
  ExpectNear(actual.represented, wanted.represented, tolerance);
  // Terms of both signs.
  EXPECT_NEAR(actual.product, wanted.product,
              tolerance * std::sqrt(wanted.signal * wanted.represented));
  ExpectNear(actual.squared_error, wanted.squared_error, tolerance);
  ExpectNear(actual.absolute_error, wanted.absolute_error, tolerance);
  ExpectNear(actual.max_abs_error, wanted.max_abs_error, tolerance);
}

QuantizationError Measured(const std::vector<float>& x,
                           const std::vector<float>& y) {
  QuantizationError error;
  Real sums[5] = {};
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::isnan(y[i])) {
      ++error.nan_count;
    } else if (std::isinf(x[i]) || std::isinf(y[i])) {
      ++error.infinite_count;
    } else {
      const Real difference = std::fabs(Real{y[i]} - x[i]);
      ++error.count;
      sums[0] += Real{x[i]} * x[i];
      sums[1] += Real{y[i]} * y[i];
      sums[2] += Real{x[i]} * y[i];
      sums[3] += difference * difference;
      sums[4] += difference;
      error.max_abs_error =
          std::max(error.max_abs_error, static_cast<double>(difference));
    }
  }
  error.signal = static_cast<double>(sums[0]);
  error.represented = static_cast<double>(sums[1]);
  error.product = static_cast<double>(sums[2]);
  error.squared_error = static_cast<double>(sums[3]);
  error.absolute_error = static_cast<double>(sums[4]);
  return error;
}

TEST(QuantizationError, FollowsFromItsSums) {
  QuantizationError error;
  error.count = 4;
  error.clipped = 1;
  error.signal = 100;
  error.represented = 64;
  error.product = 60;
  error.squared_error = 0.1;
  error.absolute_error = 2;
  EXPECT_DOUBLE_EQ(error.Mse(), 0.025);
  EXPECT_DOUBLE_EQ(error.MeanAbsoluteError(), 0.5);
  EXPECT_DOUBLE_EQ(error.SqnrDb(), 30);
  EXPECT_DOUBLE_EQ(error.Cosine(), 0.75);
  EXPECT_DOUBLE_EQ(error.ClippedShare(), 0.25);
}

TEST(QuantizationError, OfNoValuesIsNone) {
  const QuantizationError none = MeasureDifference(nullptr, nullptr, 0);
  EXPECT_EQ(none.count, 0u);
  EXPECT_EQ(none.Mse(), 0);
  EXPECT_EQ(none.MeanAbsoluteError(), 0);
  EXPECT_EQ(none.SqnrDb(), kInfinity);
  EXPECT_EQ(none.Cosine(), 1);
  EXPECT_EQ(none.ClippedShare(), 0);
}

TEST(QuantizationError, OfZerosIsInfiniteOneWayOrTheOther) {
  const std::vector<float> zeros(20, 0.0f);
  const std::vector<float> ones(20, 1.0f);
  const auto same = MeasureDifference(zeros.data(), zeros.data(), 20);
  EXPECT_EQ(same.SqnrDb(), kInfinity);
  EXPECT_EQ(same.Cosine(), 1);
  const auto other = MeasureDifference(zeros.data(), ones.data(), 20);
  EXPECT_EQ(other.SqnrDb(), -kInfinity);
  EXPECT_EQ(other.Cosine(), 0);
  EXPECT_EQ(other.Mse(), 1);
}

TEST(MeasureDifference, EqualsAPlainLoop) {
  TestRandom random;
  for (int round = 0; round < 200; ++round) {
    std::vector<float> x(static_cast<std::size_t>(random.Integer(0, 5000)));
    std::vector<float> y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = random.Float(-9, 9);
      y[i] = x[i] + random.Float(-1, 1);
      if (round % 2 == 0) continue;
      constexpr float kOdd[] = {kNan,  kFloatInfinity, -kFloatInfinity,
                                3e38f, -0.0f,          1e-45f};
      if (random.OneIn(50)) x[i] = kOdd[random.Integer(0, 5)];
      if (random.OneIn(50)) y[i] = kOdd[random.Integer(0, 5)];
    }
    const auto error = MeasureDifference(x.data(), y.data(), x.size());
    ExpectSame(error, Measured(x, y), 1e-12);
  }
}

struct Case {
  QuantizedType type;
  float scale;
  int32_t zero_point;
};

Case RandomCase(TestRandom* random) {
  constexpr QuantizedType kTypes[] = {
      QuantizedType::UInt8(),  QuantizedType::Int8(),   QuantizedType::Int4(),
      QuantizedType::UInt16(), QuantizedType{1, false}, QuantizedType{3, true},
  };
  Case made;
  made.type = kTypes[random->Integer(0, 5)];
  made.scale = std::ldexp(random->Float(0.5f, 1),
                          static_cast<int>(random->Integer(-12, 2)));
  made.zero_point =
      static_cast<int32_t>(random->Integer(made.type.qmin(), made.type.qmax()));
  return made;
}

TEST(MeasureQuantizationError, EqualsAPlainLoopForEverySet) {
  TestRandom random;
  for (int round = 0; round < 400; ++round) {
    QuantizationParams params;
    params.granularity = static_cast<Granularity>(random.Integer(0, 3));
    std::vector<int64_t> shape;
    for (int64_t i = random.Integer(1, 4); i > 0; --i) {
      shape.push_back(random.Integer(1, 9));
    }
    if (random.OneIn(4)) shape.back() *= 300;
    if (params.IsPerChannel()) {
      params.axis = static_cast<int>(
          random.Integer(0, static_cast<int64_t>(shape.size()) - 1));
    }
    if (params.granularity == Granularity::kBlock ||
        params.granularity == Granularity::kChannelBlock) {
      params.block_size = random.Integer(1, 70);
    }
    const std::vector<std::size_t> sets = SetOfEachValue(shape, params);
    const std::size_t num_sets =
        *std::max_element(sets.begin(), sets.end()) + 1;

    params.type = RandomCase(&random).type;
    params.scales.clear();
    params.zero_points.clear();
    for (std::size_t i = 0; i < num_sets; ++i) {
      params.scales.push_back(RandomCase(&random).scale);
      params.zero_points.push_back(static_cast<int32_t>(
          random.Integer(params.type.qmin(), params.type.qmax())));
    }
    std::vector<float> values(sets.size());
    for (float& x : values) {
      x = random.Float(-9, 9);
      if (random.OneIn(40)) x = random.OneIn(2) ? kNan : kFloatInfinity;
    }

    std::vector<std::vector<float>> x(num_sets), y(num_sets);
    std::vector<double> clipped(num_sets);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t set = sets[i];
      const float scale = params.scales[set];
      const int32_t zero_point = params.zero_points[set];
      x[set].push_back(values[i]);
      y[set].push_back(Represented(values[i], params.type, scale, zero_point));
      clipped[set] += std::isfinite(values[i]) &&
                      IsClipped(values[i], params.type, scale, zero_point);
    }
    QuantizationError all;
    std::vector<QuantizationError> of_sets;
    const Status status =
        MeasureQuantizationError(values.data(), shape, params, &all, &of_sets);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(of_sets.size(), num_sets);
    QuantizationError sum;
    for (std::size_t i = 0; i < num_sets; ++i) {
      QuantizationError wanted = Measured(x[i], y[i]);
      wanted.clipped = clipped[i];
      ExpectSame(of_sets[i], wanted, 1e-12);
      sum.Merge(wanted);
    }
    ExpectSame(all, sum, 1e-12);

    QuantizationError again;
    ASSERT_TRUE(
        MeasureQuantizationError(values.data(), shape, params, &again).ok());
    EXPECT_EQ(again.squared_error, all.squared_error);
    EXPECT_EQ(again.product, all.product);
    if (HasFailure()) return;
  }
}

TEST(MeasureQuantizationError, RefusesWhatDoesNotFitTheShape) {
  const std::vector<float> values(12, 1.0f);
  const auto message = [&](const QuantizationParams& params,
                           const std::vector<int64_t>& shape) {
    QuantizationError all;
    all.count = 77;
    std::vector<QuantizationError> sets(3);
    const Status status =
        MeasureQuantizationError(values.data(), shape, params, &all, &sets);
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(all.count, 77u);
    EXPECT_EQ(sets.size(), 3u);
    return status.message();
  };
  QuantizationParams params;
  params.granularity = Granularity::kChannel;
  params.axis = 2;
  EXPECT_EQ(message(params, {3, 4}),
            "quantization parameters: axis is 2, expected one of 2 dimensions");
  params.axis = 1;
  EXPECT_EQ(message(params, {3, 4}),
            "quantization parameters: 1 sets with granularity channel, "
            "expected 4 for a tensor of shape [3, 4]");
  EXPECT_EQ(message(QuantizationParams(), {3, -4}),
            "quantization parameters: dimension 1 of the shape is -4, expected "
            "0 or more");
  params.axis = 0;
  params.scales = {1, 0, 1};
  params.zero_points = {0, 0, 0};
  EXPECT_NE(message(params, {3, 4}).find("scales[1] is 0"), std::string::npos);
}

TEST(MeasureQuantizationError, OfAnEmptyTensorIsNone) {
  QuantizationParams params;
  params.granularity = Granularity::kChannel;
  params.scales = {1, 1, 1};
  params.zero_points = {0, 0, 0};
  QuantizationError all;
  std::vector<QuantizationError> sets;
  ASSERT_TRUE(
      MeasureQuantizationError(nullptr, {3, 0}, params, &all, &sets).ok());
  EXPECT_EQ(all.count, 0u);
  EXPECT_EQ(sets.size(), 3u);
}

// The expectation by Simpson's rule, exact for parabolas, between all values at
// which the integrand changes.
QuantizationError Integrated(const std::vector<Real>& edges,
                             const std::vector<uint64_t>& counts,
                             const Case& with) {
  const Real scale = with.scale;
  std::vector<Real> breaks = {scale *
                              (with.type.qmin() - with.zero_point - 0.5L)};
  for (int64_t q = with.type.qmin(); q <= with.type.qmax(); ++q) {
    breaks.push_back(scale * (q - with.zero_point));
    breaks.push_back(scale * (q - with.zero_point + 0.5L));
  }
  QuantizationError sum;
  Real sums[5] = {};
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    sum.count += counts[i];
    const auto after = std::upper_bound(breaks.begin(), breaks.end(), edges[i]);
    const auto end = std::lower_bound(after, breaks.end(), edges[i + 1]);
    std::vector<Real> points(after, end);
    points.insert(points.begin(), edges[i]);
    points.push_back(edges[i + 1]);
    for (std::size_t k = 0; k + 1 < points.size(); ++k) {
      const Real a = points[k], b = points[k + 1], middle = (a + b) / 2;
      const Real y = scale * Code(middle, with.type, scale, with.zero_point);
      const Real weight = edges[i + 1] > edges[i]
                              ? counts[i] * (b - a) / (edges[i + 1] - edges[i])
                              : Real{1} * counts[i];
      const auto add = [&](Real* to, auto integrand) {
        *to +=
            weight * (integrand(a) + 4 * integrand(middle) + integrand(b)) / 6;
      };
      add(&sums[0], [&](Real x) { return x * x; });
      add(&sums[1], [&](Real) { return y * y; });
      add(&sums[2], [&](Real x) { return x * y; });
      add(&sums[3], [&](Real x) { return (y - x) * (y - x); });
      add(&sums[4], [&](Real x) { return std::fabs(y - x); });
      sum.max_abs_error =
          std::max({sum.max_abs_error, static_cast<double>(std::fabs(y - a)),
                    static_cast<double>(std::fabs(y - b))});
      if (IsClipped(middle, with.type, scale, with.zero_point)) {
        sum.clipped += static_cast<double>(weight);
      }
      if (edges[i] == edges[i + 1]) break;
    }
  }
  sum.signal = static_cast<double>(sums[0]);
  sum.represented = static_cast<double>(sums[1]);
  sum.product = static_cast<double>(sums[2]);
  sum.squared_error = static_cast<double>(sums[3]);
  sum.absolute_error = static_cast<double>(sums[4]);
  return sum;
}

TEST(ExpectQuantizationError, EqualsANumericIntegralOverTheBins) {
  TestRandom random;
  for (int round = 0; round < 400; ++round) {
    const Case with = RandomCase(&random);
    BinCounts bins;
    const float reach = with.scale * random.Float(0, 2) *
                        static_cast<float>(with.type.qmax() - with.type.qmin());
    bins.min = random.Float(-reach, reach);
    bins.max = random.OneIn(20) ? bins.min : random.Float(bins.min, 2 * reach);
    bins.counts.resize(static_cast<std::size_t>(random.Integer(1, 300)));
    for (uint64_t& count : bins.counts) {
      count = random.OneIn(3)
                  ? 0
                  : static_cast<uint64_t>(random.Integer(1, 100000));
    }
    std::vector<Real> edges;
    for (std::size_t i = 0; i <= bins.counts.size(); ++i) {
      edges.push_back(bins.min +
                      (Real{bins.max} - bins.min) * i / bins.counts.size());
    }
    QuantizationError error;
    const Status status = ExpectQuantizationError(bins, with.type, with.scale,
                                                  with.zero_point, &error);
    ASSERT_TRUE(status.ok()) << status.message();
    SCOPED_TRACE(with.type.Name() + ", scale " + std::to_string(with.scale) +
                 ", zero point " + std::to_string(with.zero_point) + ", " +
                 std::to_string(bins.min) + " to " + std::to_string(bins.max) +
                 ", bins " + std::to_string(bins.counts.size()));
    // Of one value alone the error may be all rounding of the value.
    if (bins.min == bins.max) {
      EXPECT_NEAR(error.max_abs_error,
                  Integrated(edges, bins.counts, with).max_abs_error,
                  1e-12 * reach);
    } else {
      ExpectSame(error, Integrated(edges, bins.counts, with), 1e-7);
    }
    if (HasFailure()) return;
  }
}

TEST(ExpectQuantizationError, OfAHistogramIsThatOfItsBinsCutAtTheExtremes) {
  TestRandom random;
  for (int round = 0; round < 100; ++round) {
    const Case with = RandomCase(&random);
    std::vector<float> values(2000);
    std::normal_distribution<float> normal(random.Float(-3, 3), 2);
    for (float& x : values) x = normal(random.generator());
    Histogram histogram(random.OneIn(2) ? 64 : 2048);
    histogram.Add(values.data(), values.size());
    const auto [min, max] = std::minmax_element(values.begin(), values.end());
    std::vector<Real> edges;
    for (std::size_t i = 0; i <= histogram.counts().size(); ++i) {
      edges.push_back(std::min<Real>(
          std::max<Real>(
              std::ldexp(static_cast<Real>(histogram.first_bin()) + i,
                         histogram.exponent()),
              *min),
          *max));
    }
    QuantizationError error;
    const Status status = ExpectQuantizationError(
        histogram, *min, *max, with.type, with.scale, with.zero_point, &error);
    ASSERT_TRUE(status.ok()) << status.message();
    ExpectSame(error, Integrated(edges, histogram.counts(), with), 1e-7);

    const float inside = *min + static_cast<float>(histogram.bin_width()) * 2;
    EXPECT_FALSE(ExpectQuantizationError(histogram, inside, *max, with.type,
                                         with.scale, with.zero_point, &error)
                     .ok());
  }
  QuantizationError none;
  ASSERT_TRUE(ExpectQuantizationError(Histogram(), 0, 0, QuantizedType::Int8(),
                                      1, 0, &none)
                  .ok());
  EXPECT_EQ(none.count, 0u);
}

// Values drawn evenly over each bin: the measured sum is one of n independent
// terms between 0 and M, whose mean is expected: sd <= M sqrt(n) / 2. Seven of
// these, and half a last place of y beside the error.
TEST(ExpectQuantizationError, IsWhatIsMeasuredOnAverage) {
  TestRandom random;
  for (int round = 0; round < 50; ++round) {
    const Case with = RandomCase(&random);
    BinCounts bins;
    const float reach =
        with.scale * static_cast<float>(with.type.qmax() - with.type.qmin());
    bins.min = random.Float(-reach, 0);
    bins.max = random.Float(0, reach);
    bins.counts.resize(static_cast<std::size_t>(random.Integer(1, 100)));
    std::vector<float> values;
    const double width =
        (double{bins.max} - bins.min) / static_cast<double>(bins.counts.size());
    for (std::size_t i = 0; i < bins.counts.size(); ++i) {
      bins.counts[i] = static_cast<uint64_t>(random.Integer(0, 300));
      for (uint64_t k = 0; k < bins.counts[i]; ++k) {
        const double within =
            std::uniform_real_distribution<double>(0, 1)(random.generator());
        values.push_back(static_cast<float>(
            bins.min + width * (static_cast<double>(i) + within)));
      }
    }
    QuantizationParams params;
    params.type = with.type;
    params.scales = {with.scale};
    params.zero_points = {with.zero_point};
    QuantizationError expected, measured;
    ASSERT_TRUE(ExpectQuantizationError(bins, with.type, with.scale,
                                        with.zero_point, &expected)
                    .ok());
    ASSERT_TRUE(MeasureQuantizationError(values.data(),
                                         {static_cast<int64_t>(values.size())},
                                         params, &measured)
                    .ok());
    ASSERT_EQ(expected.count, measured.count);
    const double n = static_cast<double>(values.size());
    const double most = expected.max_abs_error + 1e-6 * reach;
    const double deviation = std::sqrt(n) / 2;
    EXPECT_NEAR(measured.squared_error, expected.squared_error,
                7 * most * most * deviation);
    EXPECT_NEAR(measured.absolute_error, expected.absolute_error,
                7 * most * deviation);
    EXPECT_NEAR(measured.clipped, expected.clipped, 7 * deviation);
    EXPECT_LE(measured.max_abs_error, most);
  }
}

TEST(ExpectQuantizationError, RefusesWhatHasNoMeaning) {
  QuantizationError error;
  const auto message = [&](const BinCounts& bins, QuantizedType type,
                           float scale, int32_t zero_point) {
    return ExpectQuantizationError(bins, type, scale, zero_point, &error)
        .message();
  };
  const BinCounts one = {0, 1, {5}};
  EXPECT_EQ(
      message(one, QuantizedType::Int8(), -1, 0),
      "quantization parameters: scales[0] is -1, expected a positive number");
  EXPECT_EQ(
      message(one, QuantizedType::Int8(), kNan, 0),
      "quantization parameters: scales[0] is nan, expected a finite number");
  EXPECT_EQ(message(one, QuantizedType::Int8(), 1, 128),
            "quantization parameters: zero_points[0] is 128, expected a value "
            "of int8, -128 to 127");
  EXPECT_EQ(message({1, 0, {5}}, QuantizedType::Int8(), 1, 0),
            "expected error: the range is [1, 0], expected two finite numbers, "
            "the smaller one first");
  EXPECT_EQ(message({0, 1, {}}, QuantizedType::Int8(), 1, 0),
            "expected error: there are no bins, expected one or more");
  EXPECT_EQ(message({0, 1, {~uint64_t{0}, 1}}, QuantizedType::Int8(), 1, 0),
            "expected error: the counts' sum passes 2^64 - 1, expected less");
  EXPECT_NE(message(one, {17, true}, 1, 0), "");
  EXPECT_EQ(error.count, 0u);
}

}  // namespace
}  // namespace caffe2_quantization
