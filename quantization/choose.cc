#include "quantization/choose.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "quantization/kernels/histogram.h"
#include "quantization/kernels/min_max.h"
#include "quantization/kl_minimization.h"
#include "quantization/least_squares.h"
#include "quantization/norm_minimization.h"
#include "quantization/number_text.h"
#include "quantization/percentile.h"

namespace caffe2_quantization {
namespace {

struct MethodNames {
  ChooseMethod method;
  const char* name;
  const char* dnnlowp;  // null: DNNLOWP has none
};

constexpr MethodNames kMethodNames[] = {
    {ChooseMethod::kMinMax, "MIN_MAX", "MIN_MAX_QUANTIZATION"},
    {ChooseMethod::kL2, "L2", "L2_MIN_QUANTIZATION"},
    {ChooseMethod::kL2Approx, "L2_APPROX", "L2_MIN_QUANTIZATION_APPROX"},
    {ChooseMethod::kL1, "L1", "L1_MIN_QUANTIZATION"},
    {ChooseMethod::kKl, "KL", "KL_MIN_QUANTIZATION"},
    {ChooseMethod::kPercentile, "P99", "P99_QUANTIZATION"},
    {ChooseMethod::kPercentileInBins, "P99_DNNLOWP", nullptr},
    {ChooseMethod::kMse, "MSE", nullptr},
};

std::string Upper(std::string text) {
  for (char& each : text) {
    if (each >= 'a' && each <= 'z') each = static_cast<char>(each - 'a' + 'A');
  }
  return text;
}

float ToFloat(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::min(std::max(value, -kLargest), kLargest));
}

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

// Bins around which the searches work, as DNNLOWP lays them out, in float.
struct Bins {
  explicit Bins(const BinCounts& given) : counts(given.counts) {
    min = given.min;
    max = given.max;
    const std::size_t merged = (counts.size() + kMostBins - 1) / kMostBins;
    if (merged > 1) {
      const float given_width = (max - min) / counts.size();
      std::vector<uint64_t> wide((counts.size() + merged - 1) / merged);
      for (std::size_t i = 0; i < counts.size(); ++i) {
        wide[i / merged] += counts[i];
      }
      counts = std::move(wide);
      max = min + given_width * static_cast<float>(merged * counts.size());
    }
    width = (max - min) / counts.size();
    for (const uint64_t count : counts) total += static_cast<double>(count);
  }

  double ShareOutside(double low, double high) const {
    double inside = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const double from = min + double{width} * i;
      const double part = std::min(from + width, high) - std::max(from, low);
      inside += counts[i] * std::clamp(part / width, 0.0, 1.0);
    }
    return std::max(0.0, 1 - inside / total);
  }

  std::vector<uint64_t> counts;
  float min = 0;
  float max = 0;
  float width = 0;
  double total = 0;
};

struct ChosenRange {
  float min = 0;
  float max = 0;
  double objective = 0;
};

int Levels(const ChooseOptions& options) {
  return 1 << options.Codes().precision;
}

// Empty bins from the bins that counted anything to 0, as DNNLOWP adds them.
// Only their number: the searches need few of them.
struct Padding {
  explicit Padding(const Bins& bins) {
    min = bins.min;
    float max = bins.max;
    if (min > 0) {
      below = Whole(std::ceil(min / bins.width));
      min -= static_cast<float>(below) * bins.width;
    } else if (max < 0) {
      above = Whole(std::ceil(-max / bins.width));
      max += static_cast<float>(above) * bins.width;
    }
    width = (max - min) / static_cast<float>(num_bins(bins));
  }
  int64_t num_bins(const Bins& bins) const {
    return below + static_cast<int64_t>(bins.counts.size()) + above;
  }
  static int64_t Whole(float value) {
    constexpr float kMost = 1e9f;
    return static_cast<int64_t>(std::min(value, kMost));
  }

  int64_t below = 0;
  int64_t above = 0;
  float min = 0;
  float width = 0;
};

// With preserve_sparsity: for each number of bins from `first` to `last` the
// range around zero_bin.
std::vector<BinRange> RangesAround(int64_t zero_bin, int64_t first,
                                   int64_t last) {
  std::vector<BinRange> ranges;
  for (int64_t n = first; n <= last; ++n) {
    ranges.push_back({zero_bin - n / 2, n});
  }
  return ranges;
}

// The same of values on one side of 0, which lies `below` bins below bin 0 or
// `above` bins above the last: the ranges from 0 on.
std::vector<BinRange> RangesFromZero(bool is_positive, int64_t num_bins,
                                     int64_t below, int64_t above) {
  std::vector<BinRange> ranges;
  for (int64_t n = 1; n <= num_bins; ++n) {
    ranges.push_back(is_positive ? BinRange{-below, below + n}
                                 : BinRange{num_bins - n, n + above});
  }
  return ranges;
}

ChosenRange MinimizeNorm(const Bins& bins, ErrorNorm norm,
                         const ChooseOptions& options) {
  const Padding padding(bins);
  // A range of which more than half lies beyond all values is never the best:
  // no more padding than bins is searched.
  const auto most = static_cast<int64_t>(bins.counts.size());
  const int64_t below = std::min(padding.below, most);
  const int64_t above = std::min(padding.above, most);
  std::vector<uint64_t> counts(below);
  counts.insert(counts.end(), bins.counts.begin(), bins.counts.end());
  counts.resize(counts.size() + above);
  const int64_t skipped = padding.below - below;

  const int levels = Levels(options);
  const auto num_bins = static_cast<int64_t>(counts.size());
  const auto error = [&](BinRange range) {
    return RangeError(counts, norm, levels, static_cast<double>(range.start),
                      static_cast<double>(range.size));
  };
  BinRange best;
  if (!options.preserve_sparsity) {
    best = MinimizeError(counts, norm, levels);
  } else if (bins.min >= 0 || bins.max <= 0) {
    best = MinimizeError(counts, norm, levels,
                         RangesFromZero(bins.min >= 0, num_bins, skipped,
                                        padding.above - above));
  } else {
    const auto zero_bin =
        static_cast<int64_t>(std::round(-padding.min / padding.width));
    best = MinimizeError(counts, norm, levels,
                         RangesAround(zero_bin, 1, num_bins));
    // DNNLOWP ends here. Wider ones reach the value that is farthest from 0.
    const int64_t widest = 2 * std::max(zero_bin, num_bins - zero_bin) + 1;
    if (widest > num_bins) {
      constexpr double kWorthwhile = 0.99;
      const BinRange wider = MinimizeError(
          counts, norm, levels, RangesAround(zero_bin, num_bins + 1, widest));
      if (error(wider) < kWorthwhile * error(best)) best = wider;
    }
  }
  ChosenRange range;
  const double unit = norm == ErrorNorm::kL2
                          ? double{padding.width} * padding.width
                          : double{padding.width};
  range.objective = unit * error(best);
  const int64_t start = best.start + skipped;
  range.max =
      padding.min + padding.width * static_cast<float>(start + best.size);
  range.min = padding.min + padding.width * static_cast<float>(start);
  if (options.preserve_sparsity && bins.min >= 0) range.min = 0;
  if (options.preserve_sparsity && bins.max <= 0) range.max = 0;
  return range;
}

ChosenRange MinimizeKl(const Bins& bins, const ChooseOptions& options) {
  BinRange best;
  if (!options.preserve_sparsity) {
    best = MinimizeDivergence(bins.counts, Levels(options));
  } else {
    const auto num_bins = static_cast<int64_t>(bins.counts.size());
    const auto zero_bin =
        static_cast<int64_t>(std::round(double{-bins.min} / bins.width));
    best =
        MinimizeDivergence(bins.counts, Levels(options),
                           bins.min >= 0 ? RangesFromZero(true, num_bins, 0, 0)
                                         : RangesAround(zero_bin, 1, num_bins));
  }
  ChosenRange range;
  range.objective = RangeDivergence(bins.counts, Levels(options), best);
  // The ends are the middles of bins: DNNLOWP's rule.
  const double width = bins.width;
  range.min = static_cast<float>(
      bins.min + width * (static_cast<double>(best.start) + 0.5));
  range.max = static_cast<float>(
      bins.min + width * (static_cast<double>(best.start + best.size) + 0.5));
  return range;
}

// The descent of DNNLOWP: in steps of 1e-5 of all values, of the two ends the
// one that moves over more bins is moved, until the error grows. The order and
// width of its additions are kept, as near-equal errors decide where it stops.
class Descent {
 public:
  Descent(const Bins& bins, const ChooseOptions& options)
      : bins_(bins), padding_(bins), levels_(Levels(options)) {
    uint64_t sum = 0;
    for (const uint64_t count : bins.counts) {
      sum += static_cast<uint64_t>(static_cast<float>(count));
      below_.push_back(sum);
    }
  }

  ChosenRange Run() {
    const int64_t num_bins = padding_.num_bins(bins_);
    const auto first_counted = padding_.below;
    const int64_t last_counted =
        padding_.below + static_cast<int64_t>(bins_.counts.size()) - 1;
    const auto total = below_.back();
    constexpr double kStep = 0.00001;
    double alpha = 0;
    double beta = 1;
    int64_t start = 0;
    int64_t end = num_bins - 1;
    double least = std::numeric_limits<double>::max();
    while (alpha < beta) {
      const double next_alpha = alpha + kStep;
      const double next_beta = beta - kStep;
      int64_t i = start;
      int64_t j = end;
      // Over padding in one step.
      if (i < first_counted) i = std::min(first_counted, end);
      if (j > last_counted) j = std::max(last_counted, start);
      while (i < end && Below(i) < next_alpha * total) ++i;
      while (j > start && Below(j) > next_beta * total) --j;
      int64_t next_start = start;
      int64_t next_end = end;
      if (i - start > end - j) {
        next_start = i;
        alpha = next_alpha;
      } else {
        next_end = j;
        beta = next_beta;
      }
      if (next_start == start && next_end == end) continue;
      const double error = Error(next_start, next_end);
      if (error > least) break;
      least = error;
      start = next_start;
      end = next_end;
    }
    ChosenRange range;
    range.max = padding_.min + padding_.width * static_cast<float>(end + 1);
    range.min = padding_.min + padding_.width * static_cast<float>(start);
    range.objective = double{padding_.width} * padding_.width *
                      RangeError(bins_.counts, ErrorNorm::kL2, levels_,
                                 static_cast<double>(start - padding_.below),
                                 static_cast<double>(end + 1 - start));
    return range;
  }

 private:
  double Below(int64_t bin) const {
    const int64_t i = bin - padding_.below;
    if (i < 0) return 0;
    const auto n = static_cast<int64_t>(below_.size());
    return static_cast<double>(below_[std::min(i, n - 1)]);
  }

  static float Integral(float from, float to, float density) {
    const float norm = (to * to * to - from * from * from) / 3;
    return density * norm;
  }

  double Error(int64_t start, int64_t end) const {
    const float width = padding_.width;
    const double cell =
        static_cast<double>(width * static_cast<float>(end - start + 1)) /
        levels_;
    const double last_cell = levels_ - 1.0;
    double sum = 0;
    for (std::size_t b = 0; b < bins_.counts.size(); ++b) {
      if (bins_.counts[b] == 0) continue;
      const double begin = static_cast<double>(
          static_cast<float>(static_cast<int64_t>(b) + padding_.below - start) *
          width);
      const double stop = begin + width;
      const int cell_begin = static_cast<int>(
          std::min(last_cell, std::max(0.0, std::floor(begin / cell))));
      const int cell_end = static_cast<int>(
          std::min(last_cell, std::max(0.0, std::floor(stop / cell))));
      const double centre = cell_begin * cell + cell / 2;
      const float density = static_cast<float>(bins_.counts[b]) / width;
      const auto from = static_cast<float>(begin - centre);
      const auto half = static_cast<float>(cell / 2);
      if (cell_begin == cell_end) {
        sum += Integral(from, static_cast<float>(stop - centre), density);
        continue;
      }
      sum += Integral(from, half, density);
      sum += static_cast<float>(cell_end - cell_begin - 1) *
             Integral(static_cast<float>(-cell / 2), half, density);
      const double end_centre = cell_end * cell + cell / 2;
      sum += Integral(static_cast<float>(-cell / 2),
                      static_cast<float>(stop - end_centre), density);
    }
    return sum;
  }

  const Bins& bins_;
  const Padding padding_;
  const int levels_;
  std::vector<uint64_t> below_;  // values up to and in each bin
};

// Leaves out as many values at either end as whole bins can, up to half of
// what need not be represented.
ChosenRange PercentileInBins(const Bins& bins, double percentile) {
  const Padding padding(bins);
  // In float, as DNNLOWP computes them.
  const double left = (1.0f - static_cast<float>(percentile)) / 2.0f;
  const double right = static_cast<float>(1.0f - static_cast<float>(left));
  std::vector<double> share(bins.counts.size());  // up to and in each bin
  double sum = 0;
  for (std::size_t b = 0; b < share.size(); ++b) {
    sum += static_cast<float>(bins.counts[b]);
    share[b] = sum / bins.total;
  }
  // The padding below is left out whole, that above counts as the last bin.
  const auto begin =
      std::lower_bound(share.begin(), share.end(), left) - share.begin();
  auto end =
      std::upper_bound(share.begin(), share.end(), right) - share.begin() - 1;
  if (end + 1 == static_cast<int64_t>(share.size())) {
    end = share.size() - 2 + padding.above;
  }
  ChosenRange range;
  range.min =
      static_cast<float>(padding.below + begin) * padding.width + padding.min;
  range.max =
      static_cast<float>(padding.below + end + 2) * padding.width + padding.min;
  return range;
}

void AddWarning(const std::string& text, Choice* choice) {
  if (!choice->warning.empty()) choice->warning += "; ";
  choice->warning += text;
}

std::string MethodText(const ChooseOptions& options) {
  const std::string percent = "P" + NineDigits(100 * options.percentile);
  switch (options.method) {
    case ChooseMethod::kPercentile:
      return percent;
    case ChooseMethod::kPercentileInBins:
      return percent + "_DNNLOWP";
    default:
      return Name(options.method);
  }
}

// extremes: of the values, as far as they are known.
void WarnOfClipping(const ChooseOptions& options, ValueRange extremes,
                    Choice* choice) {
  if (choice->clipped_share <= options.clipped_share_limit) return;
  AddWarning(MethodText(options) + " clips " +
                 NineDigits(100 * choice->clipped_share) +
                 " % of the values, more than " +
                 NineDigits(100 * options.clipped_share_limit) + " %: [" +
                 NineDigits(choice->min) + ", " + NineDigits(choice->max) +
                 "] of [" + NineDigits(extremes.min) + ", " +
                 NineDigits(extremes.max) + "]",
             choice);
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

// Values by sign; bin i lies between edges[i] and edges[i + 1].
TwoSides SidesOfBins(const std::vector<double>& edges,
                     const std::vector<uint64_t>& counts) {
  std::vector<double> knots[2];
  std::vector<double> densities[2];
  const auto add = [&](int side, double from, double to, double density) {
    if (!(from < to)) return;
    if (knots[side].empty()) knots[side].push_back(from);
    knots[side].push_back(to);
    densities[side].push_back(density);
  };
  const auto density = [&](std::size_t i) {
    return static_cast<double>(counts[i]) / (edges[i + 1] - edges[i]);
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    add(0, std::max(edges[i], 0.0), edges[i + 1], density(i));
  }
  for (std::size_t i = counts.size(); i-- > 0;) {
    add(1, std::max(-edges[i + 1], 0.0), -edges[i], density(i));
  }
  return {OneSide(std::move(knots[0]), std::move(densities[0])),
          OneSide(std::move(knots[1]), std::move(densities[1]))};
}

TwoSides SidesOfValues(const float* values, std::size_t count) {
  std::vector<float> sides[2];
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i] != 0) sides[values[i] < 0].push_back(std::fabs(values[i]));
  }
  return {OneSide(std::move(sides[0])), OneSide(std::move(sides[1]))};
}

// kMse. Of `count` values between min and max, which are in order and finite.
Status ChooseLeastSquares(const TwoSides& values, double count, float min,
                          float max, const ChooseOptions& options,
                          Choice* choice) {
  // Its zero point is the symmetric one, and its error is not exceeded.
  Choice whole;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ChooseFromRange(min, max, options, &whole));
  if (values.squares() == 0 || std::isinf(values.squares())) {
    *choice = whole;
    return Status::Ok();
  }
  const QuantizedType codes = options.Codes();
  LeastSquaresOptions search;
  search.levels = Levels(options);
  search.least_below = search.most_below = whole.zero_point - codes.qmin();
  if (!options.preserve_sparsity && codes.precision <= 8) {
    search.least_below = 0;
    search.most_below = search.levels - 1;
  }
  search.smallest_scale =
      std::max(options.smallest_scale, std::numeric_limits<float>::min());
  search.power_of_two = options.force_scale_power_of_two;
  search.first_scale = whole.scale;
  if (codes.precision > 8) {
    search.most_evaluated = std::max(64, (1 << 22) / search.levels);
  }
  const LeastSquares found = MinimizeSquaredError(values, search);
  Choice result = whole;
  result.scale = ToFloat(found.scale);
  result.zero_point = found.below + codes.qmin();
  const auto error = [&](const Choice& each) {
    return SquaredErrorOf(values, search.levels, each.scale,
                          each.zero_point - codes.qmin());
  };
  result.objective = error(result);
  whole.objective = error(whole);
  if (!(result.objective < whole.objective) ||
      std::isinf(result.RepresentedMin(codes)) ||
      std::isinf(result.RepresentedMax(codes))) {
    result = whole;
  }
  result.min = result.RepresentedMin(codes);
  result.max = result.RepresentedMax(codes);
  const double half_step = result.scale / 2.0;
  result.clipped_share = (values.above.CountBeyond(result.max + half_step) +
                          values.below.CountBeyond(half_step - result.min)) /
                         count;
  WarnOfClipping(options, {min, max}, &result);
  *choice = std::move(result);
  return Status::Ok();
}

Status ChooseFromEdges(const std::vector<double>& edges,
                       const std::vector<uint64_t>& counts,
                       const ChooseOptions& options, Choice* choice) {
  double total = 0;
  for (const uint64_t count : counts) total += static_cast<double>(count);
  return ChooseLeastSquares(SidesOfBins(edges, counts), total,
                            ToFloat(edges.front()), ToFloat(edges.back()),
                            options, choice);
}

}  // namespace

std::string Name(ChooseMethod method) {
  for (const auto& each : kMethodNames) {
    if (each.method == method) return each.name;
  }
  return "?";
}

Status ChooseMethodFromName(const std::string& name, ChooseMethod* method,
                            double* percentile) {
  const std::string upper = Upper(name);
  for (const auto& each : kMethodNames) {
    if (upper == each.name ||
        (each.dnnlowp != nullptr && upper == each.dnnlowp)) {
      *method = each.method;
      return Status::Ok();
    }
  }
  const std::string suffix = "_DNNLOWP";
  const std::size_t digits_end = upper.find('_');
  if (upper[0] == 'P' && digits_end != 1 &&
      (digits_end == std::string::npos || upper.substr(digits_end) == suffix) &&
      upper.find_first_not_of("0123456789.", 1) == digits_end) {
    char* end = nullptr;
    const double percent = std::strtod(upper.c_str() + 1, &end);
    if ((*end == '\0' || *end == '_') && percent > 0 && percent <= 100) {
      *method = *end == '\0' ? ChooseMethod::kPercentile
                             : ChooseMethod::kPercentileInBins;
      if (percentile != nullptr) *percentile = percent / 100;
      return Status::Ok();
    }
  }
  return Status::InvalidArgument(
      "quantization method '" + name +
      "' is unknown, expected MIN_MAX, L2, L2_APPROX, L1, KL, MSE, or P and a "
      "percentage, such as P99.9");
}

void ChooseLikeDnnlowp(ChooseOptions* options) {
  options->smallest_scale = kDnnlowpSmallestScale;
  if (options->method == ChooseMethod::kPercentile) {
    options->method = ChooseMethod::kPercentileInBins;
  }
}

Status ChooseOptions::Validate() const {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(type.Validate());
  if (type.precision == 32) {
    return Status::InvalidArgument(
        "choosing parameters: precision is 32, expected 1 to 16 bits");
  }
  if (reduced_range && type.precision == 1) {
    return Status::InvalidArgument(
        "choosing parameters: reduced_range leaves no bit of precision 1");
  }
  if (!(percentile > 0 && percentile <= 1)) {
    return Status::InvalidArgument("choosing parameters: percentile is " +
                                   NineDigits(percentile) +
                                   ", expected a share above 0 and up to 1");
  }
  if (!(smallest_scale >= 0) || std::isinf(smallest_scale)) {
    return Status::InvalidArgument("choosing parameters: smallest_scale is " +
                                   NineDigits(smallest_scale) +
                                   ", expected 0 or a positive number");
  }
  if (!(clipped_share_limit >= 0 && clipped_share_limit <= 1)) {
    return Status::InvalidArgument(
        "choosing parameters: clipped_share_limit is " +
        NineDigits(clipped_share_limit) + ", expected a share, 0 to 1");
  }
  return Status::Ok();
}

float Choice::RepresentedMin(QuantizedType type) const {
  return static_cast<float>(scale * (double{1} * type.qmin() - zero_point));
}

float Choice::RepresentedMax(QuantizedType type) const {
  return static_cast<float>(scale * (double{1} * type.qmax() - zero_point));
}

Status ChooseFromRange(float min, float max, const ChooseOptions& options,
                       Choice* choice) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(options.Validate());
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
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(options.Validate());
  if (counts.counts.empty()) {
    return Status::InvalidArgument(
        "choosing parameters: there are no bins, expected at least one");
  }
  // Checks the range, and is the answer where nothing else can be.
  Choice whole;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ChooseFromRange(counts.min, counts.max, options, &whole));
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
    return ChooseFromEdges(edges, counts.counts, options, choice);
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
                  : Descent(bins, options).Run();
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
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
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
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ChooseFromRange(range.min, range.max, options, &result));
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
        " NaN and " +
        std::to_string(extremes.positive_infinity_count +
                       extremes.negative_infinity_count) +
        " infinite of " + std::to_string(count) +
        " values, expected finite values");
  }
  if (options.method == ChooseMethod::kMinMax) {
    return ChooseFromRange(extremes.min, extremes.max, options, choice);
  }
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(options.Validate());
  if (options.method == ChooseMethod::kPercentile) {
    return ChoosePercentileOfArray(values, count, {extremes.min, extremes.max},
                                   options, choice);
  }
  if (options.method == ChooseMethod::kMse) {
    return ChooseLeastSquares(SidesOfValues(values, count),
                              static_cast<double>(count), extremes.min,
                              extremes.max, options, choice);
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
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(options.Validate());
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
    return ChooseFromEdges(edges, histogram.counts(), options, choice);
  }
  Choice whole;  // checks the range
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ChooseFromRange(min, max, options, &whole));
  BinCounts bins;
  bins.min = ToFloat(histogram.lower_edge());
  bins.max = ToFloat(histogram.upper_edge());
  bins.counts = histogram.counts();
  return ChooseFromBins(bins, {min, max}, options, choice);
}

}  // namespace caffe2_quantization
