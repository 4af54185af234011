// Weights and biases of FC and Conv as codes, as DNNLOWP makes them: weights
// signed, by parameters chosen for unsigned codes and moved down by
// 2^(precision - 1); biases in units of a sum of products.
// (caffe2/quantization/server/fbgemm_pack_op.cc of Caffe2, QuantizeWeight.)
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZED_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZED_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "caffe2/core/tensor_int8.h"
#include "quantization/choose.h"

namespace caffe2_quantization {

// T: int8_t or int16_t. w = scales[s] * (code - zero_points[s]), where s is the
// parameter set of the weight's row.
template <typename T>
struct QuantizedWeights {
  std::vector<T> codes;
  // One of each set: a tensor, a group of rows, or a row.
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
};

// w: [rows, columns], of which each of `sets` parameter sets has rows / sets
// rows. options: of weights, unsigned, as DnnlowpOptions gives them. Errors:
// weights that are not finite (the set is named), rows that `sets` does not
// divide, a precision that T does not hold.
template <typename T>
Status QuantizeWeights(const float* w, int64_t rows, int64_t columns,
                       int64_t sets, const ChooseOptions& options,
                       QuantizedWeights<T>* result);

// Codes of an Int8TensorCPU, which are unsigned: one set. Errors: values of
// another type than T's unsigned one, invalid scale or zero point.
template <typename T>
Status WeightsFromInt8Tensor(const caffe2::int8::Int8TensorCPU& w,
                             const ChooseOptions& options,
                             QuantizedWeights<T>* result);

// A bias in units of what sums of products count in, x_scale * weight_scale.
struct ProductBias {
  // A sum beside them may leave 32 bits: quantization/onednn/column_offsets.h.
  std::vector<int32_t> codes;
  // The values of those that no code holds, whose codes are 0: they are added
  // to what sums have become (kernels/output_stage.h). 0 for the others; empty:
  // there are none.
  std::vector<float> large;
};

// codes[i] = nearbyint(bias[i] * (1 / unit)), with unit = x_scale *
// weight_scales[i * sets / count], all in floats; or large[i] = bias[i]. NaN
// becomes 0.
ProductBias QuantizeBias(const float* bias, int64_t count, float x_scale,
                         const std::vector<float>& weight_scales);

// The same of a bias that is codes already, in units of its own: one, or one a
// value. Codes whose unit is the products', to a hundred thousandth, stay as
// they are.
ProductBias ConvertBias(const int32_t* codes, int64_t count,
                        const std::vector<float>& units, float x_scale,
                        const std::vector<float>& weight_scales);

// What remains to be added to codes of scale y_scale, large[i] / y_scale as a
// float; empty if there is no large one.
std::vector<float> LargeInCodes(const ProductBias& bias, float y_scale);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZED_WEIGHTS_H_
