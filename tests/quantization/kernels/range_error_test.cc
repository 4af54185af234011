#include "quantization/kernels/range_error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

class RangeErrorKernelTest : public TargetTest {};
INSTANTIATE_ON_EVERY_TARGET(RangeErrorKernelTest);

TEST_P(RangeErrorKernelTest, SumAtOffsetsGivesTheReferencesBits) {
  TestRandom random;
  for (int count = 0; count <= 150; ++count) {
    const int positions = static_cast<int>(random.Integer(0, 20));
    const int largest = static_cast<int>(random.Integer(0, 30));
    std::vector<int32_t> offsets(positions);
    std::vector<double> fractions(positions);
    for (int k = 0; k < positions; ++k) {
      offsets[k] = static_cast<int32_t>(random.Integer(0, largest));
      fractions[k] = random.Integer(0, 255) / 256.0;
    }
    // Nothing beyond the last element is read: sanitizers see to it.
    std::vector<double> value(count + largest), slope(value), curvature(value);
    for (std::size_t i = 0; i < value.size(); ++i) {
      value[i] = random.Float(-1e6, 1e6);
      slope[i] = random.Float(0, 1e3);
      curvature[i] = random.Float(0, 10);
    }
    std::vector<double> expected(count, -1), sums(count, -1);
    const Positions at{offsets.data(), fractions.data(), offsets.size()};
    reference::SumAtOffsets(value.data(), slope.data(), curvature.data(), at,
                            count, expected.data());
    SumAtOffsets(value.data(), slope.data(), curvature.data(), at, count,
                 sums.data());
    EXPECT_EQ(sums, expected) << "count " << count;
  }
}

TEST_P(RangeErrorKernelTest, KlOfRangesAgreesWithTheReference) {
  TestRandom random;
  for (int round = 0; round < 60; ++round) {
    const int levels = 1 << random.Integer(1, 6);
    const auto size = static_cast<std::size_t>(levels + random.Integer(0, 40));
    const auto num_bins =
        size + static_cast<std::size_t>(random.Integer(0, 40));
    std::vector<double> counts(num_bins + 1), counts_before(num_bins + 1),
        nonzero(num_bins + 1), nonzero_before(num_bins + 1),
        entropy_before(num_bins + 1);
    const int one_in = random.OneIn(2) ? 1 : random.OneIn(2) ? 4 : 25;
    for (std::size_t b = 0; b < num_bins; ++b) {
      counts[b] = !random.OneIn(one_in)
                      ? 0
                      : static_cast<double>(random.Integer(0, 200));
      nonzero[b] = counts[b] > 0;
      counts_before[b + 1] = counts_before[b] + counts[b];
      nonzero_before[b + 1] = nonzero_before[b] + nonzero[b];
      entropy_before[b + 1] =
          entropy_before[b] +
          (counts[b] > 0 ? counts[b] * std::log(counts[b]) : 0);
    }
    std::vector<int32_t> next(num_bins + 1, static_cast<int32_t>(num_bins));
    for (std::size_t b = num_bins; b-- > 0;) {
      next[b] = counts[b] > 0 ? static_cast<int32_t>(b) : next[b + 1];
    }
    std::vector<int32_t> offsets(levels + 1);
    std::vector<double> fractions(levels + 1);
    std::vector<std::vector<double>> tables(levels + 1);
    std::vector<const double*> cut(levels + 1);
    for (int k = 0; k <= levels; ++k) {
      offsets[k] = static_cast<int32_t>(k * size / levels);
      fractions[k] = static_cast<double>(k * size % levels) / levels;
      tables[k].resize(num_bins + 1);
      for (std::size_t b = 0; b < num_bins; ++b) {
        if (counts[b] > 0) tables[k][b] = random.Float(0, 3);
      }
      cut[k] = tables[k].data();
    }
    const KlBins bins{counts.data(),         counts_before.data(),
                      nonzero.data(),        nonzero_before.data(),
                      entropy_before.data(), next.data()};
    const Positions at{offsets.data(), fractions.data(), offsets.size()};
    const std::size_t count = num_bins - size + 1;
    std::vector<double> expected(count), found(count);
    reference::KlOfRanges(bins, num_bins, at, cut.data(), size, 0, count, 1e300,
                          expected.data());
    KlOfRanges(bins, num_bins, at, cut.data(), size, 0, count, 1e300,
               found.data());
    for (std::size_t j = 0; j < count; ++j) {
      if (std::isinf(expected[j])) {
        EXPECT_EQ(found[j], expected[j]) << j;
      } else {
        EXPECT_NEAR(found[j], expected[j],
                    1e-12 * (entropy_before.back() + 1000))
            << j;
      }
    }
  }
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
