#include "quantization/choose_tensor.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "base/return_if_error.h"
#include "quantization/channel_order.h"
#include "quantization/channel_ranges.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

// So many empty channels may have parameters: they are no values' memory.
constexpr int64_t kMostEmptySets = int64_t{1} << 20;

std::string SetName(const ParameterSets& sets, Granularity granularity,
                    int64_t set) {
  const std::string channel = "channel " + std::to_string(set / sets.blocks);
  const std::string block = "block " + std::to_string(set % sets.blocks);
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

// What a symmetric tensor's zero points may be: the middle code, or an end of
// the codes where all values are on one side of 0.
bool IsSymmetric(int32_t zero_point, QuantizedType type) {
  return zero_point == (type.is_signed ? 0 : (type.qmax() + 1) / 2) ||
         zero_point == type.qmin() || zero_point == type.qmax();
}

}  // namespace

Status ChooseForTensor(const float* values, const std::vector<int64_t>& shape,
                       const SetsOptions& sets, const ChooseOptions& options,
                       TensorChoice* choice) {
  RETURN_IF_ERROR(options.Validate());
  TensorChoice result;
  QuantizationParams& params = result.params;
  params.type = options.Codes();
  params.granularity = sets.granularity;
  if (sets.granularity == Granularity::kChannel ||
      sets.granularity == Granularity::kChannelBlock) {
    params.axis = sets.axis;
  }
  if (sets.granularity == Granularity::kBlock ||
      sets.granularity == Granularity::kChannelBlock) {
    params.block_size = sets.block_size;
  }
  ParameterSets layout;
  int64_t num_sets = 0;
  RETURN_IF_ERROR(params.SetsFor(shape, &layout));
  RETURN_IF_ERROR(params.NumParameterSetsFor(shape, &num_sets));
  const auto num_values = static_cast<std::size_t>(layout.num_values());
  if (num_values == 0 && num_sets > kMostEmptySets) {
    return Status::OutOfRange(
        "choosing parameters: a tensor without values has " +
        std::to_string(num_sets) + " parameter sets, expected " +
        std::to_string(kMostEmptySets) + " at most");
  }
  result.sets.resize(static_cast<std::size_t>(num_sets));

  kernels::FloatExtremes<float> extremes;
  if (num_values == 0) {
    for (Choice& set : result.sets) {
      RETURN_IF_ERROR(ChooseFromRange(0, 0, options, &set));
    }
  } else if (options.method == ChooseMethod::kMinMax &&
             sets.granularity == Granularity::kChannel) {
    const ChannelRanges found = FindChannelRanges(
        values, {layout.outer, layout.channels, layout.inner});
    extremes = found.all;
    if (extremes.left_out() != 0) return NotFinite(extremes, num_values);
    for (std::size_t i = 0; i < result.sets.size(); ++i) {
      RETURN_IF_ERROR(ChooseFromRange(found.mins[i], found.maxs[i], options,
                                      &result.sets[i]));
    }
  } else {
    std::vector<float> buffer;
    const float* in_order = InChannelOrder(values, layout, &buffer);
    extremes = kernels::MinMax(in_order, num_values);
    if (extremes.left_out() != 0) return NotFinite(extremes, num_values);
    for (int64_t i = 0; i < num_sets; ++i) {
      const SetRun run = RunOfSet(layout, i);
      RETURN_IF_ERROR(
          ChooseFromArray(in_order + run.begin, run.size, options,
                          &result.sets[static_cast<std::size_t>(i)]));
    }
  }

  bool symmetric = options.preserve_sparsity;
  params.scales.clear();
  params.zero_points.clear();
  for (int64_t i = 0; i < num_sets; ++i) {
    const Choice& set = result.sets[static_cast<std::size_t>(i)];
    params.scales.push_back(set.scale);
    params.zero_points.push_back(set.zero_point);
    symmetric = symmetric && IsSymmetric(set.zero_point, params.type);
    if (!set.warning.empty()) {
      result.warnings.push_back(SetName(layout, sets.granularity, i) + ": " +
                                set.warning);
    }
  }
  params.symmetry = symmetric ? Symmetry::kSymmetric : Symmetry::kAsymmetric;
  if (num_values != 0) {
    params.min = extremes.min;
    params.max = extremes.max;
  }
  RETURN_IF_ERROR(params.ValidateFor(shape));
  *choice = std::move(result);
  return Status::Ok();
}

Status ClipToRepresented(const float* src, const std::vector<int64_t>& shape,
                         const QuantizationParams& params, float* dst) {
  RETURN_IF_ERROR(params.ValidateFor(shape));
  ParameterSets layout;
  RETURN_IF_ERROR(params.SetsFor(shape, &layout));
  if (layout.num_values() == 0) return Status::Ok();
  for (int64_t o = 0; o < layout.outer; ++o) {
    for (int64_t c = 0; c < layout.channels; ++c) {
      // Within the channel these are the values from `at` on.
      const int64_t end = (o + 1) * layout.inner;
      int64_t at = end - layout.inner;
      while (at < end) {
        const int64_t block =
            layout.block_size == 0 ? 0 : at / layout.block_size;
        const int64_t size =
            layout.block_size == 0
                ? end - at
                : std::min(end, (block + 1) * layout.block_size) - at;
        const auto set = static_cast<std::size_t>(c * layout.blocks + block);
        const float lowest = params.RepresentedMin(set);
        const float highest = params.RepresentedMax(set);
        for (int64_t i = 0; i < size; ++i) {
          // A NaN fails both comparisons.
          const float x = src[i];
          dst[i] = x < lowest ? lowest : x > highest ? highest : x;
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
