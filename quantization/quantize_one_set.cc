#include "quantization/quantize_one_set.h"

#include <cstddef>

#include "quantization/kernels/isa.h"
#include "quantization/kernels/quantize.h"
#include "quantization/quantize.h"
#include "quantization/storage.h"

namespace caffe2_quantization {
namespace {

// Whether Quantize() is to convert them, which has threads and streams past the
// cache.
template <typename T>
bool IsLarge(int64_t count, const QuantizationParams& params) {
  const std::size_t bytes = count * (sizeof(float) + sizeof(T));
  return bytes > kernels::LastLevelCacheBytes() &&
         CheckStorage<T>(params.type).ok();
}

}  // namespace

template <typename T>
void QuantizeOneSet(const float* src, int64_t count,
                    const QuantizationParams& params, T* dst) {
  if (count == 0) return;
  if (IsLarge<T>(count, params) && Quantize(src, {count}, params, dst).ok()) {
    return;
  }
  float inverse, zero_point;
  kernels::PrepareRuns(params.scales.data(), params.zero_points.data(), 1,
                       &inverse, &zero_point);
  kernels::QuantizeRuns(src, count, count, &inverse, &zero_point,
                        params.type.qmin(), params.type.qmax(), dst);
}

template <typename T>
void DequantizeOneSet(const T* src, int64_t count,
                      const QuantizationParams& params, float* dst) {
  if (count == 0) return;
  if (IsLarge<T>(count, params) && Dequantize(src, {count}, params, dst).ok()) {
    return;
  }
  float zero_point;
  kernels::PrepareRuns(params.scales.data(), params.zero_points.data(), 1,
                       nullptr, &zero_point);
  kernels::DequantizeRuns(src, count, count, params.scales.data(), &zero_point,
                          dst);
}

template void QuantizeOneSet(const float*, int64_t, const QuantizationParams&,
                             uint8_t*);
template void QuantizeOneSet(const float*, int64_t, const QuantizationParams&,
                             uint16_t*);
template void DequantizeOneSet(const uint8_t*, int64_t,
                               const QuantizationParams&, float*);
template void DequantizeOneSet(const uint16_t*, int64_t,
                               const QuantizationParams&, float*);

}  // namespace caffe2_quantization
