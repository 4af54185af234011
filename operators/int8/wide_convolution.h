// Convolutions of 16-bit codes, for the engines ending in _16: by the
// definition, in sums of 64 bits.
//
//   acc[pixel][m] = bias[m] + sum over k of
//                       (x[k] - x_zero_point) * (w[m][k] - w_zero_point[m])
//   y[pixel][m]   = clamp(zero_point + nearbyint(fl(fl(fl(acc) * multiplier[m])
//                                                  + large_bias[m])))
//
// where k runs over the values under the kernel, and padding is x_zero_point.
// (Upstream's _16 engines are for experiments too; their sums wrap in 32 bits.)
//
// Shapes and orders: quantization/onednn/convolution.h. Rounding: half to even;
// fl is to the nearest float. Nothing may overlap dst.
// Thread rule: pure function; it runs on the calling thread alone.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_WIDE_CONVOLUTION_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_WIDE_CONVOLUTION_H_

#include <cstdint>

#include "quantization/onednn/convolution.h"

namespace caffe2_quantization {

// What it computes with; it borrows all that it points to.
struct WideConvolution {
  const int16_t* filter = nullptr;  // in the order of the shape
  // One of each output channel.
  const int32_t* weight_zero_points = nullptr;
  const int32_t* bias = nullptr;
  const float* multipliers = nullptr;
  const float* large_bias = nullptr;  // null: none
  int32_t x_zero_point = 0;
  // Of the output: 0 <= low <= zero_point <= high <= 65535.
  int32_t zero_point = 0;
  int32_t low = 0;
  int32_t high = 65535;
};

// Precondition: shape.Validate() is Ok.
void ConvolveWide(const WideConvolution& convolution,
                  const onednn::ConvolutionShape& shape, const uint16_t* x,
                  uint16_t* dst);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_WIDE_CONVOLUTION_H_
