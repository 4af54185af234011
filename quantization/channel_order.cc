#include "quantization/channel_order.h"

#include <algorithm>

namespace caffe2_quantization {

SetRun RunOfSet(const ParameterSets& sets, int64_t set) {
  const int64_t values_per_channel = sets.outer * sets.inner;
  const int64_t first = set % sets.blocks * sets.block_size;
  const int64_t left = values_per_channel - first;
  const int64_t size =
      sets.block_size == 0 ? left : std::min(left, sets.block_size);
  return {
      static_cast<std::size_t>(set / sets.blocks * values_per_channel + first),
      static_cast<std::size_t>(size)};
}

const float* InChannelOrder(const float* src, const ParameterSets& sets,
                            std::vector<float>* buffer) {
  if (sets.outer <= 1 || sets.channels == 1 || sets.num_values() == 0) {
    return src;
  }
  const auto outer = static_cast<std::size_t>(sets.outer);
  const auto channels = static_cast<std::size_t>(sets.channels);
  const auto inner = static_cast<std::size_t>(sets.inner);
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
