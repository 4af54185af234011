// Makes the filter of a transposed convolution as the operator uses it: the
// filter of each phase (conv_transpose_geometry.h) as that of a convolution.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_TRANSPOSE_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_TRANSPOSE_WEIGHTS_H_

#include <memory>
#include <vector>

#include "base/status.h"
#include "operators/int8/products/conv_transpose_geometry.h"
#include "operators/int8/products/conv_weights.h"

namespace caffe2_quantization {

// T: int8_t or int16_t. It does not change once it is made. Thread rule: a
// value.
template <typename T>
struct ConvTransposeWeights {
  // One per output channel, group or tensor, of all phases alike.
  std::vector<float> scales;
  // As of ConvTransposeShape::Phases(), each NHWC: [M, taps..., C / group].
  std::vector<ConvWeights<T>> phases;

  int64_t num_sets() const { return static_cast<int64_t>(scales.size()); }
};

// Makes the weights of a filter [C, M / group, kernel...] or, in NHWC, [C,
// kernel..., M / group]. Sets of parameters: those of conv_weights.h, of output
// channels and groups. Errors: those of weights.h and PackedFilter. Thread
// rule: any thread.
template <typename T>
Status MakeConvTransposeWeights(
    const WeightValues& filter, const ConvTransposeShape& shape,
    const ConvWeightsOptions& options,
    std::shared_ptr<const ConvTransposeWeights<T>>* weights);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_TRANSPOSE_WEIGHTS_H_
