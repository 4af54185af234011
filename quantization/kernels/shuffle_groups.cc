// shuffle_groups.h in Highway: this file is compiled once per target.
//
// A tile is 16 channels of each of up to 16 groups, a row a group. Its rows are
// dealt as a pack of cards is (transpose.cc), after which each vector holds one
// or more turns, of one channel of each group; what lies between them, where
// groups are not a power of two, is squeezed out.
#include "quantization/kernels/shuffle_groups.h"

#include <algorithm>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/shuffle_groups.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void Shuffle(const uint8_t* src, int64_t count, int64_t groups,
             int64_t per_group, int64_t begin, int64_t end, uint8_t* dst) {
  reference::ShuffleGroups(src, count, groups, per_group, begin, end, dst);
}

#else

using D = hn::FixedTag<uint8_t, 16>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = 16;

// Deals kRows vectors: after log2(kRows) times vector i holds turns
// i * kLanes / kRows and on, of kRows bytes each.
template <int kRows>
HWY_INLINE void Deal(V* rows) {
  const D d;
  for (int step = 1; step < kRows; step *= 2) {
    V dealt[kRows];
    for (int i = 0; i < kRows / 2; ++i) {
      const V a = rows[i], b = rows[i + kRows / 2];
      dealt[2 * i] = hn::InterleaveLower(d, a, b);
      dealt[2 * i + 1] = hn::InterleaveUpper(d, a, b);
    }
    for (int i = 0; i < kRows; ++i) rows[i] = dealt[i];
  }
}

// Tiles of up to kRows groups, more than half of that.
template <int kRows>
class Tiles {
 public:
  Tiles(const uint8_t* src, int64_t count, int64_t groups, int64_t per_group)
      : src_(src), count_(count), groups_(groups), per_group_(per_group) {
    HWY_ALIGN uint8_t indices[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) {
      const int64_t turn = std::min(i / groups, kTurns - 1);
      indices[i] = static_cast<uint8_t>(turn * kRows + i % groups);
    }
    squeeze_ = hn::Load(D(), indices);
  }

  // Writes the turns of channels k to k + n of a pixel, n <= 16, to dst.
  // Returns false, and writes nothing, if it would read beyond src or write
  // beyond `room` bytes.
  HWY_INLINE bool Write(int64_t pixel, int64_t k, int64_t n, int64_t room,
                        uint8_t* dst) const {
    const int64_t first = pixel * groups_ * per_group_ + k;
    const int64_t vectors = (n + kTurns - 1) / kTurns;
    const int64_t step = kTurns * groups_;
    if (first + (groups_ - 1) * per_group_ + kLanes > count_ ||
        (vectors - 1) * step + kLanes > room) {
      return false;
    }
    const D d;
    V rows[kRows];
    for (int64_t g = 0; g < kRows; ++g) {
      // A row beyond the groups is squeezed out.
      const int64_t row = std::min(g, groups_ - 1);
      rows[g] = hn::LoadU(d, src_ + first + row * per_group_);
    }
    Deal<kRows>(rows);
    // What a vector writes beyond its turns the next one overwrites.
    for (int64_t i = 0; i < kRows; ++i) {
      if (i >= vectors) break;
      const V turns =
          groups_ == kRows ? rows[i] : hn::TableLookupBytes(rows[i], squeeze_);
      hn::StoreU(turns, d, dst + i * step);
    }
    return true;
  }

 private:
  static constexpr int64_t kTurns = kLanes / kRows;  // of a vector

  const uint8_t* const src_;
  const int64_t count_, groups_, per_group_;
  V squeeze_;
};

template <int kRows>
HWY_INLINE void ShuffleTiles(const uint8_t* src, int64_t count, int64_t groups,
                             int64_t per_group, int64_t begin, int64_t end,
                             uint8_t* dst) {
  const Tiles<kRows> tiles(src, count, groups, per_group);
  const int64_t channels = groups * per_group;
  const auto plain = [&](int64_t n) {
    reference::ShuffleGroups(src, count, groups, per_group, begin, begin + n,
                             dst);
    begin += n;
    dst += n;
  };
  // To the beginning of a turn.
  plain(std::min((groups - begin % groups) % groups, end - begin));
  int64_t pixel = begin / channels;
  int64_t k = begin % channels / groups;
  while (begin + groups <= end) {
    const int64_t n = std::min({kLanes, per_group - k, (end - begin) / groups});
    if (tiles.Write(pixel, k, n, end - begin, dst)) {
      begin += n * groups;
      dst += n * groups;
    } else {
      plain(n * groups);
    }
    k += n;
    if (k < per_group) continue;
    k = 0;
    ++pixel;
  }
  plain(end - begin);
}

void Shuffle(const uint8_t* HWY_RESTRICT src, int64_t count, int64_t groups,
             int64_t per_group, int64_t begin, int64_t end,
             uint8_t* HWY_RESTRICT dst) {
  const auto shuffle = groups <= 2    ? ShuffleTiles<2>
                       : groups <= 4  ? ShuffleTiles<4>
                       : groups <= 8  ? ShuffleTiles<8>
                       : groups <= 16 ? ShuffleTiles<16>
                                      : reference::ShuffleGroups<uint8_t>;
  shuffle(src, count, groups, per_group, begin, end, dst);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Shuffle);

void ShuffleGroups(const uint8_t* src, int64_t count, int64_t groups,
                   int64_t per_group, int64_t begin, int64_t end,
                   uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::ShuffleGroups(src, count, groups, per_group, begin, end,
                                    dst);
  }
  HWY_DYNAMIC_DISPATCH(Shuffle)
  (src, count, groups, per_group, begin, end, dst);
}

void ShuffleGroups(const uint16_t* src, int64_t count, int64_t groups,
                   int64_t per_group, int64_t begin, int64_t end,
                   uint16_t* dst) {
  reference::ShuffleGroups(src, count, groups, per_group, begin, end, dst);
}

void ShuffleGroups(const float* src, int64_t count, int64_t groups,
                   int64_t per_group, int64_t begin, int64_t end, float* dst) {
  reference::ShuffleGroups(src, count, groups, per_group, begin, end, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
