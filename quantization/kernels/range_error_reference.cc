// The plain form of the searches' loops; it defines their results.
#include <algorithm>
#include <cmath>

#include "quantization/kernels/range_error.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

double XLogX(double x) { return x > 0 ? x * std::log(x) : 0; }

}  // namespace

void SumAtOffsets(const double* value, const double* slope,
                  const double* curvature, const Positions& positions,
                  std::size_t count, double* sums) {
  for (std::size_t j = 0; j < count; ++j) {
    double sum = 0;
    for (std::size_t k = 0; k < positions.count; ++k) {
      const std::size_t i = j + positions.offsets[k];
      const double f = positions.fractions[k];
      sum += value[i];
      sum += slope[i] * f;
      sum += curvature[i] * (f * f / 2);
    }
    sums[j] = sum;
  }
}

void KlOfRanges(const KlBins& bins, std::size_t num_bins,
                const Positions& positions, const double* const* cut,
                std::size_t size, std::size_t first, std::size_t count,
                double limit, double* divergences) {
  const std::size_t levels = positions.count - 1;
  for (std::size_t j = 0; j < count; ++j) {
    const std::size_t s = first + j;
    const std::size_t e = s + size;
    const double left = bins.counts_before[s];
    const double right = bins.counts_before[num_bins] - bins.counts_before[e];
    const double m_first = bins.counts[s];
    const double m_last = bins.counts[e - 1];

    struct Boundary {
      double before;          // counts before it
      double nonzero_before;  // and bins
      double whole_before;    // counts before the first whole bin after it
      double piece;           // whole counts of the piece after it
    };
    const auto boundary = [&](std::size_t k) {
      const std::size_t i = s + positions.offsets[k];
      const double f = positions.fractions[k];
      const double m = bins.counts[i];
      return Boundary{bins.counts_before[i] + m * f,
                      bins.nonzero_before[i] + bins.nonzero[i] * f,
                      bins.counts_before[i] + m, std::floor(m * (1 - f))};
    };
    // Between boundary `from` and boundary k.
    const auto cell = [&](const Boundary& from, std::size_t k, double added,
                          double added_bin) {
      const std::size_t i = s + positions.offsets[k];
      const Boundary to = boundary(k);
      const double mass =
          bins.counts_before[i] - from.whole_before + from.piece +
          std::floor(bins.counts[i] * positions.fractions[k]) + added;
      const double nonzero =
          to.nonzero_before - from.nonzero_before + added_bin;
      return mass > 0 ? mass * std::log(nonzero / (to.before - from.before))
                      : 0;
    };
    // The first cell and the last one, which hold what lies outside, alone tell
    // most ranges that are too small.
    double terms = XLogX(m_first + left) - XLogX(m_first) +
                   XLogX(m_last + right) - XLogX(m_last) +
                   cell({left, bins.nonzero_before[s], left, 0}, 1, left,
                        m_first == 0 && left > 0 ? 1 : 0) +
                   cell(boundary(levels - 1), levels, right,
                        m_last == 0 && right > 0 ? 1 : 0);
    const double entropy_last =
        bins.entropy_before[e] -
        bins.entropy_before[s + positions.offsets[levels - 1] + 1];
    bool is_known = false;
    for (std::size_t k = 1; k < levels; ++k) {
      // Over cells without counts.
      k = std::max(k, LastBoundaryBefore(bins.next[s + positions.offsets[k]] -
                                             static_cast<int64_t>(s),
                                         size, levels));
      const std::size_t i = s + positions.offsets[k];
      const Boundary from = boundary(k);
      terms += cut[k][i];
      if (k % 32 == 1) {
        // All cells up to boundary k and the last one. The piece after the
        // boundary is missing and would add; a cut loses a count at most, and a
        // lost count a nat.
        const double density = from.piece / (1 - positions.fractions[k]);
        const double bound = terms + entropy_last + bins.entropy_before[i + 1] -
                             bins.entropy_before[s] -
                             from.piece * std::log(std::max(1.0, density)) -
                             static_cast<double>(levels - k);
        if (bound > limit) {
          divergences[j] = bound;
          is_known = true;
          break;
        }
      }
      if (k + 1 < levels) terms += cell(from, k + 1, 0, 0);
    }
    if (!is_known) {
      divergences[j] = terms + bins.entropy_before[e] - bins.entropy_before[s];
    }
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
