// The min/max kernels in Highway: this file is compiled once per target.
#include "quantization/kernels/min_max.h"

#include <algorithm>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/min_max.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Elements that are scanned on the assumption that all of them are finite; a
// block in which that proves false is still in the first-level cache when it is
// scanned again with care.
constexpr size_t kBlock = 4096;

// Elements before the first one at a multiple of `bytes`, a power of two.
template <typename S>
HWY_INLINE size_t ElementsToAlignment(const S* src, size_t bytes) {
  const size_t past = reinterpret_cast<uintptr_t>(src) & (bytes - 1);
  return past == 0 ? 0 : (bytes - past) / sizeof(S);
}

// Floating-point numbers are compared by their bit patterns:
//   as signed integers   the non-negative ones are in order and above the rest,
//   as unsigned integers all are in order of magnitude, the negative ones above
//                        the rest.
// So the largest number has the largest signed pattern or, when all are
// negative, the smallest unsigned one; the smallest number has the largest
// unsigned pattern if that is negative, else the smallest unsigned one. That is
// three operations a vector, exact for denormals in every mode of the
// processor, and it finds NaN and infinities at the two upper ends.
template <typename U, typename T>
struct Format {
  using Pattern = U;
  using Value = T;  // of the result
  using Signed = hwy::MakeSigned<U>;
  static constexpr U kSign = static_cast<U>(U{1} << (sizeof(U) * 8 - 1));
  static constexpr U kInfinity = static_cast<U>(
      sizeof(U) == 2 ? 0x7c00u
                     : (sizeof(U) == 4 ? 0x7f800000u : 0x7ff0000000000000u));
};
using Float = Format<uint32_t, float>;
using Double = Format<uint64_t, double>;
using Half = Format<uint16_t, float>;

template <class DU, typename T>
HWY_INLINE hn::Vec<DU> PatternsAt(DU du, const T* src) {
  return hn::BitCast(du, hn::LoadU(hn::Rebind<T, DU>(), src));
}

template <typename T, typename U>
HWY_INLINE T ValueOf(U pattern) {
  if (static_cast<U>(pattern << 1) == 0) return 0;  // of either sign
  if constexpr (sizeof(U) == 2) {
    return HalfToFloat(pattern);
  } else {
    static_assert(sizeof(T) == sizeof(U), "a pattern of a value");
    T value;
    hwy::CopyBytes<sizeof(T)>(&pattern, &value);
    return value;
  }
}

template <class DU>
struct Patterns {
  hn::Vec<hn::RebindToSigned<DU>> signed_max;
  hn::Vec<DU> max, min;
};

template <class F, class DU>
HWY_INLINE Patterns<DU> NoPatterns(DU du) {
  const hn::RebindToSigned<DU> di;
  return {hn::Set(di, hwy::LimitsMin<typename F::Signed>()), hn::Zero(du),
          hn::Set(du, static_cast<typename F::Pattern>(~0ull))};
}

template <class DU>
HWY_INLINE void Take(DU /*du*/, hn::Vec<DU> x, Patterns<DU>* found) {
  const hn::RebindToSigned<DU> di;
  found->signed_max = hn::Max(found->signed_max, hn::BitCast(di, x));
  found->max = hn::Max(found->max, x);
  found->min = hn::Min(found->min, x);
}

template <class DU>
HWY_INLINE void Fold(DU /*du*/, const Patterns<DU>& from, Patterns<DU>* into) {
  into->signed_max = hn::Max(into->signed_max, from.signed_max);
  into->max = hn::Max(into->max, from.max);
  into->min = hn::Min(into->min, from.min);
}

template <class F, class DU>
HWY_INLINE bool AllFinite(DU du, const Patterns<DU>& found) {
  const hn::RebindToSigned<DU> di;
  constexpr auto kInfinity = static_cast<typename F::Signed>(F::kInfinity);
  // The upper end of unsigned patterns as signed ones: negative, but not above
  // the last finite one.
  const auto lowest = hn::BitCast(di, found.max);
  const auto last = static_cast<typename F::Signed>(
      static_cast<typename F::Pattern>(F::kSign | (F::kInfinity - 1)));
  const auto positive = hn::Gt(found.signed_max, hn::Set(di, kInfinity - 1));
  const auto negative =
      hn::And(hn::Lt(lowest, hn::Zero(di)), hn::Gt(lowest, hn::Set(di, last)));
  return hn::AllFalse(di, hn::Or(positive, negative));
}

template <class DU>
HWY_INLINE size_t CountZeros(DU du, hn::Vec<DU> x) {
  return hn::CountTrue(du, hn::Eq(hn::Add(x, x), hn::Zero(du)));
}

// Vectors from src on, `count` elements, a multiple of the lanes. True when all
// were finite; *found and *zero_count then have them.
template <class F, class DU, typename S>
HWY_INLINE bool ScanFinite(DU du, const S* HWY_RESTRICT src, size_t count,
                           Patterns<DU>* found, uint64_t* zero_count) {
  const size_t lanes = hn::Lanes(du);
  Patterns<DU> even = *found, odd = *found;
  uint64_t zeros0 = 0, zeros1 = 0;
  size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const auto a = PatternsAt(du, src + i);
    const auto b = PatternsAt(du, src + i + lanes);
    const auto c = PatternsAt(du, src + i + 2 * lanes);
    const auto e = PatternsAt(du, src + i + 3 * lanes);
    Take(du, a, &even);
    Take(du, b, &odd);
    Take(du, c, &even);
    Take(du, e, &odd);
    zeros0 += CountZeros(du, a) + CountZeros(du, b);
    zeros1 += CountZeros(du, c) + CountZeros(du, e);
  }
  for (; i < count; i += lanes) {
    const auto a = PatternsAt(du, src + i);
    Take(du, a, &even);
    zeros0 += CountZeros(du, a);
  }
  Fold(du, odd, &even);
  if (!AllFinite<F>(du, even)) return false;
  *found = even;
  *zero_count += zeros0 + zeros1;
  return true;
}

// One vector with what is not finite left out; only lanes in `counted` count.
template <class F, class DU>
HWY_INLINE void TakeWithCare(DU du, hn::Vec<DU> x, hn::Mask<DU> counted,
                             Patterns<DU>* found,
                             FloatExtremes<typename F::Value>* extremes) {
  using U = typename F::Pattern;
  const hn::RebindToSigned<DU> di;
  const auto none = NoPatterns<F>(du);
  const auto magnitude = hn::And(x, hn::Set(du, static_cast<U>(~F::kSign)));
  // Magnitudes are in order as signed numbers too.
  const auto is_finite = hn::MaskFromVec(hn::BitCast(
      du,
      hn::VecFromMask(di, hn::Lt(hn::BitCast(di, magnitude),
                                 hn::Set(di, static_cast<typename F::Signed>(
                                                 F::kInfinity))))));
  found->signed_max = hn::Max(
      found->signed_max,
      hn::BitCast(
          di, hn::IfThenElse(is_finite, x, hn::BitCast(du, none.signed_max))));
  found->max = hn::Max(found->max, hn::IfThenElse(is_finite, x, none.max));
  found->min = hn::Min(found->min, hn::IfThenElse(is_finite, x, none.min));

  const auto count = [&](hn::Mask<DU> mask) {
    return hn::CountTrue(du, hn::And(mask, counted));
  };
  const uint64_t plus = count(hn::Eq(x, hn::Set(du, F::kInfinity)));
  const uint64_t minus =
      count(hn::Eq(x, hn::Set(du, static_cast<U>(F::kInfinity | F::kSign))));
  extremes->zero_count += count(hn::Eq(magnitude, hn::Zero(du)));
  extremes->positive_infinity_count += plus;
  extremes->negative_infinity_count += minus;
  extremes->nan_count += count(hn::Not(is_finite)) - plus - minus;
}

HWY_INLINE FloatExtremes<float> Reference(const float* src, size_t count) {
  return reference::MinMax(src, count);
}
HWY_INLINE FloatExtremes<double> Reference(const double* src, size_t count) {
  return reference::MinMax(src, count);
}
HWY_INLINE FloatExtremes<float> Reference(const uint16_t* src, size_t count) {
  return reference::MinMaxHalf(src, count);
}

template <class F, typename S>
HWY_INLINE FloatExtremes<typename F::Value> Scan(const S* src, size_t count) {
  using U = typename F::Pattern;
  const hn::ScalableTag<U> du;
  const hn::RebindToSigned<decltype(du)> di;
  const size_t lanes = hn::Lanes(du);
  if (count < lanes) return Reference(src, count);
  FloatExtremes<typename F::Value> extremes;
  auto found = NoPatterns<F>(du);
  // Vectors that straddle cache lines cost a third of the memory's speed: the
  // first one, of which only what lies before the boundary is counted, and the
  // last one overlap their neighbours.
  const size_t head = ElementsToAlignment(src, lanes * sizeof(S));
  if (head != 0) {
    TakeWithCare<F>(du, PatternsAt(du, src), hn::FirstN(du, head), &found,
                    &extremes);
  }
  const size_t whole = head + (count - head) / lanes * lanes;
  for (size_t begin = head; begin < whole; begin += kBlock) {
    const size_t length = std::min(kBlock, whole - begin);
    if (ScanFinite<F>(du, src + begin, length, &found, &extremes.zero_count)) {
      continue;
    }
    const auto all = hn::FirstN(du, lanes);
    for (size_t i = begin; i < begin + length; i += lanes) {
      TakeWithCare<F>(du, PatternsAt(du, src + i), all, &found, &extremes);
    }
  }
  if (whole != count) {
    TakeWithCare<F>(du, PatternsAt(du, src + count - lanes),
                    hn::Not(hn::FirstN(du, lanes - (count - whole))), &found,
                    &extremes);
  }
  const U min = hn::GetLane(hn::MinOfLanes(du, found.min));
  if (min == static_cast<U>(~U{0})) return extremes;  // nothing was finite
  const U max = hn::GetLane(hn::MaxOfLanes(du, found.max));
  const auto signed_max = hn::GetLane(hn::MaxOfLanes(di, found.signed_max));
  using T = typename F::Value;
  extremes.max = ValueOf<T>(signed_max >= 0 ? static_cast<U>(signed_max) : min);
  extremes.min = ValueOf<T>((max & F::kSign) != 0 ? max : min);
  return extremes;
}

FloatExtremes<float> MinMax_float(const float* src, size_t count) {
  return Scan<Float>(src, count);
}

FloatExtremes<double> MinMax_double(const double* src, size_t count) {
  return Scan<Double>(src, count);
}

FloatExtremes<float> MinMax_half(const uint16_t* src, size_t count) {
  return Scan<Half>(src, count);
}

constexpr int32_t kInfinityKey = 0x7f800000;  // of OrderKey
constexpr int32_t kMinusInfinityKey = -kInfinityKey - 1;

HWY_INLINE float ValueOfKey(int32_t key) {
  const int32_t pattern = key < 0 ? key ^ 0x7fffffff : key;
  return ValueOf<float>(static_cast<uint32_t>(pattern));
}

// Columns that are worked on together: their keys stay in the first-level
// cache while the rows pass.
constexpr size_t kStrip = 2048;
// Rows are joined until they are this long.
constexpr size_t kShortRow = 64;

// Folds a row into the keys of its columns; what is not finite is left out.
template <bool kAllFinite>
HWY_INLINE void FoldRow(const float* HWY_RESTRICT row, size_t columns,
                        int32_t* HWY_RESTRICT min, int32_t* HWY_RESTRICT max) {
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> di;
  const size_t lanes = hn::Lanes(df);
  const auto infinity = hn::Set(di, kInfinityKey);
  const auto minus_infinity = hn::Set(di, kMinusInfinityKey);
  const auto all_but_sign = hn::Set(di, 0x7fffffff);
  const auto fold = [&](size_t c) HWY_ATTR {
    const auto x = hn::BitCast(di, hn::LoadU(df, row + c));
    auto small = hn::Xor(x, hn::And(hn::BroadcastSignBit(x), all_but_sign));
    auto large = small;
    if (!kAllFinite) {
      const auto is_finite = hn::Lt(hn::And(x, all_but_sign), infinity);
      small = hn::IfThenElse(is_finite, small, infinity);
      large = hn::IfThenElse(is_finite, large, minus_infinity);
    }
    hn::StoreU(hn::Min(hn::LoadU(di, min + c), small), di, min + c);
    hn::StoreU(hn::Max(hn::LoadU(di, max + c), large), di, max + c);
  };
  size_t c = 0;
  for (; c + lanes <= columns; c += lanes) fold(c);
  if (c < columns && columns >= lanes) {
    fold(columns - lanes);  // overlaps the vector before it
    return;
  }
  for (; c < columns; ++c) {
    const int32_t key = OrderKey(row[c]);
    if (key <= kMinusInfinityKey || key >= kInfinityKey) continue;
    min[c] = std::min(min[c], key);
    max[c] = std::max(max[c], key);
  }
}

FloatExtremes<float> MinMaxColumns_float(const float* src, size_t rows,
                                         size_t columns, float* min,
                                         float* max) {
  FloatExtremes<float> all;
  if (columns == 0) return all;
  // Short rows are joined, so that a column has several keys.
  const size_t joined =
      columns >= kShortRow ? 1 : (kShortRow + columns - 1) / columns;
  const size_t width = joined * columns;
  const size_t strips = (width + kStrip - 1) / kStrip;
  const size_t strip = (width + strips - 1) / strips;
  const size_t count = rows * columns;
  HWY_ALIGN int32_t min_keys[kStrip];
  HWY_ALIGN int32_t max_keys[kStrip];
  for (size_t begin = 0; begin < width; begin += strip) {
    const size_t length = std::min(strip, width - begin);
    std::fill_n(min_keys, length, kInfinityKey);
    std::fill_n(max_keys, length, kMinusInfinityKey);
    // As many rows at once as lie side by side and fill a block.
    const size_t step =
        strips > 1 ? width : std::max(width, kBlock / width * width);
    for (size_t at = begin; at < count; at += step) {
      const size_t end = strips > 1 ? at + length : std::min(at + step, count);
      const auto found = Scan<Float>(src + at, end - at);
      Merge(found, &all);
      const bool all_finite = found.left_out() == 0;
      for (size_t row = at; row < end; row += width) {
        const size_t here = std::min(length, end - row);
        if (all_finite) {
          FoldRow<true>(src + row, here, min_keys, max_keys);
        } else {
          FoldRow<false>(src + row, here, min_keys, max_keys);
        }
      }
    }
    const size_t own = std::min(length, columns);
    for (size_t i = own; i < length; ++i) {
      min_keys[i % columns] = std::min(min_keys[i % columns], min_keys[i]);
      max_keys[i % columns] = std::max(max_keys[i % columns], max_keys[i]);
    }
    for (size_t i = 0; i < own; ++i) {
      min[begin + i] = ValueOfKey(min_keys[i]);
      max[begin + i] = ValueOfKey(max_keys[i]);
    }
  }
  return all;
}

// Highway 1.0 reduces lanes of 32 and 64 bits only.
template <class D>
HWY_INLINE void Reduce(D d, hn::Vec<D> min, hn::Vec<D> max,
                       IntegerExtremes<hn::TFromD<D>>* extremes) {
  using T = hn::TFromD<D>;
  HWY_ALIGN T lanes_min[hn::MaxLanes(D())];
  HWY_ALIGN T lanes_max[hn::MaxLanes(D())];
  hn::Store(min, d, lanes_min);
  hn::Store(max, d, lanes_max);
  for (size_t i = 0; i < hn::Lanes(d); ++i) {
    if (lanes_min[i] < extremes->min) extremes->min = lanes_min[i];
    if (lanes_max[i] > extremes->max) extremes->max = lanes_max[i];
  }
}

template <typename T>
HWY_INLINE IntegerExtremes<T> ScanIntegers(const T* HWY_RESTRICT src,
                                           size_t count, T zero) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  if (count < lanes) return reference::MinMax(src, count, zero);
  IntegerExtremes<T> extremes;
  const auto zeros = hn::Set(d, zero);
  const auto count_zeros = [&](hn::Vec<decltype(d)> x) HWY_ATTR {
    return hn::CountTrue(d, hn::Eq(x, zeros));
  };
  auto min0 = hn::LoadU(d, src), min1 = min0;
  auto max0 = min0, max1 = min0;
  // The first vector is done; go on from the boundary within it.
  size_t i = ElementsToAlignment(src, lanes * sizeof(T));
  uint64_t zeros0 =
      hn::CountTrue(d, hn::And(hn::FirstN(d, i), hn::Eq(min0, zeros)));
  uint64_t zeros1 = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const auto a = hn::LoadU(d, src + i);
    const auto b = hn::LoadU(d, src + i + lanes);
    const auto c = hn::LoadU(d, src + i + 2 * lanes);
    const auto e = hn::LoadU(d, src + i + 3 * lanes);
    min0 = hn::Min(min0, a);
    max0 = hn::Max(max0, a);
    min1 = hn::Min(min1, b);
    max1 = hn::Max(max1, b);
    min0 = hn::Min(min0, c);
    max0 = hn::Max(max0, c);
    min1 = hn::Min(min1, e);
    max1 = hn::Max(max1, e);
    zeros0 += count_zeros(a) + count_zeros(b);
    zeros1 += count_zeros(c) + count_zeros(e);
  }
  for (; i + lanes <= count; i += lanes) {
    const auto a = hn::LoadU(d, src + i);
    min0 = hn::Min(min0, a);
    max0 = hn::Max(max0, a);
    zeros0 += count_zeros(a);
  }
  if (i < count) {  // overlaps the vector before it
    const auto a = hn::LoadU(d, src + count - lanes);
    min0 = hn::Min(min0, a);
    max0 = hn::Max(max0, a);
    const auto seen = hn::FirstN(d, lanes - (count - i));
    zeros1 += hn::CountTrue(d, hn::And(hn::Not(seen), hn::Eq(a, zeros)));
  }
  extremes.zero_count = zeros0 + zeros1;
  Reduce(d, hn::Min(min0, min1), hn::Max(max0, max1), &extremes);
  return extremes;
}

#define DEFINE(T)                                                     \
  IntegerExtremes<T> MinMax_##T(const T* src, size_t count, T zero) { \
    return ScanIntegers(src, count, zero);                            \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(MinMax_float);
HWY_EXPORT(MinMax_double);
HWY_EXPORT(MinMax_half);
HWY_EXPORT(MinMaxColumns_float);

FloatExtremes<float> MinMax(const float* src, std::size_t count) {
  if (UseScalarReference()) return reference::MinMax(src, count);
  return HWY_DYNAMIC_DISPATCH(MinMax_float)(src, count);
}

FloatExtremes<double> MinMax(const double* src, std::size_t count) {
  if (UseScalarReference()) return reference::MinMax(src, count);
  return HWY_DYNAMIC_DISPATCH(MinMax_double)(src, count);
}

FloatExtremes<float> MinMaxHalf(const uint16_t* src, std::size_t count) {
  if (UseScalarReference()) return reference::MinMaxHalf(src, count);
  return HWY_DYNAMIC_DISPATCH(MinMax_half)(src, count);
}

FloatExtremes<float> MinMaxColumns(const float* src, std::size_t rows,
                                   std::size_t columns, float* min,
                                   float* max) {
  if (UseScalarReference()) {
    return reference::MinMaxColumns(src, rows, columns, min, max);
  }
  return HWY_DYNAMIC_DISPATCH(MinMaxColumns_float)(src, rows, columns, min,
                                                   max);
}

#define DEFINE(T)                                                         \
  HWY_EXPORT(MinMax_##T);                                                 \
  IntegerExtremes<T> MinMax(const T* src, std::size_t count, T zero) {    \
    if (UseScalarReference()) return reference::MinMax(src, count, zero); \
    return HWY_DYNAMIC_DISPATCH(MinMax_##T)(src, count, zero);            \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
