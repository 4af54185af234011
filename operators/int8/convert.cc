#include "operators/int8/convert.h"

#include "c10/util/Exception.h"
#include "quantization/kernels/isa.h"
#include "quantization/kernels/quantize.h"
#include "quantization/quantize.h"
#include "quantization/storage.h"

namespace caffe2_quantization {
namespace {

bool FitsTheCache(std::size_t bytes) {
  return bytes <= kernels::LastLevelCacheBytes();
}

}  // namespace

template <typename T>
void QuantizeTo(const float* src, int64_t count,
                const QuantizationParams& params, T* dst) {
  if (count == 0) return;
  if (!FitsTheCache(count * (sizeof(float) + sizeof(T))) &&
      CheckStorage<T>(params.type).ok()) {
    const Status status = Quantize(src, {count}, params, dst);
    TORCH_INTERNAL_ASSERT(status.ok(), status.message());
    return;
  }
  float inverse, zero_point;
  kernels::PrepareRuns(params.scales.data(), params.zero_points.data(), 1,
                       &inverse, &zero_point);
  kernels::QuantizeRuns(src, count, count, &inverse, &zero_point,
                        params.type.qmin(), params.type.qmax(), dst);
}

template <typename T>
void DequantizeFrom(const T* src, int64_t count,
                    const QuantizationParams& params, float* dst) {
  if (count == 0) return;
  if (!FitsTheCache(count * (sizeof(float) + sizeof(T))) &&
      CheckStorage<T>(params.type).ok()) {
    const Status status = Dequantize(src, {count}, params, dst);
    TORCH_INTERNAL_ASSERT(status.ok(), status.message());
    return;
  }
  float zero_point;
  kernels::PrepareRuns(params.scales.data(), params.zero_points.data(), 1,
                       nullptr, &zero_point);
  kernels::DequantizeRuns(src, count, count, params.scales.data(), &zero_point,
                          dst);
}

template void QuantizeTo(const float*, int64_t, const QuantizationParams&,
                         uint8_t*);
template void QuantizeTo(const float*, int64_t, const QuantizationParams&,
                         uint16_t*);
template void DequantizeFrom(const uint8_t*, int64_t, const QuantizationParams&,
                             float*);
template void DequantizeFrom(const uint16_t*, int64_t,
                             const QuantizationParams&, float*);

Status SetParameters(float scale, int32_t zero_point,
                     QuantizationParams* params) {
  // Most often they are what they were. (A NaN is not.)
  if (scale == params->scales[0] && zero_point == params->zero_points[0]) {
    return Status::Ok();
  }
  const QuantizationParams changed(params->type, scale, zero_point);
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(changed.Validate());
  params->scales[0] = scale;
  params->zero_points[0] = zero_point;
  return Status::Ok();
}

}  // namespace caffe2_quantization
