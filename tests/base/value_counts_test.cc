#include "base/value_counts.h"

#include <gtest/gtest.h>

namespace caffe2_quantization {
namespace {

struct Report : ValueCounts {
  int other = 0;
};

TEST(ValueCounts, AreAddedOneByOne) {
  ValueCounts counts{100, 1, 2, 3, 4};
  counts.AddCounts({10, 20, 30, 40, 50});
  EXPECT_EQ(counts.count, 110u);
  EXPECT_EQ(counts.zero_count, 21u);
  EXPECT_EQ(counts.nan_count, 32u);
  EXPECT_EQ(counts.positive_infinity_count, 43u);
  EXPECT_EQ(counts.negative_infinity_count, 54u);
  EXPECT_EQ(counts.infinity_count(), 97u);
}

TEST(ValueCounts, AreCopiedAloneFromAReport) {
  Report from, to;
  from.nan_count = 5;
  from.other = 6;
  to.counts() = from.counts();
  EXPECT_EQ(to.nan_count, 5u);
  EXPECT_EQ(to.other, 0);
}

}  // namespace
}  // namespace caffe2_quantization
