#include "quantization/requantize.h"

#include <charconv>
#include <cmath>
#include <iterator>
#include <string>

#include "base/return_if_error.h"
#include "base/text.h"
#include "quantization/for_each_run.h"
#include "quantization/kernels/requantize.h"
#include "quantization/storage.h"

namespace caffe2_quantization {
namespace {

Status Wrong(const std::string& what) {
  return Status::InvalidArgument("requantization: " + what);
}

// One set, or one for each channel.
Status SetsFor(const Requantization& requantization,
               const std::vector<int64_t>& shape, ParameterSets* sets) {
  QuantizationParams params;
  if (requantization.multipliers.size() != 1) {
    params.granularity = Granularity::kChannel;
    params.axis = requantization.axis;
  }
  return params.SetsFor(shape, sets);
}

kernels::CodeRange RangeOf(const Requantization& requantization) {
  return {requantization.zero_point, requantization.type.qmin(),
          requantization.type.qmax()};
}

}  // namespace

Status Requantization::ValidateFor(const std::vector<int64_t>& shape) const {
  RETURN_IF_ERROR(type.Validate());
  if (zero_point < type.qmin() || zero_point > type.qmax()) {
    return Wrong("zero_point is " + std::to_string(zero_point) +
                 ", expected a value of " + type.Name() + ", " +
                 std::to_string(type.qmin()) + " to " +
                 std::to_string(type.qmax()));
  }
  for (std::size_t i = 0; i < multipliers.size(); ++i) {
    if (multipliers[i] > 0 && std::isfinite(multipliers[i])) continue;
    return Wrong("multipliers[" + std::to_string(i) + "] is " +
                 ShortestText(multipliers[i]) + ", expected a positive number");
  }
  ParameterSets sets;
  RETURN_IF_ERROR(SetsFor(*this, shape, &sets));
  if (multipliers.size() == 1 ||
      static_cast<int64_t>(multipliers.size()) == sets.num_sets()) {
    return Status::Ok();
  }
  return Wrong(std::to_string(multipliers.size()) +
               " multipliers, expected one, or one for each of " +
               std::to_string(sets.num_sets()) + " channels");
}

Status ChooseFixedPointMultiplier(float real, FixedPointMultiplier* fixed) {
  if (!(real > 0) || real >= 0x1p30f) {
    return Wrong("multiplier is " + ShortestText(real) +
                 ", expected a positive number below 2^30");
  }
  int exponent = 0;
  std::frexp(real, &exponent);  // 2^(exponent - 1) <= real < 2^exponent
  fixed->right_shift = std::min(31 - exponent, 62);
  // Floats have 24 bits: exact, but of the smallest.
  fixed->multiplier = static_cast<int32_t>(
      std::nearbyint(std::ldexp(double{real}, fixed->right_shift)));
  return Status::Ok();
}

template <typename T>
Status Requantize(const int32_t* src, const std::vector<int64_t>& shape,
                  const Requantization& requantization, T* dst) {
  RETURN_IF_ERROR(requantization.ValidateFor(shape));
  RETURN_IF_ERROR(CheckStorage<T>(requantization.type));
  ParameterSets sets;
  RETURN_IF_ERROR(SetsFor(requantization, shape, &sets));
  const float* multipliers = requantization.multipliers.data();
  ForEachRun(sets, multipliers, multipliers, false,
             [&](const Piece<float, float>& piece) {
               kernels::RequantizeRuns(
                   src + piece.offset, piece.count, piece.run_length, piece.a,
                   RangeOf(requantization), dst + piece.offset);
             });
  return Status::Ok();
}

template <typename T>
Status RequantizeFixedPoint(const int32_t* src,
                            const std::vector<int64_t>& shape,
                            const Requantization& requantization, T* dst) {
  RETURN_IF_ERROR(requantization.ValidateFor(shape));
  RETURN_IF_ERROR(CheckStorage<T>(requantization.type));
  ParameterSets sets;
  RETURN_IF_ERROR(SetsFor(requantization, shape, &sets));
  std::vector<int32_t> multipliers, shifts;
  for (const float real : requantization.multipliers) {
    FixedPointMultiplier fixed;
    RETURN_IF_ERROR(ChooseFixedPointMultiplier(real, &fixed));
    multipliers.push_back(fixed.multiplier);
    shifts.push_back(fixed.right_shift);
  }
  ForEachRun(sets, multipliers.data(), shifts.data(), false,
             [&](const Piece<int32_t, int32_t>& piece) {
               kernels::RequantizeFixedPointRuns(
                   src + piece.offset, piece.count, piece.run_length, piece.a,
                   piece.b, RangeOf(requantization), dst + piece.offset);
             });
  return Status::Ok();
}

#define REQUANTIZE(T)                                                     \
  template Status Requantize(const int32_t*, const std::vector<int64_t>&, \
                             const Requantization&, T*);                  \
  template Status RequantizeFixedPoint(                                   \
      const int32_t*, const std::vector<int64_t>&, const Requantization&, T*);
REQUANTIZE(int8_t)
REQUANTIZE(uint8_t)
REQUANTIZE(int16_t)
REQUANTIZE(uint16_t)
REQUANTIZE(int32_t)
#undef REQUANTIZE

}  // namespace caffe2_quantization
