// The output stage's kernels in Highway: this file is compiled once per target.
#include "quantization/kernels/output_stage.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

#include "quantization/kernels/isa.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantization/kernels/output_stage.cc"
#include "hwy/foreach_target.h"  // must come before highway.h
#include "hwy/highway.h"
#include "quantization/kernels/code_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace caffe2_quantization {
namespace kernels {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR

void StageCodes(const int32_t* sums, int64_t sums_stride,
                const int32_t* row_sums, int64_t rows, const OutputStage& stage,
                uint8_t* dst, int64_t dst_stride) {
  reference::SumsToCodes(sums, sums_stride, row_sums, rows, stage, dst,
                         dst_stride);
}

void StageFloats(const int32_t* sums, int64_t sums_stride,
                 const int32_t* row_sums, int64_t rows,
                 const OutputStage& stage, float* dst, int64_t dst_stride) {
  reference::SumsToFloats(sums, sums_stride, row_sums, rows, stage, dst,
                          dst_stride);
}

void WideCodes(const double* sums, int64_t sums_stride, const double* row_sums,
               int64_t rows, const OutputStage& stage, uint8_t* dst,
               int64_t dst_stride) {
  reference::SumsToCodes(sums, sums_stride, row_sums, rows, stage, dst,
                         dst_stride);
}

void WideFloats(const double* sums, int64_t sums_stride, const double* row_sums,
                int64_t rows, const OutputStage& stage, float* dst,
                int64_t dst_stride) {
  reference::SumsToFloats(sums, sums_stride, row_sums, rows, stage, dst,
                          dst_stride);
}

#else

// Zero points of the weights: none, the same for all columns, one for each; or
// nothing to correct, because the sums are fl(acc) already, as floats' bits.
enum class ZeroPoints { kNone, kOne, kEach, kCorrected };

// What a stage has for a vector of columns.
struct Columns {
  VI zero_points, offsets;
  VF multipliers, bias;
};

template <ZeroPoints kZeroPoints, bool kOffsets, bool kBias, class Lanes>
HWY_INLINE Columns LoadColumns(const Lanes& lanes, const OutputStage& stage,
                               int64_t n) {
  const DI di;
  Columns columns;
  if constexpr (kZeroPoints == ZeroPoints::kEach) {
    columns.zero_points = lanes.Load(di, stage.weight_zero_points + n);
  }
  if constexpr (kOffsets) {
    columns.offsets = lanes.Load(di, stage.column_offsets + n);
  }
  columns.multipliers = lanes.Load(DF(), stage.multipliers + n);
  if constexpr (kBias) columns.bias = lanes.Load(DF(), stage.bias + n);
  return columns;
}

// What all columns share of a row: its sum, times the zero point if that is
// one.
template <ZeroPoints kZeroPoints>
HWY_INLINE VI RowTerm(const int32_t* row_sums, int64_t r,
                      const OutputStage& stage) {
  const DI di;
  if constexpr (kZeroPoints == ZeroPoints::kNone ||
                kZeroPoints == ZeroPoints::kCorrected) {
    return hn::Zero(di);
  }
  const VI row_sum = hn::Set(di, row_sums[r]);
  if constexpr (kZeroPoints == ZeroPoints::kEach) return row_sum;
  return hn::Mul(row_sum, hn::Set(di, stage.weight_zero_points[0]));
}

// fl(acc).
template <ZeroPoints kZeroPoints, bool kOffsets>
HWY_INLINE VF Accumulators(VI sums, VI row_term, const Columns& columns) {
  if constexpr (kZeroPoints == ZeroPoints::kCorrected) {
    return hn::BitCast(DF(), sums);
  }
  VI acc = sums;
  if constexpr (kZeroPoints == ZeroPoints::kOne) {
    acc = hn::Sub(acc, row_term);
  }
  if constexpr (kZeroPoints == ZeroPoints::kEach) {
    acc = hn::Sub(acc, hn::Mul(columns.zero_points, row_term));
  }
  if constexpr (kOffsets) acc = hn::Add(acc, columns.offsets);
  return hn::ConvertTo(DF(), acc);
}

HWY_INLINE bool AllTheSame(const int32_t* values, int64_t count) {
  const DI di;
  const VI first = hn::Set(di, values[0]);
  VI differences = hn::Zero(di);
  ForEachVector(0, count, [&](const auto& lanes, int64_t i) HWY_ATTR {
    // What lies beyond the end is 0 in both.
    differences = hn::Or(
        differences, hn::Xor(lanes.Load(di, values + i), lanes.Fill(first)));
  });
  return hn::AllTrue(di, hn::Eq(differences, hn::Zero(di)));
}

// With fewer rows it takes longer to find out that zero points are the same.
constexpr int64_t kFewestRowsForOne = 4;

// Calls body(zero points, offsets are there), constants of a type.
template <class Body>
HWY_INLINE void WithCorrections(const OutputStage& stage, int64_t rows,
                                const Body& body) {
  const auto with_offsets = [&](auto zero_points) {
    stage.column_offsets != nullptr ? body(zero_points, std::true_type())
                                    : body(zero_points, std::false_type());
  };
  if (stage.weight_zero_points == nullptr) {
    with_offsets(std::integral_constant<ZeroPoints, ZeroPoints::kNone>());
  } else if (rows >= kFewestRowsForOne &&
             AllTheSame(stage.weight_zero_points, stage.columns)) {
    with_offsets(std::integral_constant<ZeroPoints, ZeroPoints::kOne>());
  } else {
    with_offsets(std::integral_constant<ZeroPoints, ZeroPoints::kEach>());
  }
}

template <ZeroPoints kZeroPoints, bool kOffsets, bool kBias, bool kAddend>
void Codes(const int32_t* sums, int64_t sums_stride, const int32_t* row_sums,
           int64_t rows, const OutputStage& stage, uint8_t* dst,
           int64_t dst_stride) {
  const DI di;
  const DF df;
  const VF low = hn::Set(df, static_cast<float>(stage.low - stage.zero_point));
  const VF high =
      hn::Set(df, static_cast<float>(stage.high - stage.zero_point));
  // 1.5 * 2^23: the sum with it has the nearest integer, ties to even, in its
  // last bits.
  const VF magic = hn::Set(df, 0x1.8p23f);
  const VI magic_to_code =
      hn::Sub(hn::Set(di, stage.zero_point), hn::BitCast(di, magic));
  const VI addend_zero_point = hn::Set(di, stage.addend_zero_point);
  const VF addend_multiplier = hn::Set(df, stage.addend_multiplier);
  const auto table = QuadsTable();
  const auto order = QuadsOrder();
  const auto lanes = static_cast<int64_t>(hn::Lanes(di));
  // Codes of row r and a vector of columns from n on, in 32 bits.
  const auto codes = [&](const auto& part, int64_t r, int64_t n, VI row_term,
                         const Columns& columns) HWY_ATTR {
    VF product = hn::Mul(
        Accumulators<kZeroPoints, kOffsets>(
            part.Load(di, sums + r * sums_stride + n), row_term, columns),
        columns.multipliers);
    if constexpr (kBias) product = hn::Add(product, columns.bias);
    if constexpr (kAddend) {
      const VI code =
          hn::PromoteTo(di, part.LoadCodes(stage.addend + r * dst_stride + n));
      product = hn::Add(
          product, hn::Mul(hn::ConvertTo(df, hn::Sub(code, addend_zero_point)),
                           addend_multiplier));
    }
    const VF clamped = hn::Min(hn::Max(product, low), high);
    return hn::Add(hn::BitCast(di, hn::Add(clamped, magic)), magic_to_code);
  };
  int64_t n = 0;
  for (; n + 4 * lanes <= stage.columns; n += 4 * lanes) {
    const Whole whole;
    const auto columns = [&](int64_t i) HWY_ATTR {
      return LoadColumns<kZeroPoints, kOffsets, kBias>(whole, stage,
                                                       n + i * lanes);
    };
    const Columns columns0 = columns(0), columns1 = columns(1),
                  columns2 = columns(2), columns3 = columns(3);
    for (int64_t r = 0; r < rows; ++r) {
      const VI row_term = RowTerm<kZeroPoints>(row_sums, r, stage);
      StoreFour(codes(whole, r, n, row_term, columns0),
                codes(whole, r, n + lanes, row_term, columns1),
                codes(whole, r, n + 2 * lanes, row_term, columns2),
                codes(whole, r, n + 3 * lanes, row_term, columns3), table,
                order, dst + r * dst_stride + n);
    }
  }
  ForEachVector(n, stage.columns, [&](const auto& part, int64_t i) HWY_ATTR {
    const Columns columns =
        LoadColumns<kZeroPoints, kOffsets, kBias>(part, stage, i);
    for (int64_t r = 0; r < rows; ++r) {
      const VI row_term = RowTerm<kZeroPoints>(row_sums, r, stage);
      part.Store(hn::DemoteTo(DB(), codes(part, r, i, row_term, columns)),
                 dst + r * dst_stride + i);
    }
  });
}

// The form of Codes that a stage needs.
template <ZeroPoints kZeroPoints, bool kOffsets>
auto CodesForm(const OutputStage& stage) {
  if (stage.bias != nullptr) {
    return stage.addend != nullptr ? Codes<kZeroPoints, kOffsets, true, true>
                                   : Codes<kZeroPoints, kOffsets, true, false>;
  }
  return stage.addend != nullptr ? Codes<kZeroPoints, kOffsets, false, true>
                                 : Codes<kZeroPoints, kOffsets, false, false>;
}

template <ZeroPoints kZeroPoints, bool kOffsets, bool kBias>
void Floats(const int32_t* sums, int64_t sums_stride, const int32_t* row_sums,
            int64_t rows, const OutputStage& stage, float* dst,
            int64_t dst_stride) {
  const DI di;
  const DF df;
  const VF low = stage.relu
                     ? hn::Zero(df)
                     : hn::Set(df, -std::numeric_limits<float>::infinity());
  ForEachVector(0, stage.columns, [&](const auto& part, int64_t n) HWY_ATTR {
    const Columns columns =
        LoadColumns<kZeroPoints, kOffsets, kBias>(part, stage, n);
    for (int64_t r = 0; r < rows; ++r) {
      const VF acc = Accumulators<kZeroPoints, kOffsets>(
          part.Load(di, sums + r * sums_stride + n),
          RowTerm<kZeroPoints>(row_sums, r, stage), columns);
      const VF y = kBias ? hn::MulAdd(acc, columns.multipliers, columns.bias)
                         : hn::Mul(acc, columns.multipliers);
      part.Store(hn::Max(y, low), dst + r * dst_stride + n);
    }
  });
}

// fl(acc) of a row's columns, computed in doubles, as floats' bits. S: int32_t
// or double.
template <typename S>
void WideAccumulators(const S* sums, double row_sum, const OutputStage& stage,
                      int32_t* acc) {
  const hn::RepartitionToWide<DF> dd;
  const hn::Rebind<float, decltype(dd)> half;
  const hn::Rebind<int32_t, decltype(dd)> half_int;
  const auto load = [&](const auto* values) HWY_ATTR {
    if constexpr (std::is_same_v<decltype(values), const double*>) {
      return hn::LoadU(dd, values);
    } else {
      return hn::PromoteTo(dd, hn::LoadU(half_int, values));
    }
  };
  const auto row = hn::Set(dd, row_sum);
  const auto lanes = static_cast<int64_t>(hn::Lanes(dd));
  int64_t n = 0;
  for (; n + lanes <= stage.columns; n += lanes) {
    auto sum = load(sums + n);
    if (stage.weight_zero_points != nullptr) {
      sum = hn::Sub(sum, hn::Mul(load(stage.weight_zero_points + n), row));
    }
    if (stage.wide_offsets != nullptr) {
      sum = hn::Add(sum, load(stage.wide_offsets + n));
    } else if (stage.column_offsets != nullptr) {
      sum = hn::Add(sum, load(stage.column_offsets + n));
    }
    hn::StoreU(hn::BitCast(half_int, hn::DemoteTo(half, sum)), half_int,
               acc + n);
  }
  for (; n < stage.columns; ++n) {
    double sum = sums[n];
    if (stage.weight_zero_points != nullptr) {
      sum -= stage.weight_zero_points[n] * row_sum;
    }
    if (stage.wide_offsets != nullptr) {
      sum += stage.wide_offsets[n];
    } else if (stage.column_offsets != nullptr) {
      sum += stage.column_offsets[n];
    }
    const auto rounded = static_cast<float>(sum);
    std::memcpy(acc + n, &rounded, sizeof(rounded));
  }
}

void CorrectedToDst(const int32_t* acc, int64_t acc_stride, int64_t rows,
                    const OutputStage& stage, uint8_t* dst,
                    int64_t dst_stride) {
  CodesForm<ZeroPoints::kCorrected, false>(stage)(acc, acc_stride, nullptr,
                                                  rows, stage, dst, dst_stride);
}

void CorrectedToDst(const int32_t* acc, int64_t acc_stride, int64_t rows,
                    const OutputStage& stage, float* dst, int64_t dst_stride) {
  const auto run = stage.bias != nullptr
                       ? Floats<ZeroPoints::kCorrected, false, true>
                       : Floats<ZeroPoints::kCorrected, false, false>;
  run(acc, acc_stride, nullptr, rows, stage, dst, dst_stride);
}

// In tiles whose accumulators stay in the first cache level.
template <typename S, typename T>
void StageWide(const S* sums, int64_t sums_stride, const S* row_sums,
               int64_t rows, const OutputStage& stage, T* dst,
               int64_t dst_stride) {
  constexpr int64_t kTile = 2048;
  HWY_ALIGN int32_t acc[kTile];
  const int64_t most_columns = std::min(kTile, stage.columns);
  const int64_t most_rows = kTile / most_columns;
  for (int64_t n = 0; n < stage.columns; n += most_columns) {
    const int64_t width = std::min(most_columns, stage.columns - n);
    for (int64_t r = 0; r < rows; r += most_rows) {
      const int64_t height = std::min(most_rows, rows - r);
      const OutputStage part = stage.Part(n, width, r, dst_stride);
      for (int64_t i = 0; i < height; ++i) {
        WideAccumulators(sums + (r + i) * sums_stride + n,
                         stage.weight_zero_points == nullptr
                             ? 0.0
                             : static_cast<double>(row_sums[r + i]),
                         part, acc + i * width);
      }
      CorrectedToDst(acc, width, height, part, dst + r * dst_stride + n,
                     dst_stride);
    }
  }
}

void WideCodes(const double* sums, int64_t sums_stride, const double* row_sums,
               int64_t rows, const OutputStage& stage, uint8_t* dst,
               int64_t dst_stride) {
  StageWide(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

void WideFloats(const double* sums, int64_t sums_stride, const double* row_sums,
                int64_t rows, const OutputStage& stage, float* dst,
                int64_t dst_stride) {
  StageWide(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

void StageCodes(const int32_t* sums, int64_t sums_stride,
                const int32_t* row_sums, int64_t rows, const OutputStage& stage,
                uint8_t* dst, int64_t dst_stride) {
  if (stage.wide_offsets != nullptr) {
    return StageWide(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
  }
  WithCorrections(stage, rows, [&](auto zero_points, auto offsets) {
    CodesForm<zero_points(), offsets()>(stage)(sums, sums_stride, row_sums,
                                               rows, stage, dst, dst_stride);
  });
}

void StageFloats(const int32_t* sums, int64_t sums_stride,
                 const int32_t* row_sums, int64_t rows,
                 const OutputStage& stage, float* dst, int64_t dst_stride) {
  if (stage.wide_offsets != nullptr) {
    return StageWide(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
  }
  WithCorrections(stage, rows, [&](auto zero_points, auto offsets) {
    const auto run = stage.bias != nullptr
                         ? Floats<zero_points(), offsets(), true>
                         : Floats<zero_points(), offsets(), false>;
    run(sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
  });
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace kernels
}  // namespace caffe2_quantization
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace caffe2_quantization {
namespace kernels {

HWY_EXPORT(StageCodes);
HWY_EXPORT(StageFloats);
HWY_EXPORT(WideCodes);
HWY_EXPORT(WideFloats);

void SumsToCodes(const int32_t* sums, int64_t sums_stride,
                 const int32_t* row_sums, int64_t rows,
                 const OutputStage& stage, uint8_t* dst, int64_t dst_stride) {
  if (UseScalarReference()) {
    return reference::SumsToCodes(sums, sums_stride, row_sums, rows, stage, dst,
                                  dst_stride);
  }
  HWY_DYNAMIC_DISPATCH(StageCodes)
  (sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

void SumsToFloats(const int32_t* sums, int64_t sums_stride,
                  const int32_t* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride) {
  if (UseScalarReference()) {
    return reference::SumsToFloats(sums, sums_stride, row_sums, rows, stage,
                                   dst, dst_stride);
  }
  HWY_DYNAMIC_DISPATCH(StageFloats)
  (sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

void SumsToCodes(const double* sums, int64_t sums_stride,
                 const double* row_sums, int64_t rows, const OutputStage& stage,
                 uint8_t* dst, int64_t dst_stride) {
  if (UseScalarReference()) {
    return reference::SumsToCodes(sums, sums_stride, row_sums, rows, stage, dst,
                                  dst_stride);
  }
  HWY_DYNAMIC_DISPATCH(WideCodes)
  (sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

void SumsToFloats(const double* sums, int64_t sums_stride,
                  const double* row_sums, int64_t rows,
                  const OutputStage& stage, float* dst, int64_t dst_stride) {
  if (UseScalarReference()) {
    return reference::SumsToFloats(sums, sums_stride, row_sums, rows, stage,
                                   dst, dst_stride);
  }
  HWY_DYNAMIC_DISPATCH(WideFloats)
  (sums, sums_stride, row_sums, rows, stage, dst, dst_stride);
}

}  // namespace kernels
}  // namespace caffe2_quantization
#endif  // HWY_ONCE
