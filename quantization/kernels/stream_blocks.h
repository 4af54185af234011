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
// `count` elements. T: uint8_t or uint16_t; dst is aligned to T. While a block
// is streamed, fetch(i, n) asks for what compute will read for elements i to
// i + n of the next one; n is some lines.
template <typename T, class Compute, class Fetch>
void WriteBlocks(int64_t count, bool streams, const Compute& compute, T* dst,
                 const Fetch& fetch) {
  constexpr auto kLine = static_cast<int64_t>(kCacheLine / sizeof(T));
  constexpr int64_t kBlock = 128 * kLine, kPiece = 8 * kLine;
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
    const int64_t next = i + n;
    for (int64_t k = 0; k < n; k += kPiece) {
      StreamLines(block + k, std::min(kPiece, n - k) * sizeof(T), dst + i + k);
      const int64_t ahead = std::min(kPiece, count - next - k);
      if (ahead > 0) fetch(next + k, ahead);
    }
    i = next;
  }
  FlushStream();
  if (i < count) compute(i, count - i, dst + i);
}

template <typename T, class Compute>
void WriteBlocks(int64_t count, bool streams, const Compute& compute, T* dst) {
  WriteBlocks(count, streams, compute, dst, [](int64_t, int64_t) {});
}

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_STREAM_BLOCKS_H_
