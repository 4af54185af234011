// A convolution's filter in the form that convolution.h multiplies by: matrices
// of oneDNN, or the filter of a depthwise kernel.
//
// Thread rule: a packed filter does not change; any number of threads may use
// one.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PACKED_FILTER_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PACKED_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "quantization/kernels/depthwise.h"
#include "quantization/onednn/convolution_shape.h"
#include "quantization/onednn/matmul.h"

namespace caffe2_quantization {
namespace onednn {

class PackedFilter {
 public:
  // A depthwise channel with at most this many outputs is repeated once per
  // output.
  static constexpr int64_t kMostRepeats = 4;

  // codes: [M, kernel..., C / groups], or with channels first [M, C / groups,
  // kernel...]. zero_points: one for all, one per group or one per output
  // channel. Of the shape, channels, groups, dims, kernel and order count; a
  // filter serves every batch, input size, stride, dilation and padding.
  //
  // Errors: what Validate() refuses of these; another number of zero points;
  // zero points outside of -128 to 127; what PackedMatrix::Pack refuses.
  static Status Pack(const int8_t* codes, const ConvolutionShape& shape,
                     const std::vector<int32_t>& zero_points,
                     std::shared_ptr<const PackedFilter>* packed);

  // What it was packed for.
  const ConvolutionShape& shape() const { return shape_; }
  // Sum of the codes of each output channel.
  const std::vector<int64_t>& column_sums() const { return column_sums_; }
  // Codes of an output channel.
  int64_t k() const { return k_; }
  // Bytes of the packed form.
  std::size_t bytes() const;

 private:
  friend class Convolution;

  PackedFilter() = default;

  ConvolutionShape shape_;
  int64_t k_ = 0;
  // One per output channel, or empty: all 0.
  std::vector<int32_t> zero_points_;
  std::vector<int64_t> column_sums_;
  // Either of the two; groups share a matrix, as many in each.
  std::unique_ptr<const kernels::DepthwiseFilter> depthwise_;
  std::vector<std::shared_ptr<const PackedMatrix>> matrices_;
};

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PACKED_FILTER_H_
