// The plain scalar forms of the histogram kernels.
#include <algorithm>
#include <cstring>

#include "quantization/kernels/histogram.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {
namespace {

// floor(value * 2^shift) for a result of 32 bits.
int32_t Shifted(int64_t value, int shift) {
  if (shift >= 0) {
    return static_cast<int32_t>(
        shift > 63 ? 0 : static_cast<uint64_t>(value) << shift);
  }
  return static_cast<int32_t>(value >> std::min(-shift, 63));
}

// In integers throughout: nothing depends on how the processor rounds or what
// it does with denormals.
template <typename T, typename Bits>
int32_t BinOf(T value, int exponent) {
  constexpr int kFraction = std::numeric_limits<T>::digits - 1;
  constexpr int kExponentBits = static_cast<int>(sizeof(T)) * 8 - 1 - kFraction;
  constexpr int kLargest = (1 << kExponentBits) - 1;
  Bits bits;
  std::memcpy(&bits, &value, sizeof(bits));
  const auto biased = static_cast<int>(bits >> kFraction) & kLargest;
  if (biased == kLargest) return kNoBin;
  // value = mantissa * 2^power
  auto mantissa =
      static_cast<int64_t>(bits & ((Bits{1} << kFraction) - Bits{1}));
  if (biased != 0) mantissa |= int64_t{1} << kFraction;
  const int power = std::max(biased, 1) - kLargest / 2 - kFraction;
  if (bits >> (sizeof(T) * 8 - 1) != 0) mantissa = -mantissa;
  return Shifted(mantissa, power - exponent);
}

}  // namespace

void BinsOf(const float* src, std::size_t count, int exponent, int32_t* bins) {
  for (std::size_t i = 0; i < count; ++i) {
    bins[i] = BinOf<float, uint32_t>(src[i], exponent);
  }
}

void BinsOf(const double* src, std::size_t count, int exponent, int32_t* bins) {
  for (std::size_t i = 0; i < count; ++i) {
    bins[i] = BinOf<double, uint64_t>(src[i], exponent);
  }
}

void BinsOfHalf(const uint16_t* src, std::size_t count, int exponent,
                int32_t* bins) {
  for (std::size_t i = 0; i < count; ++i) {
    bins[i] = BinOf<float, uint32_t>(HalfToFloat(src[i]), exponent);
  }
}

#define DEFINE(T)                                                             \
  void BinsOf(const T* src, std::size_t count, int exponent, int32_t* bins) { \
    for (std::size_t i = 0; i < count; ++i) {                                 \
      bins[i] = Shifted(src[i], -exponent);                                   \
    }                                                                         \
  }
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(DEFINE)
#undef DEFINE

void CountBins(const int32_t* bins, std::size_t count, BinTable* table) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t bin = static_cast<uint32_t>(bins[i]) % BinTable::kBins;
    ++table->counts[bin * BinTable::kWays + i % BinTable::kWays];
  }
}

void FoldTable(BinTable* table, uint32_t* sums) {
  for (std::size_t i = 0; i < BinTable::kBins; ++i) {
    uint16_t* const ways = table->counts + i * BinTable::kWays;
    sums[i] = 0;
    for (std::size_t k = 0; k < BinTable::kWays; ++k) sums[i] += ways[k];
    std::fill_n(ways, BinTable::kWays, uint16_t{0});
  }
}

void CountBytes(const uint8_t* src, std::size_t count, uint64_t* counts) {
  for (std::size_t i = 0; i < count; ++i) ++counts[src[i]];
}

void UniformBinsOf(const float* src, std::size_t count, float min, float max,
                   std::size_t num_bins, int32_t* bins) {
  const float width = (max - min) / static_cast<float>(num_bins);
  const auto last = static_cast<int32_t>(num_bins) - 1;
  for (std::size_t i = 0; i < count; ++i) {
    bins[i] =
        width == 0
            ? 0
            : std::max(0, std::min(static_cast<int32_t>((src[i] - min) / width),
                                   last));
  }
}

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
