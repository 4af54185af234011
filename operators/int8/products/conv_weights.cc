#include "operators/int8/products/conv_weights.h"

#include <utility>

#include "base/return_if_error.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"

namespace caffe2 {
CAFFE_KNOWN_TYPE(caffe2_quantization::PackedConvWeights);
}  // namespace caffe2

namespace caffe2_quantization {

int64_t NumSets(const onednn::ConvolutionShape& shape,
                ConvGranularity granularity) {
  return granularity == ConvGranularity::kChannel ? shape.out_channels
         : granularity == ConvGranularity::kGroup ? shape.groups
                                                  : 1;
}

Status ReadConvGranularity(const caffe2::OperatorDef& definition,
                           ConvGranularity* granularity) {
  bool groupwise = false, channelwise = false;
  RETURN_IF_ERROR(FirstError(
      {ReadBoolArgument(definition, "quantize_groupwise", &groupwise),
       ReadBoolArgument(definition, "quantize_channelwise", &channelwise)}));
  if (groupwise && channelwise) {
    return Refuse(
        "arguments quantize_groupwise and quantize_channelwise are both 1, "
        "expected one of them");
  }
  *granularity = channelwise ? ConvGranularity::kChannel
                 : groupwise ? ConvGranularity::kGroup
                             : ConvGranularity::kTensor;
  return Status::Ok();
}

Status ReadConvArguments(const caffe2::OperatorDef& definition,
                         const EngineArguments& arguments,
                         ConvWeightsOptions* options) {
  RETURN_IF_ERROR(ReadConstantWeight(definition, arguments.weights,
                                     &options->share, &options->choose));
  if (arguments.dequantize_output) {
    return Refuse(
        "argument dequantize_output is 1, expected 0: the output of a "
        "convolution is codes, which Dequantize makes floats of");
  }
  return Status::Ok();
}

Status PackFilter(const int8_t* codes, const onednn::ConvolutionShape& shape,
                  ConvWeights<int8_t>* weights) {
  RETURN_IF_ERROR(onednn::PackedFilter::Pack(
      codes, shape, weights->quantized.zero_points, &weights->packed));
  weights->column_sums = weights->packed->column_sums();
  return Status::Ok();
}

template <typename T>
Status MakeConvWeights(const WeightValues& filter,
                       const onednn::ConvolutionShape& shape,
                       const ConvWeightsOptions& options,
                       std::shared_ptr<const ConvWeights<T>>* weights) {
  const auto make = [&](QuantizedWeights<T> quantized,
                        ConvWeights<T>* made) -> Status {
    made->quantized = std::move(quantized);
    std::vector<T>& codes = made->quantized.codes;
    made->n = shape.out_channels;
    made->k = static_cast<int64_t>(codes.size()) / made->n;
    if constexpr (sizeof(T) == 1) {
      RETURN_IF_ERROR(PackFilter(codes.data(), shape, made));
      std::vector<T>().swap(codes);
    } else {
      made->column_sums = RowSums(codes.data(), made->n, made->k);
    }
    return Status::Ok();
  };
  return MakeWeights<T>(
      filter, shape.out_channels, NumSets(shape, options.granularity),
      options.choose, options.share,
      {shape.groups, shape.dims, shape.channels_first, shape.in_channels,
       shape.kernel[0], shape.kernel[1], shape.kernel[2]},
      make, weights);
}

template Status MakeConvWeights(const WeightValues&,
                                const onednn::ConvolutionShape&,
                                const ConvWeightsOptions&,
                                std::shared_ptr<const ConvWeights<int8_t>>*);
template Status MakeConvWeights(const WeightValues&,
                                const onednn::ConvolutionShape&,
                                const ConvWeightsOptions&,
                                std::shared_ptr<const ConvWeights<int16_t>>*);

}  // namespace caffe2_quantization
