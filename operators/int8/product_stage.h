// From products of codes to the output, for operators whose weights are a
// matrix [n, k]: what a sum of products becomes, and the products of 16-bit
// codes.
//
// With x = x_scale * (a - x_zp), w = w_scale[n] * (c - w_zp[n]):
//
//   acc[n]   = sum over k of a * c - w_zp[n] * (sum over k of a) + offset[n]
//   offset[n] = bias[n] - x_zp * (column_sum[n] - K * w_zp[n])
//   code     = clamp(nearbyint(float(acc) * (x_scale * w_scale[n] / y_scale)
//                              + large_bias[n] / y_scale) + y_zp)
//   float    = float(acc) * (x_scale * w_scale[n]) + bias
//
// in floats, in this order; the bias is in the offset for codes (a large one
// behind the product: ProductBias), else after. acc is exact, for every K up to
// 2^31 - 1. Of 8 bits kernels/output_stage.h computes it, in 32 bits or wider
// (quantization/onednn/column_offsets.h); of 16 bits it is done here, in 64
// bits.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCT_STAGE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCT_STAGE_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "operators/int8/quantized_weights.h"
#include "quantization/kernels/output_stage.h"
#include "quantization/onednn/column_offsets.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// The numbers above for every output of a matrix, kept from run to run.
// Thread rule: one at a time; once made, read by any thread.
class ProductStage {
 public:
  // Of a matrix of n outputs: scales and zero points one, or n.
  struct Weights {
    int64_t n;
    int64_t k;
    const std::vector<float>* scales;
    const std::vector<int32_t>* zero_points;
    const int64_t* column_sums;  // [n]
  };

  // An output of codes by `y`; bias: of n values, or null. With relu, codes are
  // y's zero point at least. Errors: a k above 2^31 - 1; scales whose quotient
  // no float holds.
  Status SetCodes(const Weights& weights, float x_scale, int32_t x_zero_point,
                  const ProductBias* bias, const QuantizationParams& y,
                  bool relu);
  // An output of floats; bias: [n], finite, or null. It must live as long.
  Status SetFloats(const Weights& weights, float x_scale, int32_t x_zero_point,
                   const float* bias, bool relu);

  // For codes of 8 bits; valid until the next Set.
  const kernels::OutputStage& kernel_stage() const { return stage_; }

  // y[m][n] of a [m, k] and w [n, k], of 16 bits.
  void ToCodes(const uint16_t* a, const int16_t* w, int64_t m,
               uint16_t* y) const;
  void ToFloats(const uint16_t* a, const int16_t* w, int64_t m, float* y) const;

 private:
  Status Set(const Weights& weights, float x_scale, int32_t x_zero_point,
             const int32_t* bias, float y_scale);
  template <typename Store>
  void Multiply(const uint16_t* a, const int16_t* w, int64_t m,
                const Store& store) const;

  int64_t k_ = 0;
  std::vector<int32_t> zero_points_;  // of weights
  onednn::ColumnOffsets offsets_;
  std::vector<float> multipliers_;
  std::vector<float> large_bias_;  // in codes; empty: none
  float x_scale_ = 1;
  std::vector<float> scales_;  // of weights
  kernels::OutputStage stage_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCT_STAGE_H_
