#include "quantization/quantization_error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/return_if_error.h"
#include "base/text.h"
#include "quantization/channel_order.h"
#include "quantization/kernels/quantize.h"

namespace caffe2_quantization {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// One pair of scale and zero point, in double, where scale * code is exact.
struct Quantizer {
  Quantizer(QuantizedType type, float scale, int32_t zero_point)
      : scale(scale),
        lowest(double{1} * type.qmin() - zero_point),
        highest(double{1} * type.qmax() - zero_point) {}

  // Codes less the zero point.
  double Code(double x) const {
    return std::nearbyint(std::min(std::max(x / scale, lowest), highest));
  }
  // Values outside are clipped.
  double LowerLimit() const { return (lowest - 0.5) * scale; }
  double UpperLimit() const { return (highest + 0.5) * scale; }

  double scale;
  double lowest;
  double highest;
};

constexpr std::size_t kLanes = 8;

// The sums of a block, value i in lane i % kLanes: a fixed order that the
// compiler can make vectors of.
class BlockSums {
 public:
  void Add(const float* x, const float* y, std::size_t count,
           double lower_limit, double upper_limit) {
    std::size_t i = 0;
    for (; i + kLanes <= count; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        AddOne(lane, x[i + lane], y[i + lane], lower_limit, upper_limit);
      }
    }
    for (std::size_t lane = 0; i + lane < count; ++lane) {
      AddOne(lane, x[i + lane], y[i + lane], lower_limit, upper_limit);
    }
  }

  QuantizationError Sum(std::size_t count) const {
    QuantizationError sum;
    double finite = 0;
    double nan = 0;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      finite += finite_[lane];
      nan += nan_[lane];
      sum.clipped += clipped_[lane];
      sum.signal += signal_[lane];
      sum.represented += represented_[lane];
      sum.product += product_[lane];
      sum.squared_error += squared_error_[lane];
      sum.absolute_error += absolute_error_[lane];
      sum.max_abs_error = std::max(sum.max_abs_error, max_abs_error_[lane]);
    }
    sum.count = static_cast<uint64_t>(finite);
    sum.nan_count = static_cast<uint64_t>(nan);
    sum.infinite_count = count - sum.count - sum.nan_count;
    return sum;
  }

 private:
  void AddOne(std::size_t lane, float exact, float approximate,
              double lower_limit, double upper_limit) {
    constexpr float kLargest = std::numeric_limits<float>::max();
    // Not &&: no branches.
    const bool finite =
        (std::fabs(exact) <= kLargest) & (std::fabs(approximate) <= kLargest);
    const bool nan = (exact != exact) | (approximate != approximate);
    const double x = finite ? exact : 0.0f;
    const double y = finite ? approximate : 0.0f;
    const double error = std::fabs(y - x);
    finite_[lane] += finite ? 1.0 : 0.0;
    nan_[lane] += nan ? 1.0 : 0.0;
    // 0 is within the limits.
    clipped_[lane] += (x < lower_limit) | (x > upper_limit) ? 1.0 : 0.0;
    signal_[lane] += x * x;
    represented_[lane] += y * y;
    product_[lane] += x * y;
    squared_error_[lane] += error * error;
    absolute_error_[lane] += error;
    max_abs_error_[lane] = std::max(max_abs_error_[lane], error);
  }

  // Counts of a block, exact.
  double finite_[kLanes] = {};
  double nan_[kLanes] = {};
  double clipped_[kLanes] = {};
  double signal_[kLanes] = {};
  double represented_[kLanes] = {};
  double product_[kLanes] = {};
  double squared_error_[kLanes] = {};
  double absolute_error_[kLanes] = {};
  double max_abs_error_[kLanes] = {};
};

// So that no sum has many more terms than another.
constexpr std::size_t kBlock = 1024;

// What Quantize and Dequantize make of a block. Code: a type that holds the
// codes; which one makes no difference.
template <typename Code>
void Represent(const float* x, std::size_t count, QuantizedType type,
               float scale, int32_t zero_point, float* y) {
  Code codes[kBlock];
  float inverse, float_zero_point;
  kernels::PrepareRuns(&scale, &zero_point, 1, &inverse, &float_zero_point);
  kernels::QuantizeRuns(x, count, count, &inverse, &float_zero_point,
                        type.qmin(), type.qmax(), codes);
  kernels::DequantizeRuns(codes, count, count, &scale, &float_zero_point, y);
}

template <>
void Represent<int32_t>(const float* x, std::size_t count, QuantizedType,
                        float scale, int32_t zero_point, float* y) {
  int32_t codes[kBlock];
  kernels::QuantizeRuns(x, count, count, &scale, &zero_point, codes);
  kernels::DequantizeRuns(codes, count, count, &scale, &zero_point, y);
}

QuantizationError MeasureRun(const float* values, std::size_t count,
                             QuantizedType type, float scale,
                             int32_t zero_point) {
  const Quantizer quantizer(type, scale, zero_point);
  const auto represent = type.precision == 32 ? Represent<int32_t>
                         : type.is_signed     ? Represent<int16_t>
                                              : Represent<uint16_t>;
  QuantizationError error;
  float represented[kBlock];
  for (std::size_t done = 0; done < count; done += kBlock) {
    const std::size_t size = std::min(kBlock, count - done);
    represent(values + done, size, type, scale, zero_point, represented);
    BlockSums sums;
    sums.Add(values + done, represented, size, quantizer.LowerLimit(),
             quantizer.UpperLimit());
    error.Merge(sums.Sum(size));
  }
  return error;
}

// Adds values spread evenly over [a, b], which stand for y.
void AddPiece(double weight, double a, double b, double y,
              QuantizationError* error) {
  const double below = a - y;
  const double above = b - y;
  error->signal += weight * ((a * a + a * b + b * b) / 3);
  error->represented += weight * (y * y);
  error->product += weight * ((a + b) / 2 * y);
  error->squared_error +=
      weight * ((below * below + below * above + above * above) / 3);
  error->absolute_error +=
      weight * (below < 0 && above > 0
                    ? (below * below + above * above) / (2 * (above - below))
                    : std::fabs(below + above) / 2);
  error->max_abs_error = std::max(error->max_abs_error,
                                  std::max(std::fabs(below), std::fabs(above)));
}

// Adds `count` values spread evenly over the bin [a, b].
void AddBin(double count, double a, double b, const Quantizer& quantizer,
            QuantizationError* error) {
  const double scale = quantizer.scale;
  const double first = quantizer.Code(a);
  const double last = quantizer.Code(b);
  if (first == last || !(b > a)) {
    AddPiece(count, a, b, first * scale, error);
  } else {
    const double density = count / (b - a);
    const double left = std::min(std::max((first + 0.5) * scale, a), b);
    const double right = std::min(std::max((last - 0.5) * scale, left), b);
    AddPiece(density * (left - a), a, left, first * scale, error);
    AddPiece(density * (b - right), right, b, last * scale, error);
    if (const double whole = last - first - 1; whole > 0) {
      // Codes with all that rounds to them inside: y = scale * code, and x goes
      // from y - scale / 2 to y + scale / 2. The sum of the codes' squares:
      const double middle = (first + last) / 2;
      const double squares =
          whole * (middle * middle + (whole * whole - 1) / 12);
      const double weight = density * scale;
      const double step_squared = scale * scale;
      error->signal += weight * step_squared * (squares + whole / 12);
      error->represented += weight * step_squared * squares;
      error->product += weight * step_squared * squares;
      error->squared_error += weight * step_squared * (whole / 12);
      error->absolute_error += weight * scale * (whole / 4);
      error->max_abs_error = std::max(error->max_abs_error, scale / 2);
    }
  }
  const double lower = quantizer.LowerLimit();
  const double upper = quantizer.UpperLimit();
  if (b > a) {
    error->clipped += count / (b - a) *
                      (std::max(std::min(b, lower) - a, 0.0) +
                       std::max(b - std::max(a, upper), 0.0));
  } else if (a < lower || a > upper) {
    error->clipped += count;
  }
}

Status CheckLimits(float min, float max) {
  if (std::isfinite(min) && std::isfinite(max) && min <= max) {
    return Status::Ok();
  }
  return Status::InvalidArgument(
      "expected error: the range is [" + NineDigits(min) + ", " +
      NineDigits(max) +
      "], expected two finite numbers, the smaller one first");
}

}  // namespace

double QuantizationError::Mse() const {
  return count == 0 ? 0 : squared_error / static_cast<double>(count);
}

double QuantizationError::MeanAbsoluteError() const {
  return count == 0 ? 0 : absolute_error / static_cast<double>(count);
}

double QuantizationError::SqnrDb() const {
  if (squared_error == 0) return kInfinity;
  if (signal == 0) return -kInfinity;
  return 10 * (std::log10(signal) - std::log10(squared_error));
}

double QuantizationError::Cosine() const {
  if (signal == 0 || represented == 0) return signal == represented ? 1 : 0;
  const double cosine = product / (std::sqrt(signal) * std::sqrt(represented));
  return std::min(std::max(cosine, -1.0), 1.0);
}

double QuantizationError::ClippedShare() const {
  return count == 0 ? 0 : clipped / static_cast<double>(count);
}

void QuantizationError::Merge(const QuantizationError& part) {
  count += part.count;
  nan_count += part.nan_count;
  infinite_count += part.infinite_count;
  clipped += part.clipped;
  signal += part.signal;
  represented += part.represented;
  product += part.product;
  squared_error += part.squared_error;
  absolute_error += part.absolute_error;
  max_abs_error = std::max(max_abs_error, part.max_abs_error);
}

QuantizationError MeasureDifference(const float* exact,
                                    const float* approximate,
                                    std::size_t count) {
  QuantizationError error;
  for (std::size_t done = 0; done < count; done += kBlock) {
    const std::size_t size = std::min(kBlock, count - done);
    BlockSums sums;
    sums.Add(exact + done, approximate + done, size, -kInfinity, kInfinity);
    error.Merge(sums.Sum(size));
  }
  return error;
}

Status MeasureQuantizationError(const float* values,
                                const std::vector<int64_t>& shape,
                                const QuantizationParams& params,
                                QuantizationError* all,
                                std::vector<QuantizationError>* sets) {
  RETURN_IF_ERROR(params.ValidateFor(shape));
  ParameterSets layout;
  RETURN_IF_ERROR(params.SetsFor(shape, &layout));
  std::vector<float> buffer;
  const float* in_order = InChannelOrder(values, layout, &buffer);
  // An empty tensor may have a set more than its shape.
  std::vector<QuantizationError> of_sets(
      sets == nullptr ? 0 : params.scales.size());
  QuantizationError total;
  for (int64_t i = 0; i < layout.num_sets(); ++i) {
    const auto set = static_cast<std::size_t>(i);
    const SetRun run = RunOfSet(layout, i);
    const QuantizationError error =
        MeasureRun(in_order + run.begin, run.size, params.type,
                   params.scales[set], params.zero_points[set]);
    total.Merge(error);
    if (sets != nullptr) of_sets[set] = error;
  }
  *all = total;
  if (sets != nullptr) *sets = std::move(of_sets);
  return Status::Ok();
}

Status ExpectQuantizationError(const BinCounts& counts, QuantizedType type,
                               float scale, int32_t zero_point,
                               QuantizationError* error) {
  RETURN_IF_ERROR(QuantizationParams(type, scale, zero_point).Validate());
  RETURN_IF_ERROR(CheckLimits(counts.min, counts.max));
  const std::size_t bins = counts.counts.size();
  if (bins == 0) {
    return Status::InvalidArgument(
        "expected error: there are no bins, expected one or more");
  }
  const Quantizer quantizer(type, scale, zero_point);
  const double min = counts.min;
  const double extent = double{counts.max} - min;
  QuantizationError result;
  for (std::size_t i = 0; i < bins; ++i) {
    const uint64_t count = counts.counts[i];
    if (count == 0) continue;
    if (__builtin_add_overflow(result.count, count, &result.count)) {
      return Status::OutOfRange(
          "expected error: the counts' sum passes 2^64 - 1, expected less");
    }
    const auto edge = [&](std::size_t at) {
      return min + extent * static_cast<double>(at) / static_cast<double>(bins);
    };
    AddBin(static_cast<double>(count), edge(i), edge(i + 1), quantizer,
           &result);
  }
  *error = result;
  return Status::Ok();
}

Status ExpectQuantizationError(const Histogram& histogram, float min, float max,
                               QuantizedType type, float scale,
                               int32_t zero_point, QuantizationError* error) {
  RETURN_IF_ERROR(QuantizationParams(type, scale, zero_point).Validate());
  QuantizationError result;
  if (histogram.empty()) {
    *error = result;
    return Status::Ok();
  }
  RETURN_IF_ERROR(CheckLimits(min, max));
  const double width = histogram.bin_width();
  const double lower = histogram.lower_edge();
  const double upper = histogram.upper_edge();
  if (min > lower + width || max < upper - width) {
    return Status::InvalidArgument(
        "expected error: the values' range is [" + NineDigits(min) + ", " +
        NineDigits(max) + "], but the histogram's outermost bins end at " +
        NineDigits(lower) + " and " + NineDigits(upper) +
        ", expected limits inside of these bins");
  }
  const Quantizer quantizer(type, scale, zero_point);
  const auto edge = [&](int64_t at) {
    const double exact =
        std::ldexp(static_cast<double>(at), histogram.exponent());
    return std::min<double>(std::max<double>(exact, min), max);
  };
  int64_t bin = histogram.first_bin();
  for (const uint64_t count : histogram.counts()) {
    if (count != 0) {
      result.count += count;  // no more than total()
      AddBin(static_cast<double>(count), edge(bin), edge(bin + 1), quantizer,
             &result);
    }
    ++bin;
  }
  *error = result;
  return Status::Ok();
}

}  // namespace caffe2_quantization
