// Puts the values of a tensor in channel order: all values of channel 0 in
// memory order, then those of channel 1, and so on. In this order each
// parameter set is one run of values, so a function that takes an array can be
// given a set.
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_ORDER_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "quantization/quantization_params.h"

namespace caffe2_quantization {

struct SetRun {
  std::size_t begin;
  std::size_t size;
};

// Returns where the values of a set are in channel order;
// set < sets.num_sets().
SetRun RunOfSet(const ParameterSets& sets, int64_t set);

// Returns the values in channel order: src itself if it is in that order, else
// a copy in *buffer, which must live as long as the result is used. src holds
// sets.num_values() values.
const float* InChannelOrder(const float* src, const ParameterSets& sets,
                            std::vector<float>* buffer);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHANNEL_ORDER_H_
