#include "quantization/norm_minimization.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/quantization/choose_reference.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

std::vector<uint64_t> RandomCounts(TestRandom* random, int most_bins) {
  std::vector<uint64_t> counts(random->Integer(1, most_bins));
  const int kind = static_cast<int>(random->Integer(0, 4));
  for (std::size_t b = 0; b < counts.size(); ++b) {
    switch (kind) {
      case 0:
        counts[b] = random->Integer(0, 100);
        break;
      case 1:  // mostly empty
        counts[b] = random->OneIn(8) ? random->Integer(1, 1000000) : 0;
        break;
      case 2:  // one peak
        counts[b] = static_cast<uint64_t>(
            1000 * std::exp(-std::pow((b - counts.size() / 2.0) / 5, 2)));
        break;
      case 3:  // even
        counts[b] = 7;
        break;
      default:  // large
        counts[b] = static_cast<uint64_t>(random->Integer(0, 1ll << 40));
    }
  }
  if (std::accumulate(counts.begin(), counts.end(), uint64_t{0}) == 0) {
    counts[random->Integer(0, counts.size() - 1)] = 3;
  }
  return counts;
}

int Power(ErrorNorm norm) { return norm == ErrorNorm::kL1 ? 1 : 2; }

class NormMinimizationTest : public TargetTest {};
INSTANTIATE_ON_EVERY_TARGET(NormMinimizationTest);

TEST_P(NormMinimizationTest, EqualsBruteForce) {
  TestRandom random;
  for (int i = 0; i < 150; ++i) {
    const auto counts = RandomCounts(&random, 40);
    const int levels = 1 << random.Integer(1, 6);
    for (const ErrorNorm norm : {ErrorNorm::kL1, ErrorNorm::kL2}) {
      const BinRange best = MinimizeError(counts, norm, levels);
      double least = std::numeric_limits<double>::infinity();
      std::vector<std::pair<BinRange, double>> all;
      ForEachRange(
          counts.size(),
          [&](int64_t start, int64_t size) {
            return ReferenceError(counts, Power(norm), levels, start, size);
          },
          [&](BinRange range, double error) {
            all.push_back({range, error});
            least = std::min(least, error);
          });
      // The first of all that double cannot tell from the least.
      BinRange first;
      for (const auto& [range, error] : all) {
        if (error <= least * (1 + 1e-9)) {
          first = range;
          break;
        }
      }
      EXPECT_EQ(best.size, first.size) << "levels " << levels;
      EXPECT_EQ(best.start, first.start) << "levels " << levels;
    }
  }
}

TEST_P(NormMinimizationTest, OfGivenRangesTakesTheBest) {
  TestRandom random;
  for (int i = 0; i < 100; ++i) {
    const auto counts = RandomCounts(&random, 60);
    const int levels = 1 << random.Integer(1, 8);
    std::vector<BinRange> ranges;
    for (int k = 0; k < 30; ++k) {
      ranges.push_back({random.Integer(-40, 60), random.Integer(1, 100)});
    }
    for (const ErrorNorm norm : {ErrorNorm::kL1, ErrorNorm::kL2}) {
      const auto error = [&](BinRange range) {
        return ReferenceError(counts, Power(norm), levels, range.start,
                              range.size);
      };
      double least = std::numeric_limits<double>::infinity();
      for (const BinRange range : ranges) least = std::min(least, error(range));
      const BinRange best = MinimizeError(counts, norm, levels, ranges);
      EXPECT_LE(error(best), least * (1 + 1e-9));
    }
  }
}

TEST(RangeErrorTest, EqualsTheDefinition) {
  TestRandom random;
  for (int i = 0; i < 300; ++i) {
    const auto counts = RandomCounts(&random, 50);
    const int levels = 1 << random.Integer(1, 10);
    const double start = random.Float(-20, 60);
    const double size = random.Float(0.01f, 80);
    for (const ErrorNorm norm : {ErrorNorm::kL1, ErrorNorm::kL2}) {
      const double expected =
          ReferenceError(counts, Power(norm), levels, start, size);
      EXPECT_NEAR(RangeError(counts, norm, levels, start, size), expected,
                  1e-9 * expected);
    }
  }
}

TEST(RangeErrorTest, OfEvenValuesIsThatOfTheCells) {
  // Cells of width w: w^2 / 12 and w / 4 a value.
  const std::vector<uint64_t> counts(64, 10);
  EXPECT_NEAR(RangeError(counts, ErrorNorm::kL2, 16, 0, 64), 640 * 16 / 12.0,
              1e-9);
  EXPECT_NEAR(RangeError(counts, ErrorNorm::kL1, 16, 0, 64), 640 * 4 / 4.0,
              1e-9);
}

TEST(MinimizeErrorTest, KeepsEverythingThatIsEven) {
  const std::vector<uint64_t> counts(2048, 10);
  for (const ErrorNorm norm : {ErrorNorm::kL1, ErrorNorm::kL2}) {
    const BinRange best = MinimizeError(counts, norm, 256);
    EXPECT_EQ(best.start, 0);
    EXPECT_EQ(best.size, 2048);
  }
}

TEST(MinimizeErrorTest, TakesManyLevels) {
  TestRandom random;
  const auto counts = RandomCounts(&random, 300);
  const BinRange best = MinimizeError(counts, ErrorNorm::kL2, 1 << 16);
  const double whole =
      RangeError(counts, ErrorNorm::kL2, 1 << 16, 0, counts.size());
  EXPECT_LE(RangeError(counts, ErrorNorm::kL2, 1 << 16, best.start, best.size),
            whole);
}

}  // namespace
}  // namespace caffe2_quantization
