#include "operators/int8/products/conv_geometry.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/return_if_error.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"

namespace caffe2_quantization {

Status ConvGeometry::Read(const caffe2::OperatorDef& definition,
                          ConvGeometry* geometry) {
  ConvGeometry result;
  RETURN_IF_ERROR(WindowGeometry::Read(definition, &result.windows_));
  if (result.windows_.global_pooling) {
    return Refuse(
        "argument global_pooling is 1, expected 0: a convolution pools "
        "nothing");
  }
  RETURN_IF_ERROR(ReadIntArgument(definition, "group", &result.groups_));
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (result.groups_ < 1 || result.groups_ > kMost) {
    return Refuse("argument group is ", result.groups_,
                  ", expected a number from 1 to ", kMost);
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
  const std::size_t rank = windows_.kernel.size() + 2;
  for (const NamedShape* tensor : {&x, &filter}) {
    if (tensor->sizes.size() != rank) {
      return refuse(*tensor, rank, " dimensions for a kernel of ",
                    SizesText(windows_.kernel));
    }
  }
  const int channel_dim = channels_first() ? 1 : dims() + 1;
  const int first = channels_first() ? 2 : 1;
  if (std::count(x.sizes.begin() + 1, x.sizes.end(), 0) > 0) {
    return refuse(x, "nothing but the batch to be 0");
  }
  if (!std::equal(windows_.kernel.begin(), windows_.kernel.end(),
                  filter.sizes.begin() + first)) {
    return refuse(filter, "a kernel of ", SizesText(windows_.kernel),
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
  RETURN_IF_ERROR(windows_.Place(dim, x, size, pad_begin, output));
  const auto refuse = [&](const auto&... found) {
    return Refuse("tensor '", x.name, "' has sizes ", SizesText(x.sizes), ": ",
                  found..., " in dimension ", dim, " of the kernel");
  };
  if (*pad_begin < 0) {
    return refuse("legacy_pad SAME would cut ", -*pad_begin,
                  " values off, expected a stride that reaches them,");
  }
  const int64_t room = size + 2 * *pad_begin;
  if (windows_.legacy_pad == LegacyPad::kCaffe && room < windows_.kernel[dim]) {
    return refuse("with padding ", room, " values, expected the kernel's ",
                  windows_.kernel[dim], " at least,");
  }
  return Status::Ok();
}

Status ConvGeometry::ShapeFor(const NamedShape& x, const NamedShape& filter,
                              onednn::ConvolutionShape* shape) const {
  RETURN_IF_ERROR(CheckFilter(x, filter));
  onednn::ConvolutionShape result{};
  result.batch = x.sizes[0];
  result.in_channels = x.sizes[channels_first() ? 1 : dims() + 1];
  result.out_channels = filter.sizes[0];
  result.groups = groups_;
  result.dims = dims();
  result.channels_first = channels_first();
  for (int dim = 0; dim < dims(); ++dim) {
    const int64_t size = x.sizes[dim + (channels_first() ? 2 : 1)];
    int64_t begin = 0, output = 0;
    RETURN_IF_ERROR(Place(dim, x, size, &begin, &output));
    result.input[dim] = size;
    result.kernel[dim] = windows_.kernel[dim];
    result.stride[dim] = windows_.stride[dim];
    result.dilation[dim] = windows_.dilation[dim];
    result.pad_begin[dim] = begin;
    // As much as the last window reaches over the end.
    const int64_t extent =
        windows_.dilation[dim] * (windows_.kernel[dim] - 1) + 1;
    result.pad_end[dim] = std::max<int64_t>(
        (output - 1) * windows_.stride[dim] + extent - size - begin, 0);
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
