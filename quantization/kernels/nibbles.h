// Packs codes of 4 bits from one per byte to two per byte, and unpacks them.
//
// Packed: code 2 i is in the low half of byte i, code 2 i + 1 in the high half;
// after an odd number of codes the last high half is 0. Signed codes are two's
// complement of 4 bits.
//
// src and dst must not overlap; no alignment is needed.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_NIBBLES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_NIBBLES_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// Writes (count + 1) / 2 bytes: the low 4 bits of each of count bytes.
void PackNibbles(const uint8_t* src, std::size_t count, uint8_t* dst);

// Writes count bytes, with the sign extended if is_signed; reads
// (count + 1) / 2.
void UnpackNibbles(const uint8_t* src, std::size_t count, bool is_signed,
                   uint8_t* dst);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
void PackNibbles(const uint8_t* src, std::size_t count, uint8_t* dst);
void UnpackNibbles(const uint8_t* src, std::size_t count, bool is_signed,
                   uint8_t* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_NIBBLES_H_
