#include "operators/byte_weight_parameters.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace caffe2_quantization {
namespace {

// 2 * byte - quant_min - quant_max must be exact in float.
constexpr int64_t kQuantLimit = int64_t{1} << 20;

}  // namespace

int64_t CheckedElementCount(const std::string& op,
                            const std::vector<int64_t>& shape) {
  constexpr int64_t kLimit = int64_t{1} << 62;
  int64_t count = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    CAFFE_ENFORCE_GE(shape[i], 0, op, ": shape[", i, "] is ", shape[i],
                     ", expected 0 or more");
  }
  // A zero anywhere makes the tensor empty, however large the rest.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  for (const int64_t dim : shape) {
    CAFFE_ENFORCE_LE(count, kLimit / dim, op, ": the product of shape (",
                     c10::Join(", ", shape), ") passes 2^62 elements");
    count *= dim;
  }
  return count;
}

ChannelLayout SplitAtAxis(const std::string& op,
                          const std::vector<int64_t>& shape, int axis) {
  const int rank = static_cast<int>(shape.size());
  CAFFE_ENFORCE(axis >= -rank && axis < rank, op, ": axis is ", axis,
                ", expected ", -rank, " ... ", rank - 1, " for a tensor of ",
                rank, " dimensions");
  if (axis < 0) axis += rank;
  ChannelLayout layout;
  layout.channels = shape[axis];
  if (CheckedElementCount(op, shape) == 0) {
    // Nothing to visit, however large the dimensions beside the zero.
    layout.outer = 0;
    layout.inner = 0;
    return layout;
  }
  for (int i = 0; i < rank; ++i) {
    if (i != axis) (i < axis ? layout.outer : layout.inner) *= shape[i];
  }
  return layout;
}

ByteWeightEquation::ByteWeightEquation(const caffe2::ArgumentHelper& arguments,
                                       std::string op)
    : op_(std::move(op)) {
  const auto name =
      arguments.GetSingleArgument<std::string>("formula", "affine");
  CAFFE_ENFORCE(name == "affine" || name == "centered", op_,
                ": argument formula is '", name,
                "', expected 'affine' or 'centered'");
  if (name == "affine") {
    formula_ = kernels::ByteWeightFormula::kAffine;
    CAFFE_ENFORCE(!arguments.HasArgument("quant_min") &&
                      !arguments.HasArgument("quant_max"),
                  op_,
                  ": quant_min and quant_max belong to formula 'centered'");
    return;
  }
  formula_ = kernels::ByteWeightFormula::kCentered;
  quant_min_ = arguments.GetSingleArgument<int64_t>("quant_min", 0);
  quant_max_ = arguments.GetSingleArgument<int64_t>("quant_max", 255);
  CAFFE_ENFORCE(quant_min_ < quant_max_ && -kQuantLimit <= quant_min_ &&
                    quant_max_ <= kQuantLimit,
                op_, ": quant_min is ", quant_min_, " and quant_max is ",
                quant_max_, ", expected ", -kQuantLimit,
                " <= quant_min < quant_max <= ", kQuantLimit);
  lowest_byte_ = static_cast<uint8_t>(
      std::min<int64_t>(std::max<int64_t>(quant_min_, 0), 255));
  highest_byte_ = static_cast<uint8_t>(
      std::min<int64_t>(std::max<int64_t>(quant_max_, 0), 255));
}

ByteWeightEquation::Parameters ByteWeightEquation::ForRange(float min,
                                                            float max) const {
  CAFFE_ENFORCE(std::isfinite(min) && std::isfinite(max), op_, ": min is ", min,
                " and max is ", max, ", expected finite numbers");
  Parameters parameters;
  // The host subtracts in float and divides in double; so do we, bit for bit.
  const float span = max - min;
  if (formula_ == kernels::ByteWeightFormula::kAffine) {
    parameters.scale = static_cast<float>(span / 255.0);
    parameters.offset = min;
  } else {
    parameters.scale =
        static_cast<float>(span / static_cast<double>(quant_max_ - quant_min_));
    parameters.offset = static_cast<float>(-(quant_min_ + quant_max_));
  }
  CAFFE_ENFORCE(std::isfinite(parameters.scale), op_, ": the range from min ",
                min, " to max ", max, " overflows float");
  return parameters;
}

void ByteWeightEquation::EnforceBytesReachIt() const {
  CAFFE_ENFORCE(quant_min_ >= 0 && quant_max_ <= 255, op_, ": quant_min is ",
                quant_min_, " and quant_max is ", quant_max_,
                ", expected 0 to 255: no byte is outside of that");
}

void ByteWeightEquation::CoverData(float data_min, float data_max, float* min,
                                   float* max) const {
  if (formula_ == kernels::ByteWeightFormula::kAffine) {
    *min = data_min;
    *max = data_max;
    return;
  }
  const float magnitude = std::max(std::fabs(data_min), std::fabs(data_max));
  *max = magnitude / 2;
  *min = -*max;
}

}  // namespace caffe2_quantization
