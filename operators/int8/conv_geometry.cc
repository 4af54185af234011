#include "operators/int8/conv_geometry.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "caffe2/utils/proto_utils.h"
#include "operators/int8/int8_arguments.h"

namespace caffe2_quantization {
namespace {

constexpr int kMostDims = 3;

// Values of a list argument; none if it is not there or empty.
Status ReadList(const caffe2::OperatorDef& definition, const std::string& name,
                std::vector<int64_t>* values) {
  for (const caffe2::Argument& argument : definition.arg()) {
    if (argument.name() != name) continue;
    if (argument.floats_size() > 0 || argument.strings_size() > 0 ||
        argument.has_i() || argument.has_f() || argument.has_s()) {
      return Status::InvalidArgument("argument " + name +
                                     " is not a list of integers");
    }
    values->assign(argument.ints().begin(), argument.ints().end());
  }
  return Status::Ok();
}

// Is every one of these there?
bool HasAll(const caffe2::OperatorDef& definition,
            const std::vector<std::string>& names) {
  const caffe2::ArgumentHelper arguments(definition);
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return arguments.HasArgument(name);
  });
}

// The list `plural`; then `single` for as many values as 2D has, or the values
// `each` behind the list.
Status ReadForms(const caffe2::OperatorDef& definition,
                 const std::string& single,
                 const std::vector<std::string>& each,
                 const std::string& plural, std::vector<int64_t>* values) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ReadList(definition, plural, values));
  if (HasAll(definition, {single})) {
    int64_t value = 0;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadIntArgument(definition, single, &value));
    values->resize(each.size(), value);
  } else if (HasAll(definition, each)) {
    for (const std::string& name : each) {
      int64_t value = 0;
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
          ReadIntArgument(definition, name, &value));
      values->push_back(value);
    }
  }
  return Status::Ok();
}

Status CheckValues(const char* what, const std::vector<int64_t>& values,
                   std::size_t count, int64_t least) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (values.size() != count) {
    return Status::InvalidArgument(
        std::string(what) + " are " + SizesText(values) + ", expected " +
        std::to_string(count) + " of them for the kernel's dimensions");
  }
  for (const int64_t value : values) {
    if (value < least || value > kMost) {
      return Status::InvalidArgument(
          std::string(what) + " are " + SizesText(values) +
          ", expected numbers from " + std::to_string(least) + " to " +
          std::to_string(kMost));
    }
  }
  return Status::Ok();
}

}  // namespace

std::string SizesText(const std::vector<int64_t>& sizes) {
  std::string text = "[";
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  }
  return text + "]";
}

Status ConvGeometry::Read(const caffe2::OperatorDef& definition,
                          ConvGeometry* geometry) {
  ConvGeometry result;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ReadForms(definition, "kernel",
                                                {"kernel_h", "kernel_w"},
                                                "kernels", &result.kernel_));
  if (result.kernel_.empty()) {
    return Status::InvalidArgument(
        "no kernel size, expected the argument kernel, kernels, or kernel_h "
        "and kernel_w");
  }
  if (result.dims() > kMostDims) {
    return Status::InvalidArgument("kernel sizes are " +
                                   SizesText(result.kernel_) +
                                   ", expected 1 to 3 dimensions");
  }
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      CheckValues("kernel sizes", result.kernel_, result.kernel_.size(), 1));
  const std::size_t dims = result.kernel_.size();

  const auto read =
      [&](const char* single, const std::vector<std::string>& each,
          const char* plural, const char* what, std::size_t count,
          int64_t usual, int64_t least, std::vector<int64_t>* values) {
        CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
            ReadForms(definition, single, each, plural, values));
        if (values->empty()) values->assign(count, usual);
        return CheckValues(what, *values, count, least);
      };
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(read("stride", {"stride_h", "stride_w"},
                                           "strides", "strides", dims, 1, 1,
                                           &result.stride_));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      read("dilation", {"dilation_h", "dilation_w"}, "dilations", "dilations",
           dims, 1, 1, &result.dilation_));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      read("pad", {"pad_t", "pad_l", "pad_b", "pad_r"}, "pads", "pads",
           2 * dims, 0, 0, &result.pads_));

  int64_t legacy_pad = 0, global_pooling = 0;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadIntArgument(definition, "legacy_pad", &legacy_pad));
  if (legacy_pad < 0 || legacy_pad > 3) {
    return Status::InvalidArgument("argument legacy_pad is " +
                                   std::to_string(legacy_pad) +
                                   ", expected 0 to 3");
  }
  result.legacy_pad_ = static_cast<LegacyPad>(legacy_pad);
  if (result.legacy_pad_ == LegacyPad::kValid ||
      result.legacy_pad_ == LegacyPad::kSame) {
    if (HasAll(definition, {"pads"}) || HasAll(definition, {"pad"}) ||
        HasAll(definition, {"pad_t", "pad_l", "pad_b", "pad_r"})) {
      return Status::InvalidArgument(
          "arguments legacy_pad " + std::to_string(legacy_pad) + " and pads " +
          SizesText(result.pads_) + ", expected one of them");
    }
  }
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadIntArgument(definition, "global_pooling", &global_pooling));
  if (global_pooling != 0) {
    return Status::InvalidArgument("argument global_pooling is " +
                                   std::to_string(global_pooling) +
                                   ", expected 0: a convolution pools nothing");
  }

  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadIntArgument(definition, "group", &result.groups_));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      CheckValues("argument group's values", {result.groups_}, 1, 1));
  const caffe2::ArgumentHelper arguments(definition);
  const std::string order =
      arguments.HasArgument("order")
          ? arguments.GetSingleArgument<std::string>("order", "")
          : "NCHW";
  if (order != "NCHW" && order != "nchw" && order != "NHWC" &&
      order != "nhwc") {
    return Status::InvalidArgument("argument order is '" + order +
                                   "', expected NCHW or NHWC");
  }
  result.channels_first_ = order == "NCHW" || order == "nchw";
  *geometry = std::move(result);
  return Status::Ok();
}

Status ConvGeometry::CheckFilter(const NamedShape& x,
                                 const NamedShape& filter) const {
  const auto refuse = [](const NamedShape& tensor,
                         const std::string& expected) {
    return Status::InvalidArgument("tensor '" + tensor.name + "' has sizes " +
                                   SizesText(tensor.sizes) + ", expected " +
                                   expected);
  };
  const std::string rank = std::to_string(dims() + 2) +
                           " dimensions for a kernel of " + SizesText(kernel_);
  for (const NamedShape* tensor : {&x, &filter}) {
    if (static_cast<int>(tensor->sizes.size()) != dims() + 2) {
      return refuse(*tensor, rank);
    }
  }
  const int channel_dim = channels_first_ ? 1 : dims() + 1;
  const int first = channels_first_ ? 2 : 1;
  for (int dim = 0; dim < dims() + 2; ++dim) {
    if (dim > 0 && x.sizes[dim] == 0) {
      return refuse(x, "nothing but the batch to be 0");
    }
  }
  if (!std::equal(kernel_.begin(), kernel_.end(),
                  filter.sizes.begin() + first)) {
    return refuse(
        filter, "a kernel of " + SizesText(kernel_) + " as the arguments say");
  }
  const int64_t out_channels = filter.sizes[0];
  if (out_channels < 1 || out_channels % groups_ != 0) {
    return refuse(filter, "a number of output channels that " +
                              std::to_string(groups_) + " groups divide");
  }
  const int64_t in_channels = x.sizes[channel_dim];
  if (in_channels % groups_ != 0) {
    return refuse(x, "a number of channels that " + std::to_string(groups_) +
                         " groups divide");
  }
  if (filter.sizes[channel_dim] != in_channels / groups_) {
    return refuse(filter, std::to_string(in_channels / groups_) +
                              " channels, for an input of " +
                              std::to_string(in_channels) + " in " +
                              std::to_string(groups_) + " groups");
  }
  return Status::Ok();
}

Status ConvGeometry::Place(int dim, const NamedShape& x, int64_t size,
                           int64_t* pad_begin, int64_t* output) const {
  const int64_t stride = stride_[dim], kernel = kernel_[dim];
  const int64_t extent = dilation_[dim] * (kernel - 1) + 1;
  int64_t begin = pads_[dim];
  int64_t room = size + begin + pads_[dims() + dim];
  const auto refuse = [&](const std::string& found) {
    return Status::InvalidArgument(
        "tensor '" + x.name + "' has sizes " + SizesText(x.sizes) + ": " +
        found + " in dimension " + std::to_string(dim) + " of the kernel");
  };
  switch (legacy_pad_) {
    case LegacyPad::kNotSet:
    case LegacyPad::kValid:
      break;
    case LegacyPad::kSame: {
      if (dilation_[dim] != 1) {
        return refuse("dilation " + std::to_string(dilation_[dim]) +
                      ", expected 1 with legacy_pad SAME,");
      }
      const int64_t target = (size + stride - 1) / stride;
      const int64_t needed = (target - 1) * stride + kernel - size;
      begin = needed / 2;
      if (begin < 0) {
        return refuse("legacy_pad SAME would cut " + std::to_string(-begin) +
                      " values off, expected a stride that reaches them,");
      }
      room = size + needed;
      break;
    }
    case LegacyPad::kCaffe: {
      room = size + 2 * begin;
      const int64_t reach = room - kernel;
      if (reach < 0) break;
      int64_t count = (reach + stride - 1) / stride + 1;
      // The last window begins inside the image.
      if (begin > 0 && (count - 1) * stride >= size + begin) --count;
      if (count <= reach / stride) {
        return refuse(
            "legacy_pad CAFFE_LEGACY_POOLING leaves out windows that fit, "
            "expected padding smaller than the kernel,");
      }
      room = (count - 1) * stride + extent;
      break;
    }
  }
  if (room < extent) {
    return refuse("with padding " + std::to_string(room) +
                  " values, expected the kernel's " + std::to_string(extent) +
                  " at least,");
  }
  *pad_begin = begin;
  *output = (room - extent) / stride + 1;
  return Status::Ok();
}

Status ConvGeometry::ShapeFor(const NamedShape& x, const NamedShape& filter,
                              onednn::ConvolutionShape* shape) const {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckFilter(x, filter));
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
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(Place(dim, x, size, &begin, &output));
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
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(result.Validate());
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
