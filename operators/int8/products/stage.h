// Turns sums of products of codes into the output, and computes the products of
// 16-bit codes.
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
// in floats, in this order. For codes the bias is in the offset (a large one is
// added after the product: onednn::ProductBias); for floats it is added last.
// acc is exact for every K up to 2^31 - 1. For 8 bits kernels/output_stage.h
// computes it, in 32 bits or wider (quantization/onednn/column_offsets.h); for
// 16 bits it is computed here, in 64 bits, without an addend.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_STAGE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_STAGE_H_

#include <cstdint>
#include <optional>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/status.h"
#include "operators/int8/products/bias.h"
#include "operators/int8/products/weights.h"
#include "quantization/kernels/output_stage.h"
#include "quantization/onednn/column_offsets.h"
#include "quantization/onednn/matmul.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// Holds the numbers above for every output of a matrix, from run to run. Thread
// rule: one thread at a time; once set, any thread may read it.
class ProductStage {
 public:
  // The weights of n outputs. There are as many parameter sets as scales, each
  // of n / sets outputs.
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

  // Prepares an output of codes with the parameters `y`; bias has n values, or
  // is null. With relu no code is below y's zero point. Errors: a k above
  // 2^31 - 1; scales whose quotient no float holds.
  Status SetCodes(const Weights& weights, float x_scale, int32_t x_zero_point,
                  const onednn::ProductBias* bias, const QuantizationParams& y,
                  bool relu);
  // Makes the stage add codes that have the shape and order of the output. Call
  // it after SetCodes, whose y has y_scale. 255 * scale / y_scale must be
  // finite.
  void SetAddend(const uint8_t* addend, float scale, int32_t zero_point,
                 float y_scale);
  // Prepares an output of floats; bias is [n] and finite, or null. It must live
  // as long as the stage uses it.
  Status SetFloats(const Weights& weights, float x_scale, int32_t x_zero_point,
                   const float* bias, bool relu);

  // Whether this is the stage of an input and an output with these parameters;
  // y is null for floats. Weights and bias are those that it was set with:
  // Forget() if they change.
  bool IsOf(float x_scale, int32_t x_zero_point,
            const QuantizationParams* y) const {
    return key_ == KeyOf(x_scale, x_zero_point, y);
  }
  void Forget() { key_.reset(); }

  // The kernel's stage for codes of 8 bits; valid until the next Set.
  const kernels::OutputStage& kernel_stage() const { return stage_; }

  // Compute outputs `first` to `first` + count - 1 of a row a [k] of 16-bit
  // codes by w [count, k]. They are written to y, y_stride apart.
  void ToCodes(const uint16_t* a, const int16_t* w, int64_t first,
               int64_t count, uint16_t* y, int64_t y_stride) const;
  void ToFloats(const uint16_t* a, const int16_t* w, int64_t first,
                int64_t count, float* y, int64_t y_stride) const;

 private:
  // Scale and zero point of the input and of the output, 0 for floats.
  using Key = std::tuple<float, int32_t, float, int32_t>;
  static Key KeyOf(float x_scale, int32_t x_zero_point,
                   const QuantizationParams* y) {
    return Key(x_scale, x_zero_point, y ? y->scales[0] : 0.0f,
               y ? y->zero_points[0] : 0);
  }

  Status Set(const Weights& weights, float x_scale, int32_t x_zero_point,
             const int32_t* bias, float y_scale);
  template <typename Store>
  void Multiply(const uint16_t* a, const int16_t* w, int64_t first,
                int64_t count, const Store& store) const;

  std::optional<Key> key_;  // empty unless the stage was set
  int64_t k_ = 0;
  std::vector<int32_t> zero_points_;  // of weights
  onednn::ColumnOffsets offsets_;
  std::vector<float> multipliers_;
  std::vector<float> large_bias_;  // in codes; empty: none
  float x_scale_ = 1;
  std::vector<float> scales_;  // of weights
  kernels::OutputStage stage_;
};

// Sets y [m, n] to what the stage makes of a [m, k] times the weights. T:
// uint8_t or uint16_t; Y: T or float. Errors: those of onednn/matmul.h.
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
