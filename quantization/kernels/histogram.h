// Counts values into the bins of a grid: bin i of width 2^exponent holds
//   i * 2^exponent <= x < (i + 1) * 2^exponent.
//
// It takes two steps over a block that fits into the first-level cache: it
// finds the bins of the values (by vectors), then counts the bins (one at a
// time).
//
// Every target gives the same results, in every mode of the processor: a
// negative denormal is in bin -1 even if denormals are treated as zeros. No
// alignment is needed; arrays do not overlap. Thread rule: pure functions; call
// from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_HISTOGRAM_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_HISTOGRAM_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace kernels {

// The bin of a value that is not finite.
constexpr int32_t kNoBin = std::numeric_limits<int32_t>::min();
constexpr int kFinestExponent = -126;
constexpr int kCoarsestExponent = 1023;

// bins[i] = floor(src[i] * 2^-exponent), exactly: -0 is in bin 0.
// kFinestExponent <= exponent <= kCoarsestExponent. A finite value outside
// [-2^22, 2^22] * 2^exponent gets an unspecified bin.
void BinsOf(const float* src, std::size_t count, int exponent, int32_t* bins);
void BinsOf(const double* src, std::size_t count, int exponent, int32_t* bins);
// src holds IEEE binary16 bit patterns.
void BinsOfHalf(const uint16_t* src, std::size_t count, int exponent,
                int32_t* bins);
#define CAFFE2_QUANTIZATION_DECLARE(T) \
  void BinsOf(const T* src, std::size_t count, int exponent, int32_t* bins);
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(CAFFE2_QUANTIZATION_DECLARE)
#undef CAFFE2_QUANTIZATION_DECLARE

// Counts of up to kBins neighbouring bins: bin i is counted at i modulo kBins.
// Neighbouring values go to different ways, because a counter that was just
// written cannot be read again at once.
struct BinTable {
  static constexpr std::size_t kBins = 2048;
  static constexpr std::size_t kWays = 8;
  // The number of values (a multiple of kWays) after which it must be folded.
  static constexpr std::size_t kCapacity =
      kWays * std::numeric_limits<uint16_t>::max();

  alignas(64) uint16_t counts[kBins * kWays];
};

// Adds to the table. Every bin is in its bounds, also kNoBin (as bin 0).
void CountBins(const int32_t* bins, std::size_t count, BinTable* table);

// sums[i] = what the table counts at i, for kBins of them; clears the table.
void FoldTable(BinTable* table, uint32_t* sums);

// counts[b] += how often byte b is in src, for all 256 bytes.
void CountBytes(const uint8_t* src, std::size_t count, uint64_t* counts);

// Another grid: num_bins bins of equal width between two floats. In float,
//   width = (max - min) / num_bins,  bin = floor((x - min) / width),
// clamped to 0 to num_bins - 1; all values are in bin 0 if the width is 0.
// Preconditions: values are finite, min <= max, max - min is finite,
// 0 < num_bins <= 2^20.
void UniformBinsOf(const float* src, std::size_t count, float min, float max,
                   std::size_t num_bins, int32_t* bins);
// counts[b] += how many values are in bin b.
void CountUniformBins(const float* src, std::size_t count, float min, float max,
                      std::size_t num_bins, uint64_t* counts);

namespace reference {
void UniformBinsOf(const float* src, std::size_t count, float min, float max,
                   std::size_t num_bins, int32_t* bins);
void BinsOf(const float* src, std::size_t count, int exponent, int32_t* bins);
void BinsOf(const double* src, std::size_t count, int exponent, int32_t* bins);
void BinsOfHalf(const uint16_t* src, std::size_t count, int exponent,
                int32_t* bins);
#define CAFFE2_QUANTIZATION_DECLARE(T) \
  void BinsOf(const T* src, std::size_t count, int exponent, int32_t* bins);
CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(CAFFE2_QUANTIZATION_DECLARE)
#undef CAFFE2_QUANTIZATION_DECLARE
void CountBins(const int32_t* bins, std::size_t count, BinTable* table);
void FoldTable(BinTable* table, uint32_t* sums);
void CountBytes(const uint8_t* src, std::size_t count, uint64_t* counts);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_HISTOGRAM_H_
