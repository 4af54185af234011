#include "quantization/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "quantization/kernels/min_max.h"
#include "tests/support/denormals_are_zeros.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

constexpr int kAllMaxBins[] = {4, 16, 2048, 65536};
constexpr uint64_t kMostCounts = std::numeric_limits<uint64_t>::max();

// A real number that every element type fits: an x87 long double has the 64
// bits of an int64 and the exponents of a double.
using Real = long double;
static_assert(std::numeric_limits<Real>::digits >= 64, "holds every int64");

int64_t DefinedBin(Real value, int exponent) {
  return static_cast<int64_t>(std::floor(std::ldexp(value, -exponent)));
}

// The histogram as its header defines it, found by trying every exponent.
struct Defined {
  int exponent = 0;
  std::map<int64_t, uint64_t> counts;
};

Defined Define(const std::vector<Real>& values, int max_bins) {
  Defined defined;
  if (values.empty()) return defined;
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  for (int e = Histogram::kMinExponent;; ++e) {
    const Real limit = std::ldexp(Real{1}, e + Histogram::kResolutionBits);
    if (std::abs(*min) >= limit || std::abs(*max) >= limit) continue;
    if (DefinedBin(*max, e) - DefinedBin(*min, e) >= max_bins) continue;
    defined.exponent = e;
    break;
  }
  for (const Real value : values) {
    ++defined.counts[DefinedBin(value, defined.exponent)];
  }
  return defined;
}

void ExpectIs(const Histogram& histogram, const std::vector<Real>& values) {
  const Defined defined = Define(values, histogram.max_bins());
  ASSERT_EQ(histogram.total(), values.size());
  ASSERT_EQ(histogram.exponent(), defined.exponent);
  ASSERT_EQ(histogram.empty(), values.empty());
  if (values.empty()) return;
  const int64_t first = defined.counts.begin()->first;
  const int64_t last = defined.counts.rbegin()->first;
  ASSERT_EQ(histogram.first_bin(), first);
  ASSERT_EQ(histogram.counts().size(),
            static_cast<std::size_t>(last - first + 1));
  for (std::size_t i = 0; i < histogram.counts().size(); ++i) {
    const auto found = defined.counts.find(first + static_cast<int64_t>(i));
    ASSERT_EQ(histogram.counts()[i],
              found == defined.counts.end() ? 0 : found->second)
        << "bin " << first + static_cast<int64_t>(i);
  }
  ASSERT_EQ(histogram.bin_width(), std::ldexp(1.0, defined.exponent));
  ASSERT_EQ(histogram.lower_edge(),
            std::ldexp(static_cast<double>(first), defined.exponent));
  ASSERT_EQ(histogram.upper_edge(),
            std::ldexp(static_cast<double>(last + 1), defined.exponent));
}

template <typename T>
std::vector<Real> FiniteOnes(const std::vector<T>& values) {
  std::vector<Real> finite;
  for (const T value : values) {
    if (std::isfinite(static_cast<Real>(value))) finite.push_back(value);
  }
  return finite;
}

// Arrays of one kind: of floats and doubles.
struct Kind {
  std::string name;
  std::function<double(TestRandom*)> value;
};

template <typename T>
std::vector<Kind> Kinds() {
  using Limits = std::numeric_limits<T>;
  const auto normal = [](TestRandom* random) {
    return std::normal_distribution<double>(0, 3)(random->generator());
  };
  return {
      {"normal", normal},
      {"uniform", [](TestRandom* r) { return r->Float(-1e-3f, 7e4f); }},
      {"negative", [](TestRandom* r) { return r->Float(-900, -100); }},
      {"rectified",
       [=](TestRandom* r) {
         return std::max(normal(r), r->OneIn(2) ? 0.0 : -0.0);
       }},
      {"constant", [](TestRandom*) { return -0.3; }},
      {"zeros", [](TestRandom* r) { return r->OneIn(2) ? 0.0 : -0.0; }},
      {"two values", [](TestRandom* r) { return r->OneIn(9) ? 1.0 : 0.5; }},
      {"denormal",
       [](TestRandom* r) {
         return static_cast<double>(Limits::denorm_min()) *
                static_cast<double>(r->Integer(-9, 9));
       }},
      {"denormals among others",
       [](TestRandom* r) {
         return r->OneIn(3) ? -static_cast<double>(Limits::denorm_min())
                            : r->Float(0, 1);
       }},
      {"huge",
       [](TestRandom* r) {
         return static_cast<double>(Limits::max()) *
                (r->OneIn(20) ? 1.0 : static_cast<double>(r->Float(-1, 1)));
       }},
      {"ends",
       [](TestRandom* r) {
         return static_cast<double>(r->OneIn(2) ? Limits::max()
                                                : Limits::lowest());
       }},
      {"of all sizes",
       [](TestRandom* r) {
         return std::ldexp(
             static_cast<double>(r->Float(-1, 1)),
             static_cast<int>(r->Integer(Limits::min_exponent - 30,
                                         Limits::max_exponent - 1)));
       }},
      {"with NaN and infinities",
       [=](TestRandom* r) {
         if (r->OneIn(30)) return std::numeric_limits<double>::quiet_NaN();
         if (r->OneIn(30)) return std::numeric_limits<double>::infinity();
         if (r->OneIn(30)) return -std::numeric_limits<double>::infinity();
         return normal(r);
       }},
      {"nothing finite",
       [](TestRandom* r) {
         return r->OneIn(2) ? std::numeric_limits<double>::quiet_NaN()
                            : -std::numeric_limits<double>::infinity();
       }},
      {"growing", [at = 0.0](TestRandom*) mutable { return at += 1.0 / 512; }},
  };
}

template <typename T>
void ExpectSameExtremes(const kernels::FloatExtremes<T>& actual,
                        const kernels::FloatExtremes<T>& wanted) {
  EXPECT_EQ(std::memcmp(&actual.min, &wanted.min, sizeof(T)), 0);
  EXPECT_EQ(std::memcmp(&actual.max, &wanted.max, sizeof(T)), 0);
  EXPECT_EQ(actual.zero_count, wanted.zero_count);
  EXPECT_EQ(actual.nan_count, wanted.nan_count);
  EXPECT_EQ(actual.positive_infinity_count, wanted.positive_infinity_count);
  EXPECT_EQ(actual.negative_infinity_count, wanted.negative_infinity_count);
}

std::size_t SomeSize(TestRandom* random) {
  constexpr int64_t kMost[] = {3, 100, 3000, 20000};
  return static_cast<std::size_t>(
      random->Integer(0, kMost[random->Integer(0, 3)]));
}

template <typename T>
void TestFloats() {
  TestRandom random;
  OnEveryTarget([&] {
    for (Kind& kind : Kinds<T>()) {
      for (const int max_bins : kAllMaxBins) {
        std::vector<T> values(SomeSize(&random));
        for (T& value : values) value = static_cast<T>(kind.value(&random));
        SCOPED_TRACE(kind.name + ", " + std::to_string(values.size()) +
                     " values, " + std::to_string(max_bins) + " bins");
        const auto wanted = kernels::MinMax(values.data(), values.size());
        const std::vector<Real> finite = FiniteOnes(values);
        for (const bool flush : {false, true}) {
          Histogram histogram(max_bins);
          kernels::FloatExtremes<T> extremes;
          if (flush) {
            DenormalsAreZeros mode;
            histogram.Add(values.data(), values.size(), &extremes);
          } else {
            histogram.Add(values.data(), values.size(), &extremes);
          }
          ExpectSameExtremes(extremes, wanted);
          ExpectIs(histogram, finite);
          if (testing::Test::HasFatalFailure()) return;
        }
      }
    }
  });
}

TEST(Histogram, FloatsEqualTheDefinition) { TestFloats<float>(); }
TEST(Histogram, DoublesEqualTheDefinition) { TestFloats<double>(); }

TEST(Histogram, HalvesEqualTheDefinition) {
  TestRandom random;
  OnEveryTarget([&] {
    for (const int max_bins : kAllMaxBins) {
      std::vector<uint16_t> values(SomeSize(&random));
      const auto mask = static_cast<uint16_t>(random.OneIn(2)   ? 0xffff
                                              : random.OneIn(2) ? 0x83ff
                                                                : 0x3fff);
      std::vector<float> floats;
      for (uint16_t& value : values) {
        value = static_cast<uint16_t>(random.generator()()) & mask;
        floats.push_back(kernels::HalfToFloat(value));
      }
      for (const bool flush : {false, true}) {
        Histogram histogram(max_bins);
        kernels::FloatExtremes<float> extremes;
        if (flush) {
          DenormalsAreZeros mode;
          histogram.AddHalf(values.data(), values.size(), &extremes);
        } else {
          histogram.AddHalf(values.data(), values.size(), &extremes);
        }
        ExpectSameExtremes(extremes,
                           kernels::MinMax(floats.data(), floats.size()));
        ExpectIs(histogram, FiniteOnes(floats));
      }
    }
  });
}

template <typename T>
class HistogramOfIntegers : public testing::Test {};
#define TYPE(T) , T
template <typename Ignored, typename... Rest>
struct Listed {
  using Types = testing::Types<Rest...>;
};
using IntegerTypes =
    Listed<void CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(TYPE)>::Types;
#undef TYPE
TYPED_TEST_SUITE(HistogramOfIntegers, IntegerTypes);

TYPED_TEST(HistogramOfIntegers, EqualTheDefinition) {
  using T = TypeParam;
  TestRandom random;
  OnEveryTarget([&] {
    for (int flavour = 0; flavour < 5; ++flavour) {
      for (const int max_bins : kAllMaxBins) {
        std::vector<T> values(SomeSize(&random));
        for (T& value : values) {
          switch (flavour) {
            case 0:
              value = static_cast<T>(random.generator()());
              break;
            case 1:
              value = static_cast<T>(random.Integer(-20, 100));
              break;
            case 2:
              value = random.OneIn(2) ? std::numeric_limits<T>::max()
                                      : std::numeric_limits<T>::lowest();
              break;
            case 3:
              value = std::numeric_limits<T>::lowest();
              break;
            default:
              value = random.OneIn(3) ? T{0} : static_cast<T>(7);
          }
        }
        SCOPED_TRACE("flavour " + std::to_string(flavour) + ", " +
                     std::to_string(values.size()) + " values, " +
                     std::to_string(max_bins) + " bins");
        Histogram histogram(max_bins);
        kernels::IntegerExtremes<T> extremes;
        histogram.Add(values.data(), values.size(), &extremes);
        const auto wanted = kernels::MinMax(values.data(), values.size());
        EXPECT_EQ(extremes.min, wanted.min);
        EXPECT_EQ(extremes.max, wanted.max);
        EXPECT_EQ(extremes.zero_count, wanted.zero_count);
        ExpectIs(histogram, FiniteOnes(values));
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  });
}

TEST(Histogram, EveryTableIsFoldedInTime) {
  // More of one value, beside another, than the counters of a table hold.
  std::vector<float> values(1200000, 1.5f);
  for (std::size_t i = 0; i < values.size(); i += 2000) values[i] = 0;
  OnEveryTarget([&] {
    Histogram histogram;
    histogram.Add(values.data(), values.size());
    ASSERT_EQ(histogram.total(), values.size());
    EXPECT_EQ(histogram.counts().front(), 600);
    EXPECT_EQ(histogram.counts().back(), values.size() - 600);
  });
}

// Values of every type that a histogram takes, in parts.
struct Part {
  std::vector<float> floats;
  std::vector<double> doubles;
  std::vector<int64_t> integers;
  double repeated = 0;
  uint64_t times = 0;

  void AddTo(Histogram* histogram) const {
    histogram->Add(floats.data(), floats.size());
    histogram->Add(doubles.data(), doubles.size());
    histogram->Add(integers.data(), integers.size());
    histogram->AddRepeated(repeated, times);
  }
};

std::vector<Part> RandomParts(TestRandom* random) {
  std::vector<Part> parts(static_cast<std::size_t>(random->Integer(1, 8)));
  auto floats = Kinds<float>();
  auto doubles = Kinds<double>();
  for (Part& part : parts) {
    // Often one kind of a size, so that not every histogram is as wide as
    // the numbers are.
    const bool tame = random->OneIn(2);
    Kind& kind = floats[tame ? 0 : random->Integer(0, 14)];
    part.floats.resize(static_cast<std::size_t>(random->Integer(0, 3000)));
    for (float& value : part.floats) {
      value = static_cast<float>(kind.value(random));
    }
    if (tame) continue;
    Kind& wide = doubles[random->Integer(0, 14)];
    part.doubles.resize(static_cast<std::size_t>(random->Integer(0, 100)));
    for (double& value : part.doubles) value = wide.value(random);
    part.integers.resize(static_cast<std::size_t>(random->Integer(0, 100)));
    for (int64_t& value : part.integers) {
      value =
          static_cast<int64_t>(random->generator()()) >> random->Integer(0, 63);
    }
    part.repeated = random->Float(-9, 9);
    part.times = static_cast<uint64_t>(random->Integer(0, 1000));
  }
  return parts;
}

TEST(Histogram, MergingIsExactWhateverTheSplitAndTheOrder) {
  TestRandom random;
  for (int round = 0; round < 300; ++round) {
    const int max_bins = kAllMaxBins[random.Integer(0, 3)];
    std::vector<Part> parts = RandomParts(&random);
    Histogram single(max_bins);
    for (const Part& part : parts) part.AddTo(&single);

    std::shuffle(parts.begin(), parts.end(), random.generator());
    std::vector<Histogram> pieces;
    for (const Part& part : parts) {
      pieces.emplace_back(max_bins);
      part.AddTo(&pieces.back());
    }
    // Any two neighbours at a time: every way of setting brackets.
    while (pieces.size() > 1) {
      const auto at = static_cast<std::size_t>(
          random.Integer(0, static_cast<int64_t>(pieces.size()) - 2));
      Histogram swapped = pieces[at + 1];
      ASSERT_TRUE(swapped.Merge(pieces[at]).ok());
      ASSERT_TRUE(pieces[at].Merge(pieces[at + 1]).ok());
      ASSERT_TRUE(swapped == pieces[at]);
      pieces.erase(pieces.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    }
    ASSERT_TRUE(pieces[0] == single) << "round " << round;
    ASSERT_EQ(pieces[0].total(), single.total());

    // And what was written down is what was counted.
    Histogram copy;
    ASSERT_TRUE(Histogram::FromParts(max_bins, single.exponent(),
                                     single.first_bin(), single.counts(), &copy)
                    .ok());
    ASSERT_TRUE(copy == single);
    ASSERT_EQ(copy.total(), single.total());
  }
}

TEST(Histogram, AnyCutOfAnArrayIsTheArray) {
  TestRandom random;
  OnEveryTarget([&] {
    for (Kind& kind : Kinds<float>()) {
      std::vector<float> values(SomeSize(&random));
      for (float& value : values) {
        value = static_cast<float>(kind.value(&random));
      }
      const int max_bins = kAllMaxBins[random.Integer(0, 3)];
      Histogram whole(max_bins);
      whole.Add(values.data(), values.size());
      std::shuffle(values.begin(), values.end(), random.generator());
      Histogram cut(max_bins);
      for (std::size_t i = 0; i < values.size();) {
        const std::size_t length =
            std::min(values.size() - i,
                     static_cast<std::size_t>(random.Integer(1, 5000)));
        cut.Add(values.data() + i, length);
        i += length;
      }
      EXPECT_TRUE(cut == whole) << kind.name;
    }
  });
}

TEST(Histogram, OfItselfDoubles) {
  Histogram histogram;
  const std::vector<float> values = {-1, 0, 0.25f, 3};
  histogram.Add(values.data(), values.size());
  Histogram twice = histogram;
  ASSERT_TRUE(twice.Merge(twice).ok());
  histogram.Add(values.data(), values.size());
  EXPECT_TRUE(twice == histogram);
}

// numpy.histogram(values, n, (lower, lower + n * width)), which all but the
// last bin takes half open, and the last one closed.
std::vector<uint64_t> NumpyHistogram(const std::vector<float>& values, int n,
                                     double lower, double width) {
  std::vector<uint64_t> counts(static_cast<std::size_t>(n));
  for (const double value : values) {
    for (int i = 0; i < n; ++i) {
      const double left = lower + i * width;
      const double right = lower + (i + 1) * width;
      if (value >= left && (value < right || (i + 1 == n && value == right))) {
        ++counts[static_cast<std::size_t>(i)];
      }
    }
  }
  return counts;
}

TEST(Histogram, IsNumpysOverItsEdges) {
  TestRandom random;
  for (int round = 0; round < 20; ++round) {
    std::vector<float> values(500);
    const float low = random.Float(-100, 50);
    for (float& value : values) value = random.Float(low, 60);
    Histogram histogram(64);
    histogram.Add(values.data(), values.size());
    std::vector<uint64_t> counts = histogram.counts();
    counts.resize(64);  // with empty bins up to the number that was asked for
    EXPECT_EQ(counts, NumpyHistogram(values, 64, histogram.lower_edge(),
                                     histogram.bin_width()));
  }
}

TEST(Histogram, Examples) {
  Histogram histogram(4);
  const std::vector<int32_t> values = {0, 1, 2, 3};
  histogram.Add(values.data(), values.size());
  EXPECT_EQ(histogram.exponent(), 0);
  EXPECT_EQ(histogram.counts(), (std::vector<uint64_t>{1, 1, 1, 1}));
  histogram.AddRepeated(4, 10);  // wider: [0, 2) [2, 4) [4, 6)
  EXPECT_EQ(histogram.exponent(), 1);
  EXPECT_EQ(histogram.counts(), (std::vector<uint64_t>{2, 2, 10}));
  histogram.AddRepeated(-0.0, 1);
  EXPECT_EQ(histogram.counts(), (std::vector<uint64_t>{3, 2, 10}));
  histogram.AddRepeated(-1e-300, 1);
  EXPECT_EQ(histogram.first_bin(), -1);
  EXPECT_EQ(histogram.counts(), (std::vector<uint64_t>{1, 3, 2, 10}));
  EXPECT_EQ(histogram.lower_edge(), -2);
  EXPECT_EQ(histogram.upper_edge(), 6);
}

TEST(Histogram, TheLargestDoublesInTheFewestBins) {
  Histogram histogram(4);
  histogram.AddRepeated(std::numeric_limits<double>::max(), 1);
  histogram.AddRepeated(-std::numeric_limits<double>::max(), 2);
  EXPECT_EQ(histogram.exponent(), Histogram::kMaxExponent);
  EXPECT_EQ(histogram.counts(), (std::vector<uint64_t>{2, 0, 0, 1}));
  EXPECT_TRUE(std::isfinite(histogram.bin_width()));
}

TEST(Histogram, NothingIsNoValue) {
  Histogram histogram;
  histogram.Add(static_cast<const float*>(nullptr), 0);
  histogram.Add(static_cast<const int8_t*>(nullptr), 0);
  histogram.AddRepeated(5, 0);
  histogram.AddRepeated(std::numeric_limits<double>::quiet_NaN(), 3);
  histogram.AddRepeated(std::numeric_limits<double>::infinity(), 3);
  EXPECT_TRUE(histogram.empty());
  EXPECT_EQ(histogram.total(), 0);
  EXPECT_TRUE(histogram == Histogram());
}

TEST(Histogram, BinsAreBroughtIntoTheirLimits) {
  EXPECT_EQ(Histogram(-1).max_bins(), Histogram::kSmallestMaxBins);
  EXPECT_EQ(Histogram(1 << 30).max_bins(), Histogram::kLargestMaxBins);
}

TEST(Histogram, CountsThatWouldOverflowAreRefused) {
  Histogram full(16);
  full.AddRepeated(1, kMostCounts - 5);
  Histogram other(16);
  other.AddRepeated(-100, 6);  // in another bin: still too many together
  const Histogram before = full;
  const Status status = full.Merge(other);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("2^64 - 1"), std::string::npos)
      << status.message();
  EXPECT_TRUE(full == before);
  EXPECT_EQ(full.total(), kMostCounts - 5);
  EXPECT_FALSE(other.Merge(full).ok());
  EXPECT_EQ(other.total(), 6);

  const std::vector<float> six(6, -3.0f);
  kernels::FloatExtremes<float> extremes;
  full.Add(six.data(), six.size(), &extremes);
  EXPECT_EQ(extremes.min, -3);
  const std::vector<uint8_t> bytes(6);
  full.Add(bytes.data(), bytes.size());
  full.AddRepeated(0, 6);
  EXPECT_TRUE(full == before);

  full.Add(six.data(), 5);
  EXPECT_EQ(full.total(), kMostCounts);
}

TEST(Histogram, OtherNumbersOfBinsAreRefused) {
  Histogram histogram(16);
  histogram.AddRepeated(1, 1);
  const Histogram before = histogram;
  const Status status = histogram.Merge(Histogram(32));
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("16 and 32"), std::string::npos);
  EXPECT_TRUE(histogram == before);
}

TEST(Histogram, PartsThatContradictTheRulesAreRefused) {
  constexpr int64_t kLimit = int64_t{1} << Histogram::kResolutionBits;
  struct Case {
    int max_bins;
    int exponent;
    int64_t first_bin;
    std::vector<uint64_t> counts;
    const char* message;
  };
  const Case cases[] = {
      {3, 0, 0, {1}, "max_bins is 3"},
      {-1, 0, 0, {}, "max_bins is -1"},
      {65537, 0, 0, {1}, "max_bins is 65537"},
      {4, 0, 0, {1, 1, 1, 1, 1}, "5 bins, expected 4 at most"},
      {4, -127, 0, {1}, "width is -127"},
      {4, 1024, 0, {1}, "width is 1024"},
      {4, std::numeric_limits<int>::min(), 0, {1}, "width is"},
      {4, 0, -kLimit - 1, {1}, "the first bin is"},
      {4, 0, kLimit, {1}, "the first bin is"},
      {4, 0, kLimit - 1, {1, 1}, "the first bin is"},
      {4, 0, std::numeric_limits<int64_t>::max(), {1}, "the first bin is"},
      {4, 0, std::numeric_limits<int64_t>::min(), {1}, "the first bin is"},
      {4, 1023, 2, {1}, "between -2^1 and 2^1"},
      {4, 0, 0, {0, 1}, "counts nothing"},
      {4, 0, 0, {1, 0}, "counts nothing"},
      {4, 0, 0, {0}, "counts nothing"},
      {4, 0, 0, {kMostCounts, 1}, "more than 2^64 - 1"},
  };
  for (const Case& each : cases) {
    Histogram histogram(16);
    histogram.AddRepeated(1, 1);
    const Histogram before = histogram;
    const Status status = Histogram::FromParts(
        each.max_bins, each.exponent, each.first_bin, each.counts, &histogram);
    EXPECT_FALSE(status.ok()) << each.message;
    EXPECT_NE(status.message().find(each.message), std::string::npos)
        << status.message();
    EXPECT_TRUE(histogram == before);
  }
  // The limits themselves.
  Histogram histogram;
  EXPECT_TRUE(Histogram::FromParts(4, 0, -kLimit, {1}, &histogram).ok());
  EXPECT_TRUE(Histogram::FromParts(4, 0, kLimit - 1, {1}, &histogram).ok());
  EXPECT_TRUE(Histogram::FromParts(4, 1023, -2, {1, 0, 0, 1}, &histogram).ok());
  EXPECT_TRUE(Histogram::FromParts(4, 77, 5, {}, &histogram).ok());
  EXPECT_TRUE(histogram == Histogram(4));
}

}  // namespace
}  // namespace caffe2_quantization
