// Finds the smallest and largest value of each channel of a tensor.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_RANGES_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_RANGES_H_

#include <vector>

#include "quantization/channel_layout.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {

struct ChannelRanges {
  // One value per channel: +infinity and -infinity if none of its values is
  // finite.
  std::vector<float> mins;
  std::vector<float> maxs;
  // The extremes of the whole tensor.
  kernels::FloatExtremes<float> all;
};

// src holds layout.count() elements, in the order [outer, channels, inner]. It
// takes one pass over memory, whichever axis the channels are on.
ChannelRanges FindChannelRanges(const float* src, const ChannelLayout& layout);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_RANGES_H_
