#include "operators/int8/elementwise/broadcast.h"

#include <utility>

#include "operators/enforce.h"

namespace caffe2_quantization {

Status Broadcast::OfEnds(at::IntArrayRef a, at::IntArrayRef b,
                         Broadcast* broadcast) {
  const std::size_t rank = std::max(a.size(), b.size());
  std::vector<int64_t> sizes(rank);
  std::vector<Loop> loops(rank);
  int64_t a_stride = 1, b_stride = 1;
  for (std::size_t i = 1; i <= rank; ++i) {
    const int64_t a_size = i <= a.size() ? a[a.size() - i] : 1;
    const int64_t b_size = i <= b.size() ? b[b.size() - i] : 1;
    if (a_size != b_size && a_size != 1 && b_size != 1) {
      return Refuse("A has sizes ", a, ", B ", b, ", of which ", a_size,
                    " and ", b_size,
                    " meet, expected sizes that are equal or 1, from the last "
                    "one on; or broadcast = 1");
    }
    const int64_t size = a_size == 1 ? b_size : a_size;
    sizes[rank - i] = size;
    loops[rank - i] = {size, a_size == size ? a_stride : 0,
                       b_size == size ? b_stride : 0};
    a_stride *= a_size;
    b_stride *= b_size;
  }
  return broadcast->Set(std::move(sizes), loops);
}

Status Broadcast::OfAxis(at::IntArrayRef a, at::IntArrayRef b, int64_t axis,
                         Broadcast* broadcast) {
  const auto refuse = [&](const auto&... expected) {
    return Refuse("A has sizes ", a, ", B ", b,
                  ", with broadcast = 1 and axis ", axis, ", expected ",
                  expected...);
  };
  if (c10::multiply_integers(b) == 1) {
    return broadcast->Set(a.vec(), {{c10::multiply_integers(a), 1, 0}});
  }
  const auto a_rank = static_cast<int64_t>(a.size());
  const auto b_rank = static_cast<int64_t>(b.size());
  if (b_rank > a_rank) return refuse("at most as many dimensions of B as of A");
  const int64_t begin = axis == -1 ? a_rank - b_rank : axis;
  if (begin < 0 || begin > a_rank - b_rank) {
    return refuse("an axis of -1, or 0 to ", a_rank - b_rank);
  }
  int64_t first = 0, last = b_rank - 1;
  while (first <= last && b[first] == 1) ++first;
  while (last > first && b[last] == 1) --last;
  int64_t before = 1, shared = 1, after = 1;
  for (int64_t i = 0; i < a_rank; ++i) {
    if (i < begin + first) {
      before *= a[i];
    } else if (i > begin + last) {
      after *= a[i];
    } else if (a[i] == b[i - begin]) {
      shared *= a[i];
    } else {
      return refuse("equal sizes from the axis on, where ", a[i], " and ",
                    b[i - begin], " meet");
    }
  }
  return broadcast->Set(
      a.vec(),
      {{before, shared * after, 0}, {shared, after, 1}, {after, 1, 0}});
}

Status Broadcast::Set(std::vector<int64_t> sizes,
                      const std::vector<Loop>& loops) {
  int64_t count = 1;
  for (const int64_t size : sizes) {
    if (__builtin_mul_overflow(count, size, &count)) {
      return Refuse("an output of sizes ", at::IntArrayRef(sizes),
                    " has more values than 64 bits count, expected fewer");
    }
  }
  loops_.clear();
  for (const Loop& loop : loops) {
    if (loop.size == 1) continue;
    // A loop goes on where the one inside it ends if both strides say so.
    Loop* const outer = loops_.empty() ? nullptr : &loops_.back();
    if (outer != nullptr && outer->a_stride == loop.a_stride * loop.size &&
        outer->b_stride == loop.b_stride * loop.size) {
      *outer = {outer->size * loop.size, loop.a_stride, loop.b_stride};
    } else {
      loops_.push_back(loop);
    }
  }
  if (loops_.empty()) loops_.push_back({1, 1, 1});
  sizes_ = std::move(sizes);
  count_ = count;
  return Status::Ok();
}

}  // namespace caffe2_quantization
