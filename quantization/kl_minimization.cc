#include "quantization/kl_minimization.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quantization/kernels/range_error.h"

namespace caffe2_quantization {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double XLogX(double x) { return x > 0 ? x * std::log(x) : 0; }

// left and right: the values outside the range.
double Divergence(const std::vector<uint64_t>& counts, int levels,
                  BinRange range, uint64_t left, uint64_t right, double total) {
  const auto num_bins = static_cast<int64_t>(counts.size());
  const int64_t end = range.start + range.size;
  // Where the values from outside go.
  const int64_t first = std::max<int64_t>(range.start, 0);
  const int64_t last = std::min(end - 1, num_bins - 1);
  double sum = 0;
  for (int k = 0; k < levels; ++k) {
    const double size = static_cast<double>(range.size);
    const double from = static_cast<double>(range.start) + k * size / levels;
    const double to =
        static_cast<double>(range.start) + (k + 1) * size / levels;
    // Towards 0, as DNNLOWP's, which matters where a range begins below bin 0.
    const auto begin = static_cast<int64_t>(from);
    const auto cell_end = static_cast<int64_t>(std::ceil(to));
    const auto fraction = [&](int64_t b) {
      if (b == begin && b == cell_end - 1) return to - from;
      if (b == begin) return static_cast<double>(begin + 1) - from;
      if (b == cell_end - 1) return to - static_cast<double>(cell_end - 1);
      return 1.0;
    };
    const auto with_added = [&](int64_t b) {
      return counts[b] + (b == first ? left : 0) + (b == last ? right : 0);
    };
    const int64_t b_first = std::max<int64_t>(begin, 0);
    const int64_t b_end = std::min(cell_end, num_bins);
    if (b_end - b_first == 1 && with_added(b_first) == 0) continue;
    double expected = 0;
    double length = 0;
    for (int64_t b = b_first; b < b_end; ++b) {
      const double f = fraction(b);
      const double inside = static_cast<double>(counts[b]) * f;
      expected += inside;
      if (inside + static_cast<double>(with_added(b) - counts[b]) > 0) {
        length += f;
      }
    }
    for (int64_t b = b_first; b < b_end; ++b) {
      const double f = fraction(b);
      const double whole = std::floor(static_cast<double>(with_added(b)) * f);
      if (whole <= 0) continue;
      const double p = whole / total;
      const double q = expected * f / length / total;
      sum += p * std::log(p / q);
    }
  }
  return sum;
}

// The best so far, and the ranges that a double may have ranked wrongly.
class Shortlist {
 public:
  Shortlist(const std::vector<uint64_t>& counts, int levels, double noise)
      : counts_(counts), levels_(levels), noise_(noise) {}

  double limit() const { return best_ + noise_; }

  // is_exact: to the bit what RangeDivergence gives.
  void Consider(BinRange range, double divergence, bool is_exact) {
    if (!(divergence <= limit())) return;
    best_ = std::min(best_, divergence);
    entries_.push_back({range, divergence, is_exact});
  }

  BinRange Best() const {
    BinRange best{0, levels_};
    double least = std::numeric_limits<double>::max();
    for (const auto& [range, divergence, is_exact] : entries_) {
      if (divergence > limit()) continue;
      const double exact =
          is_exact ? divergence : RangeDivergence(counts_, levels_, range);
      if (exact < least || (exact == least && (range.size < best.size ||
                                               (range.size == best.size &&
                                                range.start < best.start)))) {
        least = exact;
        best = range;
      }
    }
    return best;
  }

 private:
  const std::vector<uint64_t>& counts_;
  const int levels_;
  const double noise_;
  double best_ = kInfinity;
  struct Entry {
    BinRange range;
    double divergence;
    bool is_exact;
  };
  std::vector<Entry> entries_;
};

class Search {
 public:
  Search(const std::vector<uint64_t>& counts, int levels)
      : num_bins_(static_cast<int64_t>(counts.size())),
        levels_(levels),
        counts_(counts.begin(), counts.end()),
        counts_before_(counts.size() + 1),
        nonzero_(counts.size() + 1),
        nonzero_before_(counts.size() + 1),
        entropy_before_(counts.size() + 1),
        exact_counts_(counts),
        exact_before_(counts.size() + 1) {
    counts_.push_back(0);
    for (int64_t b = 0; b < num_bins_; ++b) {
      exact_before_[b + 1] = exact_before_[b] + counts[b];
      nonzero_[b] = counts_[b] > 0 ? 1 : 0;
      counts_before_[b + 1] = counts_before_[b] + counts_[b];
      nonzero_before_[b + 1] = nonzero_before_[b] + nonzero_[b];
      entropy_before_[b + 1] = entropy_before_[b] + XLogX(counts_[b]);
    }
  }

  BinRange Best() {
    // Rounding errors of the sums, with room to spare.
    Shortlist shortlist(
        exact_counts_, levels_,
        1e-11 * (entropy_before_.back() + counts_before_.back() * 10));
    // A few of all sizes first, so that most others need not be finished.
    for (int64_t size = num_bins_;
         size >= std::min<int64_t>(levels_, num_bins_); size -= 64) {
      ConsiderAllOfSize(size, 16, &shortlist);
    }
    for (int64_t size = num_bins_; size > 0; --size) {
      ConsiderAllOfSize(size, 1, &shortlist);
    }
    return shortlist.Best();
  }

 private:
  void ConsiderAllOfSize(int64_t size, int64_t stride, Shortlist* shortlist) {
    const double total = counts_before_.back();
    double limit = shortlist->limit() * total;
    if (size < levels_) {
      for (int64_t start = 0; start + size <= num_bins_; start += stride) {
        if (LowerBoundOfNarrow(start, size) > limit) continue;
        const BinRange range{start, size};
        const double divergence = Divergence(
            exact_counts_, levels_, range, exact_before_[start],
            exact_before_.back() - exact_before_[start + size], total);
        shortlist->Consider(range, divergence, true);
        limit = shortlist->limit() * total;
      }
      return;
    }
    offsets_.resize(levels_ + 1);
    fractions_.resize(levels_ + 1);
    cut_.resize(levels_ + 1);
    for (int k = 0; k <= levels_; ++k) {
      const int64_t at = k * size;
      offsets_[k] = static_cast<int32_t>(at / levels_);
      fractions_[k] = static_cast<double>(at % levels_) / levels_;
      cut_[k] = CutBins(static_cast<int>(at % levels_));
    }
    const kernels::KlBins bins{counts_.data(), counts_before_.data(),
                               nonzero_.data(), nonzero_before_.data(),
                               entropy_before_.data()};
    const auto number = static_cast<std::size_t>(num_bins_ - size + 1);
    // Parts, so that what one finds ends the next ones early.
    constexpr std::size_t kPart = 64;
    divergences_.resize(kPart);
    for (std::size_t first = 0; first < number; first += kPart * stride) {
      const std::size_t part = std::min(kPart, number - first);
      kernels::KlOfRanges(bins, num_bins_,
                          {offsets_.data(), fractions_.data(), offsets_.size()},
                          cut_.data(), size, first, part, limit,
                          divergences_.data());
      for (std::size_t j = 0; j < part; ++j) {
        shortlist->Consider({static_cast<int64_t>(first + j), size},
                            divergences_[j] / total, false);
      }
      limit = shortlist->limit() * total;
    }
  }

  // What each bin adds when numerator / levels of it are cut off, beyond what
  // it adds when it is whole.
  const double* CutBins(int numerator) {
    if (tables_.empty()) tables_.resize(levels_);
    std::vector<double>& table = tables_[numerator];
    if (table.empty()) {
      table.resize(num_bins_ + 1);
      const double fraction = static_cast<double>(numerator) / levels_;
      for (int64_t b = 0; b < num_bins_; ++b) {
        const double m = counts_[b];
        const double below = std::floor(m * fraction);
        const double above = std::floor(m * (1 - fraction));
        double sum = -XLogX(m);
        if (below > 0) sum += below * std::log(below / fraction);
        if (above > 0) sum += above * std::log(above / (1 - fraction));
        table[b] = sum;
      }
    }
    return table.data();
  }

  // Of ranges smaller than levels: what the cells that lie wholly in the first
  // bin and in the last one add, less what cuts may take away.
  double LowerBoundOfNarrow(int64_t start, int64_t size) const {
    const double width = static_cast<double>(size) / levels_;
    const double cells = std::floor(1 / width);
    const double left = counts_before_[start];
    const double right = counts_before_.back() - counts_before_[start + size];
    double bound = -static_cast<double>(levels_ + size);
    if (size == 1) {
      bound += levels_ * Cell(counts_[start], left + right, width);
    } else {
      bound += cells * Cell(counts_[start], left, width);
      bound += cells * Cell(counts_[start + size - 1], right, width);
    }
    return bound;
  }

  static double Cell(double inside, double added, double width) {
    const double p = std::floor((inside + added) * width);
    if (p == 0) return 0;
    return inside == 0 ? kInfinity : p * std::log(p / (inside * width));
  }

  const int64_t num_bins_;
  const int levels_;
  // As kernels::KlBins says.
  std::vector<double> counts_;
  std::vector<double> counts_before_;
  std::vector<double> nonzero_;
  std::vector<double> nonzero_before_;
  std::vector<double> entropy_before_;
  const std::vector<uint64_t>& exact_counts_;
  std::vector<uint64_t> exact_before_;
  std::vector<std::vector<double>> tables_;
  // Of one size.
  std::vector<int32_t> offsets_;
  std::vector<double> fractions_;
  std::vector<const double*> cut_;
  std::vector<double> divergences_;
};

}  // namespace

double RangeDivergence(const std::vector<uint64_t>& counts, int levels,
                       BinRange range) {
  double total = 0;
  uint64_t left = 0;
  uint64_t right = 0;
  for (std::size_t b = 0; b < counts.size(); ++b) {
    const auto at = static_cast<int64_t>(b);
    total += static_cast<double>(counts[b]);
    if (at < range.start) left += counts[b];
    if (at >= range.start + range.size) right += counts[b];
  }
  return Divergence(counts, levels, range, left, right, total);
}

BinRange MinimizeDivergence(const std::vector<uint64_t>& counts, int levels) {
  return Search(counts, levels).Best();
}

BinRange MinimizeDivergence(const std::vector<uint64_t>& counts, int levels,
                            const std::vector<BinRange>& ranges) {
  Shortlist shortlist(counts, levels, 0);
  for (const BinRange& range : ranges) {
    shortlist.Consider(range, RangeDivergence(counts, levels, range), true);
  }
  return shortlist.Best();
}

}  // namespace caffe2_quantization
