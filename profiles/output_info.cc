#include "profiles/output_info.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/exact_floating_point.h"
#include "base/return_if_error.h"
#include "base/text.h"
#include "profiles/value_json.h"

namespace caffe2_quantization {
namespace {

nlohmann::json ToJsonValue(const Histogram& histogram) {
  return {
      {"max_bins", histogram.max_bins()},
      {"exponent", histogram.exponent()},
      {"first_bin", histogram.first_bin()},
      {"lower_edge", histogram.lower_edge()},
      {"bin_width", histogram.bin_width()},
      {"counts", histogram.counts()},
  };
}

nlohmann::json ToJsonValue(const std::vector<Histogram>& histograms) {
  nlohmann::json json = nlohmann::json::array();
  for (const Histogram& histogram : histograms) {
    json.push_back(ToJsonValue(histogram));
  }
  return json;
}

nlohmann::json ToJsonValue(const RecordingOptions& options) {
  return {
      {"histogram_bins", options.histogram_bins},
      {"column_max_bins", options.column_max_bins},
      {"column_max_blobs", options.column_max_blobs},
      {"op_types", options.op_types},
      {"op_names", options.op_names},
      {"outputs", options.outputs},
      {"inputs", options.inputs},
      {"every", options.every},
      {"run_limit", options.run_limit},
  };
}

nlohmann::json ToJsonValue(const OutputInfo& output,
                           const RecordingOptions& options, bool histograms) {
  nlohmann::json json = {
      {"output_index", output.output_index},
      {"tensor_name", output.tensor_name},
      {"type", output.type_name},
      {"types", output.types},
      {"shape", output.shape},
      {"shapes", output.shapes.shapes()},
      {"more_shapes", output.shapes.more()},
      {"min", LimitToJson(output.values.range, false)},
      {"max", LimitToJson(output.values.range, true)},
      {"total_min", LimitToJson(output.total.range, false)},
      {"total_max", LimitToJson(output.total.range, true)},
      {"raw_min", LimitToJson(output.values.raw_range, false)},
      {"raw_max", LimitToJson(output.values.raw_range, true)},
      {"total_raw_min", LimitToJson(output.total.raw_range, false)},
      {"total_raw_max", LimitToJson(output.total.raw_range, true)},
      {"runs", output.runs},
      {"empty_runs", output.empty_runs},
      {"missing_runs", output.missing_runs},
      {"unsupported_runs", output.unsupported_runs},
      {"column_max_unsupported_runs", output.column_max_unsupported_runs},
  };
  AddCounts(output, &json);
  if (!histograms) return json;
  if (options.histogram_bins > 0) {
    json["histogram"] = ToJsonValue(output.values.histogram);
    json["total_histogram"] = ToJsonValue(output.total.histogram);
  }
  if (!output.total.column_max.empty()) {
    json["column_max"] = ToJsonValue(output.values.column_max);
    json["total_column_max"] = ToJsonValue(output.total.column_max);
  }
  return json;
}

// Of an external input.
nlohmann::json ToInputValue(const OutputInfo& input,
                            const RecordingOptions& options, bool histograms) {
  nlohmann::json json = ToJsonValue(input, options, histograms);
  json.erase("output_index");
  json.erase("column_max_unsupported_runs");
  json["input_index"] = input.output_index;
  return json;
}

nlohmann::json ToJsonValue(const NetInfo& info, bool histograms) {
  nlohmann::json inputs = nlohmann::json::array();
  for (const OutputInfo& input : info.inputs) {
    inputs.push_back(ToInputValue(input, info.options, histograms));
  }
  nlohmann::json operators = nlohmann::json::array();
  for (const OperatorInfo& op : info.operators) {
    nlohmann::json outputs = nlohmann::json::array();
    for (const OutputInfo& output : op.outputs) {
      outputs.push_back(ToJsonValue(output, info.options, histograms));
    }
    operators.push_back({
        {"path", PathText(op)},
        {"op_index", op.op_index},
        {"step_index",
         op.step_index >= 0 ? op.step_index : StepIndexOf(op.inner)},
        {"op_type", op.op_type},
        {"op_name", op.op_name},
        {"first_record", ToIso8601(op.first_record)},
        {"last_record", ToIso8601(op.last_record)},
        {"outputs", std::move(outputs)},
    });
  }
  return {
      {"net", info.net_name},
      {"observer", info.observer},
      {"net_hash", info.net_hash},
      {"options", ToJsonValue(info.options)},
      {"runs", info.runs},
      {"recorded_runs", info.recorded_runs},
      {"samples", info.samples},
      {"stopped", info.stopped},
      {"net_alive", info.net_alive},
      {"attached_at", ToIso8601(info.attached_at)},
      {"hosts", info.hosts},
      {"forced", info.forced},
      {"inputs", std::move(inputs)},
      {"operators", std::move(operators)},
  };
}

// Names come from nets: one that is not UTF-8 must not make the dump fail.
std::string Print(const nlohmann::json& json) {
  const ExactFloatingPoint exact;
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

ValueRange ValueRange::OfFloats(float min, float max) {
  ValueRange range = OfDoubles(min, max);
  if (!range.empty()) range.kind_ = Kind::kFloat32;
  return range;
}

ValueRange ValueRange::OfDoubles(double min, double max) {
  ValueRange range;
  if (!(min <= max)) return range;
  range.kind_ = Kind::kFloat64;
  // -0 and 0 are one number: which of them came first leaves no trace.
  range.min_ = min + 0.0;
  range.max_ = max + 0.0;
  return range;
}

ValueRange ValueRange::OfIntegers(int64_t min, int64_t max) {
  ValueRange range;
  if (min > max) return range;
  range.kind_ = Kind::kInteger;
  range.integer_min_ = min;
  range.integer_max_ = max;
  return range;
}

void ValueRange::Merge(const ValueRange& other) {
  if (other.empty()) return;
  if (empty()) {
    *this = other;
  } else if (kind_ == Kind::kInteger && other.kind_ == Kind::kInteger) {
    integer_min_ = std::min(integer_min_, other.integer_min_);
    integer_max_ = std::max(integer_max_, other.integer_max_);
  } else {
    const Kind kind = kind_ == other.kind_ ? kind_ : Kind::kFloat64;
    min_ = std::min(min(), other.min());
    max_ = std::max(max(), other.max());
    kind_ = kind;
  }
}

std::string ValueRange::LimitText(bool of_max) const {
  const double limit = of_max ? max_ : min_;
  switch (kind_) {
    case Kind::kEmpty:
      return ShortestText(of_max ? std::numeric_limits<float>::lowest()
                                 : std::numeric_limits<float>::max());
    case Kind::kFloat32:
      return ShortestText(static_cast<float>(limit));
    case Kind::kFloat64:
      return ShortestText(limit);
    case Kind::kInteger:
      return ShortestText(of_max ? integer_max_ : integer_min_);
  }
  return "";
}

void ShapeSet::Add(const std::vector<int64_t>& shape) {
  const auto at = std::lower_bound(shapes_.begin(), shapes_.end(), shape);
  if (at != shapes_.end() && *at == shape) return;
  shapes_.insert(at, shape);
  if (shapes_.size() <= kMaxShapes) return;
  shapes_.pop_back();
  more_ = true;
}

void ShapeSet::Merge(const ShapeSet& other) {
  more_ |= other.more_;
  for (const auto& shape : other.shapes_) Add(shape);
}

Status OutputValues::Merge(const OutputValues& other) {
  OutputValues merged = *this;
  merged.range.Merge(other.range);
  merged.raw_range.Merge(other.raw_range);
  RETURN_IF_ERROR(merged.histogram.Merge(other.histogram));
  const std::size_t both =
      std::min(merged.column_max.size(), other.column_max.size());
  for (std::size_t i = 0; i < both; ++i) {
    RETURN_IF_ERROR(merged.column_max[i].Merge(other.column_max[i]));
  }
  for (std::size_t i = both; i < other.column_max.size(); ++i) {
    merged.column_max.push_back(other.column_max[i]);
  }
  *this = std::move(merged);
  return Status::Ok();
}

bool operator==(const RecordingOptions& a, const RecordingOptions& b) {
  return a.histogram_bins == b.histogram_bins &&
         a.column_max_bins == b.column_max_bins &&
         a.column_max_blobs == b.column_max_blobs && a.op_types == b.op_types &&
         a.op_names == b.op_names && a.outputs == b.outputs &&
         a.inputs == b.inputs && a.every == b.every &&
         a.run_limit == b.run_limit;
}

std::string PathText(const OperatorInfo& op) {
  std::string text = PathText(op.op_index, op.inner);
  if (op.step_index >= 0) {
    text += "/step_net[" + std::to_string(op.step_index) + "]";
  }
  return text;
}

std::string ToIso8601(TimePoint time) {
  if (time == TimePoint{}) return "";
  const auto since_epoch =
      std::chrono::duration_cast<std::chrono::milliseconds>(
          time.time_since_epoch());
  const std::time_t seconds = since_epoch.count() / 1000;
  std::tm utc;
  gmtime_r(&seconds, &utc);
  char date[32];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
  char text[48];
  std::snprintf(text, sizeof(text), "%s.%03dZ", date,
                static_cast<int>(since_epoch.count() % 1000));
  return text;
}

std::string ToJson(const NetInfo& info, bool histograms) {
  return Print(ToJsonValue(info, histograms));
}

std::string ToJson(const std::vector<NetInfo>& infos, bool histograms) {
  nlohmann::json json = nlohmann::json::array();
  for (const NetInfo& info : infos) {
    json.push_back(ToJsonValue(info, histograms));
  }
  return Print(json);
}

}  // namespace caffe2_quantization
