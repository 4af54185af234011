// The transposition in Highway: this file is compiled once per target.
#include "quantization/kernels/transpose.h"

#include <algorithm>
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

template <typename T>
void TransposeMatrix(const T* src, int64_t rows, int64_t columns,
                     int64_t src_stride, T* dst, int64_t dst_stride) {
  reference::Transpose(src, rows, columns, src_stride, dst, dst_stride);
}

#else

// Values of a block of a vector; a tile has as many rows.
template <typename T>
constexpr int64_t kBlock = 16 / sizeof(T);

// A tile of kBlock rows, a vector each, becomes columns: after that, block b of
// vector j holds column b * kBlock + j. The vectors are dealt as a pack of
// cards is, as often as the number of rows can be halved.
template <class D, class V, typename T = hn::TFromD<D> >
HWY_INLINE void TransposeBlocks(D d, V* HWY_RESTRICT a) {
  constexpr int64_t kRows = kBlock<T>;
  V b[kRows];
  for (int64_t rows = kRows; rows > 1; rows /= 2) {
    for (int64_t i = 0; i < kRows / 2; ++i) {
      b[2 * i] = hn::InterleaveLower(d, a[i], a[i + kRows / 2]);
      b[2 * i + 1] = hn::InterleaveUpper(d, a[i], a[i + kRows / 2]);
    }
    for (int64_t i = 0; i < kRows; ++i) a[i] = b[i];
  }
}

// A tile of kBlock rows and as many columns as a vector has values.
template <class D, typename T = hn::TFromD<D> >
HWY_INLINE void TransposeTile(D d, const T* HWY_RESTRICT src,
                              int64_t src_stride, T* HWY_RESTRICT dst,
                              int64_t dst_stride) {
  constexpr int64_t kRows = kBlock<T>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> a[kRows];
  for (int64_t r = 0; r < kRows; ++r) a[r] = hn::LoadU(d, src + r * src_stride);
  TransposeBlocks(d, a);
  HWY_ALIGN T column[HWY_MAX_BYTES / sizeof(T)];
  for (int64_t j = 0; j < kRows; ++j) {
    hn::Store(a[j], d, column);
    for (int64_t i = 0; i < lanes; i += kRows) {
      std::memcpy(dst + (i + j) * dst_stride, column + i, kRows * sizeof(T));
    }
  }
}

// The same of kTiles tiles, one below the other: they are put together first,
// so that dst gets whole lines. Where its columns are a power of two apart, a
// line that is not complete would soon leave the cache.
template <int64_t kTiles, class D, typename T = hn::TFromD<D> >
HWY_INLINE void TransposePile(D d, const T* HWY_RESTRICT src,
                              int64_t src_stride, T* HWY_RESTRICT dst,
                              int64_t dst_stride) {
  if constexpr (kTiles == 1) {
    TransposeTile(d, src, src_stride, dst, dst_stride);
  } else {
    constexpr int64_t kRows = kTiles * kBlock<T>;
    const auto lanes = static_cast<int64_t>(hn::Lanes(d));
    HWY_ALIGN T pile[HWY_MAX_BYTES / sizeof(T) * kRows];
    for (int64_t r = 0; r < kRows; r += kBlock<T>) {
      TransposeTile(d, src + r * src_stride, src_stride, pile + r, kRows);
    }
    for (int64_t i = 0; i < lanes; ++i) {
      std::memcpy(dst + i * dst_stride, pile + i * kRows, kRows * sizeof(T));
    }
  }
}

// Rows that are taken before the next columns are, so that src is read nearly
// in order.
template <typename T>
constexpr int64_t kBandRows = 256 / sizeof(T);

// At least kTiles * kBlock rows, and columns for a vector. The last tile of
// each direction overlaps the one before it. Tiles that write to the same lines
// come one after the other.
template <int64_t kTiles, class D, typename T = hn::TFromD<D> >
HWY_INLINE void Tiles(D d, const T* HWY_RESTRICT src, int64_t rows,
                      int64_t columns, int64_t src_stride, T* HWY_RESTRICT dst,
                      int64_t dst_stride) {
  constexpr int64_t kRows = kTiles * kBlock<T>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t first = 0; first < rows; first += kBandRows<T>) {
    const int64_t end = std::min(first + kBandRows<T>, rows);
    for (int64_t c = 0; c < columns; c += lanes) {
      if (c > columns - lanes) c = columns - lanes;
      for (int64_t r = first; r < end; r += kRows) {
        if (r > rows - kRows) r = rows - kRows;
        TransposePile<kTiles>(d, src + r * src_stride + c, src_stride,
                              dst + c * dst_stride + r, dst_stride);
      }
    }
  }
}

// Whether the columns of dst, as many as a vector has values, meet in few sets
// of the first cache level.
template <typename T>
bool Crowds(int64_t dst_stride) {
  constexpr int64_t kSpread = 4096, kWays = 8;
  const int64_t bytes = dst_stride * static_cast<int64_t>(sizeof(T));
  const int64_t apart = std::min(bytes & -bytes, kSpread);
  const auto lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<T>()));
  return lanes * apart > kWays * kSpread;
}

template <typename T>
using BlockTag = hn::CappedTag<T, static_cast<size_t>(kBlock<T>)>;

// Fewer rows than kBlock, at least kBlock columns; dst has no gaps. A whole
// block is stored for each column, in their order: what does not belong to it
// is overwritten by the next ones.
template <typename T>
HWY_INLINE void FewRows(const T* HWY_RESTRICT src, int64_t rows,
                        int64_t columns, int64_t src_stride,
                        T* HWY_RESTRICT dst) {
  const BlockTag<T> d;
  constexpr int64_t kRows = kBlock<T>;
  // The columns whose block ends where dst does, or before.
  const int64_t whole = columns - (kRows - 1) / rows;
  for (int64_t c = 0; c < columns; c += kRows) {
    if (c > columns - kRows) c = columns - kRows;
    hn::Vec<decltype(d)> a[kRows];
    for (int64_t r = 0; r < kRows; ++r) {
      a[r] = r < rows ? hn::LoadU(d, src + r * src_stride + c) : hn::Zero(d);
    }
    TransposeBlocks(d, a);
    HWY_ALIGN T column[kRows];
    for (int64_t j = 0; j < kRows; ++j) {
      if (c + j < whole) {
        hn::StoreU(a[j], d, dst + (c + j) * rows);
      } else {
        hn::Store(a[j], d, column);
        std::memcpy(dst + (c + j) * rows, column, rows * sizeof(T));
      }
    }
  }
}

// Fewer columns than kBlock, at least kBlock rows; src has no gaps. A whole
// block is loaded for each row.
template <typename T>
HWY_INLINE void FewColumns(const T* HWY_RESTRICT src, int64_t rows,
                           int64_t columns, T* HWY_RESTRICT dst,
                           int64_t dst_stride) {
  const BlockTag<T> d;
  constexpr int64_t kRows = kBlock<T>;
  T last[kRows * kRows + kRows] = {};
  for (int64_t r = 0; r < rows; r += kRows) {
    if (r > rows - kRows) r = rows - kRows;
    const T* from = src + r * columns;
    // The last rows' blocks would reach beyond src.
    if ((rows - r - kRows + 1) * columns < kRows) {
      std::memcpy(last, from, kRows * columns * sizeof(T));
      from = last;
    }
    hn::Vec<decltype(d)> a[kRows];
    for (int64_t i = 0; i < kRows; ++i) a[i] = hn::LoadU(d, from + i * columns);
    TransposeBlocks(d, a);
    for (int64_t c = 0; c < kRows; ++c) {
      if (c < columns) hn::StoreU(a[c], d, dst + c * dst_stride + r);
    }
  }
}

// kRows rows, 2 to 4, of at least a vector of columns; dst has no gaps.
template <int64_t kRows, typename T>
HWY_INLINE void Weave(const T* HWY_RESTRICT src, int64_t columns,
                      int64_t src_stride, T* HWY_RESTRICT dst) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t c = 0; c < columns; c += lanes) {
    if (c > columns - lanes) c = columns - lanes;
    const auto row = [&](int64_t r) HWY_ATTR {
      return hn::LoadU(d, src + r * src_stride + c);
    };
    if constexpr (kRows == 2) {
      hn::StoreInterleaved2(row(0), row(1), d, dst + c * kRows);
    } else if constexpr (kRows == 3) {
      hn::StoreInterleaved3(row(0), row(1), row(2), d, dst + c * kRows);
    } else {
      hn::StoreInterleaved4(row(0), row(1), row(2), row(3), d, dst + c * kRows);
    }
  }
}

// kColumns columns, 2 to 4, of at least a vector of rows; src has no gaps.
template <int64_t kColumns, typename T>
HWY_INLINE void Unweave(const T* HWY_RESTRICT src, int64_t rows,
                        T* HWY_RESTRICT dst, int64_t dst_stride) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t r = 0; r < rows; r += lanes) {
    if (r > rows - lanes) r = rows - lanes;
    hn::Vec<decltype(d)> a[4];
    if constexpr (kColumns == 2) {
      hn::LoadInterleaved2(d, src + r * kColumns, a[0], a[1]);
    } else if constexpr (kColumns == 3) {
      hn::LoadInterleaved3(d, src + r * kColumns, a[0], a[1], a[2]);
    } else {
      hn::LoadInterleaved4(d, src + r * kColumns, a[0], a[1], a[2], a[3]);
    }
    for (int64_t c = 0; c < kColumns; ++c) {
      hn::StoreU(a[c], d, dst + c * dst_stride + r);
    }
  }
}

template <typename T>
void TransposeMatrix(const T* HWY_RESTRICT src, int64_t rows, int64_t columns,
                     int64_t src_stride, T* HWY_RESTRICT dst,
                     int64_t dst_stride) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const bool fills_dst = dst_stride == rows, fills_src = src_stride == columns;
  if ((rows == 1 && fills_dst) || (columns == 1 && fills_src)) {
    std::memcpy(dst, src, rows * columns * sizeof(T));
  } else if (fills_dst && columns >= lanes && rows == 2) {
    Weave<2>(src, columns, src_stride, dst);
  } else if (fills_dst && columns >= lanes && rows == 3) {
    Weave<3>(src, columns, src_stride, dst);
  } else if (fills_dst && columns >= lanes && rows == 4) {
    Weave<4>(src, columns, src_stride, dst);
  } else if (fills_src && rows >= lanes && columns == 2) {
    Unweave<2>(src, rows, dst, dst_stride);
  } else if (fills_src && rows >= lanes && columns == 3) {
    Unweave<3>(src, rows, dst, dst_stride);
  } else if (fills_src && rows >= lanes && columns == 4) {
    Unweave<4>(src, rows, dst, dst_stride);
  } else if (rows >= 4 * kBlock<T> && columns >= lanes &&
             Crowds<T>(dst_stride)) {
    Tiles<4>(d, src, rows, columns, src_stride, dst, dst_stride);
  } else if (rows >= kBlock<T> && columns >= lanes) {
    Tiles<1>(d, src, rows, columns, src_stride, dst, dst_stride);
  } else if (rows >= kBlock<T> && columns >= kBlock<T>) {
    Tiles<1>(BlockTag<T>(), src, rows, columns, src_stride, dst, dst_stride);
  } else if (fills_dst && columns >= kBlock<T>) {
    FewRows(src, rows, columns, src_stride, dst);
  } else if (fills_src && rows >= kBlock<T>) {
    FewColumns(src, rows, columns, dst, dst_stride);
  } else {
    reference::Transpose(src, rows, columns, src_stride, dst, dst_stride);
  }
}

#endif

// Highway's export macros take plain functions: one per type.
#define TRANSPOSE_TYPE(NAME, T)                                          \
  void Transpose##NAME(const T* src, int64_t rows, int64_t columns,      \
                       int64_t src_stride, T* dst, int64_t dst_stride) { \
    TransposeMatrix(src, rows, columns, src_stride, dst, dst_stride);    \
  }
TRANSPOSE_TYPE(Bytes, uint8_t)
TRANSPOSE_TYPE(Words, uint16_t)
TRANSPOSE_TYPE(Floats, float)
#undef TRANSPOSE_TYPE

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

#define TRANSPOSE_TYPE(NAME, T)                                        \
  HWY_EXPORT(Transpose##NAME);                                         \
  template <>                                                          \
  void Transpose(const T* src, int64_t rows, int64_t columns,          \
                 int64_t src_stride, T* dst, int64_t dst_stride) {     \
    if (UseScalarReference()) {                                        \
      return reference::Transpose(src, rows, columns, src_stride, dst, \
                                  dst_stride);                         \
    }                                                                  \
    HWY_DYNAMIC_DISPATCH(Transpose##NAME)                              \
    (src, rows, columns, src_stride, dst, dst_stride);                 \
  }
TRANSPOSE_TYPE(Bytes, uint8_t)
TRANSPOSE_TYPE(Words, uint16_t)
TRANSPOSE_TYPE(Floats, float)
#undef TRANSPOSE_TYPE

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
