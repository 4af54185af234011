// A convolution's filter as operators use it, and the blob that
// Int8ConvPackWeight makes: "W_packed" of a net.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_WEIGHTS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "operators/int8/products/bias.h"
#include "operators/int8/products/weights.h"
#include "quantization/choose.h"
#include "quantization/onednn/convolution.h"
#include "quantization/status.h"

namespace caffe2_quantization {

// A filter of n output channels, of k values each, in one parameter set, one
// per group or one per output channel. T: int8_t or int16_t. Shared between all
// that have the same filter (shared_weights.h). Thread rule: a value.
template <typename T>
using ConvWeights = ProductWeights<T, onednn::PackedFilter>;

// How many sets of parameters a filter has. Read from the arguments
// quantize_groupwise (one of each group) and quantize_channelwise (one of each
// output channel), of which one at most may be 1; else one.
enum class ConvGranularity { kTensor, kGroup, kChannel };
Status ReadConvGranularity(const caffe2::OperatorDef& definition,
                           ConvGranularity* granularity);

// How a filter becomes codes.
struct ConvWeightsOptions {
  ConvGranularity granularity = ConvGranularity::kTensor;
  // Once in a process for the same content; for a filter that does not change.
  bool share = true;
  ChooseOptions choose;  // of weights, as DnnlowpOptions gives them
};

// The number of parameter sets of a filter of floats; codes of an Int8TensorCPU
// are one, whatever the granularity.
int64_t NumSets(const onednn::ConvolutionShape& shape,
                ConvGranularity granularity);

// Makes a filter for convolutions of shape's order, channels, groups and
// kernel. Errors: those of weights.h and convolution.h. Thread rule: any
// thread.
template <typename T>
Status MakeConvWeights(const WeightValues& filter,
                       const onednn::ConvolutionShape& shape,
                       const ConvWeightsOptions& options,
                       std::shared_ptr<const ConvWeights<T>>* weights);

// The blob. Its filter is in the order NHWC: [M, kernel..., C / group].
struct PackedConvWeights {
  std::vector<int64_t> sizes;  // of the filter
  int64_t groups = 1;
  std::shared_ptr<const ConvWeights<int8_t>> weights;
  // Quantized for an input of one scale (in_scale).
  std::shared_ptr<const onednn::ProductBias> bias;  // null: none
  // The filter's codes; empty without save_unpacked_weights. An operator that
  // runs the host's float operator beside itself needs them.
  std::vector<int8_t> codes;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_WEIGHTS_H_
