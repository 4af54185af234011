#include "quantization/channel_order.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

namespace caffe2_quantization {
namespace {

constexpr int64_t kMostValues = int64_t{1} << 62;

// *product *= factor, both 0 or more; false when it passes kMostValues.
bool Multiply(int64_t factor, int64_t* product) {
  return !__builtin_mul_overflow(*product, factor, product) &&
         *product <= kMostValues;
}

}  // namespace

Status CheckParameters(QuantizedType type, float scale, int32_t zero_point) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(type.Validate());
  if (!(scale > 0) || !std::isfinite(scale)) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.9g", scale);
    return Status::InvalidArgument("scale is " + std::string(text) +
                                   ", expected a positive finite number");
  }
  if (zero_point < type.qmin() || zero_point > type.qmax()) {
    return Status::InvalidArgument(
        "zero point is " + std::to_string(zero_point) + ", expected " +
        std::to_string(type.qmin()) + " to " + std::to_string(type.qmax()) +
        " of " + type.Name());
  }
  return Status::Ok();
}

Status ChannelOrder::Of(const std::vector<int64_t>& shape,
                        Granularity granularity, int axis, int64_t block_size,
                        ChannelOrder* order) {
  const bool by_channel = granularity == Granularity::kChannel ||
                          granularity == Granularity::kChannelBlock;
  const bool by_block = granularity == Granularity::kBlock ||
                        granularity == Granularity::kChannelBlock;
  const auto dimensions = static_cast<int64_t>(shape.size());
  if (by_channel && (axis < 0 || axis >= dimensions)) {
    return Status::InvalidArgument(
        "parameter sets: axis is " + std::to_string(axis) + ", but there are " +
        std::to_string(dimensions) + " dimensions, expected one of them");
  }
  if (by_block && block_size < 1) {
    return Status::InvalidArgument("parameter sets: block_size is " +
                                   std::to_string(block_size) +
                                   ", expected 1 or more");
  }
  ChannelOrder result;
  result.by_channel_ = by_channel;
  result.by_block_ = by_block;
  // Without the zeros, so that no order of the dimensions hides an overflow.
  int64_t product = 1;
  for (int64_t i = 0; i < dimensions; ++i) {
    const int64_t dimension = shape[static_cast<std::size_t>(i)];
    if (dimension < 0) {
      return Status::InvalidArgument(
          "parameter sets: dimension " + std::to_string(i) + " is " +
          std::to_string(dimension) + ", expected 0 or more");
    }
    if (!Multiply(std::max<int64_t>(dimension, 1), &product)) {
      return Status::OutOfRange(
          "parameter sets: the shape has more than 2^62 values, expected "
          "fewer");
    }
    if (by_channel && i == axis) {
      result.layout_.channels = dimension;
    } else if (by_channel && i < axis) {
      result.layout_.outer *= dimension;
    } else {
      result.layout_.inner *= dimension;
    }
  }
  // Dimensions beside a 0 say nothing about memory that is there.
  if (result.layout_.count() == 0) result.layout_ = {1, 1, 0};
  result.values_per_channel_ =
      static_cast<std::size_t>(result.layout_.outer * result.layout_.inner);
  result.values_per_set_ = std::max<std::size_t>(result.values_per_channel_, 1);
  if (by_block) {
    result.values_per_set_ =
        std::min(result.values_per_set_, static_cast<std::size_t>(block_size));
  }
  // Rounded up; values_per_set_ is no more than values_per_channel_ or 1.
  result.sets_per_channel_ = std::max<std::size_t>(
      (result.values_per_channel_ + result.values_per_set_ - 1) /
          result.values_per_set_,
      1);
  *order = result;
  return Status::Ok();
}

Status ChannelOrder::Of(const std::vector<int64_t>& shape,
                        const QuantizationParams& params, ChannelOrder* order) {
  ChannelOrder result;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      Of(shape, params.granularity, params.axis, params.block_size, &result));
  if (params.scales.size() != result.size() ||
      params.zero_points.size() != result.size()) {
    return Status::InvalidArgument(
        "parameter sets: there are " + std::to_string(params.scales.size()) +
        " scales and " + std::to_string(params.zero_points.size()) +
        " zero points, expected " + std::to_string(result.size()) +
        " of each for the shape");
  }
  for (std::size_t i = 0; i < result.size(); ++i) {
    const Status status =
        CheckParameters(params.type, params.scales[i], params.zero_points[i]);
    if (!status.ok()) {
      return Status::InvalidArgument("parameter set " + std::to_string(i) +
                                     ": " + status.message());
    }
  }
  *order = result;
  return Status::Ok();
}

ChannelOrder::Run ChannelOrder::RunOf(std::size_t set) const {
  const std::size_t first = set % sets_per_channel_ * values_per_set_;
  return {set / sets_per_channel_ * values_per_channel_ + first,
          std::min(values_per_set_, values_per_channel_ - first)};
}

const float* InChannelOrder(const float* src, const ChannelLayout& layout,
                            std::vector<float>* buffer) {
  if (layout.outer == 1 || layout.channels == 1) return src;
  const auto outer = static_cast<std::size_t>(layout.outer);
  const auto channels = static_cast<std::size_t>(layout.channels);
  const auto inner = static_cast<std::size_t>(layout.inner);
  buffer->resize(outer * channels * inner);
  // Tiles, so that neither side leaves the cache before its line is used up.
  constexpr std::size_t kTile = 32;
  for (std::size_t o0 = 0; o0 < outer; o0 += kTile) {
    const std::size_t o1 = std::min(o0 + kTile, outer);
    for (std::size_t c0 = 0; c0 < channels; c0 += kTile) {
      const std::size_t c1 = std::min(c0 + kTile, channels);
      for (std::size_t c = c0; c < c1; ++c) {
        for (std::size_t o = o0; o < o1; ++o) {
          std::copy_n(src + (o * channels + c) * inner, inner,
                      buffer->data() + (c * outer + o) * inner);
        }
      }
    }
  }
  return buffer->data();
}

}  // namespace caffe2_quantization
