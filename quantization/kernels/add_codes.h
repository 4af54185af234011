// Adds tensors of codes, each with its own scale and zero point, to codes:
//
//   value  = sum over k of scale_k * (src_k[i] - zero_point_k), / scale
//   dst[i] = RoundedCode(value, range)                        (rounded_code.h)
//
// Each product is exact in double. They are added in double, from the first on,
// which is exact for two addends unless their scales lie more than 2^20 apart,
// 2^12 for codes of 16 bits. The quotient is rounded once.
//
// Every target gives the same bits. dst may be any of the sources; else they do
// not overlap. No alignment is needed. Thread rule: pure functions; call from
// any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ADD_CODES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ADD_CODES_H_

#include <cstdint>
#include <vector>

#include "quantization/kernels/requantize.h"

namespace caffe2_quantization {
namespace kernels {

// The parameters of one tensor of codes.
struct CodeScale {
  float scale;
  int32_t zero_point;
};

// A sum's parameters, in the form that AddCodes takes: made once, for any
// number of calls. Preconditions: one addend or more; scales are from 2^-126 to
// 2^126, zero points within the codes; range as in rounded_code.h.
struct CodeSum {
  // T holds the codes of the addends.
  template <typename T>
  static CodeSum Of(std::vector<CodeScale> addends, float scale,
                    const CodeRange& range);

  std::vector<CodeScale> addends;
  float scale;
  CodeRange range;
  // The form of the vectors: offset + the sum of multipliers[k] * src_k[i], in
  // float, which is off by `slack` at most.
  std::vector<float> multipliers;
  float offset;
  double slack;
};

// Writes sums first to first + count of the sources to dst[0] to dst[count -
// 1]. src has a pointer for each addend. T: uint8_t, uint16_t.
template <typename T>
void AddCodes(const CodeSum& sum, const T* const* src, int64_t first,
              int64_t count, T* dst);

// The plain form that defines the results; also what the cap `scalar` runs.
namespace reference {
template <typename T>
void AddCodes(const CodeSum& sum, const T* const* src, int64_t first,
              int64_t count, T* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_ADD_CODES_H_
