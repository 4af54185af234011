#include "operators/int8/quantization_error_report.h"

#include <algorithm>
#include <cmath>

#include "operators/int8/convert.h"
#include "quantization/number_text.h"

namespace caffe2_quantization {

void QuantizationErrorReport::Add(const float* actual, const float* reference,
                                  int64_t count, bool rectify) {
  if (rectify) {
    reference_.resize(count);
    std::transform(reference, reference + count, reference_.begin(),
                   [](float value) { return std::max(value, 0.0f); });
    reference = reference_.data();
  }
  error_.Merge(MeasureDifference(reference, actual, count));
  ++num_runs_;
}

template <typename T>
void QuantizationErrorReport::Add(const T* actual,
                                  const QuantizationParams& params,
                                  const float* reference, int64_t count,
                                  bool rectify) {
  actual_.resize(count);
  DequantizeFrom(actual, count, params, actual_.data());
  Add(actual_.data(), reference, count, rectify);
}

template void QuantizationErrorReport::Add(const uint8_t*,
                                           const QuantizationParams&,
                                           const float*, int64_t, bool);
template void QuantizationErrorReport::Add(const uint16_t*,
                                           const QuantizationParams&,
                                           const float*, int64_t, bool);

std::string QuantizationErrorReport::Text(
    const caffe2::OperatorDef& definition) const {
  const double relative = std::sqrt(error_.squared_error / error_.signal);
  return "output '" + definition.output(0) + "' of " + definition.type() +
         ": " + std::to_string(num_runs_) + " runs, L2 relative error " +
         NineDigits(relative) + ", SQNR " + NineDigits(error_.SqnrDb()) +
         " dB, largest error " + NineDigits(error_.max_abs_error);
}

}  // namespace caffe2_quantization
