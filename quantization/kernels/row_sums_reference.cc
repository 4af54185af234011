// Sums of rows of bytes, one at a time.
#include "quantization/kernels/row_sums.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

void RowSums(const uint8_t* a, int64_t rows, int64_t k, int64_t stride,
             int32_t* row_sums) {
  for (int64_t r = 0; r < rows; ++r) {
    uint32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += a[r * stride + i];
    row_sums[r] = static_cast<int32_t>(sum);
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
