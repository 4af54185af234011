// The plain scalar forms of the byte weight kernels.
#include <algorithm>
#include <cmath>

#include "quantization/kernels/byte_weight.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

inline float Dequantize(ByteWeightFormula formula, uint8_t w, float scale,
                        float offset) {
  const float x = static_cast<float>(w);
  if (formula == ByteWeightFormula::kAffine) {
    const float product = x * scale;
    return product + offset;
  }
  const float centered = (x + x) + offset;
  return centered * scale;
}

}  // namespace

void DequantizeByteWeights(ByteWeightFormula formula, const uint8_t* src,
                           std::size_t count, float scale, float offset,
                           float* dst) {
  for (std::size_t i = 0; i < count; ++i) {
    dst[i] = Dequantize(formula, src[i], scale, offset);
  }
}

void DequantizeByteWeightsPerChannel(ByteWeightFormula formula,
                                     const uint8_t* src, std::size_t outer,
                                     std::size_t channels, std::size_t inner,
                                     const float* scales, const float* offsets,
                                     float* dst) {
  for (std::size_t o = 0; o < outer; ++o) {
    for (std::size_t c = 0; c < channels; ++c) {
      reference::DequantizeByteWeights(formula, src, inner, scales[c],
                                       offsets[c], dst);
      src += inner;
      dst += inner;
    }
  }
}

void QuantizeByteWeights(ByteWeightFormula formula, const float* src,
                         std::size_t count, float scale, float offset,
                         uint8_t low, uint8_t high, uint8_t* dst) {
  if (scale == 0.0f) {
    std::fill(dst, dst + count, low);
    return;
  }
  const float lo = static_cast<float>(low);
  const float hi = static_cast<float>(high);
  for (std::size_t i = 0; i < count; ++i) {
    const float x = formula == ByteWeightFormula::kAffine
                        ? (src[i] - offset) / scale
                        : (src[i] / scale - offset) * 0.5f;
    dst[i] =
        static_cast<uint8_t>(std::nearbyint(std::min(std::max(x, lo), hi)));
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
