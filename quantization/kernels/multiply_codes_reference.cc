// The plain forms of multiply_codes.h.
#include "quantization/kernels/multiply_codes.h"
#include "quantization/kernels/rounded_code.h"

namespace caffe2_quantization {
namespace kernels {

CodeProduct::CodeProduct(const CodeScale& a, const CodeScale& b, float scale,
                         const CodeRange& range)
    : a(a), b(b), scale(scale), range(range) {
  const double scales = double{a.scale} * b.scale;
  const double quotient = scales / scale;
  constexpr double kLargest = 255 * 255;
  multiplier = static_cast<float>(quotient);
  slack = SumSlack(&quotient, &kLargest, 1, IsExactQuotient(scales, scale));
}

namespace reference {

void MultiplyCodes(const CodeProduct& product, const uint8_t* a,
                   const uint8_t* b, int64_t count, uint8_t* dst) {
  const double scales = double{product.a.scale} * product.b.scale;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t integer = (int32_t{a[i]} - product.a.zero_point) *
                            (int32_t{b[i]} - product.b.zero_point);
    dst[i] = static_cast<uint8_t>(
        RoundedCode(scales * integer / double{product.scale}, product.range));
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
