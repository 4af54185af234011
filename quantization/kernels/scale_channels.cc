// scale_channels.h in Highway: this file is compiled once per target. Codes
// become floats, are multiplied and added to, and are rounded: twice, with the
// least and the largest number that the exact one may be. The few codes that
// differ are computed by the plain form. Highway 1.0 has no word for saturating
// 16 bits to bytes, hence the intrinsics.
#include "quantization/kernels/scale_channels.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "quantization/kernels/byte_table.h"
#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/scale_channels.cc"
#include "hwy/cache_control.h"
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

void Runs(const ChannelScaling& scaling, const uint8_t* src, int64_t first,
          int64_t count, uint8_t* dst) {
  reference::ScaleChannels(scaling, src, first, count, dst);
}

#else

using DShort = hn::Repartition<int16_t, DI>;
using VShort = hn::Vec<DShort>;
using VBytes = hn::Vec<DBytes>;

// Saturates to bytes: in each block of 16, those of a, then those of b.
HWY_INLINE VBytes ToBytes(VShort a, VShort b) {
#if HWY_TARGET == HWY_AVX2
  return VBytes{_mm256_packus_epi16(a.raw, b.raw)};
#else
  return VBytes{_mm512_packus_epi16(a.raw, b.raw)};
#endif
}

HWY_INLINE VI ToIntegers(VF x) {
#if HWY_TARGET == HWY_AVX2
  return VI{_mm256_cvtps_epi32(x.raw)};
#else
  return VI{_mm512_cvtps_epi32(x.raw)};
#endif
}

struct Channel {
  VF multiplier, low, high;
};

// The codes of four vectors, the lower and the upper ones.
struct TwoCodes {
  VI low, high;
};

// Computes blocks of four vectors of codes.
class Scaler {
 public:
  explicit Scaler(const CodeRange& range)
      : zero_point_(hn::Set(DShort(), static_cast<int16_t>(range.zero_point))),
        qmin_(hn::Set(DBytes(), static_cast<uint8_t>(range.qmin))),
        qmax_(hn::Set(DBytes(), static_cast<uint8_t>(range.qmax))),
        order_(QuadsOrder()) {}

  static constexpr int64_t kMost = 4 * hn::MaxLanes(DI());

  // channels(k) returns those of vector k; plain(i) the code of element i. dst
  // may be src.
  template <class Channels, class Plain>
  HWY_INLINE void Scale(const uint8_t* src, const Channels& channels,
                        const Plain& plain, uint8_t* dst) const {
    const DBytes bytes;
    const auto lanes = static_cast<int64_t>(hn::Lanes(DI()));
    const TwoCodes c0 = Round(src, channels(0));
    const TwoCodes c1 = Round(src + lanes, channels(1));
    const TwoCodes c2 = Round(src + 2 * lanes, channels(2));
    const TwoCodes c3 = Round(src + 3 * lanes, channels(3));
    const VBytes low = Codes(c0.low, c1.low, c2.low, c3.low);
    const VBytes high = Codes(c0.high, c1.high, c2.high, c3.high);
    const auto differ = hn::Ne(low, high);
    if (HWY_LIKELY(hn::AllFalse(bytes, differ))) {
      return hn::StoreU(InOrder(Cut(low)), bytes, dst);
    }
    HWY_ALIGN uint8_t codes[kMost], is_plain[kMost];
    hn::Store(InOrder(Cut(low)), bytes, codes);
    hn::Store(InOrder(hn::VecFromMask(bytes, differ)), bytes, is_plain);
    for (int64_t i = 0; i < 4 * lanes; ++i) {
      if (is_plain[i] != 0) codes[i] = plain(i);
    }
    std::memcpy(dst, codes, 4 * lanes);
  }

 private:
  // The nearest integers, ties to even.
  static HWY_INLINE TwoCodes Round(const uint8_t* src, const Channel& c) {
    const VF x = hn::ConvertTo(DF(), hn::PromoteTo(DI(), hn::LoadU(DB(), src)));
    return {ToIntegers(hn::MulAdd(x, c.multiplier, c.low)),
            ToIntegers(hn::MulAdd(x, c.multiplier, c.high))};
  }

  HWY_INLINE VBytes Codes(VI c0, VI c1, VI c2, VI c3) const {
    const DShort shorts;
    const VShort a = hn::ReorderDemote2To(shorts, c0, c1);
    const VShort b = hn::ReorderDemote2To(shorts, c2, c3);
    return ToBytes(hn::SaturatedAdd(a, zero_point_),
                   hn::SaturatedAdd(b, zero_point_));
  }

  HWY_INLINE VBytes Cut(VBytes codes) const {
    return hn::Min(hn::Max(codes, qmin_), qmax_);
  }

  // In each block of 16 there are four codes of each vector.
  HWY_INLINE VBytes InOrder(VBytes codes) const {
    return hn::BitCast(DBytes(),
                       hn::TableLookupLanes(hn::BitCast(DI(), codes), order_));
  }

  const VShort zero_point_;
  const VBytes qmin_, qmax_;
  const decltype(QuadsOrder()) order_;
};

// Fetches what will be read and written soon. What comes from memory waits for
// it otherwise: 64 MiB take 10.5 ms with this, 16 without.
HWY_INLINE void FetchAhead(const uint8_t* src, const uint8_t* dst) {
  constexpr int64_t kAhead = 2048;
  hwy::Prefetch(src + kAhead);
  hwy::Prefetch(dst + kAhead);
}

// What is left at the end is computed in a block of its own.
template <class Body>
HWY_INLINE void ScaleRest(const uint8_t* src, int64_t count, const Body& body,
                          uint8_t* dst) {
  HWY_ALIGN uint8_t block[Scaler::kMost] = {};
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
  const int64_t size = 4 * lanes;
  const int64_t step = size % scaling.period;
  int64_t at = first % scaling.period;
  const auto block = [&](const uint8_t* from, uint8_t* to) HWY_ATTR {
    scaler.Scale(
        from,
        [&](int64_t k) HWY_ATTR {
          const int64_t i = at + k * lanes;
          return Channel{hn::LoadU(df, scaling.multipliers.data() + i),
                         hn::LoadU(df, scaling.low_offsets.data() + i),
                         hn::LoadU(df, scaling.high_offsets.data() + i)};
        },
        [&](int64_t i) HWY_ATTR {
          const int64_t channel = (at + i) % scaling.period / scaling.repeats;
          return reference::ScaledCode(scaling, channel, from[i]);
        },
        to);
  };
  int64_t i = 0;
  for (; i + size <= count; i += size) {
    FetchAhead(src + i, dst + i);
    block(src + i, dst + i);
    at += step;
    if (at >= scaling.period) at -= scaling.period;
  }
  if (i < count) ScaleRest(src + i, count - i, block, dst + i);
}

#if HWY_TARGET == HWY_AVX3_DL
// From this length on a run is looked up in a table of its channel; without
// VBMI that is slower than computing it.
constexpr int64_t kShortestTableRun = 384;
#else
constexpr int64_t kShortestTableRun = std::numeric_limits<int64_t>::max();
#endif

// Runs of one channel each, in their order.
void Runs(const ChannelScaling& scaling, const uint8_t* src, int64_t first,
          int64_t count, uint8_t* dst) {
  const DF df;
  const Scaler scaler(scaling.range);
  const int64_t size = 4 * static_cast<int64_t>(hn::Lanes(df));
  uint8_t all_codes[256];
  for (int i = 0; i < 256; ++i) all_codes[i] = static_cast<uint8_t>(i);
  int64_t channel = first / scaling.inner % scaling.channels;
  int64_t run = scaling.inner - first % scaling.inner;
  for (int64_t i = 0; i < count;) {
    const int64_t end = std::min(i + run, count);
    const Channel same{hn::Set(df, scaling.multipliers[channel]),
                       hn::Set(df, scaling.low_offsets[channel]),
                       hn::Set(df, scaling.high_offsets[channel])};
    const auto block = [&](const uint8_t* from, uint8_t* to) HWY_ATTR {
      scaler.Scale(
          from, [&](int64_t) HWY_ATTR { return same; },
          [&](int64_t k) HWY_ATTR {
            return reference::ScaledCode(scaling, channel, from[k]);
          },
          to);
    };
    if (end - i >= kShortestTableRun) {
      uint8_t table[256];
      for (int64_t k = 0; k < 256; k += size) block(all_codes + k, table + k);
      LookUpBytes(src + i, end - i, table, dst + i);
      i = end;
    }
    for (; i + size <= end; i += size) {
      FetchAhead(src + i, dst + i);
      block(src + i, dst + i);
    }
    if (i < end) {
      // A block may reach into what follows, which is computed after it.
      if (i + size <= count && src != dst) {
        block(src + i, dst + i);
      } else {
        ScaleRest(src + i, end - i, block, dst + i);
      }
      i = end;
    }
    run = scaling.inner;
    if (++channel == scaling.channels) channel = 0;
  }
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
HWY_EXPORT(Runs);

void ScaleChannels(const ChannelScaling& scaling, const uint8_t* src,
                   int64_t first, int64_t count, uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::ScaleChannels(scaling, src, first, count, dst);
  }
  if (scaling.repeats == scaling.inner) {
    HWY_DYNAMIC_DISPATCH(Interleaved)(scaling, src, first, count, dst);
  } else {
    HWY_DYNAMIC_DISPATCH(Runs)(scaling, src, first, count, dst);
  }
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
