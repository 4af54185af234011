// move_rows.h in Highway: this file is compiled once per target. Short rows are
// copied in a loop for their size: memcpy of a size that is known only at run
// time takes longer than its bytes.
#include "quantization/kernels/move_rows.h"

#include <algorithm>
#include <cstring>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/stream_blocks.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/move_rows.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

template <typename Index>
void CopyRows(const uint8_t* src, int64_t row_bytes, const Index* rows,
              int64_t count, uint8_t* dst) {
  reference::MoveRows(src, row_bytes, rows, count, dst);
}

#else

// From this size on memcpy is as good.
constexpr int64_t kLongRow = 1024;

// Rows of kBytes to 2 * kBytes: two pieces, which may overlap.
template <size_t kBytes, typename Index>
HWY_INLINE void CopyPairs(const uint8_t* src, int64_t row_bytes,
                          const Index* rows, int64_t count, uint8_t* dst) {
  const int64_t second = row_bytes - int64_t{kBytes};
  for (int64_t i = 0; i < count; ++i, dst += row_bytes) {
    const uint8_t* const row = src + rows[i] * row_bytes;
    hwy::CopyBytes<kBytes>(row, dst);
    hwy::CopyBytes<kBytes>(row + second, dst + second);
  }
}

template <size_t kBytes, typename Index>
HWY_INLINE void CopyWhole(const uint8_t* src, const Index* rows, int64_t count,
                          uint8_t* dst) {
  for (int64_t i = 0; i < count; ++i) {
    hwy::CopyBytes<kBytes>(src + rows[i] * int64_t{kBytes},
                           dst + i * int64_t{kBytes});
  }
}

// Rows of a vector and more; the last vector may overlap the one before it.
template <class D, typename Index>
HWY_INLINE void CopyVectors(D d, const uint8_t* src, int64_t row_bytes,
                            const Index* rows, int64_t count, uint8_t* dst) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t last = row_bytes - lanes;
  for (int64_t i = 0; i < count; ++i, dst += row_bytes) {
    const uint8_t* const row = src + rows[i] * row_bytes;
    for (int64_t at = 0; at < last; at += lanes) {
      hn::StoreU(hn::LoadU(d, row + at), d, dst + at);
    }
    hn::StoreU(hn::LoadU(d, row + last), d, dst + last);
  }
}

template <typename Index>
void CopyRows(const uint8_t* src, int64_t row_bytes, const Index* rows,
              int64_t count, uint8_t* dst) {
  const hn::ScalableTag<uint8_t> d;
  if (row_bytes >= kLongRow) {
    reference::MoveRows(src, row_bytes, rows, count, dst);
  } else if (row_bytes >= static_cast<int64_t>(hn::Lanes(d))) {
    CopyVectors(d, src, row_bytes, rows, count, dst);
  } else if (row_bytes > 16) {
    CopyVectors(hn::FixedTag<uint8_t, 16>(), src, row_bytes, rows, count, dst);
  } else if (row_bytes == 16) {
    CopyWhole<16>(src, rows, count, dst);
  } else if (row_bytes > 8) {
    CopyPairs<8>(src, row_bytes, rows, count, dst);
  } else if (row_bytes == 8) {
    CopyWhole<8>(src, rows, count, dst);
  } else if (row_bytes > 4) {
    CopyPairs<4>(src, row_bytes, rows, count, dst);
  } else if (row_bytes == 4) {
    CopyWhole<4>(src, rows, count, dst);
  } else if (row_bytes == 3) {
    CopyPairs<2>(src, row_bytes, rows, count, dst);
  } else if (row_bytes == 2) {
    CopyWhole<2>(src, rows, count, dst);
  } else if (row_bytes == 1) {
    CopyWhole<1>(src, rows, count, dst);
  }
}

#endif

void CopyRows32(const uint8_t* src, int64_t row_bytes, const int32_t* rows,
                int64_t count, uint8_t* dst) {
  CopyRows(src, row_bytes, rows, count, dst);
}

void CopyRows64(const uint8_t* src, int64_t row_bytes, const int64_t* rows,
                int64_t count, uint8_t* dst) {
  CopyRows(src, row_bytes, rows, count, dst);
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

void Copy(const uint8_t* src, int64_t row_bytes, const int32_t* rows,
          int64_t count, uint8_t* dst) {
  HWY_DYNAMIC_DISPATCH(CopyRows32)(src, row_bytes, rows, count, dst);
}

void Copy(const uint8_t* src, int64_t row_bytes, const int64_t* rows,
          int64_t count, uint8_t* dst) {
  HWY_DYNAMIC_DISPATCH(CopyRows64)(src, row_bytes, rows, count, dst);
}

}  // namespace

template <typename Index>
void MoveRows(const void* src, int64_t row_bytes, const Index* rows,
              int64_t count, bool streams, void* dst) {
  if (UseScalarReference()) {
    return reference::MoveRows(src, row_bytes, rows, count, dst);
  }
  if (row_bytes == 0) return;
  const auto* const from = static_cast<const uint8_t*>(src);
  if (!streams) {
    return Copy(from, row_bytes, rows, count, static_cast<uint8_t*>(dst));
  }
  // Blocks begin and end inside rows.
  WriteBlocks(
      count * row_bytes, streams,
      [&](int64_t i, int64_t n, uint8_t* out) {
        int64_t row = i / row_bytes;
        const int64_t at = i % row_bytes;
        if (at > 0) {
          const int64_t part = std::min(row_bytes - at, n);
          std::memcpy(out, from + rows[row] * row_bytes + at,
                      static_cast<size_t>(part));
          out += part;
          n -= part;
          ++row;
        }
        const int64_t whole = n / row_bytes;
        Copy(from, row_bytes, rows + row, whole, out);
        const int64_t part = n - whole * row_bytes;
        if (part == 0) return;
        std::memcpy(out + whole * row_bytes,
                    from + rows[row + whole] * row_bytes,
                    static_cast<size_t>(part));
      },
      static_cast<uint8_t*>(dst));
}

template void MoveRows(const void*, int64_t, const int32_t*, int64_t, bool,
                       void*);
template void MoveRows(const void*, int64_t, const int64_t*, int64_t, bool,
                       void*);

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
