// Reads where the windows of a pool go (engine/window_geometry.h), and tells
// what they make of an input's shape.
//
// A pool has no dilation, and its padding is smaller than its kernel, as in the
// host's float operators. With global_pooling a kernel is not needed, whatever
// the rank; the host writes beyond its list of kernel sizes if that has fewer
// dimensions than the input.
//
// Thread rule: a value.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_POOLING_POOL_GEOMETRY_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_POOLING_POOL_GEOMETRY_H_

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/window_geometry.h"
#include "quantization/kernels/pool.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {

// A pool of one input.
struct PoolPlan {
  kernels::PoolShape shape;
  std::vector<int64_t> output_sizes;
};

class PoolGeometry {
 public:
  // Reads the arguments. An error names the argument, its value and what was
  // expected.
  static Status Read(const caffe2::OperatorDef& definition,
                     PoolGeometry* geometry);

  // Sets *plan for an input [N, C, in...] or, in the order NHWC, [N, in..., C].
  // The batch may be 0. An error names the tensor, its sizes and what was
  // expected.
  Status PlanFor(const NamedShape& x, PoolPlan* plan) const;

  // The number of values of a whole window; 0 with global pooling, where it is
  // the input's.
  int64_t kernel_values() const { return kernel_values_; }

  // Returns the definition with arguments that say the same to the host's float
  // operator, and never lead it out of bounds.
  caffe2::OperatorDef FloatDefinition(
      const caffe2::OperatorDef& definition) const;

 private:
  WindowGeometry windows_;
  int64_t kernel_values_ = 0;
};

// Calls body(begin, end) for lines of the output that make up all of them, on
// as many threads as are worth it. body must not throw.
template <class Body>
void ForEachPoolLine(const kernels::PoolShape& shape, const Body& body) {
  // Codes that one thread reads in the time that waking another one takes.
  constexpr int64_t kLeast = 1 << 18;
  // Without images the products of other sizes may pass 64 bits.
  if (shape.batch == 0) return;
  int64_t read = shape.line_size();
  for (int dim = 0; dim < 3; ++dim) {
    read *= std::min(shape.kernel[dim], shape.input[dim]);
  }
  ForEachItem(shape.lines(), read, kLeast, body);
}

// Writes all lines of the output to y, past the cache if it is too large for
// it: pool(begin, end, dst) computes lines begin to end, the first one at dst.
template <typename T, class Pool>
void WritePoolLines(const kernels::PoolShape& shape, T* y, const Pool& pool) {
  constexpr auto kCacheLine = static_cast<int64_t>(kernels::kCacheLine);
  constexpr int64_t kMostBytes = 1 << 16;
  constexpr int64_t kMost = kMostBytes / sizeof(T);
  if (shape.batch == 0) return;
  const int64_t size = shape.line_size();
  const int64_t bytes = size * static_cast<int64_t>(sizeof(T));
  // So many lines fill whole cache lines, and a buffer in the cache.
  const int64_t least = kCacheLine / std::gcd(bytes, kCacheLine);
  const bool streams = kernels::StreamsOutput(shape.lines() * bytes) &&
                       least * bytes <= kMostBytes;
  const int64_t some =
      streams ? std::max(kMostBytes / 4 / (least * bytes), int64_t{1}) * least
              : 0;
  ForEachPoolLine(shape, [&](int64_t begin, int64_t end) {
    const auto is_whole = [&](int64_t line) {
      return reinterpret_cast<uintptr_t>(y + line * size) % kCacheLine == 0;
    };
    int64_t head = begin;
    while (streams && head < end && head < begin + least && !is_whole(head)) {
      ++head;
    }
    if (!streams || head == end || !is_whole(head)) {
      return pool(begin, end, y + begin * size);
    }
    if (head > begin) pool(begin, head, y + begin * size);
    T buffer[kMost];
    while (head + least <= end) {
      const int64_t lines = std::min(some, (end - head) / least * least);
      pool(head, head + lines, buffer);
      kernels::StreamLines(buffer, lines * bytes, y + head * size);
      head += lines;
    }
    kernels::FlushStream();
    if (head < end) pool(head, end, y + head * size);
  });
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_POOLING_POOL_GEOMETRY_H_
