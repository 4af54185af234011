// WriteBlocks: writes an output that is too large for the cache past it, from
// blocks that are computed in the first cache level.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_STREAM_BLOCKS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_STREAM_BLOCKS_H_

#include <algorithm>
#include <cstdint>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/quantize.h"

namespace caffe2_quantization {
namespace kernels {

// Whether an output of so many bytes is better written past the cache. One that
// is written over its input is not: its lines are in the cache already.
inline bool StreamsOutput(int64_t bytes) {
  return bytes > static_cast<int64_t>(LastLevelCacheBytes() / 2);
}

// Calls compute(i, n, T* out), which writes elements i to i + n, until dst has
// `count` elements. T: uint8_t or uint16_t; dst is aligned to T.
template <typename T, class Compute>
void WriteBlocks(int64_t count, bool streams, const Compute& compute, T* dst) {
  constexpr auto kLine = static_cast<int64_t>(kCacheLine / sizeof(T));
  constexpr int64_t kBlock = 128 * kLine;
  const auto offset =
      static_cast<int64_t>(reinterpret_cast<uintptr_t>(dst) % kCacheLine);
  const int64_t head =
      offset == 0 ? 0 : kLine - offset / static_cast<int64_t>(sizeof(T));
  if (!streams || count < head + kBlock) {
    if (count > 0) compute(int64_t{0}, count, dst);
    return;
  }
  if (head > 0) compute(int64_t{0}, head, dst);
  alignas(kCacheLine) T block[kBlock];
  int64_t i = head;
  while (i + kLine <= count) {
    const int64_t n = std::min(kBlock, (count - i) / kLine * kLine);
    compute(i, n, static_cast<T*>(block));
    StreamLines(block, n * sizeof(T), dst + i);
    i += n;
  }
  FlushStream();
  if (i < count) compute(i, count - i, dst + i);
}

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_STREAM_BLOCKS_H_
