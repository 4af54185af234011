// Finds the range in which the quantized values are distributed most like the
// values themselves.
//
// Candidates are as in norm_minimization.h: `size` bins from `start`, cut into
// `levels` cells. Values outside are added to the first and the last bin, which
// makes the distribution P. Q spreads the values of a cell, without the added
// ones, evenly over the parts of its bins that are not empty in P. The
// divergence is
//   sum over pieces of  p * log(p / q)                       (nats per value)
// where a piece is a bin, or the part of one that cell boundaries cut off, and
// p the number of values in it, a whole number: if a fraction f of a bin of c
// values lies in the cell, it counts floor(c * f). This is DNNLOWP's search,
// which rounds in the same way (caffe2/quantization/server/kl_minimization.cc
// of Caffe2; the idea is that of Migacz 2017, "8-bit Inference with TensorRT").
// For large counts the rounding makes no difference; histograms of a few
// hundred values are not suited for this method.
//
// Bins that no boundary cuts need no logarithm of their own: within a cell
//   sum of c * log(c / q) = sum of c * log(c) + C * log(length / S),
// and the first sum on the right is known from cumulative sums. A boundary that
// cuts a bin always cuts off one of `levels` fractions, and these are
// tabulated.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KL_MINIMIZATION_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KL_MINIMIZATION_H_

#include <cstdint>
#include <vector>

#include "quantization/norm_minimization.h"

namespace caffe2_quantization {

// Returns the divergence of one range, summed piece by piece; the range may
// begin and end outside the counted bins. It is infinite if P has values where
// Q has none.
double RangeDivergence(const std::vector<uint64_t>& counts, int levels,
                       BinRange range);

// Returns the best of all ranges within the counted bins. Of equal divergences
// it takes the smaller size, then the smaller start. counts: not all 0; levels:
// a power of two from 2 to 2^16.
BinRange MinimizeDivergence(const std::vector<uint64_t>& counts, int levels);

// Returns the best of the given ranges.
BinRange MinimizeDivergence(const std::vector<uint64_t>& counts, int levels,
                            const std::vector<BinRange>& ranges);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KL_MINIMIZATION_H_
