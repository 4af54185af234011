// Kernels that convert between floats and the integers of affine quantization.
//
// Rounding, for types of 16 bits and fewer, in float:
//   quantize     q = clamp(nearbyint(fma(x, inverse, zero_point)))
//   dequantize   x = fl(scale * (q - zero_point))
// where inverse = fl(1 / scale), fl rounds to nearest, nearbyint half to even,
// fma once, and clamp is to [qmin, qmax]. Infinities saturate; NaN becomes
// zero_point, which stands for 0. For int32 the inverse and the multiply-add
// are of doubles, and the product of doubles is rounded to float.
//
// Every target gives the same bits, even if the processor treats denormals as
// zeros, except for a denormal x.
//
// Parameters come in runs: value i has those of run i / run_length, and
// run_length is 1 or more. Preconditions: scales are from 2^-126 to 2^126, zero
// points are within [qmin, qmax], and T holds these codes. src and dst must not
// overlap; no alignment is needed. Thread rule: pure functions; call from any
// thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_QUANTIZE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_QUANTIZE_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// Runs shorter than this, except those of length 1, are computed by the plain
// form.
inline constexpr std::size_t kShortestFastRun = 16;

// Puts the parameters of `count` runs in the form that the kernels take:
// fl(1 / scale), unless inverses is null, and zero points as floats, which are
// exact.
void PrepareRuns(const float* scales, const int32_t* zero_points,
                 std::size_t count, float* inverses, float* float_zero_points);

// dst[i] = quantized src[i], for i < count. T: int8_t, uint8_t, int16_t,
// uint16_t. If ahead is not 0, src[i + ahead] is fetched into the cache: what
// will be read next, if it does not follow in memory.
template <typename T>
void QuantizeRuns(const float* src, std::size_t count, std::size_t run_length,
                  const float* inverses, const float* zero_points, int32_t qmin,
                  int32_t qmax, T* dst, std::size_t ahead = 0);

// dst[i] = dequantized src[i], in the same way.
template <typename T>
void DequantizeRuns(const T* src, std::size_t count, std::size_t run_length,
                    const float* scales, const float* zero_points, float* dst);

// The same in other forms. They process only a part, from the first value on,
// and return how many values that is: an even number, and 0 if the runs do not
// suit. The functions above must process the rest. The forms are:
//   - dst is written past the cache (see below): it is aligned to kCacheLine,
//     and the part fills whole lines;
//   - codes have 4 bits, two per byte, as in kernels/nibbles.h.
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

// For int32, the type of biases and sums; there is only a plain form.
void QuantizeRuns(const float* src, std::size_t count, std::size_t run_length,
                  const float* scales, const int32_t* zero_points,
                  int32_t* dst);
void DequantizeRuns(const int32_t* src, std::size_t count,
                    std::size_t run_length, const float* scales,
                    const int32_t* zero_points, float* dst);

// Copies whole cache lines past the cache: dst is aligned to kCacheLine, and
// `bytes` is a multiple of it. FlushStream() makes what one or more calls wrote
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
