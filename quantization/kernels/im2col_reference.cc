#include <algorithm>

#include "quantization/kernels/im2col.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

void Im2Col(const Windows& windows, const uint8_t* image, uint8_t fill,
            int64_t first, int64_t rows, uint8_t* dst, int64_t dst_stride) {
  const auto& output = windows.output;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t pixel = first + r;
    const std::array<int64_t, 3> at = {pixel / (output[1] * output[2]),
                                       pixel / output[2] % output[1],
                                       pixel % output[2]};
    uint8_t* to = dst + r * dst_stride;
    for (int64_t tap = 0; tap < windows.taps(); ++tap) {
      const std::array<int64_t, 3> offset = {
          tap / (windows.kernel[1] * windows.kernel[2]),
          tap / windows.kernel[2] % windows.kernel[1], tap % windows.kernel[2]};
      int64_t from = 0;
      bool inside = true;
      for (int i = 0; i < 3; ++i) {
        const int64_t place = at[i] * windows.stride[i] +
                              offset[i] * windows.dilation[i] - windows.pad[i];
        inside = inside && place >= 0 && place < windows.input[i];
        from = from * windows.input[i] + place;
      }
      if (inside) {
        std::copy_n(image + from * windows.pixel_stride, windows.channels, to);
      } else {
        std::fill_n(to, windows.channels, fill);
      }
      to += windows.channels;
    }
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
