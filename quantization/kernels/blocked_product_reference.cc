// The plain scalar form of the blocked product.
#include "quantization/kernels/blocked_product.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

void BlockedProduct(const uint8_t* a, int64_t rows, int64_t a_stride,
                    const BlockedWeights& weights, int64_t block,
                    int64_t columns, int32_t* sums, int64_t sums_stride) {
  columns = (columns + kSumsMultiple - 1) / kSumsMultiple * kSumsMultiple;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < columns; ++n) {
      const int8_t* const w =
          weights.codes + (block + n / kBlockOutputs) * weights.block_bytes;
      uint32_t sum = 0;
      for (int64_t k = 0; k < weights.k; ++k) {
        const int64_t place =
            (k / 4 * kBlockOutputs + n % kBlockOutputs) * 4 + k % 4;
        sum += static_cast<uint32_t>(a[r * a_stride + k] * w[place]);
      }
      sums[r * sums_stride + n] = static_cast<int32_t>(sum);
    }
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
