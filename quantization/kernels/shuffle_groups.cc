// shuffle_groups.h in Highway: this file is compiled once per target.
//
// A tile is a vector of channels of each of up to 16 groups, a row a group. Its
// rows are dealt as a pack of cards is (transpose.cc), in blocks of 16 bytes,
// after which each block holds one or more turns, of one channel of each group;
// what lies between them, where groups are not a power of two, is squeezed out.
// With VBMI one instruction deals four groups; Highway 1.0 has no word for it,
// hence the intrinsics.
#include "quantization/kernels/shuffle_groups.h"

#include <algorithm>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/shuffle_groups.cc"
#include "hwy/cache_control.h"
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

using Narrow = hn::FixedTag<uint8_t, 16>;
using Wide = hn::CappedTag<uint8_t, 32>;
constexpr int64_t kBlock = 16;

// Deals kRows vectors: after log2(kRows) times block b of vector i holds turns
// 16 * b + i * 16 / kRows and on, of kRows bytes each.
template <int kRows, class D>
HWY_INLINE void Deal(D d, hn::Vec<D>* rows) {
  for (int step = 1; step < kRows; step *= 2) {
    hn::Vec<D> dealt[kRows];
    for (int i = 0; i < kRows / 2; ++i) {
      const auto a = rows[i], b = rows[i + kRows / 2];
      dealt[2 * i] = hn::InterleaveLower(d, a, b);
      dealt[2 * i + 1] = hn::InterleaveUpper(d, a, b);
    }
    for (int i = 0; i < kRows; ++i) rows[i] = dealt[i];
  }
}

// Makes turns by tiles of up to kRows groups, more than half of that.
template <int kRows>
class Shuffler {
 public:
  Shuffler(const uint8_t* src, int64_t count, int64_t groups, int64_t per_group)
      : src_(src), count_(count), groups_(groups), per_group_(per_group) {
    for (int64_t i = 0; i < kBlock; ++i) {
      const int64_t turn = std::min(i / groups, kTurns - 1);
      squeeze_[i] = static_cast<uint8_t>(turn * kRows + i % groups);
    }
    // A row beyond the groups is squeezed out.
    for (int64_t g = 0; g < kRows; ++g) {
      offsets_[g] = std::min(g, groups - 1) * per_group;
    }
  }

  // Writes turns `begin` to `end` of a pixel to dst, where there is room for
  // so many bytes.
  HWY_INLINE void Pixel(int64_t pixel, int64_t begin, int64_t end, int64_t room,
                        uint8_t* dst) const {
    constexpr auto kWide = static_cast<int64_t>(hn::MaxLanes(Wide()));
    const int64_t beyond = groups_ == kRows ? 0 : kBlock;
    const uint8_t* src = src_ + pixel * groups_ * per_group_ + begin;
    int64_t left = end - begin;
    // As far ahead in src as in dst: a pixel is as long in both.
    const uint8_t* ahead = src + (groups_ - 1) * begin + kAhead;
    while (left >= kWide && kWide * groups_ + beyond <= room) {
      for (int64_t i = 0; i < kWide * kRows; i += kLine) {
        hwy::Prefetch(ahead + i);
        hwy::Prefetch(dst + kAhead + i);
      }
      ahead += kWide * groups_;
      Tile(Wide(), src, kRows, dst);
      src += kWide;
      dst += kWide * groups_;
      room -= kWide * groups_;
      left -= kWide;
    }
    // The last tile overlaps the one before it, rather than take two.
    if (left > kBlock && end - begin >= kWide &&
        left * groups_ + beyond <= room) {
      const int64_t back = kWide - left;
      return Tile(Wide(), src - back, kRows, dst - back * groups_);
    }
    while (left > 0) {
      const int64_t n = std::min(kBlock, left);
      // A tile may read beyond the end of a row, but not of src.
      if (src - src_ + (groups_ - 1) * per_group_ + kBlock <= count_ &&
          n * groups_ + kBlock <= room) {
        Tile(Narrow(), src, (n + kTurns - 1) / kTurns, dst);
      } else {
        const int64_t channels = groups_ * per_group_;
        const int64_t from = pixel * channels + (end - left) * groups_;
        reference::ShuffleGroups(src_, count_, groups_, per_group_, from,
                                 from + n * groups_, dst);
      }
      src += n;
      dst += n * groups_;
      room -= n * groups_;
      left -= n;
    }
  }

 private:
  static constexpr int64_t kTurns = kBlock / kRows;  // of a block
  static constexpr int64_t kAhead = 2048, kLine = 64;

  // Writes the turns of a vector of channels from src on; of its first
  // `vectors` vectors.
  template <class D>
  HWY_INLINE void Tile(D d, const uint8_t* HWY_RESTRICT src, int64_t vectors,
                       uint8_t* HWY_RESTRICT dst) const {
    hn::Vec<D> rows[kRows];
    for (int64_t g = 0; g < kRows; ++g) {
      rows[g] = hn::LoadU(d, src + offsets_[g]);
    }
    Deal<kRows>(d, rows);
    if (groups_ < kRows) {
      const auto squeeze = hn::LoadDup128(d, squeeze_);
      for (int64_t i = 0; i < kRows; ++i) {
        rows[i] = hn::TableLookupBytes(rows[i], squeeze);
      }
    }
    // What a block writes beyond its turns the next one overwrites.
    const int64_t step = kTurns * groups_;
    const Narrow block;
    if constexpr (sizeof(rows[0]) == kBlock) {
      for (int64_t i = 0; i < kRows; ++i) {
        if (i < vectors) hn::StoreU(rows[i], block, dst + i * step);
      }
    } else if (groups_ == kRows) {
      for (int64_t i = 0; i < kRows; i += 2) {
        hn::StoreU(hn::ConcatLowerLower(d, rows[i + 1], rows[i]), d,
                   dst + i * kBlock);
        hn::StoreU(hn::ConcatUpperUpper(d, rows[i + 1], rows[i]), d,
                   dst + (kRows + i) * kBlock);
      }
    } else {
      for (int64_t i = 0; i < kRows; ++i) {
        hn::StoreU(hn::LowerHalf(block, rows[i]), block, dst + i * step);
      }
      for (int64_t i = 0; i < kRows; ++i) {
        hn::StoreU(hn::UpperHalf(block, rows[i]), block,
                   dst + (kRows + i) * step);
      }
    }
  }

  const uint8_t* const src_;
  const int64_t count_, groups_, per_group_;
  HWY_ALIGN uint8_t squeeze_[kBlock];
  int64_t offsets_[kRows];
};

#if HWY_TARGET == HWY_AVX3_DL

// Makes turns of four groups.
class FourShuffler {
 public:
  FourShuffler(const uint8_t* src, int64_t /*count*/, int64_t /*groups*/,
               int64_t per_group)
      : src_(src), per_group_(per_group) {
    for (int64_t i = 0; i < 4 * kBlock; ++i) {
      order_[i] = static_cast<uint8_t>(i % 4 * kBlock + i / 4);
    }
  }

  // Writes turns `begin` to `end` of a pixel to dst, and nothing beyond them.
  HWY_INLINE void Pixel(int64_t pixel, int64_t begin, int64_t end,
                        int64_t /*room*/, uint8_t* HWY_RESTRICT dst) const {
    const __m512i order = _mm512_load_si512(order_);
    const uint8_t* HWY_RESTRICT src = src_ + pixel * 4 * per_group_ + begin;
    // A pixel is as long in src as in dst, so that a line ahead of each for a
    // line of dst fetches all. What comes from a farther cache level waits for
    // it otherwise, loads and stores alike.
    const uint8_t* ahead = src + 3 * begin + kAhead;
    int64_t left = end - begin;
    for (; left >= kBlock; left -= kBlock) {
      hwy::Prefetch(ahead);
      hwy::Prefetch(dst + kAhead);
      _mm512_storeu_si512(dst, Deal(order, src));
      src += kBlock;
      ahead += 4 * kBlock;
      dst += 4 * kBlock;
    }
    if (left == 0) return;
    // Whole blocks have no masks, with which they take half as long again.
    const auto mask = static_cast<__mmask16>(0xFFFF >> (kBlock - left));
    _mm512_mask_storeu_epi8(dst, ~uint64_t{0} >> (4 * (kBlock - left)),
                            Deal(order, src, mask));
  }

 private:
  static constexpr int64_t kAhead = 2048;

  static HWY_INLINE __m128i Load(const uint8_t* row) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
  }
  static HWY_INLINE __m128i Load(const uint8_t* row, __mmask16 mask) {
    return _mm_maskz_loadu_epi8(mask, row);
  }

  // The turns of a block of each row from src on, or of a part of it.
  template <class... Mask>
  HWY_INLINE __m512i Deal(__m512i order, const uint8_t* src,
                          Mask... mask) const {
    __m512i rows = _mm512_castsi128_si512(Load(src, mask...));
    rows = _mm512_inserti32x4(rows, Load(src + per_group_, mask...), 1);
    rows = _mm512_inserti32x4(rows, Load(src + 2 * per_group_, mask...), 2);
    rows = _mm512_inserti32x4(rows, Load(src + 3 * per_group_, mask...), 3);
    return _mm512_permutexvar_epi8(order, rows);
  }

  const uint8_t* const src_;
  const int64_t per_group_;
  HWY_ALIGN uint8_t order_[4 * kBlock];
};

#else

using FourShuffler = Shuffler<4>;

#endif

template <class AnyShuffler>
HWY_INLINE void ShuffleRows(const uint8_t* src, int64_t count, int64_t groups,
                            int64_t per_group, int64_t begin, int64_t end,
                            uint8_t* dst) {
  const AnyShuffler shuffler(src, count, groups, per_group);
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
  // Counted down: a division for each pixel takes longer than a short one.
  int64_t turns = (end - begin) / groups;
  while (turns > 0) {
    const int64_t n = std::min(per_group - k, turns);
    shuffler.Pixel(pixel, k, k + n, end - begin, dst);
    begin += n * groups;
    dst += n * groups;
    turns -= n;
    k = 0;
    ++pixel;
  }
  plain(end - begin);
}

void Shuffle(const uint8_t* HWY_RESTRICT src, int64_t count, int64_t groups,
             int64_t per_group, int64_t begin, int64_t end,
             uint8_t* HWY_RESTRICT dst) {
  const auto shuffle = groups <= 2    ? ShuffleRows<Shuffler<2> >
                       : groups == 3  ? ShuffleRows<Shuffler<4> >
                       : groups == 4  ? ShuffleRows<FourShuffler>
                       : groups <= 8  ? ShuffleRows<Shuffler<8> >
                       : groups <= 16 ? ShuffleRows<Shuffler<16> >
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
