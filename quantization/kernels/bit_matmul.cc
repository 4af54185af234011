// The product of bit matrices in Highway: this file is compiled once per
// target. A tile of kRows rows of A times kVectors vectors of columns of B
// stays in registers. Lanes are columns, so nothing is summed across a vector:
// a word of A is broadcast, a vector of words of B is loaded, and the counts of
// their AND are added. Pairs of planes are taken by falling weight, and the
// sums doubled in between (Horner's rule), so C is written once.
#include "quantization/kernels/bit_matmul.h"

#include <algorithm>
#include <cstring>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/bit_matmul.cc"
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

// Tile sizes: the accumulators of a tile fill half the registers.
constexpr size_t kColumns = kBitPanelColumns;
#if HWY_TARGET == HWY_AVX3_DL
constexpr size_t kTileRows = 8;
constexpr size_t kTileVectors = 2;
#elif HWY_TARGET == HWY_AVX3
constexpr size_t kTileRows = 8;
constexpr size_t kTileVectors = 1;
#else
constexpr size_t kTileRows = 4;
constexpr size_t kTileVectors = 2;
#endif

template <bool kNegative, size_t kRows, size_t kVectors>
HWY_INLINE void AccumulatePair(const uint8_t* HWY_RESTRICT a, size_t row_bytes,
                               const uint32_t* HWY_RESTRICT b,
                               const size_t (&offsets)[kVectors],
                               hn::Vec<DU32> (&sums)[kRows][kVectors]) {
  const DU32 d;
  const size_t words = row_bytes / sizeof(uint32_t);
  const auto add = [](hn::Vec<DU32>& sum, hn::Vec<DU32> count) HWY_ATTR {
    sum = kNegative ? hn::Sub(sum, count) : hn::Add(sum, count);
  };
#if HWY_TARGET == HWY_AVX3_DL
  for (size_t w = 0; w < words; ++w) {
    hn::Vec<DU32> columns[kVectors];
    for (size_t v = 0; v < kVectors; ++v) {
      columns[v] = hn::LoadU(d, b + w * kColumns + offsets[v]);
    }
    for (size_t r = 0; r < kRows; ++r) {
      uint32_t word;
      std::memcpy(&word, a + r * row_bytes + w * sizeof(word), sizeof(word));
      const auto row = hn::Set(d, word);
      for (size_t v = 0; v < kVectors; ++v) {
        add(sums[r][v], hn::PopulationCount(hn::And(row, columns[v])));
      }
    }
  }
#else
  // Counts of bytes, of which 31 (31 * 8 < 256) fit before they are widened.
  const D8 d8;
  constexpr size_t kBatch = 31;
  for (size_t begin = 0; begin < words; begin += kBatch) {
    const size_t end = std::min(words, begin + kBatch);
    hn::Vec<D8> counts[kRows][kVectors];
    for (auto& row : counts) {
      for (auto& count : row) count = hn::Zero(d8);
    }
    for (size_t w = begin; w < end; ++w) {
      hn::Vec<DU32> columns[kVectors];
      for (size_t v = 0; v < kVectors; ++v) {
        columns[v] = hn::LoadU(d, b + w * kColumns + offsets[v]);
      }
      for (size_t r = 0; r < kRows; ++r) {
        uint32_t word;
        std::memcpy(&word, a + r * row_bytes + w * sizeof(word), sizeof(word));
        const auto row = hn::Set(d, word);
        for (size_t v = 0; v < kVectors; ++v) {
          const auto both = hn::BitCast(d8, hn::And(row, columns[v]));
          counts[r][v] = hn::Add(counts[r][v], hn::PopulationCount(both));
        }
      }
    }
    const hn::Repartition<uint16_t, D8> d16;
    for (size_t r = 0; r < kRows; ++r) {
      for (size_t v = 0; v < kVectors; ++v) {
        const auto c = hn::BitCast(d16, counts[r][v]);
        const auto pairs =
            hn::Add(hn::And(c, hn::Set(d16, 0xFF)), hn::ShiftRight<8>(c));
        const auto p = hn::BitCast(d, pairs);
        add(sums[r][v],
            hn::Add(hn::And(p, hn::Set(d, 0xFFFF)), hn::ShiftRight<16>(p)));
      }
    }
  }
#endif
}

// One tile; `columns` of its kVectors vectors are stored.
template <size_t kRows, size_t kVectors>
HWY_INLINE void MultiplyTile(const BitRows& a, const BitPanels& b,
                             size_t row_bytes, size_t first_row,
                             size_t first_column, size_t columns,
                             int32_t* HWY_RESTRICT c, size_t ldc) {
  const DU32 d;
  const D32 di;
  const size_t lanes = hn::Lanes(d);
  const size_t words = row_bytes / sizeof(uint32_t);
  size_t offsets[kVectors];
  for (size_t v = 0; v < kVectors; ++v) {
    const size_t column = first_column + v * lanes;
    offsets[v] = column / kColumns * kColumns * words + column % kColumns;
  }
  hn::Vec<DU32> sums[kRows][kVectors];
  for (auto& row : sums) {
    for (auto& sum : row) sum = hn::Zero(d);
  }
  for (int weight = a.planes + b.planes - 2; weight >= 0; --weight) {
    for (auto& row : sums) {
      for (auto& sum : row) sum = hn::Add(sum, sum);
    }
    const int last = std::min(weight, a.planes - 1);
    for (int p = std::max(0, weight - (b.planes - 1)); p <= last; ++p) {
      const int q = weight - p;
      const uint8_t* const rows =
          a.data + p * a.plane_bytes + first_row * row_bytes;
      const uint32_t* const panels = b.data + q * b.plane_words;
      if ((a.is_signed && p == a.planes - 1) !=
          (b.is_signed && q == b.planes - 1)) {
        AccumulatePair<true>(rows, row_bytes, panels, offsets, sums);
      } else {
        AccumulatePair<false>(rows, row_bytes, panels, offsets, sums);
      }
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    int32_t* const row = c + (first_row + r) * ldc + first_column;
    for (size_t v = 0; v < kVectors; ++v) {
      const auto sum = hn::BitCast(di, sums[r][v]);
      const size_t at = v * lanes;
      if (at + lanes <= columns) {
        hn::StoreU(sum, di, row + at);
      } else if (at < columns) {
        HWY_ALIGN int32_t last[HWY_MAX_BYTES / sizeof(int32_t)];
        hn::Store(sum, di, last);
        std::memcpy(row + at, last, (columns - at) * sizeof(int32_t));
      }
    }
  }
}

template <size_t kVectors>
HWY_INLINE void MultiplyColumns(const BitRows& a, const BitPanels& b,
                                size_t row_bytes, size_t first_column,
                                size_t columns, int32_t* c, size_t ldc) {
  size_t i = 0;
  for (; i + kTileRows <= a.rows; i += kTileRows) {
    MultiplyTile<kTileRows, kVectors>(a, b, row_bytes, i, first_column, columns,
                                      c, ldc);
  }
  for (; i < a.rows; ++i) {
    MultiplyTile<1, kVectors>(a, b, row_bytes, i, first_column, columns, c,
                              ldc);
  }
}

void MatMul(const BitRows& a, const BitPanels& b, size_t row_bytes, int32_t* c,
            size_t ldc) {
  const size_t step = kTileVectors * hn::Lanes(DU32());
  size_t j = 0;
  for (; j < b.rows && b.rows - j > hn::Lanes(DU32()); j += step) {
    MultiplyColumns<kTileVectors>(a, b, row_bytes, j,
                                  std::min(step, b.rows - j), c, ldc);
  }
  if (j < b.rows) {
    MultiplyColumns<1>(a, b, row_bytes, j, b.rows - j, c, ldc);
  }
}

#else  // HWY_SCALAR: the reference is what a single lane would do.

void MatMul(const BitRows& a, const BitPanels& b, size_t row_bytes, int32_t* c,
            size_t ldc) {
  reference::BitPlaneMatMul(a, b, row_bytes, c, ldc);
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(MatMul);

void PackBitPanels(const uint8_t* rows, std::size_t n, std::size_t row_bytes,
                   int planes, uint32_t* panels) {
  reference::PackBitPanels(rows, n, row_bytes, planes, panels);
}

void BitPlaneMatMul(const BitRows& a, const BitPanels& b, std::size_t row_bytes,
                    int32_t* c, std::size_t ldc) {
  if (UseScalarReference()) {
    return reference::BitPlaneMatMul(a, b, row_bytes, c, ldc);
  }
  HWY_DYNAMIC_DISPATCH(MatMul)(a, b, row_bytes, c, ldc);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
