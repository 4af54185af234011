// Kernels that turn the sums of an integer matrix product into its output:
// codes or floats. Row r of an output belongs to a row of activations, column n
// to an output of the weights.
//
//   acc[r][n] = sums[r][n] - weight_zero_points[n] * row_sums[r]
//               + column_offsets[n]
//   code      = clamp(nearbyint(fl(fl(fl(acc) * multipliers[n]) + bias[n]))
//                     + zero_point)
//   float     = fl(fl(acc) * multipliers[n] + bias[n]); with relu, +0 unless
//               above 0
//
// With activations x_scale * (a - x_zp), weights w_scale[n] * (w - w_zp[n]) and
// a bias of b[n] quanta, this is their product if, with bias[n] = 0 for codes,
//
//   column_offsets[n] = b[n] - x_zp * (sum over k of w[k][n] - K * w_zp[n])
//   multipliers[n]    = x_scale * w_scale[n], for codes / y_scale
//
// A bias of more quanta than fit into 32 bits beside a sum is given as bias[n]
// instead: the real number, divided by y_scale for codes, with b[n] = 0.
//
// With an addend (for codes only), which is added before the rounding:
//
//   code = clamp(nearbyint(fl(fl(acc) * multipliers[n] + bias[n])
//                          + fl(addend - addend_zero_point)
//                            * addend_multiplier) + zero_point)
//
// Rounding: acc is exact (see below), fl rounds to the nearest float, nearbyint
// half to even. It is FBGEMM's rounding (Requantize, ReQuantizeForFloat with a
// fused multiply-add), except that it saturates where FBGEMM's products leave
// 32 bits. Every target gives the same bits.
//
// Width: with 32-bit sums and column_offsets, acc is computed modulo 2^32,
// which is exact if acc itself fits into 32 bits, even if its terms do not.
// With wide_offsets, or sums that are doubles, it is computed in doubles, which
// hold all integers up to 2^53.
//
// Preconditions: acc fits into 32 bits, or for the wide forms each of its terms
// and their sum fit into 2^53; multipliers, addend_multiplier and
// 255 * addend_multiplier are finite and not negative; bias is finite. Only dst
// and addend may overlap, and only if they are the same. No alignment is
// needed. Strides are in elements, from row to row. Thread rule: pure
// functions; any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_OUTPUT_STAGE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_OUTPUT_STAGE_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// What becomes of sums. It owns nothing that it points to.
struct OutputStage {
  int64_t columns = 0;  // N
  // [N], or null: all 0.
  const int32_t* weight_zero_points = nullptr;
  const int32_t* column_offsets = nullptr;
  // [N], integers, used in place of column_offsets; or null.
  const double* wide_offsets = nullptr;
  const float* multipliers = nullptr;  // [N]

  // Codes: 0 <= low <= zero_point <= high <= 255; with relu low is zero_point.
  int32_t zero_point = 0;
  int32_t low = 0;
  int32_t high = 255;
  // [rows, N] with the stride of dst, or null: nothing is added.
  const uint8_t* addend = nullptr;
  int32_t addend_zero_point = 0;  // 0 to 255
  float addend_multiplier = 0;

  const float* bias = nullptr;  // [N], or null: all 0

  // Floats.
  bool relu = false;

  // Returns the stage for columns [n, n + count) of an output, and its rows
  // from r on.
  OutputStage Part(int64_t n, int64_t count, int64_t r,
                   int64_t dst_stride) const {
    OutputStage part = *this;
    part.columns = count;
    if (weight_zero_points != nullptr) part.weight_zero_points += n;
    if (column_offsets != nullptr) part.column_offsets += n;
    if (wide_offsets != nullptr) part.wide_offsets += n;
    part.multipliers += n;
    if (addend != nullptr) part.addend += r * dst_stride + n;
    if (bias != nullptr) part.bias += n;
    return part;
  }
};

// row_sums is [rows]; it may be null if weight_zero_points is.
void SumsToCodes(const int32_t* sums, int64_t sums_stride,
                 const int32_t* row_sums, int64_t rows,
                 const OutputStage& stage, uint8_t* dst, int64_t dst_stride);
void SumsToFloats(const int32_t* sums, int64_t sums_stride,
                  const int32_t* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride);
// The same for sums that do not fit into 32 bits: integers, held as doubles.
void SumsToCodes(const double* sums, int64_t sums_stride,
                 const double* row_sums, int64_t rows, const OutputStage& stage,
                 uint8_t* dst, int64_t dst_stride);
void SumsToFloats(const double* sums, int64_t sums_stride,
                  const double* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
void SumsToCodes(const int32_t* sums, int64_t sums_stride,
                 const int32_t* row_sums, int64_t rows,
                 const OutputStage& stage, uint8_t* dst, int64_t dst_stride);
void SumsToFloats(const int32_t* sums, int64_t sums_stride,
                  const int32_t* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride);
void SumsToCodes(const double* sums, int64_t sums_stride,
                 const double* row_sums, int64_t rows, const OutputStage& stage,
                 uint8_t* dst, int64_t dst_stride);
void SumsToFloats(const double* sums, int64_t sums_stride,
                  const double* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_OUTPUT_STAGE_H_
