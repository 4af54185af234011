// The arithmetic of a report's parts.
#include <algorithm>
#include <cmath>

#include "inspect/inspect.h"

namespace caffe2_quantization {

void InspectedRange::Add(double value) {
  if (std::isnan(value)) {
    ++nan_count;
    return;
  }
  min = count == 0 ? value : std::min(min, value);
  max = count == 0 ? value : std::max(max, value);
  ++count;
}

void InspectedRange::Add(const InspectedRange& other) {
  nan_count += other.nan_count;
  if (other.count == 0) return;
  min = count == 0 ? other.min : std::min(min, other.min);
  max = count == 0 ? other.max : std::max(max, other.max);
  count += other.count;
}

double ComparedWeight::SqnrDecibel() const {
  return 10 * std::log10(signal / noise);
}

double FloatComparison::SqnrDecibel() const {
  double signal = 0;
  double noise = 0;
  for (const ComparedWeight& weight : weights) {
    signal += weight.signal;
    noise += weight.noise;
  }
  return 10 * std::log10(signal / noise);
}

}  // namespace caffe2_quantization
