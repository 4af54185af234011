#include "quantization/choose.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/return_if_error.h"
#include "base/text.h"
#include "quantization/choose_in_bins.h"
#include "quantization/choose_internal.h"
#include "quantization/choose_least_squares.h"
#include "quantization/kernels/histogram.h"
#include "quantization/kernels/min_max.h"
#include "quantization/percentile.h"

namespace caffe2_quantization {
namespace {

// The smallest power of two that is not below a positive value.
double NextPowerOfTwo(double value) {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);  // 0.5 <= fraction < 1
  return std::ldexp(1.0, fraction == 0.5 ? exponent - 1 : exponent);
}

// Nothing to go by is 0.1, and with DNNLOWP's smallest scale or none what has
// no reciprocal too; any other limit is above all those.
double InvertibleScale(double scale, const ChooseOptions& options) {
  if (scale > 0 && options.smallest_scale > 0 &&
      options.smallest_scale < kDnnlowpSmallestScale) {
    return scale;
  }
  return static_cast<float>(scale) == 0 ||
                 std::isinf(1 / static_cast<float>(scale))
             ? 0.1
             : scale;
}

double ScaleByOptions(double scale, const ChooseOptions& options) {
  if (!options.force_scale_power_of_two) {
    return std::max<double>(scale, options.smallest_scale);
  }
  scale = NextPowerOfTwo(scale);
  return options.smallest_scale > 0
             ? std::max(scale, NextPowerOfTwo(options.smallest_scale))
             : scale;
}

// Of the bins that hold the range's ends the outer edges: what is left out is
// left out rightly, and what is not is less than a bin. *coarse: not empty when
// that is much.
ChosenRange PercentileOfCounts(const BinCounts& bins, ValueRange extremes,
                               const ChooseOptions& options,
                               std::string* coarse) {
  const uint64_t left_out =
      LeftOutAtEitherEnd(TotalCount(bins.counts), options.percentile);
  const BinsOfRange found = BinsOfOrderStatistics(bins.counts, left_out);
  const auto size = static_cast<double>(bins.counts.size());
  const double width = (double{bins.max} - bins.min) / size;
  const auto edge = [&](std::size_t bin) {
    return ToFloat(bin == bins.counts.size()
                       ? double{bins.max}
                       : bins.min + width * static_cast<double>(bin));
  };
  ChosenRange range;
  range.min = std::clamp(edge(found.first), extremes.min, extremes.max);
  range.max = std::clamp(edge(found.last + 1), extremes.min, extremes.max);
  // By a sixteenth, half a decibel of noise, a range may be too wide.
  constexpr double kMostOfRange = 1.0 / 16;
  const double unknown =
      left_out == 0 ? 0
                    : (range.min < 0 ? width : 0) + (range.max > 0 ? width : 0);
  const double represented =
      std::max(double{range.max}, 0.0) - std::min(double{range.min}, 0.0);
  if (unknown > kMostOfRange * represented) {
    *coarse = MethodText(options) + " cannot be told from bins " +
              NineDigits(width) + " wide: the values within [" +
              NineDigits(range.min) + ", " + NineDigits(range.max) +
              "] may all lie in a smaller part of it; expected an array, or "
              "more bins";
  }
  return range;
}

}  // namespace

float Choice::RepresentedMin(QuantizedType type) const {
  return static_cast<float>(scale * (double{1} * type.qmin() - zero_point));
}

float Choice::RepresentedMax(QuantizedType type) const {
  return static_cast<float>(scale * (double{1} * type.qmax() - zero_point));
}

Status ChooseFromRange(float min, float max, const ChooseOptions& options,
                       Choice* choice) {
  RETURN_IF_ERROR(options.Validate());
  if (!std::isfinite(min) || !std::isfinite(max) || min > max) {
    return Status::InvalidArgument(
        "choosing parameters: the range is [" + NineDigits(min) + ", " +
        NineDigits(max) +
        "], expected two finite numbers, the smaller one first");
  }
  const QuantizedType codes = options.Codes();
  const double qmin = codes.qmin();
  const double qmax = codes.qmax();
  Choice result;
  result.min = min;
  result.max = max;

  // Around 0 one code more lies below than above.
  const bool symmetric = options.preserve_sparsity && min < 0 && max > 0;
  if (symmetric) {
    const int above = (codes.qmax() - codes.qmin()) / 2;
    const int below = above + 1;
    // Of one bit, both codes are 0 and below.
    const double step =
        above == 0
            ? -double{min}
            : std::max<double>(std::fabs(min / static_cast<float>(below)),
                               std::fabs(max / static_cast<float>(above)));
    min = ToFloat(-step * below);
    max = ToFloat(step * above);
  }
  min = std::min(min, 0.0f);
  max = std::max(max, 0.0f);

  const double exact_scale =
      InvertibleScale((double{max} - min) / (qmax - qmin), options);
  const double scale = static_cast<float>(ScaleByOptions(exact_scale, options));
  if (exact_scale < options.smallest_scale) {
    const float widening =
        static_cast<float>(scale) / static_cast<float>(exact_scale);
    if (min == 0) {
      max = static_cast<float>(scale * (qmax - qmin));
    } else if (max == 0) {
      min = static_cast<float>(-scale * (qmax - qmin));
    } else {
      min *= widening;
      max *= widening;
    }
  }

  // Of the two equations that 0 must satisfy, the one with the smaller terms.
  const double from_min = qmin - min / scale;
  const double from_max = qmax - max / scale;
  double zero_point = std::fabs(qmin) + std::fabs(min / scale) <
                              std::fabs(qmax) + std::fabs(max / scale)
                          ? from_min
                          : from_max;
  if (symmetric) zero_point = codes.is_signed ? 0 : (codes.qmax() + 1) / 2;
  result.scale = static_cast<float>(scale);
  result.zero_point = static_cast<int32_t>(
      std::nearbyint(std::min(std::max(zero_point, qmin), qmax)));
  *choice = result;
  return Status::Ok();
}

namespace {

// extremes: of the values, within the bins' edges.
Status ChooseFromBins(const BinCounts& counts, ValueRange extremes,
                      const ChooseOptions& options, Choice* choice) {
  RETURN_IF_ERROR(options.Validate());
  if (counts.counts.empty()) {
    return Status::InvalidArgument(
        "choosing parameters: there are no bins, expected at least one");
  }
  // Checks the range, and is the answer where nothing else can be.
  Choice whole;
  RETURN_IF_ERROR(ChooseFromRange(counts.min, counts.max, options, &whole));
  if (options.method == ChooseMethod::kMinMax) {
    *choice = whole;
    return Status::Ok();
  }
  if (options.method == ChooseMethod::kMse && counts.min < counts.max) {
    std::vector<double> edges;
    const auto n = static_cast<double>(counts.counts.size());
    for (std::size_t i = 0; i <= counts.counts.size(); ++i) {
      const double share = static_cast<double>(i) / n;
      edges.push_back(counts.min * (1 - share) + counts.max * share);
    }
    return ChooseLeastSquaresOfBins(edges, counts.counts, options, choice);
  }
  const Bins bins(counts);
  const bool has_bins =
      bins.total > 0 && bins.width > 0 && !std::isinf(bins.width);
  // Where the smallest scale represents everything, clipping gains nothing.
  const bool is_norm = options.method != ChooseMethod::kKl &&
                       options.method != ChooseMethod::kPercentile &&
                       options.method != ChooseMethod::kPercentileInBins;
  constexpr double kNone = std::numeric_limits<double>::min();
  const auto finest = static_cast<float>(ScaleByOptions(kNone, options));
  const bool is_fine = whole.scale <= finest;
  if (!has_bins || (is_norm && is_fine)) {
    *choice = whole;
    return Status::Ok();
  }
  ChosenRange range;
  std::string coarse;
  switch (options.method) {
    case ChooseMethod::kL2:
      range = MinimizeNorm(bins, ErrorNorm::kL2, options);
      break;
    case ChooseMethod::kL1:
      range = MinimizeNorm(bins, ErrorNorm::kL1, options);
      break;
    case ChooseMethod::kL2Approx:
      range = options.preserve_sparsity
                  ? MinimizeNorm(bins, ErrorNorm::kL2, options)
                  : DescendByQuantiles(bins, options);
      break;
    case ChooseMethod::kKl:
      range = MinimizeKl(bins, options);
      break;
    case ChooseMethod::kPercentile:
      range = PercentileOfCounts(counts, extremes, options, &coarse);
      break;
    case ChooseMethod::kPercentileInBins:
      PercentileOfCounts(counts, extremes, options, &coarse);
      range = PercentileInBins(bins, options.percentile);
      break;
    case ChooseMethod::kMse:  // of bins without width
    case ChooseMethod::kMinMax:
      break;
  }
  ChooseOptions final_options = options;
  if (options.method == ChooseMethod::kKl) {
    final_options.preserve_sparsity = false;
  }
  Choice result;
  RETURN_IF_ERROR(
      ChooseFromRange(range.min, range.max, final_options, &result));
  result.objective = range.objective;
  const double half_step = result.scale / 2.0;
  result.clipped_share =
      bins.ShareOutside(result.RepresentedMin(options.Codes()) - half_step,
                        result.RepresentedMax(options.Codes()) + half_step);
  WarnOfClipping(options, {counts.min, counts.max}, &result);
  if (!coarse.empty()) AddWarning(coarse, &result);
  *choice = std::move(result);
  return Status::Ok();
}

// Of finite values between the extremes.
Status ChoosePercentileOfArray(const float* values, std::size_t count,
                               ValueRange extremes,
                               const ChooseOptions& options, Choice* choice) {
  const uint64_t left_out = LeftOutAtEitherEnd(count, options.percentile);
  const ValueRange range =
      left_out == 0 ? extremes : OrderStatistics(values, count, left_out);
  Choice result;
  RETURN_IF_ERROR(ChooseFromRange(range.min, range.max, options, &result));
  if (left_out != 0) {
    const float half_step = result.scale / 2;
    const float low = result.RepresentedMin(options.Codes()) - half_step;
    const float high = result.RepresentedMax(options.Codes()) + half_step;
    // A loop that becomes vectors.
    std::size_t clipped = 0;
    for (std::size_t i = 0; i < count; ++i) {
      clipped +=
          static_cast<std::size_t>((values[i] < low) | (values[i] > high));
    }
    result.clipped_share = static_cast<double>(clipped) / count;
    WarnOfClipping(options, extremes, &result);
  }
  *choice = std::move(result);
  return Status::Ok();
}

}  // namespace

Status ChooseFromCounts(const BinCounts& counts, const ChooseOptions& options,
                        Choice* choice) {
  return ChooseFromBins(counts, {counts.min, counts.max}, options, choice);
}

Status ChooseFromArray(const float* values, std::size_t count,
                       const ChooseOptions& options, Choice* choice) {
  if (count == 0) return ChooseFromRange(0, 0, options, choice);
  const auto extremes = kernels::MinMax(values, count);
  if (extremes.left_out() != 0) {
    return Status::InvalidArgument(
        "choosing parameters: " + std::to_string(extremes.nan_count) +
        " NaN and " + std::to_string(extremes.infinity_count()) +
        " infinite of " + std::to_string(count) +
        " values, expected finite values");
  }
  if (options.method == ChooseMethod::kMinMax) {
    return ChooseFromRange(extremes.min, extremes.max, options, choice);
  }
  RETURN_IF_ERROR(options.Validate());
  if (options.method == ChooseMethod::kPercentile) {
    return ChoosePercentileOfArray(values, count, {extremes.min, extremes.max},
                                   options, choice);
  }
  if (options.method == ChooseMethod::kMse) {
    return ChooseLeastSquaresOfArray(
        values, count, {extremes.min, extremes.max}, options, choice);
  }
  BinCounts bins;
  bins.min = extremes.min;
  bins.max = extremes.max;
  bins.counts.resize(std::clamp<std::size_t>(
      std::size_t{1} << (options.Codes().precision + 3), 2048, kMostBins));
  kernels::CountUniformBins(values, count, bins.min, bins.max,
                            bins.counts.size(), bins.counts.data());
  return ChooseFromCounts(bins, options, choice);
}

Status ChooseFromHistogram(const Histogram& histogram, float min, float max,
                           const ChooseOptions& options, Choice* choice) {
  if (histogram.empty() || options.method == ChooseMethod::kMinMax) {
    return ChooseFromRange(min, max, options, choice);
  }
  if (options.method == ChooseMethod::kMse) {
    if (!(min < max)) return ChooseFromRange(min, max, options, choice);
    // The extremes cut the outermost bins, which keep a width.
    RETURN_IF_ERROR(options.Validate());
    const double width = histogram.bin_width();
    std::vector<double> edges;
    for (std::size_t i = 0; i <= histogram.counts().size(); ++i) {
      edges.push_back(histogram.lower_edge() + width * static_cast<double>(i));
    }
    constexpr double kLeastPart = 0x1p-20;
    edges.front() =
        std::clamp<double>(min, edges.front(), edges[1] - kLeastPart * width);
    const double before_last = edges[edges.size() - 2];
    edges.back() =
        std::clamp<double>(max, before_last + kLeastPart * width, edges.back());
    return ChooseLeastSquaresOfBins(edges, histogram.counts(), options, choice);
  }
  Choice whole;  // checks the range
  RETURN_IF_ERROR(ChooseFromRange(min, max, options, &whole));
  BinCounts bins;
  bins.min = ToFloat(histogram.lower_edge());
  bins.max = ToFloat(histogram.upper_edge());
  bins.counts = histogram.counts();
  return ChooseFromBins(bins, {min, max}, options, choice);
}

}  // namespace caffe2_quantization
