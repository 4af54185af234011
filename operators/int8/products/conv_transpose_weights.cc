#include "operators/int8/products/conv_transpose_weights.h"

#include <algorithm>
#include <utility>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

// [C, M / group, kernel...] or [C, kernel..., M / group] as [M, kernel...,
// C / group].
template <typename E>
void OrderForConvolution(const E* src, const ConvTransposeShape& shape,
                         E* dst) {
  const int64_t taps = shape.kernel[0] * shape.kernel[1];
  const int64_t outputs = shape.out_channels / shape.groups;
  const int64_t inputs = shape.in_channels / shape.groups;
  for (int64_t c = 0; c < shape.in_channels; ++c) {
    const int64_t first = c / inputs * outputs;
    for (int64_t m = 0; m < outputs; ++m) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t from = shape.channels_first
                                 ? (c * outputs + m) * taps + tap
                                 : (c * taps + tap) * outputs + m;
        dst[((first + m) * taps + tap) * inputs + c % inputs] = src[from];
      }
    }
  }
}

// The filter in the order above; it lives in *floats or *codes.
WeightValues Ordered(const WeightValues& filter,
                     const ConvTransposeShape& shape, caffe2::Tensor* floats,
                     caffe2::int8::Int8TensorCPU* codes) {
  const std::vector<int64_t> sizes = {shape.out_channels, shape.kernel[0],
                                      shape.kernel[1],
                                      shape.in_channels / shape.groups};
  WeightValues ordered;
  if (filter.floats != nullptr) {
    floats->Resize(sizes);
    OrderForConvolution(filter.floats->data<float>(), shape,
                        floats->mutable_data<float>());
    ordered.floats = floats;
    return ordered;
  }
  const auto& from = *filter.codes;
  codes->scale = from.scale;
  codes->zero_point = from.zero_point;
  codes->t.Resize(sizes);
  const auto order = [&](auto type) {
    using E = decltype(type);
    OrderForConvolution(from.t.data<E>(), shape, codes->t.mutable_data<E>());
  };
  if (from.t.IsType<uint8_t>()) {
    order(uint8_t{});
  } else if (from.t.IsType<uint16_t>()) {
    order(uint16_t{});
  } else {
    return filter;  // which is refused for its type
  }
  ordered.codes = codes;
  return ordered;
}

// The codes of a phase: its taps in reverse order, or its sets' zero points.
template <typename T>
std::vector<T> PhaseCodes(const QuantizedWeights<T>& all,
                          const ConvTransposeShape& shape,
                          const ConvTransposePhase& phase) {
  const int64_t inputs = shape.in_channels / shape.groups;
  const int64_t per_set =
      shape.out_channels / static_cast<int64_t>(all.zero_points.size());
  std::vector<T> codes;
  codes.reserve(shape.out_channels * phase.taps[0] * phase.taps[1] * inputs);
  for (int64_t m = 0; m < shape.out_channels; ++m) {
    if (!phase.has_taps) {
      codes.insert(codes.end(), inputs,
                   static_cast<T>(all.zero_points[m / per_set]));
      continue;
    }
    for (int64_t u = phase.taps[0] - 1; u >= 0; --u) {
      const int64_t row = phase.residue[0] + shape.stride[0] * u;
      for (int64_t v = phase.taps[1] - 1; v >= 0; --v) {
        const int64_t column = phase.residue[1] + shape.stride[1] * v;
        const T* const tap =
            all.codes.data() +
            ((m * shape.kernel[0] + row) * shape.kernel[1] + column) * inputs;
        codes.insert(codes.end(), tap, tap + inputs);
      }
    }
  }
  return codes;
}

}  // namespace

template <typename T>
Status MakeConvTransposeWeights(
    const WeightValues& filter, const ConvTransposeShape& shape,
    const ConvWeightsOptions& options,
    std::shared_ptr<const ConvTransposeWeights<T>>* weights) {
  const auto make = [&](QuantizedWeights<T> quantized,
                        ConvTransposeWeights<T>* made) -> Status {
    made->scales = quantized.scales;
    for (const ConvTransposePhase& phase : shape.Phases()) {
      onednn::ConvolutionShape convolution;
      shape.ConvolutionOf(phase, &convolution);
      ConvWeights<T> of_phase;
      of_phase.quantized = {PhaseCodes(quantized, shape, phase),
                            quantized.scales, quantized.zero_points};
      std::vector<T>& codes = of_phase.quantized.codes;
      of_phase.n = shape.out_channels;
      of_phase.k = static_cast<int64_t>(codes.size()) / of_phase.n;
      if constexpr (sizeof(T) == 1) {
        RETURN_IF_ERROR(onednn::PackedFilter::Pack(codes.data(), convolution,
                                                   quantized.zero_points,
                                                   &of_phase.packed));
        of_phase.column_sums = of_phase.packed->column_sums();
        std::vector<T>().swap(codes);
      } else {
        of_phase.column_sums = RowSums(codes.data(), of_phase.n, of_phase.k);
      }
      made->phases.push_back(std::move(of_phase));
    }
    return Status::Ok();
  };
  const int64_t sets =
      options.granularity == ConvGranularity::kChannel ? shape.out_channels
      : options.granularity == ConvGranularity::kGroup ? shape.groups
                                                       : 1;
  caffe2::Tensor floats(caffe2::CPU);
  caffe2::int8::Int8TensorCPU codes;
  return MakeWeights<T>(Ordered(filter, shape, &floats, &codes),
                        shape.out_channels, sets, options.choose, options.share,
                        {shape.groups, shape.in_channels, shape.kernel[0],
                         shape.kernel[1], shape.stride[0], shape.stride[1]},
                        make, weights);
}

template Status MakeConvTransposeWeights(
    const WeightValues&, const ConvTransposeShape&, const ConvWeightsOptions&,
    std::shared_ptr<const ConvTransposeWeights<int8_t>>*);
template Status MakeConvTransposeWeights(
    const WeightValues&, const ConvTransposeShape&, const ConvWeightsOptions&,
    std::shared_ptr<const ConvTransposeWeights<int16_t>>*);

}  // namespace caffe2_quantization
