// code_moments.h in Highway: this file is compiled once per target. Squares are
// added up in 32 bits, and before these are full, in 64.
#include "quantization/kernels/code_moments.h"

#include <algorithm>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/code_moments.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "quantization/kernels/code_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void OfRun(const uint8_t* src, int64_t count, CodeMoments* moments) {
  *moments = reference::RunMoments(src, count);
}

void OfColumns(const uint8_t* src, int64_t rows, int64_t columns,
               int64_t stride, CodeMoments* moments) {
  reference::ColumnMoments(src, rows, columns, stride, moments);
}

#else

using DShort = hn::Repartition<int16_t, DI>;

// The products of neighbouring 16 bits, added in pairs to a sum of 32 bits.
HWY_INLINE VI AddSquares(hn::Vec<DShort> x, VI sum) {
  VI unused = hn::Zero(DI());
  return hn::ReorderWidenMulAccumulate(DI(), x, x, sum, unused);
}

void OfRun(const uint8_t* src, int64_t count, CodeMoments* moments) {
  const DBytes bytes;
  const DShort shorts;
  const hn::Repartition<uint16_t, DI> unsigned_shorts;
  const hn::Repartition<uint64_t, DI> longs;
  const auto lanes = static_cast<int64_t>(hn::Lanes(bytes));
  const auto low_bytes = hn::Set(unsigned_shorts, 0xFF);
  auto sums = hn::Zero(longs);
  CodeMoments total;
  int64_t i = 0;
  while (i + lanes <= count) {
    // Each adds up to 4 * 255^2 to a lane: 2^31 is not reached.
    constexpr int64_t kMost = 8192;
    const int64_t end = i + std::min(kMost, (count - i) / lanes) * lanes;
    VI squares = hn::Zero(DI());
    for (; i < end; i += lanes) {
      const auto x = hn::LoadU(bytes, src + i);
      sums = hn::Add(sums, hn::SumsOf8(x));
      const auto pairs = hn::BitCast(unsigned_shorts, x);
      const auto even = hn::And(pairs, low_bytes);
      const auto odd = hn::ShiftRight<8>(pairs);
      squares = AddSquares(hn::BitCast(shorts, even), squares);
      squares = AddSquares(hn::BitCast(shorts, odd), squares);
    }
    HWY_ALIGN int32_t lane[hn::MaxLanes(DI())];
    hn::Store(squares, DI(), lane);
    for (const int32_t value : lane) total.squares += value;
  }
  HWY_ALIGN uint64_t lane[hn::MaxLanes(longs)];
  hn::Store(sums, longs, lane);
  for (const uint64_t value : lane) {
    total.sum += static_cast<int64_t>(value);
  }
  const CodeMoments rest = reference::RunMoments(src + i, count - i);
  *moments = {total.sum + rest.sum, total.squares + rest.squares};
}

// kVectors vectors of columns from src on; the last one is loaded by `part`.
template <int kVectors, class Part>
HWY_INLINE void AddRows(const uint8_t* src, int64_t rows, int64_t stride,
                        const Part& part, int64_t columns,
                        CodeMoments* moments) {
  const DI di;
  const DShort shorts;
  const auto lanes = static_cast<int64_t>(hn::Lanes(di));
  while (rows > 0) {
    // Each adds up to 255^2 to a lane: 2^31 is not reached.
    const int64_t n = std::min<int64_t>(rows, 1 << 15);
    VI sums[kVectors], squares[kVectors];
    for (int k = 0; k < kVectors; ++k) {
      sums[k] = squares[k] = hn::Zero(di);
    }
    for (int64_t r = 0; r < n; ++r) {
      for (int k = 0; k < kVectors; ++k) {
        const VB codes = k + 1 < kVectors ? hn::LoadU(DB(), src + k * lanes)
                                          : part.LoadCodes(src + k * lanes);
        const VI x = hn::PromoteTo(di, codes);
        sums[k] = hn::Add(sums[k], x);
        squares[k] = AddSquares(hn::BitCast(shorts, x), squares[k]);
      }
      src += stride;
    }
    HWY_ALIGN int32_t sum[kVectors * hn::MaxLanes(DI())];
    HWY_ALIGN int32_t square[kVectors * hn::MaxLanes(DI())];
    for (int k = 0; k < kVectors; ++k) {
      hn::Store(sums[k], di, sum + k * lanes);
      hn::Store(squares[k], di, square + k * lanes);
    }
    for (int64_t c = 0; c < columns; ++c) {
      moments[c].sum += sum[c];
      moments[c].squares += square[c];
    }
    rows -= n;
  }
}

void OfColumns(const uint8_t* src, int64_t rows, int64_t columns,
               int64_t stride, CodeMoments* moments) {
  constexpr int kVectors = 4;
  const auto lanes = static_cast<int64_t>(hn::Lanes(DI()));
  std::fill_n(moments, columns, CodeMoments());
  int64_t c = 0;
  for (; c + kVectors * lanes <= columns; c += kVectors * lanes) {
    AddRows<kVectors>(src + c, rows, stride, Whole(), kVectors * lanes,
                      moments + c);
  }
  ForEachVector(c, columns, [&](const auto& part, int64_t n) HWY_ATTR {
    AddRows<1>(src + n, rows, stride, part, std::min(lanes, columns - n),
               moments + n);
  });
}

#endif  // HWY_TARGET

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(OfRun);
HWY_EXPORT(OfColumns);

CodeMoments RunMoments(const uint8_t* src, int64_t count) {
  if (UseScalarReference()) return reference::RunMoments(src, count);
  CodeMoments moments;
  HWY_DYNAMIC_DISPATCH(OfRun)(src, count, &moments);
  return moments;
}

void ColumnMoments(const uint8_t* src, int64_t rows, int64_t columns,
                   int64_t stride, CodeMoments* moments) {
  if (UseScalarReference()) {
    return reference::ColumnMoments(src, rows, columns, stride, moments);
  }
  HWY_DYNAMIC_DISPATCH(OfColumns)(src, rows, columns, stride, moments);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
