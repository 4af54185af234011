// Quantizes and dequantizes whole tensors by QuantizationParams.
//
//   quantize     q = round(x / scale + zero_point), saturated to the type
//   dequantize   x = scale * (q - zero_point)
//
// Rounding is half to even. x / scale + zero_point is one fused multiply-add of
// x, the float nearest to 1 / scale, and zero_point; the product that
// dequantizes is rounded to float once. That is, bit for bit, what the operator
// Quantize of Caffe2's engine DNNLOWP does for 8 bits. Its form for 16 bits
// (multiplied, then added: two roundings) and the default engine (divided and
// rounded, then added) differ from this for one value in a hundred thousand:
// values that lie half way between two codes within float's precision. For
// int32 the multiply-add is of doubles. kernels/quantize.h has the equations.
//
// Infinities saturate. NaN becomes zero_point, which stands for 0.
//
// quantize(dequantize(q)) = q for every q of every type up to 16 bits and every
// scale that Validate() accepts; for int32 it holds for
// |q - zero_point| < 2^23, because float has no more bits.
//
// Storage is row major: one integer of type T per value; or packed, for 4 bits
// and fewer: two per byte, the first in the low half, and after an odd number
// of values the last half is 0. T is int8_t or uint8_t up to 8 bits, int16_t or
// uint16_t up to 16, and int32_t for 32.
//
// Errors, with nothing written: what params.ValidateFor(shape) refuses; a T
// that is not the type's. Codes beyond the type's range are dequantized by the
// equation like any others.
//
// src and dst must not overlap; dst has room for all values. If source and
// result together are larger than the last cache level, results are streamed
// past it. Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "quantization/kernels/store_hint.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

template <typename T>
Status Quantize(const float* src, const std::vector<int64_t>& shape,
                const QuantizationParams& params, T* dst,
                kernels::StoreHint hint = kernels::StoreHint::kAuto);

template <typename T>
Status Dequantize(const T* src, const std::vector<int64_t>& shape,
                  const QuantizationParams& params, float* dst,
                  kernels::StoreHint hint = kernels::StoreHint::kAuto);

// Returns the bytes of `count` packed codes.
inline std::size_t PackedBytes(std::size_t count) {
  return count / 2 + count % 2;
}

// The same in packed form; an error if the type has more than 4 bits.
Status QuantizePacked(const float* src, const std::vector<int64_t>& shape,
                      const QuantizationParams& params, uint8_t* dst,
                      kernels::StoreHint hint = kernels::StoreHint::kAuto);
Status DequantizePacked(const uint8_t* src, const std::vector<int64_t>& shape,
                        const QuantizationParams& params, float* dst,
                        kernels::StoreHint hint = kernels::StoreHint::kAuto);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_H_
