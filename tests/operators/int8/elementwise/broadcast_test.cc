#include "operators/int8/elementwise/broadcast.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/operators/int8/elementwise/operand_pairs.h"

namespace caffe2_quantization {
namespace {

Broadcast OfEnds(const Shape& a, const Shape& b) {
  Broadcast broadcast;
  const Status status = Broadcast::OfEnds(a, b, &broadcast);
  EXPECT_TRUE(status.ok()) << status.message();
  return broadcast;
}

Broadcast OfAxis(const Shape& a, const Shape& b, int64_t axis) {
  Broadcast broadcast;
  const Status status = Broadcast::OfAxis(a, b, axis, &broadcast);
  EXPECT_TRUE(status.ok()) << status.message();
  return broadcast;
}

// Walks over the whole output, or a part of it, in calls of random lengths.
void ExpectPairs(TestRandom* random, const Broadcast& broadcast,
                 const OperandPairs& pairs) {
  ASSERT_EQ(broadcast.sizes(), pairs.shape);
  const auto count = static_cast<int64_t>(pairs.a.size());
  ASSERT_EQ(broadcast.count(), count);
  if (count == 0) return;
  // Each value is its own place.
  std::vector<int64_t> a(1 + *std::max_element(pairs.a.begin(), pairs.a.end()));
  std::vector<int64_t> b(1 + *std::max_element(pairs.b.begin(), pairs.b.end()));
  std::iota(a.begin(), a.end(), 0);
  std::iota(b.begin(), b.end(), 0);
  BroadcastTiles<int64_t> tiles(broadcast, a.data(), b.data());
  for (int64_t i = random->Integer(0, count - 1); i < count;) {
    const int64_t n =
        random->OneIn(2) ? count - i : random->Integer(1, count - i);
    int64_t next = i;
    tiles.ForEach(
        i, n,
        [&](const int64_t* x, const int64_t* y, int64_t k, int64_t length) {
          ASSERT_EQ(k, next);
          ASSERT_LE(k + length, i + n);
          next = k + length;
          for (int64_t j = 0; j < length; ++j) {
            ASSERT_EQ(x[j], pairs.a[k + j]) << k + j;
            ASSERT_EQ(y[j], pairs.b[k + j]) << k + j;
          }
        });
    ASSERT_EQ(next, i + n);
    if (testing::Test::HasFatalFailure()) return;
    i += n;
  }
}

TEST(Broadcast, OfEndsIsThatOfNumpy) {
  TestRandom random;
  for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
    Shape a, b;
    DrawEnds(&random, &a, &b);
    SCOPED_TRACE(testing::PrintToString(a) + testing::PrintToString(b));
    ExpectPairs(&random, OfEnds(a, b), PairsOfEnds(a, b));
  }
}

TEST(Broadcast, OfAxisRepeatsBForA) {
  TestRandom random;
  for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
    const Shape a = RandomShape(&random);
    const auto rank = static_cast<int64_t>(a.size());
    const int64_t begin = random.Integer(0, rank);
    const int64_t end = random.Integer(begin, rank);
    Shape b(a.begin() + begin, a.begin() + end);
    // Sizes of 1 at the ends of B.
    for (std::size_t k = 0; k < b.size() && random.OneIn(2); ++k) b[k] = 1;
    for (std::size_t k = b.size(); k-- > 0 && random.OneIn(2);) b[k] = 1;
    const int64_t axis = end == rank && random.OneIn(2) ? -1 : begin;
    SCOPED_TRACE(testing::PrintToString(a) + testing::PrintToString(b));
    ExpectPairs(&random, OfAxis(a, b, axis), PairsOfAxis(a, b, axis));
  }
}

// More values than a tile has.
TEST(Broadcast, CutsLargeOutputsIntoTiles) {
  TestRandom random;
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{20000}, {20000}},
      {{20000}, {1}},
      {{1}, {20000}},
      {{300, 70}, {70}},
      {{300, 70}, {300, 1}},
      {{300, 1}, {1, 70}},
      {{3, 9000}, {9000}},
      {{3, 9000}, {3, 1}},
      {{9000, 1}, {1, 3}},
      {{2, 1, 50, 1}, {40, 1, 7}},
      {{8192, 2}, {2}},
      {{2, 8192}, {2, 1}},
      {{5, 3, 64, 7}, {64, 1}},
      {{5, 3, 64, 7}, {3, 1, 1}},
      {{4, 8191}, {4, 1, 8191}},
      {{2, 3, 5, 7, 11, 13}, {3, 1, 7, 1, 13}}};
  for (const auto& [a, b] : shapes) {
    SCOPED_TRACE(testing::PrintToString(a) + testing::PrintToString(b));
    for (int i = 0; i < 4; ++i) {
      ExpectPairs(&random, OfEnds(a, b), PairsOfEnds(a, b));
    }
  }
}

// What is read in one way is one loop.
TEST(Broadcast, HasAsFewLoopsAsItCan) {
  const auto loops = [](const Broadcast& broadcast) {
    return broadcast.loops().size();
  };
  EXPECT_EQ(loops(OfEnds({2, 3, 5}, {2, 3, 5})), 1u);
  EXPECT_EQ(loops(OfEnds({2, 3, 5}, {})), 1u);
  EXPECT_EQ(loops(OfEnds({1, 1}, {1})), 1u);
  EXPECT_EQ(loops(OfEnds({2, 3, 5}, {3, 5})), 2u);
  EXPECT_EQ(loops(OfEnds({2, 3, 5}, {2, 3, 1})), 2u);
  EXPECT_EQ(loops(OfEnds({2, 1, 3, 5}, {1, 7, 1, 1})), 3u);
  EXPECT_EQ(loops(OfAxis({2, 3, 5}, {3}, 1)), 3u);
}

TEST(Broadcast, RefusesShapesThatDoNotFit) {
  Broadcast broadcast;
  const auto ends = [&](const Shape& a, const Shape& b) {
    return Broadcast::OfEnds(a, b, &broadcast).message();
  };
  const auto axis = [&](const Shape& a, const Shape& b, int64_t axis) {
    return Broadcast::OfAxis(a, b, axis, &broadcast).message();
  };
  EXPECT_EQ(ends({2, 3}, {3, 2}),
            "A has sizes [2, 3], B [3, 2], of which 3 and 2 meet, expected "
            "sizes that are equal or 1, from the last one on; or broadcast = "
            "1");
  EXPECT_NE(ends({0}, {2}), "");
  EXPECT_EQ(ends({int64_t{1} << 40, 1}, {1, int64_t{1} << 40}),
            "an output of sizes [1099511627776, 1099511627776] has more values "
            "than 64 bits count, expected fewer");
  const std::string of = "A has sizes [2, 3], B ";
  EXPECT_EQ(axis({2, 3}, {2}, -1),
            of + "[2], with broadcast = 1 and axis -1, expected equal sizes "
                 "from the axis on, where 3 and 2 meet");
  EXPECT_EQ(axis({2, 3}, {2}, 2),
            of + "[2], with broadcast = 1 and axis 2, expected an axis of -1, "
                 "or 0 to 1");
  EXPECT_EQ(axis({2, 3}, {2}, -2),
            of + "[2], with broadcast = 1 and axis -2, expected an axis of -1, "
                 "or 0 to 1");
  EXPECT_EQ(axis({2, 3}, {1, 2, 3}, -1),
            of + "[1, 2, 3], with broadcast = 1 and axis -1, expected at most "
                 "as many dimensions of B as of A");
  EXPECT_EQ(broadcast.count(), 0) << "nothing was made";
}

}  // namespace
}  // namespace caffe2_quantization
