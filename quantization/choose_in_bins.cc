#include "quantization/choose_in_bins.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "quantization/choose_internal.h"
#include "quantization/kl_minimization.h"

namespace caffe2_quantization {
namespace {

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

  // In the unit that a power of two makes of a bin's width: the same bits, but
  // for products that would leave a float's exponents, as DNNLOWP's do.
  double Error(int64_t start, int64_t end) const {
    int exponent = 0;
    const float width = std::frexp(padding_.width, &exponent);
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

}  // namespace

Bins::Bins(const BinCounts& given) : counts(given.counts) {
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

double Bins::ShareOutside(double low, double high) const {
  double inside = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double from = min + double{width} * i;
    const double part = std::min(from + width, high) - std::max(from, low);
    inside += counts[i] * std::clamp(part / width, 0.0, 1.0);
  }
  return std::max(0.0, 1 - inside / total);
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

ChosenRange DescendByQuantiles(const Bins& bins, const ChooseOptions& options) {
  return Descent(bins, options).Run();
}

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

}  // namespace caffe2_quantization
