// Reads where the windows of convolutions and pools go: the arguments of the
// host's ConvPoolOpBase, in every form that it takes.
//
//   kernel | kernel_h, kernel_w | kernels        sizes, no default
//   stride | stride_h, stride_w | strides        default 1
//   dilation | dilation_h, dilation_w | dilations   default 1
//   pad | pad_t, pad_l, pad_b, pad_r | pads      default 0; `pads` has all
//                                                beginnings, then all ends
//   legacy_pad   1 (VALID): no padding; 2 (SAME): outputs of ceil(input /
//                stride); 3 (CAFFE_LEGACY_POOLING): output sizes rounded up
//   global_pooling   1: one window for the whole image
//   order        NCHW (default) or NHWC
//
// One number (`kernel`) stands for two dimensions; lists have one number for
// each of 1 to 3 dimensions. Mixed forms add up as in the host's constructor.
//
// (Source: caffe2/operators/conv_pool_op_base.h of Caffe2. Refused here but not
// there: strides and dilations of 0, negative pads, and numbers in lists of
// floats.)
//
// Thread rule: a value.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_WINDOW_GEOMETRY_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_WINDOW_GEOMETRY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

// A tensor as messages name it.
struct NamedShape {
  std::string name;
  std::vector<int64_t> sizes;
};

// "[2, 3, 4]".
std::string SizesText(const std::vector<int64_t>& sizes);

// The arguments that give a number for each dimension: a list, one number for
// as many dimensions as 2D has, or one argument for each of these.
struct WindowNumbers {
  std::string list, single;
  std::vector<std::string> each;
  const char* what;  // as messages call them

  // Reads the list; then `single` for as many values as 2D has, or the values
  // `each` behind the list.
  Status Read(const caffe2::OperatorDef& definition,
              std::vector<int64_t>* values) const;
  // The same of `count` numbers from `least` to 2^31 - 1; `usual` where there
  // is none.
  Status Read(const caffe2::OperatorDef& definition, std::size_t count,
              int64_t usual, int64_t least, std::vector<int64_t>* values) const;
  // Whether one of the forms is there.
  bool AreIn(const caffe2::OperatorDef& definition) const;
};

enum class LegacyPad { kNotSet, kValid, kSame, kCaffe };

struct WindowGeometry {
  // Reads the arguments. An error names the argument, its value and what was
  // expected.
  static Status Read(const caffe2::OperatorDef& definition,
                     WindowGeometry* geometry);

  int dims() const { return static_cast<int>(kernel.size()); }

  // Sets, for one dimension of the kernel, the padding before the input and the
  // number of windows, which is 1 at least; `size` is that of x there. With
  // legacy_pad SAME the padding is negative where windows begin inside the
  // input. With CAFFE_LEGACY_POOLING the last window may reach over the end.
  Status Place(int dim, const NamedShape& x, int64_t size, int64_t* pad_begin,
               int64_t* output) const;

  // With global pooling the four lists are empty: it is for every rank.
  std::vector<int64_t> kernel, stride, dilation;
  std::vector<int64_t> pads;  // beginnings, then ends
  LegacyPad legacy_pad = LegacyPad::kNotSet;
  bool global_pooling = false;
  bool channels_first = true;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_WINDOW_GEOMETRY_H_
