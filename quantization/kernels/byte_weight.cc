// The byte weight kernels in Highway: this file is compiled once per target.
#include "quantization/kernels/byte_weight.h"

#include <algorithm>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/byte_weight.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using VF = hn::Vec<DF>;

// A vector of bytes, a quarter as wide as a vector of floats, to floats.
HWY_INLINE VF LoadBytesAsFloat(const uint8_t* src) {
  const hn::Rebind<uint8_t, DF> d8;
  const hn::Rebind<int32_t, DF> d32;
  return hn::ConvertTo(DF(), hn::PromoteTo(d32, hn::LoadU(d8, src)));
}

template <ByteWeightFormula kFormula>
HWY_INLINE VF Apply(VF x, VF scale, VF offset) {
  if (kFormula == ByteWeightFormula::kAffine) {
    return hn::Add(hn::Mul(x, scale), offset);
  }
  return hn::Mul(hn::Add(hn::Add(x, x), offset), scale);
}

template <ByteWeightFormula kFormula>
void Dequantize(const uint8_t* HWY_RESTRICT src, size_t count, float scale,
                float offset, float* HWY_RESTRICT dst, bool streaming) {
  const DF df;
  const size_t lanes = hn::Lanes(df);
  const VF vscale = hn::Set(df, scale);
  const VF voffset = hn::Set(df, offset);
  size_t i = 0;
  if (streaming) {
    // Streaming stores want whole aligned vectors: peel to the first boundary.
    const size_t bytes = lanes * sizeof(float);
    const size_t misaligned = reinterpret_cast<uintptr_t>(dst) & (bytes - 1);
    const size_t peel =
        std::min(count, misaligned == 0 ? size_t{0}
                                        : (bytes - misaligned) / sizeof(float));
    reference::DequantizeByteWeights(kFormula, src, peel, scale, offset, dst);
    for (i = peel; i + 4 * lanes <= count; i += 4 * lanes) {
      for (size_t k = 0; k < 4; ++k) {
        const size_t at = i + k * lanes;
        hn::Stream(Apply<kFormula>(LoadBytesAsFloat(src + at), vscale, voffset),
                   df, dst + at);
      }
    }
    hwy::FlushStream();
  } else {
    for (; i + 4 * lanes <= count; i += 4 * lanes) {
      for (size_t k = 0; k < 4; ++k) {
        const size_t at = i + k * lanes;
        hn::StoreU(Apply<kFormula>(LoadBytesAsFloat(src + at), vscale, voffset),
                   df, dst + at);
      }
    }
  }
  for (; i + lanes <= count; i += lanes) {
    hn::StoreU(Apply<kFormula>(LoadBytesAsFloat(src + i), vscale, voffset), df,
               dst + i);
  }
  reference::DequantizeByteWeights(kFormula, src + i, count - i, scale, offset,
                                   dst + i);
}

template <ByteWeightFormula kFormula>
void DequantizePerChannel(const uint8_t* HWY_RESTRICT src, size_t outer,
                          size_t channels, size_t inner,
                          const float* HWY_RESTRICT scales,
                          const float* HWY_RESTRICT offsets,
                          float* HWY_RESTRICT dst) {
  const DF df;
  const size_t lanes = hn::Lanes(df);
  if (inner != 1) {
    for (size_t o = 0; o < outer; ++o) {
      for (size_t c = 0; c < channels; ++c) {
        Dequantize<kFormula>(src, inner, scales[c], offsets[c], dst, false);
        src += inner;
        dst += inner;
      }
    }
    return;
  }
  // The channel is the fastest axis: the parameters are vectors themselves.
  for (size_t o = 0; o < outer; ++o) {
    size_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
      hn::StoreU(
          Apply<kFormula>(LoadBytesAsFloat(src + c), hn::LoadU(df, scales + c),
                          hn::LoadU(df, offsets + c)),
          df, dst + c);
    }
    for (; c < channels; ++c) {
      reference::DequantizeByteWeights(kFormula, src + c, 1, scales[c],
                                       offsets[c], dst + c);
    }
    src += channels;
    dst += channels;
  }
}

template <ByteWeightFormula kFormula>
void Quantize(const float* HWY_RESTRICT src, size_t count, float scale,
              float offset, uint8_t low, uint8_t high,
              uint8_t* HWY_RESTRICT dst) {
  const DF df;
  const hn::Rebind<uint8_t, DF> d8;
  const size_t lanes = hn::Lanes(df);
  const VF vscale = hn::Set(df, scale);
  const VF voffset = hn::Set(df, offset);
  const VF half = hn::Set(df, 0.5f);
  const VF lo = hn::Set(df, static_cast<float>(low));
  const VF hi = hn::Set(df, static_cast<float>(high));
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    VF x = hn::LoadU(df, src + i);
    if (kFormula == ByteWeightFormula::kAffine) {
      x = hn::Div(hn::Sub(x, voffset), vscale);
    } else {
      x = hn::Mul(hn::Sub(hn::Div(x, vscale), voffset), half);
    }
    x = hn::Min(hn::Max(x, lo), hi);
    hn::StoreU(hn::DemoteTo(d8, hn::NearestInt(x)), d8, dst + i);
  }
  reference::QuantizeByteWeights(kFormula, src + i, count - i, scale, offset,
                                 low, high, dst + i);
}

// Highway's export macros take plain functions: one per formula.
#define BYTE_WEIGHT_FORMULA(NAME)                                              \
  void Dequantize##NAME(const uint8_t* src, size_t count, float scale,         \
                        float offset, float* dst, bool streaming) {            \
    Dequantize<ByteWeightFormula::k##NAME>(src, count, scale, offset, dst,     \
                                           streaming);                         \
  }                                                                            \
  void DequantizePerChannel##NAME(                                             \
      const uint8_t* src, size_t outer, size_t channels, size_t inner,         \
      const float* scales, const float* offsets, float* dst) {                 \
    DequantizePerChannel<ByteWeightFormula::k##NAME>(                          \
        src, outer, channels, inner, scales, offsets, dst);                    \
  }                                                                            \
  void Quantize##NAME(const float* src, size_t count, float scale,             \
                      float offset, uint8_t low, uint8_t high, uint8_t* dst) { \
    Quantize<ByteWeightFormula::k##NAME>(src, count, scale, offset, low, high, \
                                         dst);                                 \
  }
BYTE_WEIGHT_FORMULA(Affine)
BYTE_WEIGHT_FORMULA(Centered)
#undef BYTE_WEIGHT_FORMULA

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(DequantizeAffine);
HWY_EXPORT(DequantizeCentered);
HWY_EXPORT(DequantizePerChannelAffine);
HWY_EXPORT(DequantizePerChannelCentered);
HWY_EXPORT(QuantizeAffine);
HWY_EXPORT(QuantizeCentered);

void DequantizeByteWeights(ByteWeightFormula formula, const uint8_t* src,
                           std::size_t count, float scale, float offset,
                           float* dst, StoreHint hint) {
  if (UseScalarReference()) {
    return reference::DequantizeByteWeights(formula, src, count, scale, offset,
                                            dst);
  }
  const bool streaming = hint == StoreHint::kStreaming ||
                         (hint == StoreHint::kAuto &&
                          count > LastLevelCacheBytes() / 2 / sizeof(float));
  if (formula == ByteWeightFormula::kAffine) {
    HWY_DYNAMIC_DISPATCH(DequantizeAffine)
    (src, count, scale, offset, dst, streaming);
  } else {
    HWY_DYNAMIC_DISPATCH(DequantizeCentered)
    (src, count, scale, offset, dst, streaming);
  }
}

void DequantizeByteWeightsPerChannel(ByteWeightFormula formula,
                                     const uint8_t* src, std::size_t outer,
                                     std::size_t channels, std::size_t inner,
                                     const float* scales, const float* offsets,
                                     float* dst) {
  if (UseScalarReference()) {
    return reference::DequantizeByteWeightsPerChannel(
        formula, src, outer, channels, inner, scales, offsets, dst);
  }
  if (formula == ByteWeightFormula::kAffine) {
    HWY_DYNAMIC_DISPATCH(DequantizePerChannelAffine)
    (src, outer, channels, inner, scales, offsets, dst);
  } else {
    HWY_DYNAMIC_DISPATCH(DequantizePerChannelCentered)
    (src, outer, channels, inner, scales, offsets, dst);
  }
}

void QuantizeByteWeights(ByteWeightFormula formula, const float* src,
                         std::size_t count, float scale, float offset,
                         uint8_t low, uint8_t high, uint8_t* dst) {
  if (UseScalarReference() || scale == 0.0f) {
    return reference::QuantizeByteWeights(formula, src, count, scale, offset,
                                          low, high, dst);
  }
  if (formula == ByteWeightFormula::kAffine) {
    HWY_DYNAMIC_DISPATCH(QuantizeAffine)
    (src, count, scale, offset, low, high, dst);
  } else {
    HWY_DYNAMIC_DISPATCH(QuantizeCentered)
    (src, count, scale, offset, low, high, dst);
  }
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
