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
    double sum = bins.entropy_before[e] - bins.entropy_before[s] +
                 XLogX(m_first + left) - XLogX(m_first) +
                 XLogX(m_last + right) - XLogX(m_last);
    double before = left;
    double nonzero_before = bins.nonzero_before[s];
    double whole_before = left;  // of counts that the next cell begins with
    double piece = 0;
    for (std::size_t k = 1; k <= levels; ++k) {
      if (k > 1) {
        // Over cells without counts.
        const auto empty =
            bins.next[s + positions.offsets[k - 1]] - static_cast<int64_t>(s);
        k = std::max(k, LastBoundaryBefore(empty, size, levels) + 1);
      }
      const std::size_t i = s + positions.offsets[k];
      const double f = positions.fractions[k];
      const double m = bins.counts[i];
      const double until = bins.counts_before[i] + m * f;
      const double nonzero_until = bins.nonzero_before[i] + bins.nonzero[i] * f;
      double mass =
          bins.counts_before[i] - whole_before + piece + std::floor(m * f);
      double nonzero = nonzero_until - nonzero_before;
      if (k == 1) {
        mass += left;
        if (m_first == 0 && left > 0) nonzero += 1;
      }
      if (k == levels) {
        mass += right;
        if (m_last == 0 && right > 0) nonzero += 1;
      } else {
        sum += cut[k][i];
      }
      if (mass > 0) sum += mass * std::log(nonzero / (until - before));
      before = until;
      nonzero_before = nonzero_until;
      whole_before = bins.counts_before[i] + m;
      piece = std::floor(m * (1 - f));
    }
    divergences[j] = sum;
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
