#include "quantization/kernels/add_codes.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "tests/quantization/kernels/exact_code.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

template <typename T>
constexpr int64_t kMost = std::numeric_limits<T>::max();

template <typename T>
std::vector<T> RandomCodes(TestRandom* random, int64_t count) {
  std::vector<T> codes(count);
  for (T& code : codes) code = static_cast<T>(random->Integer(0, kMost<T>));
  return codes;
}

template <typename T>
int32_t RandomZeroPoint(TestRandom* random) {
  return random->OneIn(3) ? 0
                          : static_cast<int32_t>(random->Integer(0, kMost<T>));
}

TEST(AddCodes, RoundsHalfToEvenBeforeItAddsTheZeroPoint) {
  // Values -1.5, -0.5, 0.5, 1.5 and 2.5, and both ends.
  const std::vector<uint8_t> a = {7, 9, 11, 13, 15, 0, 255};
  const std::vector<uint8_t> b = {1, 1, 1, 1, 1, 0, 255};
  const std::vector<uint8_t> expected = {1, 3, 3, 5, 5, 0, 200};
  const auto sum =
      CodeSum::Of<uint8_t>({{0.25f, 10}, {1, 1}}, 0.5f, {3, 0, 200});
  EXPECT_EQ(sum.slack, 0);
  OnEveryTarget([&] {
    const uint8_t* const src[] = {a.data(), b.data()};
    std::vector<uint8_t> dst(a.size());
    AddCodes(sum, src, 0, static_cast<int64_t>(a.size()), dst.data());
    EXPECT_EQ(dst, expected);
  });
}

// Scales are integers, so that sums are.
template <typename T>
void ExpectExact(TestRandom* random) {
  constexpr int64_t kCount = 64;
  constexpr int kBits = 24;
  const auto num_addends = static_cast<std::size_t>(random->Integer(1, 5));
  const CodeRange range = RandomCodeRange<T>(random);
  std::vector<int64_t> integers;
  std::vector<CodeScale> scales;
  std::vector<std::vector<T>> codes;
  std::vector<const T*> src;
  for (std::size_t k = 0; k < num_addends; ++k) {
    integers.push_back(RandomIntegerScale(random, kBits));
    scales.push_back(
        {static_cast<float>(integers[k]), RandomZeroPoint<T>(random)});
    codes.push_back(RandomCodes<T>(random, kCount));
  }
  for (const auto& each : codes) src.push_back(each.data());
  const int64_t denominator = RandomIntegerScale(random, kBits);
  const auto sum =
      CodeSum::Of<T>(scales, static_cast<float>(denominator), range);
  std::vector<T> dst(kCount);
  reference::AddCodes(sum, src.data(), 0, kCount, dst.data());
  for (int64_t i = 0; i < kCount; ++i) {
    int64_t numerator = 0;
    for (std::size_t k = 0; k < num_addends; ++k) {
      numerator += integers[k] * (int64_t{codes[k][i]} - scales[k].zero_point);
    }
    ASSERT_EQ(dst[i], ExactCode(numerator, denominator, range))
        << numerator << " / " << denominator;
  }
}

TEST(AddCodes, ThePlainFormIsExact) {
  TestRandom random;
  for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
    ExpectExact<uint8_t>(&random);
    ExpectExact<uint16_t>(&random);
  }
}

template <typename T>
void ExpectTheReference(TestRandom* random, int64_t count) {
  constexpr int64_t kGuards = 3;
  const int64_t first = random->Integer(0, 5);
  const auto num_addends = static_cast<std::size_t>(random->Integer(1, 4));
  std::vector<CodeScale> scales;
  std::vector<std::vector<T>> codes;
  std::vector<const T*> src;
  for (std::size_t k = 0; k < num_addends; ++k) {
    scales.push_back({RandomScale(random), RandomZeroPoint<T>(random)});
    codes.push_back(RandomCodes<T>(random, first + count + kGuards));
  }
  for (const auto& each : codes) src.push_back(each.data());
  const auto sum =
      CodeSum::Of<T>(scales, RandomScale(random), RandomCodeRange<T>(random));
  const std::vector<T> before = RandomCodes<T>(random, count + kGuards);
  std::vector<T> expected = before, dst = before;
  reference::AddCodes(sum, src.data(), first, count, expected.data());
  AddCodes(sum, src.data(), first, count, dst.data());
  ASSERT_EQ(dst, expected) << count;
  // In place of one of the sources.
  std::vector<T>& in_place = codes[random->Integer(0, num_addends - 1)];
  expected.assign(in_place.begin() + first, in_place.end());
  std::copy(dst.begin(), dst.begin() + count, expected.begin());
  AddCodes(sum, src.data(), first, count, in_place.data() + first);
  ASSERT_EQ(std::vector<T>(in_place.begin() + first, in_place.end()), expected)
      << count << " in place";
}

TEST(AddCodes, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    for (int64_t count = 0; count < 300 && !testing::Test::HasFailure();
         ++count) {
      ExpectTheReference<uint8_t>(&random, count);
      ExpectTheReference<uint16_t>(&random, count);
    }
  });
}

// Each pair of codes, of scales near 1, whose sums fill the range: some of them
// lie so close to a tie that floats cannot tell.
TEST(AddCodes, EachPairOnEveryTarget) {
  TestRandom random;
  std::vector<uint8_t> a(1 << 16), b(1 << 16);
  for (int i = 0; i < 1 << 16; ++i) {
    a[i] = static_cast<uint8_t>(i);
    b[i] = static_cast<uint8_t>(i >> 8);
  }
  const uint8_t* const src[] = {a.data(), b.data()};
  for (int i = 0; i < 20; ++i) {
    const CodeScale of_a = {random.Float(0.5f, 2),
                            RandomZeroPoint<uint8_t>(&random)};
    const CodeScale of_b = {random.Float(0.5f, 2),
                            RandomZeroPoint<uint8_t>(&random)};
    const auto sum = CodeSum::Of<uint8_t>({of_a, of_b}, random.Float(1, 4),
                                          RandomCodeRange<uint8_t>(&random));
    std::vector<uint8_t> expected(a.size()), dst(a.size());
    reference::AddCodes(sum, src, 0, 1 << 16, expected.data());
    OnEveryTarget([&] {
      AddCodes(sum, src, 0, 1 << 16, dst.data());
      ASSERT_EQ(dst, expected);
    });
  }
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
