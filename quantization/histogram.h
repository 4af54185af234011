// Histogram: counts values in bins, in bounded memory, and merges exactly.
//
// Bin i counts the values v with i * 2^e <= v < (i + 1) * 2^e. Edges are
// multiples of the width 2^e, so two neighbours 2i and 2i + 1 of one width are
// bin i of twice the width: widening moves counts and never splits one. e is
// the smallest exponent for which
//   - there are at most max_bins bins from the smallest to the largest value,
//   - |v| < 2^(e + kResolutionBits) for every v, so that every edge is a float,
//   - and e >= kMinExponent.
// All three depend only on the smallest and largest value, so a histogram is a
// function of the values it holds: it does not depend on their order, on how
// they were split between histograms, or on the order in which those were
// merged.
//
// Values are placed by their exact real number, also int64; -0 is 0. NaN and
// infinities are left out.
//
// Thread rule: a value; const calls from any thread, others from one thread at
// a time.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_HISTOGRAM_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"

namespace caffe2_quantization {

namespace kernels {
template <typename T>
struct FloatExtremes;
template <typename T>
struct IntegerExtremes;
}  // namespace kernels

class Histogram {
 public:
  static constexpr int kDefaultBins = 2048;
  static constexpr int kSmallestMaxBins = 4;
  static constexpr int kLargestMaxBins = 1 << 16;
  // An index needs at most this many bits and a sign.
  static constexpr int kResolutionBits = 22;
  // 2^-126 is the smallest normal float; 2^1023 is needed for the largest
  // double beside the smallest in four bins.
  static constexpr int kMinExponent = -126;
  static constexpr int kMaxExponent = 1023;

  // max_bins is brought into [kSmallestMaxBins, kLargestMaxBins].
  explicit Histogram(int max_bins = kDefaultBins)
      : max_bins_(max_bins < kSmallestMaxBins  ? kSmallestMaxBins
                  : max_bins > kLargestMaxBins ? kLargestMaxBins
                                               : max_bins) {}

  int max_bins() const { return max_bins_; }
  bool empty() const { return counts_.empty(); }
  uint64_t total() const { return total_; }  // the sum of all counts
  // 0 for an empty histogram.
  int exponent() const { return exponent_; }
  int64_t first_bin() const { return first_bin_; }  // the first count's i
  double bin_width() const;
  // Edges beyond the largest double are infinite.
  double lower_edge() const;  // of the first bin that counted anything
  double upper_edge() const;  // of the last one
  // From the first bin that counted anything to the last one.
  const std::vector<uint64_t>& counts() const { return counts_; }

  // Adds values; non-finite ones are left out. An array with which total()
  // would exceed 2^64 - 1 is left out as a whole. *extremes, if given, becomes
  // what kernels::MinMax (MinMaxHalf) finds in the array: counting needs that
  // anyway, and finds it in the same pass over memory.
  void Add(const float* values, std::size_t count,
           kernels::FloatExtremes<float>* extremes = nullptr);
  void Add(const double* values, std::size_t count,
           kernels::FloatExtremes<double>* extremes = nullptr);
  void AddHalf(const uint16_t* values, std::size_t count,  // IEEE binary16
               kernels::FloatExtremes<float>* extremes = nullptr);
  void Add(const int8_t* values, std::size_t count,
           kernels::IntegerExtremes<int8_t>* extremes = nullptr);
  void Add(const uint8_t* values, std::size_t count,
           kernels::IntegerExtremes<uint8_t>* extremes = nullptr);
  void Add(const int16_t* values, std::size_t count,
           kernels::IntegerExtremes<int16_t>* extremes = nullptr);
  void Add(const uint16_t* values, std::size_t count,
           kernels::IntegerExtremes<uint16_t>* extremes = nullptr);
  void Add(const int32_t* values, std::size_t count,
           kernels::IntegerExtremes<int32_t>* extremes = nullptr);
  void Add(const int64_t* values, std::size_t count,
           kernels::IntegerExtremes<int64_t>* extremes = nullptr);
  // Adds one value that was seen `times` times.
  void AddRepeated(double value, uint64_t times);

  // Adds what the other histogram counted. Errors, which change nothing:
  // max_bins differ, or total() would exceed 2^64 - 1.
  Status Merge(const Histogram& other);

  // Makes a histogram from parts that were stored; an error says how they
  // contradict the rules above. (Bins alone do not tell whether the width is
  // the one that the values call for; it is accepted if it is not too fine.)
  static Status FromParts(int max_bins, int exponent, int64_t first_bin,
                          std::vector<uint64_t> counts, Histogram* histogram);

  friend bool operator==(const Histogram& a, const Histogram& b) {
    return a.max_bins_ == b.max_bins_ && a.exponent_ == b.exponent_ &&
           a.first_bin_ == b.first_bin_ && a.counts_ == b.counts_;
  }
  friend bool operator!=(const Histogram& a, const Histogram& b) {
    return !(a == b);
  }

 private:
  // Bins first to last, both included, of width 2^exponent.
  struct Grid {
    int exponent;
    int64_t first;
    int64_t last;
  };
  template <typename T>
  class Pass;

  // Returns the grid that this histogram needs with values between min and max.
  Grid GridFor(double min, double max) const;
  Grid GridFor(int64_t min, int64_t max) const;
  Grid Union(Grid grid) const;
  // Widens the bins, and adds empty ones at the ends, up to what GridFor() or
  // Union() gave.
  void Reshape(const Grid& grid);
  void Widen(int exponent);
  void Count(int64_t bin, uint64_t times);
  template <typename T>
  void AddBytes(const T* values, std::size_t count,
                kernels::IntegerExtremes<T>* extremes);

  int max_bins_;
  int exponent_ = 0;
  int64_t first_bin_ = 0;
  uint64_t total_ = 0;
  std::vector<uint64_t> counts_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_HISTOGRAM_H_
