#include "quantization/kl_minimization.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quantization/kernels/range_error.h"

namespace caffe2_quantization {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double XLogX(double x) { return x > 0 ? x * std::log(x) : 0; }

// One range after another of the same counts, piece by piece.
//
// Only bins with counts and those that take up what lies outside cost anything,
// and of cells that lie in one bin the first: the others add the same.
class PieceByPiece {
 public:
  PieceByPiece(const std::vector<uint64_t>& counts, int levels)
      : counts_(counts),
        num_bins_(static_cast<int64_t>(counts.size())),
        levels_(levels),
        before_(counts.size() + 1),
        next_(counts.size() + 1),
        shares_(counts.size()) {
    next_[num_bins_] = static_cast<int32_t>(num_bins_);
    for (int64_t b = num_bins_ - 1; b >= 0; --b) {
      next_[b] = counts[b] > 0 ? static_cast<int32_t>(b) : next_[b + 1];
    }
    for (int64_t b = 0; b < num_bins_; ++b) {
      before_[b + 1] = before_[b] + counts[b];
      total_ += static_cast<double>(counts[b]);
    }
    for (int64_t b = 0; b < num_bins_; ++b) {
      shares_[b] = static_cast<double>(counts[b]) / total_;
    }
  }

  int levels() const { return levels_; }
  double total() const { return total_; }

  // The range may begin and end outside the bins. The order and the width of
  // all operations are DNNLOWP's: they decide between near-equal ranges.
  double operator()(BinRange range) const {
    const int64_t end = range.start + range.size;
    const uint64_t left =
        before_[std::clamp<int64_t>(range.start, 0, num_bins_)];
    const uint64_t right =
        before_[num_bins_] - before_[std::clamp<int64_t>(end, 0, num_bins_)];
    // Where the values from outside go.
    const int64_t first = std::max<int64_t>(range.start, 0);
    const int64_t last = std::min(end - 1, num_bins_ - 1);
    const auto added = [&](int64_t b) {
      return (b == first ? left : 0) + (b == last ? right : 0);
    };
    // The next bin from b on that takes part.
    const auto next = [&](int64_t b) {
      if (left > 0 && b <= first) return first;
      const int64_t found = next_[std::min(b, num_bins_)];
      return right > 0 && b <= last ? std::min(found, last) : found;
    };
    const auto edge = [&](int64_t k) {  // exact: levels is a power of two
      return static_cast<double>(range.start) +
             static_cast<double>(k) * static_cast<double>(range.size) / levels_;
    };
    double sum = 0;
    int64_t k = 0;
    for (int64_t b_first = next(first); b_first <= last && k < levels_;) {
      // The first cell that reaches into the bin.
      k = std::max(k, (b_first - range.start) * levels_ / range.size);
      if (k >= levels_) break;
      const double from = edge(k);
      const double to = edge(k + 1);
      // Towards 0, as DNNLOWP's, which matters where a range begins below bin
      // 0.
      const auto begin = static_cast<int64_t>(from);
      const auto cell_end = static_cast<int64_t>(std::ceil(to));
      const auto fraction = [&](int64_t b) {
        if (b == begin && b == cell_end - 1) return to - from;
        if (b == begin) return static_cast<double>(begin + 1) - from;
        if (b == cell_end - 1) return to - static_cast<double>(cell_end - 1);
        return 1.0;
      };
      const int64_t b_end = std::min(cell_end, num_bins_);
      double expected = 0;
      double length = 0;
      for (int64_t b = b_first; b < b_end; b = next(b + 1)) {
        const double f = fraction(b);
        const double inside = static_cast<double>(counts_[b]) * f;
        expected += inside;
        if (inside + static_cast<double>(added(b)) > 0) length += f;
      }
      const double whole_q = expected / length / total_;
      int64_t repeated = 1;
      if (b_end - b_first == 1 && from >= static_cast<double>(b_first)) {
        repeated = (b_first + 1 - range.start) * levels_ / range.size - k;
        repeated = std::max<int64_t>(repeated, 1);
      }
      for (int64_t b = b_first; b < b_end; b = next(b + 1)) {
        const double f = fraction(b);
        double p = shares_[b];
        double q = whole_q;
        if (f != 1 || b == first || b == last) {
          const double whole =
              std::floor(static_cast<double>(counts_[b] + added(b)) * f);
          if (whole <= 0) continue;
          p = whole / total_;
          q = expected * f / length / total_;
        }
        const double ratio = p / q;
        if (ratio == 1) continue;  // adds 0
        const double term = p * std::log(ratio);
        for (int64_t i = 0; i < repeated; ++i) sum += term;
      }
      k += repeated;
      // Onward from the first bin that the next cell reaches into.
      b_first =
          next(std::max(first, static_cast<int64_t>(std::floor(edge(k)))));
    }
    return sum;
  }

 private:
  const std::vector<uint64_t>& counts_;
  const int64_t num_bins_;
  const int levels_;
  double total_ = 0;
  std::vector<uint64_t> before_;  // counts below each bin
  std::vector<int32_t> next_;     // the next bin from it on that has counts
  std::vector<double> shares_;    // of all values
};

// The best so far, and the ranges that a double may have ranked wrongly.
class Shortlist {
 public:
  // noise: twice what a divergence that is not exact may be off by.
  Shortlist(const PieceByPiece& exact, double noise)
      : exact_(exact), noise_(noise) {}

  double limit() const { return best_ + noise_; }

  // is_exact: to the bit what RangeDivergence gives.
  void Consider(BinRange range, double divergence, bool is_exact) {
    if (!(divergence <= limit())) return;
    best_ = std::min(best_, divergence);
    entries_.push_back({range, divergence, is_exact});
  }

  BinRange Best() const {
    BinRange best{0, exact_.levels()};
    double least = std::numeric_limits<double>::max();
    for (const auto& [range, divergence, is_exact] : entries_) {
      if (divergence > limit()) continue;
      const double exact = is_exact ? divergence : exact_(range);
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
  const PieceByPiece& exact_;
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
        next_(counts.size() + 1, static_cast<int32_t>(counts.size())),
        exact_(counts, levels) {
    counts_.push_back(0);
    for (int64_t b = 0; b < num_bins_; ++b) {
      nonzero_[b] = counts_[b] > 0 ? 1 : 0;
      counts_before_[b + 1] = counts_before_[b] + counts_[b];
      nonzero_before_[b + 1] = nonzero_before_[b] + nonzero_[b];
      entropy_before_[b + 1] = entropy_before_[b] + XLogX(counts_[b]);
    }
    for (int64_t b = num_bins_ - 1; b >= 0; --b) {
      next_[b] = counts[b] > 0 ? static_cast<int32_t>(b) : next_[b + 1];
    }
  }

  BinRange Best() {
    // What rounding may do to the sums, twice, for two ranges are compared.
    // Both ways of adding up have at most twelve roundings a bin with counts,
    // and a few more, each of 2^-53 of what is added up: at most all counts,
    // and a logarithm of their number and of the share of a bin that a cell may
    // hold.
    const double total = counts_before_.back();
    const double roundings = 2 * (12 * nonzero_before_.back() + 64);
    Shortlist shortlist(exact_, roundings * 0x1p-53 * (std::log(total) + 12));
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
        shortlist->Consider(range, exact_(range), true);
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
    const kernels::KlBins bins{counts_.data(),         counts_before_.data(),
                               nonzero_.data(),        nonzero_before_.data(),
                               entropy_before_.data(), next_.data()};
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
  std::vector<int32_t> next_;
  const PieceByPiece exact_;
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
  return PieceByPiece(counts, levels)(range);
}

BinRange MinimizeDivergence(const std::vector<uint64_t>& counts, int levels) {
  return Search(counts, levels).Best();
}

BinRange MinimizeDivergence(const std::vector<uint64_t>& counts, int levels,
                            const std::vector<BinRange>& ranges) {
  const PieceByPiece exact(counts, levels);
  Shortlist shortlist(exact, 0);
  for (const BinRange& range : ranges) {
    shortlist.Consider(range, exact(range), true);
  }
  return shortlist.Best();
}

}  // namespace caffe2_quantization
