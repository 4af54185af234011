// Computes convolutions of 8-bit codes: windows become rows of a matrix
// (kernels/im2col.h), oneDNN multiplies matrices (matmul.h), and sums become
// codes with DNNLOWP's rounding (kernels/output_stage.h).
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
// second-level cache; each chunk is one product on one thread
// (MultiplyRowsToCodes). Windows of one pixel are not copied. Several groups of
// few channels are multiplied at once, as the blocks of one matrix whose other
// places count as zero. If each group has one channel and few outputs, and no
// sum can leave 32 bits, a kernel of our own takes the place of products
// (kernels/depthwise.h); its lines of input are copied only to give them
// padding. With channels first, the input is transposed before, and each chunk
// after.
//
// Threads: chunks are divided over the OpenMP pool, with as many threads as the
// caller's OpenMP says; within a parallel region with one. Thread rule: any
// thread; several may use one filter at once. Each thread has its own memory
// for intermediate results and keeps at most kMostScratch bytes of it for its
// next convolution.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_H_

#include <cstdint>

#include "base/status.h"
#include "quantization/kernels/output_stage.h"
#include "quantization/onednn/convolution_shape.h"
#include "quantization/onednn/packed_filter.h"

namespace caffe2_quantization {
namespace onednn {

// Computes y in codes. The stage has one column per output channel; its zero
// points of weights are not read, since the filter has them. Without
// wide_offsets acc must fit into 32 bits. An addend has the order and size of
// dst, and may be dst. x and dst do not overlap.
//
// Errors: what Validate() refuses; channels, groups, dims, kernel or order that
// differ from the filter's; x_zero_point outside 0 to 255; a stage whose
// columns are not out_channels; lines of a depthwise input that have more than
// 2^30 bytes with their padding; no memory.
Status Convolve(const PackedFilter& filter, const ConvolutionShape& shape,
                const uint8_t* x, int32_t x_zero_point,
                const kernels::OutputStage& stage, uint8_t* dst);

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_CONVOLUTION_H_
