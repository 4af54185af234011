#include "quantization/kernels/transpose.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

void TransposeBytes(const uint8_t* src, int64_t rows, int64_t columns,
                    int64_t src_stride, uint8_t* dst, int64_t dst_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      dst[c * dst_stride + r] = src[r * src_stride + c];
    }
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
