#include "workflow/run_report.h"

#include <nlohmann/json.hpp>

#include "caffe2/core/common.h"
#include "plugin/plugin.h"

namespace caffe2_quantization {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json Known(bool known, T value) {
  return known ? Json(value) : Json();
}

void AddStoredWeight(const StoredWeight& stored, Json* json) {
  (*json)["blob"] = stored.blob;
  (*json)["weight"] = Known(!stored.weight.empty(), stored.weight);
  (*json)["shape"] = stored.shape;
  (*json)["bytes"] = stored.bytes;
  (*json)["float_bytes"] = stored.float_bytes;
  (*json)["largest_error"] =
      Known(stored.has_largest_error, stored.largest_error);
}

Json QTensorJson(const QTensorWeight& stored) {
  Json json;
  AddStoredWeight(stored, &json);
  json["precision"] = stored.precision;
  json["is_signed"] = stored.is_signed;
  json["scale"] = stored.scale;
  json["bias"] = stored.bias;
  return json;
}

Json ModelJson(const ModelReport& model, int64_t images) {
  Json json;
  json["label"] = model.label;
  json["init"] = model.init_path;
  json["correct"] = Known(model.has_accuracy, model.correct);
  json["accuracy"] =
      Known(model.has_accuracy,
            static_cast<double>(model.correct) / static_cast<double>(images));
  json["largest_output_change"] =
      Known(model.has_largest_output_change, model.largest_output_change);
  json["images"] = model.images;
  json["batches"] = model.batches;
  json["seconds"] = model.seconds;
  json["qtensors"] = Json::array();
  for (const auto& stored : model.qtensors) {
    json["qtensors"].push_back(QTensorJson(stored));
  }
  json["byte_weights"] = Json::array();
  for (const auto& stored : model.byte_weights) {
    Json weight;
    AddStoredWeight(stored, &weight);
    json["byte_weights"].push_back(std::move(weight));
  }
  json["min_max"] =
      model.observed
          ? Json::parse(
                ToJson(model.min_max, model.min_max.options.histogram_bins > 0))
          : Json();
  return json;
}

}  // namespace

std::string HostVersion() {
  const auto& build = caffe2::GetBuildOptions();
  const auto found = build.find("TORCH_VERSION");
  return found == build.end() ? "unknown" : found->second;
}

std::string ToJson(const RunReport& report) {
  Json json;
  json["version"] = caffe2_quantization_version();
  json["caffe2_version"] = HostVersion();
  json["isa"] = caffe2_quantization_isa();
  json["predict"] = report.predict_path;
  json["data"] = report.data_path;
  json["net"] = report.net_name;
  json["net_type"] = report.net_type;
  json["output"] = report.output_blob;
  json["label"] = Known(!report.label_blob.empty(), report.label_blob);
  json["images"] = report.images;
  json["batch_size"] = report.batch_size;
  json["repeat"] = report.repeat;
  json["notes"] = report.notes;
  json["models"] = Json::array();
  for (const auto& model : report.models) {
    json["models"].push_back(ModelJson(model, report.images));
  }
  // A name that is no UTF-8 must not cost the whole report.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace caffe2_quantization
