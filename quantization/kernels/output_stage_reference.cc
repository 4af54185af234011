// The plain scalar forms of the output stage's kernels.
#include <algorithm>
#include <cmath>

#include "quantization/kernels/output_stage.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

// Row r, column n; unsigned, because it may wrap.
int32_t Accumulator(int32_t sum, const int32_t* row_sums, int64_t r, int64_t n,
                    const OutputStage& stage) {
  auto acc = static_cast<uint32_t>(sum);
  if (stage.weight_zero_points != nullptr) {
    acc -= static_cast<uint32_t>(stage.weight_zero_points[n]) *
           static_cast<uint32_t>(row_sums[r]);
  }
  if (stage.column_offsets != nullptr) {
    acc += static_cast<uint32_t>(stage.column_offsets[n]);
  }
  return static_cast<int32_t>(acc);
}

}  // namespace

void SumsToCodes(const int32_t* sums, int64_t sums_stride,
                 const int32_t* row_sums, int64_t rows,
                 const OutputStage& stage, uint8_t* dst, int64_t dst_stride) {
  // Clamped before the zero point is added, as floats, which hold them exactly.
  const auto low = static_cast<float>(stage.low - stage.zero_point);
  const auto high = static_cast<float>(stage.high - stage.zero_point);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < stage.columns; ++n) {
      float product = static_cast<float>(Accumulator(sums[r * sums_stride + n],
                                                     row_sums, r, n, stage)) *
                      stage.multipliers[n];
      if (stage.bias != nullptr) product += stage.bias[n];
      if (stage.addend != nullptr) {
        product += static_cast<float>(stage.addend[r * dst_stride + n] -
                                      stage.addend_zero_point) *
                   stage.addend_multiplier;
      }
      const float clamped = std::min(std::max(product, low), high);
      dst[r * dst_stride + n] = static_cast<uint8_t>(
          static_cast<int32_t>(std::nearbyint(clamped)) + stage.zero_point);
    }
  }
}

void SumsToFloats(const int32_t* sums, int64_t sums_stride,
                  const int32_t* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < stage.columns; ++n) {
      const auto acc = static_cast<float>(
          Accumulator(sums[r * sums_stride + n], row_sums, r, n, stage));
      const float y = stage.bias != nullptr
                          ? std::fma(acc, stage.multipliers[n], stage.bias[n])
                          : acc * stage.multipliers[n];
      dst[r * dst_stride + n] = stage.relu && !(y > 0) ? 0.0f : y;
    }
  }
}

void RowSums(const uint8_t* a, int64_t rows, int64_t k, int64_t stride,
             int32_t* row_sums) {
  for (int64_t r = 0; r < rows; ++r) {
    uint32_t sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += a[r * stride + i];
    row_sums[r] = static_cast<int32_t>(sum);
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
