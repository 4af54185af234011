// Kernels that convert between byte weights and floats: dst = f(src), element
// by element.
//
// Rounding. Every target performs the same IEEE single-precision operations in
// the same order, with no fused multiply-add, so the bits do not depend on the
// processor.
//
// Aliasing and alignment: src and dst must not overlap; no alignment is needed.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BYTE_WEIGHT_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BYTE_WEIGHT_H_

#include <cstddef>
#include <cstdint>

#include "quantization/kernels/store_hint.h"

namespace caffe2_quantization {
namespace kernels {

// How a byte w becomes a float.
//   kAffine:   w * scale + offset             (two roundings)
//   kCentered: (2 * w + offset) * scale       (2 * w + offset is exact for an
//              integral |offset| < 2^23, so one rounding)
enum class ByteWeightFormula { kAffine, kCentered };

// dst[i] = f(src[i]) for i < count. kAuto streams past the cache when the
// output is larger than half of the last cache level.
void DequantizeByteWeights(ByteWeightFormula formula, const uint8_t* src,
                           std::size_t count, float scale, float offset,
                           float* dst, StoreHint hint = StoreHint::kAuto);

// src and dst are [outer, channels, inner], row major; channel c uses scales[c]
// and offsets[c].
void DequantizeByteWeightsPerChannel(ByteWeightFormula formula,
                                     const uint8_t* src, std::size_t outer,
                                     std::size_t channels, std::size_t inner,
                                     const float* scales, const float* offsets,
                                     float* dst);

// The inverse. With x = src[i], saturating to [low, high], rounding half to
// even:
//   kAffine:   (x - offset) / scale
//   kCentered: (x / scale - offset) / 2
// A scale of 0 (a constant tensor) gives `low`. NaN has no byte: the caller
// checks for it first.
void QuantizeByteWeights(ByteWeightFormula formula, const float* src,
                         std::size_t count, float scale, float offset,
                         uint8_t low, uint8_t high, uint8_t* dst);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
void DequantizeByteWeights(ByteWeightFormula formula, const uint8_t* src,
                           std::size_t count, float scale, float offset,
                           float* dst);
void DequantizeByteWeightsPerChannel(ByteWeightFormula formula,
                                     const uint8_t* src, std::size_t outer,
                                     std::size_t channels, std::size_t inner,
                                     const float* scales, const float* offsets,
                                     float* dst);
void QuantizeByteWeights(ByteWeightFormula formula, const float* src,
                         std::size_t count, float scale, float offset,
                         uint8_t low, uint8_t high, uint8_t* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_BYTE_WEIGHT_H_
