// A convolution's filter as operators use it, and the blob that
// Int8ConvPackWeight makes: "W_packed" of a net.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_WEIGHTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "base/status.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/quantized_weights.h"
#include "quantization/choose.h"
#include "quantization/onednn/convolution.h"

namespace caffe2_quantization {

// T: int8_t or int16_t, which hold the codes. Immutable, and shared between all
// that have the same filter (shared_weights.h). Thread rule: a value.
template <typename T>
struct ConvWeights {
  using Filter = std::conditional_t<std::is_same_v<T, int8_t>,
                                    std::shared_ptr<const onednn::PackedFilter>,
                                    std::vector<T>>;
  Filter filter;  // packed, or the codes
  // One of each set: the filter, a group, or an output channel.
  std::vector<float> scales;
  // One of each output channel.
  std::vector<int32_t> zero_points;
};

// How many sets of parameters a filter has. Read from the arguments
// quantize_groupwise (one of each group) and quantize_channelwise (one of each
// output channel), of which one at most may be 1; else one.
enum class ConvGranularity { kTensor, kGroup, kChannel };
Status ReadConvGranularity(const caffe2::OperatorDef& definition,
                           ConvGranularity* granularity);

// A filter that is not packed: floats, or codes with one scale and zero point.
struct FilterValues {
  const caffe2::Tensor* floats = nullptr;
  const caffe2::int8::Int8TensorCPU* codes = nullptr;

  const caffe2::Tensor& tensor() const { return floats ? *floats : codes->t; }
};

// Input `index` of op. Enforces that it is one of them; messages name the
// operator's type and the blob. `others`: what else it could have been.
FilterValues FilterInput(caffe2::OperatorBase* op, int index,
                         const char* others);

// The filter's codes, in its own order. Codes of an Int8TensorCPU are one set,
// whatever the granularity. Errors: quantized_weights.h.
// Thread rule, of both: any thread.
template <typename T>
Status QuantizeFilter(const FilterValues& filter,
                      const onednn::ConvolutionShape& shape,
                      ConvGranularity granularity, const ChooseOptions& options,
                      QuantizedWeights<T>* weights);

// And packed for convolutions of shape's order, channels, groups and kernel.
// share: once in a process for the same content; for a filter that does not
// change. Errors: also those of convolution.h.
template <typename T>
Status PackConvWeights(const FilterValues& filter,
                       const onednn::ConvolutionShape& shape,
                       ConvGranularity granularity,
                       const ChooseOptions& options, bool share,
                       std::shared_ptr<const ConvWeights<T>>* weights);

// A bias as it came. Thread rule: a value.
struct ConvBias {
  bool is_codes = false;
  std::vector<float> values;   // else
  std::vector<int32_t> codes;  // with what 1 of them is worth:
  float scale = 1;
};

// Of input `index` of op, floats or an Int8TensorCPU of int32. Enforces the
// type, that there are `count` values, that floats are finite, and that the
// zero point of codes is 0. Messages name the operator's type and the blob.
ConvBias ReadConvBias(caffe2::OperatorBase* op, int index, int64_t count);

// That bias in quanta of x_scale * weight_scales[set]. Enforces, of codes and
// unless any_scale, that their scale is the products' own within 1e-4, as
// DNNLOWP does.
ProductBias ConvBiasCodes(caffe2::OperatorBase* op, int index,
                          const ConvBias& bias, float x_scale,
                          const std::vector<float>& weight_scales,
                          bool any_scale);

// The blob. Its filter is in the order NHWC: [M, kernel..., C / group].
struct PackedConvWeights {
  std::vector<int64_t> sizes;  // of the filter
  int64_t groups = 1;
  std::shared_ptr<const ConvWeights<int8_t>> weights;
  // Quantized for an input of one scale (in_scale).
  std::shared_ptr<const ProductBias> bias;  // null: none
  // The filter's codes; empty without save_unpacked_weights. An operator that
  // runs the host's float operator beside itself needs them.
  std::vector<int8_t> codes;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_WEIGHTS_H_
