// Broadcast: how an operator with two operands, A and B, repeats the values of
// one for the other; and BroadcastTiles, which gives a kernel both as arrays of
// one length.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_BROADCAST_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_BROADCAST_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "c10/util/ArrayRef.h"

namespace caffe2_quantization {

// The output is a nest of loops. In each, an operand goes on by its stride, or
// stays where it is: stride 0. Thread rule: a value.
class Broadcast {
 public:
  struct Loop {
    int64_t size, a_stride, b_stride;
  };

  // Makes *broadcast for sizes that are aligned at their ends, as numpy has it:
  // two sizes are equal, or one of them is 1.
  static Status OfEnds(at::IntArrayRef a, at::IntArrayRef b,
                       Broadcast* broadcast);
  // Makes *broadcast by the host's argument `broadcast`: the output has A's
  // sizes. B has one value, or its sizes are those of A from dimension `axis`
  // on (-1: its last ones), but for sizes 1 at both of its ends.
  static Status OfAxis(at::IntArrayRef a, at::IntArrayRef b, int64_t axis,
                       Broadcast* broadcast);

  const std::vector<int64_t>& sizes() const { return sizes_; }  // the output's
  int64_t count() const { return count_; }
  // From the outermost to the innermost. There is one or more, none of size 1
  // unless it is the only one, and no two could be one loop.
  const std::vector<Loop>& loops() const { return loops_; }

 private:
  Status Set(std::vector<int64_t> sizes, const std::vector<Loop>& loops);

  std::vector<int64_t> sizes_ = {0};
  int64_t count_ = 0;
  std::vector<Loop> loops_ = {{0, 1, 1}};
};

// Gives the operands' values for a part of the output. The output is cut into
// tiles, each some steps of one loop with all of the loops inside it. Where an
// operand's values for a tile do not follow each other in memory, they are
// copied into a buffer, which serves as long as the tiles to come repeat them.
//
// T: a type that can be copied. Thread rule: one thread at a time; parts of an
// output on several threads have one each.
template <typename T>
class BroadcastTiles {
 public:
  // The broadcast and the operands must outlive it; the output is not empty.
  BroadcastTiles(const Broadcast& broadcast, const T* a, const T* b);

  // Calls body(a, b, i, n), in order, for pieces that make up elements `first`
  // to first + count of the output: a[k] and b[k] are the operands of element
  // i + k, for k < n.
  template <class Body>
  void ForEach(int64_t first, int64_t count, const Body& body);

 private:
  // What fits into the first cache level beside the other operand and the
  // output. A tile has more values only if both operands are read in place.
  static constexpr int64_t kTile = 8192;

  struct Operand {
    const T* values;
    int64_t Broadcast::Loop::*stride;
    bool is_contiguous = false;  // in a tile
    // What the buffer holds: `steps` steps of the loop that is cut, from here.
    const T* buffered = nullptr;
    int64_t steps = 0;
    T buffer[kTile];
  };

  // Whether the loops from cut_ on read the operand's values one by one.
  bool IsContiguous(const Operand& operand) const;
  // Returns the values of the tile of `steps` steps that begins at `values`.
  const T* Tile(const T* values, int64_t steps, Operand* operand);
  // Writes what the loops from `loop` on read, from src, for `steps` steps of
  // the first of them, to dst; returns its end.
  T* Expand(const Operand& operand, std::size_t loop, int64_t steps,
            const T* src, T* dst) const;

  const std::vector<Broadcast::Loop>& loops_;
  Operand a_, b_;
  std::size_t cut_;     // the loop of which a tile has some steps
  int64_t steps_;       // how many, unless it is the last of the loop
  int64_t inside_ = 1;  // values of one step
};

template <typename T>
BroadcastTiles<T>::BroadcastTiles(const Broadcast& broadcast, const T* a,
                                  const T* b)
    : loops_(broadcast.loops()), cut_(loops_.size() - 1) {
  a_.values = a;
  a_.stride = &Broadcast::Loop::a_stride;
  b_.values = b;
  b_.stride = &Broadcast::Loop::b_stride;
  while (cut_ > 0 && inside_ * loops_[cut_].size <= kTile) {
    inside_ *= loops_[cut_--].size;
  }
  steps_ = loops_[cut_].size;
  a_.is_contiguous = IsContiguous(a_);
  b_.is_contiguous = IsContiguous(b_);
  if (a_.is_contiguous && b_.is_contiguous) return;
  steps_ = std::min(steps_, std::max<int64_t>(kTile / inside_, 1));
}

template <typename T>
bool BroadcastTiles<T>::IsContiguous(const Operand& operand) const {
  int64_t inside = 1;
  for (std::size_t i = loops_.size(); i-- > cut_;) {
    if (loops_[i].*operand.stride != inside) return false;
    inside *= loops_[i].size;
  }
  return true;
}

template <typename T>
template <class Body>
void BroadcastTiles<T>::ForEach(int64_t first, int64_t count,
                                const Body& body) {
  const int64_t cut_size = loops_[cut_].size;
  const int64_t row = cut_size * inside_, tile = steps_ * inside_;
  const int64_t end = first + count;
  for (int64_t i = first; i < end;) {
    // Where the tile of element i begins.
    const int64_t in_row = i % row, step = in_row / tile * steps_;
    const T* a = a_.values + step * loops_[cut_].a_stride;
    const T* b = b_.values + step * loops_[cut_].b_stride;
    int64_t outside = i / row;
    for (std::size_t k = cut_; k-- > 0; outside /= loops_[k].size) {
      a += outside % loops_[k].size * loops_[k].a_stride;
      b += outside % loops_[k].size * loops_[k].b_stride;
    }
    const int64_t steps = std::min(steps_, cut_size - step);
    const int64_t offset = in_row % tile;
    const int64_t n = std::min(steps * inside_ - offset, end - i);
    body(Tile(a, steps, &a_) + offset, Tile(b, steps, &b_) + offset, i, n);
    i += n;
  }
}

template <typename T>
const T* BroadcastTiles<T>::Tile(const T* values, int64_t steps,
                                 Operand* operand) {
  if (operand->is_contiguous) return values;
  if (operand->buffered != values || operand->steps < steps) {
    Expand(*operand, cut_, steps, values, operand->buffer);
    operand->buffered = values;
    operand->steps = steps;
  }
  return operand->buffer;
}

template <typename T>
T* BroadcastTiles<T>::Expand(const Operand& operand, std::size_t loop,
                             int64_t steps, const T* src, T* dst) const {
  const int64_t stride = loops_[loop].*operand.stride;
  const bool is_innermost = loop + 1 == loops_.size();
  if (is_innermost && stride == 0) return std::fill_n(dst, steps, *src);
  if (is_innermost) return std::copy_n(src, steps, dst);
  const int64_t inner_steps = loops_[loop + 1].size;
  if (stride != 0) {
    for (int64_t i = 0; i < steps; ++i) {
      dst = Expand(operand, loop + 1, inner_steps, src + i * stride, dst);
    }
    return dst;
  }
  // One step, and copies of it, twice as many each time.
  const int64_t step = Expand(operand, loop + 1, inner_steps, src, dst) - dst;
  for (int64_t done = 1; done < steps; done *= 2) {
    std::copy_n(dst, std::min(done, steps - done) * step, dst + done * step);
  }
  return dst + steps * step;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_BROADCAST_H_
