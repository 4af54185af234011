// The plain form of move_rows.h.
#include <cstring>

#include "quantization/kernels/move_rows.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

template <typename Index>
void MoveRows(const void* src, int64_t row_bytes, const Index* rows,
              int64_t count, void* dst) {
  if (row_bytes == 0) return;
  const auto* const from = static_cast<const uint8_t*>(src);
  auto* const to = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * row_bytes, from + rows[i] * row_bytes,
                static_cast<size_t>(row_bytes));
  }
}

void MoveSpacedRows(const void* src, int64_t row_bytes, int64_t step,
                    int64_t count, void* dst) {
  if (row_bytes == 0) return;
  const auto* const from = static_cast<const uint8_t*>(src);
  auto* const to = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(to + i * row_bytes, from + i * step,
                static_cast<size_t>(row_bytes));
  }
}

template void MoveRows(const void*, int64_t, const int32_t*, int64_t, void*);
template void MoveRows(const void*, int64_t, const int64_t*, int64_t, void*);

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
