#include "quantization/kernels/shuffle_groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

struct Shape {
  int64_t pixels, groups, per_group;
  int64_t count() const { return pixels * groups * per_group; }
};

// By the equation, element for element.
template <typename T>
std::vector<T> Shuffled(const std::vector<T>& src, const Shape& shape) {
  const int64_t channels = shape.groups * shape.per_group;
  std::vector<T> dst(src.size());
  for (int64_t p = 0; p < shape.pixels; ++p) {
    for (int64_t k = 0; k < shape.per_group; ++k) {
      for (int64_t g = 0; g < shape.groups; ++g) {
        dst[p * channels + k * shape.groups + g] =
            src[p * channels + g * shape.per_group + k];
      }
    }
  }
  return dst;
}

Shape RandomShape(TestRandom* random) {
  const int64_t groups = random->Integer(1, random->OneIn(4) ? 20 : 9);
  const int64_t per_group = random->Integer(1, random->OneIn(4) ? 150 : 40);
  return {random->Integer(1, 6), groups, per_group};
}

// The whole result, or a part of it, with guards on both sides. src ends where
// its tensor does, so that AddressSanitizer sees a read beyond it.
template <typename T>
void ExpectEquation(TestRandom* random, const Shape& shape) {
  constexpr int64_t kGuards = 80;  // more than a vector
  std::vector<T> src(shape.count());
  for (T& code : src) code = static_cast<T>(random->generator()());
  const std::vector<T> whole = Shuffled(src, shape);
  int64_t begin = 0, end = shape.count();
  if (random->OneIn(2)) begin = random->Integer(0, end);
  if (random->OneIn(2)) end = random->Integer(begin, end);
  std::vector<T> expected(end - begin + 2 * kGuards, 77);
  std::vector<T> dst = expected;
  std::copy(whole.begin() + begin, whole.begin() + end,
            expected.begin() + kGuards);
  const auto text = [&] {
    return testing::Message()
           << shape.pixels << " pixels of " << shape.groups << " x "
           << shape.per_group << ", " << begin << " to " << end;
  };
  ShuffleGroups(src.data(), shape.count(), shape.groups, shape.per_group, begin,
                end, dst.data() + kGuards);
  ASSERT_EQ(dst, expected) << text();
  std::fill(dst.begin(), dst.end(), 77);
  reference::ShuffleGroups(src.data(), shape.count(), shape.groups,
                           shape.per_group, begin, end, dst.data() + kGuards);
  ASSERT_EQ(dst, expected) << "plain form, " << text();
}

template <typename T>
void ExpectEquation(TestRandom* random, int cases) {
  for (int i = 0; i < cases && !testing::Test::HasFatalFailure(); ++i) {
    ExpectEquation<T>(random, RandomShape(random));
  }
}

TEST(ShuffleGroups, GroupsTakeTurns) {
  const std::vector<uint8_t> src = {1, 2, 3, 11, 12, 13, 4, 5, 6, 14, 15, 16};
  std::vector<uint8_t> dst(12);
  reference::ShuffleGroups(src.data(), 12, 2, 3, 0, 12, dst.data());
  EXPECT_EQ(dst,
            (std::vector<uint8_t>{1, 11, 2, 12, 3, 13, 4, 14, 5, 15, 6, 16}));
}

TEST(ShuffleGroups, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    ExpectEquation<uint8_t>(&random, 2000);
    ExpectEquation<uint16_t>(&random, 200);
  });
}

// Four groups have a form of their own.
TEST(ShuffleGroups, FourGroupsOfEverySize) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int64_t per_group = 1; per_group <= 140; ++per_group) {
      for (int i = 0; i < 8; ++i) {
        ASSERT_NO_FATAL_FAILURE(ExpectEquation<uint8_t>(
            &random, {random.Integer(1, 3), 4, per_group}));
      }
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
