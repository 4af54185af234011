#include "quantization/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kLargestIndex = int64_t{1} << Histogram::kResolutionBits;

// The bin of a value below 2^(exponent + kResolutionBits) in magnitude.
int64_t BinOf(double value, int exponent) {
  const double scaled = std::ldexp(value, -exponent);
  // A product that vanished was a negative number all the same.
  if (value < 0 && scaled == 0) return -1;
  return static_cast<int64_t>(std::floor(scaled));
}

int64_t BinOf(int64_t value, int exponent) {
  if (exponent >= 63) return value < 0 ? -1 : 0;
  if (exponent < -62) return 0;  // as value then is
  // Below zero the value is small: multiplying it cannot overflow.
  return exponent >= 0 ? value >> exponent : value * (int64_t{1} << -exponent);
}

// The bin at a coarser exponent that holds bin `index`.
int64_t CoarserBin(int64_t index, int steps) {
  return index >> std::min(steps, 63);
}

// The smallest exponent with magnitude < 2^(exponent + kResolutionBits).
int FinestExponent(double magnitude) {
  if (magnitude == 0) return Histogram::kMinExponent;
  return std::max(std::ilogb(magnitude) + 1 - Histogram::kResolutionBits,
                  Histogram::kMinExponent);
}

int FinestExponent(int64_t min, int64_t max) {
  const auto magnitude = [](int64_t value) {
    return value < 0 ? -static_cast<uint64_t>(value)
                     : static_cast<uint64_t>(value);
  };
  uint64_t left = std::max(magnitude(min), magnitude(max));
  if (left == 0) return Histogram::kMinExponent;
  int bits = 0;
  for (; left != 0; left >>= 1) ++bits;
  return bits - Histogram::kResolutionBits;
}

}  // namespace

uint64_t Histogram::total() const {
  uint64_t sum = 0;
  for (const uint64_t count : counts_) sum += count;
  return sum;
}

double Histogram::bin_width() const { return std::ldexp(1.0, exponent_); }

double Histogram::lower_edge() const {
  return std::ldexp(static_cast<double>(first_bin_), exponent_);
}

double Histogram::upper_edge() const {
  return std::ldexp(
      static_cast<double>(first_bin_ + static_cast<int64_t>(counts_.size())),
      exponent_);
}

void Histogram::Widen(int exponent) {
  const int steps = exponent - exponent_;
  if (steps <= 0 || empty()) return;
  const int64_t first = CoarserBin(first_bin_, steps);
  const int64_t last =
      CoarserBin(first_bin_ + static_cast<int64_t>(counts_.size()) - 1, steps);
  std::vector<uint64_t> counts(static_cast<std::size_t>(last - first + 1));
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    const int64_t bin =
        CoarserBin(first_bin_ + static_cast<int64_t>(i), steps) - first;
    counts[static_cast<std::size_t>(bin)] += counts_[i];
  }
  counts_ = std::move(counts);
  first_bin_ = first;
  exponent_ = exponent;
}

void Histogram::CoverBins(int exponent, int64_t first, int64_t last) {
  if (!empty()) {
    const int coarsest = std::max(exponent, exponent_);
    first = CoarserBin(first, coarsest - exponent);
    last = CoarserBin(last, coarsest - exponent);
    exponent = coarsest;
    const int own_steps = coarsest - exponent_;
    first = std::min(first, CoarserBin(first_bin_, own_steps));
    last = std::max(
        last, CoarserBin(first_bin_ + static_cast<int64_t>(counts_.size()) - 1,
                         own_steps));
  }
  for (; last - first >= max_bins_; ++exponent) {
    first >>= 1;
    last >>= 1;
  }
  if (empty()) {
    exponent_ = exponent;
    first_bin_ = first;
    counts_.assign(static_cast<std::size_t>(last - first + 1), 0);
    return;
  }
  Widen(exponent);
  if (first < first_bin_) {
    counts_.insert(counts_.begin(),
                   static_cast<std::size_t>(first_bin_ - first), 0);
    first_bin_ = first;
  }
  const auto size = static_cast<std::size_t>(last - first_bin_ + 1);
  if (size > counts_.size()) counts_.resize(size, 0);
}

void Histogram::Cover(double min, double max) {
  const int exponent =
      std::max(FinestExponent(std::max(std::abs(min), std::abs(max))),
               empty() ? kMinExponent : exponent_);
  CoverBins(exponent, BinOf(min, exponent), BinOf(max, exponent));
}

void Histogram::CoverIntegers(int64_t min, int64_t max) {
  const int exponent =
      std::max(FinestExponent(min, max), empty() ? kMinExponent : exponent_);
  CoverBins(exponent, BinOf(min, exponent), BinOf(max, exponent));
}

void Histogram::AddRepeated(double value, uint64_t times) {
  if (!std::isfinite(value) || times == 0) return;
  Cover(value, value);
  counts_[static_cast<std::size_t>(BinOf(value, exponent_) - first_bin_)] +=
      times;
}

void Histogram::Add(const float* values, std::size_t count) {
  const auto extremes = kernels::MinMax(values, count);
  if (!(extremes.min <= extremes.max)) return;
  Cover(extremes.min, extremes.max);
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) continue;
    const int64_t bin = BinOf(static_cast<double>(values[i]), exponent_);
    ++counts_[static_cast<std::size_t>(bin - first_bin_)];
  }
}

void Histogram::Add(const double* values, std::size_t count) {
  const auto extremes = kernels::MinMax(values, count);
  if (!(extremes.min <= extremes.max)) return;
  Cover(extremes.min, extremes.max);
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) continue;
    ++counts_[static_cast<std::size_t>(BinOf(values[i], exponent_) -
                                       first_bin_)];
  }
}

void Histogram::AddHalf(const uint16_t* values, std::size_t count) {
  const auto extremes = kernels::MinMaxHalf(values, count);
  if (!(extremes.min <= extremes.max)) return;
  Cover(extremes.min, extremes.max);
  for (std::size_t i = 0; i < count; ++i) {
    const double value = kernels::HalfToFloat(values[i]);
    if (!std::isfinite(value)) continue;
    ++counts_[static_cast<std::size_t>(BinOf(value, exponent_) - first_bin_)];
  }
}

template <typename T>
void Histogram::AddIntegers(const T* values, std::size_t count) {
  if (count == 0) return;
  const auto extremes = kernels::MinMax(values, count);
  CoverIntegers(extremes.min, extremes.max);
  for (std::size_t i = 0; i < count; ++i) {
    const int64_t bin = BinOf(static_cast<int64_t>(values[i]), exponent_);
    ++counts_[static_cast<std::size_t>(bin - first_bin_)];
  }
}

#define DEFINE(T)                                           \
  void Histogram::Add(const T* values, std::size_t count) { \
    AddIntegers(values, count);                             \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

Status Histogram::Merge(const Histogram& other) {
  if (max_bins_ != other.max_bins_) {
    return Status::InvalidArgument(
        "histograms of " + std::to_string(max_bins_) + " and " +
        std::to_string(other.max_bins_) + " bins cannot be merged");
  }
  if (other.empty()) return Status::Ok();
  Histogram merged = *this;
  merged.CoverBins(
      other.exponent_, other.first_bin_,
      other.first_bin_ + static_cast<int64_t>(other.counts_.size()) - 1);
  const int steps = merged.exponent_ - other.exponent_;
  for (std::size_t i = 0; i < other.counts_.size(); ++i) {
    uint64_t& count = merged.counts_[static_cast<std::size_t>(
        CoarserBin(other.first_bin_ + static_cast<int64_t>(i), steps) -
        merged.first_bin_)];
    if (other.counts_[i] > std::numeric_limits<uint64_t>::max() - count) {
      return Status::OutOfRange(
          "a bin of the merged histogram would count more than 2^64 - 1");
    }
    count += other.counts_[i];
  }
  *this = std::move(merged);
  return Status::Ok();
}

Status Histogram::FromParts(int max_bins, int exponent, int64_t first_bin,
                            std::vector<uint64_t> counts,
                            Histogram* histogram) {
  if (max_bins < kSmallestMaxBins || max_bins > kLargestMaxBins) {
    return Status::Corruption("max_bins is " + std::to_string(max_bins) +
                              ", expected " + std::to_string(kSmallestMaxBins) +
                              " to " + std::to_string(kLargestMaxBins));
  }
  Histogram made(max_bins);
  if (!counts.empty()) {
    if (counts.size() > static_cast<std::size_t>(max_bins)) {
      return Status::Corruption(std::to_string(counts.size()) +
                                " bins, expected " + std::to_string(max_bins) +
                                " at most");
    }
    if (exponent < kMinExponent || exponent > kMaxExponent) {
      return Status::Corruption("the exponent of the bins' width is " +
                                std::to_string(exponent) + ", expected " +
                                std::to_string(kMinExponent) + " to " +
                                std::to_string(kMaxExponent));
    }
    const auto size = static_cast<int64_t>(counts.size());
    if (first_bin < -kLargestIndex || first_bin > kLargestIndex - size) {
      return Status::Corruption("the first bin is " +
                                std::to_string(first_bin) +
                                ", expected all bins between -2^22 and 2^22");
    }
    if (counts.front() == 0 || counts.back() == 0) {
      return Status::Corruption("the first or the last bin counts nothing");
    }
    made.exponent_ = exponent;
    made.first_bin_ = first_bin;
    made.counts_ = std::move(counts);
  }
  *histogram = std::move(made);
  return Status::Ok();
}

}  // namespace caffe2_quantization
