// Raises codes to at least a given code: a Relu, if that is their zero point.
//
//   dst[i] = max(src[i], least)
//
// Every target gives the same bits. dst may be src; else they do not overlap.
// No alignment is needed. Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MAX_CODES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MAX_CODES_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

void MaxCodes(const uint8_t* src, int64_t count, uint8_t least, uint8_t* dst);
void MaxCodes(const uint16_t* src, int64_t count, uint16_t least,
              uint16_t* dst);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
void MaxCodes(const uint8_t* src, int64_t count, uint8_t least, uint8_t* dst);
void MaxCodes(const uint16_t* src, int64_t count, uint16_t least,
              uint16_t* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MAX_CODES_H_
