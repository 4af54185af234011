// Finds the range that leaves out the same share of the values at either end.
//
// Of n values in order, x[0] <= ... <= x[n - 1], and a percentile p (0.9999 for
// P99.99) it is
//
//   [x[k], x[n - 1 - k]],   k = floor((n - 1) * (1 - p) / 2)
//
// so that k values lie below it and k above it (fewer if neighbours are equal):
// the shares of DNNLOWP's P99. In numpy's terms:
//   percentile(x, 100 * (1 - p) / 2, interpolation="lower") and
//   percentile(x, 100 * (1 + p) / 2, interpolation="higher").
// Nothing is interpolated: a limit between the last value that counts and an
// outlier would be no value that counts. With (n - 1) * (1 - p) < 2 the range
// is the whole range of the values.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_PERCENTILE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_PERCENTILE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace caffe2_quantization {

// Returns k of the equation above. The last bits of p do not matter: of 20,001
// values P99.99 leaves out one at either end, although 1 - 0.9999 in double is
// less than 0.0001. Precondition: 0 < percentile <= 1.
uint64_t LeftOutAtEitherEnd(uint64_t count, double percentile);

struct ValueRange {
  float min = 0;
  float max = 0;
};

// Returns x[left_out] and x[count - 1 - left_out]; a zero is 0, not -0. It
// takes one pass over memory, time linear in count whatever the values and
// their order, and 16 bytes for each value left out at one end. Preconditions:
// finite values; left_out is at most (count - 1) / 2.
ValueRange OrderStatistics(const float* values, std::size_t count,
                           std::size_t left_out);

// Returns the sum of counts, but at most 2^64 - 1.
uint64_t TotalCount(const std::vector<uint64_t>& counts);

// The indices of the bins that hold these two values, if values are counted in
// bins. Precondition: TotalCount(counts) is above 2 * left_out.
struct BinsOfRange {
  std::size_t first = 0;
  std::size_t last = 0;
};
BinsOfRange BinsOfOrderStatistics(const std::vector<uint64_t>& counts,
                                  uint64_t left_out);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_PERCENTILE_H_
