// Histogram: how often values fell where, in bounded memory, exactly mergeable.
//
// Bin i counts the values v with  i * 2^e <= v < (i + 1) * 2^e.  Edges are
// multiples of the width 2^e, so two neighbours 2i and 2i + 1 of one width are
// bin i of twice the width: widening moves counts and splits none. e is the
// smallest exponent for which
//   - the bins from the smallest to the largest value number max_bins or fewer,
//   - |v| < 2^(e + kResolutionBits) for every v: so every edge is a float, and
//   - e >= kMinExponent.
// All three depend on the smallest and largest value alone, so a histogram is a
// function of the values it holds: their order, how they were split between
// histograms and in which order those were merged leave no trace.
//
// Values are placed by their exact real number, int64 included; -0 is 0. NaN
// and infinities are left out.
//
// Thread rule: a value; const calls from any thread, others from one at a time.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_HISTOGRAM_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quantization/status.h"

namespace caffe2_quantization {

class Histogram {
 public:
  static constexpr int kDefaultBins = 2048;
  static constexpr int kSmallestMaxBins = 4;
  static constexpr int kLargestMaxBins = 1 << 16;
  // An index needs this many bits and a sign at most.
  static constexpr int kResolutionBits = 22;
  // 2^126 is the largest power of two whose inverse is a normal float.
  static constexpr int kMinExponent = -126;
  static constexpr int kMaxExponent = 1023;  // doubles of both signs

  // max_bins is brought into [kSmallestMaxBins, kLargestMaxBins].
  explicit Histogram(int max_bins = kDefaultBins)
      : max_bins_(max_bins < kSmallestMaxBins  ? kSmallestMaxBins
                  : max_bins > kLargestMaxBins ? kLargestMaxBins
                                               : max_bins) {}

  int max_bins() const { return max_bins_; }
  bool empty() const { return counts_.empty(); }
  uint64_t total() const;  // the sum of all counts
  // Of an empty histogram: 0.
  int exponent() const { return exponent_; }
  int64_t first_bin() const { return first_bin_; }  // the first count's i
  double bin_width() const;
  double lower_edge() const;  // of the first bin that counted anything
  double upper_edge() const;  // of the last one
  // From the first bin that counted anything to the last one.
  const std::vector<uint64_t>& counts() const { return counts_; }

  // Non-finite values are left out.
  void Add(const float* values, std::size_t count);
  void Add(const double* values, std::size_t count);
  void AddHalf(const uint16_t* values, std::size_t count);  // IEEE binary16
  void Add(const int8_t* values, std::size_t count);
  void Add(const uint8_t* values, std::size_t count);
  void Add(const int16_t* values, std::size_t count);
  void Add(const uint16_t* values, std::size_t count);
  void Add(const int32_t* values, std::size_t count);
  void Add(const int64_t* values, std::size_t count);
  // One value that was seen `times` times.
  void AddRepeated(double value, uint64_t times);

  // Adds what the other one counted. An error, and nothing is changed, when
  // max_bins differ or a count would pass 2^64 - 1.
  Status Merge(const Histogram& other);

  // A histogram read from elsewhere; an error says how it contradicts the rules
  // above (a width that is not the one its extent calls for cannot be told from
  // bins alone, and is accepted if it is not too fine).
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
  // Makes room for values between min and max: widens the bins, and adds empty
  // ones at the ends.
  void Cover(double min, double max);
  void CoverIntegers(int64_t min, int64_t max);
  void CoverBins(int exponent, int64_t first, int64_t last);
  void Widen(int exponent);
  template <typename T>
  void AddIntegers(const T* values, std::size_t count);

  int max_bins_;
  int exponent_ = 0;
  int64_t first_bin_ = 0;
  std::vector<uint64_t> counts_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_HISTOGRAM_H_
