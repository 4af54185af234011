// The plain form of shuffle_groups.h.
#include "quantization/kernels/shuffle_groups.h"

namespace caffe2_quantization {
namespace kernels {
namespace reference {

template <typename T>
void ShuffleGroups(const T* src, int64_t, int64_t groups, int64_t per_group,
                   int64_t begin, int64_t end, T* dst) {
  const int64_t channels = groups * per_group;
  if (begin >= end) return;
  const T* pixel = src + begin / channels * channels;
  int64_t k = begin % channels / groups;
  int64_t g = begin % groups;
  while (begin < end) {
    // The rest of a turn: one channel of each group from g on.
    for (; g < groups && begin < end; ++g, ++begin) {
      *dst++ = pixel[g * per_group + k];
    }
    g = 0;
    if (++k < per_group) continue;
    k = 0;
    pixel += channels;
  }
}

template void ShuffleGroups<uint8_t>(const uint8_t*, int64_t, int64_t, int64_t,
                                     int64_t, int64_t, uint8_t*);
template void ShuffleGroups<uint16_t>(const uint16_t*, int64_t, int64_t,
                                      int64_t, int64_t, int64_t, uint16_t*);
template void ShuffleGroups<float>(const float*, int64_t, int64_t, int64_t,
                                   int64_t, int64_t, float*);

}  // namespace reference
}  // namespace kernels
}  // namespace caffe2_quantization
