// Kernels that requantize 32-bit sums to codes: q =
// round(sum * multiplier) + zero_point.
//
// Rounding.
//   float        q = clamp(nearbyint(fl(fl(sum) * multiplier)) + zero_point)
//                fl to the nearest float, nearbyint half to even; a sum beyond
//                2^24 loses its last bits first
//   fixed point  q = clamp(((sum * multiplier + 2^(shift - 1)) >> shift)
//                          + zero_point)
//                exact in 64 bits, half upwards; the multiplier is an integer
// Both are FBGEMM's (Requantize, RequantizeFixedPoint), but saturate where its
// products leave 32 bits. Every target gives the same bits.
//
// Preconditions: float multipliers are positive and finite; fixed-point ones
// are from 0 to 2^31 - 1, shifts from 1 to 62; zero_point is within [qmin,
// qmax], and T holds these codes. src and dst must not overlap; no alignment is
// needed. T: int8_t, uint8_t, int16_t, uint16_t, int32_t. Thread rule: pure
// functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_REQUANTIZE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_REQUANTIZE_H_

#include <cstddef>
#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

// What a sum becomes.
struct CodeRange {
  int32_t zero_point, qmin, qmax;
};

// dst[i] = requantized src[i], for i < count, with multipliers[i / run_length].
template <typename T>
void RequantizeRuns(const int32_t* src, std::size_t count,
                    std::size_t run_length, const float* multipliers,
                    const CodeRange& range, T* dst);

template <typename T>
void RequantizeFixedPointRuns(const int32_t* src, std::size_t count,
                              std::size_t run_length,
                              const int32_t* multipliers, const int32_t* shifts,
                              const CodeRange& range, T* dst);

// The plain forms that define the results; also what the cap `scalar` runs.
namespace reference {
template <typename T>
void RequantizeRuns(const int32_t* src, std::size_t count,
                    std::size_t run_length, const float* multipliers,
                    const CodeRange& range, T* dst);
template <typename T>
void RequantizeFixedPointRuns(const int32_t* src, std::size_t count,
                              std::size_t run_length,
                              const int32_t* multipliers, const int32_t* shifts,
                              const CodeRange& range, T* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_REQUANTIZE_H_
