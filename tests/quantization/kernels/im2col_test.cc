#include "quantization/kernels/im2col.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "quantization/kernels/isa.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

TEST(Im2Col, ThePlainFormIsTheEquation) {
  Windows windows;
  windows.input = {1, 2, 3};
  windows.kernel = {1, 2, 2};
  windows.stride = {1, 1, 2};
  windows.dilation = {1, 1, 1};
  windows.pad = {0, 0, 1};
  windows.output = {1, 1, 2};
  windows.channels = 1;
  windows.pixel_stride = 2;
  const std::vector<uint8_t> image = {1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0};
  std::vector<uint8_t> dst(8);
  reference::Im2Col(windows, image.data(), 9, 0, 2, dst.data(), 4);
  EXPECT_EQ(dst, (std::vector<uint8_t>{9, 1, 9, 4, 2, 3, 5, 6}));
}

TEST(Im2Col, OnEveryTarget) {
  TestRandom random;
  for (const std::string& target : SupportedTargetNames()) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(ForceTargetForTest(target));
    for (int i = 0; i < 300; ++i) {
      Windows windows;
      for (int d = 0; d < 3; ++d) {
        windows.kernel[d] = random.Integer(1, 4);
        windows.stride[d] = random.Integer(1, 3);
        windows.dilation[d] = random.OneIn(2) ? 1 : random.Integer(1, 3);
        windows.pad[d] = random.OneIn(2) ? 0 : random.Integer(0, 3);
        const int64_t window =
            windows.dilation[d] * (windows.kernel[d] - 1) + 1;
        windows.input[d] = random.Integer(1, 9);
        const int64_t padded =
            std::max(window, windows.input[d] + windows.pad[d] +
                                 random.Integer(0, windows.pad[d]));
        windows.output[d] = (padded - window) / windows.stride[d] + 1;
      }
      windows.channels = random.Integer(1, random.OneIn(2) ? 4 : 80);
      windows.pixel_stride =
          windows.channels + (random.OneIn(2) ? 0 : random.Integer(0, 20));
      // No byte more than there is.
      std::vector<uint8_t> image(
          (windows.input[0] * windows.input[1] * windows.input[2] - 1) *
              windows.pixel_stride +
          windows.channels);
      for (uint8_t& byte : image) byte = random.Byte();
      const uint8_t fill = random.Byte();
      const int64_t first = random.Integer(0, windows.pixels() - 1);
      const int64_t rows = random.Integer(1, windows.pixels() - first);
      const int64_t length = windows.taps() * windows.channels;
      const int64_t stride = length + random.Integer(0, 5);
      std::vector<uint8_t> dst(rows * stride + kIm2ColSlack);
      std::vector<uint8_t> expected = dst;
      reference::Im2Col(windows, image.data(), fill, first, rows,
                        expected.data(), stride);
      Im2Col(windows, image.data(), fill, first, rows, dst.data(), stride);
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_TRUE(std::equal(dst.begin() + r * stride,
                               dst.begin() + r * stride + length,
                               expected.begin() + r * stride))
            << "row " << r << " of " << rows << ", length " << length;
      }
    }
  }
  ClearForcedTargetForTest();
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
