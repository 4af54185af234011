// ForEachPart and WriteParts: divide a loop over values among the threads that
// an operator may use.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_PARTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_PARTS_H_

#include <algorithm>
#include <cstdint>

#include "base/status.h"
#include "quantization/kernels/stream_blocks.h"
#include "quantization/onednn/thread_share.h"

namespace caffe2_quantization {

// Calls body(begin, end) for parts that make up [0, count), at the same time on
// as many threads as there are parts; all of it on the calling thread if
// `count` is less than twice `least`, the fewest values that are worth a
// thread. Parts begin at multiples of 64. body must not throw.
template <class Body>
void ForEachPart(int64_t count, int64_t least, const Body& body) {
  const int64_t most = std::min<int64_t>(count / std::max<int64_t>(least, 1),
                                         onednn::MaxThreads());
  if (most < 2) return body(int64_t{0}, count);
  const onednn::ThreadShare share(static_cast<int>(most));
  const int64_t parts = share.count();
  const int64_t size = ((count + parts - 1) / parts + 63) / 64 * 64;
  const Status status =
      onednn::ParallelFor(parts, share.count(), [&](int64_t i) {
        const int64_t begin = std::min(i * size, count);
        const int64_t end = std::min(begin + size, count);
        if (begin < end) body(begin, end);
        return Status::Ok();
      });
  static_cast<void>(status);  // no part returns an error
}

// The same for `count` items of `values` values each, such as rows: body gets
// items. The least is of values.
template <class Body>
void ForEachItem(int64_t count, int64_t values, int64_t least,
                 const Body& body) {
  const auto item = [values](int64_t value) {
    return (value + values - 1) / values;
  };
  ForEachPart(count * values, least, [&](int64_t begin, int64_t end) {
    if (item(begin) < item(end)) body(item(begin), item(end));
  });
}

// Writes y[0] to y[count - 1], in parts on several threads, past the cache if
// `streams`: make() gives, on each thread, a function compute(i, n, out) that
// writes values i to i + n to out.
template <typename T, class Make>
void WriteParts(int64_t count, int64_t least, bool streams, const Make& make,
                T* y) {
  ForEachPart(count, least, [&](int64_t begin, int64_t end) {
    auto compute = make();
    kernels::WriteBlocks(
        end - begin, streams,
        [&](int64_t i, int64_t n, T* out) { compute(begin + i, n, out); },
        y + begin);
  });
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_PARTS_H_
