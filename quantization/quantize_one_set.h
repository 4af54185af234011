// Quantizes and dequantizes with one scale and zero point, fast for few values:
// quantize.h has the equation and the rounding.
//
// What fits into the cache goes straight through the kernels: for a few dozen
// values, what Quantize() prepares for its other cases would take longer than
// the kernels. src and dst do not overlap. Thread rule: pure functions; call
// from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ONE_SET_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ONE_SET_H_

#include <cstdint>

#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t. params: valid, with one set, of a type that T holds;
// uint16_t also holds types of 8 bits and fewer.
template <typename T>
void QuantizeOneSet(const float* src, int64_t count,
                    const QuantizationParams& params, T* dst);
template <typename T>
void DequantizeOneSet(const T* src, int64_t count,
                      const QuantizationParams& params, float* dst);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_ONE_SET_H_
