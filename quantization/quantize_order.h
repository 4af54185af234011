// Quantizes images whose channels come first to codes whose channels come last,
// and the other way, in one pass.
//
//   QuantizeToChannelsLast      dst[p * channels + c] = code of
//                                                       src[c * stride + p]
//   DequantizeToChannelsFirst   dst[c * stride + p] = value of
//                                                     src[p * channels + c]
//
// for c < channels and p < pixels, with the codes and values of
// quantize_one_set.h. A strip of an image is one call: src, or dst, is its
// first pixel then, and stride the pixels of the image. Blocks are quantized
// into the first cache level and transposed there, so that memory sees no more
// than floats and codes. src and dst do not overlap. Thread rule: pure
// functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ORDER_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ORDER_H_

#include <cstdint>

#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t. params: valid, with one set, of a type that T holds;
// uint16_t also holds types of 8 bits and fewer.
template <typename T>
void QuantizeToChannelsLast(const float* src, int64_t channels, int64_t pixels,
                            int64_t stride, const QuantizationParams& params,
                            T* dst);
template <typename T>
void DequantizeToChannelsFirst(const T* src, int64_t channels, int64_t pixels,
                               const QuantizationParams& params, float* dst,
                               int64_t stride);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ORDER_H_
