// Looks bytes up in a table of 256: any function of one code.
//
//   dst[i] = table[src[i]]
//
// Every target gives the same bits. dst may be src; else they do not overlap.
// No alignment is needed. Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BYTE_TABLE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BYTE_TABLE_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// table: 256 bytes.
void LookUpBytes(const uint8_t* src, int64_t count, const uint8_t* table,
                 uint8_t* dst);

// The plain form that defines the results; also what the cap `scalar` runs.
namespace reference {
void LookUpBytes(const uint8_t* src, int64_t count, const uint8_t* table,
                 uint8_t* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BYTE_TABLE_H_
