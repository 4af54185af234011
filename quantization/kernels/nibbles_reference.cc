// The plain scalar forms of the nibble kernels.
#include "quantization/kernels/nibbles.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

void PackNibbles(const uint8_t* src, std::size_t count, uint8_t* dst) {
  for (std::size_t i = 0; i + 1 < count; i += 2) {
    dst[i / 2] = static_cast<uint8_t>((src[i] & 15) | (src[i + 1] & 15) << 4);
  }
  if (count % 2 != 0) dst[count / 2] = src[count - 1] & 15;
}

void UnpackNibbles(const uint8_t* src, std::size_t count, bool is_signed,
                   uint8_t* dst) {
  // (c ^ 8) - 8 extends the sign.
  const int sign = is_signed ? 8 : 0;
  for (std::size_t i = 0; i < count; ++i) {
    const int code = (src[i / 2] >> (i % 2 * 4)) & 15;
    dst[i] = static_cast<uint8_t>((code ^ sign) - sign);
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
