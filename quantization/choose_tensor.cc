#include "quantization/choose_tensor.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "quantization/channel_order.h"
#include "quantization/channel_ranges.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

std::string SetName(const ChannelOrder& order, Granularity granularity,
                    std::size_t set) {
  const std::string channel =
      "channel " + std::to_string(set / order.sets_per_channel());
  const std::string block =
      "block " + std::to_string(set % order.sets_per_channel());
  switch (granularity) {
    case Granularity::kTensor:
      return "tensor";
    case Granularity::kChannel:
      return channel;
    case Granularity::kBlock:
      return block;
    case Granularity::kChannelBlock:
      return channel + ", " + block;
  }
  return "";
}

Status NotFinite(const kernels::FloatExtremes<float>& found,
                 std::size_t count) {
  return Status::InvalidArgument(
      "choosing parameters: " + std::to_string(found.nan_count) + " NaN and " +
      std::to_string(found.left_out() - found.nan_count) + " infinite of " +
      std::to_string(count) + " values, expected finite values");
}

}  // namespace

Status ChooseForTensor(const float* values, const std::vector<int64_t>& shape,
                       const SetsOptions& sets, const ChooseOptions& options,
                       TensorChoice* choice) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(options.Validate());
  ChannelOrder order;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ChannelOrder::Of(
      shape, sets.granularity, sets.axis, sets.block_size, &order));
  TensorChoice result;
  result.sets.resize(order.size());
  const auto name = [&](std::size_t set) {
    return SetName(order, sets.granularity, set);
  };
  kernels::FloatExtremes<float> extremes;
  if (options.method == ChooseMethod::kMinMax &&
      sets.granularity == Granularity::kChannel && order.num_values() != 0) {
    const ChannelRanges found = FindChannelRanges(values, order.layout());
    extremes = found.all;
    if (extremes.left_out() != 0) {
      return NotFinite(extremes, order.num_values());
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ChooseFromRange(
          found.mins[i], found.maxs[i], options, &result.sets[i]));
    }
  } else {
    std::vector<float> buffer;
    const float* in_order = InChannelOrder(values, order.layout(), &buffer);
    extremes = kernels::MinMax(in_order, order.num_values());
    if (extremes.left_out() != 0) {
      return NotFinite(extremes, order.num_values());
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      const ChannelOrder::Run run = order.RunOf(i);
      const Status status = ChooseFromArray(in_order + run.begin, run.size,
                                            options, &result.sets[i]);
      if (!status.ok()) {
        return Status::InvalidArgument(name(i) + ": " + status.message());
      }
    }
  }

  QuantizationParams& params = result.params;
  params.type = options.Codes();
  params.granularity = sets.granularity;
  params.axis = order.by_channel() ? sets.axis : 0;
  params.block_size = order.by_block() ? sets.block_size : 0;
  params.scales.clear();
  params.zero_points.clear();
  params.symmetry =
      options.preserve_sparsity || options.method == ChooseMethod::kMse
          ? Symmetry::kSymmetric
          : Symmetry::kAsymmetric;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Choice& set = result.sets[i];
    params.scales.push_back(set.scale);
    params.zero_points.push_back(set.zero_point);
    if (!set.warning.empty()) {
      result.warnings.push_back(name(i) + ": " + set.warning);
    }
  }
  if (order.num_values() != 0) {
    params.min = extremes.min;
    params.max = extremes.max;
  }
  *choice = std::move(result);
  return Status::Ok();
}

Status ClipToRepresented(const float* src, const std::vector<int64_t>& shape,
                         const QuantizationParams& params, float* dst) {
  ChannelOrder order;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ChannelOrder::Of(shape, params, &order));
  std::vector<float> lowest, highest;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const double scale = params.scales[i];
    const double zero_point = params.zero_points[i];
    lowest.push_back(
        static_cast<float>(scale * (params.type.qmin() - zero_point)));
    highest.push_back(
        static_cast<float>(scale * (params.type.qmax() - zero_point)));
  }
  const ChannelLayout& layout = order.layout();
  const auto inner = static_cast<std::size_t>(layout.inner);
  for (int64_t o = 0; o < layout.outer; ++o) {
    for (int64_t c = 0; c < layout.channels; ++c) {
      // Within the channel these are the values from `at` on.
      std::size_t at = static_cast<std::size_t>(o) * inner;
      const std::size_t end = at + inner;
      while (at < end) {
        const std::size_t block = at / order.values_per_set();
        const std::size_t size =
            std::min(end, (block + 1) * order.values_per_set()) - at;
        const std::size_t set =
            static_cast<std::size_t>(c) * order.sets_per_channel() + block;
        for (std::size_t i = 0; i < size; ++i) {
          // A NaN fails both comparisons.
          const float x = src[i];
          dst[i] = x < lowest[set]    ? lowest[set]
                   : x > highest[set] ? highest[set]
                                      : x;
        }
        src += size;
        dst += size;
        at += size;
      }
    }
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
