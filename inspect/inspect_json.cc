#include "inspect/inspect_json.h"

#include <nlohmann/json.hpp>

namespace caffe2_quantization {
namespace {

using Json = nlohmann::ordered_json;

Json RangeJson(const InspectedRange& range) {
  Json json;
  json["min"] = range.count == 0 ? Json() : Json(range.min);
  json["max"] = range.count == 0 ? Json() : Json(range.max);
  return json;
}

Json OptionalText(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

Json NetJson(const InspectedNet& net) {
  Json json;
  json["label"] = OptionalText(net.label);
  json["name"] = net.name;
  json["type"] = net.type;
  json["operator_count"] = net.operator_count;
  json["external_inputs"] = net.external_inputs;
  json["external_outputs"] = net.external_outputs;
  json["operators"] = Json::array();
  for (const InspectedOperator& op : net.operators) {
    json["operators"].push_back({{"index", op.index},
                                 {"name", op.name},
                                 {"type", op.type},
                                 {"engine", op.engine},
                                 {"inputs", op.inputs},
                                 {"outputs", op.outputs},
                                 {"arguments", op.arguments}});
  }
  json["blobs"] = Json::array();
  for (const InspectedNetBlob& blob : net.blobs) {
    json["blobs"].push_back(
        {{"name", blob.name},
         {"made_by", blob.made_by < 0 ? Json() : Json(blob.made_by)},
         {"reads", blob.reads},
         {"writes", blob.writes}});
  }
  return json;
}

Json TensorJson(const InspectedTensor& tensor) {
  Json json;
  json["name"] = tensor.name;
  json["field"] = tensor.field;
  json["type"] = tensor.type;
  json["dims"] = tensor.dims;
  json["elements"] = tensor.elements;
  json["values"] = tensor.values;
  json["bytes"] = tensor.bytes;
  json.update(RangeJson(tensor.range));
  json["nan_count"] = tensor.range.nan_count;
  return json;
}

Json QTensorJson(const InspectedQTensor& tensor) {
  Json json;
  json["name"] = tensor.name;
  json["field"] = tensor.field;
  json["dims"] = tensor.dims;
  json["precision"] = tensor.precision;
  json["is_signed"] = tensor.is_signed;
  json["scale"] = tensor.scale;
  json["bias"] = tensor.bias;
  json["per_channel"] = Json();
  if (tensor.is_per_channel) {
    json["per_channel"] = {{"axis", tensor.axis},
                           {"channels", tensor.channels},
                           {"scales", RangeJson(tensor.scales)},
                           {"biases", RangeJson(tensor.biases)}};
  }
  json["elements"] = tensor.elements;
  json["bytes"] = tensor.bytes;
  json["float_bytes"] = tensor.float_bytes;
  json["ratio"] = tensor.bytes == 0
                      ? Json()
                      : Json(static_cast<double>(tensor.float_bytes) /
                             static_cast<double>(tensor.bytes));
  json["integers"] = RangeJson(tensor.integers);
  json.update(RangeJson(tensor.range));
  return json;
}

Json FaultJson(const ModelFault& fault) {
  Json json;
  json["offset"] = fault.has_offset ? Json(fault.offset) : Json();
  json["line"] = fault.line > 0 ? Json(fault.line) : Json();
  json["column"] = fault.line > 0 ? Json(fault.column) : Json();
  json["field"] = OptionalText(fault.field);
  json["what"] = fault.what;
  return json;
}

Json WeightJson(const ComparedWeight& weight) {
  Json json;
  json["blob"] = weight.blob;
  json["weight"] = weight.weight;
  json["kind"] = weight.is_qtensor ? "QTensor" : "bytes";
  json["dims"] = weight.dims;
  json["bits"] = weight.bits;
  json["is_signed"] = weight.is_signed;
  json["channels"] = weight.scales.count;
  json["scale"] = RangeJson(weight.scales);
  json["zero_offset"] = RangeJson(weight.zero_offsets);
  json["representable"] = RangeJson(weight.representable);
  json["float"] = RangeJson(weight.float_range);
  json["elements"] = weight.elements;
  json["at_limits"] = weight.at_limits;
  json["clipped"] = weight.clipped;
  json["integers_used"] =
      weight.integers == 0 ? Json() : Json(weight.integers_used);
  json["integers"] = weight.integers == 0 ? Json() : Json(weight.integers);
  json["sqnr_db"] = weight.SqnrDecibel();
  json["largest_error"] = weight.largest_error;
  json["bytes"] = weight.bytes;
  json["float_bytes"] = weight.float_bytes;
  return json;
}

Json CostJson(const ModelCost& cost) {
  Json json;
  json["path"] = cost.path;
  json["file_bytes"] = cost.file_bytes;
  json["load_seconds"] = cost.load_seconds;
  json["peak_bytes"] = cost.has_peak ? Json(cost.peak_bytes) : Json();
  return json;
}

// As of an observed net, without what a file does not have.
Json ProfileJson(const NetInfo& profile) {
  Json json = Json::parse(ToJson(profile));
  json["format_version"] = profile.format_version;
  json["is_checkpoint"] = !profile.checkpoint.settings.empty();
  for (const char* name : {"stopped", "net_alive", "attached_at"}) {
    json.erase(name);
  }
  const auto strip = [](Json* tensors) {
    for (Json& tensor : *tensors) {
      for (const char* name :
           {"type", "shape", "min", "max", "raw_min", "raw_max"}) {
        tensor.erase(name);
      }
    }
  };
  strip(&json["inputs"]);
  for (Json& op : json["operators"]) {
    for (const char* name : {"op_name", "first_record", "last_record"}) {
      op.erase(name);
    }
    strip(&op["outputs"]);
  }
  return json;
}

template <typename T, typename ToJson>
Json ListJson(const std::vector<T>& list, const ToJson& to_json) {
  Json json = Json::array();
  for (const T& each : list) json.push_back(to_json(each));
  return json;
}

Json ReportJson(const InspectReport& report) {
  Json json;
  json["path"] = report.path;
  json["form"] = ModelFormName(report.form);
  json["encoding"] = report.is_text ? "text" : "binary";
  json["is_predictor"] =
      report.is_predictor || report.form == ModelForm::kMetaNetDef;
  json["file_bytes"] = report.file_bytes;
  json["operator_count"] = report.operator_count;
  json["tensor_count"] = report.tensor_count;
  json["tensor_bytes"] = report.tensor_bytes;
  json["qtensor_count"] = report.qtensor_count;
  json["qtensor_bytes"] = report.qtensor_bytes;
  json["qtensor_float_bytes"] = report.qtensor_float_bytes;
  json["unlisted"] = report.unlisted;
  json["nets"] = ListJson(report.nets, NetJson);
  json["blobs"] = Json::array();
  for (const InspectedBlob& blob : report.blobs) {
    json["blobs"].push_back({{"name", blob.name},
                             {"type", blob.type},
                             {"bytes", blob.bytes},
                             {"records", blob.records}});
  }
  json["qtensors"] = ListJson(report.qtensors, QTensorJson);
  json["tensors"] = ListJson(report.tensors, TensorJson);
  json["meta"] = Json::array();
  for (const InspectedMeta& meta : report.meta) {
    json["meta"].push_back(
        {{"field", meta.field}, {"key", meta.key}, {"values", meta.values}});
  }
  json["profile"] = Json();
  if (report.profile) json["profile"] = ProfileJson(*report.profile);
  json["notes"] = report.notes;
  json["fault_count"] = report.fault_count;
  json["faults"] = ListJson(report.faults, FaultJson);
  json["against_float"] = Json();
  if (report.against_float) {
    json["against_float"] = {
        {"model", CostJson(report.against_float->cost)},
        {"float_model", CostJson(report.against_float->float_cost)},
        {"weights", ListJson(report.against_float->weights, WeightJson)},
        {"sqnr_db", report.against_float->SqnrDecibel()},
        {"notes", report.against_float->notes}};
  }
  return json;
}

}  // namespace

std::string ToJson(const std::vector<InspectReport>& reports) {
  Json json;
  json["files"] = ListJson(reports, ReportJson);
  // A name that is no UTF-8 must not cost the whole report.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace caffe2_quantization
