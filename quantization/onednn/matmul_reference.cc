#include "quantization/onednn/matmul.h"

namespace caffe2_quantization {
namespace onednn {
namespace reference {

void Multiply(const uint8_t* a, const int8_t* w, int64_t m, int64_t k,
              int64_t a_stride, int64_t n, PackedMatrix::Order order,
              int32_t* c) {
  const bool rows_of_k = order == PackedMatrix::Order::kRowsOfK;
  const int64_t k_stride = rows_of_k ? n : 1;
  const int64_t n_stride = rows_of_k ? 1 : k;
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      int32_t sum = 0;
      for (int64_t l = 0; l < k; ++l) {
        sum += a[i * a_stride + l] * w[l * k_stride + j * n_stride];
      }
      c[i * n + j] = sum;
    }
  }
}

}  // namespace reference
}  // namespace onednn
}  // namespace caffe2_quantization
