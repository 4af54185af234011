// Finds the range whose cells represent counted values with the smallest error.
//
// Bins have width 1 and begin at 0; values are spread evenly within a bin. A
// range [start, start + size) is cut into `levels` cells of width w =
// size / levels. Each value is represented by the centre of its cell, a value
// outside the range by the first or the last centre. The error is the sum over
// all values of |x - centre|^2 (L2) or |x - centre| (L1).
//
// DNNLOWP searches the same ranges for the same sum
// (caffe2/quantization/server/norm_minimization.cc of Caffe2) by adding up each
// range's bins. Here the integral of the cumulative counts,
//   H(t) = integral from -infinity to t of F(u) du,   F(u) = counts below u,
// which is quadratic within a bin, makes a range cost O(levels):
//   L2 = Q(c) - 2 w * sum over inner boundaries b of H(b)
//   L1 = 2 * sum over centres m of H(m) - 2 * sum over b of H(b) - D(c)
// where c is the last centre, Q(c) the second and D(c) the first moment of all
// values about it; both follow by partial summation. The error of what lies
// outside is known from sums alone, and rules out most ranges before their
// cells are looked at.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_NORM_MINIMIZATION_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_NORM_MINIMIZATION_H_

#include <cstdint>
#include <vector>

namespace caffe2_quantization {

enum class ErrorNorm { kL1, kL2 };

// Bins from start to start + size - 1, which may lie outside the counted bins.
struct BinRange {
  int64_t start = 0;
  int64_t size = 0;
};

// Returns the error of one range, summed cell by cell in extended precision.
// The range may have any width > 0 and begin anywhere.
double RangeError(const std::vector<uint64_t>& counts, ErrorNorm norm,
                  int levels, double start, double size);

// Returns the best of all ranges of whole bins within the counted bins. Of
// equal errors (to 1e-12) it takes the smaller size, then the smaller start.
// counts: not all 0; 2 <= levels <= 2^16.
BinRange MinimizeError(const std::vector<uint64_t>& counts, ErrorNorm norm,
                       int levels);

// Returns the best of the given ranges, which may lie outside the counted bins.
// The same rule applies to equal errors.
BinRange MinimizeError(const std::vector<uint64_t>& counts, ErrorNorm norm,
                       int levels, const std::vector<BinRange>& ranges);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_NORM_MINIMIZATION_H_
