// The transposition in Highway: this file is compiled once per target.
#include "quantization/kernels/transpose.h"

#include <cstring>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/transpose.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void Transpose(const uint8_t* src, int64_t rows, int64_t columns,
               int64_t src_stride, uint8_t* dst, int64_t dst_stride) {
  reference::TransposeBytes(src, rows, columns, src_stride, dst, dst_stride);
}

#else

// Rows of a tile: as many as a block of a vector has bytes.
constexpr int64_t kRows = 16;

// Pairs of vectors that are kHalf apart become neighbours, in units of T.
template <typename T, class D>
HWY_INLINE void Interleave(D d, const hn::Vec<D>* src, hn::Vec<D>* dst) {
  const hn::Repartition<T, D> dt;
  for (int i = 0; i < kRows / 2; ++i) {
    const auto a = hn::BitCast(dt, src[i]);
    const auto b = hn::BitCast(dt, src[i + kRows / 2]);
    dst[2 * i] = hn::BitCast(d, hn::InterleaveLower(dt, a, b));
    dst[2 * i + 1] = hn::BitCast(d, hn::InterleaveUpper(dt, a, b));
  }
}

// A tile of 16 rows and as many columns as a vector has bytes. Four times the
// 16 vectors are dealt as a pack of cards is: after that, block b of vector j
// holds column 16 * b + j.
HWY_INLINE void TransposeTile(const uint8_t* HWY_RESTRICT src,
                              int64_t src_stride, uint8_t* HWY_RESTRICT dst,
                              int64_t dst_stride) {
  const hn::ScalableTag<uint8_t> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<decltype(d)> a[kRows], b[kRows];
  for (int64_t r = 0; r < kRows; ++r) a[r] = hn::LoadU(d, src + r * src_stride);
  Interleave<uint8_t>(d, a, b);
  Interleave<uint8_t>(d, b, a);
  Interleave<uint8_t>(d, a, b);
  Interleave<uint8_t>(d, b, a);
  HWY_ALIGN uint8_t column[HWY_MAX_BYTES];
  for (int64_t j = 0; j < kRows; ++j) {
    hn::Store(a[j], d, column);
    for (int64_t i = 0; i < lanes; i += kRows) {
      std::memcpy(dst + (i + j) * dst_stride, column + i, kRows);
    }
  }
}

void Transpose(const uint8_t* HWY_RESTRICT src, int64_t rows, int64_t columns,
               int64_t src_stride, uint8_t* HWY_RESTRICT dst,
               int64_t dst_stride) {
  const int64_t lanes =
      static_cast<int64_t>(hn::Lanes(hn::ScalableTag<uint8_t>()));
  if (rows < kRows || columns < lanes) {
    return reference::TransposeBytes(src, rows, columns, src_stride, dst,
                                     dst_stride);
  }
  // The last tile of each direction overlaps the one before it. Tiles that
  // write to the same lines come one after the other.
  for (int64_t c = 0; c < columns; c += lanes) {
    if (c > columns - lanes) c = columns - lanes;
    for (int64_t r = 0; r < rows; r += kRows) {
      if (r > rows - kRows) r = rows - kRows;
      TransposeTile(src + r * src_stride + c, src_stride,
                    dst + c * dst_stride + r, dst_stride);
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

HWY_EXPORT(Transpose);

void TransposeBytes(const uint8_t* src, int64_t rows, int64_t columns,
                    int64_t src_stride, uint8_t* dst, int64_t dst_stride) {
  if (UseScalarReference()) {
    return reference::TransposeBytes(src, rows, columns, src_stride, dst,
                                     dst_stride);
  }
  HWY_DYNAMIC_DISPATCH(Transpose)
  (src, rows, columns, src_stride, dst, dst_stride);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
