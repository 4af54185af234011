// What operators that scale by channel have in common: the order of dimensions,
// inputs with a float for each channel, and a scaling that is prepared anew
// only when its values change.
//
// Thread rule: one thread at a time, as for the operator; it computes on those
// of the process's pool.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_NORMALIZATION_CHANNELS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_NORMALIZATION_CHANNELS_H_

#include <cstdint>
#include <vector>

#include "caffe2/core/operator.h"
#include "operators/int8/engine/input.h"
#include "quantization/kernels/scale_channels.h"

namespace caffe2_quantization {

// Where the channels of a tensor are.
struct ChannelShape {
  int64_t images = 0;    // the first dimension
  int64_t channels = 0;  // the second dimension, or the last one
  int64_t pixels = 0;    // the others
  bool channels_first = true;

  // How many values of a channel follow each other.
  int64_t inner() const { return channels_first ? pixels : 1; }
};

// Returns the shape of input `index`, which has these sizes. Enforces two
// dimensions or more.
ChannelShape ShapeOf(caffe2::OperatorBase* op, int index, at::IntArrayRef sizes,
                     bool channels_first);

// The sizes of input `index`, which is codes or floats. Enforces that it is one
// of them; codes are looked at by Int8Operator::Input.
at::IntArrayRef SizesOf(caffe2::OperatorBase* op, int index);

// Returns the floats of input `index`. Enforces that it has as many as there
// are channels.
const float* ChannelValues(caffe2::OperatorBase* op, int index,
                           int64_t channels);

// Floats that an operator made something of.
class WatchedFloats {
 public:
  // Whether the arrays, each of `count` floats, have the bits of those that
  // were remembered.
  bool Are(const std::vector<const float*>& arrays, int64_t count) const;
  void Remember(const std::vector<const float*>& arrays, int64_t count);

 private:
  std::vector<float> values_;
};

// Scales codes by channel, on several threads if there are many of them.
class ChannelScaler {
 public:
  // Prepares the scaling for a run. compute(alpha, beta), which is called only
  // if values_changed or anything else is not as in the run before, sets what
  // channels are multiplied by, in steps of X's codes, and what is added.
  template <class Compute>
  void Prepare(bool values_changed, int64_t channels, int64_t inner,
               const QuantizationParams& x, const QuantizationParams& y,
               const kernels::CodeRange& range, const Compute& compute) {
    kernels::ChannelScaling& s = scaling_;
    const bool is_same =
        !values_changed && s.channels == channels && s.inner == inner &&
        x_scale_ == x.scales[0] && s.zero_point == x.zero_points[0] &&
        s.scale == y.scales[0] && s.range.zero_point == range.zero_point &&
        s.range.qmin == range.qmin && s.range.qmax == range.qmax;
    if (is_same) return;
    x_scale_ = x.scales[0];
    s.channels = channels;
    s.inner = inner;
    s.zero_point = x.zero_points[0];
    s.scale = y.scales[0];
    s.range = range;
    s.alpha.resize(channels);
    s.beta.resize(channels);
    compute(s.alpha.data(), s.beta.data());
    PrepareChannels(&s);
  }

  // y may be the codes.
  void Scale(const uint8_t* codes, int64_t count, uint8_t* y) const;

 private:
  kernels::ChannelScaling scaling_;
  float x_scale_ = 0;
};

// The fewest codes that are worth a thread.
inline constexpr int64_t kLeastScaled = 1 << 15;

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_NORMALIZATION_CHANNELS_H_
