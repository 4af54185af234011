// Computes what the zero point of activations and a bias add to sums of
// products, and how wide a sum can become with them.
//
//   acc[n]    = sum over k of (a[k] - x_zp) * (w[k][n] - w_zp[n]) + bias[n]
//             = sum over k of a[k] * w[k][n] - w_zp[n] * (sum over k of a[k])
//               + offset[n]
//   offset[n] = bias[n] - x_zp * (column_sum[n] - K * w_zp[n])
//
// With codes a of 0 to 255 and w of -128 to 127
//
//   |acc[n]| <= K * max(x_zp, 255 - x_zp) * max(128 + w_zp[n], 127 - w_zp[n])
//               + |bias[n]|
//
// If that fits into 32 bits for every n, as it does up to K = 33,025 without a
// bias, the output stage may compute in 32 bits; else it gets offsets for its
// wide form (kernels/output_stage.h).
//
// Thread rule: one thread at a time; once set, any thread may read it.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_COLUMN_OFFSETS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_COLUMN_OFFSETS_H_

#include <cstdint>
#include <vector>

#include "quantization/kernels/output_stage.h"

namespace caffe2_quantization {
namespace onednn {

class ColumnOffsets {
 public:
  // Computes the offsets of n outputs. column_sums, weight_zero_points and bias
  // are [n]; a null bias is all 0. Preconditions: k is 1 to 2^31 - 1; codes and
  // zero points have at most 16 bits.
  void Set(int64_t n, int64_t k, int32_t x_zero_point,
           const int64_t* column_sums, const int32_t* weight_zero_points,
           const int32_t* bias);

  // offset[n].
  const std::vector<int64_t>& exact() const { return exact_; }
  // Whether every sum of 8-bit codes fits into 32 bits.
  bool fit_in_32_bits() const { return wide_.empty(); }

  // Lets the stage of products of 8-bit codes borrow them, in the form that is
  // exact; valid until the next Set.
  void Lend(kernels::OutputStage* stage) const;

 private:
  std::vector<int64_t> exact_;
  // One of the two is used.
  std::vector<int32_t> narrow_;
  std::vector<double> wide_;
};

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_COLUMN_OFFSETS_H_
