// add_codes.h in Highway: this file is compiled once per target.
#include "quantization/kernels/add_codes.h"

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/add_codes.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "quantization/kernels/code_vectors-inl.h"
#include "quantization/kernels/exact_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

template <typename T>
void Add(const CodeSum& sum, const T* const* src, int64_t first, int64_t count,
         T* dst) {
  reference::AddCodes(sum, src, first, count, dst);
}

#else

// Codes this far ahead are fetched into the cache. Outside of it that takes a
// tenth of the time off, and a quarter where the output is streamed.
constexpr int64_t kAhead = 2048;

// The plain form, some codes at a time.
template <typename T>
HWY_NOINLINE void AddExactly(const CodeSum& sum, const T* const* src,
                             int64_t first, int64_t count, T* dst) {
  const DD d;
  const VD scale = hn::Set(d, sum.scale);
  const auto term = [&](std::size_t k, int64_t i) HWY_ATTR {
    const auto difference =
        LoadDifferences(src[k] + first + i, sum.addends[k].zero_point);
    return hn::Mul(hn::Set(d, sum.addends[k].scale),
                   hn::PromoteTo(d, difference));
  };
  const auto value = [&](int64_t i) HWY_ATTR {
    VD numerator = term(0, i);
    for (std::size_t k = 1; k < sum.addends.size(); ++k) {
      numerator = hn::Add(numerator, term(k, i));
    }
    return hn::Div(numerator, scale);
  };
  const auto plain = [&](int64_t i, int64_t n, T* codes) {
    reference::AddCodes(sum, src, first + i, n, codes);
  };
  RoundDoublesToCodes(count, sum.range, value, plain, dst);
}

template <typename T>
void Add(const CodeSum& sum, const T* const* src, int64_t first, int64_t count,
         T* dst) {
  if (!(sum.slack < kMostSlack)) {
    return AddExactly(sum, src, first, count, dst);
  }
  const DF df;
  const VF offset = hn::Set(df, sum.offset);
  const auto exact = [&](int64_t i, int64_t n, T* codes) HWY_ATTR {
    AddExactly(sum, src, first + i, n, codes);
  };
  const auto add = [&](const auto& part, const T* codes, VF multiplier,
                       VF others) HWY_ATTR {
    hwy::Prefetch(codes + kAhead);
    const VI code = hn::PromoteTo(DI(), part.LoadCodes(codes));
    return hn::MulAdd(multiplier, hn::ConvertTo(df, code), others);
  };
  if (sum.addends.size() == 2) {
    const T* const a = src[0] + first;
    const T* const b = src[1] + first;
    const VF a_multiplier = hn::Set(df, sum.multipliers[0]);
    const VF b_multiplier = hn::Set(df, sum.multipliers[1]);
    const auto value = [&](const auto& part, int64_t i) HWY_ATTR {
      return add(part, b + i, b_multiplier,
                 add(part, a + i, a_multiplier, offset));
    };
    return RoundToCodes(count, sum.range, sum.slack, value, exact, dst);
  }
  const std::size_t num_addends = sum.addends.size();
  const auto value = [&](const auto& part, int64_t i) HWY_ATTR {
    VF result = offset;
    for (std::size_t k = 0; k < num_addends; ++k) {
      result = add(part, src[k] + first + i, hn::Set(df, sum.multipliers[k]),
                   result);
    }
    return result;
  };
  RoundToCodes(count, sum.range, sum.slack, value, exact, dst);
}

#endif  // HWY_TARGET == HWY_SCALAR

void Add8(const CodeSum& sum, const uint8_t* const* src, int64_t first,
          int64_t count, uint8_t* dst) {
  Add(sum, src, first, count, dst);
}

void Add16(const CodeSum& sum, const uint16_t* const* src, int64_t first,
           int64_t count, uint16_t* dst) {
  Add(sum, src, first, count, dst);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Add8);
HWY_EXPORT(Add16);

template <>
void AddCodes(const CodeSum& sum, const uint8_t* const* src, int64_t first,
              int64_t count, uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::AddCodes(sum, src, first, count, dst);
  }
  HWY_DYNAMIC_DISPATCH(Add8)(sum, src, first, count, dst);
}

template <>
void AddCodes(const CodeSum& sum, const uint16_t* const* src, int64_t first,
              int64_t count, uint16_t* dst) {
  if (UseScalarReference()) {
    return reference::AddCodes(sum, src, first, count, dst);
  }
  HWY_DYNAMIC_DISPATCH(Add16)(sum, src, first, count, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
