// scale_channels.h in Highway: this file is compiled once per target. Codes
// become floats, are multiplied and added to, and are rounded; the few that lie
// so close to a tie that a float cannot tell are computed by the plain form.
#include "quantization/kernels/scale_channels.h"

#include <algorithm>
#include <cstring>

#include "quantization/kernels/byte_table.h"
#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/scale_channels.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "quantization/kernels/code_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void Interleaved(const ChannelScaling& scaling, const uint8_t* src,
                 int64_t first, int64_t count, uint8_t* dst) {
  reference::ScaleChannels(scaling, src, first, count, dst);
}

void Run(const ChannelScaling& scaling, int64_t channel, const uint8_t* src,
         int64_t count, uint8_t* dst) {
  for (int64_t i = 0; i < count; ++i) {
    dst[i] = reference::ScaledCode(scaling, channel, src[i]);
  }
}

#else

using DShort = hn::Repartition<int16_t, DI>;
using VShort = hn::Vec<DShort>;

// In each block of 16 bytes: of four vectors of lanes, each four codes, what
// PackFour has mixed.
HWY_INLINE hn::Vec<DBytes> MixedTable() {
  HWY_ALIGN static constexpr uint8_t kTable[16] = {0, 2, 4, 6, 8, 10, 12, 14,
                                                   1, 3, 5, 7, 9, 11, 13, 15};
  return hn::LoadDup128(DBytes(), kTable);
}

struct Channel {
  VF multiplier, offset, sure;
};

// Computes four vectors of codes.
class Scaler {
 public:
  explicit Scaler(const CodeRange& range)
      : magic_(hn::Set(DF(), 0x1.8p23f)),
        zero_point_(Short(range.zero_point)),
        low_(Short(range.qmin)),
        high_(Short(range.qmax)),
        table_(MixedTable()),
        order_(QuadsOrder()) {}

  static constexpr int64_t kVectors = 4;
  static int64_t Size() {
    return kVectors * static_cast<int64_t>(hn::Lanes(DI()));
  }

  // channels(k) returns those of vector k; plain(i) the code of element i. dst
  // may be src.
  template <class Channels, class Plain>
  HWY_INLINE void Scale(const uint8_t* src, const Channels& channels,
                        const Plain& plain, uint8_t* dst) const {
    const DF df;
    MF s0, s1, s2, s3;
    const auto lanes = static_cast<int64_t>(hn::Lanes(df));
    const VI c0 = Integers(src, channels(0), &s0);
    const VI c1 = Integers(src + lanes, channels(1), &s1);
    const VI c2 = Integers(src + 2 * lanes, channels(2), &s2);
    const VI c3 = Integers(src + 3 * lanes, channels(3), &s3);
    if (HWY_LIKELY(
            hn::AllTrue(df, hn::And(hn::And(s0, s1), hn::And(s2, s3))))) {
      return PackFour(c0, c1, c2, c3, dst);
    }
    HWY_ALIGN uint8_t codes[kVectors * hn::MaxLanes(DI())];
    PackFour(c0, c1, c2, c3, codes);
    const MF* const sure[kVectors] = {&s0, &s1, &s2, &s3};
    for (int64_t k = 0; k < kVectors; ++k) {
      uint8_t bits[8] = {};
      hn::StoreMaskBits(df, hn::Not(*sure[k]), bits);
      for (int64_t i = 0; i < lanes; ++i) {
        if (bits[i / 8] >> i % 8 & 1) {
          codes[k * lanes + i] = plain(k * lanes + i);
        }
      }
    }
    std::memcpy(dst, codes, kVectors * lanes);
  }

 private:
  static HWY_INLINE VShort Short(int32_t x) {
    return hn::Set(DShort(), static_cast<int16_t>(x));
  }

  // The nearest integers to values up to 2^22, ties to even; *sure tells where
  // they are without doubt.
  HWY_INLINE VI Integers(const uint8_t* src, const Channel& c, MF* sure) const {
    const DI di;
    const VF x = hn::ConvertTo(DF(), hn::PromoteTo(di, hn::LoadU(DB(), src)));
    const VF value = hn::MulAdd(x, c.multiplier, c.offset);
    const VF sum = hn::Add(value, magic_);
    const VF off = hn::Sub(value, hn::Sub(sum, magic_));
    *sure = hn::Le(hn::Abs(off), c.sure);
    return hn::Sub(hn::BitCast(di, sum), hn::BitCast(di, magic_));
  }

  HWY_INLINE VShort Codes(VI a, VI b) const {
    const VShort both = hn::ReorderDemote2To(DShort(), a, b);
    return hn::Min(hn::Max(hn::SaturatedAdd(both, zero_point_), low_), high_);
  }

  HWY_INLINE void PackFour(VI c0, VI c1, VI c2, VI c3, uint8_t* dst) const {
    const DI di;
    const DBytes bytes;
    const VShort mixed = hn::Or(Codes(c0, c1), hn::ShiftLeft<8>(Codes(c2, c3)));
    const VI quads = hn::BitCast(
        di, hn::TableLookupBytes(hn::BitCast(bytes, mixed), table_));
    hn::StoreU(hn::BitCast(bytes, hn::TableLookupLanes(quads, order_)), bytes,
               dst);
  }

  const VF magic_;
  const VShort zero_point_, low_, high_;
  const hn::Vec<DBytes> table_;
  const decltype(QuadsOrder()) order_;
};

// What is left at the end is computed in a block of its own.
template <class Body>
HWY_INLINE void ScaleRest(const uint8_t* src, int64_t count, const Body& body,
                          uint8_t* dst) {
  HWY_ALIGN uint8_t block[Scaler::kVectors * hn::MaxLanes(DI())] = {};
  std::memcpy(block, src, count);
  body(block, block);
  std::memcpy(dst, block, count);
}

// Element i has the channel (first + i) % period / repeats.
void Interleaved(const ChannelScaling& scaling, const uint8_t* src,
                 int64_t first, int64_t count, uint8_t* dst) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const Scaler scaler(scaling.range);
  const int64_t size = Scaler::Size();
  const int64_t step = size % scaling.period;
  int64_t at = first % scaling.period;
  const auto block = [&](const uint8_t* from, uint8_t* to) HWY_ATTR {
    scaler.Scale(
        from,
        [&](int64_t k) HWY_ATTR {
          const int64_t i = at + k * lanes;
          return Channel{hn::LoadU(df, scaling.multipliers.data() + i),
                         hn::LoadU(df, scaling.offsets.data() + i),
                         hn::LoadU(df, scaling.sure.data() + i)};
        },
        [&](int64_t i) HWY_ATTR {
          const int64_t channel = (at + i) % scaling.period / scaling.repeats;
          return reference::ScaledCode(scaling, channel, from[i]);
        },
        to);
  };
  int64_t i = 0;
  for (; i + size <= count; i += size) {
    block(src + i, dst + i);
    at += step;
    if (at >= scaling.period) at -= scaling.period;
  }
  if (i < count) ScaleRest(src + i, count - i, block, dst + i);
}

void Run(const ChannelScaling& scaling, int64_t channel, const uint8_t* src,
         int64_t count, uint8_t* dst) {
  const DF df;
  const Scaler scaler(scaling.range);
  const int64_t size = Scaler::Size();
  const int64_t at = channel * scaling.repeats;
  const Channel same{hn::Set(df, scaling.multipliers[at]),
                     hn::Set(df, scaling.offsets[at]),
                     hn::Set(df, scaling.sure[at])};
  const auto block = [&](const uint8_t* from, uint8_t* to) HWY_ATTR {
    scaler.Scale(
        from, [&](int64_t) HWY_ATTR { return same; },
        [&](int64_t i) HWY_ATTR {
          return reference::ScaledCode(scaling, channel, from[i]);
        },
        to);
  };
  int64_t i = 0;
  for (; i + size <= count; i += size) block(src + i, dst + i);
  if (i < count) ScaleRest(src + i, count - i, block, dst + i);
}

#endif  // HWY_TARGET

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Interleaved);
HWY_EXPORT(Run);

namespace {

// From this length on a run is looked up in a table of its channel.
constexpr int64_t kShortestTableRun = 768;

struct AllCodes {
  constexpr AllCodes() {
    for (int i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
  }
  uint8_t codes[256] = {};
};
constexpr AllCodes kAllCodes;

}  // namespace

void ScaleChannels(const ChannelScaling& scaling, const uint8_t* src,
                   int64_t first, int64_t count, uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::ScaleChannels(scaling, src, first, count, dst);
  }
  if (scaling.repeats == scaling.inner) {
    return HWY_DYNAMIC_DISPATCH(Interleaved)(scaling, src, first, count, dst);
  }
  const int64_t end = first + count;
  while (first < end) {
    const int64_t run = first / scaling.inner;
    const int64_t channel = run % scaling.channels;
    const int64_t n = std::min(end, (run + 1) * scaling.inner) - first;
    if (n < kShortestTableRun) {
      HWY_DYNAMIC_DISPATCH(Run)(scaling, channel, src, n, dst);
    } else {
      uint8_t table[256];
      HWY_DYNAMIC_DISPATCH(Run)(scaling, channel, kAllCodes.codes, 256, table);
      LookUpBytes(src, n, table, dst);
    }
    first += n;
    src += n;
    dst += n;
  }
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
