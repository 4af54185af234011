// Computes the product of two integer matrices from their bit planes.
//
// C[i][j] = sum over k of A[i][k] * B[j][k], from the planes of the two integer
// matrices in two's complement:
//   sum over planes p, q of  w(p) * w(q) * popcount(A_p[i] & B_q[j])
// where w(p) = 2^p, but -2^p for the last plane of a signed operand. A signed
// format of `precision` bits therefore needs precision + 1 planes, with no
// plane of signs. Sums are exact modulo 2^32: right whenever C fits an int32.
//
// Every target gives the same bits.
// Aliasing and alignment: no array overlaps another; no alignment is needed.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BIT_MATMUL_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BIT_MATMUL_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// The second operand, B, is regrouped into panels of kBitPanelColumns rows
// each, in which the words of those rows alternate:
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

// A: `rows` rows of row_bytes bytes each in every plane. Plane p starts at
// data + p * plane_bytes, so a block of rows of a larger matrix is such a
// matrix too.
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
void PackBitPanels(const uint8_t* rows, std::size_t n, std::size_t row_bytes,
                   int planes, uint32_t* panels);
void BitPlaneMatMul(const BitRows& a, const BitPanels& b, std::size_t row_bytes,
                    int32_t* c, std::size_t ldc);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BIT_MATMUL_H_
