// The blocked product with AVX-512 VNNI.
#include "quantization/kernels/blocked_product.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "quantization/kernels/isa.h"

#define VNNI __attribute__((target("avx512f,avx512vnni")))
// Sums live in registers only if every index is known.
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

namespace caffe2_quantization {
namespace kernels {
namespace {

constexpr int64_t kQuadBytes = 4 * kBlockOutputs;
constexpr int kVectorBytes = 64;
constexpr int kVectorOutputs = 16;
constexpr int kBlockVectors = kBlockOutputs / kVectorOutputs;
static_assert(kVectorOutputs == kSumsMultiple, "whole vectors are stored");
// With few rows it is the weights' way to the processor that takes time: they
// are fetched so far ahead.
constexpr int kFewRows = 2;
constexpr int64_t kAheadBytes = 4096;
// With many, the first two groups of rows fetch a half each of the next block.
constexpr int64_t kHalfQuadBytes = kQuadBytes / 2;

inline void Prefetch(const int8_t* line) {
  _mm_prefetch(reinterpret_cast<const char*>(line), _MM_HINT_T0);
}

// The products of four k are added to kRows x kVectors x 16 sums.
template <int kRows, int kVectors>
VNNI inline void AddQuad(const uint8_t* a, int64_t a_stride, const int8_t* w,
                         __m512i (&sums)[kRows][kVectors]) {
  __m512i weights[kVectors];
  UNROLL for (int v = 0; v < kVectors; ++v) {
    weights[v] = _mm512_loadu_si512(w + v * kVectorBytes);
    if (kRows <= kFewRows) Prefetch(w + v * kVectorBytes + kAheadBytes);
  }
  UNROLL for (int r = 0; r < kRows; ++r) {
    int32_t quad;
    std::memcpy(&quad, a + r * a_stride, 4);
    const __m512i quads = _mm512_set1_epi32(quad);
    UNROLL for (int v = 0; v < kVectors; ++v) {
      sums[r][v] = _mm512_dpbusd_epi32(sums[r][v], quads, weights[v]);
    }
  }
}

// kRows rows and kVectors x 16 outputs of a block, but what is left of K after
// whole quads; in the same loop it would cost the registers. `next` is a half
// of the next block.
template <int kRows, int kVectors>
VNNI void Tile(const uint8_t* a, int64_t a_stride, const int8_t* w,
               int64_t quads, const int8_t* next, int32_t* dst,
               int64_t dst_stride) {
  // An addition takes as long as eight of them that do not wait for each other.
  constexpr int kSets = kRows * kVectors < 8 ? 2 : 1;
  __m512i sums[kSets][kRows][kVectors];
  UNROLL for (int s = 0; s < kSets; ++s) {
    UNROLL for (int r = 0; r < kRows; ++r) {
      UNROLL for (int v = 0; v < kVectors; ++v) {
        sums[s][r][v] = _mm512_setzero_si512();
      }
    }
  }
  if (kSets == 2) {
    for (; quads >= 2; quads -= 2, a += 8, w += 2 * kQuadBytes) {
      AddQuad<kRows, kVectors>(a, a_stride, w, sums[0]);
      AddQuad<kRows, kVectors>(a + 4, a_stride, w + kQuadBytes,
                               sums[kSets - 1]);
    }
  }
  for (; quads > 0; --quads, a += 4, w += kQuadBytes) {
    AddQuad<kRows, kVectors>(a, a_stride, w, sums[0]);
    if (kRows > kFewRows && kVectors == kBlockVectors) {
      Prefetch(next);
      Prefetch(next + kVectorBytes);
      next += kHalfQuadBytes;
    }
  }
  UNROLL for (int r = 0; r < kRows; ++r) {
    UNROLL for (int v = 0; v < kVectors; ++v) {
      __m512i sum = sums[0][r][v];
      if (kSets == 2) sum = _mm512_add_epi32(sum, sums[kSets - 1][r][v]);
      _mm512_storeu_si512(dst + r * dst_stride + v * kVectorOutputs, sum);
    }
  }
}

// What is left: the products of `bytes` more of K, fewer than four.
VNNI void AddRest(const uint8_t* a, int64_t rows, int64_t a_stride,
                  std::size_t bytes, const int8_t* w, int64_t vectors,
                  int32_t* dst, int64_t dst_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    int32_t quad = 0;
    std::memcpy(&quad, a + r * a_stride, bytes);
    const __m512i quads = _mm512_set1_epi32(quad);
    for (int64_t v = 0; v < vectors; ++v) {
      int32_t* const at = dst + r * dst_stride + v * kVectorOutputs;
      _mm512_storeu_si512(
          at, _mm512_dpbusd_epi32(_mm512_loadu_si512(at), quads,
                                  _mm512_loadu_si512(w + v * kVectorBytes)));
    }
  }
}

using TileFunction = void (*)(const uint8_t*, int64_t, const int8_t*, int64_t,
                              const int8_t*, int32_t*, int64_t);

// As many rows as registers allow: 24 for sums, the rest for operands.
constexpr int kMostRows[] = {0, 12, 12, 8, 6};
// By vectors, and rows.
constexpr TileFunction kTiles[][13] = {
    {},
    {nullptr, Tile<1, 1>, Tile<2, 1>, Tile<3, 1>, Tile<4, 1>, Tile<5, 1>,
     Tile<6, 1>, Tile<7, 1>, Tile<8, 1>, Tile<9, 1>, Tile<10, 1>, Tile<11, 1>,
     Tile<12, 1>},
    {nullptr, Tile<1, 2>, Tile<2, 2>, Tile<3, 2>, Tile<4, 2>, Tile<5, 2>,
     Tile<6, 2>, Tile<7, 2>, Tile<8, 2>, Tile<9, 2>, Tile<10, 2>, Tile<11, 2>,
     Tile<12, 2>},
    {nullptr, Tile<1, 3>, Tile<2, 3>, Tile<3, 3>, Tile<4, 3>, Tile<5, 3>,
     Tile<6, 3>, Tile<7, 3>, Tile<8, 3>},
    {nullptr, Tile<1, 4>, Tile<2, 4>, Tile<3, 4>, Tile<4, 4>, Tile<5, 4>,
     Tile<6, 4>}};

int64_t DivideUp(int64_t x, int64_t by) { return (x + by - 1) / by; }

}  // namespace

bool HasVnniProduct() {
  return GetIsaCap() >= IsaCap::kAvx512 &&
         __builtin_cpu_supports("avx512f") != 0 &&
         __builtin_cpu_supports("avx512vnni") != 0;
}

void BlockedProduct(const uint8_t* a, int64_t rows, int64_t a_stride,
                    const BlockedWeights& weights, int64_t block,
                    int64_t columns, int32_t* sums, int64_t sums_stride) {
  for (int64_t n = 0; n < columns; n += kBlockOutputs, ++block) {
    const int64_t vectors =
        DivideUp(std::min(kBlockOutputs, columns - n), int64_t{kVectorOutputs});
    const int8_t* const w = weights.codes + block * weights.block_bytes;
    const int8_t* next = w + weights.block_bytes;
    const int64_t quads = weights.k / 4;
    // Groups of about the same size.
    int64_t groups = DivideUp(rows, kMostRows[vectors]);
    const int64_t fetching = n + kBlockOutputs < columns ? groups - 2 : groups;
    for (int64_t r = 0; r < rows; --groups) {
      const int64_t group = DivideUp(rows - r, groups);
      // What is in the cache already does no harm.
      const bool fetches = groups > fetching;
      kTiles[vectors][group](a + r * a_stride, a_stride, w, quads,
                             fetches ? next : w, sums + r * sums_stride + n,
                             sums_stride);
      if (fetches) next += quads * kHalfQuadBytes;
      r += group;
    }
    if (weights.k % 4 != 0) {
      AddRest(a + quads * 4, rows, a_stride,
              static_cast<std::size_t>(weights.k % 4), w + quads * kQuadBytes,
              vectors, sums + n, sums_stride);
    }
  }
}

}  // namespace kernels
}  // namespace caffe2_quantization
