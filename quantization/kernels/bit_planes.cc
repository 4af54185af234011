// The bit plane kernels in Highway: this file is compiled once per target.
//
// Planes and numbers meet in blocks of kBlock integers, kept as three arrays of
// bytes: low and high half of the magnitude, and the sign. A vector of bytes
// gives a plane by its top bits (one mask per plane), and takes one by adding a
// mask while doubling. Formats of more than 16 bits are left to the reference.
#include "quantization/kernels/bit_planes.h"

#include <algorithm>
#include <cstring>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/bit_planes.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR
namespace hn = hwy::HWY_NAMESPACE;

using D8 = hn::ScalableTag<uint8_t>;
using D32 = hn::ScalableTag<int32_t>;
using DU32 = hn::ScalableTag<uint32_t>;
using DF64 = hn::ScalableTag<double>;

constexpr size_t kBlock = 1024;  // a multiple of the lanes of any vector
constexpr int kMaxPrecision = 16;

struct Block {
  HWY_ALIGN uint8_t low[kBlock];
  HWY_ALIGN uint8_t high[kBlock];
  HWY_ALIGN uint8_t sign[kBlock];  // 1: negative
  HWY_ALIGN int32_t integers[kBlock];
};

// Planes put integer 0 in the most significant bit, Highway's masks in the
// least: so each group of eight bytes is reversed.
HWY_INLINE hn::Vec<D8> ReverseEights(hn::Vec<D8> v) {
  alignas(16) constexpr uint8_t kOrder[16] = {7,  6,  5,  4,  3,  2,  1, 0,
                                              15, 14, 13, 12, 11, 10, 9, 8};
  return hn::TableLookupBytes(v, hn::LoadDup128(D8(), kOrder));
}

// Bytes to `planes` (at most 8) planes, of which the first holds bit 0. The
// rows of dst are plane_bytes apart; `bytes` of each are written, one for every
// eight of src.
HWY_INLINE void BytesToPlanes(const uint8_t* HWY_RESTRICT src, int planes,
                              size_t bytes, size_t plane_bytes,
                              uint8_t* HWY_RESTRICT dst) {
  const D8 d;
  const hn::RebindToSigned<D8> di;
  const size_t step = hn::Lanes(d) / 8;
  for (size_t at = 0; at < bytes; at += step) {
    auto v = ReverseEights(hn::Load(d, src + 8 * at));
    for (int skipped = 8; skipped > planes; --skipped) v = hn::Add(v, v);
    for (int p = planes - 1; p >= 0; --p) {
      const auto mask = hn::Lt(hn::BitCast(di, v), hn::Zero(di));
      uint8_t* const row = dst + p * plane_bytes + at;
      if (bytes - at >= step) {
        hn::StoreMaskBits(di, mask, row);
      } else {
        uint8_t bits[8];
        hn::StoreMaskBits(di, mask, bits);
        std::memcpy(row, bits, bytes - at);
      }
      v = hn::Add(v, v);
    }
  }
}

// The inverse: rows of `bytes` bytes to eight times as many bytes at dst.
HWY_INLINE void PlanesToBytes(const uint8_t* HWY_RESTRICT src, int planes,
                              size_t bytes, size_t plane_bytes,
                              uint8_t* HWY_RESTRICT dst) {
  const D8 d;
  const size_t step = hn::Lanes(d) / 8;
  for (size_t at = 0; at < bytes; at += step) {
    auto v = hn::Zero(d);
    for (int p = planes - 1; p >= 0; --p) {
      const uint8_t* row = src + p * plane_bytes + at;
      uint8_t bits[8] = {};
      if (bytes - at < step) {
        std::memcpy(bits, row, bytes - at);
        row = bits;
      }
      v = hn::Sub(hn::Add(v, v), hn::VecFromMask(d, hn::LoadMaskBits(d, row)));
    }
    hn::Store(ReverseEights(v), d, dst + 8 * at);
  }
}

// The low byte of each lane. (Highway 1.0.3 has TruncateTo() for this, which
// picks the wrong bytes on AVX3_DL.)
HWY_INLINE hn::Vec<hn::Rebind<uint8_t, D32>> LowBytes(hn::Vec<DU32> v) {
  const D32 d;
  const auto low = hn::And(v, hn::Set(DU32(), 0xFF));
  return hn::DemoteTo(hn::Rebind<uint8_t, D32>(), hn::BitCast(d, low));
}

// block.integers[0, count) to rows of planes; integers from count on must exist
// up to whole vectors and are made 0.
HWY_INLINE void IntegersToPlanes(Block& block, size_t count,
                                 BitPlaneFormat format, size_t plane_bytes,
                                 uint8_t* HWY_RESTRICT dst) {
  const D32 d;
  const DU32 du;
  const hn::Rebind<uint8_t, D32> d8;
  const size_t padded =
      (count + hn::Lanes(D8()) - 1) / hn::Lanes(D8()) * hn::Lanes(D8());
  std::fill(block.integers + count, block.integers + padded, 0);
  for (size_t i = 0; i < padded; i += hn::Lanes(d)) {
    const auto v = hn::Load(d, block.integers + i);
    const auto magnitude = hn::BitCast(du, hn::Abs(v));
    hn::StoreU(LowBytes(magnitude), d8, block.low + i);
    hn::StoreU(LowBytes(hn::ShiftRight<8>(magnitude)), d8, block.high + i);
    hn::StoreU(LowBytes(hn::ShiftRight<31>(hn::BitCast(du, v))), d8,
               block.sign + i);
  }
  const size_t bytes = BitPlaneBytes(count);
  BytesToPlanes(block.low, std::min(format.precision, 8), bytes, plane_bytes,
                dst);
  if (format.precision > 8) {
    BytesToPlanes(block.high, format.precision - 8, bytes, plane_bytes,
                  dst + 8 * plane_bytes);
  }
  if (format.is_signed) {
    BytesToPlanes(block.sign, 1, bytes, plane_bytes,
                  dst + format.precision * plane_bytes);
  }
}

// Rows of planes to block.integers[0, count) and on to whole vectors.
HWY_INLINE void PlanesToIntegers(const uint8_t* HWY_RESTRICT src, size_t count,
                                 BitPlaneFormat format, size_t plane_bytes,
                                 Block& block) {
  const D32 d;
  const hn::Rebind<uint8_t, D32> d8;
  const hn::Rebind<int8_t, D32> di8;
  const size_t bytes = BitPlaneBytes(count);
  const bool wide = format.precision > 8;
  PlanesToBytes(src, std::min(format.precision, 8), bytes, plane_bytes,
                block.low);
  if (wide) {
    PlanesToBytes(src + 8 * plane_bytes, format.precision - 8, bytes,
                  plane_bytes, block.high);
  }
  if (format.is_signed) {
    PlanesToBytes(src + format.precision * plane_bytes, 1, bytes, plane_bytes,
                  block.sign);
  }
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    auto v = hn::PromoteTo(d, hn::Load(d8, block.low + i));
    if (wide) {
      const auto high = hn::PromoteTo(d, hn::Load(d8, block.high + i));
      v = hn::Or(v, hn::ShiftLeft<8>(high));
    }
    if (format.is_signed) {
      // 0 or 1, to 0 or all ones: x ^ ones - ones is -x.
      const auto sign = hn::Neg(hn::PromoteTo(
          d, hn::Load(di8, reinterpret_cast<const int8_t*>(block.sign) + i)));
      v = hn::Sub(hn::Xor(v, sign), sign);
    }
    hn::Store(v, d, block.integers + i);
  }
}

// Walks the elements of a block and the channels they belong to, as runs of one
// channel, or, where the runs are short, with a parameter for each element.
class ChannelWalk {
 public:
  explicit ChannelWalk(const ChannelParams& params) : params_(params) {}

  // Calls run(offset, count, scale, bias) over a block of `count` elements.
  template <class Run>
  HWY_INLINE void Runs(size_t count, const Run& run) {
    for (size_t i = 0; i < count;) {
      const size_t length = std::min(count - i, params_.inner - within_);
      run(i, length, params_.scales[channel_], params_.biases[channel_]);
      i += length;
      Advance(length);
    }
  }

  // Fills the parameters of the next `count` elements.
  void Fill(size_t count, double* scales, double* biases) {
    for (size_t i = 0; i < count; ++i) {
      scales[i] = params_.scales[channel_];
      biases[i] = params_.biases[channel_];
      Advance(1);
    }
  }

  // Below this a run is mostly remainder.
  bool short_runs() const { return params_.inner < 32 && params_.channels > 1; }

 private:
  HWY_INLINE void Advance(size_t length) {
    within_ += length;
    if (within_ == params_.inner) {
      within_ = 0;
      if (++channel_ == params_.channels) channel_ = 0;
    }
  }

  const ChannelParams& params_;
  size_t channel_ = 0;
  size_t within_ = 0;
};

// The two maps between numbers and integers, on vectors of double.
HWY_INLINE void StoreValues(const int32_t* src, hn::Vec<DF64> scale,
                            hn::Vec<DF64> bias, float* dst) {
  const DF64 d;
  const hn::Rebind<int32_t, DF64> d32;
  const hn::Rebind<float, DF64> df;
  const auto x = hn::PromoteTo(d, hn::LoadU(d32, src));
  hn::StoreU(hn::DemoteTo(df, hn::Mul(scale, hn::Add(x, bias))), df, dst);
}

HWY_INLINE void StoreIntegers(const float* src, hn::Vec<DF64> scale,
                              hn::Vec<DF64> bias, hn::Vec<DF64> low,
                              hn::Vec<DF64> high, int32_t* dst) {
  const DF64 d;
  const hn::Rebind<int32_t, DF64> d32;
  const hn::Rebind<float, DF64> df;
  const auto v = hn::PromoteTo(d, hn::LoadU(df, src));
  auto x = hn::Sub(hn::Div(v, scale), bias);
  x = hn::Min(hn::Max(x, low), high);
  hn::StoreU(hn::DemoteTo(d32, hn::Round(x)), d32, dst);
}

// The last elements of a run that fill no vector go through a padded copy.
HWY_INLINE void Dequantize(const int32_t* src, size_t count, double scale,
                           double bias, float* dst) {
  const DF64 d;
  const size_t lanes = hn::Lanes(d);
  const auto vscale = hn::Set(d, scale);
  const auto vbias = hn::Set(d, bias);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    StoreValues(src + i, vscale, vbias, dst + i);
  }
  if (i < count) {
    HWY_ALIGN int32_t last[HWY_MAX_BYTES / sizeof(double)] = {};
    HWY_ALIGN float values[HWY_MAX_BYTES / sizeof(double)];
    std::memcpy(last, src + i, (count - i) * sizeof(int32_t));
    StoreValues(last, vscale, vbias, values);
    std::memcpy(dst + i, values, (count - i) * sizeof(float));
  }
}

HWY_INLINE void Quantize(const float* src, size_t count, double scale,
                         double bias, int32_t low, int32_t high, int32_t* dst) {
  const DF64 d;
  const size_t lanes = hn::Lanes(d);
  const auto vscale = hn::Set(d, scale);
  const auto vbias = hn::Set(d, bias);
  const auto vlow = hn::Set(d, static_cast<double>(low));
  const auto vhigh = hn::Set(d, static_cast<double>(high));
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    StoreIntegers(src + i, vscale, vbias, vlow, vhigh, dst + i);
  }
  if (i < count) {
    HWY_ALIGN float last[HWY_MAX_BYTES / sizeof(double)] = {};
    HWY_ALIGN int32_t integers[HWY_MAX_BYTES / sizeof(double)];
    std::memcpy(last, src + i, (count - i) * sizeof(float));
    StoreIntegers(last, vscale, vbias, vlow, vhigh, integers);
    std::memcpy(dst + i, integers, (count - i) * sizeof(int32_t));
  }
}

void Pack(const int32_t* src, size_t n, BitPlaneFormat format, uint8_t* dst) {
  if (format.precision > kMaxPrecision) {
    return reference::PackBitPlanes(src, n, format, dst);
  }
  Block block;
  const size_t plane_bytes = BitPlaneBytes(n);
  for (size_t i = 0; i < n; i += kBlock) {
    const size_t count = std::min(n - i, kBlock);
    std::memcpy(block.integers, src + i, count * sizeof(int32_t));
    IntegersToPlanes(block, count, format, plane_bytes, dst + i / 8);
  }
}

void Unpack(const uint8_t* src, size_t n, BitPlaneFormat format, int32_t* dst) {
  if (format.precision > kMaxPrecision) {
    return reference::UnpackBitPlanes(src, n, format, dst);
  }
  Block block;
  const size_t plane_bytes = BitPlaneBytes(n);
  for (size_t i = 0; i < n; i += kBlock) {
    const size_t count = std::min(n - i, kBlock);
    PlanesToIntegers(src + i / 8, count, format, plane_bytes, block);
    std::memcpy(dst + i, block.integers, count * sizeof(int32_t));
  }
}

void PlanesToFloats(const uint8_t* src, BitPlaneFormat format,
                    const ChannelParams& params, float* dst) {
  if (format.precision > kMaxPrecision) {
    return reference::DequantizeBitPlanes(src, format, params, dst);
  }
  const DF64 d;
  Block block;
  HWY_ALIGN double scales[kBlock];
  HWY_ALIGN double biases[kBlock];
  const size_t n = params.size();
  const size_t plane_bytes = BitPlaneBytes(n);
  ChannelWalk walk(params);
  for (size_t at = 0; at < n; at += kBlock) {
    const size_t count = std::min(n - at, kBlock);
    PlanesToIntegers(src + at / 8, count, format, plane_bytes, block);
    if (!walk.short_runs()) {
      walk.Runs(count, [&](size_t i, size_t length, double scale,
                           double bias) HWY_ATTR {
        Dequantize(block.integers + i, length, scale, bias, dst + at + i);
      });
      continue;
    }
    walk.Fill(count, scales, biases);
    size_t i = 0;
    for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
      StoreValues(block.integers + i, hn::Load(d, scales + i),
                  hn::Load(d, biases + i), dst + at + i);
    }
    for (; i < count; ++i) {
      Dequantize(block.integers + i, 1, scales[i], biases[i], dst + at + i);
    }
  }
}

void FloatsToIntegers(const float* src, size_t n, double scale, double bias,
                      int32_t low, int32_t high, int32_t* dst) {
  Quantize(src, n, scale, bias, low, high, dst);
}

void FloatsToPlanes(const float* src, BitPlaneFormat format,
                    const ChannelParams& params, uint8_t* dst) {
  if (format.precision > kMaxPrecision) {
    return reference::QuantizeToBitPlanes(src, format, params, dst);
  }
  const DF64 d;
  Block block;
  HWY_ALIGN double scales[kBlock];
  HWY_ALIGN double biases[kBlock];
  const size_t n = params.size();
  const size_t plane_bytes = BitPlaneBytes(n);
  const int32_t high = LargestOf(format);
  const int32_t low = format.is_signed ? -high : 0;
  ChannelWalk walk(params);
  for (size_t at = 0; at < n; at += kBlock) {
    const size_t count = std::min(n - at, kBlock);
    if (!walk.short_runs()) {
      walk.Runs(count, [&](size_t i, size_t length, double scale, double bias)
                           HWY_ATTR {
                             Quantize(src + at + i, length, scale, bias, low,
                                      high, block.integers + i);
                           });
    } else {
      walk.Fill(count, scales, biases);
      const auto vlow = hn::Set(d, static_cast<double>(low));
      const auto vhigh = hn::Set(d, static_cast<double>(high));
      size_t i = 0;
      for (; i + hn::Lanes(d) <= count; i += hn::Lanes(d)) {
        StoreIntegers(src + at + i, hn::Load(d, scales + i),
                      hn::Load(d, biases + i), vlow, vhigh, block.integers + i);
      }
      for (; i < count; ++i) {
        Quantize(src + at + i, 1, scales[i], biases[i], low, high,
                 block.integers + i);
      }
    }
    IntegersToPlanes(block, count, format, plane_bytes, dst + at / 8);
  }
}

void PackRows(const int32_t* src, size_t rows, size_t columns, int planes,
              uint8_t* dst) {
  const D32 d;
  const DU32 du;
  const hn::Rebind<uint8_t, D32> d8;
  Block block;
  const size_t row_bytes = BitRowBytes(columns);
  const size_t plane_bytes = rows * row_bytes;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t k = 0; k < columns; k += kBlock) {
      const size_t count = std::min(columns - k, kBlock);
      // A row ends with whole words: so may its last block.
      const size_t bytes = std::min(row_bytes - k / 8, kBlock / 8);
      std::memcpy(block.integers, src + row * columns + k,
                  count * sizeof(int32_t));
      const size_t lanes8 = hn::Lanes(D8());
      const size_t padded = (8 * bytes + lanes8 - 1) / lanes8 * lanes8;
      std::fill(block.integers + count, block.integers + padded, 0);
      for (size_t i = 0; i < padded; i += hn::Lanes(d)) {
        const auto v = hn::BitCast(du, hn::Load(d, block.integers + i));
        hn::StoreU(LowBytes(v), d8, block.low + i);
        hn::StoreU(LowBytes(hn::ShiftRight<8>(v)), d8, block.high + i);
      }
      uint8_t* const to = dst + row * row_bytes + k / 8;
      BytesToPlanes(block.low, std::min(planes, 8), bytes, plane_bytes, to);
      if (planes > 8) {
        BytesToPlanes(block.high, planes - 8, bytes, plane_bytes,
                      to + 8 * plane_bytes);
      }
    }
  }
}

#else  // HWY_SCALAR: the reference is what a single lane would do.

void Pack(const int32_t* src, size_t n, BitPlaneFormat format, uint8_t* dst) {
  reference::PackBitPlanes(src, n, format, dst);
}
void Unpack(const uint8_t* src, size_t n, BitPlaneFormat format, int32_t* dst) {
  reference::UnpackBitPlanes(src, n, format, dst);
}
void PlanesToFloats(const uint8_t* src, BitPlaneFormat format,
                    const ChannelParams& params, float* dst) {
  reference::DequantizeBitPlanes(src, format, params, dst);
}
void FloatsToIntegers(const float* src, size_t n, double scale, double bias,
                      int32_t low, int32_t high, int32_t* dst) {
  reference::QuantizeToIntegers(src, n, scale, bias, low, high, dst);
}
void FloatsToPlanes(const float* src, BitPlaneFormat format,
                    const ChannelParams& params, uint8_t* dst) {
  reference::QuantizeToBitPlanes(src, format, params, dst);
}
void PackRows(const int32_t* src, size_t rows, size_t columns, int planes,
              uint8_t* dst) {
  reference::PackBitRows(src, rows, columns, planes, dst);
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
HWY_EXPORT(PlanesToFloats);
HWY_EXPORT(FloatsToIntegers);
HWY_EXPORT(FloatsToPlanes);
HWY_EXPORT(PackRows);

void PackBitPlanes(const int32_t* src, std::size_t n, BitPlaneFormat format,
                   uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::PackBitPlanes(src, n, format, dst);
  }
  HWY_DYNAMIC_DISPATCH(Pack)(src, n, format, dst);
}

void UnpackBitPlanes(const uint8_t* src, std::size_t n, BitPlaneFormat format,
                     int32_t* dst) {
  if (UseScalarReference()) {
    return reference::UnpackBitPlanes(src, n, format, dst);
  }
  HWY_DYNAMIC_DISPATCH(Unpack)(src, n, format, dst);
}

void UnpackBitPlanes(const uint8_t* src, std::size_t n, BitPlaneFormat format,
                     int64_t* dst) {
  reference::UnpackBitPlanes(src, n, format, dst);
}

void DequantizeBitPlanes(const uint8_t* src, BitPlaneFormat format,
                         const ChannelParams& params, float* dst) {
  if (UseScalarReference()) {
    return reference::DequantizeBitPlanes(src, format, params, dst);
  }
  HWY_DYNAMIC_DISPATCH(PlanesToFloats)(src, format, params, dst);
}

void DequantizeBitPlanes(const uint8_t* src, std::size_t n,
                         BitPlaneFormat format, double scale, double bias,
                         float* dst) {
  DequantizeBitPlanes(src, format, ChannelParams{1, 1, n, &scale, &bias}, dst);
}

void QuantizeToIntegers(const float* src, std::size_t n, double scale,
                        double bias, int32_t low, int32_t high, int32_t* dst) {
  if (UseScalarReference()) {
    return reference::QuantizeToIntegers(src, n, scale, bias, low, high, dst);
  }
  HWY_DYNAMIC_DISPATCH(FloatsToIntegers)
  (src, n, scale, bias, low, high, dst);
}

void QuantizeToBitPlanes(const float* src, BitPlaneFormat format,
                         const ChannelParams& params, uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::QuantizeToBitPlanes(src, format, params, dst);
  }
  HWY_DYNAMIC_DISPATCH(FloatsToPlanes)(src, format, params, dst);
}

void QuantizeToBitPlanes(const float* src, std::size_t n, BitPlaneFormat format,
                         double scale, double bias, uint8_t* dst) {
  QuantizeToBitPlanes(src, format, ChannelParams{1, 1, n, &scale, &bias}, dst);
}

void PackBitRows(const int32_t* src, std::size_t rows, std::size_t columns,
                 int planes, uint8_t* dst) {
  if (UseScalarReference()) {
    return reference::PackBitRows(src, rows, columns, planes, dst);
  }
  HWY_DYNAMIC_DISPATCH(PackRows)(src, rows, columns, planes, dst);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
