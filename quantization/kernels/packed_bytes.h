// Kernels that convert bytes to protobuf varints and back, the form in which
// the `data` field of a QTensorProto carries its bit planes.
//
// A byte v below 128 is one wire byte, v. A byte of 128 or more is two: v, then
// 1 (the low seven bits with the continuation flag set happen to be v itself).
// So encoding inserts a 1 after every byte that has its top bit set, and
// decoding removes it again. Every protobuf writer emits that shortest form,
// and the SIMD forms are fast at it. A reader must accept longer forms too
// (0x81 0x80 0x00 is 1); they go through the plain reference.
//
// Bounds: nothing is read outside [src, src + n) or written outside
// [dst, dst + size).
// Aliasing and alignment: src and dst must not overlap; no alignment is needed.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_PACKED_BYTES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_PACKED_BYTES_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// Returns the number of wire bytes that EncodePackedBytes() makes of src: n
// plus the number of bytes of 128 or more.
std::size_t PackedBytesSize(const uint8_t* src, std::size_t n);

// Writes the wire form of src[0, n) to dst, which has room for exactly
// PackedBytesSize(src, n) bytes. Returns that number.
std::size_t EncodePackedBytes(const uint8_t* src, std::size_t n, uint8_t* dst);

enum class PackedBytesOutcome {
  kOk,          // src ended after a whole varint
  kTruncated,   // src ended inside a varint
  kOverlong,    // a varint of more than ten bytes
  kOutOfRange,  // an int32 outside 0..255, told in PackedBytesResult::value
  kTooMany,     // dst is full and src is not at its end
};

struct PackedBytesResult {
  // Wire bytes read and values written before the end or the varint at fault:
  // `consumed` is its offset and `produced` its index.
  std::size_t consumed = 0;
  std::size_t produced = 0;
  PackedBytesOutcome outcome = PackedBytesOutcome::kOk;
  int32_t value = 0;
};

// Reads varints from src[0, src_size) into dst, which holds dst_capacity bytes.
// A varint may have up to ten bytes and is cut to its low 32 bits, as protobuf
// does for an int32 field. Bytes of dst from `produced` on are unspecified
// afterwards.
PackedBytesResult DecodePackedBytes(const uint8_t* src, std::size_t src_size,
                                    uint8_t* dst, std::size_t dst_capacity);

// dst[i] = src[i] for i < n. Returns n, or the index of the first value outside
// 0..255; bytes of dst from that index on are then unspecified.
std::size_t NarrowInt32ToBytes(const int32_t* src, std::size_t n, uint8_t* dst);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
std::size_t PackedBytesSize(const uint8_t* src, std::size_t n);
std::size_t EncodePackedBytes(const uint8_t* src, std::size_t n, uint8_t* dst);
PackedBytesResult DecodePackedBytes(const uint8_t* src, std::size_t src_size,
                                    uint8_t* dst, std::size_t dst_capacity);
std::size_t NarrowInt32ToBytes(const int32_t* src, std::size_t n, uint8_t* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_PACKED_BYTES_H_
