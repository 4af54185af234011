// Makes a convolution's filter as operators use it, and defines the blob that
// Int8ConvPackWeight and Int8GivenPackedWeightFill make: "W_packed" of a net.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_WEIGHTS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "operators/int8/products/bias.h"
#include "operators/int8/products/weights.h"
#include "quantization/choose.h"
#include "quantization/onednn/convolution.h"

namespace caffe2_quantization {

struct EngineArguments;

// A filter of n output channels of k values each, with one parameter set, one
// per group or one per output channel. T: int8_t or int16_t. All operators with
// the same filter share it (shared_weights.h). Thread rule: a value.
template <typename T>
using ConvWeights = ProductWeights<T, onednn::PackedFilter>;

// How many parameter sets a filter has: one, or one per group with the argument
// quantize_groupwise, or one per output channel with quantize_channelwise. At
// most one of the two arguments may be 1.
enum class ConvGranularity { kTensor, kGroup, kChannel };
Status ReadConvGranularity(const caffe2::OperatorDef& definition,
                           ConvGranularity* granularity);

// How a filter becomes codes.
struct ConvWeightsOptions {
  ConvGranularity granularity = ConvGranularity::kTensor;
  // Makes the filter once in a process for the same content. Only for a filter
  // that does not change.
  bool share = true;
  ChooseOptions choose;  // of weights, as DnnlowpOptions gives them
};

// Reads what a convolution's options are in its first run: whether its weights
// are constant, and how their parameters are chosen. Refuses dequantize_output.
Status ReadConvArguments(const caffe2::OperatorDef& definition,
                         const EngineArguments& arguments,
                         ConvWeightsOptions* options);

// Returns the number of parameter sets of a filter of floats. The codes of an
// Int8TensorCPU have one set, whatever the granularity.
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

// Packs codes of shape's order, and sets the sums of their rows. *weights
// already has their parameters, n and k. Errors: what PackedFilter refuses.
Status PackFilter(const int8_t* codes, const onednn::ConvolutionShape& shape,
                  ConvWeights<int8_t>* weights);

// The blob that Int8ConvPackWeight and Int8GivenPackedWeightFill make. The
// former's filter is in the order NHWC: [M, kernel..., C / group].
struct PackedConvWeights {
  std::vector<int64_t> sizes;  // of the filter
  int64_t groups = 1;
  bool channels_first = false;  // the order is NCHW
  std::shared_ptr<const ConvWeights<int8_t>> weights;
  // In units of in_scale times the scales of the weights.
  std::shared_ptr<const onednn::ProductBias> bias;  // null: none
  float in_scale = 0;
  // The filter's codes; empty without save_unpacked_weights. An operator needs
  // them if it runs the host's float operator beside itself.
  std::vector<int8_t> codes;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_WEIGHTS_H_
