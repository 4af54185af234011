// The plain form of byte_table.h.
#include "quantization/kernels/byte_table.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

void LookUpBytes(const uint8_t* src, int64_t count, const uint8_t* table,
                 uint8_t* dst) {
  for (int64_t i = 0; i < count; ++i) dst[i] = table[src[i]];
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
