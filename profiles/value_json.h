// Writes ranges and counts of values as JSON, the same wherever they are
// reported.
#ifndef CAFFE2_QUANTIZATION_PROFILES_VALUE_JSON_H_
#define CAFFE2_QUANTIZATION_PROFILES_VALUE_JSON_H_

#include <nlohmann/json.hpp>

#include "base/value_counts.h"
#include "profiles/output_info.h"

namespace caffe2_quantization {

// Returns a limit of a range; null for an empty range.
inline nlohmann::json LimitToJson(const ValueRange& range, bool max) {
  switch (range.kind()) {
    case ValueRange::Kind::kEmpty:
      return nullptr;
    case ValueRange::Kind::kInteger:
      return max ? range.integer_max() : range.integer_min();
    default:
      return max ? range.max() : range.min();
  }
}

// Sets the members count, zero, nan, positive_infinity and negative_infinity.
inline void AddCounts(const ValueCounts& counts, nlohmann::json* json) {
  (*json)["count"] = counts.count;
  (*json)["zero"] = counts.zero_count;
  (*json)["nan"] = counts.nan_count;
  (*json)["positive_infinity"] = counts.positive_infinity_count;
  (*json)["negative_infinity"] = counts.negative_infinity_count;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_PROFILES_VALUE_JSON_H_
