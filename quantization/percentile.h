// Finds the range that leaves out the same share of the values at either end.
//
// Of n values in order, x[0] <= ... <= x[n - 1], and a percentile p (0.9999 for
// P99.99) it is
//
//   [x[k], x[n - 1 - k]],   k = floor((n - 1) * (1 - p) / 2)
//
// so that k values lie before it and k after it (fewer where neighbours are
// equal): the shares of DNNLOWP's P99. In numpy's terms:
//   percentile(x, 100 * (1 - p) / 2, interpolation="lower") and
//   percentile(x, 100 * (1 + p) / 2, interpolation="higher").
// Nothing is interpolated: a limit between the last value that counts and one
// that is far out would be no value that counts. With (n - 1) * (1 - p) < 2 it
// is the whole range.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_PERCENTILE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_PERCENTILE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace caffe2_quantization {

// k of the equation above. The last bits of p decide nothing: of 20,001 values
// P99.99 leaves out one at either end, though 1 - 0.9999 is less than 0.0001.
// Precondition: 0 < percentile <= 1.
uint64_t LeftOutAtEitherEnd(uint64_t count, double percentile);

struct ValueRange {
  float min = 0;
  float max = 0;
};

// x[left_out] and x[count - 1 - left_out]; 0, not -0. One pass over memory, in
// time linear in count whatever the values and their order, with 16 bytes for
// each value left out at one end. Preconditions: finite values;
// left_out is (count - 1) / 2 at most.
ValueRange OrderStatistics(const float* values, std::size_t count,
                           std::size_t left_out);

// The sum of counts, 2^64 - 1 at most.
uint64_t TotalCount(const std::vector<uint64_t>& counts);

// Indices of the bins that hold the same of counted values. Precondition:
// TotalCount(counts) is above 2 * left_out.
struct BinsOfRange {
  std::size_t first = 0;
  std::size_t last = 0;
};
BinsOfRange BinsOfOrderStatistics(const std::vector<uint64_t>& counts,
                                  uint64_t left_out);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_PERCENTILE_H_
