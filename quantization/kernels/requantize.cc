// The requantization kernels in Highway: this file is compiled once per target.
// Types of 32 bits, and fixed point with a multiplier for each value, are left
// to the plain form.
#include "quantization/kernels/requantize.h"

#include <algorithm>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/requantize.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

template <typename T>
void Requantize(const int32_t* src, size_t count, size_t run_length,
                const float* multipliers, const CodeRange& range, T* dst) {
  reference::RequantizeRuns(src, count, run_length, multipliers, range, dst);
}

template <typename T>
void RequantizeFixedPoint(const int32_t* src, size_t count, size_t run_length,
                          const int32_t* multipliers, const int32_t* shifts,
                          const CodeRange& range, T* dst) {
  reference::RequantizeFixedPointRuns(src, count, run_length, multipliers,
                                      shifts, range, dst);
}

#else

using DF = hn::ScalableTag<float>;
using DI = hn::RebindToSigned<DF>;
using D64 = hn::RepartitionToWide<DI>;
using VF = hn::Vec<DF>;
using VI = hn::Vec<DI>;

// Calls one(i) for whole vectors of [begin, end), rest(i, n) for what is left.
template <class One, class Rest>
HWY_INLINE void ForEachVector(size_t begin, size_t end, const One& one,
                              const Rest& rest) {
  const size_t lanes = hn::Lanes(DI());
  size_t i = begin;
  for (; i + lanes <= end; i += lanes) one(i);
  if (i != end) rest(i, end - i);
}

template <typename T>
HWY_INLINE void StoreCodes(VI codes, T* HWY_RESTRICT dst) {
  const hn::Rebind<T, DI> dt;
  hn::StoreU(hn::DemoteTo(dt, codes), dt, dst);
}

template <typename T>
void Requantize(const int32_t* HWY_RESTRICT src, size_t count,
                size_t run_length, const float* HWY_RESTRICT multipliers,
                const CodeRange& range, T* HWY_RESTRICT dst) {
  const DF df;
  const DI di;
  // Exact: codes have 16 bits at most.
  const VF low = hn::Set(df, static_cast<float>(range.qmin - range.zero_point));
  const VF high =
      hn::Set(df, static_cast<float>(range.qmax - range.zero_point));
  const VI zero_point = hn::Set(di, range.zero_point);
  const auto one = [&](size_t i, VF multiplier) HWY_ATTR {
    const VF product =
        hn::Mul(hn::ConvertTo(df, hn::LoadU(di, src + i)), multiplier);
    const VF clamped = hn::Min(hn::Max(product, low), high);
    StoreCodes(hn::Add(hn::NearestInt(clamped), zero_point), dst + i);
  };
  if (run_length == 1) {
    return ForEachVector(
        0, count,
        [&](size_t i) HWY_ATTR { one(i, hn::LoadU(df, multipliers + i)); },
        [&](size_t i, size_t n) HWY_ATTR {
          reference::RequantizeRuns(src + i, n, 1, multipliers + i, range,
                                    dst + i);
        });
  }
  for (size_t begin = 0, run = 0; begin < count; ++run) {
    const size_t end = begin + std::min(run_length, count - begin);
    const VF multiplier = hn::Set(df, multipliers[run]);
    ForEachVector(
        begin, end, [&](size_t i) HWY_ATTR { one(i, multiplier); },
        [&](size_t i, size_t n) HWY_ATTR {
          reference::RequantizeRuns(src + i, n, n, multipliers + run, range,
                                    dst + i);
        });
    begin = end;
  }
}

template <typename T>
void RequantizeFixedPoint(const int32_t* HWY_RESTRICT src, size_t count,
                          size_t run_length,
                          const int32_t* HWY_RESTRICT multipliers,
                          const int32_t* HWY_RESTRICT shifts,
                          const CodeRange& range, T* HWY_RESTRICT dst) {
  const DI di;
  const D64 d64;
  if (run_length < hn::Lanes(di)) {
    return reference::RequantizeFixedPointRuns(src, count, run_length,
                                               multipliers, shifts, range, dst);
  }
  const auto low = hn::Set(d64, range.qmin), high = hn::Set(d64, range.qmax);
  const auto zero_point = hn::Set(d64, range.zero_point);
  const auto low_half = hn::Set(d64, int64_t{0xFFFFFFFF});
  for (size_t begin = 0, run = 0; begin < count; ++run) {
    const size_t end = begin + std::min(run_length, count - begin);
    const VI multiplier = hn::Set(di, multipliers[run]);
    const int shift = shifts[run];
    const auto half = hn::Set(d64, int64_t{1} << (shift - 1));
    // The even lanes of sums, as codes in lanes of 64 bits.
    const auto even = [&](VI sums) HWY_ATTR {
      const auto product = hn::Add(hn::MulEven(sums, multiplier), half);
      const auto code = hn::Add(hn::ShiftRightSame(product, shift), zero_point);
      return hn::Min(hn::Max(code, low), high);
    };
    ForEachVector(
        begin, end,
        [&](size_t i) HWY_ATTR {
          const VI sums = hn::LoadU(di, src + i);
          const VI odd_sums =
              hn::BitCast(di, hn::ShiftRight<32>(hn::BitCast(d64, sums)));
          const auto codes = hn::Or(hn::And(even(sums), low_half),
                                    hn::ShiftLeft<32>(even(odd_sums)));
          StoreCodes(hn::BitCast(di, codes), dst + i);
        },
        [&](size_t i, size_t n) HWY_ATTR {
          reference::RequantizeFixedPointRuns(src + i, n, n, multipliers + run,
                                              shifts + run, range, dst + i);
        });
    begin = end;
  }
}

#endif

// Highway's export macros take plain functions: one per type.
#define REQUANTIZE_TYPE(NAME, T)                                             \
  void Requantize##NAME(const int32_t* src, size_t count, size_t run_length, \
                        const float* multipliers, const CodeRange& range,    \
                        T* dst) {                                            \
    Requantize<T>(src, count, run_length, multipliers, range, dst);          \
  }                                                                          \
  void RequantizeFixedPoint##NAME(                                           \
      const int32_t* src, size_t count, size_t run_length,                   \
      const int32_t* multipliers, const int32_t* shifts,                     \
      const CodeRange& range, T* dst) {                                      \
    RequantizeFixedPoint<T>(src, count, run_length, multipliers, shifts,     \
                            range, dst);                                     \
  }
REQUANTIZE_TYPE(Int8, int8_t)
REQUANTIZE_TYPE(UInt8, uint8_t)
REQUANTIZE_TYPE(Int16, int16_t)
REQUANTIZE_TYPE(UInt16, uint16_t)
#undef REQUANTIZE_TYPE

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

#define REQUANTIZE_TYPE(NAME, T)                                            \
  HWY_EXPORT(Requantize##NAME);                                             \
  HWY_EXPORT(RequantizeFixedPoint##NAME);                                   \
  template <>                                                               \
  void RequantizeRuns(const int32_t* src, std::size_t count,                \
                      std::size_t run_length, const float* multipliers,     \
                      const CodeRange& range, T* dst) {                     \
    if (UseScalarReference()) {                                             \
      return reference::RequantizeRuns(src, count, run_length, multipliers, \
                                       range, dst);                         \
    }                                                                       \
    HWY_DYNAMIC_DISPATCH(Requantize##NAME)                                  \
    (src, count, run_length, multipliers, range, dst);                      \
  }                                                                         \
  template <>                                                               \
  void RequantizeFixedPointRuns(                                            \
      const int32_t* src, std::size_t count, std::size_t run_length,        \
      const int32_t* multipliers, const int32_t* shifts,                    \
      const CodeRange& range, T* dst) {                                     \
    if (UseScalarReference()) {                                             \
      return reference::RequantizeFixedPointRuns(                           \
          src, count, run_length, multipliers, shifts, range, dst);         \
    }                                                                       \
    HWY_DYNAMIC_DISPATCH(RequantizeFixedPoint##NAME)                        \
    (src, count, run_length, multipliers, shifts, range, dst);              \
  }
REQUANTIZE_TYPE(Int8, int8_t)
REQUANTIZE_TYPE(UInt8, uint8_t)
REQUANTIZE_TYPE(Int16, int16_t)
REQUANTIZE_TYPE(UInt16, uint16_t)
#undef REQUANTIZE_TYPE

template <>
void RequantizeRuns(const int32_t* src, std::size_t count,
                    std::size_t run_length, const float* multipliers,
                    const CodeRange& range, int32_t* dst) {
  reference::RequantizeRuns(src, count, run_length, multipliers, range, dst);
}

template <>
void RequantizeFixedPointRuns(const int32_t* src, std::size_t count,
                              std::size_t run_length,
                              const int32_t* multipliers, const int32_t* shifts,
                              const CodeRange& range, int32_t* dst) {
  reference::RequantizeFixedPointRuns(src, count, run_length, multipliers,
                                      shifts, range, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
