// The inner loops of the searches for a range (norm_minimization.h and
// kl_minimization.h). They compute one sum for each of many ranges that have
// the same size and differ only in where they start, so that what a cell
// boundary reads lies side by side.
//
// Every target gives the same bits in SumAtOffsets. KlOfRanges uses a logarithm
// that is exact to 2 ulp, so targets agree only to about 1e-12 of the number of
// values. No alignment is needed; arrays do not overlap. Thread rule: pure
// functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_RANGE_ERROR_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_RANGE_ERROR_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// Positions relative to a range's start, in bins: offsets[k] + fractions[k],
// 0 <= fraction < 1.
struct Positions {
  const int32_t* offsets;
  const double* fractions;
  std::size_t count;
};

// sums[j] = sum over k of value[i] + slope[i] * f + curvature[i] * f^2 / 2 with
// i = j + offsets[k], f = fractions[k]; for j from 0 to count - 1. So a
// function that is quadratic within each bin is given by its value and its
// first and second derivative at the bin's lower edge.
void SumAtOffsets(const double* value, const double* slope,
                  const double* curvature, const Positions& positions,
                  std::size_t count, double* sums);

// What is known of bin b, in the order of the members: its count, and the sum
// of the counts before it; 1 if it counted anything, else 0, and how many bins
// before it did; the sum of c * log(c) over the bins before it; the first bin
// from b on that counted anything. Each array has one element more than there
// are bins (counts and nonzero end with a 0, next with the number of bins).
struct KlBins {
  const double* counts;
  const double* counts_before;
  const double* nonzero;
  const double* nonzero_before;
  const double* entropy_before;
  const int32_t* next;
};

// Returns the last boundary, other than boundary `levels`, that lies in a bin
// before bin `bin` of a range of `size` bins; 0 if none does.
inline std::size_t LastBoundaryBefore(int64_t bin, std::size_t size,
                                      std::size_t levels) {
  if (bin <= 0) return 0;
  // floor(k * size / levels) < bin
  const std::size_t after =
      (static_cast<std::size_t>(bin) * levels + size - 1) / size;
  return (after < levels ? after : levels) - 1;
}

// Computes the divergence, times the number of values, of ranges of `size` bins
// cut into levels cells, levels <= size, which start at bins first to
// first + count - 1; see kl_minimization.h. Cell k begins at position k and
// ends at position k + 1, so there are levels + 1 positions. cut[k][b] is what
// bin b adds when boundary k cuts it; 0 for a bin without counts. For a range
// that is found to exceed limit, a lower bound above limit may be returned
// instead. Time per range: O(the smaller of levels and the number of bins with
// counts).
void KlOfRanges(const KlBins& bins, std::size_t num_bins,
                const Positions& positions, const double* const* cut,
                std::size_t size, std::size_t first, std::size_t count,
                double limit, double* divergences);

namespace reference {
void SumAtOffsets(const double* value, const double* slope,
                  const double* curvature, const Positions& positions,
                  std::size_t count, double* sums);
void KlOfRanges(const KlBins& bins, std::size_t num_bins,
                const Positions& positions, const double* const* cut,
                std::size_t size, std::size_t first, std::size_t count,
                double limit, double* divergences);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_RANGE_ERROR_H_
