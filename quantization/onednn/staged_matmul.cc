// Products that end in codes or floats.
#include <algorithm>
#include <string>

#include "base/return_if_error.h"
#include "quantization/kernels/row_sums.h"
#include "quantization/onednn/matmul.h"
#include "quantization/onednn/parallel.h"
#include "quantization/onednn/runtime.h"
#include "quantization/onednn/scratch.h"
#include "quantization/onednn/thread_share.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

// Multiplications of a product for one thread: to start another takes as long.
constexpr double kFewestOfThreads = 1 << 22;
// What a chunk of rows reads or writes should stay in the second cache level.
constexpr int64_t kChunkBytes = 512 << 10;
// But it reads all weights.
constexpr int64_t kFewestRows = 48;
// Sums that stay in the first cache level, beside operands.
constexpr int64_t kTileSums = 48 * kernels::kBlockOutputs;
// AMX takes 16 rows of 64 values at once.
constexpr int64_t kFewestRowsOfAmx = 8;
constexpr int64_t kFewestValuesOfAmx = 33;

int64_t DivideUp(int64_t x, int64_t by) { return (x + by - 1) / by; }

bool TakesBlockedProduct(const PackedMatrix& w, int64_t m) {
  return w.has_blocks() &&
         (m < kFewestRowsOfAmx || w.k() < kFewestValuesOfAmx || !HasAmx());
}

// A product, or a part of it, on one thread.
template <typename T>
struct Rows {
  const PackedMatrix& w;
  const uint8_t* a;
  int64_t m, summed;
  kernels::OutputStage stage;
  T* dst;
  int64_t dst_stride;

  Rows Part(int64_t first, int64_t count) const {
    Rows part = *this;
    part.a += first * w.k();
    part.m = count;
    part.dst += first * dst_stride;
    if (stage.addend != nullptr) part.stage.addend += first * dst_stride;
    return part;
  }
};

template <typename S>
void RunStage(const S* sums, int64_t sums_stride, const S* row_sums,
              int64_t rows, const kernels::OutputStage& stage, uint8_t* dst,
              int64_t dst_stride) {
  kernels::SumsToCodes(sums, sums_stride, row_sums, rows, stage, dst,
                       dst_stride);
}

template <typename S>
void RunStage(const S* sums, int64_t sums_stride, const S* row_sums,
              int64_t rows, const kernels::OutputStage& stage, float* dst,
              int64_t dst_stride) {
  kernels::SumsToFloats(sums, sums_stride, row_sums, rows, stage, dst,
                        dst_stride);
}

// Sums of m rows of so many columns, and of the rows themselves, in memory that
// the thread keeps; the wide ones, of a matrix and of rows in pieces, are null
// where there are none.
struct Sums {
  int32_t* of_products;
  int32_t* of_rows;
  double* wide_of_products;
  double* wide_of_rows;
};

Scratch& TheScratch() {
  thread_local Scratch scratch;
  return scratch;
}

Status GetSums(int64_t products, int64_t rows, bool wide, Sums* sums) {
  const auto count = static_cast<std::size_t>(products + rows);
  uint8_t* bytes = nullptr;
  RETURN_IF_ERROR(TheScratch().Get(
      count * (sizeof(int32_t) + (wide ? sizeof(double) : 0)), &bytes));
  sums->wide_of_products = wide ? reinterpret_cast<double*>(bytes) : nullptr;
  sums->wide_of_rows = wide ? sums->wide_of_products + products : nullptr;
  if (wide) bytes += count * sizeof(double);
  sums->of_products = reinterpret_cast<int32_t*>(bytes);
  sums->of_rows = sums->of_products + products;
  return Status::Ok();
}

// dst = src, or with `adds` dst += src, for rows that begin `stride` apart.
void AddSums(const int32_t* src, int64_t rows, int64_t columns, int64_t stride,
             bool adds, double* dst) {
  for (int64_t r = 0; r < rows; ++r) {
    const int32_t* const from = src + r * stride;
    double* const to = dst + r * stride;
    if (adds) {
      for (int64_t n = 0; n < columns; ++n) to[n] += from[n];
    } else {
      for (int64_t n = 0; n < columns; ++n) to[n] = from[n];
    }
  }
}

// Calls multiply(matrix, k) for w, or for each of its pieces, which begin at
// row k of w: it writes sums of `count` rows and some columns, `stride` apart,
// to sums.of_products. Those of pieces are added up.
template <typename Multiply>
Status SumPieces(const PackedMatrix& w, int64_t count, int64_t columns,
                 int64_t stride, const Sums& sums, const Multiply& multiply) {
  if (w.pieces().empty()) return multiply(w, 0);
  int64_t k = 0;
  for (const auto& piece : w.pieces()) {
    RETURN_IF_ERROR(multiply(*piece, k));
    AddSums(sums.of_products, count, columns, stride, k > 0,
            sums.wide_of_products);
    k += piece->k();
  }
  return Status::Ok();
}

template <typename T>
void SumRowsIfNeeded(const Rows<T>& rows, const Sums& sums) {
  if (rows.stage.weight_zero_points == nullptr) return;
  const int64_t stride = rows.w.k();
  if (rows.w.pieces().empty()) {
    return kernels::RowSums(rows.a, rows.m, rows.summed, stride, sums.of_rows);
  }
  int64_t k = 0;
  for (const auto& piece : rows.w.pieces()) {
    const int64_t summed = std::clamp<int64_t>(rows.summed - k, 0, piece->k());
    kernels::RowSums(rows.a + k, rows.m, summed, stride, sums.of_rows);
    AddSums(sums.of_rows, 1, rows.m, rows.m, k > 0, sums.wide_of_rows);
    k += piece->k();
  }
}

// What the stage makes of a tile of sums, from row r and output n on.
template <typename T>
void Finish(const Rows<T>& rows, const Sums& sums, int64_t r, int64_t count,
            int64_t n, int64_t columns, int64_t stride) {
  const kernels::OutputStage stage =
      rows.stage.Part(n, columns, r, rows.dst_stride);
  T* const dst = rows.dst + r * rows.dst_stride + n;
  if (rows.w.pieces().empty()) {
    RunStage(sums.of_products, stride, sums.of_rows + r, count, stage, dst,
             rows.dst_stride);
  } else {
    RunStage(sums.wide_of_products, stride, sums.wide_of_rows + r, count, stage,
             dst, rows.dst_stride);
  }
}

// Outputs [first, first + columns) by the blocked product; first is a multiple
// of kBlockOutputs.
template <typename T>
Status RunBlocked(const Rows<T>& rows, int64_t first, int64_t columns) {
  const int64_t k = rows.w.k();
  Sums sums;
  RETURN_IF_ERROR(GetSums(kTileSums, rows.m, !rows.w.pieces().empty(), &sums));
  SumRowsIfNeeded(rows, sums);
  const int64_t most_rows =
      std::min(rows.m, kTileSums / kernels::kBlockOutputs);
  const int64_t most_columns =
      kTileSums / most_rows / kernels::kBlockOutputs * kernels::kBlockOutputs;
  for (int64_t n = first; n < first + columns; n += most_columns) {
    const int64_t width = std::min(most_columns, first + columns - n);
    for (int64_t r = 0; r < rows.m; r += most_rows) {
      const int64_t count = std::min(most_rows, rows.m - r);
      const uint8_t* const a = rows.a + r * k;
      RETURN_IF_ERROR(SumPieces(rows.w, count, width, most_columns, sums,
                                [&](const PackedMatrix& w, int64_t first_k) {
                                  kernels::BlockedProduct(
                                      a + first_k, count, k, w.blocks(),
                                      n / kernels::kBlockOutputs, width,
                                      sums.of_products, most_columns);
                                  return Status::Ok();
                                }));
      Finish(rows, sums, r, count, n, width, most_columns);
    }
  }
  TheScratch().GiveBack();
  return Status::Ok();
}

template <typename T>
Status RunOneDnn(const Rows<T>& rows, int threads) {
  const int64_t n = rows.w.n();
  Sums sums;
  RETURN_IF_ERROR(GetSums(rows.m * n, rows.m, !rows.w.pieces().empty(), &sums));
  RETURN_IF_ERROR(SumPieces(
      rows.w, rows.m, n, n, sums, [&](const PackedMatrix& w, int64_t first_k) {
        return w.Multiply(rows.a + first_k, rows.m, rows.w.k(), threads,
                          sums.of_products);
      }));
  SumRowsIfNeeded(rows, sums);
  Finish(rows, sums, 0, rows.m, 0, n, n);
  TheScratch().GiveBack();
  return Status::Ok();
}

template <typename T>
Status RunRows(const Rows<T>& rows) {
  if (rows.m == 0) return Status::Ok();
  if (TakesBlockedProduct(rows.w, rows.m)) {
    return RunBlocked(rows, 0, rows.w.n());
  }
  const int64_t row_bytes = rows.w.n() * static_cast<int64_t>(sizeof(int32_t));
  const int64_t most = std::max(kFewestRows, kChunkBytes / row_bytes);
  for (int64_t r = 0; r < rows.m; r += most) {
    RETURN_IF_ERROR(RunOneDnn(rows.Part(r, std::min(most, rows.m - r)), 1));
  }
  return Status::Ok();
}

// Rows of a chunk, about as many for each, of which there are as many for each
// thread, if that is not too few rows. row_bytes is what a row takes of the
// cache.
int64_t ChunkRows(int64_t m, int64_t row_bytes, int threads) {
  const int64_t most = std::max(kFewestRows, kChunkBytes / row_bytes);
  int64_t chunks = DivideUp(m, most);
  if (m >= threads * kFewestRows) {
    chunks = DivideUp(chunks, threads) * threads;
  }
  return DivideUp(m, chunks);
}

template <typename T>
Status Divide(const Rows<T>& all, int threads) {
  const bool blocked = TakesBlockedProduct(all.w, all.m);
  const int64_t n = all.w.n();
  const int64_t rows =
      ChunkRows(all.m, blocked ? all.w.k() : n * int64_t{4}, threads);
  const int64_t chunks = DivideUp(all.m, rows);
  const auto part = [&](int64_t i) {
    return all.Part(i * rows, std::min(rows, all.m - i * rows));
  };
  if (!blocked) {
    // One chunk is oneDNN's to divide.
    if (chunks == 1) return RunOneDnn(all, threads);
    return ParallelFor(chunks, threads,
                       [&](int64_t i) { return RunOneDnn(part(i), 1); });
  }
  // Few chunks are divided by columns as well.
  const int64_t columns =
      DivideUp(DivideUp(n, kernels::kBlockOutputs), DivideUp(threads, chunks)) *
      kernels::kBlockOutputs;
  const int64_t strips = DivideUp(n, columns);
  const auto run = [&](int64_t i) {
    const int64_t first = i % strips * columns;
    return RunBlocked(part(i / strips), first, std::min(columns, n - first));
  };
  return ParallelFor(chunks * strips, threads, run);
}

Status Check(const PackedMatrix& w, int64_t m,
             const kernels::OutputStage& stage) {
  RETURN_IF_ERROR(PackedMatrix::CheckRows(m));
  if (stage.columns == w.n()) return Status::Ok();
  return Status::InvalidArgument(
      "matrix product: the output stage has " + std::to_string(stage.columns) +
      " columns, expected N, " + std::to_string(w.n()));
}

template <typename T>
Status MultiplyTo(const PackedMatrix& w, const uint8_t* a, int64_t m,
                  const kernels::OutputStage& stage, T* dst) {
  RETURN_IF_ERROR(Check(w, m, stage));
  const Rows<T> all{w, a, m, w.k(), stage, dst, w.n()};
  if (m == 0) return Status::Ok();
  // In double: it may leave 64 bits.
  if (double{1} * m * w.k() * w.n() < kFewestOfThreads) return Divide(all, 1);
  const ThreadShare share;
  return Divide(all, share.count());
}

template <typename T>
Status MultiplyRowsTo(const PackedMatrix& w, const uint8_t* a, int64_t m,
                      int64_t summed, const kernels::OutputStage& stage, T* dst,
                      int64_t dst_stride) {
  RETURN_IF_ERROR(Check(w, m, stage));
  return RunRows(Rows<T>{w, a, m, summed, stage, dst, dst_stride});
}

}  // namespace

Status MultiplyToCodes(const PackedMatrix& w, const uint8_t* a, int64_t m,
                       const kernels::OutputStage& stage, uint8_t* dst) {
  return MultiplyTo(w, a, m, stage, dst);
}

Status MultiplyToFloats(const PackedMatrix& w, const uint8_t* a, int64_t m,
                        const kernels::OutputStage& stage, float* dst) {
  return MultiplyTo(w, a, m, stage, dst);
}

Status MultiplyRowsToCodes(const PackedMatrix& w, const uint8_t* a, int64_t m,
                           int64_t summed, const kernels::OutputStage& stage,
                           uint8_t* dst, int64_t dst_stride) {
  return MultiplyRowsTo(w, a, m, summed, stage, dst, dst_stride);
}

Status MultiplyRowsToFloats(const PackedMatrix& w, const uint8_t* a, int64_t m,
                            int64_t summed, const kernels::OutputStage& stage,
                            float* dst, int64_t dst_stride) {
  return MultiplyRowsTo(w, a, m, summed, stage, dst, dst_stride);
}

}  // namespace onednn
}  // namespace caffe2_quantization
