// The shape of a convolution: sizes, channels, groups, strides and padding, and
// what makes it a valid one.
//
// Thread rule: plain values and pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_SHAPE_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_SHAPE_H_

#include <array>
#include <cstdint>

#include "base/status.h"

namespace caffe2_quantization {
namespace onednn {

struct ConvolutionShape {
  int64_t batch = 1;
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t groups = 1;
  int dims = 2;  // 1 to 3; the first `dims` values of the arrays are used
  std::array<int64_t, 3> input = {1, 1, 1};
  std::array<int64_t, 3> kernel = {1, 1, 1};
  std::array<int64_t, 3> stride = {1, 1, 1};
  std::array<int64_t, 3> dilation = {1, 1, 1};
  std::array<int64_t, 3> pad_begin = {0, 0, 0};
  std::array<int64_t, 3> pad_end = {0, 0, 0};
  bool channels_first = false;

  // Returns the size of the output in a dimension:
  // (input + pads - dilation * (kernel - 1) - 1) / stride + 1.
  int64_t Output(int dim) const;

  // Errors: dims not 1 to 3; a size, stride or dilation below 1, a batch or
  // padding below 0; any of them above 2^31 - 1; groups that do not divide the
  // channels; a window larger than the padded input; an input, output or filter
  // of more than 2^40 values, or a window of more than 2^31 - 1.
  Status Validate() const;
  // The same for what a filter depends on: channels, groups, dims and kernel.
  Status ValidateFilter() const;

  // The number of places in a window.
  int64_t Taps() const;
  // The number of pixels of an input image.
  int64_t InputPixels() const;
};

// Returns an error if value is not between smallest and largest. The error says
// that `name` is `value`; with an index of 0 or more, that `name[index]` is.
// The message is made only if there is an error: shapes are checked in every
// run, which takes microseconds altogether.
Status CheckConvolutionRange(const char* name, int64_t value, int64_t smallest,
                             int64_t largest, int index = -1);

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_SHAPE_H_
