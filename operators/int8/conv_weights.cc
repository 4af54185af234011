#include "operators/int8/conv_weights.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/process.h"
#include "base/text.h"
#include "operators/int8/int8_arguments.h"
#include "operators/int8/quantized_input.h"
#include "operators/int8/shared_weights.h"
#include "quantization/kernels/min_max.h"

namespace caffe2 {
CAFFE_KNOWN_TYPE(caffe2_quantization::PackedConvWeights);
}  // namespace caffe2

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

namespace {

// How far, in DNNLOWP, the scale of a bias may be from that of the products.
constexpr double kBiasScaleTolerance = 1e-4;

int64_t NumSets(const onednn::ConvolutionShape& shape,
                ConvGranularity granularity) {
  switch (granularity) {
    case ConvGranularity::kTensor:
      return 1;
    case ConvGranularity::kGroup:
      return shape.groups;
    case ConvGranularity::kChannel:
      return shape.out_channels;
  }
  return 1;
}

template <typename T>
SharedWeights<ConvWeights<T>>& AllConvWeights() {
  static PerProcess<SharedWeights<ConvWeights<T>>> all;
  return all.Get();
}

Status MakeFilter(std::vector<int8_t> codes,
                  const onednn::ConvolutionShape& shape,
                  const std::vector<int32_t>& zero_points,
                  std::shared_ptr<const onednn::PackedFilter>* filter) {
  return onednn::PackedFilter::Pack(codes.data(), shape, zero_points, filter);
}

Status MakeFilter(std::vector<int16_t> codes, const onednn::ConvolutionShape&,
                  const std::vector<int32_t>&, std::vector<int16_t>* filter) {
  *filter = std::move(codes);
  return Status::Ok();
}

template <typename T>
WeightsKey KeyOf(const FilterValues& filter,
                 const onednn::ConvolutionShape& shape, int64_t sets,
                 const ChooseOptions& options) {
  WeightsKey key;
  key.Add(options);
  for (const int64_t number :
       {sets, shape.groups, int64_t{shape.dims}, int64_t{shape.channels_first},
        shape.in_channels, shape.out_channels}) {
    key.Add(number);
  }
  for (int dim = 0; dim < shape.dims; ++dim) key.Add(shape.kernel[dim]);
  key.Add(int64_t{filter.codes != nullptr});
  if (filter.codes != nullptr) {
    key.Add(static_cast<double>(filter.codes->scale));
    key.Add(int64_t{filter.codes->zero_point});
  }
  key.Add(filter.tensor().raw_data(), filter.tensor().nbytes());
  return key;
}

}  // namespace

Status ReadConvGranularity(const caffe2::OperatorDef& definition,
                           ConvGranularity* granularity) {
  bool groupwise = false, channelwise = false;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadBoolArgument(definition, "quantize_groupwise", &groupwise));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadBoolArgument(definition, "quantize_channelwise", &channelwise));
  if (groupwise && channelwise) {
    return Status::InvalidArgument(
        "arguments quantize_groupwise and quantize_channelwise are both 1, "
        "expected one of them");
  }
  *granularity = channelwise ? ConvGranularity::kChannel
                 : groupwise ? ConvGranularity::kGroup
                             : ConvGranularity::kTensor;
  return Status::Ok();
}

FilterValues FilterInput(caffe2::OperatorBase* op, int index,
                         const char* others) {
  FilterValues filter;
  if (op->InputIsType<Int8TensorCPU>(index)) {
    filter.codes = &op->Input<Int8TensorCPU>(index);
    return filter;
  }
  CAFFE_ENFORCE(op->InputIsTensorType(index, caffe2::CPU), op->type(),
                ": blob '", op->debug_def().input(index), "' holds a ",
                op->Inputs()[index]->TypeName(),
                ", expected a float tensor of the CPU, an Int8TensorCPU",
                others);
  filter.floats = &FloatInput(op, index);
  return filter;
}

template <typename T>
Status QuantizeFilter(const FilterValues& filter,
                      const onednn::ConvolutionShape& shape,
                      ConvGranularity granularity, const ChooseOptions& options,
                      QuantizedWeights<T>* weights) {
  if (filter.codes != nullptr) {
    return WeightsFromInt8Tensor(*filter.codes, options, weights);
  }
  const int64_t rows = shape.out_channels;
  return QuantizeWeights(filter.floats->data<float>(), rows,
                         filter.floats->numel() / rows,
                         NumSets(shape, granularity), options, weights);
}

template <typename T>
Status PackConvWeights(const FilterValues& filter,
                       const onednn::ConvolutionShape& shape,
                       ConvGranularity granularity,
                       const ChooseOptions& options, bool share,
                       std::shared_ptr<const ConvWeights<T>>* weights) {
  const auto make =
      [&](std::shared_ptr<const ConvWeights<T>>* packed) -> Status {
    QuantizedWeights<T> quantized;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        QuantizeFilter(filter, shape, granularity, options, &quantized));
    auto result = std::make_shared<ConvWeights<T>>();
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(MakeFilter(std::move(quantized.codes),
                                                   shape, quantized.zero_points,
                                                   &result->filter));
    const int64_t run = shape.out_channels / quantized.scales.size();
    result->zero_points.resize(shape.out_channels);
    for (int64_t m = 0; m < shape.out_channels; ++m) {
      result->zero_points[m] = quantized.zero_points[m / run];
    }
    result->scales = std::move(quantized.scales);
    *packed = std::move(result);
    return Status::Ok();
  };
  if (!share) return make(weights);
  return AllConvWeights<T>().GetOrMake(
      KeyOf<T>(filter, shape, NumSets(shape, granularity), options), make,
      weights);
}

template Status QuantizeFilter(const FilterValues&,
                               const onednn::ConvolutionShape&, ConvGranularity,
                               const ChooseOptions&, QuantizedWeights<int8_t>*);
template Status PackConvWeights(const FilterValues&,
                                const onednn::ConvolutionShape&,
                                ConvGranularity, const ChooseOptions&, bool,
                                std::shared_ptr<const ConvWeights<int8_t>>*);
template Status PackConvWeights(const FilterValues&,
                                const onednn::ConvolutionShape&,
                                ConvGranularity, const ChooseOptions&, bool,
                                std::shared_ptr<const ConvWeights<int16_t>>*);

ConvBias ReadConvBias(caffe2::OperatorBase* op, int index, int64_t count) {
  const std::string& name = op->debug_def().input(index);
  const auto enforce_count = [&](const caffe2::Tensor& bias) {
    CAFFE_ENFORCE(bias.numel() == count, op->type(), ": bias '", name, "' has ",
                  bias.numel(), " values, expected ", count,
                  ", one of each output channel");
  };
  ConvBias result;
  if (!op->InputIsType<Int8TensorCPU>(index)) {
    const caffe2::Tensor& bias = FloatInput(op, index);
    enforce_count(bias);
    const auto* const values = bias.data<float>();
    const auto extremes = kernels::MinMax(values, count);
    CAFFE_ENFORCE(extremes.left_out() == 0, op->type(), ": bias '", name,
                  "' has ", extremes.left_out(), " of ", count,
                  " values that are NaN or infinite, expected finite values");
    result.values.assign(values, values + count);
    return result;
  }
  const auto& bias = op->Input<Int8TensorCPU>(index);
  CAFFE_ENFORCE(bias.t.IsType<int32_t>(), op->type(), ": bias '", name,
                "' is an Int8TensorCPU of ", bias.t.dtype().name(),
                ", expected int32, or a float tensor");
  enforce_count(bias.t);
  CAFFE_ENFORCE(bias.zero_point == 0, op->type(), ": bias '", name,
                "' has the zero point ", bias.zero_point, ", expected 0");
  const auto* const codes = bias.t.data<int32_t>();
  result.is_codes = true;
  result.codes.assign(codes, codes + count);
  result.scale = bias.scale;
  return result;
}

ProductBias ConvBiasCodes(caffe2::OperatorBase* op, int index,
                          const ConvBias& bias, float x_scale,
                          const std::vector<float>& weight_scales,
                          bool any_scale) {
  if (!bias.is_codes) {
    return QuantizeBias(bias.values.data(), bias.values.size(), x_scale,
                        weight_scales);
  }
  for (const float weight_scale : weight_scales) {
    const float expected = x_scale * weight_scale;
    CAFFE_ENFORCE(
        any_scale || std::abs(bias.scale - expected) <= kBiasScaleTolerance,
        op->type(), ": bias '", op->debug_def().input(index),
        "' has the scale ", ShortestText(bias.scale),
        ", expected the input's times the filter's, ", ShortestText(expected));
  }
  return ConvertBias(bias.codes.data(), bias.codes.size(), {bias.scale},
                     x_scale, weight_scales);
}

}  // namespace caffe2_quantization
