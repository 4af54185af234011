// Writes the windows of a convolution as rows of a matrix of bytes (im2col).
//
// The image is [depth, height, width] pixels of `channels` bytes each, with
// pixel_stride bytes from one pixel to the next. Output pixels are counted in
// their own order; row r of dst is the window of output pixel first + r:
//
//   dst[r * dst_stride + ((kd * KH + kh) * KW + kw) * channels + c]
//     = image[(z * H + y) * W + x][c],
//       z = od * stride[0] + kd * dilation[0] - pad[0], y and x alike,
//
// and `fill` where z, y or x is outside the image. The bytes between a row's
// end and the next row, and kIm2ColSlack bytes after the last row, may be
// overwritten with anything: dst must have room for them.
//
// Preconditions: every size, stride and dilation at least 1, pad at least 0,
// dst_stride at least the row's length; src and dst do not overlap. No
// alignment is needed. Thread rule: pure functions; any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_IM2COL_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_IM2COL_H_

#include <array>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// Three spatial dimensions: depth, height, width; those that a convolution
// lacks come first and are 1, with padding 0.
struct Windows {
  std::array<int64_t, 3> input, output, kernel, stride, dilation, pad;
  int64_t channels;
  int64_t pixel_stride;

  int64_t pixels() const { return output[0] * output[1] * output[2]; }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
};

inline constexpr int64_t kIm2ColSlack = 64;

void Im2Col(const Windows& windows, const uint8_t* image, uint8_t fill,
            int64_t first, int64_t rows, uint8_t* dst, int64_t dst_stride);

// The plain form that defines the result; also what the cap `scalar` runs.
namespace reference {
void Im2Col(const Windows& windows, const uint8_t* image, uint8_t fill,
            int64_t first, int64_t rows, uint8_t* dst, int64_t dst_stride);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_IM2COL_H_
