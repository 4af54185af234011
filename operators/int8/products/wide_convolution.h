// Computes convolutions of 16-bit codes, for the engines ending in _16: by the
// definition, in sums of 64 bits.
//
// A window of the input is a row of codes, padded with the input's zero point,
// which adds nothing. The stage (stage.h) turns its product with an output
// channel's filter into the output. (Upstream's _16 engines are for experiments
// too; their sums wrap in 32 bits.)
//
// Shapes and orders: quantization/onednn/convolution.h. Nothing may overlap
// dst. Thread rule: pure function; it runs on the calling thread alone.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WIDE_CONVOLUTION_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WIDE_CONVOLUTION_H_

#include <cstdint>

#include "operators/int8/products/stage.h"
#include "quantization/onednn/convolution.h"

namespace caffe2_quantization {

// filter: the codes, in the order of the shape. stage: set for x_zero_point,
// with one output per output channel. Precondition: shape.Validate() is OK.
void ConvolveWide(const ProductStage& stage,
                  const onednn::ConvolutionShape& shape, const int16_t* filter,
                  const uint16_t* x, int32_t x_zero_point, uint16_t* dst);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WIDE_CONVOLUTION_H_
