#include "operators/int8/normalization/channels.h"

#include <cstring>

#include "caffe2/core/tensor_int8.h"
#include "operators/int8/engine/parts.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {

ChannelShape ShapeOf(caffe2::OperatorBase* op, int index, at::IntArrayRef sizes,
                     bool channels_first) {
  CAFFE_ENFORCE(sizes.size() >= 2, op->type(), ": tensor '",
                op->debug_def().input(index), "' has sizes ", sizes,
                ", expected 2 dimensions or more");
  ChannelShape shape;
  shape.channels_first = channels_first;
  shape.images = sizes[0];
  shape.channels = channels_first ? sizes[1] : sizes.back();
  shape.pixels = c10::multiply_integers(
      channels_first ? sizes.slice(2) : sizes.slice(1, sizes.size() - 2));
  return shape;
}

at::IntArrayRef SizesOf(caffe2::OperatorBase* op, int index) {
  return op->InputIsType<caffe2::int8::Int8TensorCPU>(index)
             ? op->Input<caffe2::int8::Int8TensorCPU>(index).t.sizes()
             : FloatInput(op, index).sizes();
}

const float* ChannelValues(caffe2::OperatorBase* op, int index,
                           int64_t channels) {
  const caffe2::Tensor& values = FloatInput(op, index);
  CAFFE_ENFORCE(values.numel() == channels, op->type(), ": tensor '",
                op->debug_def().input(index), "' has sizes ", values.sizes(),
                ", expected a value for each of ", channels, " channels");
  return values.data<float>();
}

bool WatchedFloats::Are(const std::vector<const float*>& arrays,
                        int64_t count) const {
  if (values_.size() != arrays.size() * count) return false;
  if (count == 0) return true;  // neither has an address to compare
  const float* values = values_.data();
  for (const float* const array : arrays) {
    if (std::memcmp(values, array, count * sizeof(float)) != 0) return false;
    values += count;
  }
  return true;
}

void WatchedFloats::Remember(const std::vector<const float*>& arrays,
                             int64_t count) {
  values_.clear();
  for (const float* const array : arrays) {
    values_.insert(values_.end(), array, array + count);
  }
}

void ChannelScaler::Scale(const uint8_t* codes, int64_t count,
                          uint8_t* y) const {
  const bool streams = codes != y && kernels::StreamsOutput(count);
  const auto compute = [&](int64_t i, int64_t n, uint8_t* out) {
    kernels::ScaleChannels(scaling_, codes + i, i, n, out);
  };
  WriteParts(
      count, kLeastScaled, streams, [&] { return compute; }, y);
}

}  // namespace caffe2_quantization
