#include "operators/int8/quantization_error_report.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "c10/util/Logging.h"
#include "operators/int8/convert.h"

namespace caffe2_quantization {

namespace {

void Rectify(const float* values, int64_t count, std::vector<float>* result) {
  result->resize(count);
  std::transform(values, values + count, result->begin(),
                 [](float value) { return std::max(value, 0.0f); });
}

std::string ErrorText(const QuantizationError& error) {
  const double relative = std::sqrt(error.squared_error / error.signal);
  return "L2 relative error " + NineDigits(relative) + ", SQNR " +
         NineDigits(error.SqnrDb()) + " dB, largest error " +
         NineDigits(error.max_abs_error);
}

}  // namespace

void QuantizationErrorReport::Add(const float* actual, const float* reference,
                                  int64_t count, bool rectifies) {
  if (rectifies) {
    Rectify(actual, count, &actual_);
    Rectify(reference, count, &reference_);
    actual = actual_.data();
    reference = reference_.data();
  }
  const QuantizationError error = MeasureDifference(reference, actual, count);
  error_.Merge(error);
  unclipped_error_.Merge(error);
  ++num_runs_;
}

template <typename T>
void QuantizationErrorReport::Add(const T* actual,
                                  const QuantizationParams& params,
                                  const float* reference, int64_t count,
                                  Activation activation) {
  actual_.resize(count);
  DequantizeFrom(actual, count, params, actual_.data());
  if (activation.rectifies) {
    Rectify(actual_.data(), count, &actual_);
    Rectify(reference, count, &reference_);
  } else {
    reference_.assign(reference, reference + count);
  }
  QuantizationError unclipped =
      MeasureDifference(reference_.data(), actual_.data(), count);
  if (activation.clips) {
    const float low = params.RepresentedMin(0), high = params.RepresentedMax(0);
    const float half = params.scales[0] / 2;
    for (float& value : reference_) {
      if (value < low - half || value > high + half) ++unclipped.clipped;
      // Not std::clamp: a NaN stays one.
      if (value < low) value = low;
      if (value > high) value = high;
    }
    error_.Merge(MeasureDifference(reference_.data(), actual_.data(), count));
  } else {
    error_.Merge(unclipped);
  }
  unclipped_error_.Merge(unclipped);
  ++num_runs_;
}

template void QuantizationErrorReport::Add(const uint8_t*,
                                           const QuantizationParams&,
                                           const float*, int64_t, Activation);
template void QuantizationErrorReport::Add(const uint16_t*,
                                           const QuantizationParams&,
                                           const float*, int64_t, Activation);

std::string QuantizationErrorReport::Text(
    const caffe2::OperatorDef& definition) const {
  std::string text = "output '" + definition.output(0) + "' of " +
                     definition.type() + ": " + std::to_string(num_runs_) +
                     " runs, " + ErrorText(error_);
  if (unclipped_error_.clipped > 0) {
    text += "; " + NineDigits(100 * unclipped_error_.ClippedShare()) +
            " % of the float values lie outside the output's range and count "
            "as its ends, uncut: " +
            ErrorText(unclipped_error_);
  }
  return text;
}

void QuantizationErrorReport::Log(const caffe2::OperatorDef& definition) const {
  if (num_runs_ > 0) LOG(WARNING) << Text(definition);
}

}  // namespace caffe2_quantization
