// Helpers that the sources behind choose.h share: numbers of codes, doubles as
// floats, and the words of warnings.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_INTERNAL_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_INTERNAL_H_

#include <algorithm>
#include <limits>
#include <string>

#include "quantization/choose.h"
#include "quantization/percentile.h"

namespace caffe2_quantization {

// Returns the nearest float; a value beyond all floats becomes the largest one,
// with its sign.
inline float ToFloat(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::min(std::max(value, -kLargest), kLargest));
}

// Returns how many codes the options allow.
inline int Levels(const ChooseOptions& options) {
  return 1 << options.Codes().precision;
}

// Returns "P99.9" or "P99.9_DNNLOWP" with the percentile, else the method's
// name.
std::string MethodText(const ChooseOptions& options);

// Adds a warning to those that the choice has.
void AddWarning(const std::string& text, Choice* choice);

// Adds a warning if the choice clips more than the options allow. `extremes`
// are those of the values, as far as they are known.
void WarnOfClipping(const ChooseOptions& options, ValueRange extremes,
                    Choice* choice);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_CHOOSE_INTERNAL_H_
