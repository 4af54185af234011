// The searches' objectives and their least, from the definitions alone: plain
// double loops over every range.
#ifndef CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_CHOOSE_REFERENCE_H_
#define CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_CHOOSE_REFERENCE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "quantization/norm_minimization.h"

namespace caffe2_quantization {

// The integral of |x - centre|^power over [from, to], by antiderivatives on
// either side of the centre.
inline double IntegralAbout(double centre, double from, double to, int power) {
  const auto upper = [power](double length) {
    return std::pow(length, power + 1) / (power + 1);
  };
  if (from >= centre) return upper(to - centre) - upper(from - centre);
  if (to <= centre) return upper(centre - from) - upper(centre - to);
  return upper(to - centre) + upper(centre - from);
}

// Sum over all values of |x - nearest of the range's cell centres|^power.
inline double ReferenceError(const std::vector<uint64_t>& counts, int power,
                             int levels, double start, double size) {
  const double inf = std::numeric_limits<double>::infinity();
  const double w = size / levels;
  double sum = 0;
  for (int k = 0; k < levels; ++k) {
    const double low = k == 0 ? -inf : start + k * w;
    const double high = k == levels - 1 ? inf : start + (k + 1) * w;
    for (std::size_t b = 0; b < counts.size(); ++b) {
      const double from = std::max<double>(low, b);
      const double to = std::min<double>(high, b + 1.0);
      if (from >= to) continue;
      sum += counts[b] * IntegralAbout(start + (k + 0.5) * w, from, to, power);
    }
  }
  return sum;
}

// The divergence as kl_minimization.h defines it, of a range within the bins.
inline double ReferenceDivergence(const std::vector<uint64_t>& counts,
                                  int levels, int64_t start, int64_t size) {
  // P: the range's bins with what lies outside added at its ends.
  std::vector<double> p(counts.begin() + start, counts.begin() + start + size);
  double total = 0;
  for (std::size_t b = 0; b < counts.size(); ++b) {
    total += counts[b];
    if (static_cast<int64_t>(b) < start) p.front() += counts[b];
    if (static_cast<int64_t>(b) >= start + size) p.back() += counts[b];
  }
  double sum = 0;
  for (int k = 0; k < levels; ++k) {
    const double low = static_cast<double>(k) * size / levels;
    const double high = static_cast<double>(k + 1) * size / levels;
    double inside = 0;
    double length = 0;
    for (int64_t b = 0; b < size; ++b) {
      const double part =
          std::min<double>(high, b + 1) - std::max<double>(low, b);
      if (part <= 0) continue;
      inside += counts[start + b] * part;
      if (p[b] > 0) length += part;
    }
    for (int64_t b = 0; b < size; ++b) {
      const double part =
          std::min<double>(high, b + 1) - std::max<double>(low, b);
      if (part <= 0) continue;
      const double whole = std::floor(p[b] * part);
      if (whole > 0) {
        sum += whole / total * std::log(whole / (inside * part / length));
      }
    }
  }
  return sum;
}

// Calls visit(range, objective) for every range of whole bins.
template <typename Objective, typename Visit>
void ForEachRange(int64_t num_bins, const Objective& objective,
                  const Visit& visit) {
  for (int64_t size = 1; size <= num_bins; ++size) {
    for (int64_t start = 0; start + size <= num_bins; ++start) {
      visit(BinRange{start, size}, objective(start, size));
    }
  }
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_QUANTIZATION_CHOOSE_REFERENCE_H_
