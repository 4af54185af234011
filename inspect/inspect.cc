#include "inspect/inspect.h"

#include <cmath>
#include <string_view>
#include <utility>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/proto/caffe2_pb.h"
#include "caffe2/proto/metanet.pb.h"
#include "inspect/inspect_tensor.h"
#include "inspect/net_inspector.h"
#include "netdef/model_reader_text.h"
#include "netdef/predictor_file.h"
#include "profiles/profile.h"
#include "serialization/minidb_reader.h"
#include "serialization/qtensor_validation.h"
#include "serialization/wire_reader.h"

namespace caffe2_quantization {
namespace {

// A text becomes a message in memory.
constexpr std::size_t kMaxTextBytes = std::size_t{256} << 20;

enum BlobField : uint32_t {
  kBlobName = caffe2::BlobProto::kNameFieldNumber,
  kBlobType = caffe2::BlobProto::kTypeFieldNumber,
  kBlobTensor = caffe2::BlobProto::kTensorFieldNumber,
  kBlobContent = caffe2::BlobProto::kContentFieldNumber,
  kBlobQTensor = caffe2::BlobProto::kQtensorFieldNumber,
};
enum MetaField : uint32_t {
  kMetaBlobs = caffe2::MetaNetDef::kBlobsFieldNumber,
  kMetaNets = caffe2::MetaNetDef::kNetsFieldNumber,
  kMetaModelInfo = caffe2::MetaNetDef::kModelInfoFieldNumber,
  kMetaPlans = caffe2::MetaNetDef::kPlansFieldNumber,
  kMetaApplicationInfo =
      caffe2::MetaNetDef::kApplicationSpecificInfoFieldNumber,
};
// Of BlobsMap, NetsMap, PlansMap and StringMap alike.
constexpr uint32_t kMapKey = caffe2::NetsMap::kKeyFieldNumber;
constexpr uint32_t kMapValue = caffe2::NetsMap::kValueFieldNumber;
constexpr uint32_t kPlanNetwork = caffe2::PlanDef::kNetworkFieldNumber;
constexpr uint32_t kProtos = caffe2::TensorProtos::kProtosFieldNumber;

// Walks a file of any form.
class Inspector final : public NetInspector {
 public:
  using NetInspector::NetInspector;

  void Message(ModelForm form, const MessageBytes& message) {
    const std::string field = ModelFormName(form);
    switch (form) {
      case ModelForm::kNetDef:
        Net("", field, message);
        break;
      case ModelForm::kBlobProto:
        Blob("", field, message);
        break;
      case ModelForm::kTensorProtos:
        Tensors("", field, message);
        break;
      case ModelForm::kMetaNetDef:
        Meta(field, message);
        break;
      default:
        break;
    }
  }

  void Minidb(const void* bytes, std::size_t size) {
    MinidbReader reader(bytes, size);
    MinidbRecord record;
    while (!reader.AtEnd()) {
      const Status status = reader.Next(&record);
      if (!status.ok()) {
        // "minidb, offset 41: …"
        const std::size_t colon = status.message().find(": ");
        Fault(reader.offset(), "record", status.message().substr(colon + 2));
        return;
      }
      Record(record);
    }
    CheckMinidbTensors();
  }

 private:
  void Tensors(const std::string& key, const std::string& place,
               const MessageBytes& message) {
    uint64_t count = 0;
    ForEachField(message, [&](const WireReader& reader,
                              const WireField& field) {
      if (!IsBytes(field, kProtos)) return;
      Tensor("", Indexed(place, "protos", count++), {BytesOf(reader, field)});
    });
    if (!key.empty()) AddBlob(key, "TensorProtos", message.size);
  }

  void AddBlob(const std::string& name, const std::string& type,
               uint64_t bytes) {
    // The records of one blob follow each other.
    if (!report_->blobs.empty() && report_->blobs.back().name == name &&
        report_->blobs.back().type == type) {
      report_->blobs.back().bytes += bytes;
      ++report_->blobs.back().records;
      return;
    }
    if (!Room(sizeof(InspectedBlob) + name.size() + type.size(), 2)) return;
    report_->blobs.emplace_back();
    report_->blobs.back().name = name;
    report_->blobs.back().type = type;
    report_->blobs.back().bytes = bytes;
  }

  // `name` is the minidb's for it, "" of a file that is one blob.
  void Blob(const std::string& name, const std::string& place,
            const MessageBytes& message) {
    std::string own_name;
    std::string type;
    MessageParts tensor;
    MessageParts qtensor;
    MessageBytes content;
    ForEachField(
        message, [&](const WireReader& reader, const WireField& field) {
          if (field.type != WireType::kBytes) return;
          if (field.number == kBlobName) {
            own_name = Name(field);
          } else if (field.number == kBlobType) {
            type = Name(field);
          } else if (field.number == kBlobTensor) {
            AddPart(BytesOf(reader, field), place + ".tensor", &tensor);
          } else if (field.number == kBlobQTensor) {
            AddPart(BytesOf(reader, field), place + ".qtensor", &qtensor);
          } else if (field.number == kBlobContent) {
            content = BytesOf(reader, field);
          }
        });
    const std::string blob_name = name.empty() ? own_name : name;
    AddBlob(blob_name, type, message.size);
    if (type.empty()) {
      Fault(message.offset, place, "has no type, expected one");
    }
    if (!tensor.empty()) {
      BlobTensor(blob_name, place + ".tensor", tensor, !name.empty());
    }
    if (!qtensor.empty() && type == "Int8TensorCPU") {
      Int8Tensor(blob_name, place + ".qtensor", qtensor);
    } else if (!qtensor.empty()) {
      QTensor(blob_name, place + ".qtensor", qtensor, message);
    }
    if (name == MetaNetDefKey()) {
      report_->is_predictor = true;
      const std::string meta = place + ".content";
      if (Whole(ScanMessage(schema::kMetaNetDef, meta, content.data,
                            content.size, content.offset))) {
        Meta(meta, content);
      }
    }
  }

  // A tensor in a blob; in a minidb it may be one of several chunks.
  void BlobTensor(const std::string& name, const std::string& place,
                  const MessageParts& parts, bool in_minidb) {
    InspectedTensor tensor;
    std::string own_name;
    const std::string problem = InspectTensorProto(parts, &own_name, &tensor);
    if (!problem.empty()) Fault(parts[0].offset, place, problem);
    tensor.name = name;
    tensor.field = place;
    if (in_minidb && !report_->tensors.empty()) {
      InspectedTensor& last = report_->tensors.back();
      if (last.name == name && last.dims == tensor.dims &&
          last.type == tensor.type && last.values < last.elements) {
        last.values += tensor.values;
        last.bytes += tensor.bytes;
        last.range.Add(tensor.range);
        report_->tensor_bytes += tensor.bytes;
        return;
      }
    }
    AddTensor(std::move(tensor));
  }

  void Int8Tensor(const std::string& name, const std::string& place,
                  const MessageParts& parts) {
    InspectedTensor tensor;
    std::string own_name;
    const std::string problem =
        InspectInt8TensorProto(parts, &own_name, &tensor);
    if (!problem.empty()) Fault(parts[0].offset, place, problem);
    tensor.name = name;
    tensor.field = place;
    AddTensor(std::move(tensor));
  }

  void Record(const MinidbRecord& record) {
    const MessageBytes value = {
        reinterpret_cast<const uint8_t*>(record.value.data()),
        record.value.size(), record.value_offset};
    const std::string key = Name(record.key);
    const std::string place = "record '" + key + "'";
    // Save writes BlobProtos; data sets are TensorProtos.
    MessageScan scan = ScanMessage(schema::kBlobProto, place, value.data,
                                   value.size, value.offset);
    bool is_blob = true;
    if (scan.likely < value.size) {
      MessageScan tensors = ScanMessage(schema::kTensorProtos, place,
                                        value.data, value.size, value.offset);
      if (tensors.likely > scan.likely) {
        is_blob = false;
        scan = std::move(tensors);
      }
    }
    if (!Whole(scan)) {
      AddBlob(Name(MinidbBlobName(record.key)), "broken", value.size);
    } else if (is_blob) {
      Blob(Name(MinidbBlobName(record.key)), place, value);
    } else {
      Tensors(key, place, value);
    }
  }

  // A tensor that was cut into records must be there as a whole.
  void CheckMinidbTensors() {
    if (report_->unlisted > 0 || !report_->ok()) return;
    for (const InspectedTensor& tensor : report_->tensors) {
      if (tensor.values == 0 || tensor.values == tensor.elements) continue;
      FaultWithoutOffset(tensor.field,
                         "the tensor has " + std::to_string(tensor.values) +
                             " values in all its records, expected " +
                             std::to_string(tensor.elements));
    }
  }

  void Meta(const std::string& place, const MessageBytes& message) {
    uint64_t counts[4] = {};
    ForEachField(message,
                 [&](const WireReader& reader, const WireField& field) {
                   if (field.type != WireType::kBytes) return;
                   const MessageBytes value = BytesOf(reader, field);
                   switch (field.number) {
                     case kMetaBlobs:
                       MetaEntry("blobs", value);
                       break;
                     case kMetaApplicationInfo:
                       MetaEntry("applicationSpecificInfo", value);
                       break;
                     case kMetaModelInfo:
                       ModelInfo(value);
                       break;
                     case kMetaNets:
                       MetaNet(Indexed(place, "nets", counts[0]++), value);
                       break;
                     case kMetaPlans:
                       MetaPlan(Indexed(place, "plans", counts[1]++), value);
                       break;
                     default:
                       break;
                   }
                 });
  }

  static std::string KeyOf(const MessageBytes& entry) {
    std::string key;
    ForEachField(entry, [&key](const WireReader&, const WireField& field) {
      if (IsBytes(field, kMapKey)) key = Name(field);
    });
    return key;
  }

  void MetaEntry(const char* kind, const MessageBytes& entry) {
    if (!Room(sizeof(InspectedMeta), 2)) return;
    InspectedMeta meta;
    meta.field = kind;
    meta.key = KeyOf(entry);
    ForEachField(entry, [&](const WireReader&, const WireField& field) {
      if (IsBytes(field, kMapValue)) AddName(field, &meta.values);
    });
    report_->meta.push_back(std::move(meta));
  }

  void ModelInfo(const MessageBytes& info) {
    const MessageSchema& message =
        *schema::kMetaNetDef.Find(uint32_t{kMetaModelInfo})->message;
    ForEachField(info, [&](const WireReader&, const WireField& field) {
      const FieldSchema* known = message.Find(field.number);
      if (field.type != WireType::kBytes || known == nullptr ||
          !Room(sizeof(InspectedMeta), 3)) {
        return;
      }
      report_->meta.push_back({"modelInfo", known->name, {Name(field)}});
    });
  }

  void MetaNet(const std::string& place, const MessageBytes& entry) {
    const std::string key = KeyOf(entry);
    ForEachField(entry, [&](const WireReader& reader, const WireField& field) {
      if (!IsBytes(field, kMapValue)) return;
      Net(key, place + ".value", BytesOf(reader, field));
    });
  }

  void MetaPlan(const std::string& place, const MessageBytes& entry) {
    const std::string key = KeyOf(entry);
    uint64_t count = 0;
    const auto network = [&](const WireReader& reader, const WireField& field) {
      if (!IsBytes(field, kPlanNetwork)) return;
      Net(key, Indexed(place + ".value", "network", count++),
          BytesOf(reader, field));
    };
    ForEachField(entry, [&](const WireReader& reader, const WireField& field) {
      if (IsBytes(field, kMapValue)) {
        ForEachField(BytesOf(reader, field), network);
      }
    });
  }
};

// Finds out which message a text is, and makes it one. Of those that it is not,
// *fault is of the one that it was for longest.
ModelForm DetectText(std::string_view text, std::string* wire,
                     ModelFault* fault) {
  std::size_t furthest = 0;
  ModelForm best = ModelForm::kUnknown;
  for (const ModelForm form :
       {ModelForm::kNetDef, ModelForm::kBlobProto, ModelForm::kTensorProtos,
        ModelForm::kMetaNetDef}) {
    ModelFault found;
    std::size_t at = 0;
    if (TextToWire(*SchemaOf(form), text, wire, &found, &at)) {
      *fault = ModelFault();
      return form;
    }
    if (best == ModelForm::kUnknown || at > furthest) {
      best = form;
      furthest = at;
      *fault = std::move(found);
    }
  }
  return best;
}

void AddFault(ModelFault fault, InspectReport* report) {
  report->faults.push_back(std::move(fault));
  ++report->fault_count;
}

void InspectMessage(const void* bytes, std::size_t size,
                    InspectReport* report) {
  if (size > kMaxMessageBytes) {
    ModelFault fault;
    fault.what = "the file has " + std::to_string(size) +
                 " bytes, expected at most " +
                 std::to_string(kMaxMessageBytes) +
                 ", the limit of protobuf, unless it is a minidb";
    AddFault(std::move(fault), report);
    return;
  }
  MessageScan scan;
  report->form = DetectMessage(bytes, size, &scan);
  Inspector inspector(report);
  if (report->form == ModelForm::kUnknown) {
    inspector.Fault(0, "",
                    "does not begin as a NetDef, BlobProto, TensorProtos, "
                    "MetaNetDef, minidb or profile does");
    return;
  }
  if (!inspector.Whole(scan)) inspector.Mute();
  inspector.Message(report->form,
                    {static_cast<const uint8_t*>(bytes), size, 0});
  inspector.Finish();
}

// Reads a profile, if it is one: no message of Caffe2 begins with the tag of
// format_version, and none of their texts with a brace. JSON of something else
// is left to the others.
bool InspectProfile(const void* bytes, std::size_t size,
                    InspectReport* report) {
  const std::string_view text(static_cast<const char*>(bytes), size);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool json = first != std::string_view::npos && text[first] == '{';
  if (!json && text[0] != '\b') return false;
  NetInfo info;
  const Status status = json ? ProfileFromJson(std::string(text), &info)
                             : ProfileFromBytes(std::string(text), &info);
  if (!status.ok() && json &&
      text.find("\"net_hash\"") == std::string_view::npos) {
    return false;
  }
  report->form = ModelForm::kProfile;
  report->is_text = json;
  if (status.ok()) {
    report->profile = std::move(info);
    report->operator_count = report->profile->operators.size();
  } else {
    ModelFault fault;
    fault.what = status.message();
    AddFault(std::move(fault), report);
  }
  return true;
}

// False when the text is none of the messages, but may be binary by accident.
bool InspectText(std::string_view text, InspectReport* report) {
  std::string wire;
  ModelFault fault;
  const ModelForm form = DetectText(text, &wire, &fault);
  if (fault.what.empty()) {
    report->is_text = true;
    report->form = form;
    Inspector inspector(report);
    inspector.Message(
        form, {reinterpret_cast<const uint8_t*>(wire.data()), wire.size(), 0});
    inspector.Finish();
    return true;
  }
  MessageScan scan;
  if (DetectMessage(text.data(), text.size(), &scan) != ModelForm::kUnknown &&
      scan.likely == text.size()) {
    return false;
  }
  report->is_text = true;
  report->form = form;
  AddFault(std::move(fault), report);
  return true;
}

}  // namespace

void InspectBytes(const void* bytes, std::size_t size, InspectReport* report) {
  report->file_bytes = size;
  if (size == 0) {
    ModelFault fault;
    fault.what = "the file is empty";
    AddFault(std::move(fault), report);
    return;
  }
  if (LooksLikeMinidb(bytes, size)) {
    report->form = ModelForm::kMinidb;
    Inspector inspector(report);
    inspector.Minidb(bytes, size);
    inspector.Finish();
    return;
  }
  if (size <= static_cast<std::size_t>(kMaxProfileBytes) &&
      InspectProfile(bytes, size, report)) {
    return;
  }
  if (size <= kMaxTextBytes && LooksLikeText(bytes, size) &&
      InspectText({static_cast<const char*>(bytes), size}, report)) {
    return;
  }
  InspectMessage(bytes, size, report);
}

Status InspectFile(const std::string& path, InspectReport* report) {
  report->path = path;
  InputFile file;
  RETURN_IF_ERROR(file.Open(path));
  const uint8_t* bytes = nullptr;
  RETURN_IF_ERROR(file.Read(0, file.size(), &bytes));
  InspectBytes(bytes, file.size(), report);
  return Status::Ok();
}

}  // namespace caffe2_quantization
