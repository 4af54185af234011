// move_rows.h in Highway: this file is compiled once per target. Short rows are
// copied in a loop for their size: memcpy of a size that is known only at run
// time takes longer than its bytes.
#include "quantization/kernels/move_rows.h"

#include <algorithm>
#include <cstring>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/stream_blocks.h"

#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MOVE_ROWS_CC_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MOVE_ROWS_CC_

namespace caffe2_quantization {
namespace kernels {

// Where rows are: those that a list names, and those that lie `step` apart.
template <typename Index>
struct ListedRows {
  const uint8_t* At(int64_t i) const { return src + rows[i] * row_bytes; }
  ListedRows From(int64_t i) const { return {src, row_bytes, rows + i}; }

  const uint8_t* src;
  int64_t row_bytes;
  const Index* rows;
};

struct SpacedRows {
  const uint8_t* At(int64_t i) const { return src + i * step; }
  SpacedRows From(int64_t i) const { return {At(i), row_bytes, step}; }

  const uint8_t* src;
  int64_t row_bytes;
  int64_t step;
};

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MOVE_ROWS_CC_

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/move_rows.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows of kBytes to 2 * kBytes: two pieces, which may overlap.
template <size_t kBytes, class Rows>
HWY_INLINE void CopyPairs(const Rows& rows, int64_t count, uint8_t* dst) {
  const int64_t second = rows.row_bytes - int64_t{kBytes};
  for (int64_t i = 0; i < count; ++i, dst += rows.row_bytes) {
    const uint8_t* const row = rows.At(i);
    hwy::CopyBytes<kBytes>(row, dst);
    hwy::CopyBytes<kBytes>(row + second, dst + second);
  }
}

template <size_t kBytes, class Rows>
HWY_INLINE void CopyWhole(const Rows& rows, int64_t count, uint8_t* dst) {
  for (int64_t i = 0; i < count; ++i) {
    hwy::CopyBytes<kBytes>(rows.At(i), dst + i * int64_t{kBytes});
  }
}

template <class Rows>
HWY_INLINE void CopyLong(const Rows& rows, int64_t count, uint8_t* dst) {
  for (int64_t i = 0; i < count; ++i, dst += rows.row_bytes) {
    std::memcpy(dst, rows.At(i), static_cast<size_t>(rows.row_bytes));
  }
}

#if HWY_TARGET == HWY_SCALAR

template <class Rows>
void CopyRows(const Rows& rows, int64_t count, uint8_t* dst) {
  CopyLong(rows, count, dst);
}

#else

// From this size on memcpy is as good.
constexpr int64_t kLongRow = 1024;

// Rows of a vector and more; the last vector may overlap the one before it.
template <class D, class Rows>
HWY_INLINE void CopyVectors(D d, const Rows& rows, int64_t count,
                            uint8_t* dst) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t last = rows.row_bytes - lanes;
  for (int64_t i = 0; i < count; ++i, dst += rows.row_bytes) {
    const uint8_t* const row = rows.At(i);
    for (int64_t at = 0; at < last; at += lanes) {
      hn::StoreU(hn::LoadU(d, row + at), d, dst + at);
    }
    hn::StoreU(hn::LoadU(d, row + last), d, dst + last);
  }
}

template <class Rows>
void CopyRows(const Rows& rows, int64_t count, uint8_t* dst) {
  const hn::ScalableTag<uint8_t> d;
  const int64_t row_bytes = rows.row_bytes;
  if (row_bytes >= kLongRow) {
    CopyLong(rows, count, dst);
  } else if (row_bytes >= static_cast<int64_t>(hn::Lanes(d))) {
    CopyVectors(d, rows, count, dst);
  } else if (row_bytes > 16) {
    CopyVectors(hn::FixedTag<uint8_t, 16>(), rows, count, dst);
  } else if (row_bytes == 16) {
    CopyWhole<16>(rows, count, dst);
  } else if (row_bytes > 8) {
    CopyPairs<8>(rows, count, dst);
  } else if (row_bytes == 8) {
    CopyWhole<8>(rows, count, dst);
  } else if (row_bytes > 4) {
    CopyPairs<4>(rows, count, dst);
  } else if (row_bytes == 4) {
    CopyWhole<4>(rows, count, dst);
  } else if (row_bytes == 3) {
    CopyPairs<2>(rows, count, dst);
  } else if (row_bytes == 2) {
    CopyWhole<2>(rows, count, dst);
  } else if (row_bytes == 1) {
    CopyWhole<1>(rows, count, dst);
  }
}

#endif

void CopyRows32(const ListedRows<int32_t>& rows, int64_t count, uint8_t* dst) {
  CopyRows(rows, count, dst);
}

void CopyRows64(const ListedRows<int64_t>& rows, int64_t count, uint8_t* dst) {
  CopyRows(rows, count, dst);
}

void CopySpacedRows(const SpacedRows& rows, int64_t count, uint8_t* dst) {
  CopyRows(rows, count, dst);
}

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {
namespace {

HWY_EXPORT(CopyRows32);
HWY_EXPORT(CopyRows64);
HWY_EXPORT(CopySpacedRows);

void Copy(const ListedRows<int32_t>& rows, int64_t count, uint8_t* dst) {
  HWY_DYNAMIC_DISPATCH(CopyRows32)(rows, count, dst);
}

void Copy(const ListedRows<int64_t>& rows, int64_t count, uint8_t* dst) {
  HWY_DYNAMIC_DISPATCH(CopyRows64)(rows, count, dst);
}

void Copy(const SpacedRows& rows, int64_t count, uint8_t* dst) {
  HWY_DYNAMIC_DISPATCH(CopySpacedRows)(rows, count, dst);
}

constexpr auto kLine = static_cast<int64_t>(kCacheLine);

// Blocks begin and end inside rows. Calls part(row, at, n) for what makes up
// bytes i to i + n: n bytes of a row, from `at` on.
template <class Part>
void ForEachPartOfRow(int64_t row_bytes, int64_t i, int64_t n,
                      const Part& part) {
  int64_t row = i / row_bytes, at = i % row_bytes;
  while (n > 0) {
    const int64_t bytes = std::min(row_bytes - at, n);
    part(row, at, bytes);
    n -= bytes;
    at = 0;
    ++row;
  }
}

// Asks for bytes i to i + n of what is written.
template <class Rows>
void Fetch(const Rows& rows, int64_t i, int64_t n) {
  ForEachPartOfRow(rows.row_bytes, i, n,
                   [&](int64_t row, int64_t at, int64_t bytes) {
                     const uint8_t* const from = rows.At(row) + at;
                     for (int64_t k = 0; k < bytes; k += kLine)
                       hwy::Prefetch(from + k);
                     hwy::Prefetch(from + bytes - 1);
                   });
}

// Streams rows of whole lines from where they are.
template <class Rows>
void StreamLong(const Rows& rows, int64_t count, uint8_t* dst) {
  constexpr int64_t kPiece = 8 * kLine, kAhead = 8 * kPiece;
  const int64_t all = count * rows.row_bytes;
  for (int64_t row = 0; row < count; ++row) {
    const uint8_t* const from = rows.At(row);
    for (int64_t at = 0; at < rows.row_bytes; at += kPiece) {
      const int64_t n = std::min(kPiece, rows.row_bytes - at);
      StreamLines(from + at, static_cast<size_t>(n), dst);
      dst += n;
      const int64_t next = row * rows.row_bytes + at + kAhead;
      if (next < all) Fetch(rows, next, std::min(n, all - next));
    }
  }
  FlushStream();
}

template <class Rows>
void Move(const Rows& rows, int64_t count, bool streams, uint8_t* dst) {
  const int64_t row_bytes = rows.row_bytes;
  if (row_bytes == 0) return;
  if (!streams) return Copy(rows, count, dst);
  if (row_bytes >= 8 * kLine && row_bytes % kLine == 0 &&
      reinterpret_cast<uintptr_t>(dst) % kCacheLine == 0) {
    return StreamLong(rows, count, dst);
  }
  WriteBlocks(
      count * row_bytes, streams,
      [&](int64_t i, int64_t n, uint8_t* out) {
        int64_t row = i / row_bytes;
        const int64_t at = i % row_bytes;
        if (at > 0) {
          const int64_t part = std::min(row_bytes - at, n);
          std::memcpy(out, rows.At(row) + at, static_cast<size_t>(part));
          out += part;
          n -= part;
          ++row;
        }
        const int64_t whole = n / row_bytes;
        Copy(rows.From(row), whole, out);
        const int64_t part = n - whole * row_bytes;
        if (part == 0) return;
        std::memcpy(out + whole * row_bytes, rows.At(row + whole),
                    static_cast<size_t>(part));
      },
      dst, [&](int64_t i, int64_t n) { Fetch(rows, i, n); });
}

}  // namespace

template <typename Index>
void MoveRows(const void* src, int64_t row_bytes, const Index* rows,
              int64_t count, bool streams, void* dst) {
  if (UseScalarReference()) {
    return reference::MoveRows(src, row_bytes, rows, count, dst);
  }
  Move(ListedRows<Index>{static_cast<const uint8_t*>(src), row_bytes, rows},
       count, streams, static_cast<uint8_t*>(dst));
}

void MoveSpacedRows(const void* src, int64_t row_bytes, int64_t step,
                    int64_t count, bool streams, void* dst) {
  if (UseScalarReference()) {
    return reference::MoveSpacedRows(src, row_bytes, step, count, dst);
  }
  Move(SpacedRows{static_cast<const uint8_t*>(src), row_bytes, step}, count,
       streams, static_cast<uint8_t*>(dst));
}

template void MoveRows(const void*, int64_t, const int32_t*, int64_t, bool,
                       void*);
template void MoveRows(const void*, int64_t, const int64_t*, int64_t, bool,
                       void*);

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
