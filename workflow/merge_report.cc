#include "workflow/merge_report.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace caffe2_quantization {
namespace {

using Json = nlohmann::ordered_json;

Json OptionalText(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json SummaryJson(const ProfileSummary& summary) {
  Json json;
  json["path"] = summary.path;
  json["format_version"] = summary.format_version;
  json["net"] = summary.net_name;
  json["net_hash"] = OptionalText(summary.net_hash);
  json["runs"] = summary.runs;
  json["recorded_runs"] = summary.recorded_runs;
  json["samples"] = summary.samples;
  json["operators"] = summary.operators;
  json["outputs"] = summary.outputs;
  json["inputs"] = summary.inputs;
  json["hosts"] = summary.hosts;
  json["first_record"] = OptionalText(summary.first_record);
  json["last_record"] = OptionalText(summary.last_record);
  json["forced"] = summary.forced;
  return json;
}

}  // namespace

std::string MergeReportToJson(const std::vector<ProfileSummary>& summaries) {
  Json report;
  report["inputs"] = Json::array();
  for (std::size_t i = 0; i + 1 < summaries.size(); ++i) {
    report["inputs"].push_back(SummaryJson(summaries[i]));
  }
  report["output"] = SummaryJson(summaries.back());
  // A name need not be UTF-8.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace caffe2_quantization
