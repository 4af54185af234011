#include "quantization/channel_ranges.h"

#include <cstddef>

namespace caffe2_quantization {
namespace {

// Blocks of a channel below this are not worth a call of MinMax each; they are
// columns of a matrix.
constexpr std::size_t kShortBlock = 64;

}  // namespace

ChannelRanges FindChannelRanges(const float* src, const ChannelLayout& layout) {
  const auto outer = static_cast<std::size_t>(layout.outer);
  const auto channels = static_cast<std::size_t>(layout.channels);
  const auto inner = static_cast<std::size_t>(layout.inner);
  ChannelRanges found;
  if (inner == 1) {
    found.mins.resize(channels);
    found.maxs.resize(channels);
    found.all = kernels::MinMaxColumns(src, outer, channels, found.mins.data(),
                                       found.maxs.data());
    return found;
  }
  std::vector<kernels::FloatExtremes<float>> ranges(channels);
  if (inner < kShortBlock && outer > 1) {
    std::vector<float> mins(channels * inner);
    std::vector<float> maxs(channels * inner);
    found.all = kernels::MinMaxColumns(src, outer, channels * inner,
                                       mins.data(), maxs.data());
    for (std::size_t i = 0; i < channels * inner; ++i) {
      kernels::FloatExtremes<float> column;
      column.min = mins[i];
      column.max = maxs[i];
      kernels::Merge(column, &ranges[i / inner]);
    }
  } else {
    for (std::size_t o = 0; o < outer; ++o) {
      for (std::size_t c = 0; c < channels; ++c) {
        kernels::Merge(kernels::MinMax(src, inner), &ranges[c]);
        src += inner;
      }
    }
    for (const auto& range : ranges) kernels::Merge(range, &found.all);
  }
  for (const auto& range : ranges) {
    found.mins.push_back(range.min);
    found.maxs.push_back(range.max);
  }
  return found;
}

}  // namespace caffe2_quantization
