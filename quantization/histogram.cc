#include "quantization/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "quantization/kernels/histogram.h"

namespace caffe2_quantization {
namespace {

constexpr uint64_t kLargestCount = std::numeric_limits<uint64_t>::max();

static_assert(Histogram::kMinExponent == kernels::kFinestExponent &&
                  Histogram::kMaxExponent == kernels::kCoarsestExponent,
              "the kernels know every grid");

// The processor may be set to convert a denormal float to zero.
double ToDouble(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  if ((bits & 0x7f800000u) != 0) return static_cast<double>(value);
  const double magnitude = static_cast<double>(bits & 0x7fffffu) * 0x1p-149;
  return bits >> 31 != 0 ? -magnitude : magnitude;
}
double ToDouble(double value) { return value; }

// The bin of a value of at most 2^(exponent + kResolutionBits) in magnitude.
int64_t BinOf(double value, int exponent) {
  int32_t bin;
  kernels::reference::BinsOf(&value, 1, exponent, &bin);
  return bin;
}

int64_t BinOf(int64_t value, int exponent) {
  int32_t bin;
  kernels::reference::BinsOf(&value, 1, exponent, &bin);
  return bin;
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

// What stands for elements of IEEE binary16, which are stored as uint16_t.
struct Half {};

template <typename T>
struct ElementOf {
  using Type = T;
};
template <>
struct ElementOf<Half> {
  using Type = uint16_t;
};

template <typename T>
auto MinMaxOf(const typename ElementOf<T>::Type* values, std::size_t count) {
  if constexpr (std::is_same_v<T, Half>) {
    return kernels::MinMaxHalf(values, count);
  } else {
    return kernels::MinMax(values, count);
  }
}

template <typename T>
void FindBins(const typename ElementOf<T>::Type* values, std::size_t count,
              int exponent, int32_t* bins) {
  if constexpr (std::is_same_v<T, Half>) {
    kernels::BinsOfHalf(values, count, exponent, bins);
  } else {
    kernels::BinsOf(values, count, exponent, bins);
  }
}

template <typename T>
uint64_t LeftOut(const kernels::FloatExtremes<T>& found) {
  return found.left_out();
}
template <typename T>
uint64_t LeftOut(const kernels::IntegerExtremes<T>& /*found*/) {
  return 0;
}

// A number as the type that grids are made of.
template <typename T>
auto Widest(T value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<int64_t>(value);
  } else {
    return ToDouble(value);
  }
}

}  // namespace

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

Histogram::Grid Histogram::Union(Grid grid) const {
  if (!empty()) {
    const int exponent = std::max(grid.exponent, exponent_);
    const int steps = exponent - grid.exponent;
    const int own_steps = exponent - exponent_;
    const int64_t own_last =
        first_bin_ + static_cast<int64_t>(counts_.size()) - 1;
    grid.exponent = exponent;
    grid.first = std::min(CoarserBin(grid.first, steps),
                          CoarserBin(first_bin_, own_steps));
    grid.last =
        std::max(CoarserBin(grid.last, steps), CoarserBin(own_last, own_steps));
  }
  for (; grid.last - grid.first >= max_bins_; ++grid.exponent) {
    grid.first >>= 1;
    grid.last >>= 1;
  }
  return grid;
}

Histogram::Grid Histogram::GridFor(double min, double max) const {
  const int exponent =
      std::max(FinestExponent(std::max(std::abs(min), std::abs(max))),
               empty() ? kMinExponent : exponent_);
  return Union({exponent, BinOf(min, exponent), BinOf(max, exponent)});
}

Histogram::Grid Histogram::GridFor(int64_t min, int64_t max) const {
  const int exponent =
      std::max(FinestExponent(min, max), empty() ? kMinExponent : exponent_);
  return Union({exponent, BinOf(min, exponent), BinOf(max, exponent)});
}

void Histogram::Reshape(const Grid& grid) {
  if (empty()) {
    exponent_ = grid.exponent;
    first_bin_ = grid.first;
  } else {
    Widen(grid.exponent);
  }
  if (grid.first < first_bin_) {
    counts_.insert(counts_.begin(),
                   static_cast<std::size_t>(first_bin_ - grid.first), 0);
    first_bin_ = grid.first;
  }
  const auto size = static_cast<std::size_t>(grid.last - first_bin_ + 1);
  if (size > counts_.size()) counts_.resize(size, 0);
}

void Histogram::Count(int64_t bin, uint64_t times) {
  counts_[static_cast<std::size_t>(bin - first_bin_)] += times;
  total_ += times;
}

void Histogram::AddRepeated(double value, uint64_t times) {
  if (!std::isfinite(value) || times == 0) return;
  if (times > kLargestCount - total_) return;
  Reshape(GridFor(value, value));
  Count(BinOf(value, exponent_), times);
}

// One array on its way into a histogram, a block of it at a time. T says what
// the elements are: their type or Half.
template <typename T>
class Histogram::Pass {
 public:
  using Element = typename ElementOf<T>::Type;
  using Extremes = decltype(MinMaxOf<T>(nullptr, 0));

  explicit Pass(Histogram* histogram) : histogram_(histogram) {}

  void Run(const Element* values, std::size_t count, Extremes* extremes) {
    Extremes all;
    if (count > kLargestCount - histogram_->total_) {
      all = MinMaxOf<T>(values, count);
    } else {
      has_table_ =
          count >= kShortArray &&
          histogram_->max_bins_ <= static_cast<int>(kernels::BinTable::kBins);
      for (std::size_t i = 0; i < count; i += kBlock) {
        const std::size_t length = std::min(kBlock, count - i);
        const Extremes found = MinMaxOf<T>(values + i, length);
        kernels::Merge(found, &all);
        next_ = values + i + length;
        next_count_ = std::min(kBlock, count - i - length);
        Count(values + i, length, found);
      }
      Flush();
    }
    if (extremes != nullptr) *extremes = all;
  }

 private:
  // A block stays in the first-level cache, beside the table, while it is
  // looked at twice; so do the bins of a part.
  static constexpr std::size_t kBlock = 4096;
  static constexpr std::size_t kPart = 512;
  // Shorter arrays are counted in place: the table is not worth folding.
  static constexpr std::size_t kShortArray = 2048;

  void Count(const Element* values, std::size_t count, const Extremes& found) {
    const std::size_t finite = count - static_cast<std::size_t>(LeftOut(found));
    if (finite == 0) return;
    const auto min = Widest(found.min), max = Widest(found.max);
    const Grid grid = histogram_->GridFor(min, max);
    if (grid.exponent != histogram_->exponent_) Flush();
    histogram_->Reshape(grid);
    const int64_t first = BinOf(min, grid.exponent);
    if (first == BinOf(max, grid.exponent)) {
      histogram_->Count(first, finite);
      return;
    }
    histogram_->total_ += finite;
    int32_t bins[kPart];
    for (std::size_t i = 0; i < count; i += kPart) {
      const std::size_t length = std::min(kPart, count - i);
      FetchNext(i);
      FindBins<T>(values + i, length, grid.exponent, bins);
      if (has_table_ && finite == count) {
        CountInTable(bins, length);
      } else {
        CountInPlace(bins, length);
      }
    }
  }

  // Asks for a part of the next block, for memory is idle while this one is
  // counted: of use to arrays outside the cache.
  void FetchNext(std::size_t begin) const {
    constexpr std::size_t kLine = 64 / sizeof(Element);
    const std::size_t end = std::min(begin + kPart, next_count_);
    for (std::size_t i = begin; i < end; i += kLine) {
      __builtin_prefetch(next_ + i, 0, 2);
    }
  }

  void CountInPlace(const int32_t* bins, std::size_t count) {
    uint64_t* const counts = histogram_->counts_.data();
    const uint64_t size = histogram_->counts_.size();
    for (std::size_t i = 0; i < count; ++i) {
      // kNoBin is outside.
      const auto at = static_cast<uint64_t>(bins[i] - histogram_->first_bin_);
      if (at < size) ++counts[at];
    }
  }

  void CountInTable(const int32_t* bins, std::size_t count) {
    if (pending_ == 0 && !is_clear_) {
      std::memset(&table_, 0, sizeof(table_));
      is_clear_ = true;
    }
    kernels::CountBins(bins, count, &table_);
    pending_ += kPart;
    if (pending_ > kernels::BinTable::kCapacity - kPart) Flush();
  }

  // Moves the table's counts to the histogram; needed before its bins widen.
  void Flush() {
    if (pending_ == 0) return;
    uint32_t sums[kernels::BinTable::kBins];
    kernels::FoldTable(&table_, sums);
    // The bins lie in the table one after the other, from its end to its start.
    constexpr std::size_t kBins = kernels::BinTable::kBins;
    uint64_t* const counts = histogram_->counts_.data();
    const std::size_t size = histogram_->counts_.size();
    const auto first = static_cast<std::size_t>(histogram_->first_bin_) % kBins;
    const std::size_t before_end = std::min(size, kBins - first);
    for (std::size_t i = 0; i < before_end; ++i) counts[i] += sums[first + i];
    for (std::size_t i = before_end; i < size; ++i) {
      counts[i] += sums[i - before_end];
    }
    pending_ = 0;
  }

  Histogram* const histogram_;
  const Element* next_ = nullptr;  // the block after the one that is counted
  std::size_t next_count_ = 0;
  bool has_table_ = false;
  bool is_clear_ = false;
  std::size_t pending_ = 0;  // values in the table since it was folded
  kernels::BinTable table_;
};

void Histogram::Add(const float* values, std::size_t count,
                    kernels::FloatExtremes<float>* extremes) {
  Pass<float>(this).Run(values, count, extremes);
}

void Histogram::Add(const double* values, std::size_t count,
                    kernels::FloatExtremes<double>* extremes) {
  Pass<double>(this).Run(values, count, extremes);
}

void Histogram::AddHalf(const uint16_t* values, std::size_t count,
                        kernels::FloatExtremes<float>* extremes) {
  Pass<Half>(this).Run(values, count, extremes);
}

#define DEFINE(T)                                              \
  void Histogram::Add(const T* values, std::size_t count,      \
                      kernels::IntegerExtremes<T>* extremes) { \
    Pass<T>(this).Run(values, count, extremes);                \
  }
DEFINE(int16_t)
DEFINE(uint16_t)
DEFINE(int32_t)
DEFINE(int64_t)
#undef DEFINE

template <typename T>
void Histogram::AddBytes(const T* values, std::size_t count,
                         kernels::IntegerExtremes<T>* extremes) {
  uint64_t times[256] = {};
  kernels::CountBytes(reinterpret_cast<const uint8_t*>(values), count, times);
  kernels::IntegerExtremes<T> found;
  for (int b = 0; b < 256; ++b) {
    if (times[b] == 0) continue;
    const T value = static_cast<T>(b);
    found.min = std::min(found.min, value);
    found.max = std::max(found.max, value);
  }
  found.zero_count = times[0];
  if (extremes != nullptr) *extremes = found;
  if (count == 0 || count > kLargestCount - total_) return;
  Reshape(GridFor(int64_t{found.min}, int64_t{found.max}));
  for (int b = 0; b < 256; ++b) {
    if (times[b] == 0) continue;
    Count(BinOf(int64_t{static_cast<T>(b)}, exponent_), times[b]);
  }
}

void Histogram::Add(const int8_t* values, std::size_t count,
                    kernels::IntegerExtremes<int8_t>* extremes) {
  AddBytes(values, count, extremes);
}

void Histogram::Add(const uint8_t* values, std::size_t count,
                    kernels::IntegerExtremes<uint8_t>* extremes) {
  AddBytes(values, count, extremes);
}

Status Histogram::Merge(const Histogram& other) {
  if (max_bins_ != other.max_bins_) {
    return Status::InvalidArgument(
        "histograms of " + std::to_string(max_bins_) + " and " +
        std::to_string(other.max_bins_) + " bins cannot be merged");
  }
  if (other.empty()) return Status::Ok();
  if (other.total_ > kLargestCount - total_) {
    return Status::OutOfRange(
        "the merged histogram would count " + std::to_string(total_) + " + " +
        std::to_string(other.total_) + " values, expected 2^64 - 1 at most");
  }
  if (&other == this) return Merge(Histogram(other));
  Reshape(Union(
      {other.exponent_, other.first_bin_,
       other.first_bin_ + static_cast<int64_t>(other.counts_.size()) - 1}));
  const int steps = exponent_ - other.exponent_;
  for (std::size_t i = 0; i < other.counts_.size(); ++i) {
    const int64_t bin =
        CoarserBin(other.first_bin_ + static_cast<int64_t>(i), steps);
    counts_[static_cast<std::size_t>(bin - first_bin_)] += other.counts_[i];
  }
  total_ += other.total_;
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
    // No value is beyond 2^1024, and no index beyond its bits.
    const int bits = std::min(kResolutionBits, 1024 - exponent);
    const int64_t furthest = int64_t{1} << bits;
    if (first_bin < -furthest || first_bin > furthest - size) {
      return Status::Corruption(
          "the first bin is " + std::to_string(first_bin) + " of " +
          std::to_string(size) + ", expected all bins between -2^" +
          std::to_string(bits) + " and 2^" + std::to_string(bits));
    }
    if (counts.front() == 0 || counts.back() == 0) {
      return Status::Corruption("the first or the last bin counts nothing");
    }
    for (const uint64_t count : counts) {
      if (count > kLargestCount - made.total_) {
        return Status::Corruption(
            "the bins count more than 2^64 - 1 values together");
      }
      made.total_ += count;
    }
    made.exponent_ = exponent;
    made.first_bin_ = first_bin;
    made.counts_ = std::move(counts);
  }
  *histogram = std::move(made);
  return Status::Ok();
}

}  // namespace caffe2_quantization
