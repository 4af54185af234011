#include "operators/int8/products/conv_geometry.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/return_if_error.h"
#include "caffe2/utils/proto_utils.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kMostDims = 3;

// Appends the values of a list argument, if it is there.
Status ReadList(const caffe2::OperatorDef& definition, const std::string& name,
                std::vector<int64_t>* values) {
  for (const caffe2::Argument& argument : definition.arg()) {
    if (argument.name() != name) continue;
    if (argument.floats_size() > 0 || argument.strings_size() > 0 ||
        argument.has_i() || argument.has_f() || argument.has_s()) {
      return Refuse("argument ", name, " is not a list of integers");
    }
    values->assign(argument.ints().begin(), argument.ints().end());
  }
  return Status::Ok();
}

bool HasAll(const caffe2::OperatorDef& definition,
            const std::vector<std::string>& names) {
  const caffe2::ArgumentHelper arguments(definition);
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return arguments.HasArgument(name);
  });
}

Status CheckValues(const char* what, const std::vector<int64_t>& values,
                   std::size_t count, int64_t least) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (values.size() != count) {
    return Refuse(what, " are ", SizesText(values), ", expected ", count,
                  " of them for the kernel's dimensions");
  }
  for (const int64_t value : values) {
    if (value >= least && value <= kMost) continue;
    return Refuse(what, " are ", SizesText(values), ", expected numbers from ",
                  least, " to ", kMost);
  }
  return Status::Ok();
}

// The forms that a number for each dimension has: a list, one number for as
// many dimensions as 2D has, or one argument for each of these.
struct Forms {
  std::string list, single;
  std::vector<std::string> each;
  const char* what;

  // The list; then `single` for as many values as 2D has, or the values `each`
  // behind the list.
  Status Read(const caffe2::OperatorDef& definition,
              std::vector<int64_t>* values) const {
    RETURN_IF_ERROR(ReadList(definition, list, values));
    int64_t value = 0;
    if (HasAll(definition, {single})) {
      RETURN_IF_ERROR(ReadIntArgument(definition, single, &value));
      values->resize(each.size(), value);
    } else if (HasAll(definition, each)) {
      for (const std::string& name : each) {
        RETURN_IF_ERROR(ReadIntArgument(definition, name, &value));
        values->push_back(value);
      }
    }
    return Status::Ok();
  }

  // `count` of them, `least` or more; `usual` where there is none.
  Status Read(const caffe2::OperatorDef& definition, std::size_t count,
              int64_t usual, int64_t least,
              std::vector<int64_t>* values) const {
    RETURN_IF_ERROR(Read(definition, values));
    if (values->empty()) values->assign(count, usual);
    return CheckValues(what, *values, count, least);
  }
};

}  // namespace

std::string SizesText(const std::vector<int64_t>& sizes) {
  return c10::str(at::IntArrayRef(sizes));
}

Status ConvGeometry::Read(const caffe2::OperatorDef& definition,
                          ConvGeometry* geometry) {
  ConvGeometry result;
  const Forms kernel{"kernels", "kernel", {"kernel_h", "kernel_w"}, ""};
  RETURN_IF_ERROR(kernel.Read(definition, &result.kernel_));
  if (result.kernel_.empty()) {
    return Refuse(
        "no kernel size, expected the argument kernel, kernels, or kernel_h "
        "and kernel_w");
  }
  const std::size_t dims = result.kernel_.size();
  if (dims > kMostDims) {
    return Refuse("kernel sizes are ", SizesText(result.kernel_),
                  ", expected 1 to 3 dimensions");
  }
  RETURN_IF_ERROR(CheckValues("kernel sizes", result.kernel_, dims, 1));
  const Forms stride{"strides", "stride", {"stride_h", "stride_w"}, "strides"};
  const Forms dilation{
      "dilations", "dilation", {"dilation_h", "dilation_w"}, "dilations"};
  const Forms pad{"pads", "pad", {"pad_t", "pad_l", "pad_b", "pad_r"}, "pads"};
  int64_t legacy_pad = 0, global_pooling = 0;
  RETURN_IF_ERROR(
      FirstError({stride.Read(definition, dims, 1, 1, &result.stride_),
                  dilation.Read(definition, dims, 1, 1, &result.dilation_),
                  pad.Read(definition, 2 * dims, 0, 0, &result.pads_),
                  ReadIntArgument(definition, "legacy_pad", &legacy_pad)}));
  if (legacy_pad < 0 || legacy_pad > 3) {
    return Refuse("argument legacy_pad is ", legacy_pad, ", expected 0 to 3");
  }
  result.legacy_pad_ = static_cast<LegacyPad>(legacy_pad);
  if ((result.legacy_pad_ == LegacyPad::kValid ||
       result.legacy_pad_ == LegacyPad::kSame) &&
      (HasAll(definition, {pad.list}) || HasAll(definition, {pad.single}) ||
       HasAll(definition, pad.each))) {
    return Refuse("arguments legacy_pad ", legacy_pad, " and pads ",
                  SizesText(result.pads_), ", expected one of them");
  }
  RETURN_IF_ERROR(
      ReadIntArgument(definition, "global_pooling", &global_pooling));
  if (global_pooling != 0) {
    return Refuse("argument global_pooling is ", global_pooling,
                  ", expected 0: a convolution pools nothing");
  }

  RETURN_IF_ERROR(ReadIntArgument(definition, "group", &result.groups_));
  RETURN_IF_ERROR(
      CheckValues("argument group's values", {result.groups_}, 1, 1));
  const caffe2::ArgumentHelper arguments(definition);
  const std::string order =
      arguments.HasArgument("order")
          ? arguments.GetSingleArgument<std::string>("order", "")
          : "NCHW";
  result.channels_first_ = order == "NCHW" || order == "nchw";
  if (!result.channels_first_ && order != "NHWC" && order != "nhwc") {
    return Refuse("argument order is '", order, "', expected NCHW or NHWC");
  }
  *geometry = std::move(result);
  return Status::Ok();
}

Status ConvGeometry::CheckFilter(const NamedShape& x,
                                 const NamedShape& filter) const {
  const auto refuse = [](const NamedShape& tensor, const auto&... expected) {
    return Refuse("tensor '", tensor.name, "' has sizes ",
                  SizesText(tensor.sizes), ", expected ", expected...);
  };
  const std::size_t rank = kernel_.size() + 2;
  for (const NamedShape* tensor : {&x, &filter}) {
    if (tensor->sizes.size() != rank) {
      return refuse(*tensor, rank, " dimensions for a kernel of ",
                    SizesText(kernel_));
    }
  }
  const int channel_dim = channels_first_ ? 1 : dims() + 1;
  const int first = channels_first_ ? 2 : 1;
  if (std::count(x.sizes.begin() + 1, x.sizes.end(), 0) > 0) {
    return refuse(x, "nothing but the batch to be 0");
  }
  if (!std::equal(kernel_.begin(), kernel_.end(),
                  filter.sizes.begin() + first)) {
    return refuse(filter, "a kernel of ", SizesText(kernel_),
                  " as the arguments say");
  }
  const int64_t out_channels = filter.sizes[0];
  if (out_channels < 1 || out_channels % groups_ != 0) {
    return refuse(filter, "a number of output channels that ", groups_,
                  " groups divide");
  }
  const int64_t in_channels = x.sizes[channel_dim];
  if (in_channels % groups_ != 0) {
    return refuse(x, "a number of channels that ", groups_, " groups divide");
  }
  if (filter.sizes[channel_dim] != in_channels / groups_) {
    return refuse(filter, in_channels / groups_, " channels, for an input of ",
                  in_channels, " in ", groups_, " groups");
  }
  return Status::Ok();
}

Status ConvGeometry::Place(int dim, const NamedShape& x, int64_t size,
                           int64_t* pad_begin, int64_t* output) const {
  const int64_t stride = stride_[dim], kernel = kernel_[dim];
  const int64_t extent = dilation_[dim] * (kernel - 1) + 1;
  int64_t begin = pads_[dim];
  int64_t room = size + begin + pads_[dims() + dim];
  const auto refuse = [&](const auto&... found) {
    return Refuse("tensor '", x.name, "' has sizes ", SizesText(x.sizes), ": ",
                  found..., " in dimension ", dim, " of the kernel");
  };
  if (legacy_pad_ == LegacyPad::kSame) {
    if (dilation_[dim] != 1) {
      return refuse("dilation ", dilation_[dim],
                    ", expected 1 with legacy_pad SAME,");
    }
    const int64_t target = (size + stride - 1) / stride;
    const int64_t needed = (target - 1) * stride + kernel - size;
    begin = needed / 2;
    if (begin < 0) {
      return refuse("legacy_pad SAME would cut ", -begin,
                    " values off, expected a stride that reaches them,");
    }
    room = size + needed;
  }
  const int64_t reach = size + 2 * begin - kernel;
  if (legacy_pad_ == LegacyPad::kCaffe) room = size + 2 * begin;
  if (legacy_pad_ == LegacyPad::kCaffe && reach >= 0) {
    int64_t count = (reach + stride - 1) / stride + 1;
    // The last window begins inside the image.
    if (begin > 0 && (count - 1) * stride >= size + begin) --count;
    if (count <= reach / stride) {
      return refuse(
          "legacy_pad CAFFE_LEGACY_POOLING leaves out windows that fit, "
          "expected padding smaller than the kernel,");
    }
    room = (count - 1) * stride + extent;
  }
  if (room < extent) {
    return refuse("with padding ", room, " values, expected the kernel's ",
                  extent, " at least,");
  }
  *pad_begin = begin;
  *output = (room - extent) / stride + 1;
  return Status::Ok();
}

Status ConvGeometry::ShapeFor(const NamedShape& x, const NamedShape& filter,
                              onednn::ConvolutionShape* shape) const {
  RETURN_IF_ERROR(CheckFilter(x, filter));
  onednn::ConvolutionShape result{};
  result.batch = x.sizes[0];
  result.in_channels = x.sizes[channels_first_ ? 1 : dims() + 1];
  result.out_channels = filter.sizes[0];
  result.groups = groups_;
  result.dims = dims();
  result.channels_first = channels_first_;
  for (int dim = 0; dim < dims(); ++dim) {
    const int64_t size = x.sizes[dim + (channels_first_ ? 2 : 1)];
    int64_t begin = 0, output = 0;
    RETURN_IF_ERROR(Place(dim, x, size, &begin, &output));
    result.input[dim] = size;
    result.kernel[dim] = kernel_[dim];
    result.stride[dim] = stride_[dim];
    result.dilation[dim] = dilation_[dim];
    result.pad_begin[dim] = begin;
    // As much as the last window reaches over the end.
    const int64_t extent = dilation_[dim] * (kernel_[dim] - 1) + 1;
    result.pad_end[dim] = std::max<int64_t>(
        (output - 1) * stride_[dim] + extent - size - begin, 0);
  }
  RETURN_IF_ERROR(result.Validate());
  *shape = result;
  return Status::Ok();
}

std::vector<int64_t> ConvGeometry::OutputSizes(
    const onednn::ConvolutionShape& shape) {
  std::vector<int64_t> sizes{shape.batch};
  if (shape.channels_first) sizes.push_back(shape.out_channels);
  for (int dim = 0; dim < shape.dims; ++dim) sizes.push_back(shape.Output(dim));
  if (!shape.channels_first) sizes.push_back(shape.out_channels);
  return sizes;
}

}  // namespace caffe2_quantization
