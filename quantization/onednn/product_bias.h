// Converts a bias to the unit of sums of products, x_scale * weight_scale.
//
// (Source: QuantizeWeight in caffe2/quantization/server/fbgemm_pack_op.cc of
// Caffe2.) Thread rule: values, and pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PRODUCT_BIAS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PRODUCT_BIAS_H_

#include <cstdint>
#include <vector>

namespace caffe2_quantization {
namespace onednn {

struct ProductBias {
  // A sum with one of these added may leave 32 bits: column_offsets.h.
  std::vector<int32_t> codes;
  // The values that no code can hold; their codes are 0, and the values are
  // added to what sums have become (kernels/output_stage.h). 0 for all other
  // values; empty if there are no large ones.
  std::vector<float> large;
};

// codes[i] = nearbyint(bias[i] * (1 / unit)), with unit = x_scale *
// weight_scales[i * sets / count], all in floats; or large[i] = bias[i]. NaN
// becomes 0.
ProductBias QuantizeBias(const float* bias, int64_t count, float x_scale,
                         const std::vector<float>& weight_scales);

// The same for a bias that is codes already, with its own units: one for all,
// or one per value. Codes whose unit equals that of the products, within a
// hundred thousandth, stay as they are.
ProductBias ConvertBias(const int32_t* codes, int64_t count,
                        const std::vector<float>& units, float x_scale,
                        const std::vector<float>& weight_scales);

// Returns what remains to be added to codes of scale y_scale:
// large[i] / y_scale as a float; empty if there are no large values.
std::vector<float> LargeInCodes(const ProductBias& bias, float y_scale);

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PRODUCT_BIAS_H_
