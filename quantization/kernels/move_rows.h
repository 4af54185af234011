// Moves rows of bytes, i < count:
//
//   MoveRows         dst[i * row_bytes + j] = src[rows[i] * row_bytes + j]
//   MoveSpacedRows   dst[i * row_bytes + j] = src[i * step + j]
//
// A row may be moved to several places, or to none. Preconditions: rows[i] is
// the number of a row of src, step is row_bytes or more, and src and dst do not
// overlap. If `streams`, dst
// is written past the cache where whole cache lines are (stream_blocks.h says
// when that is better, StreamsOutput of all that is written). No alignment is
// needed. Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MOVE_ROWS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MOVE_ROWS_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// Index: int32_t or int64_t.
template <typename Index>
void MoveRows(const void* src, int64_t row_bytes, const Index* rows,
              int64_t count, bool streams, void* dst);
void MoveSpacedRows(const void* src, int64_t row_bytes, int64_t step,
                    int64_t count, bool streams, void* dst);

// The plain form that defines the result; also what the cap `scalar` runs.
namespace reference {
template <typename Index>
void MoveRows(const void* src, int64_t row_bytes, const Index* rows,
              int64_t count, void* dst);
void MoveSpacedRows(const void* src, int64_t row_bytes, int64_t step,
                    int64_t count, void* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_MOVE_ROWS_H_
