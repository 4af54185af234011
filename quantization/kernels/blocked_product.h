// Computes products of rows of u8 codes with s8 weights that are stored in
// blocks, as oneDNN packs them for VNNI:
//
//   sums[r][n] = sum over k of a[r][k] * w[k][n]      in 32 bits
//
// Block b holds outputs 64 b to 64 b + 63: for every four values of k, the four
// codes of each of the 64 outputs. K is padded with zeros to a multiple of 4, N
// to a multiple of 64.
//
// The fast form uses intrinsics, because Highway 1.0 has no such multiply-add.
// Times beside oneDNN's product of the same operands, on one thread of a Zen 5,
// K = N = 256: 0.22 us instead of 0.58 for one row, 0.53 (0.80) for 4, 8.5
// (8.7) for 64; 1024: 7.8 (9.0), 9.2 (10.6), 138 (139).
//
// Preconditions: sums fit into 32 bits, as they do for K up to 65,793; a and
// sums do not overlap; no alignment is needed. Thread rule: pure functions; any
// thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BLOCKED_PRODUCT_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BLOCKED_PRODUCT_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// The number of outputs in a block.
inline constexpr int64_t kBlockOutputs = 64;
// Sums are written in groups of this many columns.
inline constexpr int64_t kSumsMultiple = 16;

// Weights that the caller holds.
struct BlockedWeights {
  const int8_t* codes = nullptr;
  int64_t block_bytes = 0;  // from one block to the next
  int64_t k = 0;
};

// Returns whether the processor, within the cap, has VNNI with 512 bits.
bool HasVnniProduct();

// Computes the sums of `columns` outputs from kBlockOutputs * block on. It
// writes `columns` rounded up to kSumsMultiple, which sums_stride must hold.
// rows and columns are positive; strides are in elements, from row to row.
// Precondition: HasVnniProduct().
void BlockedProduct(const uint8_t* a, int64_t rows, int64_t a_stride,
                    const BlockedWeights& weights, int64_t block,
                    int64_t columns, int32_t* sums, int64_t sums_stride);

// The plain form that defines the result; it has no precondition.
namespace reference {
void BlockedProduct(const uint8_t* a, int64_t rows, int64_t a_stride,
                    const BlockedWeights& weights, int64_t block,
                    int64_t columns, int32_t* sums, int64_t sums_stride);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BLOCKED_PRODUCT_H_
