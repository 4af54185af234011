// Convolutions of 16-bit codes, for the engines ending in _16: by the
// definition, in sums of 64 bits.
//
// A window of the input is a row of codes, padded with the input's zero point,
// which adds nothing; what becomes of its product with an output channel's
// filter is the stage's (stage.h). (Upstream's _16 engines are for experiments
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

// filter: the codes, in the order of the shape. stage: one output for each
// output channel, set for x_zero_point. Precondition: shape.Validate() is Ok.
void ConvolveWide(const ProductStage& stage,
                  const onednn::ConvolutionShape& shape, const int16_t* filter,
                  const uint16_t* x, int32_t x_zero_point, uint16_t* dst);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WIDE_CONVOLUTION_H_
