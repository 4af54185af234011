#include "quantization/kernels/transpose.h"

#include <gtest/gtest.h>

#include <vector>

#include "quantization/kernels/isa.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

TEST(TransposeBytes, ThePlainFormIsTheEquation) {
  const std::vector<uint8_t> src = {1, 2, 3, 99, 4, 5, 6};
  std::vector<uint8_t> dst(8, 77);
  reference::TransposeBytes(src.data(), 2, 3, 4, dst.data(), 3);
  EXPECT_EQ(dst, (std::vector<uint8_t>{1, 4, 77, 2, 5, 77, 3, 6}));
}

TEST(TransposeBytes, OnEveryTarget) {
  TestRandom random;
  for (const std::string& target : SupportedTargetNames()) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(ForceTargetForTest(target));
    for (int i = 0; i < 300; ++i) {
      const int64_t rows = random.Integer(1, random.OneIn(2) ? 20 : 150);
      const int64_t columns = random.Integer(1, random.OneIn(2) ? 20 : 150);
      const int64_t src_stride = columns + random.Integer(0, 5);
      const int64_t dst_stride = rows + random.Integer(0, 5);
      // No byte more than there is.
      std::vector<uint8_t> src((rows - 1) * src_stride + columns);
      for (uint8_t& byte : src) byte = random.Byte();
      std::vector<uint8_t> dst((columns - 1) * dst_stride + rows, 0xa5);
      std::vector<uint8_t> expected = dst;
      reference::TransposeBytes(src.data(), rows, columns, src_stride,
                                expected.data(), dst_stride);
      TransposeBytes(src.data(), rows, columns, src_stride, dst.data(),
                     dst_stride);
      ASSERT_EQ(dst, expected) << rows << " x " << columns;
    }
  }
  ClearForcedTargetForTest();
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
