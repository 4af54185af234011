// Kernels between floats and integers of affine quantization.
//
// Rounding, of types of 16 bits and fewer, in float:
//   quantize     q = clamp(nearbyint(fma(x, inverse, zero_point)))
//   dequantize   x = fl(scale * (q - zero_point))
// where inverse = fl(1 / scale), fl rounds to nearest, nearbyint half to even,
// fma once, and clamp is to [qmin, qmax]. Infinities saturate; NaN becomes
// zero_point, which stands for 0. Of int32: the same with an inverse and a
// multiply-add of doubles, and the product of doubles rounded to float.
//
// Every target gives the same bits, also where the processor takes denormals
// for zeros, but of a denormal x.
//
// Parameters come in runs: value i has those of run i / run_length, and
// run_length is 1 or more. Preconditions: scales from 2^-126 to 2^126, zero
// points within [qmin, qmax], which T holds. src and dst must not overlap; no
// alignment is needed.
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_QUANTIZE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_QUANTIZE_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// Runs shorter than this, but of length 1, are computed by the plain form.
inline constexpr std::size_t kShortestFastRun = 16;

// The parameters in the form that the kernels take, of count runs: fl(1 /
// scale) unless inverses is null, and zero points as floats, which are exact.
void PrepareRuns(const float* scales, const int32_t* zero_points,
                 std::size_t count, float* inverses, float* float_zero_points);

// dst[i] = quantized src[i], for i < count. T: int8_t, uint8_t, int16_t,
// uint16_t. If ahead is not 0, src[i + ahead] is fetched into the cache: what
// will be read next, where it does not follow.
template <typename T>
void QuantizeRuns(const float* src, std::size_t count, std::size_t run_length,
                  const float* inverses, const float* zero_points, int32_t qmin,
                  int32_t qmax, T* dst, std::size_t ahead = 0);

// dst[i] = dequantized src[i], in the same way.
template <typename T>
void DequantizeRuns(const T* src, std::size_t count, std::size_t run_length,
                    const float* scales, const float* zero_points, float* dst);

// Parts of the same, in other forms. They do a part, from the first value on,
// and return how many values that is: an even number, 0 where the runs do not
// suit; the rest is for the functions above.
//   - with dst written past the cache (see below): it is aligned to kCacheLine,
//     and what is done fills whole lines;
//   - of codes of 4 bits, two a byte as kernels/nibbles.h has them.
template <typename T>
std::size_t StreamDequantizedRuns(const T* src, std::size_t count,
                                  std::size_t run_length, const float* scales,
                                  const float* zero_points, float* dst);
std::size_t QuantizeRunsToNibbles(const float* src, std::size_t count,
                                  std::size_t run_length, const float* inverses,
                                  const float* zero_points, int32_t qmin,
                                  int32_t qmax, uint8_t* dst,
                                  std::size_t ahead = 0);
std::size_t DequantizeRunsOfNibbles(const uint8_t* src, bool is_signed,
                                    std::size_t count, std::size_t run_length,
                                    const float* scales,
                                    const float* zero_points, float* dst,
                                    bool streaming);

// For int32, which biases and sums are, in plain form alone.
void QuantizeRuns(const float* src, std::size_t count, std::size_t run_length,
                  const float* scales, const int32_t* zero_points,
                  int32_t* dst);
void DequantizeRuns(const int32_t* src, std::size_t count,
                    std::size_t run_length, const float* scales,
                    const int32_t* zero_points, float* dst);

// Copies whole cache lines past the cache: dst is aligned to kCacheLine, and
// bytes a multiple of it. FlushStream() makes what one or more calls wrote
// visible to other threads.
inline constexpr std::size_t kCacheLine = 64;
void StreamLines(const void* src, std::size_t bytes, void* dst);
void FlushStream();

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
template <typename T>
void QuantizeRuns(const float* src, std::size_t count, std::size_t run_length,
                  const float* inverses, const float* zero_points, int32_t qmin,
                  int32_t qmax, T* dst);
template <typename T>
void DequantizeRuns(const T* src, std::size_t count, std::size_t run_length,
                    const float* scales, const float* zero_points, float* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_QUANTIZE_H_
