#include "quantization/norm_minimization.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "quantization/kernels/range_error.h"

namespace caffe2_quantization {
namespace {

// Of all values below the edge of each bin: their number, first and second
// moment about 0, and H of norm_minimization.h.
struct Cumulative {
  explicit Cumulative(const std::vector<uint64_t>& bins)
      : num_bins(static_cast<int64_t>(bins.size())),
        counts(bins.begin(), bins.end()),
        number(bins.size() + 1),
        first(bins.size() + 1),
        second(bins.size() + 1),
        h(bins.size() + 1) {
    counts.push_back(0);
    for (int64_t b = 0; b < num_bins; ++b) {
      const double m = counts[b];
      const double x = static_cast<double>(b);
      number[b + 1] = number[b] + m;
      first[b + 1] = first[b] + m * (x + 0.5);
      second[b + 1] = second[b] + m * (x * x + x + 1.0 / 3);
      h[b + 1] = h[b] + number[b] + m / 2;
    }
  }

  double H(double t) const {
    if (t <= 0) return 0;
    const double b = std::floor(t);
    if (b >= static_cast<double>(num_bins)) {
      return h.back() + number.back() * (t - static_cast<double>(num_bins));
    }
    const auto i = static_cast<std::size_t>(b);
    const double f = t - b;
    return h[i] + number[i] * f + counts[i] * (f * f / 2);
  }

  int64_t num_bins;
  std::vector<double> counts;
  std::vector<double> number;
  std::vector<double> first;
  std::vector<double> second;
  std::vector<double> h;
};

// The sum over a group of values of |x - point|^2, or of |x - point| if the
// group lies on one side of it, by the group's moments.
double About(ErrorNorm norm, double point, double number, double first,
             double second) {
  if (norm == ErrorNorm::kL1) return std::fabs(point * number - first);
  return second - 2 * point * first + point * point * number;
}

// Ranges that may be the best, as far as double can tell.
class Shortlist {
 public:
  explicit Shortlist(double noise) : noise_(noise) {}

  double limit() const { return best_ + noise_; }

  void Consider(BinRange range, double error) {
    if (!(error <= limit())) return;
    best_ = std::min(best_, error);
    entries_.push_back({range, error});
    if (entries_.size() >= next_sweep_) {
      Sweep();
      next_sweep_ = std::max<std::size_t>(4096, 2 * entries_.size());
    }
  }

  template <typename ExactError>
  BinRange Best(const ExactError& exact_error) {
    Sweep();
    constexpr double kEqual = 1e-12;
    BinRange best;
    double least = std::numeric_limits<double>::infinity();
    for (Entry& entry : entries_) {
      entry.error = exact_error(entry.range);
      least = std::min(least, entry.error);
    }
    for (const Entry& entry : entries_) {
      if (entry.error > least * (1 + kEqual)) continue;
      if (best.size == 0 || entry.range.size < best.size ||
          (entry.range.size == best.size && entry.range.start < best.start)) {
        best = entry.range;
      }
    }
    return best;
  }

 private:
  struct Entry {
    BinRange range;
    double error;
  };

  void Sweep() {
    entries_.erase(std::remove_if(entries_.begin(), entries_.end(),
                                  [this](const Entry& entry) {
                                    return entry.error > limit();
                                  }),
                   entries_.end());
  }

  const double noise_;
  double best_ = std::numeric_limits<double>::infinity();
  std::vector<Entry> entries_;
  std::size_t next_sweep_ = 4096;
};

class Search {
 public:
  Search(const std::vector<uint64_t>& counts, ErrorNorm norm, int levels)
      : counts_(counts),
        cumulative_(counts),
        norm_(norm),
        levels_(levels),
        shortlist_(Noise()) {}

  // The double sums of one range that may lie anywhere.
  void Consider(BinRange range) {
    const double start = static_cast<double>(range.start);
    const double w = static_cast<double>(range.size) / levels_;
    double boundaries = 0;
    for (int k = 1; k < levels_; ++k)
      boundaries += cumulative_.H(start + k * w);
    double centres = 0;
    if (norm_ == ErrorNorm::kL1) {
      for (int k = 0; k < levels_; ++k) {
        centres += cumulative_.H(start + (k + 0.5) * w);
      }
    }
    shortlist_.Consider(range, Error(range, boundaries, centres));
  }

  void ConsiderAllOfSize(int64_t size) {
    const double w = static_cast<double>(size) / levels_;
    // What lies left of a range grows with its start, what lies right shrinks.
    int64_t first = 0;
    int64_t last = cumulative_.num_bins - size;
    first = FirstWhere(first, last, [&](int64_t start) {
      return ErrorRight(start, size, w) <= shortlist_.limit();
    });
    last = FirstWhere(first, last + 1,
                      [&](int64_t start) {
                        return start > last ||
                               ErrorLeft(start, w) > shortlist_.limit();
                      }) -
           1;
    if (first > last) return;
    const auto number = static_cast<std::size_t>(last - first + 1);
    boundaries_.resize(number);
    centres_.assign(number, 0);
    SumH(first, size, 1, levels_, 0, &boundaries_);
    if (norm_ == ErrorNorm::kL1) SumH(first, size, 0, levels_, 0.5, &centres_);
    for (std::size_t j = 0; j < number; ++j) {
      const BinRange range{first + static_cast<int64_t>(j), size};
      shortlist_.Consider(range, Error(range, boundaries_[j], centres_[j]));
    }
  }

  BinRange Best() {
    return shortlist_.Best([this](BinRange range) {
      return RangeError(counts_, norm_, levels_,
                        static_cast<double>(range.start),
                        static_cast<double>(range.size));
    });
  }

 private:
  // More than the rounding errors of Error().
  double Noise() const {
    const double bins = static_cast<double>(cumulative_.num_bins);
    const double total = cumulative_.number.back();
    return 1e-14 * total * (norm_ == ErrorNorm::kL2 ? bins * bins : bins);
  }

  // The first of first to last where true; last if none. False, then true.
  template <typename Predicate>
  static int64_t FirstWhere(int64_t first, int64_t last,
                            const Predicate& predicate) {
    while (first < last) {
      const int64_t middle = first + (last - first) / 2;
      if (predicate(middle)) {
        last = middle;
      } else {
        first = middle + 1;
      }
    }
    return first;
  }

  double ErrorLeft(int64_t start, double w) const {
    return About(norm_, static_cast<double>(start) + w / 2,
                 cumulative_.number[start], cumulative_.first[start],
                 cumulative_.second[start]);
  }

  double ErrorRight(int64_t start, int64_t size, double w) const {
    const int64_t end = start + size;
    return About(norm_, static_cast<double>(end) - w / 2,
                 cumulative_.number.back() - cumulative_.number[end],
                 cumulative_.first.back() - cumulative_.first[end],
                 cumulative_.second.back() - cumulative_.second[end]);
  }

  // sums[j] = sum of H at first + j + (k + shift) * w over k from begin to
  // end - 1.
  void SumH(int64_t first, int64_t size, int begin, int end, double shift,
            std::vector<double>* sums) {
    offsets_.resize(end - begin);
    fractions_.resize(end - begin);
    for (int k = begin; k < end; ++k) {
      const double at = (k + shift) * static_cast<double>(size) / levels_;
      const double whole = std::floor(at);
      offsets_[k - begin] = static_cast<int32_t>(whole);
      fractions_[k - begin] = at - whole;
    }
    kernels::SumAtOffsets(cumulative_.h.data() + first,
                          cumulative_.number.data() + first,
                          cumulative_.counts.data() + first,
                          {offsets_.data(), fractions_.data(), offsets_.size()},
                          sums->size(), sums->data());
  }

  double Error(BinRange range, double boundaries, double centres) const {
    const double w = static_cast<double>(range.size) / levels_;
    const double c = static_cast<double>(range.start + range.size) - w / 2;
    const double number = cumulative_.number.back();
    const double first = cumulative_.first.back();
    if (norm_ == ErrorNorm::kL1) {
      return 2 * (centres - boundaries) - (c * number - first);
    }
    return About(norm_, c, number, first, cumulative_.second.back()) -
           2 * w * boundaries;
  }

  const std::vector<uint64_t>& counts_;
  const Cumulative cumulative_;
  const ErrorNorm norm_;
  const int levels_;
  Shortlist shortlist_;
  std::vector<int32_t> offsets_;
  std::vector<double> fractions_;
  std::vector<double> boundaries_;
  std::vector<double> centres_;
};

// The integral of |x - centre|^2 or |x - centre| over [from, to].
long double PieceError(ErrorNorm norm, long double from, long double to,
                       long double centre) {
  const long double a = from - centre;
  const long double b = to - centre;
  if (norm == ErrorNorm::kL2) return (b * b * b - a * a * a) / 3;
  if (a < 0 && b > 0) return (a * a + b * b) / 2;
  return std::fabs(b * b - a * a) / 2;
}

}  // namespace

double RangeError(const std::vector<uint64_t>& counts, ErrorNorm norm,
                  int levels, double start, double size) {
  const long double w = static_cast<long double>(size) / levels;
  long double sum = 0;
  for (std::size_t b = 0; b < counts.size(); ++b) {
    if (counts[b] == 0) continue;
    const long double end = static_cast<long double>(b) + 1;
    long double from = static_cast<long double>(b);
    long double error = 0;
    long double cell = std::floor((from - start) / w);
    cell = std::min<long double>(std::max<long double>(cell, 0), levels - 1);
    while (from < end) {
      long double to = end;
      if (cell < levels - 1) to = std::min(to, start + (cell + 1) * w);
      if (to > from) {
        error += PieceError(norm, from, to, start + (cell + 0.5L) * w);
        from = to;
      }
      cell += 1;
    }
    sum += error * static_cast<long double>(counts[b]);
  }
  return static_cast<double>(sum);
}

BinRange MinimizeError(const std::vector<uint64_t>& counts, ErrorNorm norm,
                       int levels) {
  Search search(counts, norm, levels);
  // The largest first: there are few, and what they find rules out most others.
  for (auto size = static_cast<int64_t>(counts.size()); size > 0; --size) {
    search.ConsiderAllOfSize(size);
  }
  return search.Best();
}

BinRange MinimizeError(const std::vector<uint64_t>& counts, ErrorNorm norm,
                       int levels, const std::vector<BinRange>& ranges) {
  Search search(counts, norm, levels);
  for (const BinRange& range : ranges) search.Consider(range);
  return search.Best();
}

}  // namespace caffe2_quantization
