// The methods' names, the options' checks, and the words of warnings.
#include <cmath>
#include <cstdlib>

#include "base/return_if_error.h"
#include "base/text.h"
#include "quantization/choose.h"
#include "quantization/choose_internal.h"

namespace caffe2_quantization {
namespace {

struct MethodNames {
  ChooseMethod method;
  const char* name;
  const char* dnnlowp;  // null: DNNLOWP has none
};

constexpr MethodNames kMethodNames[] = {
    {ChooseMethod::kMinMax, "MIN_MAX", "MIN_MAX_QUANTIZATION"},
    {ChooseMethod::kL2, "L2", "L2_MIN_QUANTIZATION"},
    {ChooseMethod::kL2Approx, "L2_APPROX", "L2_MIN_QUANTIZATION_APPROX"},
    {ChooseMethod::kL1, "L1", "L1_MIN_QUANTIZATION"},
    {ChooseMethod::kKl, "KL", "KL_MIN_QUANTIZATION"},
    {ChooseMethod::kPercentile, "P99", "P99_QUANTIZATION"},
    {ChooseMethod::kPercentileInBins, "P99_DNNLOWP", nullptr},
    {ChooseMethod::kMse, "MSE", nullptr},
};

std::string Upper(std::string text) {
  for (char& each : text) {
    if (each >= 'a' && each <= 'z') each = static_cast<char>(each - 'a' + 'A');
  }
  return text;
}

}  // namespace

std::string Name(ChooseMethod method) {
  for (const auto& each : kMethodNames) {
    if (each.method == method) return each.name;
  }
  return "?";
}

Status ChooseMethodFromName(const std::string& name, ChooseMethod* method,
                            double* percentile) {
  const std::string upper = Upper(name);
  for (const auto& each : kMethodNames) {
    if (upper == each.name ||
        (each.dnnlowp != nullptr && upper == each.dnnlowp)) {
      *method = each.method;
      return Status::Ok();
    }
  }
  const std::string suffix = "_DNNLOWP";
  const std::size_t digits_end = upper.find('_');
  if (upper[0] == 'P' && digits_end != 1 &&
      (digits_end == std::string::npos || upper.substr(digits_end) == suffix) &&
      upper.find_first_not_of("0123456789.", 1) == digits_end) {
    char* end = nullptr;
    const double percent = std::strtod(upper.c_str() + 1, &end);
    if ((*end == '\0' || *end == '_') && percent > 0 && percent <= 100) {
      *method = *end == '\0' ? ChooseMethod::kPercentile
                             : ChooseMethod::kPercentileInBins;
      if (percentile != nullptr) *percentile = percent / 100;
      return Status::Ok();
    }
  }
  return Status::InvalidArgument(
      "quantization method '" + name +
      "' is unknown, expected MIN_MAX, L2, L2_APPROX, L1, KL, MSE, or P and a "
      "percentage, such as P99.9");
}

void ChooseLikeDnnlowp(ChooseOptions* options) {
  options->smallest_scale = kDnnlowpSmallestScale;
  if (options->method == ChooseMethod::kPercentile) {
    options->method = ChooseMethod::kPercentileInBins;
  }
}

Status ChooseOptions::Validate() const {
  RETURN_IF_ERROR(type.Validate());
  if (type.precision == 32) {
    return Status::InvalidArgument(
        "choosing parameters: precision is 32, expected 1 to 16 bits");
  }
  if (reduced_range && type.precision == 1) {
    return Status::InvalidArgument(
        "choosing parameters: reduced_range leaves no bit of precision 1");
  }
  if (!(percentile > 0 && percentile <= 1)) {
    return Status::InvalidArgument("choosing parameters: percentile is " +
                                   NineDigits(percentile) +
                                   ", expected a share above 0 and up to 1");
  }
  if (!(smallest_scale >= 0) || std::isinf(smallest_scale)) {
    return Status::InvalidArgument("choosing parameters: smallest_scale is " +
                                   NineDigits(smallest_scale) +
                                   ", expected 0 or a positive number");
  }
  if (!(clipped_share_limit >= 0 && clipped_share_limit <= 1)) {
    return Status::InvalidArgument(
        "choosing parameters: clipped_share_limit is " +
        NineDigits(clipped_share_limit) + ", expected a share, 0 to 1");
  }
  return Status::Ok();
}

void AddWarning(const std::string& text, Choice* choice) {
  if (!choice->warning.empty()) choice->warning += "; ";
  choice->warning += text;
}

std::string MethodText(const ChooseOptions& options) {
  const std::string percent = "P" + NineDigits(100 * options.percentile);
  switch (options.method) {
    case ChooseMethod::kPercentile:
      return percent;
    case ChooseMethod::kPercentileInBins:
      return percent + "_DNNLOWP";
    default:
      return Name(options.method);
  }
}

void WarnOfClipping(const ChooseOptions& options, ValueRange extremes,
                    Choice* choice) {
  if (choice->clipped_share <= options.clipped_share_limit) return;
  AddWarning(MethodText(options) + " clips " +
                 NineDigits(100 * choice->clipped_share) +
                 " % of the values, more than " +
                 NineDigits(100 * options.clipped_share_limit) + " %: [" +
                 NineDigits(choice->min) + ", " + NineDigits(choice->max) +
                 "] of [" + NineDigits(extremes.min) + ", " +
                 NineDigits(extremes.max) + "]",
             choice);
}

}  // namespace caffe2_quantization
