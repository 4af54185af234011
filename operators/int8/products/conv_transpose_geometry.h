// Reads where a transposed convolution writes its kernel, and divides its
// output into phases, which are convolutions:
//
//   y[o] = sum over input places i and taps t with i * stride + t - pad = o
//            of x[i] * w[t]
//
// Outputs o whose (o + pad) mod stride is the same residue r are a phase. Their
// taps are t = r + stride * u, and with o + pad = stride * q + r
//
//   y[o] = sum over u of x[q - u] * w[r + stride * u]
//
// a convolution of stride 1 by the phase's taps in reverse order. A kernel
// smaller than the stride leaves phases without taps, whose outputs are the
// bias alone: they get one tap of 0.
//
// Arguments: those of the host's ConvTransposeUnpoolBase, which has two
// dimensions.
//
//   kernel | kernel_h, kernel_w | kernels     sizes, no default
//   stride | stride_h, stride_w | strides     default 1
//   adj | adj_h, adj_w | adjs                 rows and columns more at the end,
//                                             below the stride; default 0
//   pad | pad_t, pad_l, pad_b, pad_r | pads   what is cut off; default 0
//   legacy_pad   1 (VALID) and 2 (SAME): no padding
//   group, order
//
// (Source: caffe2/operators/conv_transpose_unpool_op_base.h of Caffe2. Refused
// here but not there: an adj that is the stride, with which the host reads
// beyond its buffer; dilations other than 1, which it ignores; legacy_pad 3,
// which ends the process.)
//
// Thread rule: values.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_TRANSPOSE_GEOMETRY_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_TRANSPOSE_GEOMETRY_H_

#include <array>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "operators/int8/engine/window_geometry.h"
#include "quantization/onednn/convolution_shape.h"

namespace caffe2_quantization {

// One place in each dimension: rows, then columns.
using Place2D = std::array<int64_t, 2>;

// A phase of an output.
struct ConvTransposePhase {
  Place2D residue;
  // The taps in each dimension, 1 at least; the first of those of the kernel is
  // at the residue. has_taps: they are of the kernel, and not 0.
  Place2D taps;
  bool has_taps;
};

struct ConvTransposeShape {
  int64_t batch = 0;
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t groups = 1;
  Place2D input = {}, kernel = {}, stride = {}, pad = {}, output = {};
  bool channels_first = true;

  // Returns the phases, which depend on kernel and stride alone.
  std::vector<ConvTransposePhase> Phases() const;

  // Sets *convolution to that of a phase, NHWC of stride 1, and where its
  // outputs are. It may have more outputs than the phase: in a dimension those
  // from `skipped` on are the phase's, `count` of them, the first at
  // output place `first` and the others a stride apart. A count may be 0.
  struct Outputs {
    Place2D skipped, count, first;
  };
  Outputs ConvolutionOf(const ConvTransposePhase& phase,
                        onednn::ConvolutionShape* convolution) const;

  // [N, M, H, W] or [N, H, W, M].
  std::vector<int64_t> OutputSizes() const;
};

class ConvTransposeGeometry {
 public:
  // Reads the arguments. An error names the argument, its value and what was
  // expected.
  static Status Read(const caffe2::OperatorDef& definition,
                     ConvTransposeGeometry* geometry);

  // Sets *shape for x and a filter: [C, M / group, kernel...] in the order
  // NCHW, [C, kernel..., M / group] in NHWC. The batch may be 0. An error names
  // the tensor, its sizes and what was expected.
  Status ShapeFor(const NamedShape& x, const NamedShape& filter,
                  ConvTransposeShape* shape) const;

 private:
  Status CheckSizes(const NamedShape& x, const NamedShape& filter) const;

  std::vector<int64_t> kernel_, stride_, adj_, pads_;
  int64_t groups_ = 1;
  bool channels_first_ = true;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_TRANSPOSE_GEOMETRY_H_
