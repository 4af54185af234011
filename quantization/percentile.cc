#include "quantization/percentile.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <functional>
#include <numeric>

#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

// Bits of a float as an integer in the order of the values, -0 before 0. (The
// processor may be set to take denormals for zeros: no float is compared.)
uint32_t KeyOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  // All bits of a negative one are turned round, else the sign alone.
  const auto negative =
      static_cast<uint32_t>(-static_cast<int32_t>(bits >> 31));
  return bits ^ (negative | 0x80000000u);
}

float ValueOf(uint32_t key) {
  const uint32_t bits = (key >> 31) != 0 ? key ^ 0x80000000u : ~key;
  if (bits == 0x80000000u) return 0;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// 2^64 - 1 at most.
uint64_t Add(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum < a ? ~uint64_t{0} : sum;
}

// The rank-th largest of keys that come one by one, from 0. It holds the rank +
// 1 largest and as many that came since; of those that come only such as are
// larger than all but rank of those held.
class Largest {
 public:
  Largest(std::size_t rank, std::size_t count) : rank_(rank) {
    constexpr std::size_t kFewest = 64;
    capacity_ = std::max(2 * (rank + 1), kFewest);
    keys_.reserve(std::min(capacity_, count));
  }

  bool Wants(uint32_t key) const { return !is_bounded_ || key > bound_; }

  void Take(uint32_t key) {
    if (!Wants(key)) return;
    keys_.push_back(key);
    if (keys_.size() == capacity_) Shrink();
  }

  uint32_t Find() {
    Shrink();
    return bound_;
  }

 private:
  void Shrink() {
    const auto nth = keys_.begin() + static_cast<std::ptrdiff_t>(rank_);
    std::nth_element(keys_.begin(), nth, keys_.end(), std::greater<>());
    bound_ = *nth;
    is_bounded_ = true;
    keys_.resize(rank_ + 1);
  }

  const std::size_t rank_;
  std::size_t capacity_;
  bool is_bounded_ = false;
  uint32_t bound_ = 0;
  std::vector<uint32_t> keys_;
};

}  // namespace

uint64_t LeftOutAtEitherEnd(uint64_t count, double percentile) {
  if (count == 0) return 0;
  // A percentile is off by 2^-54 at most, and by as much again where it was
  // divided by 100.
  constexpr double kLastBits = 0x1p-53;
  const double share = (1 - percentile) / 2;
  const auto steps = static_cast<double>(count - 1);
  if (share <= kLastBits) return 0;
  return std::min(static_cast<uint64_t>(steps * (share + kLastBits)),
                  (count - 1) / 2);
}

ValueRange OrderStatistics(const float* values, std::size_t count,
                           std::size_t left_out) {
  // The smallest are the largest of the keys with all bits turned round.
  Largest largest(left_out, count), smallest(left_out, count);
  // Most blocks hold nothing of interest, which their extremes tell.
  constexpr std::size_t kBlock = 1024;
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t end = begin + std::min(kBlock, count - begin);
    const auto extremes = kernels::MinMax(values + begin, end - begin);
    if (largest.Wants(KeyOf(extremes.max))) {
      for (std::size_t i = begin; i < end; ++i) largest.Take(KeyOf(values[i]));
    }
    if (smallest.Wants(~KeyOf(extremes.min))) {
      for (std::size_t i = begin; i < end; ++i) {
        smallest.Take(~KeyOf(values[i]));
      }
    }
  }
  return {ValueOf(~smallest.Find()), ValueOf(largest.Find())};
}

uint64_t TotalCount(const std::vector<uint64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0}, Add);
}

BinsOfRange BinsOfOrderStatistics(const std::vector<uint64_t>& counts,
                                  uint64_t left_out) {
  BinsOfRange bins;
  uint64_t below = counts[0];
  while (below <= left_out) {
    below = Add(below, counts[++bins.first]);
  }
  bins.last = counts.size() - 1;
  uint64_t above = counts[bins.last];
  while (above <= left_out) {
    above = Add(above, counts[--bins.last]);
  }
  return bins;
}

}  // namespace caffe2_quantization
