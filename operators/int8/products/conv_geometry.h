// Reads where a convolution's kernel goes (engine/window_geometry.h), with the
// argument `group` (default 1), and tells the shape that it gives with an input
// and a filter. global_pooling has no meaning for a convolution and is refused,
// and so is a legacy_pad that leaves values out on both sides.
//
// Thread rule: a value.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_GEOMETRY_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_GEOMETRY_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "operators/int8/engine/window_geometry.h"
#include "quantization/onednn/convolution.h"

namespace caffe2_quantization {

class ConvGeometry {
 public:
  // Reads the arguments. An error names the argument, its value and what was
  // expected.
  static Status Read(const caffe2::OperatorDef& definition,
                     ConvGeometry* geometry);

  int dims() const { return windows_.dims(); }
  int64_t groups() const { return groups_; }
  bool channels_first() const { return windows_.channels_first; }

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
  Status CheckFilter(const NamedShape& x, const NamedShape& filter) const;
  // Sets the size of the output and the padding before the input in one
  // dimension.
  Status Place(int dim, const NamedShape& x, int64_t size, int64_t* pad_begin,
               int64_t* output) const;

  WindowGeometry windows_;
  int64_t groups_ = 1;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_CONV_GEOMETRY_H_
