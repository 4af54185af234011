// max_codes.h in Highway: this file is compiled once per target. A compiler's
// own vectors would not do in place, which is how a Relu mostly runs: it takes
// src and dst that are the same for ones that overlap.
#include "quantization/kernels/max_codes.h"

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/max_codes.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <typename T>
HWY_INLINE void Max(const T* src, int64_t count, T least, T* dst) {
  const hn::ScalableTag<T> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto vleast = hn::Set(d, least);
  // What comes from memory waits for it otherwise.
  constexpr int64_t kAhead = 2048 / sizeof(T);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hwy::Prefetch(src + i + kAhead);
    hn::StoreU(hn::Max(hn::LoadU(d, src + i), vleast), d, dst + i);
  }
  reference::MaxCodes(src + i, count - i, least, dst + i);
}

void Max8(const uint8_t* src, int64_t count, uint8_t least, uint8_t* dst) {
  Max(src, count, least, dst);
}

void Max16(const uint16_t* src, int64_t count, uint16_t least, uint16_t* dst) {
  Max(src, count, least, dst);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Max8);
HWY_EXPORT(Max16);

void MaxCodes(const uint8_t* src, int64_t count, uint8_t least, uint8_t* dst) {
  if (UseScalarReference()) return reference::MaxCodes(src, count, least, dst);
  HWY_DYNAMIC_DISPATCH(Max8)(src, count, least, dst);
}

void MaxCodes(const uint16_t* src, int64_t count, uint16_t least,
              uint16_t* dst) {
  if (UseScalarReference()) return reference::MaxCodes(src, count, least, dst);
  HWY_DYNAMIC_DISPATCH(Max16)(src, count, least, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
