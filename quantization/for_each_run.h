// Cuts a tensor with one parameter pair per set into pieces that the kernels
// take: quantizing, dequantizing and requantizing share ForEachRun().
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_FOR_EACH_RUN_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_FOR_EACH_RUN_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "quantization/kernels/quantize.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// The most values in a piece: their codes, with one parameter pair per value,
// fit into the first cache level beside what streams through it.
inline constexpr std::size_t kPieceValues = 2048;

// A piece: values [offset, offset + count), in runs of run_length that share a
// pair; run r has a[r] and b[r]. The next piece to be read, or one soon after,
// begins `ahead` values further on; 0: unknown.
template <typename A, typename B>
struct Piece {
  std::size_t offset, count, run_length;
  const A* a;
  const B* b;
  std::size_t ahead = 0;
};

// Calls body(piece) for pieces that together make up the tensor, in memory
// order if in_order. a and b hold one value per set. A run has at least
// kernels::kShortestFastRun values, or exactly one; for runs of one value the
// pairs are first spread out in memory.
template <typename A, typename B, typename Body>
class RunWalker {
 public:
  RunWalker(const ParameterSets& sets, const A* a, const B* b, bool in_order,
            const Body& body)
      : sets_(sets), a_(a), b_(b), in_order_(in_order), body_(body) {}

  void Walk() {
    const std::size_t channels = sets_.channels, inner = sets_.inner;
    const std::size_t outer = sets_.outer, row = channels * inner;
    if (outer * row == 0) return;
    if (sets_.block_size == 0) {
      if (channels == 1) {
        Runs(0, outer * inner, outer * inner, a_, b_);
      } else if (inner >= kShort) {
        for (std::size_t o = 0; o < outer; ++o) {
          Runs(o * row, row, inner, a_, b_);
        }
      } else if (row <= kPieceValues) {
        Rows();
      } else if (!in_order_) {
        Tiles();
      } else {
        Anything();
      }
      return;
    }
    const std::size_t block =
        std::min<std::size_t>(sets_.block_size, outer * inner);
    if (outer == 1 && block >= kShort) {
      for (std::size_t c = 0; c < channels; ++c) {
        Runs(c * inner, inner, block, a_ + c * sets_.blocks,
             b_ + c * sets_.blocks);
      }
    } else {
      Anything();
    }
  }

 private:
  static constexpr std::size_t kShort = kernels::kShortestFastRun;

  // Unless `ahead` says otherwise, the piece that follows in memory is the
  // next.
  void Emit(std::size_t offset, std::size_t count, std::size_t run_length,
            const A* a, const B* b) {
    Emit(offset, count, run_length, a, b, count);
  }
  void Emit(std::size_t offset, std::size_t count, std::size_t run_length,
            const A* a, const B* b, std::size_t ahead) {
    const std::size_t values = sets_.num_values();
    if (offset + ahead + count > values) ahead = 0;
    body_(Piece<A, B>{offset, count, run_length, a, b, ahead});
  }

  // Runs of consecutive sets.
  void Runs(std::size_t offset, std::size_t count, std::size_t run_length,
            const A* a, const B* b) {
    if (run_length > kPieceValues) {
      for (std::size_t end = offset + count; offset < end; ++a, ++b) {
        const std::size_t run_end = offset + std::min(run_length, end - offset);
        while (offset < run_end) {
          const std::size_t n = std::min(kPieceValues, run_end - offset);
          Emit(offset, n, n, a, b);
          offset += n;
        }
      }
      return;
    }
    const std::size_t runs = kPieceValues / run_length;
    const std::size_t step = runs * run_length;
    for (std::size_t i = 0; i * step < count; ++i) {
      Emit(offset + i * step, std::min(step, count - i * step), run_length,
           a + i * runs, b + i * runs);
    }
  }

  // Spreads out the pairs of `count` values of a row, from value `first` on.
  void Spread(std::size_t first, std::size_t count) {
    const std::size_t inner = sets_.inner, channels = sets_.channels;
    for (std::size_t i = 0; i < count; ++i) {
      spread_a_[i] = a_[(first + i) / inner % channels];
      spread_b_[i] = b_[(first + i) / inner % channels];
    }
  }

  // Short rows: a piece has as many whole rows as fit, and all pieces share the
  // pairs.
  void Rows() {
    const std::size_t row = sets_.channels * sets_.inner;
    const std::size_t count = sets_.outer * row;
    const std::size_t step = std::min(count, kPieceValues / row * row);
    Spread(0, step);
    for (std::size_t done = 0; done < count; done += step) {
      Emit(done, std::min(step, count - done), 1, spread_a_, spread_b_);
    }
  }

  // Long rows: the same part of every row, then the next part of every row.
  void Tiles() {
    const std::size_t outer = sets_.outer, row = sets_.channels * sets_.inner;
    for (std::size_t first = 0; first < row; first += kPieceValues) {
      const std::size_t count = std::min(kPieceValues, row - first);
      Spread(first, count);
      for (std::size_t o = 0; o < outer; ++o) {
        Emit(o * row + first, count, 1, spread_a_, spread_b_, row);
      }
    }
  }

  // Pairs spread out piece by piece.
  void Anything() {
    const std::size_t channels = sets_.channels, inner = sets_.inner;
    const std::size_t outer = sets_.outer;
    const std::size_t block =
        sets_.block_size == 0 ? outer * inner : sets_.block_size;
    std::size_t filled = 0, offset = 0;
    for (std::size_t o = 0; o < outer; ++o) {
      for (std::size_t c = 0; c < channels; ++c) {
        // `at` counts the channel's values in memory order.
        const std::size_t end = (o + 1) * inner;
        for (std::size_t at = o * inner; at < end;) {
          const std::size_t set = c * sets_.blocks + at / block;
          const std::size_t n =
              std::min({end - at, block - at % block, kPieceValues - filled});
          std::fill_n(spread_a_ + filled, n, a_[set]);
          std::fill_n(spread_b_ + filled, n, b_[set]);
          at += n;
          filled += n;
          if (filled < kPieceValues) continue;
          Emit(offset, filled, 1, spread_a_, spread_b_);
          offset += filled;
          filled = 0;
        }
      }
    }
    if (filled > 0) {
      Emit(offset, filled, 1, spread_a_, spread_b_);
    }
  }

  const ParameterSets& sets_;
  const A* const a_;
  const B* const b_;
  const bool in_order_;
  const Body& body_;
  alignas(kernels::kCacheLine) A spread_a_[kPieceValues];
  alignas(kernels::kCacheLine) B spread_b_[kPieceValues];
};

template <typename A, typename B, typename Body>
void ForEachRun(const ParameterSets& sets, const A* a, const B* b,
                bool in_order, const Body& body) {
  RunWalker<A, B, Body>(sets, a, b, in_order, body).Walk();
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_FOR_EACH_RUN_H_
