// Searches for a range among bins as DNNLOWP does: with its bins, its
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

// The bins that the searches use, as DNNLOWP lays them out, in float.
struct Bins {
  // If there are more than kMostBins, neighbours are merged.
  explicit Bins(const BinCounts& given);

  // Returns the share of the values that lie outside [low, high], 0 to 1. Of a
  // bin that is cut, the part outside counts.
  double ShareOutside(double low, double high) const;

  std::vector<uint64_t> counts;
  float min = 0;
  float max = 0;
  float width = 0;
  double total = 0;
};

// What a search found: the range, and its objective as in Choice::objective.
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

// kPercentileInBins. The range leaves out as many whole bins at either end as
// hold no more than half of the values that need not be represented. There is
// no objective.
ChosenRange PercentileInBins(const Bins& bins, double percentile);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_IN_BINS_H_
