// PackedFilter: a convolution's filter in the form that convolution.h
// multiplies by, matrices of oneDNN or the filter of a depthwise kernel.
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
  // channel. Of the shape only channels, groups, dims, kernel and order count;
  // a filter serves every batch, input size, stride, dilation and padding.
  //
  // Errors: what ValidateFilter() refuses; another number of zero points; zero
  // points outside -128 to 127; what PackedMatrix::Pack refuses.
  static Status Pack(const int8_t* codes, const ConvolutionShape& shape,
                     const std::vector<int32_t>& zero_points,
                     std::shared_ptr<const PackedFilter>* packed);

  // The shape for which it was packed.
  const ConvolutionShape& shape() const { return shape_; }
  // The sum of the codes of each output channel.
  const std::vector<int64_t>& column_sums() const { return column_sums_; }
  // The number of codes of an output channel.
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
  // One of the two is used. Groups share matrices, the same number in each.
  std::unique_ptr<const kernels::DepthwiseFilter> depthwise_;
  std::vector<std::shared_ptr<const PackedMatrix>> matrices_;
};

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_PACKED_FILTER_H_
