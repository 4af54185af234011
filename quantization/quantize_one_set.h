// Floats to codes and back by one scale and zero point, for callers in a hurry:
// quantize.h has equation and rounding.
//
// What fits into the cache goes straight through the kernels: for a few dozen
// values, preparing what Quantize() can do beside would take longer than they
// do. src and dst do not overlap.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ONE_SET_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ONE_SET_H_

#include <cstdint>

#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t. params: valid, one set, of a type that T holds: also
// one of 8 bits and fewer in uint16_t.
template <typename T>
void QuantizeOneSet(const float* src, int64_t count,
                    const QuantizationParams& params, T* dst);
template <typename T>
void DequantizeOneSet(const T* src, int64_t count,
                      const QuantizationParams& params, float* dst);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ONE_SET_H_
