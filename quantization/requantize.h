// Requantizes 32-bit sums, made by matrix products and convolutions, to codes:
//
//   q = round(sum * multiplier) + zero_point, saturated to the type
//
// where the multiplier is scale_of_a * scale_of_b / scale_of_result, and the
// zero points of a and b are already taken out of the sum. It is computed in
// float, rounded half to even; or in fixed point, rounded half upwards, which
// needs only integers. kernels/requantize.h has the equations. The plugin's
// operators do not call this: their output stage (kernels/output_stage.h) adds
// zero points and bias in the same pass. It is for programs that link only
// caffe2_quantization::quantization; the fixed-point form is for comparison
// with processors that compute in integers.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_REQUANTIZE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_REQUANTIZE_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "quantization/quantized_type.h"

namespace caffe2_quantization {

// What sums become.
struct Requantization {
  QuantizedType type = QuantizedType::UInt8();
  int32_t zero_point = 0;
  // One for all, or one per index of `axis`.
  std::vector<float> multipliers = {1.0f};
  int axis = 0;

  // Returns OK if multipliers are positive and finite, there is one or as many
  // as the shape has channels, and zero_point is a code of the type.
  Status ValidateFor(const std::vector<int64_t>& shape) const;
};

// multiplier / 2^right_shift, for arithmetic in integers.
struct FixedPointMultiplier {
  int32_t multiplier = 0;
  int32_t right_shift = 1;
};

// Finds the nearest to a real multiplier, with fixed->multiplier in [2^30,
// 2^31) if right_shift is below 62, as FBGEMM chooses it
// (ChooseRequantizationMultiplier). For a real multiplier below 2^-32,
// right_shift stays 62 and fixed->multiplier becomes smaller: every sum is then
// rounded to 0. Errors: a real multiplier that is not positive, not finite, or
// 2^30 or more.
Status ChooseFixedPointMultiplier(float real, FixedPointMultiplier* fixed);

// src and dst are row major, of `shape`. T is int8_t or uint8_t up to 8 bits,
// int16_t or uint16_t up to 16, and int32_t for 32. Errors, with nothing
// written: what ValidateFor() or ChooseFixedPointMultiplier() refuses; a T that
// is not the type's.
template <typename T>
Status Requantize(const int32_t* src, const std::vector<int64_t>& shape,
                  const Requantization& requantization, T* dst);
template <typename T>
Status RequantizeFixedPoint(const int32_t* src,
                            const std::vector<int64_t>& shape,
                            const Requantization& requantization, T* dst);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_REQUANTIZE_H_
