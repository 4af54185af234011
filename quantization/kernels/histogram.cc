// The histogram kernels in Highway: this file is compiled once per target.
#include "quantization/kernels/histogram.h"

#include <algorithm>
#include <memory>
#include <type_traits>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/histogram.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 2^exponent, a normal number.
template <typename T>
HWY_INLINE T PowerOfTwo(int exponent) {
  using U = hwy::MakeUnsigned<T>;
  const U bits = static_cast<U>(exponent + hwy::MaxExponentField<T>() / 2)
                 << hwy::MantissaBits<T>();
  T value;
  hwy::CopyBytes<sizeof(T)>(&bits, &value);
  return value;
}

// The floors of x * scale, as numbers; -2^31, which becomes kNoBin, where x is
// not finite.
template <class D>
HWY_INLINE hn::Vec<D> Floors(D d, hn::Vec<D> x, hn::Vec<D> scale) {
  const hn::RebindToSigned<D> di;
  using T = hn::TFromD<D>;
  using I = hn::TFromD<decltype(di)>;
  const auto bits = hn::BitCast(di, x);
  const auto floor = hn::Floor(hn::Mul(x, scale));
  // A negative number whose product vanished is in bin -1 all the same. Taking
  // 1 away leaves the sign of every negative pattern but that of -0.
  const auto is_negative = hn::RebindMask(
      d, hn::Lt(hn::And(bits, hn::Sub(bits, hn::Set(di, I{1}))), hn::Zero(di)));
  const auto lost = hn::And(is_negative, hn::Eq(floor, hn::Zero(d)));
  const auto magnitude = hn::And(bits, hn::Set(di, hwy::LimitsMax<I>()));
  const auto not_finite = hn::RebindMask(
      d, hn::Gt(magnitude,
                hn::Set(di, static_cast<I>(hwy::ExponentMask<T>() - 1))));
  return hn::IfThenElse(not_finite, hn::Set(d, static_cast<T>(kNoBin)),
                        hn::IfThenElse(lost, hn::Set(d, T{-1}), floor));
}

HWY_INLINE void StoreBins(hn::ScalableTag<float> /*d*/,
                          hn::Vec<hn::ScalableTag<float>> floors,
                          int32_t* bins) {
  const hn::ScalableTag<int32_t> di;
  hn::StoreU(hn::ConvertTo(di, floors), di, bins);
}
HWY_INLINE void StoreBins(hn::ScalableTag<double> /*d*/,
                          hn::Vec<hn::ScalableTag<double>> floors,
                          int32_t* bins) {
  const hn::Rebind<int32_t, hn::ScalableTag<double>> di;
  hn::StoreU(hn::DemoteTo(di, floors), di, bins);
}

template <typename T>
HWY_INLINE hn::Vec<hn::ScalableTag<T>> ValuesAt(const T* src) {
  return hn::LoadU(hn::ScalableTag<T>(), src);
}
#if HWY_TARGET <= HWY_AVX2  // below, Highway's conversion drops infinities
HWY_INLINE hn::Vec<hn::ScalableTag<float>> ValuesAt(const hwy::float16_t* src) {
  const hn::ScalableTag<float> d;
  return hn::PromoteTo(
      d, hn::LoadU(hn::Rebind<hwy::float16_t, decltype(d)>(), src));
}
#endif

// `count` is no smaller than a vector has lanes.
template <typename T, typename S>
HWY_INLINE void BinsOfFloats(const S* HWY_RESTRICT src, size_t count,
                             int exponent, int32_t* HWY_RESTRICT bins) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  // The largest exponent that has a normal inverse; further ones are shifts.
  const int own =
      std::min(exponent, static_cast<int>(hwy::MaxExponentField<T>() / 2 - 1));
  const auto scale = hn::Set(d, PowerOfTwo<T>(-own));
  size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    StoreBins(d, Floors(d, ValuesAt(src + i), scale), bins + i);
    StoreBins(d, Floors(d, ValuesAt(src + i + lanes), scale), bins + i + lanes);
  }
  for (; i < count; i += lanes) {
    // The last vector may overlap the one before it.
    const size_t at = std::min(i, count - lanes);
    StoreBins(d, Floors(d, ValuesAt(src + at), scale), bins + at);
  }
  if (own == exponent) return;
  for (i = 0; i < count; ++i) {
    if (bins[i] != kNoBin) bins[i] >>= std::min(exponent - own, 31);
  }
}

void BinsOf_float(const float* src, size_t count, int exponent, int32_t* bins) {
  if (count < hn::Lanes(hn::ScalableTag<float>())) {
    return reference::BinsOf(src, count, exponent, bins);
  }
  BinsOfFloats<float>(src, count, exponent, bins);
}

void BinsOf_double(const double* src, size_t count, int exponent,
                   int32_t* bins) {
  if (count < hn::Lanes(hn::ScalableTag<double>())) {
    return reference::BinsOf(src, count, exponent, bins);
  }
  BinsOfFloats<double>(src, count, exponent, bins);
}

void BinsOf_half(const uint16_t* src, size_t count, int exponent,
                 int32_t* bins) {
#if HWY_TARGET <= HWY_AVX2
  if (count >= hn::Lanes(hn::ScalableTag<float>())) {
    return BinsOfFloats<float>(reinterpret_cast<const hwy::float16_t*>(src),
                               count, exponent, bins);
  }
#endif
  reference::BinsOfHalf(src, count, exponent, bins);
}

// The compiler makes vectors of these.
template <typename T>
HWY_INLINE void BinsOfIntegers(const T* HWY_RESTRICT src, size_t count,
                               int exponent, int32_t* HWY_RESTRICT bins) {
  if (exponent < -31) {  // zeros alone can be in a bin that there is
    std::fill_n(bins, count, 0);
  } else if (exponent < 0) {
    for (size_t i = 0; i < count; ++i) {
      bins[i] =
          static_cast<int32_t>(static_cast<uint32_t>(src[i]) << -exponent);
    }
  } else {
    using Wide = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
    const int shift =
        std::min(exponent, static_cast<int>(sizeof(Wide)) * 8 - 1);
    for (size_t i = 0; i < count; ++i) {
      bins[i] = static_cast<int32_t>(static_cast<Wide>(src[i]) >> shift);
    }
  }
}

#define DEFINE(T)                                                            \
  void BinsOf_##T(const T* src, size_t count, int exponent, int32_t* bins) { \
    BinsOfIntegers(src, count, exponent, bins);                              \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

void FoldTable_ways(BinTable* table, uint32_t* sums) {
#if HWY_TARGET == HWY_SCALAR
  reference::FoldTable(table, sums);
#else
  static_assert(BinTable::kWays == 8, "a bin is 128 bits");
  const hn::ScalableTag<uint32_t> d;
  const hn::Repartition<uint16_t, decltype(d)> d16;
  const size_t lanes = hn::Lanes(d);
  const auto low_half = hn::Set(d, 0xffffu);
  HWY_ALIGN uint32_t lane_sums[hn::MaxLanes(d)];
  for (size_t i = 0; i < BinTable::kBins * BinTable::kWays; i += 2 * lanes) {
    const auto pairs = hn::BitCast(d, hn::Load(d16, table->counts + i));
    hn::Store(hn::Zero(d16), d16, table->counts + i);
    auto sum = hn::Add(hn::And(pairs, low_half), hn::ShiftRight<16>(pairs));
    sum = hn::Add(sum, hn::Shuffle2301(sum));
    sum = hn::Add(sum, hn::Shuffle1032(sum));
    hn::Store(sum, d, lane_sums);
    for (size_t k = 0; k < lanes / 4; ++k) {
      sums[i / BinTable::kWays + k] = lane_sums[4 * k];
    }
  }
#endif
}

void UniformBins(const float* HWY_RESTRICT src, size_t count, float min,
                 float max, size_t num_bins, int32_t* HWY_RESTRICT bins) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t lanes = hn::Lanes(d);
  const float width = (max - min) / static_cast<float>(num_bins);
  size_t i = 0;
  if (width != 0) {
    const auto vmin = hn::Set(d, min);
    const auto vwidth = hn::Set(d, width);
    const auto first = hn::Zero(di);
    const auto last = hn::Set(di, static_cast<int32_t>(num_bins) - 1);
    for (; i + lanes <= count; i += lanes) {
      const auto at = hn::Div(hn::Sub(hn::LoadU(d, src + i), vmin), vwidth);
      hn::StoreU(hn::Max(first, hn::Min(hn::ConvertTo(di, at), last)), di,
                 bins + i);
    }
  }
  reference::UniformBinsOf(src + i, count - i, min, max, num_bins, bins + i);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(BinsOf_float);
HWY_EXPORT(BinsOf_double);
HWY_EXPORT(BinsOf_half);
HWY_EXPORT(FoldTable_ways);
HWY_EXPORT(UniformBins);

void BinsOf(const float* src, std::size_t count, int exponent, int32_t* bins) {
  if (UseScalarReference()) {
    return reference::BinsOf(src, count, exponent, bins);
  }
  HWY_DYNAMIC_DISPATCH(BinsOf_float)(src, count, exponent, bins);
}

void BinsOf(const double* src, std::size_t count, int exponent, int32_t* bins) {
  if (UseScalarReference()) {
    return reference::BinsOf(src, count, exponent, bins);
  }
  HWY_DYNAMIC_DISPATCH(BinsOf_double)(src, count, exponent, bins);
}

void BinsOfHalf(const uint16_t* src, std::size_t count, int exponent,
                int32_t* bins) {
  if (UseScalarReference()) {
    return reference::BinsOfHalf(src, count, exponent, bins);
  }
  HWY_DYNAMIC_DISPATCH(BinsOf_half)(src, count, exponent, bins);
}

#define DEFINE(T)                                                             \
  HWY_EXPORT(BinsOf_##T);                                                     \
  void BinsOf(const T* src, std::size_t count, int exponent, int32_t* bins) { \
    if (UseScalarReference()) {                                               \
      return reference::BinsOf(src, count, exponent, bins);                   \
    }                                                                         \
    HWY_DYNAMIC_DISPATCH(BinsOf_##T)(src, count, exponent, bins);             \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

void CountBins(const int32_t* bins, std::size_t count, BinTable* table) {
  constexpr std::size_t kWays = BinTable::kWays;
  if (UseScalarReference()) return reference::CountBins(bins, count, table);
  uint16_t* const counts = table->counts;
  std::size_t i = 0;
  for (; i + kWays <= count; i += kWays) {
    for (std::size_t k = 0; k < kWays; ++k) {
      const std::size_t bin =
          static_cast<uint32_t>(bins[i + k]) % BinTable::kBins;
      ++counts[bin * kWays + k];
    }
  }
  reference::CountBins(bins + i, count - i, table);
}

void FoldTable(BinTable* table, uint32_t* sums) {
  if (UseScalarReference()) return reference::FoldTable(table, sums);
  HWY_DYNAMIC_DISPATCH(FoldTable_ways)(table, sums);
}

void CountBytes(const uint8_t* src, std::size_t count, uint64_t* counts) {
  // Below this, clearing and adding up the ways costs more than they save.
  constexpr std::size_t kShort = 1024;
  constexpr std::size_t kWays = 8;
  constexpr std::size_t kMost = std::size_t{1} << 31;
  if (UseScalarReference() || count < kShort) {
    return reference::CountBytes(src, count, counts);
  }
  for (; count >= kWays;) {
    const std::size_t now = std::min(count, kMost) / kWays * kWays;
    uint32_t ways[kWays][256] = {};
    for (std::size_t i = 0; i < now; i += kWays) {
      for (std::size_t k = 0; k < kWays; ++k) ++ways[k][src[i + k]];
    }
    for (std::size_t b = 0; b < 256; ++b) {
      for (std::size_t k = 0; k < kWays; ++k) counts[b] += ways[k][b];
    }
    src += now;
    count -= now;
  }
  reference::CountBytes(src, count, counts);
}

void UniformBinsOf(const float* src, std::size_t count, float min, float max,
                   std::size_t num_bins, int32_t* bins) {
  if (UseScalarReference()) {
    return reference::UniformBinsOf(src, count, min, max, num_bins, bins);
  }
  HWY_DYNAMIC_DISPATCH(UniformBins)(src, count, min, max, num_bins, bins);
}

void CountUniformBins(const float* src, std::size_t count, float min, float max,
                      std::size_t num_bins, uint64_t* counts) {
  constexpr std::size_t kBlock = 4096;
  int32_t bins[kBlock];
  const bool in_table = num_bins <= BinTable::kBins;
  const auto table = in_table ? std::make_unique<BinTable>() : nullptr;
  while (count > 0) {
    const std::size_t capacity =
        in_table ? std::min(count, BinTable::kCapacity) : count;
    for (std::size_t done = 0; done < capacity; done += kBlock) {
      const std::size_t now = std::min(kBlock, capacity - done);
      UniformBinsOf(src + done, now, min, max, num_bins, bins);
      if (in_table) {
        CountBins(bins, now, table.get());
      } else {
        for (std::size_t i = 0; i < now; ++i) ++counts[bins[i]];
      }
    }
    if (in_table) {
      uint32_t sums[BinTable::kBins];
      FoldTable(table.get(), sums);
      for (std::size_t b = 0; b < num_bins; ++b) counts[b] += sums[b];
    }
    src += capacity;
    count -= capacity;
  }
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
