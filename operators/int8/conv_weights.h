// A convolution's filter as operators use it, and the blob that
// Int8ConvPackWeight makes: "W_packed" of a net.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_WEIGHTS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/quantized_weights.h"
#include "quantization/choose.h"
#include "quantization/onednn/convolution.h"
#include "quantization/status.h"

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
// Errors: also those of convolution.h.
template <typename T>
Status PackConvWeights(const FilterValues& filter,
                       const onednn::ConvolutionShape& shape,
                       ConvGranularity granularity,
                       const ChooseOptions& options,
                       std::shared_ptr<const ConvWeights<T>>* weights);

// Bias of input `index` of op in quanta of x_scale * weight_scales[set]: of
// floats, or of the codes of an Int8TensorCPU of int32. Enforces
// the type and that there are `count` values; of codes that the zero point is
// 0 and, unless any_scale, that the scale is the products' own within 1e-4, as
// DNNLOWP does. Messages name the operator's type and the blob.
ProductBias ConvBias(caffe2::OperatorBase* op, int index, int64_t count,
                     float x_scale, const std::vector<float>& weight_scales,
                     bool any_scale);

// The blob. Its filter is in the order NHWC: [M, kernel..., C / group].
struct PackedConvWeights {
  std::vector<int64_t> sizes;  // of the filter
  int64_t groups = 1;
  std::shared_ptr<const ConvWeights<int8_t>> weights;
  // Quantized for an input of one scale (in_scale).
  std::optional<ProductBias> bias;
  // The filter's codes; empty without save_unpacked_weights. An operator that
  // runs the host's float operator beside itself needs them.
  std::vector<int8_t> codes;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_CONV_WEIGHTS_H_
