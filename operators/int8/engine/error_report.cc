#include "operators/int8/engine/error_report.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "c10/util/Logging.h"
#include "quantization/quantize_one_set.h"

namespace caffe2_quantization {

namespace {

std::string ErrorText(const QuantizationError& error) {
  const double relative = std::sqrt(error.squared_error / error.signal);
  return "L2 relative error " + NineDigits(relative) + ", SQNR " +
         NineDigits(error.SqnrDb()) + " dB, largest error " +
         NineDigits(error.max_abs_error);
}

}  // namespace

void ErrorReport::Add(const float* actual, const float* reference,
                      int64_t count, bool rectifies) {
  actual_.assign(actual, actual + count);
  AddRun(reference, {rectifies, /*clips=*/false}, nullptr);
}

template <typename T>
void ErrorReport::Add(const T* actual, const QuantizationParams& params,
                      const float* reference, int64_t count,
                      Activation activation) {
  actual_.resize(count);
  DequantizeOneSet(actual, count, params, actual_.data());
  AddRun(reference, activation, &params);
}

void ErrorReport::AddRun(const float* reference, Activation activation,
                         const QuantizationParams* params) {
  const auto count = static_cast<int64_t>(actual_.size());
  reference_.assign(reference, reference + count);
  if (activation.rectifies) {
    for (float& value : actual_) value = std::max(value, 0.0f);
    for (float& value : reference_) value = std::max(value, 0.0f);
  }
  QuantizationError unclipped =
      MeasureDifference(reference_.data(), actual_.data(), count);
  QuantizationError error = unclipped;
  if (activation.clips) {
    const float low = params->RepresentedMin(0);
    const float high = params->RepresentedMax(0);
    const float half = params->scales[0] / 2;
    for (float& value : reference_) {
      if (value < low - half || value > high + half) ++unclipped.clipped;
      // Not std::clamp: a NaN stays one.
      if (value < low) value = low;
      if (value > high) value = high;
    }
    error = MeasureDifference(reference_.data(), actual_.data(), count);
  }
  error_.Merge(error);
  unclipped_error_.Merge(unclipped);
  ++num_runs_;
}

template void ErrorReport::Add(const uint8_t*, const QuantizationParams&,
                               const float*, int64_t, Activation);
template void ErrorReport::Add(const uint16_t*, const QuantizationParams&,
                               const float*, int64_t, Activation);

std::string ErrorReport::Text(const caffe2::OperatorDef& definition,
                              int output) const {
  std::string text = "output '" + definition.output(output) + "' of " +
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

void ErrorReport::Log(const caffe2::OperatorDef& definition, int output) const {
  if (num_runs_ > 0) LOG(WARNING) << Text(definition, output);
}

}  // namespace caffe2_quantization
