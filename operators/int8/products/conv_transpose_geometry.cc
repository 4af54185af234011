#include "operators/int8/products/conv_transpose_geometry.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/return_if_error.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"

namespace caffe2_quantization {
namespace {

constexpr int kDims = 2;
constexpr int64_t kMost = std::numeric_limits<int32_t>::max();

int64_t CeilDivide(int64_t a, int64_t b) {
  return a > 0 ? (a + b - 1) / b : -(-a / b);
}

int64_t FloorDivide(int64_t a, int64_t b) { return -CeilDivide(-a, b); }

Status RefuseSizes(const NamedShape& tensor, const std::string& expected) {
  return Refuse("tensor '", tensor.name, "' has sizes ",
                SizesText(tensor.sizes), ", expected ", expected);
}

}  // namespace

std::vector<ConvTransposePhase> ConvTransposeShape::Phases() const {
  std::vector<ConvTransposePhase> phases;
  for (int64_t row = 0; row < stride[0]; ++row) {
    for (int64_t column = 0; column < stride[1]; ++column) {
      const int64_t rows = CeilDivide(kernel[0] - row, stride[0]);
      const int64_t columns = CeilDivide(kernel[1] - column, stride[1]);
      const bool has_taps = rows > 0 && columns > 0;
      const Place2D taps = has_taps ? Place2D{rows, columns} : Place2D{1, 1};
      phases.push_back({{row, column}, taps, has_taps});
    }
  }
  return phases;
}

ConvTransposeShape::Outputs ConvTransposeShape::ConvolutionOf(
    const ConvTransposePhase& phase,
    onednn::ConvolutionShape* convolution) const {
  onednn::ConvolutionShape result{};
  result.batch = batch;
  result.in_channels = in_channels;
  result.out_channels = out_channels;
  result.groups = groups;
  result.dims = kDims;
  Outputs outputs;
  for (int dim = 0; dim < kDims; ++dim) {
    const int64_t shift = pad[dim] - phase.residue[dim];
    const int64_t reach = phase.taps[dim] - 1;
    // The phase's outputs are q from first_q to last_q; the convolution has
    // those that no negative padding would cut off, too.
    const int64_t first_q = CeilDivide(shift, stride[dim]);
    const int64_t last_q = FloorDivide(output[dim] - 1 + shift, stride[dim]);
    const int64_t low = std::min(first_q, reach);
    const int64_t high = std::max(last_q, input[dim] - 1);
    result.input[dim] = input[dim];
    result.kernel[dim] = phase.taps[dim];
    result.pad_begin[dim] = reach - low;
    result.pad_end[dim] = high - (input[dim] - 1);
    outputs.skipped[dim] = first_q - low;
    outputs.count[dim] = std::max<int64_t>(last_q - first_q + 1, 0);
    outputs.first[dim] = first_q * stride[dim] - shift;
  }
  *convolution = result;
  return outputs;
}

std::vector<int64_t> ConvTransposeShape::OutputSizes() const {
  return channels_first
             ? std::vector<int64_t>{batch, out_channels, output[0], output[1]}
             : std::vector<int64_t>{batch, output[0], output[1], out_channels};
}

Status ConvTransposeGeometry::Read(const caffe2::OperatorDef& definition,
                                   ConvTransposeGeometry* geometry) {
  ConvTransposeGeometry result;
  const WindowNumbers kernel{
      "kernels", "kernel", {"kernel_h", "kernel_w"}, "kernel sizes"};
  RETURN_IF_ERROR(kernel.Read(definition, &result.kernel_));
  if (result.kernel_.empty()) {
    return Refuse(
        "no kernel size, expected the argument kernel, kernels, or kernel_h "
        "and kernel_w");
  }
  if (result.kernel_.size() != kDims) {
    return Refuse("kernels are ", SizesText(result.kernel_),
                  ", expected 2 of them: a transposed convolution has 2 "
                  "dimensions");
  }
  const WindowNumbers stride{
      "strides", "stride", {"stride_h", "stride_w"}, "strides"};
  const WindowNumbers adj{"adjs", "adj", {"adj_h", "adj_w"}, "adjs"};
  const WindowNumbers pad{
      "pads", "pad", {"pad_t", "pad_l", "pad_b", "pad_r"}, "pads"};
  const WindowNumbers dilation{
      "dilations", "dilation", {"dilation_h", "dilation_w"}, "dilations"};
  std::vector<int64_t> dilations;
  for (const int64_t size : result.kernel_) {
    if (size >= 1 && size <= kMost) continue;
    return Refuse("kernel sizes are ", SizesText(result.kernel_),
                  ", expected numbers from 1 to ", kMost);
  }
  RETURN_IF_ERROR(
      FirstError({stride.Read(definition, kDims, 1, 1, &result.stride_),
                  adj.Read(definition, kDims, 0, 0, &result.adj_),
                  pad.Read(definition, 2 * kDims, 0, 0, &result.pads_),
                  dilation.Read(definition, kDims, 1, 1, &dilations)}));
  if (dilations != std::vector<int64_t>(kDims, 1)) {
    return Refuse("dilations are ", SizesText(dilations),
                  ", expected 1: a transposed convolution has none");
  }
  for (int dim = 0; dim < kDims; ++dim) {
    if (result.adj_[dim] < result.stride_[dim]) continue;
    return Refuse("adjs are ", SizesText(result.adj_),
                  ", expected numbers below the strides, ",
                  SizesText(result.stride_));
  }
  int64_t legacy_pad = 0;
  RETURN_IF_ERROR(ReadIntArgument(definition, "legacy_pad", &legacy_pad));
  if (legacy_pad < 0 || legacy_pad > 2) {
    return Refuse("argument legacy_pad is ", legacy_pad, ", expected 0 to 2");
  }
  if (legacy_pad != 0 && pad.AreIn(definition)) {
    return Refuse("arguments legacy_pad ", legacy_pad, " and pads ",
                  SizesText(result.pads_), ", expected one of them");
  }
  RETURN_IF_ERROR(ReadIntArgument(definition, "group", &result.groups_));
  if (result.groups_ < 1 || result.groups_ > kMost) {
    return Refuse("argument group is ", result.groups_,
                  ", expected a number from 1 to ", kMost);
  }
  RETURN_IF_ERROR(ReadOrderArgument(definition, &result.channels_first_));
  *geometry = std::move(result);
  return Status::Ok();
}

Status ConvTransposeGeometry::CheckSizes(const NamedShape& x,
                                         const NamedShape& filter) const {
  for (const NamedShape* tensor : {&x, &filter}) {
    if (tensor->sizes.size() != kDims + 2) {
      return RefuseSizes(*tensor,
                         "4 dimensions for a kernel of " + SizesText(kernel_));
    }
  }
  if (std::count(x.sizes.begin() + 1, x.sizes.end(), 0) > 0) {
    return RefuseSizes(x, "nothing but the batch to be 0");
  }
  if (!std::equal(kernel_.begin(), kernel_.end(),
                  filter.sizes.begin() + (channels_first_ ? 2 : 1))) {
    return RefuseSizes(
        filter, "a kernel of " + SizesText(kernel_) + " as the arguments say");
  }
  const int64_t channels = x.sizes[channels_first_ ? 1 : 3];
  if (channels % groups_ != 0) {
    return RefuseSizes(x, "a number of channels that " +
                              std::to_string(groups_) + " groups divide");
  }
  if (filter.sizes[0] != channels) {
    return RefuseSizes(filter, std::to_string(channels) +
                                   " input channels first, as tensor '" +
                                   x.name + "' has");
  }
  const int64_t outputs = filter.sizes[channels_first_ ? 1 : 3];
  if (outputs < 1 || outputs > kMost / groups_) {
    return RefuseSizes(filter, "1 to " + std::to_string(kMost / groups_) +
                                   " output channels in a group");
  }
  return Status::Ok();
}

Status ConvTransposeGeometry::ShapeFor(const NamedShape& x,
                                       const NamedShape& filter,
                                       ConvTransposeShape* shape) const {
  RETURN_IF_ERROR(CheckSizes(x, filter));
  ConvTransposeShape result;
  result.batch = x.sizes[0];
  result.in_channels = filter.sizes[0];
  result.out_channels = groups_ * filter.sizes[channels_first_ ? 1 : 3];
  result.groups = groups_;
  result.channels_first = channels_first_;
  for (int dim = 0; dim < kDims; ++dim) {
    const int64_t size = x.sizes[dim + (channels_first_ ? 2 : 1)];
    RETURN_IF_ERROR(
        onednn::CheckConvolutionRange("input", size, 1, kMost, dim));
    result.input[dim] = size;
    result.kernel[dim] = kernel_[dim];
    result.stride[dim] = stride_[dim];
    result.pad[dim] = pads_[dim];
    // All are below 2^31.
    result.output[dim] = (size - 1) * stride_[dim] + kernel_[dim] + adj_[dim] -
                         pads_[dim] - pads_[kDims + dim];
    if (result.output[dim] < 1 || result.output[dim] > kMost) {
      return RefuseSizes(x, "an output of 1 to " + std::to_string(kMost) +
                                " in dimension " + std::to_string(dim) +
                                " of the kernel, and not " +
                                std::to_string(result.output[dim]));
    }
  }
  constexpr int64_t kMostPhases = 4096;
  if (stride_[0] > kMostPhases || stride_[1] > kMostPhases / stride_[0]) {
    return Refuse("strides are ", SizesText(stride_),
                  ", expected a product of at most ", kMostPhases);
  }
  constexpr int64_t kMostValues = int64_t{1} << 40;
  if (result.output[0] * result.output[1] >
      kMostValues / std::max<int64_t>(result.batch, 1) / result.out_channels) {
    return RefuseSizes(x, "an output of at most 2^40 values, and not " +
                              SizesText(result.OutputSizes()));
  }
  for (const ConvTransposePhase& phase : result.Phases()) {
    onednn::ConvolutionShape convolution;
    const auto outputs = result.ConvolutionOf(phase, &convolution);
    // A phase without outputs is not computed.
    if (outputs.count[0] == 0 || outputs.count[1] == 0) continue;
    RETURN_IF_ERROR(convolution.Validate());
  }
  *shape = result;
  return Status::Ok();
}

}  // namespace caffe2_quantization
