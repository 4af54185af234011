// The plain forms of max_codes.h.
#include <algorithm>

#include "quantization/kernels/max_codes.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

template <typename T>
void Max(const T* src, int64_t count, T least, T* dst) {
  for (int64_t i = 0; i < count; ++i) dst[i] = std::max(src[i], least);
}

}  // namespace

void MaxCodes(const uint8_t* src, int64_t count, uint8_t least, uint8_t* dst) {
  Max(src, count, least, dst);
}

void MaxCodes(const uint16_t* src, int64_t count, uint16_t least,
              uint16_t* dst) {
  Max(src, count, least, dst);
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
