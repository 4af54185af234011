// Sums rows of bytes: a zero point of the weights is multiplied by these sums.
//
// Aliasing and alignment: a and row_sums must not overlap; no alignment is
// needed. Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ROW_SUMS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ROW_SUMS_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// row_sums[r] = sum of a[r * stride] to a[r * stride + k - 1]. Precondition: it
// fits into 32 bits, as the sum of 2^23 codes does.
void RowSums(const uint8_t* a, int64_t rows, int64_t k, int64_t stride,
             int32_t* row_sums);

// The plain form that defines the results; also what the cap `scalar` runs.
namespace reference {
void RowSums(const uint8_t* a, int64_t rows, int64_t k, int64_t stride,
             int32_t* row_sums);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ROW_SUMS_H_
