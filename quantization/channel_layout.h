// ChannelLayout: a row-major tensor's channels as [outer, channels, inner].
//
// Thread rule: a value.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_LAYOUT_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_LAYOUT_H_

#include <cstdint>

namespace caffe2_quantization {

// A tensor without channels is [1, 1, count].
struct ChannelLayout {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
  int64_t count() const { return outer * channels * inner; }
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_LAYOUT_H_
