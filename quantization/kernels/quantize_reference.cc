// The plain scalar forms of the quantization kernels.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quantization/kernels/quantize.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

// Calls body(i, run) for every value i and its run.
template <typename Body>
void ForEachValue(std::size_t count, std::size_t run_length, const Body& body) {
  for (std::size_t begin = 0, run = 0; begin < count; ++run) {
    const std::size_t end = begin + std::min(run_length, count - begin);
    for (std::size_t i = begin; i < end; ++i) body(i, run);
    begin = end;
  }
}

template <typename T, typename Real>
T ToCode(float x, Real inverse, Real zero_point, Real low, Real high) {
  const Real number = std::isnan(x) ? Real{0} : Real{x};
  const Real code = std::fma(number, inverse, zero_point);
  return static_cast<T>(std::nearbyint(std::min(std::max(code, low), high)));
}

}  // namespace

namespace reference {

template <typename T>
void QuantizeRuns(const float* src, std::size_t count, std::size_t run_length,
                  const float* inverses, const float* zero_points, int32_t qmin,
                  int32_t qmax, T* dst) {
  const float low = static_cast<float>(qmin), high = static_cast<float>(qmax);
  ForEachValue(count, run_length, [&](std::size_t i, std::size_t run) {
    dst[i] = ToCode<T>(src[i], inverses[run], zero_points[run], low, high);
  });
}

template <typename T>
void DequantizeRuns(const T* src, std::size_t count, std::size_t run_length,
                    const float* scales, const float* zero_points, float* dst) {
  ForEachValue(count, run_length, [&](std::size_t i, std::size_t run) {
    dst[i] = scales[run] * (static_cast<float>(src[i]) - zero_points[run]);
  });
}

#define QUANTIZE_REFERENCE(T)                                              \
  template void QuantizeRuns(const float*, std::size_t, std::size_t,       \
                             const float*, const float*, int32_t, int32_t, \
                             T*);                                          \
  template void DequantizeRuns(const T*, std::size_t, std::size_t,         \
                               const float*, const float*, float*);
QUANTIZE_REFERENCE(int8_t)
QUANTIZE_REFERENCE(uint8_t)
QUANTIZE_REFERENCE(int16_t)
QUANTIZE_REFERENCE(uint16_t)
#undef QUANTIZE_REFERENCE

}  // namespace reference

void QuantizeRuns(const float* src, std::size_t count, std::size_t run_length,
                  const float* scales, const int32_t* zero_points,
                  int32_t* dst) {
  const double low = std::numeric_limits<int32_t>::min();
  const double high = std::numeric_limits<int32_t>::max();
  ForEachValue(count, run_length, [&](std::size_t i, std::size_t run) {
    dst[i] = ToCode<int32_t>(src[i], 1 / double{scales[run]},
                             double{1} * zero_points[run], low, high);
  });
}

void DequantizeRuns(const int32_t* src, std::size_t count,
                    std::size_t run_length, const float* scales,
                    const int32_t* zero_points, float* dst) {
  ForEachValue(count, run_length, [&](std::size_t i, std::size_t run) {
    const double offset = double{1} * src[i] - zero_points[run];
    dst[i] = static_cast<float>(double{scales[run]} * offset);
  });
}

}  // namespace kernels
}  // namespace caffe2_quantization
