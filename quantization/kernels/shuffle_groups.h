// Shuffles channels that lie next to each other, as in NHWC: in each pixel the
// channels of all groups take turns.
//
//   dst[p * C + k * groups + g] = src[p * C + g * per_group + k]
//
// for g < groups and k < per_group, where C = groups * per_group.
//
// A call writes elements `begin` to `end` of the result to dst[0] and on, of a
// tensor of `count` elements, a multiple of C; so a result may be made in
// parts. groups and per_group are 1 or more. Every target gives the same bits.
// src and dst do not overlap; no alignment is needed. Thread rule: pure
// functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SHUFFLE_GROUPS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SHUFFLE_GROUPS_H_

#include <cstdint>

namespace caffe2_quantization {
namespace kernels {

void ShuffleGroups(const uint8_t* src, int64_t count, int64_t groups,
                   int64_t per_group, int64_t begin, int64_t end, uint8_t* dst);
// There is only a plain form for 16 bits and for floats.
void ShuffleGroups(const uint16_t* src, int64_t count, int64_t groups,
                   int64_t per_group, int64_t begin, int64_t end,
                   uint16_t* dst);
void ShuffleGroups(const float* src, int64_t count, int64_t groups,
                   int64_t per_group, int64_t begin, int64_t end, float* dst);

// The plain form that defines the result; also what the cap `scalar` runs.
namespace reference {
template <typename T>
void ShuffleGroups(const T* src, int64_t count, int64_t groups,
                   int64_t per_group, int64_t begin, int64_t end, T* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SHUFFLE_GROUPS_H_
