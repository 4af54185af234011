#include "quantization/quantize_order.h"

#include <algorithm>

#include "quantization/kernels/quantize.h"
#include "quantization/kernels/transpose.h"

namespace caffe2_quantization {
namespace {

// Codes of a block, which is half of the smallest first cache level.
constexpr int64_t kBlockBytes = 1 << 14;

// Calls body(c, rows, p, columns) for blocks of channels and pixels. Channels
// are divided evenly, so that no block has few of them, unless there are few.
template <typename T, typename Body>
void ForEachBlock(int64_t channels, int64_t pixels, const Body& body) {
  constexpr int64_t kMostRows = kBlockBytes / 256 / sizeof(T);
  const int64_t parts = (channels + kMostRows - 1) / kMostRows;
  const int64_t most_rows = (channels + parts - 1) / parts;
  const int64_t most_columns =
      kBlockBytes / int64_t{sizeof(T)} / most_rows / 64 * 64;
  for (int64_t p = 0; p < pixels; p += most_columns) {
    const int64_t columns = std::min(most_columns, pixels - p);
    for (int64_t c = 0; c < channels; c += most_rows) {
      body(c, std::min(most_rows, channels - c), p, columns);
    }
  }
}

}  // namespace

template <typename T>
void QuantizeToChannelsLast(const float* src, int64_t channels, int64_t pixels,
                            int64_t stride, const QuantizationParams& params,
                            T* dst) {
  float inverse, zero_point;
  kernels::PrepareRuns(params.scales.data(), params.zero_points.data(), 1,
                       &inverse, &zero_point);
  const int32_t qmin = params.type.qmin(), qmax = params.type.qmax();
  alignas(64) T block[kBlockBytes / sizeof(T)];
  ForEachBlock<T>(
      channels, pixels, [&](int64_t c, int64_t rows, int64_t p, int64_t n) {
        for (int64_t r = 0; r < rows; ++r) {
          kernels::QuantizeRuns(src + (c + r) * stride + p, n, n, &inverse,
                                &zero_point, qmin, qmax, block + r * n,
                                r + 1 < rows ? stride : 0);
        }
        kernels::Transpose(block, rows, n, n, dst + p * channels + c, channels);
      });
}

template <typename T>
void DequantizeToChannelsFirst(const T* src, int64_t channels, int64_t pixels,
                               const QuantizationParams& params, float* dst,
                               int64_t stride) {
  float zero_point;
  kernels::PrepareRuns(params.scales.data(), params.zero_points.data(), 1,
                       nullptr, &zero_point);
  alignas(64) T block[kBlockBytes / sizeof(T)];
  ForEachBlock<T>(
      channels, pixels, [&](int64_t c, int64_t rows, int64_t p, int64_t n) {
        kernels::Transpose(src + p * channels + c, n, rows, channels, block, n);
        for (int64_t r = 0; r < rows; ++r) {
          kernels::DequantizeRuns(block + r * n, n, n, params.scales.data(),
                                  &zero_point, dst + (c + r) * stride + p);
        }
      });
}

#define QUANTIZE_ORDER(T)                                                      \
  template void QuantizeToChannelsLast(                                        \
      const float*, int64_t, int64_t, int64_t, const QuantizationParams&, T*); \
  template void DequantizeToChannelsFirst(                                     \
      const T*, int64_t, int64_t, const QuantizationParams&, float*, int64_t);
QUANTIZE_ORDER(uint8_t)
QUANTIZE_ORDER(uint16_t)
#undef QUANTIZE_ORDER

}  // namespace caffe2_quantization
