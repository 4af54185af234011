// Transposes matrices of bytes, words of 16 bits and floats, which turns NCHW
// into NHWC and back.
//
//   dst[c * dst_stride + r] = src[r * src_stride + c]
//
// for r < rows and c < columns. Strides are in values; nothing between a row's
// end and the next row is read or written. src and dst must not overlap; no
// alignment is needed. T: uint8_t, uint16_t, float, whose bits are copied.
// Fastest without gaps, also for few rows (three channels first) or columns
// (three channels last). Thread rule: pure functions; any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_TRANSPOSE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_TRANSPOSE_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

template <typename T>
void Transpose(const T* src, int64_t rows, int64_t columns, int64_t src_stride,
               T* dst, int64_t dst_stride);

// The plain form that defines the result; also what the cap `scalar` runs.
namespace reference {
template <typename T>
void Transpose(const T* src, int64_t rows, int64_t columns, int64_t src_stride,
               T* dst, int64_t dst_stride);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_TRANSPOSE_H_
