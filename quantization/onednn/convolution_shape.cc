#include "quantization/onednn/convolution_shape.h"

#include <limits>
#include <string>
#include <utility>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

constexpr int64_t kLargestSize = std::numeric_limits<int32_t>::max();
constexpr int64_t kMostValues = int64_t{1} << 40;

Status CheckSizes(const char* name, const std::array<int64_t, 3>& sizes,
                  int dims, int64_t smallest) {
  for (int i = 0; i < dims; ++i) {
    RETURN_IF_ERROR(
        CheckConvolutionRange(name, sizes[i], smallest, kLargestSize, i));
  }
  return Status::Ok();
}

// Sizes whose product is a number of values.
struct Factors {
  std::array<int64_t, 5> sizes{};
  int count = 0;

  void Add(int64_t size) { sizes[count++] = size; }
};

Status CheckValues(const char* name, const Factors& factors, int64_t most) {
  int64_t values = 1;
  bool too_many = false;
  for (int i = 0; i < factors.count; ++i) {
    const int64_t size = factors.sizes[i];
    too_many = too_many || (size != 0 && values > most / size);
    if (!too_many) values *= size;
  }
  if (!too_many) return Status::Ok();
  std::string text;
  for (int i = 0; i < factors.count; ++i) {
    text += (i == 0 ? "" : " x ") + std::to_string(factors.sizes[i]);
  }
  return Status::OutOfRange(std::string("convolution: the ") + name + " has " +
                            text + " values, expected at most " +
                            std::to_string(most));
}

// Of the sizes that are used.
int64_t Product(const std::array<int64_t, 3>& sizes, int dims) {
  int64_t product = 1;
  for (int i = 0; i < dims; ++i) product *= sizes[i];
  return product;
}

}  // namespace

Status CheckConvolutionRange(const char* name, int64_t value, int64_t smallest,
                             int64_t largest, int index) {
  if (value >= smallest && value <= largest) return Status::Ok();
  return Status::InvalidArgument(
      std::string("convolution: ") + name +
      (index < 0 ? "" : "[" + std::to_string(index) + "]") + " is " +
      std::to_string(value) + ", expected " + std::to_string(smallest) +
      " to " + std::to_string(largest));
}

Status ConvolutionShape::ValidateFilter() const {
  RETURN_IF_ERROR(CheckConvolutionRange("dims", dims, 1, 3));
  RETURN_IF_ERROR(
      CheckConvolutionRange("in_channels", in_channels, 1, kLargestSize));
  RETURN_IF_ERROR(
      CheckConvolutionRange("out_channels", out_channels, 1, kLargestSize));
  RETURN_IF_ERROR(CheckConvolutionRange("groups", groups, 1, kLargestSize));
  for (const auto& [name, channels] :
       {std::make_pair("in_channels", in_channels),
        std::make_pair("out_channels", out_channels)}) {
    if (channels % groups == 0) continue;
    return Status::InvalidArgument(std::string("convolution: ") + name +
                                   " is " + std::to_string(channels) +
                                   ", expected a multiple of groups (" +
                                   std::to_string(groups) + ")");
  }
  RETURN_IF_ERROR(CheckSizes("kernel", kernel, dims, 1));
  Factors factors;
  for (int i = 0; i < dims; ++i) factors.Add(kernel[i]);
  factors.Add(in_channels / groups);
  RETURN_IF_ERROR(CheckValues("window", factors, kLargestSize));
  factors.Add(out_channels);
  return CheckValues("filter", factors, kMostValues);
}

int64_t ConvolutionShape::Output(int dim) const {
  return (input[dim] + pad_begin[dim] + pad_end[dim] -
          dilation[dim] * (kernel[dim] - 1) - 1) /
             stride[dim] +
         1;
}

Status ConvolutionShape::Validate() const {
  RETURN_IF_ERROR(ValidateFilter());
  RETURN_IF_ERROR(CheckConvolutionRange("batch", batch, 0, kLargestSize));
  RETURN_IF_ERROR(CheckSizes("input", input, dims, 1));
  RETURN_IF_ERROR(CheckSizes("stride", stride, dims, 1));
  RETURN_IF_ERROR(CheckSizes("dilation", dilation, dims, 1));
  RETURN_IF_ERROR(CheckSizes("pad_begin", pad_begin, dims, 0));
  RETURN_IF_ERROR(CheckSizes("pad_end", pad_end, dims, 0));
  Factors inputs, outputs;
  for (const int64_t size : {batch, in_channels}) inputs.Add(size);
  for (const int64_t size : {batch, out_channels}) outputs.Add(size);
  for (int i = 0; i < dims; ++i) {
    const int64_t window = dilation[i] * (kernel[i] - 1) + 1;
    const int64_t padded = input[i] + pad_begin[i] + pad_end[i];
    if (window > padded) {
      return Status::InvalidArgument(
          "convolution: the window has " + std::to_string(window) +
          " pixels in dimension " + std::to_string(i) +
          ", expected at most the padded input's " + std::to_string(padded));
    }
    inputs.Add(input[i]);
    outputs.Add(Output(i));
  }
  RETURN_IF_ERROR(CheckValues("input", inputs, kMostValues));
  return CheckValues("output", outputs, kMostValues);
}

int64_t ConvolutionShape::Taps() const { return Product(kernel, dims); }

int64_t ConvolutionShape::InputPixels() const { return Product(input, dims); }

}  // namespace onednn
}  // namespace caffe2_quantization
