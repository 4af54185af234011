// Multiplies two tensors of codes of 8 bits, each with its own scale and zero
// point, to codes:
//
//   value  = a_scale * b_scale * (a[i] - a_zero_point) * (b[i] - b_zero_point)
//            / scale
//   dst[i] = RoundedCode(value, range)                        (rounded_code.h)
//
// In double the product of both scales is exact, and that of both differences;
// the product of these two is rounded once, and so is the quotient. A value
// half way between two integers is exact.
//
// Every target gives the same bits. dst may be a or b; else they do not
// overlap. No alignment is needed. Thread rule: pure functions; call from any
// thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MULTIPLY_CODES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MULTIPLY_CODES_H_

#include <cstdint>

#include "quantization/kernels/add_codes.h"
#include "quantization/kernels/requantize.h"

namespace caffe2_quantization {
namespace kernels {

// A product's parameters, in the form that MultiplyCodes takes: made once, for
// any number of calls. Preconditions: scales are from 2^-126 to 2^126, zero
// points within the codes; range as in rounded_code.h.
struct CodeProduct {
  CodeProduct(const CodeScale& a, const CodeScale& b, float scale,
              const CodeRange& range);

  CodeScale a, b;
  float scale;
  CodeRange range;
  // The form of the vectors: multiplier times the product of both differences,
  // in float, which is off by `slack` at most.
  float multiplier;
  double slack;
};

// Computes dst[0] to dst[count - 1].
void MultiplyCodes(const CodeProduct& product, const uint8_t* a,
                   const uint8_t* b, int64_t count, uint8_t* dst);

// The plain form that defines the results; also what the cap `scalar` runs.
namespace reference {
void MultiplyCodes(const CodeProduct& product, const uint8_t* a,
                   const uint8_t* b, int64_t count, uint8_t* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MULTIPLY_CODES_H_
