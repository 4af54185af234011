// Shuffle tables of the packed byte kernels, for targets that have a byte
// shuffle and no byte compress.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_PACKED_BYTES_TABLES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_PACKED_BYTES_TABLES_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// expand[m]: for eight bytes, where bit i of m says that byte i is 128 or more,
// the order that puts byte 8 (a 1) after each such byte. keep[m]: the order
// that moves the bytes whose bit is set in m to the front.
struct PackedBytesTables {
  alignas(64) uint8_t expand[256][16];
  alignas(64) uint8_t keep[256][8];
};

constexpr PackedBytesTables MakePackedBytesTables() {
  PackedBytesTables tables{};
  for (std::size_t mask = 0; mask < 256; ++mask) {
    std::size_t wide = 0;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < 8; ++i) {
      const bool set = ((mask >> i) & 1) != 0;
      tables.expand[mask][wide++] = static_cast<uint8_t>(i);
      if (set) tables.expand[mask][wide++] = 8;
      if (set) tables.keep[mask][kept++] = static_cast<uint8_t>(i);
    }
  }
  return tables;
}

inline constexpr PackedBytesTables kPackedBytesTables = MakePackedBytesTables();

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_PACKED_BYTES_TABLES_H_
