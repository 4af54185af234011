// The sums of depthwise convolutions: this file is compiled once per target.
// With VNNI products of four rows are one instruction; Highway 1.0 has no word
// for it, hence the intrinsics. 32 channels of 112 x 112 pixels, 3 x 3, take
// 60 us with it, in pairs with AVX2 167 us.
#include "quantization/kernels/depthwise.h"

#include <algorithm>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/depthwise.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void Depthwise(const DepthwiseFilter& filter, const uint8_t* const* x,
               int64_t column_step, int64_t pixel_step, int64_t pixels,
               int32_t* sums) {
  reference::DepthwiseSums(filter, x, column_step, pixel_step, pixels, sums);
}

#elif HWY_TARGET == HWY_AVX3_DL

// Highway's target lacks the very name of it. In its place, not within: Clang
// takes the outer one of two.
#define VNNI_TARGET HWY_TARGET_STR ",avx512vnni"
#define VNNI_ATTR __attribute__((target(VNNI_TARGET)))  // of lambdas
HWY_POP_ATTRIBUTES
HWY_PUSH_ATTRIBUTES(VNNI_TARGET)

struct Line {
  const DepthwiseFilter* filter;
  const uint8_t* const* x;
  int64_t column_step, pixel_step, pixels;
  int32_t* sums;
};

// Up to 16 channels of up to four rows, beginning at `at`, as four bytes a
// channel.
HWY_INLINE __m512i Quad(const uint8_t* const* x, int64_t rows, int64_t at,
                        __mmask16 channels, __m512i order) {
  const auto row = [&](int64_t r) VNNI_ATTR {
    return _mm_maskz_loadu_epi8(channels, x[r] + at);
  };
  __m512i quad = _mm512_zextsi128_si512(row(0));
  if (rows > 1) quad = _mm512_inserti32x4(quad, row(1), 1);
  if (rows > 2) quad = _mm512_inserti32x4(quad, row(2), 2);
  if (rows > 3) quad = _mm512_inserti32x4(quad, row(3), 3);
  return _mm512_permutexvar_epi8(order, quad);
}

HWY_INLINE __m512i ByteOrder() {
  // Byte 4 * c + r of the result is byte 16 * r + c.
  const __m512i channel =
      _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return _mm512_add_epi8(
      _mm512_mullo_epi32(channel, _mm512_set1_epi32(0x01010101)),
      _mm512_set1_epi32(0x30201000));
}

// A window of so many rows and columns. The columns that two neighbouring
// pixels share stay in registers: kShift are new for each pixel.
template <int64_t kRows, int64_t kColumns, int64_t kShift, int64_t kParts>
void Window(const Line& line) {
  constexpr int64_t kQuads = (kRows + 3) / 4;
  constexpr int64_t kSize = kColumns * kQuads;
  const int64_t channels = line.filter->channels;
  const int64_t blocks = (channels + kDepthwiseBlock - 1) / kDepthwiseBlock;
  const __m512i order = ByteOrder();
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t c = block * kDepthwiseBlock;
    const __mmask16 mask = static_cast<__mmask16>(
        0xFFFF >> std::max<int64_t>(c + kDepthwiseBlock - channels, 0));
    __m512i weights[kParts][kSize];
    for (int64_t part = 0; part < kParts; ++part) {
      for (int64_t i = 0; i < kSize; ++i) {
        weights[part][i] = _mm512_loadu_si512(
            line.filter->quads.data() +
            ((part * blocks + block) * kSize + i) * kDepthwiseBlock * 4);
      }
    }
    __m512i window[kSize];
    const auto load = [&](int64_t column, int64_t at) VNNI_ATTR {
      for (int64_t q = 0; q < kQuads; ++q) {
        window[column * kQuads + q] =
            Quad(line.x + 4 * q, kRows - 4 * q, at, mask, order);
      }
    };
    for (int64_t s = 0; s < kColumns - kShift; ++s) {
      load(s + kShift, c + s * line.column_step);
    }
    int32_t* to = line.sums + c;
    int64_t at = c + (kColumns - kShift) * line.column_step;
    for (int64_t p = 0; p < line.pixels; ++p) {
      for (int64_t i = 0; i < kSize - kShift * kQuads; ++i) {
        window[i] = window[i + kShift * kQuads];
      }
      for (int64_t s = 0; s < kShift; ++s) {
        load(kColumns - kShift + s, at + s * line.column_step);
      }
      __m512i sum = _mm512_setzero_si512();
      for (int64_t i = 0; i < kSize; ++i) {
        sum = _mm512_dpbusd_epi32(sum, window[i], weights[0][i]);
      }
      if (kParts == 2) {
        sum = _mm512_add_epi32(sum, sum);
        for (int64_t i = 0; i < kSize; ++i) {
          sum = _mm512_dpbusd_epi32(sum, window[i], weights[kParts - 1][i]);
        }
      }
      _mm512_mask_storeu_epi32(to, mask, sum);
      to += channels;
      at += line.pixel_step;
    }
  }
}

// Any window.
void AnyWindow(const Line& line) {
  const DepthwiseFilter& filter = *line.filter;
  const int64_t channels = filter.channels;
  const int64_t blocks = (channels + kDepthwiseBlock - 1) / kDepthwiseBlock;
  const int64_t quads = (filter.rows + 3) / 4;
  const int64_t size = filter.columns * quads;
  const __m512i order = ByteOrder();
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t c = block * kDepthwiseBlock;
    const __mmask16 mask = static_cast<__mmask16>(
        0xFFFF >> std::max<int64_t>(c + kDepthwiseBlock - channels, 0));
    const int8_t* const high =
        filter.quads.data() + block * size * kDepthwiseBlock * 4;
    const int8_t* const low =
        high + (filter.parts - 1) * blocks * size * kDepthwiseBlock * 4;
    for (int64_t p = 0; p < line.pixels; ++p) {
      __m512i sum = _mm512_setzero_si512();
      __m512i low_sum = sum;
      for (int64_t s = 0; s < filter.columns; ++s) {
        const int64_t at = c + p * line.pixel_step + s * line.column_step;
        for (int64_t q = 0; q < quads; ++q) {
          const __m512i quad =
              Quad(line.x + 4 * q, filter.rows - 4 * q, at, mask, order);
          const int64_t i = (s * quads + q) * kDepthwiseBlock * 4;
          sum = _mm512_dpbusd_epi32(sum, quad, _mm512_loadu_si512(high + i));
          low_sum =
              _mm512_dpbusd_epi32(low_sum, quad, _mm512_loadu_si512(low + i));
        }
      }
      if (filter.parts == 2) {
        sum = _mm512_add_epi32(_mm512_add_epi32(sum, sum), low_sum);
      }
      _mm512_mask_storeu_epi32(line.sums + p * channels + c, mask, sum);
    }
  }
}

template <int64_t kRows, int64_t kColumns>
bool RunIfWindow(const Line& line) {
  const DepthwiseFilter& filter = *line.filter;
  if (filter.rows != kRows || filter.columns != kColumns) return false;
  const bool one = filter.parts == 1;
  if (line.pixel_step == line.column_step) {
    one ? Window<kRows, kColumns, 1, 1>(line)
        : Window<kRows, kColumns, 1, 2>(line);
    return true;
  }
  if (line.pixel_step == 2 * line.column_step) {
    one ? Window<kRows, kColumns, 2, 1>(line)
        : Window<kRows, kColumns, 2, 2>(line);
    return true;
  }
  return false;
}

void Depthwise(const DepthwiseFilter& filter, const uint8_t* const* x,
               int64_t column_step, int64_t pixel_step, int64_t pixels,
               int32_t* sums) {
  const Line line = {&filter, x, column_step, pixel_step, pixels, sums};
  if (RunIfWindow<3, 3>(line) || RunIfWindow<5, 5>(line) ||
      RunIfWindow<3 * 3, 3>(line)) {
    return;
  }
  AnyWindow(line);
}

HWY_POP_ATTRIBUTES
HWY_PUSH_ATTRIBUTES(HWY_TARGET_STR)
#undef VNNI_ATTR
#undef VNNI_TARGET

#else

// Windows with more taps are left to the plain form.
constexpr int64_t kMostTaps = 512;

// As many channels as a vector has sums. Two taps are one product in pairs.
void Depthwise(const DepthwiseFilter& filter, const uint8_t* const* x,
               int64_t column_step, int64_t pixel_step, int64_t pixels,
               int32_t* sums) {
  const hn::ScalableTag<int32_t> d;
  const hn::Repartition<int16_t, decltype(d)> d16;
  const hn::Rebind<uint8_t, decltype(d)> d8;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t channels = filter.channels;
  const int64_t taps = filter.rows * filter.columns;
  if (channels < lanes || taps > kMostTaps) {
    return reference::DepthwiseSums(filter, x, column_step, pixel_step, pixels,
                                    sums);
  }
  const uint8_t* tap_at[kMostTaps];
  for (int64_t r = 0; r < filter.rows; ++r) {
    for (int64_t s = 0; s < filter.columns; ++s) {
      tap_at[r * filter.columns + s] = x[r] + s * column_step;
    }
  }
  for (int64_t c = 0; c < channels; c += lanes) {
    // The last vector overlaps the one before it.
    if (c > channels - lanes) c = channels - lanes;
    for (int64_t p = 0; p < pixels; ++p) {
      const int64_t offset = p * pixel_step + c;
      const auto at = [&](int64_t tap) HWY_ATTR {
        return hn::PromoteTo(d, hn::LoadU(d8, tap_at[tap] + offset));
      };
      const int16_t* weights = filter.pairs.data() + c * 2;
      auto sum = hn::Zero(d);
      auto unused = hn::Zero(d);
      int64_t tap = 0;
      for (; tap + 1 < taps; tap += 2, weights += channels * 2) {
        const auto pair = hn::Or(at(tap), hn::ShiftLeft<16>(at(tap + 1)));
        sum = hn::ReorderWidenMulAccumulate(
            d, hn::BitCast(d16, pair), hn::LoadU(d16, weights), sum, unused);
      }
      if (tap < taps) {
        sum = hn::ReorderWidenMulAccumulate(
            d, hn::BitCast(d16, at(tap)), hn::LoadU(d16, weights), sum, unused);
      }
      hn::StoreU(sum, d, sums + p * channels + c);
    }
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(Depthwise);

void DepthwiseSums(const DepthwiseFilter& filter, const uint8_t* const* x,
                   int64_t column_step, int64_t pixel_step, int64_t pixels,
                   int32_t* sums) {
  if (UseScalarReference()) {
    return reference::DepthwiseSums(filter, x, column_step, pixel_step, pixels,
                                    sums);
  }
  HWY_DYNAMIC_DISPATCH(Depthwise)
  (filter, x, column_step, pixel_step, pixels, sums);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
