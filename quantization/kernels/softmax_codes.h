// The softmax of a row of codes:
//
//   y[i] = RoundedCode(t(x[i]) / (y_scale * sum of t(x[k])))
//   t(c) = exp(-scale * (largest - c)), where largest is the row's largest code
//
// in doubles, by the rule of rounded_code.h. It depends on differences of codes
// alone, so that a table of the terms serves every row of a scale.
//
// The sum is of eight parts, by i mod 8; from kCountedRow values on the codes
// are counted, and the parts are of counts times terms, by the code mod 8. So
// its order depends on the row alone: every target gives the same bits. What
// divides is one number, 1 / (y_scale * sum).
//
// y may be x. Thread rule: pure functions; any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SOFTMAX_CODES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SOFTMAX_CODES_H_

#include <cstdint>

#include "quantization/kernels/requantize.h"

namespace caffe2_quantization {
namespace kernels {

// The terms of a scale: term[255 - d] = exp(-scale * d) for d from 0 to 255,
// and zeros behind it, which stand for codes above the largest.
inline constexpr int kSoftmaxTerms = 511;
void MakeSoftmaxTerms(float scale, double* terms);

inline constexpr int64_t kCountedRow = 64;

// Preconditions: 0 < count < 2^31; scale and y_scale are positive and finite.
void SoftmaxCodes(const uint8_t* x, int64_t count, const double* terms,
                  float y_scale, const CodeRange& range, uint8_t* y);

// The plain form that defines the result; also what the cap `scalar` runs.
namespace reference {
void SoftmaxCodes(const uint8_t* x, int64_t count, const double* terms,
                  float y_scale, const CodeRange& range, uint8_t* y);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SOFTMAX_CODES_H_
