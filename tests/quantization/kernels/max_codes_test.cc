#include "quantization/kernels/max_codes.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

TEST(MaxCodes, ThePlainFormIsTheEquation) {
  const std::vector<uint8_t> src = {0, 127, 128, 129, 255};
  std::vector<uint8_t> dst(5);
  reference::MaxCodes(src.data(), 5, 128, dst.data());
  EXPECT_EQ(dst, (std::vector<uint8_t>{128, 128, 128, 129, 255}));
}

template <typename T>
void ExpectTheReference(TestRandom* random) {
  constexpr int kGuards = 3;
  for (int64_t count = 0; count < 200; ++count) {
    std::vector<T> src(count + kGuards);
    for (T& code : src) code = static_cast<T>(random->generator()());
    const T least =
        random->OneIn(4) ? 0 : static_cast<T>(random->generator()());
    std::vector<T> expected = src, in_place = src;
    reference::MaxCodes(src.data(), count, least, expected.data());
    std::vector<T> dst = src;
    for (int64_t i = 0; i < count; ++i) dst[i] = static_cast<T>(~src[i]);
    MaxCodes(src.data(), count, least, dst.data());
    ASSERT_EQ(dst, expected) << count;
    MaxCodes(in_place.data(), count, least, in_place.data());
    ASSERT_EQ(in_place, expected) << count;
  }
}

TEST(MaxCodes, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    ExpectTheReference<uint8_t>(&random);
    ExpectTheReference<uint16_t>(&random);
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
