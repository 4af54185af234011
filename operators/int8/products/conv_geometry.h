// Reads where a convolution's kernel goes: the geometry arguments of Caffe2's
// convolutions, in every form that the host's ConvPoolOpBase takes, and the
// shape that they give with an input and a filter.
//
//   kernel | kernel_h, kernel_w | kernels        sizes, no default
//   stride | stride_h, stride_w | strides        default 1
//   dilation | dilation_h, dilation_w | dilations   default 1
//   pad | pad_t, pad_l, pad_b, pad_r | pads      default 0; `pads` has all
//                                                beginnings, then all ends
//   legacy_pad   1 (VALID): no padding; 2 (SAME): outputs of ceil(input /
//                stride); 3 (CAFFE_LEGACY_POOLING): output sizes rounded up
//   group        default 1
//   order        NCHW (default) or NHWC
//
// One number (`kernel`) stands for two dimensions; lists have one number for
// each of 1 to 3 dimensions. Mixed forms add up as in the host's constructor.
//
// (Source: caffe2/operators/conv_pool_op_base.h of Caffe2. Refused here but not
// there: strides and dilations of 0, negative pads, numbers in lists of floats,
// and the argument global_pooling, which has no meaning for a convolution.)
//
// Thread rule: a value.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_GEOMETRY_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_GEOMETRY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/onednn/convolution.h"

namespace caffe2_quantization {

// A tensor as messages name it.
struct NamedShape {
  std::string name;
  std::vector<int64_t> sizes;
};

class ConvGeometry {
 public:
  // Reads the arguments. An error names the argument, its value and what was
  // expected.
  static Status Read(const caffe2::OperatorDef& definition,
                     ConvGeometry* geometry);

  int dims() const { return static_cast<int>(kernel_.size()); }
  int64_t groups() const { return groups_; }
  bool channels_first() const { return channels_first_; }

  // Sets *shape for the convolution of x with a filter: [M, C / group,
  // kernel...] in the order NCHW, [M, kernel..., C / group] in NHWC. The batch
  // may be 0. Padding that no output reaches is left out of the shape. An error
  // names the tensor, its sizes and what was expected.
  Status ShapeFor(const NamedShape& x, const NamedShape& filter,
                  onednn::ConvolutionShape* shape) const;

  // Returns [N, M, output...] or, in NHWC, [N, output..., M].
  static std::vector<int64_t> OutputSizes(
      const onednn::ConvolutionShape& shape);

 private:
  enum class LegacyPad { kNotSet, kValid, kSame, kCaffe };

  Status CheckFilter(const NamedShape& x, const NamedShape& filter) const;
  // Sets the size of the output and the padding before the input in one
  // dimension.
  Status Place(int dim, const NamedShape& x, int64_t size, int64_t* pad_begin,
               int64_t* output) const;

  std::vector<int64_t> kernel_, stride_, dilation_;
  std::vector<int64_t> pads_;  // beginnings, then ends
  LegacyPad legacy_pad_ = LegacyPad::kNotSet;
  int64_t groups_ = 1;
  bool channels_first_ = true;
};

// "[2, 3, 4]".
std::string SizesText(const std::vector<int64_t>& sizes);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_GEOMETRY_H_
