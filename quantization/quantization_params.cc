#include "quantization/quantization_params.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <ostream>
#include <utility>

#include "base/return_if_error.h"
#include "base/text.h"
#include "quantization/choose.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kLargestCount = std::numeric_limits<int64_t>::max();

Status Wrong(const std::string& what) {
  return Status::InvalidArgument("quantization parameters: " + what);
}

std::string Element(const char* vector, std::size_t index) {
  return std::string(vector) + "[" + std::to_string(index) + "]";
}

bool HasBlocks(Granularity granularity) {
  return granularity == Granularity::kBlock ||
         granularity == Granularity::kChannelBlock;
}

int32_t MiddleCode(QuantizedType type) {
  return type.is_signed ? 0 : int32_t{1} << (type.precision - 1);
}

bool IsSymmetricZeroPoint(QuantizedType type, int32_t zero_point) {
  return zero_point == MiddleCode(type) || zero_point == type.qmin() ||
         zero_point == type.qmax();
}

// What q - zero_point is at most, in size.
double LargestOffset(QuantizedType type, int32_t zero_point) {
  return std::max(double{1} * zero_point - type.qmin(),
                  double{1} * type.qmax() - zero_point);
}

float Dequantize(float scale, int64_t offset) {
  return static_cast<float>(double{scale} * static_cast<double>(offset));
}

float RoundUp(double value) {
  const float rounded = static_cast<float>(value);
  return rounded >= value
             ? rounded
             : std::nextafterf(rounded, std::numeric_limits<float>::infinity());
}

Status Multiply(int64_t factor, int64_t* product) {
  if (factor != 0 && *product > kLargestCount / factor) {
    return Status::OutOfRange(
        "quantization parameters: a shape of more than 2^63 - 1 values");
  }
  *product *= factor;
  return Status::Ok();
}

int64_t CeilDivide(int64_t count, int64_t size) {
  return count / size + (count % size != 0 ? 1 : 0);
}

Status ValidateSet(const QuantizationParams& params, std::size_t i) {
  constexpr float kSmallestScale = QuantizationParams::kSmallestScale;
  constexpr float kLargestScale = QuantizationParams::kLargestScale;
  const float scale = params.scales[i];
  if (!std::isfinite(scale)) {
    return Wrong(Element("scales", i) + " is " + ShortestText(scale) +
                 ", expected a finite number");
  }
  if (!(scale > 0)) {
    return Wrong(Element("scales", i) + " is " + ShortestText(scale) +
                 ", expected a positive number");
  }
  if (scale < kSmallestScale || scale > kLargestScale) {
    return Wrong(Element("scales", i) + " is " + ShortestText(scale) +
                 ", expected " + ShortestText(kSmallestScale) + " to " +
                 ShortestText(kLargestScale) +
                 ": it and its reciprocal are normal floats");
  }
  const int32_t zero_point = params.zero_points[i];
  if (zero_point < params.type.qmin() || zero_point > params.type.qmax()) {
    return Wrong(Element("zero_points", i) + " is " +
                 std::to_string(zero_point) + ", expected a value of " +
                 params.type.Name() + ", " +
                 std::to_string(params.type.qmin()) + " to " +
                 std::to_string(params.type.qmax()));
  }
  if (params.symmetry == Symmetry::kSymmetric &&
      !IsSymmetricZeroPoint(params.type, zero_point)) {
    return Wrong(Element("zero_points", i) + " is " +
                 std::to_string(zero_point) + " and symmetric, expected " +
                 std::to_string(MiddleCode(params.type)) + ", or an end of " +
                 params.type.Name());
  }
  if (std::isinf(params.RepresentedMin(i)) ||
      std::isinf(params.RepresentedMax(i))) {
    return Wrong(Element("scales", i) + " is " + ShortestText(scale) +
                 " with zero point " + std::to_string(zero_point) +
                 ", so that values of " + params.type.Name() +
                 " stand for infinities, expected a smaller scale");
  }
  return Status::Ok();
}

// A quick look at all sets, in loops that become vectors: true when none can be
// at fault. There may be a set for every few values.
bool EverySetIsPlain(const QuantizationParams& params) {
  const QuantizedType type = params.type;
  const double codes = double{1} * type.qmax() - type.qmin();
  const float largest = static_cast<float>(
      std::min<double>(QuantizationParams::kLargestScale,
                       std::numeric_limits<float>::max() / (2 * codes)));
  int plain = 1;
  for (const float scale : params.scales) {
    plain &= (scale >= QuantizationParams::kSmallestScale) & (scale <= largest);
  }
  const int32_t qmin = type.qmin(), qmax = type.qmax();
  if (params.symmetry == Symmetry::kAsymmetric) {
    for (const int32_t each : params.zero_points) {
      plain &= (each >= qmin) & (each <= qmax);
    }
  } else {
    const int32_t middle = MiddleCode(type);
    for (const int32_t each : params.zero_points) {
      plain &= (each == middle) | (each == qmin) | (each == qmax);
    }
  }
  return plain != 0;
}

}  // namespace

const char* Name(Symmetry symmetry) {
  return symmetry == Symmetry::kSymmetric ? "symmetric" : "asymmetric";
}

const char* Name(Granularity granularity) {
  switch (granularity) {
    case Granularity::kTensor:
      return "tensor";
    case Granularity::kChannel:
      return "channel";
    case Granularity::kBlock:
      return "block";
    case Granularity::kChannelBlock:
      return "channel_block";
  }
  return "?";
}

int64_t ParameterSets::SetOf(int64_t index) const {
  const int64_t channel = index / inner % channels;
  if (block_size == 0) return channel;
  const int64_t within = index / (channels * inner) * inner + index % inner;
  return channel * blocks + within / block_size;
}

QuantizationParams::QuantizationParams(QuantizedType type, float scale,
                                       int32_t zero_point)
    : type(type),
      symmetry(type.is_signed && zero_point == 0 ? Symmetry::kSymmetric
                                                 : Symmetry::kAsymmetric),
      scales{scale},
      zero_points{zero_point} {}

QuantizationParams QuantizationParams::Int8Symmetric() {
  return {QuantizedType::Int8(), 1.0f, 0};
}

QuantizationParams QuantizationParams::UInt8Asymmetric() {
  return {QuantizedType::UInt8(), 1.0f, 128};
}

QuantizationParams QuantizationParams::Int4Symmetric() {
  return {QuantizedType::Int4(), 1.0f, 0};
}

QuantizationParams QuantizationParams::ChannelWise(int num_channels,
                                                   QuantizedType type,
                                                   int axis) {
  QuantizationParams params(type, 1.0f, 0);
  params.granularity = Granularity::kChannel;
  params.axis = axis;
  params.scales.assign(std::max(num_channels, 0), 1.0f);
  params.zero_points.assign(params.scales.size(), 0);
  return params;
}

QuantizationParams QuantizationParams::BlockWise(int64_t block_size,
                                                 QuantizedType type,
                                                 int num_blocks) {
  QuantizationParams params(type, 1.0f, 0);
  params.granularity = Granularity::kBlock;
  params.block_size = block_size;
  params.scales.assign(std::max(num_blocks, 0), 1.0f);
  params.zero_points.assign(params.scales.size(), 0);
  return params;
}

Status QuantizationParams::FromStatistics(float observed_min,
                                          float observed_max) {
  return FromStatistics(std::vector<float>(scales.size(), observed_min),
                        std::vector<float>(scales.size(), observed_max));
}

Status QuantizationParams::FromStatistics(
    const std::vector<float>& observed_min,
    const std::vector<float>& observed_max) {
  if (observed_min.size() != scales.size() ||
      observed_max.size() != scales.size()) {
    return Wrong(std::to_string(observed_min.size()) + " minima and " +
                 std::to_string(observed_max.size()) + " maxima of " +
                 std::to_string(scales.size()) +
                 " sets, expected one of each for a set");
  }
  ChooseOptions options;
  options.type = type;
  options.preserve_sparsity = symmetry == Symmetry::kSymmetric;
  options.smallest_scale = kSmallestScale;
  QuantizationParams made = *this;
  made.zero_points.resize(scales.size());
  made.min.reset();
  made.max.reset();
  for (std::size_t i = 0; i < scales.size(); ++i) {
    Choice choice;
    Status status =
        ChooseFromRange(observed_min[i], observed_max[i], options, &choice);
    if (status.ok() && options.preserve_sparsity) {
      // With values on both sides of 0 it is the middle code.
      status = ChooseFromRange(std::min(observed_min[i], -kSmallestScale),
                               std::max(observed_max[i], kSmallestScale),
                               options, &choice);
    }
    if (!status.ok()) {
      return scales.size() == 1
                 ? status
                 : Status::InvalidArgument("set " + std::to_string(i) + ": " +
                                           status.message());
    }
    made.scales[i] = choice.scale;
    made.zero_points[i] = choice.zero_point;
    made.min = std::min(made.min.value_or(observed_min[i]), observed_min[i]);
    made.max = std::max(made.max.value_or(observed_max[i]), observed_max[i]);
  }
  RETURN_IF_ERROR(made.Validate());
  *this = std::move(made);
  return Status::Ok();
}

Status QuantizationParams::Validate() const {
  RETURN_IF_ERROR(type.Validate());
  const std::string sets = std::string("granularity ") + Name(granularity);
  if (axis < 0) {
    return Wrong("axis is " + std::to_string(axis) + ", expected 0 or more");
  }
  if (axis != 0 && !IsPerChannel()) {
    return Wrong("axis is " + std::to_string(axis) + " with " + sets +
                 ", expected 0");
  }
  if (HasBlocks(granularity) ? block_size <= 0 : block_size != 0) {
    return Wrong("block_size is " + std::to_string(block_size) + " with " +
                 sets + ", expected " +
                 (HasBlocks(granularity) ? "1 or more" : "0"));
  }
  if (scales.size() != zero_points.size()) {
    return Wrong(std::to_string(scales.size()) + " scales and " +
                 std::to_string(zero_points.size()) +
                 " zero points, expected as many of each");
  }
  if (granularity == Granularity::kTensor ? scales.size() != 1
                                          : scales.empty()) {
    return Wrong(
        std::to_string(scales.size()) + " scales with " + sets + ", expected " +
        (granularity == Granularity::kTensor ? "one" : "at least one"));
  }
  if (!EverySetIsPlain(*this)) {
    for (std::size_t i = 0; i < scales.size(); ++i) {
      RETURN_IF_ERROR(ValidateSet(*this, i));
    }
  }
  if (min.has_value() != max.has_value()) {
    return Wrong(std::string("observed ") + (min.has_value() ? "min" : "max") +
                 " without " + (min.has_value() ? "max" : "min") +
                 ", expected both or neither");
  }
  if (!min.has_value()) return Status::Ok();
  for (const auto& [name, value] :
       {std::pair<const char*, float>("min", *min), {"max", *max}}) {
    if (std::isfinite(value)) continue;
    return Wrong(std::string("observed ") + name + " is " +
                 ShortestText(value) + ", expected a finite number");
  }
  if (*min > *max) {
    return Wrong("observed min is " + ShortestText(*min) +
                 ", expected max at most, " + ShortestText(*max));
  }
  return Status::Ok();
}

Status QuantizationParams::ValidateFor(
    const std::vector<int64_t>& shape) const {
  RETURN_IF_ERROR(Validate());
  int64_t count = 0;
  RETURN_IF_ERROR(NumParameterSetsFor(shape, &count));
  if (static_cast<uint64_t>(count) == scales.size()) return Status::Ok();
  return Wrong(std::to_string(scales.size()) + " sets with granularity " +
               Name(granularity) + ", expected " + std::to_string(count) +
               " for a tensor of shape " + DimsText(shape));
}

Status QuantizationParams::NumParameterSetsFor(
    const std::vector<int64_t>& shape, int64_t* count) const {
  ParameterSets sets;
  RETURN_IF_ERROR(SetsFor(shape, &sets));
  *count = std::max<int64_t>(sets.num_sets(), 1);
  return Status::Ok();
}

Status QuantizationParams::SetsFor(const std::vector<int64_t>& shape,
                                   ParameterSets* sets) const {
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) {
      return Wrong("dimension " + std::to_string(i) + " of the shape is " +
                   std::to_string(shape[i]) + ", expected 0 or more");
    }
  }
  if (IsPerChannel() &&
      (axis < 0 || static_cast<std::size_t>(axis) >= shape.size())) {
    return Wrong("axis is " + std::to_string(axis) + ", expected one of " +
                 std::to_string(shape.size()) + " dimensions");
  }
  if (HasBlocks(granularity) && block_size <= 0) {
    return Wrong("block_size is " + std::to_string(block_size) +
                 ", expected 1 or more");
  }
  // 0 times anything is 0, so the large dimensions beside one do not overflow.
  const bool is_empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  ParameterSets made;
  if (IsPerChannel()) {
    made.channels = shape[axis];
    if (is_empty) made.outer = made.inner = 0;
  } else if (is_empty) {
    made.inner = 0;
  }
  for (std::size_t i = 0; i < shape.size() && !is_empty; ++i) {
    const bool before = IsPerChannel() && i < static_cast<std::size_t>(axis);
    if (IsPerChannel() && i == static_cast<std::size_t>(axis)) continue;
    RETURN_IF_ERROR(Multiply(shape[i], before ? &made.outer : &made.inner));
  }
  int64_t count = made.outer;
  RETURN_IF_ERROR(Multiply(made.inner, &count));
  if (HasBlocks(granularity)) {
    made.block_size = block_size;
    made.blocks = CeilDivide(count, block_size);
  }
  RETURN_IF_ERROR(Multiply(made.channels, &count));
  *sets = made;
  return Status::Ok();
}

float QuantizationParams::RepresentedMin(std::size_t set) const {
  return Dequantize(scales[set], int64_t{type.qmin()} - zero_points[set]);
}

float QuantizationParams::RepresentedMax(std::size_t set) const {
  return Dequantize(scales[set], int64_t{type.qmax()} - zero_points[set]);
}

float QuantizationParams::QuantizationErrorBound(std::size_t set) const {
  constexpr double kFloat = 0x1p-24, kDouble = 0x1p-53;
  const double u = type.precision == 32 ? kDouble : kFloat;
  const double offset = LargestOffset(type, zero_points[set]);
  const double code = std::max(std::fabs(double{1} * type.qmin()),
                               std::fabs(double{1} * type.qmax()));
  // Reciprocal and multiply-add; then product and the range's end, to float.
  const double rounding = u * (2 * offset + code) + kFloat * 2 * offset;
  // Products of two roundings, and the ones made here.
  constexpr double kSecondOrder = 1 + 0x1p-20;
  return RoundUp(double{scales[set]} * (0.5 + rounding) * kSecondOrder);
}

float QuantizationParams::QuantizationErrorBound() const {
  float largest = 0;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    largest = std::max(largest, QuantizationErrorBound(i));
  }
  return largest;
}

double QuantizationParams::CompressionRatio(int64_t num_values) const {
  if (num_values <= 0) return 0;
  const double values = static_cast<double>(num_values);
  double bytes = 4 * values;
  if (type.precision <= 4) {
    bytes = static_cast<double>(CeilDivide(num_values, 2));
  } else if (type.precision <= 8) {
    bytes = values;
  } else if (type.precision <= 16) {
    bytes = 2 * values;
  }
  return sizeof(float) * values /
         (bytes + static_cast<double>(scales.size()) *
                      (sizeof(float) + sizeof(int32_t)));
}

std::string QuantizationParams::ToString() const {
  std::string text =
      type.Name() + " " + Name(symmetry) + " " + Name(granularity);
  if (IsPerChannel()) text += ", axis " + std::to_string(axis);
  if (HasBlocks(granularity)) {
    text += ", blocks of " + std::to_string(block_size);
  }
  text += ", " + std::to_string(scales.size()) +
          (scales.size() == 1 ? " set:" : " sets:");
  constexpr std::size_t kShown = 4;
  const std::size_t count = std::max(scales.size(), zero_points.size());
  for (std::size_t i = 0; i < std::min(count, kShown); ++i) {
    text += i == 0 ? " " : ", ";
    text += i < scales.size() ? ShortestText(scales[i]) : "?";
    text += " (";
    text += i < zero_points.size() ? std::to_string(zero_points[i]) : "?";
    text += ")";
  }
  if (count > kShown) text += ", ...";
  if (min.has_value()) text += ", min " + ShortestText(*min);
  if (max.has_value()) text += ", max " + ShortestText(*max);
  return text;
}

bool operator==(const QuantizationParams& a, const QuantizationParams& b) {
  return a.type == b.type && a.symmetry == b.symmetry &&
         a.granularity == b.granularity && a.scales == b.scales &&
         a.zero_points == b.zero_points && a.axis == b.axis &&
         a.block_size == b.block_size && a.min == b.min && a.max == b.max;
}

std::ostream& operator<<(std::ostream& stream,
                         const QuantizationParams& params) {
  return stream << params.ToString();
}

}  // namespace caffe2_quantization
