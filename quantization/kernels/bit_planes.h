// Kernels for bit planes: the layout of a QTensor, and products of bit
// matrices.
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

// ---- Matrix product on bit planes -------------------------------------------
//
// C[i][j] = sum over k of A[i][k] * B[j][k], from the planes of the two integer
// matrices in two's complement:
//   sum over planes p, q of  w(p) * w(q) * popcount(A_p[i] & B_q[j])
// where w(p) = 2^p, but -2^p for the last plane of a signed operand. A signed
// format of `precision` bits therefore needs precision + 1 planes, with no
// plane of signs. Sums are exact modulo 2^32: right whenever C fits an int32.

// Bytes of a row of `columns` bits: whole 32-bit words.
constexpr std::size_t BitRowBytes(std::size_t columns) {
  return (columns / 32 + (columns % 32 != 0 ? 1 : 0)) * 4;
}

// dst is [planes][rows][BitRowBytes(columns)]: bit `p` of the two's complement
// of src[row * columns + k] is bit k of the row in plane p, most significant
// bit first within a byte; pad bits are 0. planes 1..16.
void PackBitRows(const int32_t* src, std::size_t rows, std::size_t columns,
                 int planes, uint8_t* dst);

// The second operand is regrouped into panels of kBitPanelColumns rows each, in
// which the words of those rows alternate:
//   panels[plane][panel][word][row of panel].
inline constexpr std::size_t kBitPanelColumns = 16;

// 32-bit words of one plane of n rows in panels.
constexpr std::size_t BitPanelWords(std::size_t n, std::size_t row_bytes) {
  return (n + kBitPanelColumns - 1) / kBitPanelColumns * kBitPanelColumns *
         (row_bytes / 4);
}

// rows is [planes][n][row_bytes], as PackBitRows() writes it; panels has
// planes * BitPanelWords(n, row_bytes) words.
void PackBitPanels(const uint8_t* rows, std::size_t n, std::size_t row_bytes,
                   int planes, uint32_t* panels);

// A: `rows` rows of row_bytes bytes each in every plane; plane p starts at
// data + p * plane_bytes, so that a block of rows of a larger matrix is one
// too.
struct BitRows {
  const uint8_t* data = nullptr;
  std::size_t rows = 0;
  std::size_t plane_bytes = 0;
  int planes = 1;
  bool is_signed = false;
};

// B: `rows` rows in panels; plane q starts at data + q * plane_words.
struct BitPanels {
  const uint32_t* data = nullptr;
  std::size_t rows = 0;
  std::size_t plane_words = 0;
  int planes = 1;
  bool is_signed = false;
};

// c[i * ldc + j] = the product above, for i < a.rows, j < b.rows. Nothing else
// of c is touched. row_bytes is a multiple of 4, the same for both.
void BitPlaneMatMul(const BitRows& a, const BitPanels& b, std::size_t row_bytes,
                    int32_t* c, std::size_t ldc);

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
void PackBitPanels(const uint8_t* rows, std::size_t n, std::size_t row_bytes,
                   int planes, uint32_t* panels);
void BitPlaneMatMul(const BitRows& a, const BitPanels& b, std::size_t row_bytes,
                    int32_t* c, std::size_t ldc);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BIT_PLANES_H_
