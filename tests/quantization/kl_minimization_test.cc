#include "quantization/kl_minimization.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/quantization/choose_reference.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

std::vector<uint64_t> RandomCounts(TestRandom* random, int least_bins,
                                   int most_bins) {
  std::vector<uint64_t> counts(random->Integer(least_bins, most_bins));
  const int kind = static_cast<int>(random->Integer(0, 3));
  for (std::size_t b = 0; b < counts.size(); ++b) {
    const double x = (b - counts.size() / 2.0) / 6;
    counts[b] = kind == 0   ? random->Integer(0, 100)
                : kind == 1 ? (random->OneIn(6) ? random->Integer(1, 50) : 0)
                : kind == 2
                    ? static_cast<uint64_t>(10000 * std::exp(-x * x)) +
                          random->Integer(0, 3)
                    : static_cast<uint64_t>(random->Integer(0, 1 << 30));
  }
  if (std::accumulate(counts.begin(), counts.end(), uint64_t{0}) == 0) {
    counts[0] = 9;
  }
  return counts;
}

class KlMinimizationTest : public TargetTest {};
INSTANTIATE_ON_EVERY_TARGET(KlMinimizationTest);

TEST_P(KlMinimizationTest, EqualsBruteForce) {
  TestRandom random;
  for (int i = 0; i < 150; ++i) {
    const auto counts = RandomCounts(&random, 1, 48);
    const int levels = 1 << random.Integer(1, 6);
    SCOPED_TRACE("levels " + std::to_string(levels) + ", bins " +
                 std::to_string(counts.size()));
    double least = std::numeric_limits<double>::infinity();
    std::vector<std::pair<BinRange, double>> all;
    ForEachRange(
        counts.size(),
        [&](int64_t start, int64_t size) {
          return ReferenceDivergence(counts, levels, start, size);
        },
        [&](BinRange range, double divergence) {
          all.push_back({range, divergence});
          least = std::min(least, divergence);
        });
    const BinRange best = MinimizeDivergence(counts, levels);
    const double found =
        ReferenceDivergence(counts, levels, best.start, best.size);
    EXPECT_LE(found, least + 1e-12);
    const auto as_good = std::count_if(
        all.begin(), all.end(),
        [least](const auto& each) { return each.second <= least + 1e-12; });
    if (as_good > 1) continue;
    EXPECT_EQ(found, least);
  }
}

// Counts of which many ranges are as good, or nearly: few values, even ones
// between empty bins, small differences of large counts, comb and steps.
std::vector<uint64_t> NearlyTiedCounts(TestRandom* random) {
  std::vector<uint64_t> counts(random->Integer(2, 56));
  const auto n = static_cast<int64_t>(counts.size());
  const uint64_t height = uint64_t{1} << random->Integer(0, 45);
  const int kind = static_cast<int>(random->Integer(0, 5));
  const int64_t begin = random->Integer(0, n - 1);
  const int64_t end = random->Integer(begin + 1, n);
  for (int64_t b = 0; b < n; ++b) {
    switch (kind) {
      case 0:  // even, nothing around it
      case 1:  // nearly even
        if (begin <= b && b < end) {
          counts[b] = height + (kind == 1 ? random->Integer(0, 2) : 0);
        }
        break;
      case 2:  // few values
        counts[b] = random->OneIn(12) ? height : 0;
        break;
      case 3:  // a comb
        counts[b] = b % 4 == 0 ? height : 0;
        break;
      case 4:  // single values around a peak
        counts[b] = begin <= b && b < end ? height : 1;
        break;
      default:  // halves
        counts[b] = height >> std::min<int64_t>(b, 46);
    }
  }
  counts[begin] += 1;
  return counts;
}

// Also in what rounding decides.
TEST_P(KlMinimizationTest, IsTheFirstOfTheLeastToTheBit) {
  TestRandom random;
  const int64_t cases = CaseCount(300, 20000);
  for (int64_t i = 0; i < cases; ++i) {
    const auto counts = random.OneIn(3) ? RandomCounts(&random, 1, 48)
                                        : NearlyTiedCounts(&random);
    const int levels = 1 << random.Integer(1, 6);
    BinRange first{0, levels};
    double least = std::numeric_limits<double>::infinity();
    ForEachRange(
        counts.size(),
        [&](int64_t start, int64_t size) {
          return RangeDivergence(counts, levels, {start, size});
        },
        [&](BinRange range, double divergence) {
          if (!(divergence < least)) return;
          least = divergence;
          first = range;
        });
    const BinRange best = MinimizeDivergence(counts, levels);
    EXPECT_EQ(best.size, first.size)
        << "levels " << levels << ", bins " << counts.size();
    EXPECT_EQ(best.start, first.start);
  }
}

TEST_P(KlMinimizationTest, OfGivenRangesTakesTheBest) {
  TestRandom random;
  for (int i = 0; i < 50; ++i) {
    const auto counts = RandomCounts(&random, 20, 60);
    const auto num_bins = static_cast<int64_t>(counts.size());
    std::vector<BinRange> ranges;
    double least = std::numeric_limits<double>::infinity();
    for (int k = 0; k < 20; ++k) {
      const int64_t start = random.Integer(0, num_bins - 1);
      ranges.push_back({start, random.Integer(1, num_bins - start)});
      least = std::min(
          least, ReferenceDivergence(counts, 16, start, ranges.back().size));
    }
    const BinRange best = MinimizeDivergence(counts, 16, ranges);
    EXPECT_LE(ReferenceDivergence(counts, 16, best.start, best.size),
              least + 1e-12);
  }
}

TEST(RangeDivergenceTest, EqualsTheDefinition) {
  TestRandom random;
  for (int i = 0; i < 300; ++i) {
    const auto counts = RandomCounts(&random, 1, 60);
    const int levels = 1 << random.Integer(1, 8);
    const int64_t start = random.Integer(0, counts.size() - 1);
    const int64_t size = random.Integer(1, counts.size() - start);
    const double expected = ReferenceDivergence(counts, levels, start, size);
    const double found = RangeDivergence(counts, levels, {start, size});
    if (std::isinf(expected)) {
      EXPECT_EQ(found, expected);
    } else {
      EXPECT_NEAR(found, expected, 1e-12 * (1 + std::fabs(expected)));
    }
  }
}

TEST(RangeDivergenceTest, IsZeroWhenNothingIsLost) {
  std::vector<uint64_t> counts(64);
  std::iota(counts.begin(), counts.end(), 1);
  EXPECT_EQ(RangeDivergence(counts, 64, {0, 64}), 0);
  EXPECT_GT(RangeDivergence(counts, 64, {0, 63}), 0);
}

}  // namespace
}  // namespace caffe2_quantization
