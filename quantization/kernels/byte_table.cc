// byte_table.h in Highway: this file is compiled once per target. With VBMI two
// instructions look up in 128 bytes each; Highway 1.0 has no word for them,
// hence the intrinsics. Without it the table is 16 shuffles of 16 bytes.
#include "quantization/kernels/byte_table.h"

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/byte_table.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3_DL

void LookUp(const uint8_t* src, int64_t count, const uint8_t* table,
            uint8_t* dst) {
  constexpr int64_t kBytes = 64;
  __m512i quarters[4];
  for (int q = 0; q < 4; ++q) {
    quarters[q] = _mm512_loadu_si512(table + q * kBytes);
  }
  const auto look_up = [&](__m512i x) HWY_ATTR {
    const __m512i low = _mm512_permutex2var_epi8(quarters[0], x, quarters[1]);
    const __m512i high = _mm512_permutex2var_epi8(quarters[2], x, quarters[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
  };
  // What comes from memory waits for it otherwise.
  constexpr int64_t kAhead = 2048;
  int64_t i = 0;
  for (; i + kBytes <= count; i += kBytes) {
    hwy::Prefetch(src + i + kAhead);
    hwy::Prefetch(dst + i + kAhead);
    _mm512_storeu_si512(dst + i, look_up(_mm512_loadu_si512(src + i)));
  }
  if (i == count) return;
  const __mmask64 rest = ~uint64_t{0} >> (kBytes - (count - i));
  _mm512_mask_storeu_epi8(dst + i, rest,
                          look_up(_mm512_maskz_loadu_epi8(rest, src + i)));
}

#elif HWY_TARGET == HWY_SCALAR

void LookUp(const uint8_t* src, int64_t count, const uint8_t* table,
            uint8_t* dst) {
  reference::LookUpBytes(src, count, table, dst);
}

#else

void LookUp(const uint8_t* src, int64_t count, const uint8_t* table,
            uint8_t* dst) {
  const hn::ScalableTag<uint8_t> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto sixteen = hn::Set(d, 16);
  const auto outside = hn::Set(d, 0x70);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    auto x = hn::LoadU(d, src + i);
    auto y = hn::Zero(d);
    // Row by row: what is not in it, 16 to 255 from its beginning on, gets the
    // top bit, for which the shuffle gives 0.
    for (int row = 0; row < 16; ++row) {
      const auto part = hn::LoadDup128(d, table + 16 * row);
      const auto index = hn::SaturatedAdd(x, outside);
      y = hn::Or(y, hn::TableLookupBytesOr0(part, index));
      x = hn::Sub(x, sixteen);
    }
    hn::StoreU(y, d, dst + i);
  }
  reference::LookUpBytes(src + i, count - i, table, dst + i);
}

#endif  // HWY_TARGET

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(LookUp);

void LookUpBytes(const uint8_t* src, int64_t count, const uint8_t* table,
                 uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::LookUpBytes(src, count, table, dst);
  }
  HWY_DYNAMIC_DISPATCH(LookUp)(src, count, table, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
