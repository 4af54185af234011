// The plain forms of code_moments.h.
#include <algorithm>

#include "quantization/kernels/code_moments.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

CodeMoments RunMoments(const uint8_t* src, int64_t count) {
  CodeMoments moments;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t code = src[i];
    moments.sum += code;
    moments.squares += code * code;
  }
  return moments;
}

void ColumnMoments(const uint8_t* src, int64_t rows, int64_t columns,
                   int64_t stride, CodeMoments* moments) {
  std::fill_n(moments, columns, CodeMoments());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t code = src[r * stride + c];
      moments[c].sum += code;
      moments[c].squares += code * code;
    }
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
