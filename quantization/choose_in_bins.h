// The searches for a range among bins, as DNNLOWP makes them: its bins, its
// candidates and its float arithmetic. choose.h says what each method
// minimizes.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_IN_BINS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_IN_BINS_H_

#include <cstdint>
#include <vector>

#include "quantization/choose.h"
#include "quantization/norm_minimization.h"

namespace caffe2_quantization {

// Bins around which the searches work, as DNNLOWP lays them out, in float.
struct Bins {
  // More than kMostBins are merged with their neighbours.
  explicit Bins(const BinCounts& given);

  // The share of the values that lie outside [low, high], 0 to 1. Of a bin that
  // is cut, the part outside counts.
  double ShareOutside(double low, double high) const;

  std::vector<uint64_t> counts;
  float min = 0;
  float max = 0;
  float width = 0;
  double total = 0;
};

// What a search found: the range, and its sum as Choice::objective has it.
struct ChosenRange {
  float min = 0;
  float max = 0;
  double objective = 0;
};

// kL2 and kL1.
ChosenRange MinimizeNorm(const Bins& bins, ErrorNorm norm,
                         const ChooseOptions& options);

// kKl.
ChosenRange MinimizeKl(const Bins& bins, const ChooseOptions& options);

// kL2Approx without preserve_sparsity: DNNLOWP's descent by quantiles.
ChosenRange DescendByQuantiles(const Bins& bins, const ChooseOptions& options);

// kPercentileInBins. The range leaves out as many values at either end as whole
// bins can, up to half of what need not be represented. No objective.
ChosenRange PercentileInBins(const Bins& bins, double percentile);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_IN_BINS_H_
