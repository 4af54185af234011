// Computes exact products of integer matrices by oneDNN:
//
//   c[m][n] = sum over k of a[m][k] * w[k][n]
//
// a is u8 [M, K], w is s8 [K, N], c is [M, N]. kernels/output_stage.h turns the
// sums into codes or floats; it needs column_sums() for a zero point of a.
// oneDNN could requantize in the same pass, but it adds the zero point before
// it rounds, where DNNLOWP rounds first: with an odd zero point a tie would go
// the other way.
//
// No sum of up to kMostSummed products leaves 32 bits. A matrix of a larger K
// is kept and multiplied in pieces of at most that many rows. Their sums are
// added up in doubles, which hold them exactly (255 * 128 * 2^31 < 2^53).
//
// Every instruction set gives the same sums. Without VNNI, oneDNN adds two
// products in 16 bits, saturating: 2 * 255 * 64 is still exact, so weights from
// -64 to 64 are used as they are, and others are split into two matrices, w =
// 2 * floor(w / 2) + (w mod 2), at twice the cost. With the cap `scalar` a
// plain loop computes the sums (matmul_reference.cc) and oneDNN is not called.
//
// Memory: a matrix is packed once, in the form that oneDNN prefers for its K
// and N; that does not depend on M. What oneDNN makes for one M, K, N and
// number of threads (a plan) is kept for the next time. A process keeps
// kMostPlans plans and drops the least recently used one first.
//
// Thread rule: any thread; several threads may use one matrix at once. A
// product runs on the threads of parallel.h.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_MATMUL_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_MATMUL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "quantization/kernels/blocked_product.h"
#include "quantization/kernels/output_stage.h"

namespace caffe2_quantization {
namespace onednn {

// The number of plans that are kept at most.
inline constexpr int kMostPlans = 256;

// The largest K of a matrix in one piece: 65,536 * 255 * 128 < 2^31.
inline constexpr int64_t kMostSummed = 65536;

class PackedMatrix {
 public:
  // The order of src: [K, N], or [N, K] as for the weights of FC.
  enum class Order { kRowsOfK, kRowsOfN };

  // Errors: a size that is not positive or above 2^31 - 1; what oneDNN refuses.
  static Status Pack(const int8_t* src, int64_t k, int64_t n, Order order,
                     std::shared_ptr<const PackedMatrix>* packed);
  ~PackedMatrix();

  int64_t k() const { return k_; }
  int64_t n() const { return n_; }
  // Sum over k of w[k][n], for each n.
  const std::vector<int64_t>& column_sums() const { return column_sums_; }
  // Bytes of the packed form.
  std::size_t bytes() const;

  // Returns an error unless a product may have this many rows.
  static Status CheckRows(int64_t m);

  // c = a * w. a is row major [m, k()], c is [m, n()]; they do not overlap. If
  // m is 0, nothing is done. Errors: m negative or above 2^31 - 1; what oneDNN
  // refuses.
  Status Multiply(const uint8_t* a, int64_t m, int64_t* c) const;
  // The same in 32 bits, on `threads` threads; rows of a begin a_stride apart.
  // The rows are copied first if a_stride is not k(), since oneDNN has only a
  // slow plain loop for such rows. A k() above kMostSummed is an error too.
  Status Multiply(const uint8_t* a, int64_t m, int64_t a_stride, int threads,
                  int32_t* c) const;

  // The pieces of the matrix, from the first rows on, if k() is above
  // kMostSummed; else empty.
  const std::vector<std::shared_ptr<const PackedMatrix>>& pieces() const {
    return pieces_;
  }

  // Returns the packed form, if it is that of kernels/blocked_product.h and the
  // processor has that product; else its codes are null. Call it only for a
  // matrix without pieces.
  const kernels::BlockedWeights& blocks() const { return blocks_; }
  // Returns whether the matrix, or each of its pieces, has that form.
  bool has_blocks() const { return has_blocks_; }

  // What oneDNN multiplies with: "brg:avx512_core_vnni", "gemm:jit"; "scalar"
  // for the plain loop.
  Status ImplementationName(int64_t m, std::string* name) const;

 private:
  struct Packed;

  PackedMatrix(int64_t k, int64_t n, Order order);
  Status PackPieces(const int8_t* src);
  void SumColumns(const int8_t* src);
  // src with a K of packed_k_, which it sets.
  const int8_t* PadK(const int8_t* src, std::vector<int8_t>* padded);
  Status AddPart(const int8_t* src);
  void FindBlocks();

  const int64_t k_;
  int64_t packed_k_;  // K as oneDNN gets it, filled up by zeros
  const int64_t n_;
  const Order order_;
  std::vector<int64_t> column_sums_;
  std::vector<std::shared_ptr<const PackedMatrix>> pieces_;
  // Without pieces: oneDNN's form of w, or of floor(w / 2) and of w mod 2.
  std::vector<Packed> parts_;
  // With the cap `scalar`: w as it was, and no parts.
  std::vector<int8_t> plain_;
  kernels::BlockedWeights blocks_;
  bool has_blocks_ = false;
};

// dst = what `stage` makes of a * w. a is row major [m, w.k()], dst is
// [m, w.n()]; they do not overlap, but dst may be stage.addend. Precondition:
// without stage.wide_offsets, what the stage makes of a sum fits into 32 bits
// (column_offsets.h decides). Threads: a share of the process's threads
// (thread_share.h), or one for a small product. Errors: those of Multiply;
// stage.columns other than w.n().
//
// With VNNI and without AMX the product is that of kernels/blocked_product.h,
// on oneDNN's packed form: its sums are read while they are in the first cache
// level, and few rows take less time. With AMX it is too for a K of up to 32,
// which fills half of AMX's tiles at most. Else it is oneDNN's, in chunks of
// rows whose sums stay in the second level.
Status MultiplyToCodes(const PackedMatrix& w, const uint8_t* a, int64_t m,
                       const kernels::OutputStage& stage, uint8_t* dst);
Status MultiplyToFloats(const PackedMatrix& w, const uint8_t* a, int64_t m,
                        const kernels::OutputStage& stage, float* dst);

// The same on the calling thread alone, for those who have divided the work.
// Rows of dst begin dst_stride apart. Only the first `summed` values of each
// row of a count; the weights for the others are 0.
Status MultiplyRowsToCodes(const PackedMatrix& w, const uint8_t* a, int64_t m,
                           int64_t summed, const kernels::OutputStage& stage,
                           uint8_t* dst, int64_t dst_stride);
Status MultiplyRowsToFloats(const PackedMatrix& w, const uint8_t* a, int64_t m,
                            int64_t summed, const kernels::OutputStage& stage,
                            float* dst, int64_t dst_stride);

// The number of plans that are kept now.
std::size_t NumPlans();

namespace reference {
// The plain form that defines the result, for w [k, n] or [n, k]. Rows of a
// begin a_stride apart; k is that of one piece, at most kMostSummed.
void Multiply(const uint8_t* a, const int8_t* w, int64_t m, int64_t k,
              int64_t a_stride, int64_t n, PackedMatrix::Order order,
              int32_t* c);
}  // namespace reference

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_MATMUL_H_
