// Kernels that pack and unpack bit planes, the layout of a QTensor.
// bit_matmul.h multiplies them.
//
// Layout. Plane b of n integers is BitPlaneBytes(n) bytes that hold bit b of
// every magnitude; integer i sits in byte i / 8, most significant bit first
// (mask 0x80 >> i % 8). Planes 0 .. precision - 1 follow each other, then, for
// signed tensors, one plane of signs (1: negative). For example the unsigned
// 2-bit integers {1, 2, 3} are the two bytes 0b10100000 0b01100000.
// Bits past n are written as 0 and ignored when read.
//
// Values. An integer x stands for scale * (x + bias), computed in double and
// rounded once to float. Its inverse rounds v / scale - bias, computed in
// double, half to even, and saturates at the limits of the precision.
//
// Every target gives the same bits.
// Aliasing and alignment: src and dst must not overlap; no alignment is needed.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BIT_PLANES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BIT_PLANES_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// Bytes of one plane of n integers.
constexpr std::size_t BitPlaneBytes(std::size_t n) {
  return n / 8 + (n % 8 != 0 ? 1 : 0);
}

// How many bits of magnitude an integer has, and whether a plane of signs
// follows them.
struct BitPlaneFormat {
  int precision = 8;
  bool is_signed = false;

  int planes() const { return precision + (is_signed ? 1 : 0); }
};

// The largest integer of a format (its negative is the smallest of a signed
// one; an unsigned one starts at 0). precision 1..31.
constexpr int32_t LargestOf(BitPlaneFormat format) {
  return static_cast<int32_t>((uint32_t{1} << format.precision) - 1);
}

// How a float tensor of [outer, channels, inner] elements, row major, takes its
// parameters: channel c uses scales[c] and biases[c]. One channel is a tensor
// with one pair of parameters.
struct ChannelParams {
  std::size_t outer = 1;
  std::size_t channels = 1;
  std::size_t inner = 0;
  const double* scales = nullptr;
  const double* biases = nullptr;

  std::size_t size() const { return outer * channels * inner; }
};

// Integers to planes. precision 1..31; |src[i]| <= LargestOf(format), and none
// is negative in an unsigned format (else the low bits are stored).
// dst: format.planes() * BitPlaneBytes(n) bytes.
void PackBitPlanes(const int32_t* src, std::size_t n, BitPlaneFormat format,
                   uint8_t* dst);

// Planes to integers. precision 1..31 and 1..63.
void UnpackBitPlanes(const uint8_t* src, std::size_t n, BitPlaneFormat format,
                     int32_t* dst);
void UnpackBitPlanes(const uint8_t* src, std::size_t n, BitPlaneFormat format,
                     int64_t* dst);

// Planes to floats: dst[i] = float(scale * (x + bias)). precision 1..64; a
// magnitude of more than 53 bits is rounded to double first.
void DequantizeBitPlanes(const uint8_t* src, BitPlaneFormat format,
                         const ChannelParams& params, float* dst);
void DequantizeBitPlanes(const uint8_t* src, std::size_t n,
                         BitPlaneFormat format, double scale, double bias,
                         float* dst);

// Floats to integers within [low, high], and to planes (precision 1..16).
// Infinity saturates. NaN has no integer: the caller checks for it first.
void QuantizeToIntegers(const float* src, std::size_t n, double scale,
                        double bias, int32_t low, int32_t high, int32_t* dst);
void QuantizeToBitPlanes(const float* src, BitPlaneFormat format,
                         const ChannelParams& params, uint8_t* dst);
void QuantizeToBitPlanes(const float* src, std::size_t n, BitPlaneFormat format,
                         double scale, double bias, uint8_t* dst);

// ---- Rows of bits, which bit_matmul.h multiplies ----------------------------

// Bytes of a row of `columns` bits: whole 32-bit words.
constexpr std::size_t BitRowBytes(std::size_t columns) {
  return (columns / 32 + (columns % 32 != 0 ? 1 : 0)) * 4;
}

// dst is [planes][rows][BitRowBytes(columns)]: bit `p` of the two's complement
// of src[row * columns + k] is bit k of the row in plane p, most significant
// bit first within a byte; pad bits are 0. planes 1..16.
void PackBitRows(const int32_t* src, std::size_t rows, std::size_t columns,
                 int planes, uint8_t* dst);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
void PackBitPlanes(const int32_t* src, std::size_t n, BitPlaneFormat format,
                   uint8_t* dst);
void UnpackBitPlanes(const uint8_t* src, std::size_t n, BitPlaneFormat format,
                     int32_t* dst);
void UnpackBitPlanes(const uint8_t* src, std::size_t n, BitPlaneFormat format,
                     int64_t* dst);
void DequantizeBitPlanes(const uint8_t* src, BitPlaneFormat format,
                         const ChannelParams& params, float* dst);
void QuantizeToIntegers(const float* src, std::size_t n, double scale,
                        double bias, int32_t low, int32_t high, int32_t* dst);
void QuantizeToBitPlanes(const float* src, BitPlaneFormat format,
                         const ChannelParams& params, uint8_t* dst);
void PackBitRows(const int32_t* src, std::size_t rows, std::size_t columns,
                 int planes, uint8_t* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BIT_PLANES_H_
