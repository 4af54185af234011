#include <nlohmann/json.hpp>

#include "plugin/plugin.h"
#include "workflow/calibrate.h"
#include "workflow/run_report.h"

namespace caffe2_quantization {

std::string ToJson(const CalibrateReport& report) {
  nlohmann::ordered_json json;
  json["version"] = caffe2_quantization_version();
  json["caffe2_version"] = HostVersion();
  json["isa"] = caffe2_quantization_isa();
  json["init"] = report.init_path;
  json["predict"] = report.predict_path;
  json["data"] = report.data_path;
  json["data_form"] = report.data_form;
  json["profile"] = report.profile_path;
  json["inputs"] = report.inputs;
  json["net_type"] = report.net_type;
  json["samples"] = report.samples;
  json["batches"] = report.batches;
  json["batch_size"] = report.batch_size;
  json["shard"] = report.shard;
  json["shards"] = report.shards;
  json["resumed_samples"] = report.resumed_samples;
  json["seconds"] = report.seconds;
  json["notes"] = report.notes;
  json["observed"] = nlohmann::ordered_json::parse(ToJson(report.info));
  // A name that is no UTF-8 must not cost the whole report.
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
         '\n';
}

}  // namespace caffe2_quantization
