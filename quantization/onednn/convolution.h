// Convolutions of 8-bit codes: windows as rows of a matrix (kernels/im2col.h),
// products of matrices by oneDNN (matmul.h), sums to codes with DNNLOWP's
// rounding (kernels/output_stage.h).
//
//   acc[b][o][n] = sum over taps t and channels c of
//                    (x[b][o * stride + t * dilation - pad_begin][c] - x_zp)
//                    * (w[n][t][c] - w_zp[n])
//   y[b][o][n]   = what the output stage makes of it
//
// o and t have one to three dimensions; c runs over the channels of n's group;
// x is x_zp outside of the input, so that padding adds nothing. The output
// stage sees sum over t and c of x * w and the sums of x, as if of a product
// with K = k(): its offsets hold what x_zp and the bias add (column_offsets.h).
// acc is exact for every window that Validate() accepts, and every bias.
//
// Orders: x is [batch, spatial..., C] and y [batch, spatial..., M], or with
// channels_first [batch, C, spatial...] and [batch, M, spatial...].
//
// How: pixels of the output are taken in chunks whose windows fit into the
// second-level cache; each is one product on one thread (MultiplyRowsToCodes).
// Windows of one pixel are not copied. Groups of few channels are multiplied
// several at once, as the blocks of one matrix on whose other places a code
// counts as zero. Where each group has one channel and few outputs, and no sum
// can leave 32 bits, a kernel of our own takes the place of products
// (kernels/depthwise.h); its lines of input are copied only to give them
// padding. With channels first the input is
// transposed before, and each chunk after.
//
// Threads: chunks over the OpenMP pool, as many threads as the caller's OpenMP
// says; within a parallel region one. Thread rule: any thread; one filter may
// be used by several at once. Memory for intermediate results is the thread's,
// and kept for its next convolution, kMostScratch bytes at most.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/status.h"
#include "quantization/kernels/depthwise.h"
#include "quantization/kernels/output_stage.h"
#include "quantization/onednn/matmul.h"

namespace caffe2_quantization {
namespace onednn {

struct ConvolutionShape {
  int64_t batch = 1;
  int64_t in_channels = 1;
  int64_t out_channels = 1;
  int64_t groups = 1;
  int dims = 2;  // 1 to 3; as many of what follows are used
  std::array<int64_t, 3> input = {1, 1, 1};
  std::array<int64_t, 3> kernel = {1, 1, 1};
  std::array<int64_t, 3> stride = {1, 1, 1};
  std::array<int64_t, 3> dilation = {1, 1, 1};
  std::array<int64_t, 3> pad_begin = {0, 0, 0};
  std::array<int64_t, 3> pad_end = {0, 0, 0};
  bool channels_first = false;

  // Pixels of the output in a dimension:
  // (input + pads - dilation * (kernel - 1) - 1) / stride + 1.
  int64_t Output(int dim) const;

  // Errors: dims not 1 to 3; a size, stride or dilation below 1, a batch or
  // padding below 0; any of them above 2^31 - 1; groups that do not divide the
  // channels; a window larger than the padded input; an input, output or filter
  // of more than 2^40 values, or a window of more than 2^31 - 1.
  Status Validate() const;
};

class PackedFilter {
 public:
  // codes: [M, kernel..., C / groups], or with channels first
  // [M, C / groups, kernel...]. zero_points: one, one a group or one an output
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
  // One an output channel, or empty: all 0.
  std::vector<int32_t> zero_points_;
  std::vector<int64_t> column_sums_;
  // Either of the two; groups share a matrix, as many in each.
  std::unique_ptr<const kernels::DepthwiseFilter> depthwise_;
  std::vector<std::shared_ptr<const PackedMatrix>> matrices_;
};

// y in codes. The stage has one column for each output channel; its zero points
// of weights are not read, the filter knows them. Without wide_offsets acc must
// fit into 32 bits. An addend has the order and
// size of dst, and may be dst. x and dst do not overlap.
//
// Errors: what Validate() refuses; another filter's channels, groups, dims,
// kernel or order; x_zero_point outside of 0 to 255; columns of the stage that
// are not out_channels; lines of a depthwise input that have more than 2^30
// bytes with their padding; no memory.
Status Convolve(const PackedFilter& filter, const ConvolutionShape& shape,
                const uint8_t* x, int32_t x_zero_point,
                const kernels::OutputStage& stage, uint8_t* dst);

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_H_
