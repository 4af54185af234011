// multiply_codes.h in Highway: this file is compiled once per target.
#include "quantization/kernels/multiply_codes.h"

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/multiply_codes.cc"
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

void Multiply(const CodeProduct& product, const uint8_t* a, const uint8_t* b,
              int64_t count, uint8_t* dst) {
  reference::MultiplyCodes(product, a, b, count, dst);
}

#else

constexpr int64_t kAhead = 2048;  // as in add_codes.cc

// The plain form, some codes at a time.
HWY_NOINLINE void MultiplyExactly(const CodeProduct& product, const uint8_t* a,
                                  const uint8_t* b, int64_t count,
                                  uint8_t* dst) {
  const DD d;
  const VD scales = hn::Set(d, double{product.a.scale} * product.b.scale);
  const VD scale = hn::Set(d, product.scale);
  const auto value = [&](int64_t i) HWY_ATTR {
    const auto integer = hn::Mul(LoadDifferences(a + i, product.a.zero_point),
                                 LoadDifferences(b + i, product.b.zero_point));
    return hn::Div(hn::Mul(scales, hn::PromoteTo(d, integer)), scale);
  };
  const auto plain = [&](int64_t i, int64_t n, uint8_t* codes) {
    reference::MultiplyCodes(product, a + i, b + i, n, codes);
  };
  RoundDoublesToCodes(count, product.range, value, plain, dst);
}

void Multiply(const CodeProduct& product, const uint8_t* a, const uint8_t* b,
              int64_t count, uint8_t* dst) {
  if (!(product.slack < kMostSlack)) {
    return MultiplyExactly(product, a, b, count, dst);
  }
  const DF df;
  const VF a_zero = hn::Set(df, static_cast<float>(product.a.zero_point));
  const VF b_zero = hn::Set(df, static_cast<float>(product.b.zero_point));
  const VF multiplier = hn::Set(df, product.multiplier);
  const auto difference = [&](const auto& part, const uint8_t* codes,
                              VF zero) HWY_ATTR {
    hwy::Prefetch(codes + kAhead);
    const VI code = hn::PromoteTo(DI(), part.LoadCodes(codes));
    return hn::Sub(hn::ConvertTo(df, code), zero);
  };
  // The product of the differences has 16 bits, so it is exact.
  const auto value = [&](const auto& part, int64_t i) HWY_ATTR {
    return hn::Mul(hn::Mul(difference(part, a + i, a_zero),
                           difference(part, b + i, b_zero)),
                   multiplier);
  };
  const auto exact = [&](int64_t i, int64_t n, uint8_t* codes) HWY_ATTR {
    MultiplyExactly(product, a + i, b + i, n, codes);
  };
  RoundToCodes(count, product.range, product.slack, value, exact, dst);
}

#endif  // HWY_TARGET == HWY_SCALAR

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Multiply);

void MultiplyCodes(const CodeProduct& product, const uint8_t* a,
                   const uint8_t* b, int64_t count, uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::MultiplyCodes(product, a, b, count, dst);
  }
  HWY_DYNAMIC_DISPATCH(Multiply)(product, a, b, count, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
