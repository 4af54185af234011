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

// Folds `from`, which holds no infinities of its own making, into `into`.
template <typename T>
HWY_INLINE void Fold(const FloatExtremes<T>& from, FloatExtremes<T>* into) {
  if (from.min < into->min) into->min = from.min;
  if (from.max > into->max) into->max = from.max;
  into->nan_count += from.nan_count;
  into->positive_infinity_count += from.positive_infinity_count;
  into->negative_infinity_count += from.negative_infinity_count;
}

// How a vector of D is read from memory that holds elements of type S.
template <class D>
HWY_INLINE hn::Vec<D> LoadVector(D d, const hn::TFromD<D>* src) {
  return hn::LoadU(d, src);
}
#if HWY_TARGET <= HWY_AVX2  // below, Highway's conversion drops infinities
template <class D>
HWY_INLINE hn::Vec<D> LoadVector(D d, const hwy::float16_t* src) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<hwy::float16_t, D>(), src));
}
#endif

// Elements before the first one at a multiple of `bytes`, a power of two.
template <typename S>
HWY_INLINE size_t ElementsToAlignment(const S* src, size_t bytes) {
  const size_t past = reinterpret_cast<uintptr_t>(src) & (bytes - 1);
  return past == 0 ? 0 : (bytes - past) / sizeof(S);
}

// True when all of src was finite; min and max are then folded into *extremes.
template <class D, typename S>
HWY_INLINE bool ScanFinite(D d, const S* HWY_RESTRICT src, size_t count,
                           FloatExtremes<hn::TFromD<D>>* extremes) {
  using T = hn::TFromD<D>;
  const size_t lanes = hn::Lanes(d);
  const auto zero = hn::Zero(d);
  auto min0 = hn::Set(d, extremes->min), min1 = min0, min2 = min0, min3 = min0;
  auto max0 = hn::Set(d, extremes->max), max1 = max0, max2 = max0, max3 = max0;
  // x * 0 is NaN for a NaN or an infinity, else a zero: once NaN, always NaN.
  auto poison0 = zero, poison1 = zero;
  size_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const auto a = LoadVector(d, src + i);
    const auto b = LoadVector(d, src + i + lanes);
    const auto c = LoadVector(d, src + i + 2 * lanes);
    const auto e = LoadVector(d, src + i + 3 * lanes);
    min0 = hn::Min(min0, a);
    max0 = hn::Max(max0, a);
    min1 = hn::Min(min1, b);
    max1 = hn::Max(max1, b);
    min2 = hn::Min(min2, c);
    max2 = hn::Max(max2, c);
    min3 = hn::Min(min3, e);
    max3 = hn::Max(max3, e);
    poison0 = hn::MulAdd(a, zero, poison0);
    poison1 = hn::MulAdd(b, zero, poison1);
    poison0 = hn::MulAdd(c, zero, poison0);
    poison1 = hn::MulAdd(e, zero, poison1);
  }
  for (; i < count; i += lanes) {
    // The last vector may overlap the one before it: every step is idempotent.
    const auto a = LoadVector(d, src + std::min(i, count - lanes));
    min0 = hn::Min(min0, a);
    max0 = hn::Max(max0, a);
    poison0 = hn::MulAdd(a, zero, poison0);
  }
  if (!hn::AllFalse(d, hn::IsNaN(hn::Add(poison0, poison1)))) return false;
  const auto min = hn::Min(hn::Min(min0, min1), hn::Min(min2, min3));
  const auto max = hn::Max(hn::Max(max0, max1), hn::Max(max2, max3));
  extremes->min = hn::GetLane(hn::MinOfLanes(d, min)) + T{0};
  extremes->max = hn::GetLane(hn::MaxOfLanes(d, max)) + T{0};
  return true;
}

// The same with non-finite elements counted and left out. `count` is a multiple
// of the number of lanes.
template <class D, typename S>
HWY_NOINLINE void ScanWithCare(D d, const S* HWY_RESTRICT src, size_t count,
                               FloatExtremes<hn::TFromD<D>>* extremes) {
  using T = hn::TFromD<D>;
  const size_t lanes = hn::Lanes(d);
  const auto infinity = hn::Set(d, std::numeric_limits<T>::infinity());
  const auto minus_infinity = hn::Neg(infinity);
  auto min = infinity;
  auto max = minus_infinity;
  for (size_t i = 0; i < count; i += lanes) {
    const auto x = LoadVector(d, src + i);
    const auto is_nan = hn::IsNaN(x);
    const auto is_positive = hn::Eq(x, infinity);
    const auto is_negative = hn::Eq(x, minus_infinity);
    const auto skip = hn::Or(is_nan, hn::Or(is_positive, is_negative));
    extremes->nan_count += hn::CountTrue(d, is_nan);
    extremes->positive_infinity_count += hn::CountTrue(d, is_positive);
    extremes->negative_infinity_count += hn::CountTrue(d, is_negative);
    min = hn::Min(min, hn::IfThenElse(skip, infinity, x));
    max = hn::Max(max, hn::IfThenElse(skip, minus_infinity, x));
  }
  FloatExtremes<T> found;
  found.min = hn::GetLane(hn::MinOfLanes(d, min)) + T{0};
  found.max = hn::GetLane(hn::MaxOfLanes(d, max)) + T{0};
  Fold(found, extremes);
}

HWY_INLINE FloatExtremes<float> Reference(const float* src, size_t count) {
  return reference::MinMax(src, count);
}
HWY_INLINE FloatExtremes<double> Reference(const double* src, size_t count) {
  return reference::MinMax(src, count);
}
HWY_INLINE FloatExtremes<float> Reference(const hwy::float16_t* src,
                                          size_t count) {
  return reference::MinMaxHalf(reinterpret_cast<const uint16_t*>(src), count);
}

template <class D, typename S>
HWY_INLINE FloatExtremes<hn::TFromD<D>> Scan(D d, const S* src, size_t count) {
  const size_t lanes = hn::Lanes(d);
  if (count < lanes) return Reference(src, count);
  FloatExtremes<hn::TFromD<D>> extremes;
  // Vectors that straddle cache lines cost a third of the memory's speed.
  const size_t head = ElementsToAlignment(src, lanes * sizeof(S));
  Fold(Reference(src, head), &extremes);
  for (size_t begin = head; begin < count; begin += kBlock) {
    const size_t length = std::min(kBlock, count - begin);
    if (length >= lanes && ScanFinite(d, src + begin, length, &extremes)) {
      continue;
    }
    const size_t whole = length - length % lanes;
    if (whole != 0) ScanWithCare(d, src + begin, whole, &extremes);
    Fold(Reference(src + begin + whole, length - whole), &extremes);
  }
  return extremes;
}

FloatExtremes<float> MinMax_float(const float* src, size_t count) {
  return Scan(hn::ScalableTag<float>(), src, count);
}

FloatExtremes<double> MinMax_double(const double* src, size_t count) {
  return Scan(hn::ScalableTag<double>(), src, count);
}

FloatExtremes<float> MinMax_half(const uint16_t* src, size_t count) {
#if HWY_TARGET <= HWY_AVX2
  return Scan(hn::ScalableTag<float>(),
              reinterpret_cast<const hwy::float16_t*>(src), count);
#else
  return reference::MinMaxHalf(src, count);
#endif
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
                                           size_t count) {
  const hn::ScalableTag<T> d;
  const size_t lanes = hn::Lanes(d);
  if (count < lanes) return reference::MinMax(src, count);
  IntegerExtremes<T> extremes;
  auto min0 = hn::LoadU(d, src), min1 = min0, min2 = min0, min3 = min0;
  auto max0 = min0, max1 = min0, max2 = min0, max3 = min0;
  // The first vector is done; go on from the boundary within it.
  size_t i = ElementsToAlignment(src, lanes * sizeof(T));
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    const auto a = hn::LoadU(d, src + i);
    const auto b = hn::LoadU(d, src + i + lanes);
    const auto c = hn::LoadU(d, src + i + 2 * lanes);
    const auto e = hn::LoadU(d, src + i + 3 * lanes);
    min0 = hn::Min(min0, a);
    max0 = hn::Max(max0, a);
    min1 = hn::Min(min1, b);
    max1 = hn::Max(max1, b);
    min2 = hn::Min(min2, c);
    max2 = hn::Max(max2, c);
    min3 = hn::Min(min3, e);
    max3 = hn::Max(max3, e);
  }
  for (; i < count; i += lanes) {
    const auto a = hn::LoadU(d, src + std::min(i, count - lanes));
    min0 = hn::Min(min0, a);
    max0 = hn::Max(max0, a);
  }
  Reduce(d, hn::Min(hn::Min(min0, min1), hn::Min(min2, min3)),
         hn::Max(hn::Max(max0, max1), hn::Max(max2, max3)), &extremes);
  return extremes;
}

#define DEFINE(T)                                             \
  IntegerExtremes<T> MinMax_##T(const T* src, size_t count) { \
    return ScanIntegers(src, count);                          \
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

#define DEFINE(T)                                                   \
  HWY_EXPORT(MinMax_##T);                                           \
  IntegerExtremes<T> MinMax(const T* src, std::size_t count) {      \
    if (UseScalarReference()) return reference::MinMax(src, count); \
    return HWY_DYNAMIC_DISPATCH(MinMax_##T)(src, count);            \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
