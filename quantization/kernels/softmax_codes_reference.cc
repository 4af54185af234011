#include <algorithm>
#include <cmath>

#include "quantization/kernels/rounded_code.h"
#include "quantization/kernels/softmax_codes.h"

namespace caffe2_quantization {
namespace kernels {

void MakeSoftmaxTerms(float scale, double* terms) {
  for (int d = 0; d < 256; ++d) terms[255 - d] = std::exp(-double{scale} * d);
  std::fill(terms + 256, terms + kSoftmaxTerms, 0);
}

namespace reference {

void SoftmaxCodes(const uint8_t* x, int64_t count, const double* terms,
                  float y_scale, const CodeRange& range, uint8_t* y) {
  // Those of codes.
  const double* const t = terms + 255 - *std::max_element(x, x + count);
  double s[8] = {};
  if (count < kCountedRow) {
    for (int64_t i = 0; i < count; ++i) s[i % 8] += t[x[i]];
  } else {
    int64_t counts[256] = {};
    for (int64_t i = 0; i < count; ++i) ++counts[x[i]];
    for (int code = 0; code < 256; ++code) {
      s[code % 8] += static_cast<double>(counts[code]) * t[code];
    }
  }
  const double sum =
      ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  const double factor = 1 / (double{y_scale} * sum);
  for (int64_t i = 0; i < count; ++i) {
    y[i] = static_cast<uint8_t>(RoundedCode(t[x[i]] * factor, range));
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
