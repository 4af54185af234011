#include "operators/int8/pooling/pool_geometry.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "base/return_if_error.h"
#include "caffe2/utils/proto_utils.h"
#include "operators/enforce.h"

namespace caffe2_quantization {
namespace {

constexpr int kMostDims = 3;

// A double holds a sum of that many codes, times a scale.
constexpr int64_t kMostKernelValues = int64_t{1} << 29;

}  // namespace

Status PoolGeometry::Read(const caffe2::OperatorDef& definition,
                          PoolGeometry* geometry) {
  PoolGeometry result;
  WindowGeometry& windows = result.windows_;
  RETURN_IF_ERROR(WindowGeometry::Read(definition, &windows));
  const auto dims = static_cast<std::size_t>(windows.dims());
  for (std::size_t dim = 0; dim < dims; ++dim) {
    if (windows.dilation[dim] != 1) {
      return Refuse("dilations are ", SizesText(windows.dilation),
                    ", expected 1: a pool has none");
    }
    const int64_t kernel = windows.kernel[dim];
    if (windows.pads[dim] >= kernel || windows.pads[dims + dim] >= kernel) {
      return Refuse("pads are ", SizesText(windows.pads),
                    ", expected numbers below the kernel's ",
                    SizesText(windows.kernel));
    }
  }
  if (!windows.global_pooling) {
    double values = 1;
    for (const int64_t size : windows.kernel) {
      values *= static_cast<double>(size);
    }
    if (values > static_cast<double>(kMostKernelValues)) {
      return Refuse("kernel sizes are ", SizesText(windows.kernel),
                    ", expected at most ", kMostKernelValues, " values");
    }
    result.kernel_values_ = static_cast<int64_t>(values);
  }
  *geometry = std::move(result);
  return Status::Ok();
}

Status PoolGeometry::PlanFor(const NamedShape& x, PoolPlan* plan) const {
  const auto refuse = [&](const auto&... expected) {
    return Refuse("tensor '", x.name, "' has sizes ", SizesText(x.sizes), ", ",
                  expected...);
  };
  const auto rank = static_cast<int>(x.sizes.size());
  const int dims = rank - 2;
  if (windows_.global_pooling && (dims < 1 || dims > kMostDims)) {
    return refuse("expected 3 to 5 dimensions");
  }
  if (!windows_.global_pooling && dims != windows_.dims()) {
    return refuse("expected ", windows_.dims() + 2,
                  " dimensions for a kernel of ", SizesText(windows_.kernel));
  }
  if (std::count(x.sizes.begin() + 1, x.sizes.end(), 0) > 0) {
    return refuse("expected nothing but the batch to be 0");
  }
  PoolPlan result;
  kernels::PoolShape& shape = result.shape;
  shape.batch = x.sizes[0];
  shape.channels_first = windows_.channels_first;
  shape.channels = x.sizes[shape.channels_first ? 1 : rank - 1];
  result.output_sizes = x.sizes;
  for (int dim = 0; dim < dims; ++dim) {
    const int place = dim + (shape.channels_first ? 2 : 1);
    const int to = kMostDims - dims + dim;
    const int64_t size = x.sizes[place];
    shape.input[to] = size;
    if (windows_.global_pooling) {
      shape.kernel[to] = size;
    } else {
      // The host adds them up in 32 bits.
      const int64_t sum = size + windows_.kernel[dim] + windows_.stride[dim] +
                          windows_.pads[dim] + windows_.pads[dims + dim];
      if (sum > std::numeric_limits<int32_t>::max()) {
        return refuse(
            "expected sizes that add up to less than 2^31 with "
            "kernel, stride and pads in dimension ",
            dim, " of the kernel");
      }
      shape.kernel[to] = windows_.kernel[dim];
      shape.stride[to] = windows_.stride[dim];
      RETURN_IF_ERROR(
          windows_.Place(dim, x, size, &shape.pad[to], &shape.output[to]));
    }
    result.output_sizes[place] = shape.output[to];
  }
  if (!shape.HasInputs()) {
    return refuse(
        "expected a window of legacy_pad CAFFE_LEGACY_POOLING to "
        "begin inside of it: a stride no larger than the kernel");
  }
  // One channel is a plane in either order.
  shape.channels_first = shape.channels_first || shape.channels == 1;
  shape = kernels::MergedShape(shape);
  *plan = std::move(result);
  return Status::Ok();
}

caffe2::OperatorDef PoolGeometry::FloatDefinition(
    const caffe2::OperatorDef& definition) const {
  static const auto* const kReplaced = new std::set<std::string>{
      "kernel",    "kernel_h", "kernel_w", "kernels",    "stride", "stride_h",
      "stride_w",  "strides",  "dilation", "dilation_h", "pad",    "dilation_w",
      "dilations", "pad_t",    "pad_l",    "pad_b",      "pad_r",  "pads"};
  caffe2::OperatorDef result = definition;
  result.clear_arg();
  for (const caffe2::Argument& argument : definition.arg()) {
    if (kReplaced->count(argument.name()) == 0) *result.add_arg() = argument;
  }
  const auto add = [&](const char* name, const std::vector<int64_t>& values) {
    *result.add_arg() = caffe2::MakeArgument(name, values);
  };
  if (windows_.global_pooling) {
    // Sizes that are not read; the host needs room for the input's.
    add("kernels", std::vector<int64_t>(kMostDims, 1));
    return result;
  }
  add("kernels", windows_.kernel);
  add("strides", windows_.stride);
  if (windows_.legacy_pad == LegacyPad::kNotSet ||
      windows_.legacy_pad == LegacyPad::kCaffe) {
    add("pads", windows_.pads);
  }
  return result;
}

}  // namespace caffe2_quantization
