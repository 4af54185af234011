// The nibble kernels in Highway: this file is compiled once per target.
#include "quantization/kernels/nibbles.h"

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/nibbles.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void Pack(const uint8_t* src, size_t count, uint8_t* dst) {
  reference::PackNibbles(src, count, dst);
}

void Unpack(const uint8_t* src, size_t count, bool is_signed, uint8_t* dst) {
  reference::UnpackNibbles(src, count, is_signed, dst);
}

#else

// A pair of codes is a 16-bit lane, the first of them its low byte.
using D16 = hn::ScalableTag<int16_t>;
using D8 = hn::Repartition<uint8_t, D16>;
using DHalf = hn::Rebind<uint8_t, D16>;

void Pack(const uint8_t* HWY_RESTRICT src, size_t count,
          uint8_t* HWY_RESTRICT dst) {
  const D16 d16;
  const D8 d8;
  const DHalf half;
  const size_t lanes = hn::Lanes(d8);
  const auto low = hn::Set(d16, 0x0F);
  const auto high = hn::Set(d16, 0xF0);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto pair = hn::BitCast(d16, hn::LoadU(d8, src + i));
    const auto packed =
        hn::Or(hn::And(pair, low), hn::And(hn::ShiftRight<4>(pair), high));
    hn::StoreU(hn::DemoteTo(half, packed), half, dst + i / 2);
  }
  reference::PackNibbles(src + i, count - i, dst + i / 2);
}

void Unpack(const uint8_t* HWY_RESTRICT src, size_t count, bool is_signed,
            uint8_t* HWY_RESTRICT dst) {
  const D16 d16;
  const D8 d8;
  const DHalf half;
  const size_t lanes = hn::Lanes(d8);
  const auto low = hn::Set(d16, 0x000F);
  const auto high = hn::Set(d16, 0x0F00);
  const auto sign = hn::Set(d8, static_cast<uint8_t>(is_signed ? 8 : 0));
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto byte = hn::PromoteTo(d16, hn::LoadU(half, src + i / 2));
    const auto pair =
        hn::Or(hn::And(byte, low), hn::And(hn::ShiftLeft<4>(byte), high));
    const auto codes = hn::BitCast(d8, pair);
    hn::StoreU(hn::Sub(hn::Xor(codes, sign), sign), d8, dst + i);
  }
  reference::UnpackNibbles(src + i / 2, count - i, is_signed, dst + i);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Pack);
HWY_EXPORT(Unpack);

void PackNibbles(const uint8_t* src, std::size_t count, uint8_t* dst) {
  if (UseScalarReference()) return reference::PackNibbles(src, count, dst);
  HWY_DYNAMIC_DISPATCH(Pack)(src, count, dst);
}

void UnpackNibbles(const uint8_t* src, std::size_t count, bool is_signed,
                   uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::UnpackNibbles(src, count, is_signed, dst);
  }
  HWY_DYNAMIC_DISPATCH(Unpack)(src, count, is_signed, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
