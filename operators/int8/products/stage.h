// From products of codes to the output: what a sum of products becomes, and the
// products of 16-bit codes.
//
// With x = x_scale * (a - x_zp), w = w_scale[n] * (c - w_zp[n]):
//
//   acc[n]    = sum over k of a * c - w_zp[n] * (sum over k of a) + offset[n]
//   offset[n] = bias[n] - x_zp * (column_sum[n] - K * w_zp[n])
//   code      = clamp(nearbyint(float(acc) * (x_scale * w_scale[n] / y_scale)
//                               + large_bias[n] / y_scale [+ addend]) + y_zp)
//   addend    = float(s - s_zp) * (s_scale / y_scale)
//   float     = float(acc) * (x_scale * w_scale[n]) + bias
//
// in floats, in this order; the bias is in the offset for codes (a large one
// behind the product: onednn::ProductBias), else after. acc is exact, for every
// K up to 2^31 - 1. Of 8 bits kernels/output_stage.h computes it, in 32 bits or
// wider (quantization/onednn/column_offsets.h); of 16 bits it is done here, in
// 64 bits, without an addend.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_STAGE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_STAGE_H_

#include <cstdint>
#include <type_traits>
#include <vector>

#include "operators/int8/products/bias.h"
#include "operators/int8/products/weights.h"
#include "quantization/kernels/output_stage.h"
#include "quantization/onednn/column_offsets.h"
#include "quantization/onednn/matmul.h"
#include "quantization/quantization_params.h"
#include "quantization/status.h"

namespace caffe2_quantization {

// The numbers above for every output of a matrix, kept from run to run.
// Thread rule: one at a time; once made, read by any thread.
class ProductStage {
 public:
  // Of n outputs, in as many parameter sets of n / sets outputs as there are
  // scales.
  struct Weights {
    int64_t n;
    int64_t k;
    const std::vector<float>* scales;
    const std::vector<int32_t>* zero_points;
    const int64_t* column_sums;  // [n]
  };
  template <typename T, typename Packed>
  static Weights Of(const ProductWeights<T, Packed>& weights) {
    return {weights.n, weights.k, &weights.quantized.scales,
            &weights.quantized.zero_points, weights.column_sums.data()};
  }

  // Sets an output of codes by `y`; bias: of n values, or null. With relu,
  // codes are y's zero point at least. Errors: a k above 2^31 - 1; scales whose
  // quotient no float holds.
  Status SetCodes(const Weights& weights, float x_scale, int32_t x_zero_point,
                  const onednn::ProductBias* bias, const QuantizationParams& y,
                  bool relu);
  // Adds codes in the place and order of the output; after SetCodes, whose y
  // has y_scale. 255 * scale / y_scale is finite.
  void SetAddend(const uint8_t* addend, float scale, int32_t zero_point,
                 float y_scale);
  // Sets an output of floats; bias: [n], finite, or null. It must live as long.
  Status SetFloats(const Weights& weights, float x_scale, int32_t x_zero_point,
                   const float* bias, bool relu);

  // For codes of 8 bits; valid until the next Set.
  const kernels::OutputStage& kernel_stage() const { return stage_; }

  // Outputs `first` to `first` + count - 1 of a row a [k], by w [count, k], of
  // 16 bits; they go to y, y_stride apart.
  void ToCodes(const uint16_t* a, const int16_t* w, int64_t first,
               int64_t count, uint16_t* y, int64_t y_stride) const;
  void ToFloats(const uint16_t* a, const int16_t* w, int64_t first,
                int64_t count, float* y, int64_t y_stride) const;

 private:
  Status Set(const Weights& weights, float x_scale, int32_t x_zero_point,
             const int32_t* bias, float y_scale);
  template <typename Store>
  void Multiply(const uint16_t* a, const int16_t* w, int64_t first,
                int64_t count, const Store& store) const;

  int64_t k_ = 0;
  std::vector<int32_t> zero_points_;  // of weights
  onednn::ColumnOffsets offsets_;
  std::vector<float> multipliers_;
  std::vector<float> large_bias_;  // in codes; empty: none
  float x_scale_ = 1;
  std::vector<float> scales_;  // of weights
  kernels::OutputStage stage_;
};

// y [m, n] = what the stage makes of a [m, k] by the weights. T: uint8_t or
// uint16_t; Y: T or float. Errors: those of onednn/matmul.h.
template <typename T, typename Y>
Status Multiply(const ProductStage& stage,
                const MatrixWeights<std::make_signed_t<T>>& weights, const T* a,
                int64_t m, Y* y) {
  if constexpr (std::is_same_v<Y, uint8_t>) {
    return onednn::MultiplyToCodes(*weights.packed, a, m, stage.kernel_stage(),
                                   y);
  } else if constexpr (std::is_same_v<T, uint8_t>) {
    return onednn::MultiplyToFloats(*weights.packed, a, m, stage.kernel_stage(),
                                    y);
  } else {
    const int64_t n = weights.n;
    for (int64_t row = 0; row < m; ++row, a += weights.k, y += n) {
      const int16_t* const w = weights.quantized.codes.data();
      if constexpr (std::is_same_v<Y, float>) {
        stage.ToFloats(a, w, 0, n, y, 1);
      } else {
        stage.ToCodes(a, w, 0, n, y, 1);
      }
    }
    return Status::Ok();
  }
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_STAGE_H_
