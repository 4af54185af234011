// The plain scalar forms of the output stage's kernels.
#include <algorithm>
#include <cmath>

#include "quantization/kernels/output_stage.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

// fl(acc) of row r, column n.
float Accumulator(double sum, const double* row_sums, int64_t r, int64_t n,
                  const OutputStage& stage) {
  auto acc = static_cast<int64_t>(sum);
  if (stage.weight_zero_points != nullptr) {
    acc -= stage.weight_zero_points[n] * static_cast<int64_t>(row_sums[r]);
  }
  if (stage.wide_offsets != nullptr) {
    acc += static_cast<int64_t>(stage.wide_offsets[n]);
  } else if (stage.column_offsets != nullptr) {
    acc += stage.column_offsets[n];
  }
  return static_cast<float>(acc);
}

float Accumulator(int32_t sum, const int32_t* row_sums, int64_t r, int64_t n,
                  const OutputStage& stage) {
  if (stage.wide_offsets != nullptr) {
    const double row_sum = row_sums == nullptr ? 0 : row_sums[r];
    return Accumulator(double{1} * sum, &row_sum, 0, n, stage);
  }
  // Unsigned, because it may wrap on the way.
  auto acc = static_cast<uint32_t>(sum);
  if (stage.weight_zero_points != nullptr) {
    acc -= static_cast<uint32_t>(stage.weight_zero_points[n]) *
           static_cast<uint32_t>(row_sums[r]);
  }
  if (stage.column_offsets != nullptr) {
    acc += static_cast<uint32_t>(stage.column_offsets[n]);
  }
  return static_cast<float>(static_cast<int32_t>(acc));
}

template <typename S>
void ToCodes(const S* sums, int64_t sums_stride, const S* row_sums,
             int64_t rows, const OutputStage& stage, uint8_t* dst,
             int64_t dst_stride) {
  // Clamped before the zero point is added, as floats, which hold them exactly.
  const auto low = static_cast<float>(stage.low - stage.zero_point);
  const auto high = static_cast<float>(stage.high - stage.zero_point);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < stage.columns; ++n) {
      float product =
          Accumulator(sums[r * sums_stride + n], row_sums, r, n, stage) *
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

template <typename S>
void ToFloats(const S* sums, int64_t sums_stride, const S* row_sums,
              int64_t rows, const OutputStage& stage, float* dst,
              int64_t dst_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < stage.columns; ++n) {
      const float acc =
          Accumulator(sums[r * sums_stride + n], row_sums, r, n, stage);
      const float y = stage.bias != nullptr
                          ? std::fma(acc, stage.multipliers[n], stage.bias[n])
                          : acc * stage.multipliers[n];
      dst[r * dst_stride + n] = stage.relu && !(y > 0) ? 0.0f : y;
    }
  }
}

}  // namespace

void SumsToCodes(const int32_t* sums, int64_t sums_stride,
                 const int32_t* row_sums, int64_t rows,
                 const OutputStage& stage, uint8_t* dst, int64_t dst_stride) {
  ToCodes(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

void SumsToFloats(const int32_t* sums, int64_t sums_stride,
                  const int32_t* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride) {
  ToFloats(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

void SumsToCodes(const double* sums, int64_t sums_stride,
                 const double* row_sums, int64_t rows, const OutputStage& stage,
                 uint8_t* dst, int64_t dst_stride) {
  ToCodes(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

void SumsToFloats(const double* sums, int64_t sums_stride,
                  const double* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride) {
  ToFloats(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
