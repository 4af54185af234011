#include "quantization/kernels/transpose.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

template <typename T>
void Transpose(const T* src, int64_t rows, int64_t columns, int64_t src_stride,
               T* dst, int64_t dst_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      dst[c * dst_stride + r] = src[r * src_stride + c];
    }
  }
}

#define TRANSPOSE_REFERENCE(T) \
  template void Transpose(const T*, int64_t, int64_t, int64_t, T*, int64_t);
TRANSPOSE_REFERENCE(uint8_t)
TRANSPOSE_REFERENCE(uint16_t)
TRANSPOSE_REFERENCE(float)
#undef TRANSPOSE_REFERENCE

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
