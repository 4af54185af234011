// Floats to codes and back, as operators of the engine ONEDNN do it: by one
// scale and zero point. quantization/quantize.h has equation and rounding.
//
// What fits into the cache goes straight through the kernels: for a few dozen
// values, preparing what Quantize() can do beside would take longer than they
// do. src and dst do not overlap.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_CONVERT_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_CONVERT_H_

#include <cstdint>

#include "base/status.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t. params: valid, one set, of a type that T holds: also
// one of 8 bits and fewer in uint16_t.
template <typename T>
void QuantizeTo(const float* src, int64_t count,
                const QuantizationParams& params, T* dst);
template <typename T>
void DequantizeFrom(const T* src, int64_t count,
                    const QuantizationParams& params, float* dst);

// Sets scale and zero point of params, one set. An error if they are not valid
// for its type; params is as it was then.
Status SetParameters(float scale, int32_t zero_point,
                     QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_CONVERT_H_
