#include "operators/int8/engine/window_geometry.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/return_if_error.h"
#include "caffe2/utils/proto_utils.h"
#include "netdef/read_argument.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kMostDims = 3;

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

// One window for the whole image has no padding and no steps.
Status CheckGlobal(const char* what, const std::vector<int64_t>& values,
                   int64_t usual) {
  const auto count = std::count(values.begin(), values.end(), usual);
  if (count == static_cast<int64_t>(values.size())) return Status::Ok();
  return Refuse(what, " are ", SizesText(values), ", expected ", usual,
                " with global_pooling");
}

}  // namespace

std::string SizesText(const std::vector<int64_t>& sizes) {
  return c10::str(at::IntArrayRef(sizes));
}

Status WindowNumbers::Read(const caffe2::OperatorDef& definition,
                           std::vector<int64_t>* values) const {
  RETURN_IF_ERROR(ReadIntegers(definition, list, values));
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

Status WindowNumbers::Read(const caffe2::OperatorDef& definition,
                           std::size_t count, int64_t usual, int64_t least,
                           std::vector<int64_t>* values) const {
  RETURN_IF_ERROR(Read(definition, values));
  if (values->empty()) values->assign(count, usual);
  return CheckValues(what, *values, count, least);
}

bool WindowNumbers::AreIn(const caffe2::OperatorDef& definition) const {
  return HasAll(definition, {list}) || HasAll(definition, {single}) ||
         HasAll(definition, each);
}

Status WindowGeometry::Read(const caffe2::OperatorDef& definition,
                            WindowGeometry* geometry) {
  WindowGeometry result;
  RETURN_IF_ERROR(
      ReadBoolArgument(definition, "global_pooling", &result.global_pooling));
  const bool global = result.global_pooling;
  const WindowNumbers kernel{"kernels", "kernel", {"kernel_h", "kernel_w"}, ""};
  RETURN_IF_ERROR(kernel.Read(definition, &result.kernel));
  if (result.kernel.empty() && !global) {
    return Refuse(
        "no kernel size, expected the argument kernel, kernels, or kernel_h "
        "and kernel_w");
  }
  const std::size_t dims = result.kernel.size();
  if (dims > kMostDims) {
    return Refuse("kernel sizes are ", SizesText(result.kernel),
                  ", expected 1 to 3 dimensions");
  }
  const WindowNumbers stride{
      "strides", "stride", {"stride_h", "stride_w"}, "strides"};
  const WindowNumbers dilation{
      "dilations", "dilation", {"dilation_h", "dilation_w"}, "dilations"};
  const WindowNumbers pad{
      "pads", "pad", {"pad_t", "pad_l", "pad_b", "pad_r"}, "pads"};
  int64_t legacy_pad = 0;
  if (!global) {
    RETURN_IF_ERROR(
        FirstError({CheckValues("kernel sizes", result.kernel, dims, 1),
                    stride.Read(definition, dims, 1, 1, &result.stride),
                    dilation.Read(definition, dims, 1, 1, &result.dilation),
                    pad.Read(definition, 2 * dims, 0, 0, &result.pads)}));
  } else {
    RETURN_IF_ERROR(FirstError({stride.Read(definition, &result.stride),
                                dilation.Read(definition, &result.dilation),
                                pad.Read(definition, &result.pads)}));
    RETURN_IF_ERROR(FirstError({CheckGlobal("strides", result.stride, 1),
                                CheckGlobal("dilations", result.dilation, 1),
                                CheckGlobal("pads", result.pads, 0)}));
  }
  RETURN_IF_ERROR(ReadIntArgument(definition, "legacy_pad", &legacy_pad));
  if (legacy_pad < 0 || legacy_pad > 3) {
    return Refuse("argument legacy_pad is ", legacy_pad, ", expected 0 to 3");
  }
  result.legacy_pad = static_cast<LegacyPad>(legacy_pad);
  if ((result.legacy_pad == LegacyPad::kValid ||
       result.legacy_pad == LegacyPad::kSame) &&
      pad.AreIn(definition)) {
    return Refuse("arguments legacy_pad ", legacy_pad, " and pads ",
                  SizesText(result.pads), ", expected one of them");
  }
  if (global) {
    for (auto* const list :
         {&result.kernel, &result.stride, &result.dilation, &result.pads}) {
      list->clear();
    }
  }
  RETURN_IF_ERROR(ReadOrderArgument(definition, &result.channels_first));
  *geometry = std::move(result);
  return Status::Ok();
}

Status WindowGeometry::Place(int dim, const NamedShape& x, int64_t size,
                             int64_t* pad_begin, int64_t* output) const {
  const int64_t step = stride[dim];
  const int64_t extent = dilation[dim] * (kernel[dim] - 1) + 1;
  int64_t begin = pads[dim];
  const auto refuse = [&](const auto&... found) {
    return Refuse("tensor '", x.name, "' has sizes ", SizesText(x.sizes), ": ",
                  found..., " in dimension ", dim, " of the kernel");
  };
  // With what padding there is.
  int64_t room = size + begin + pads[dims() + dim];
  if (legacy_pad == LegacyPad::kSame) {
    if (dilation[dim] != 1) {
      return refuse("dilation ", dilation[dim],
                    ", expected 1 with legacy_pad SAME,");
    }
    const int64_t target = (size + step - 1) / step;
    const int64_t needed = (target - 1) * step + kernel[dim] - size;
    begin = needed / 2;
    room = size + needed;
  }
  int64_t count = room < extent ? 0 : (room - extent) / step + 1;
  if (legacy_pad == LegacyPad::kCaffe) {
    room = size + 2 * begin;
    // Rounded up, also where the kernel reaches over both ends.
    const int64_t reach = room - kernel[dim];
    count = (reach > 0 ? (reach + step - 1) / step : reach / step) + 1;
    // The last window begins inside the image.
    if (begin > 0 && (count - 1) * step >= size + begin) --count;
    if (reach >= 0 && count <= reach / step) {
      return refuse(
          "legacy_pad CAFFE_LEGACY_POOLING leaves out windows that fit, "
          "expected padding smaller than the kernel,");
    }
  }
  if (count < 1) {
    return refuse("with padding ", room, " values, expected the kernel's ",
                  extent, " at least,");
  }
  *pad_begin = begin;
  *output = count;
  return Status::Ok();
}

}  // namespace caffe2_quantization
