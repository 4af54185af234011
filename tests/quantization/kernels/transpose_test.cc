#include "quantization/kernels/transpose.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "quantization/kernels/isa.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

TEST(Transpose, ThePlainFormIsTheEquation) {
  const std::vector<uint8_t> src = {1, 2, 3, 99, 4, 5, 6};
  std::vector<uint8_t> dst(8, 77);
  reference::Transpose(src.data(), 2, 3, 4, dst.data(), 3);
  EXPECT_EQ(dst, (std::vector<uint8_t>{1, 4, 77, 2, 5, 77, 3, 6}));
}

template <typename T>
void ExpectThePlainForm(TestRandom* random) {
  const auto size = [&] {
    return random->Integer(1, random->OneIn(2) ? 20 : 150);
  };
  const int64_t rows = size(), columns = size();
  // Most matrices have no gaps.
  const int64_t src_stride =
      columns + (random->OneIn(4) ? random->Integer(0, 5) : 0);
  const int64_t dst_stride =
      rows + (random->OneIn(4) ? random->Integer(0, 5) : 0);
  // No value more than there is, and none is changed beside it.
  std::vector<T> src((rows - 1) * src_stride + columns);
  for (T& value : src) value = static_cast<T>(random->Integer(0, 65535));
  const int64_t size_of_dst = (columns - 1) * dst_stride + rows;
  std::vector<T> dst(size_of_dst, static_cast<T>(0xa5));
  std::vector<T> expected = dst;
  reference::Transpose(src.data(), rows, columns, src_stride, expected.data(),
                       dst_stride);
  // In memory of that size alone, and within more.
  std::vector<T> within(size_of_dst + 64, static_cast<T>(0x5a));
  std::vector<T> expected_within = within;
  Transpose(src.data(), rows, columns, src_stride, dst.data(), dst_stride);
  ASSERT_EQ(dst, expected) << rows << " x " << columns;
  reference::Transpose(src.data(), rows, columns, src_stride,
                       expected_within.data() + 32, dst_stride);
  Transpose(src.data(), rows, columns, src_stride, within.data() + 32,
            dst_stride);
  ASSERT_EQ(within, expected_within) << rows << " x " << columns;
}

TEST(Transpose, OnEveryTarget) {
  TestRandom random;
  for (const std::string& target : SupportedTargetNames()) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(ForceTargetForTest(target));
    for (int i = 0; i < 500 && !testing::Test::HasFatalFailure(); ++i) {
      ExpectThePlainForm<uint8_t>(&random);
      ExpectThePlainForm<uint16_t>(&random);
      ExpectThePlainForm<float>(&random);
    }
  }
  ClearForcedTargetForTest();
}

// A float is moved as its bits are.
TEST(Transpose, KeepsTheBitsOfFloats) {
  const uint32_t bits[] = {0x7f800001, 0xffc00000, 1, 0x80000000};
  float src[64], dst[64];
  for (int i = 0; i < 64; ++i) std::memcpy(&src[i], &bits[i % 4], 4);
  for (const std::string& target : SupportedTargetNames()) {
    ASSERT_TRUE(ForceTargetForTest(target));
    Transpose(src, 4, 16, 16, dst, 4);
    for (int i = 0; i < 64; ++i) {
      EXPECT_EQ(std::memcmp(&dst[i], &src[i % 4 * 16 + i / 4], 4), 0) << i;
    }
  }
  ClearForcedTargetForTest();
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
