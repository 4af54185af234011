// A bias in units of what sums of products count in, x_scale * weight_scale.
//
// (caffe2/quantization/server/fbgemm_pack_op.cc of Caffe2, QuantizeWeight.)
// Thread rule: values, and pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PRODUCT_BIAS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PRODUCT_BIAS_H_

#include <cstdint>
#include <vector>

namespace caffe2_quantization {
namespace onednn {

struct ProductBias {
  // A sum beside them may leave 32 bits: column_offsets.h.
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

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PRODUCT_BIAS_H_
