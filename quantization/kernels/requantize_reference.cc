// The plain scalar forms of the requantization kernels.
#include <algorithm>
#include <cmath>

#include "quantization/kernels/requantize.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

template <typename T>
void RequantizeRuns(const int32_t* src, std::size_t count,
                    std::size_t run_length, const float* multipliers,
                    const CodeRange& range, T* dst) {
  // Clamped before the zero point is added: doubles hold what 32 bits do not.
  const double low = double{1} * range.qmin - range.zero_point;
  const double high = double{1} * range.qmax - range.zero_point;
  for (std::size_t i = 0; i < count; ++i) {
    const float product =
        static_cast<float>(src[i]) * multipliers[i / run_length];
    const double rounded =
        std::min(std::max(double{std::nearbyint(product)}, low), high);
    dst[i] = static_cast<T>(static_cast<int64_t>(rounded) + range.zero_point);
  }
}

template <typename T>
void RequantizeFixedPointRuns(const int32_t* src, std::size_t count,
                              std::size_t run_length,
                              const int32_t* multipliers, const int32_t* shifts,
                              const CodeRange& range, T* dst) {
  for (std::size_t i = 0; i < count; ++i) {
    const int32_t shift = shifts[i / run_length];
    const int64_t product = int64_t{src[i]} * multipliers[i / run_length];
    const int64_t code =
        ((product + (int64_t{1} << (shift - 1))) >> shift) + range.zero_point;
    dst[i] = static_cast<T>(
        std::min<int64_t>(std::max<int64_t>(code, range.qmin), range.qmax));
  }
}

#define REQUANTIZE_REFERENCE(T)                                          \
  template void RequantizeRuns(const int32_t*, std::size_t, std::size_t, \
                               const float*, const CodeRange&, T*);      \
  template void RequantizeFixedPointRuns(                                \
      const int32_t*, std::size_t, std::size_t, const int32_t*,          \
      const int32_t*, const CodeRange&, T*);
REQUANTIZE_REFERENCE(int8_t)
REQUANTIZE_REFERENCE(uint8_t)
REQUANTIZE_REFERENCE(int16_t)
REQUANTIZE_REFERENCE(uint16_t)
REQUANTIZE_REFERENCE(int32_t)
#undef REQUANTIZE_REFERENCE

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
