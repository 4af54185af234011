// Scales codes channel by channel: a batch normalization, a group's, or an
// elementwise linear function, from codes to codes.
//
//   dst[i] = RoundedCode((alpha[c] * (src[i] - zero_point) + beta[c]) / scale)
//   c      = i / inner % channels
//
// It is the rule of rounded_code.h, in double. inner is 1 where channels are
// the last dimension, else the size of what follows them.
//
// Every target gives the same bits. dst may be src; else they do not overlap.
// No alignment is needed. Thread rule: a ChannelScaling that was prepared is
// only read; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SCALE_CHANNELS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SCALE_CHANNELS_H_

#include <cstdint>
#include <vector>

#include "quantization/kernels/rounded_code.h"

namespace caffe2_quantization {
namespace kernels {

// What channels are scaled by. Set the first part, then prepare it.
struct ChannelScaling {
  int64_t channels = 0, inner = 1;  // both 1 or more
  int32_t zero_point = 0;           // of src, a code
  float scale = 1;                  // of dst, positive
  CodeRange range{0, 0, 255};       // of dst, within 0 to 255
  std::vector<double> alpha, beta;  // [channels]; of any value

  // Made by PrepareChannels, for element i at i % period, and some more, so
  // that a vector may begin at any of them. In codes of dst: what a code of src
  // is multiplied by, and what is added, below and above which the exact number
  // cannot be, whatever is rounded in float. If both give the same code, it is
  // the right one.
  std::vector<float> multipliers, low_offsets, high_offsets;
  int64_t period = 0;   // a multiple of channels
  int64_t repeats = 1;  // how often each channel stands there
};

void PrepareChannels(ChannelScaling* scaling);

// src and dst begin with element `first` of the equation above; count >= 0.
void ScaleChannels(const ChannelScaling& scaling, const uint8_t* src,
                   int64_t first, int64_t count, uint8_t* dst);

// The plain form that defines the results; also what the cap `scalar` runs.
namespace reference {
uint8_t ScaledCode(const ChannelScaling& scaling, int64_t channel,
                   uint8_t code);
void ScaleChannels(const ChannelScaling& scaling, const uint8_t* src,
                   int64_t first, int64_t count, uint8_t* dst);
}  // namespace reference

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_SCALE_CHANNELS_H_
