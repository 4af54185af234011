// ChannelOrder: where the values of each parameter set of a tensor are.
//
// Sets are numbered as QuantizationParams numbers them: channel by channel,
// block by block. In channel order (all values of channel 0 in memory order,
// then those of channel 1, …) each set is one run of values:
//
//   kTensor        1 set of all values
//   kChannel       a set a channel
//   kBlock         one channel of all values, cut into blocks
//   kChannelBlock  each channel cut into blocks
//
// The last block of a channel may be shorter. An empty tensor has one set.
//
// Thread rule: a value; the functions are pure.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_ORDER_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quantization/channel_layout.h"
#include "quantization/quantization_params.h"
#include "quantization/status.h"

namespace caffe2_quantization {

class ChannelOrder {
 public:
  struct Run {
    std::size_t begin;
    std::size_t size;
  };

  // axis counts for kChannel and kChannelBlock, block_size for kBlock and
  // kChannelBlock. An error names a negative dimension, an axis that the shape
  // has not, a block size below 1, or a shape of more than 2^62 values.
  static Status Of(const std::vector<int64_t>& shape, Granularity granularity,
                   int axis, int64_t block_size, ChannelOrder* order);
  // Of a tensor with these parameters; an error also when they have another
  // number of sets, or one that no tensor can have.
  static Status Of(const std::vector<int64_t>& shape,
                   const QuantizationParams& params, ChannelOrder* order);

  const ChannelLayout& layout() const { return layout_; }
  bool by_channel() const { return by_channel_; }
  bool by_block() const { return by_block_; }
  std::size_t num_values() const {
    return static_cast<std::size_t>(layout_.count());
  }
  std::size_t size() const {  // sets
    return static_cast<std::size_t>(layout_.channels) * sets_per_channel_;
  }
  std::size_t sets_per_channel() const { return sets_per_channel_; }
  // Of all but a channel's last one; 1 or more.
  std::size_t values_per_set() const { return values_per_set_; }
  // Where the values of a set stand in channel order; set < size().
  Run RunOf(std::size_t set) const;

 private:
  ChannelLayout layout_;
  bool by_channel_ = false;
  bool by_block_ = false;
  std::size_t values_per_channel_ = 0;
  std::size_t values_per_set_ = 1;
  std::size_t sets_per_channel_ = 1;
};

// An error when no values can have these parameters: it names what is wrong.
Status CheckParameters(QuantizedType type, float scale, int32_t zero_point);

// The values in channel order: src itself if it is in that order, else a copy
// in *buffer, which must outlive the use of what is returned. src holds
// layout.count() values.
const float* InChannelOrder(const float* src, const ChannelLayout& layout,
                            std::vector<float>* buffer);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_ORDER_H_
