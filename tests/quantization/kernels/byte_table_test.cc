#include "quantization/kernels/byte_table.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

TEST(ByteTable, ThePlainFormIsTheEquation) {
  std::vector<uint8_t> table(256);
  for (int i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(255 - i);
  const std::vector<uint8_t> src = {0, 1, 127, 128, 254, 255};
  std::vector<uint8_t> dst(src.size());
  reference::LookUpBytes(src.data(), 6, table.data(), dst.data());
  EXPECT_EQ(dst, (std::vector<uint8_t>{255, 254, 128, 127, 1, 0}));
}

TEST(ByteTable, OnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    constexpr int kGuards = 3;
    for (int64_t count = 0; count < 400; ++count) {
      // No alignment is given.
      std::vector<uint8_t> table(256 + 1), src(count + kGuards);
      for (uint8_t& byte : table) byte = random.Byte();
      for (uint8_t& byte : src) byte = random.Byte();
      std::vector<uint8_t> expected = src;
      for (int64_t i = 0; i < count; ++i) expected[i] = table[src[i] + 1];
      std::vector<uint8_t> dst = src, in_place = src;
      LookUpBytes(src.data(), count, table.data() + 1, dst.data());
      ASSERT_EQ(dst, expected) << count;
      LookUpBytes(in_place.data(), count, table.data() + 1, in_place.data());
      ASSERT_EQ(in_place, expected) << count;
    }
  });
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
