#include "workflow/inspect.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>
#include <utility>

#include "caffe2/proto/caffe2_pb.h"
#include "caffe2/proto/metanet.pb.h"
#include "quantization/read_file.h"
#include "serialization/minidb_reader.h"
#include "serialization/qtensor_validation.h"
#include "serialization/wire_reader.h"
#include "workflow/inspect_tensor.h"
#include "workflow/model_reader_text.h"
#include "workflow/predictor_file.h"

namespace caffe2_quantization {
namespace {

// Memory that the lists of a report may take, roughly.
constexpr std::size_t kListBytes = std::size_t{32} << 20;
constexpr std::size_t kMaxFaults = 20;
constexpr std::size_t kMaxNameBytes = 256;
// A singular message in more parts is none that a writer made.
constexpr std::size_t kMaxParts = 1000;
// Nets in arguments of operators of nets: three messages a step, and protobuf
// goes 100 deep.
constexpr int kMaxNetDepth = 34;
// A text becomes a message in memory.
constexpr std::size_t kMaxTextBytes = std::size_t{256} << 20;

enum NetField : uint32_t {
  kNetName = caffe2::NetDef::kNameFieldNumber,
  kNetOp = caffe2::NetDef::kOpFieldNumber,
  kNetType = caffe2::NetDef::kTypeFieldNumber,
  kNetArg = caffe2::NetDef::kArgFieldNumber,
  kNetExternalInput = caffe2::NetDef::kExternalInputFieldNumber,
  kNetExternalOutput = caffe2::NetDef::kExternalOutputFieldNumber,
};
enum OperatorField : uint32_t {
  kOpInput = caffe2::OperatorDef::kInputFieldNumber,
  kOpOutput = caffe2::OperatorDef::kOutputFieldNumber,
  kOpName = caffe2::OperatorDef::kNameFieldNumber,
  kOpType = caffe2::OperatorDef::kTypeFieldNumber,
  kOpArg = caffe2::OperatorDef::kArgFieldNumber,
  kOpEngine = caffe2::OperatorDef::kEngineFieldNumber,
};
enum ArgumentField : uint32_t {
  kArgName = caffe2::Argument::kNameFieldNumber,
  kArgFloat = caffe2::Argument::kFFieldNumber,
  kArgInt = caffe2::Argument::kIFieldNumber,
  kArgString = caffe2::Argument::kSFieldNumber,
  kArgFloats = caffe2::Argument::kFloatsFieldNumber,
  kArgInts = caffe2::Argument::kIntsFieldNumber,
  kArgStrings = caffe2::Argument::kStringsFieldNumber,
  kArgNet = caffe2::Argument::kNFieldNumber,
  kArgNets = caffe2::Argument::kNetsFieldNumber,
  kArgTensor = caffe2::Argument::kTFieldNumber,
  kArgTensors = caffe2::Argument::kTensorsFieldNumber,
  kArgQTensors = caffe2::Argument::kQtensorsFieldNumber,
};
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

bool IsBytes(const WireField& field, uint32_t number) {
  return field.number == number && field.type == WireType::kBytes;
}

std::string Indexed(const std::string& field, const char* name,
                    uint64_t index) {
  return field + '.' + name + '[' + std::to_string(index) + ']';
}

// A name as it is listed.
std::string Name(std::string_view text) {
  if (text.size() <= kMaxNameBytes) return std::string(text);
  return std::string(text.substr(0, kMaxNameBytes)) + "…";
}
std::string Name(const WireField& field) {
  return Name(std::string_view(reinterpret_cast<const char*>(field.begin),
                               field.size()));
}

// The argument of a fill operator that holds its values: its field, and their
// type as TensorProto.DataType has it.
struct FillType {
  const char* op;
  uint32_t field;
  int64_t data_type;
};
constexpr FillType kFillTypes[] = {
    {"GivenTensorFill", kArgFloats, caffe2::TensorProto_DataType_FLOAT},
    {"GivenTensorDoubleFill", kArgFloats, caffe2::TensorProto_DataType_DOUBLE},
    {"GivenTensorBoolFill", kArgInts, caffe2::TensorProto_DataType_BOOL},
    {"GivenTensorInt16Fill", kArgInts, caffe2::TensorProto_DataType_INT16},
    {"GivenTensorIntFill", kArgInts, caffe2::TensorProto_DataType_INT32},
    {"GivenTensorInt64Fill", kArgInts, caffe2::TensorProto_DataType_INT64},
    {"GivenTensorStringFill", kArgStrings, caffe2::TensorProto_DataType_STRING},
    {"GivenTensorByteStringToUInt8Fill", kArgStrings,
     caffe2::TensorProto_DataType_UINT8},
    {"Int8GivenTensorFill", kArgString, caffe2::TensorProto_DataType_UINT8},
    {"Int8GivenIntTensorFill", kArgInts, caffe2::TensorProto_DataType_INT32},
};

const FillType* FindFillType(const std::string& op) {
  for (const FillType& type : kFillTypes) {
    if (op == type.op) return &type;
  }
  return nullptr;
}

class Inspector {
 public:
  explicit Inspector(InspectReport* report) : report_(report) {}

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

  void Fault(std::size_t offset, std::string field, std::string what) {
    if (muted_) return;
    FaultWithoutOffset(std::move(field), std::move(what));
    // What became of a text has offsets of its own.
    if (report_->is_text || report_->fault_count > kMaxFaults) return;
    report_->faults.back().has_offset = true;
    report_->faults.back().offset = offset;
  }

  void FaultWithoutOffset(std::string field, std::string what) {
    if (report_->fault_count++ >= kMaxFaults) return;
    ModelFault fault;
    fault.field = std::move(field);
    fault.what = std::move(what);
    report_->faults.push_back(std::move(fault));
  }

  // Lists what there is without a word on what else is wrong: in a message
  // whose structure is broken, everything after that would be.
  void Mute() { muted_ = true; }

  // Tells what a scan found, and whether the structure is whole.
  bool Whole(const MessageScan& scan) {
    if (scan.unknown_fields > 0) {
      unknown_fields_ += scan.unknown_fields;
      if (first_unknown_.empty()) {
        ModelFault first = scan.first_unknown;
        first.has_offset = !report_->is_text;
        first_unknown_ = first.ToString();
      }
    }
    if (scan.broken)
      Fault(scan.fault.offset, scan.fault.field, scan.fault.what);
    return !scan.broken;
  }

  void Finish() {
    if (unknown_fields_ > 0) {
      report_->notes.push_back(
          std::to_string(unknown_fields_) +
          " fields that Caffe2 does not know, the first at " + first_unknown_);
    }
    if (report_->unlisted > 0) {
      report_->notes.push_back(
          "the lists are full: " + std::to_string(report_->unlisted) +
          " entries are counted, but not listed");
    }
  }

 private:
  // Whether a list may grow by an entry of that many bytes and strings.
  bool Room(std::size_t bytes, std::size_t strings = 0) {
    constexpr std::size_t kStringBytes = 2 * sizeof(std::string);
    const std::size_t needed = bytes + strings * kStringBytes;
    if (needed > list_bytes_) {
      ++report_->unlisted;
      return false;
    }
    list_bytes_ -= needed;
    return true;
  }

  bool AddName(const WireField& field, std::vector<std::string>* names) {
    if (!Room(std::min(field.size(), kMaxNameBytes), 1)) return false;
    names->push_back(Name(field));
    return true;
  }

  // ---- Nets -----------------------------------------------------------------

  void Net(const std::string& label, const std::string& place,
           const MessageBytes& message) {
    if (net_depth_ == kMaxNetDepth ||
        !Room(sizeof(InspectedNet) + label.size())) {
      return;
    }
    ++net_depth_;
    NetFields(label, place, message);
    --net_depth_;
  }

  void NetFields(const std::string& label, const std::string& place,
                 const MessageBytes& message) {
    // By index: nets inside its operators may move the list.
    const std::size_t index = report_->nets.size();
    report_->nets.emplace_back();
    report_->nets[index].label = label;
    std::map<std::string, std::size_t> blobs;
    uint64_t arguments = 0;
    ForEachField(message,
                 [&](const WireReader& reader, const WireField& field) {
                   InspectedNet& net = report_->nets[index];
                   if (IsBytes(field, kNetName)) {
                     net.name = Name(field);
                   } else if (IsBytes(field, kNetType)) {
                     net.type = Name(field);
                   } else if (IsBytes(field, kNetExternalInput)) {
                     AddName(field, &net.external_inputs);
                   } else if (IsBytes(field, kNetExternalOutput)) {
                     AddName(field, &net.external_outputs);
                   } else if (IsBytes(field, kNetOp)) {
                     const uint64_t op = net.operator_count++;
                     ++report_->operator_count;
                     Operator(index, op, Indexed(place, "op", op),
                              BytesOf(reader, field), &blobs);
                   } else if (IsBytes(field, kNetArg)) {
                     Argument({}, Indexed(place, "arg", arguments++),
                              BytesOf(reader, field));
                   }
                 });
  }

  // The blob of that name in the net's list; null when there is no room.
  InspectedNetBlob* FindNetBlob(std::size_t net, const std::string& name,
                                std::map<std::string, std::size_t>* blobs) {
    std::vector<InspectedNetBlob>& list = report_->nets[net].blobs;
    const auto found = blobs->find(name);
    if (found != blobs->end()) return &list[found->second];
    if (!Room(sizeof(InspectedNetBlob) + 2 * name.size() + 64, 1)) {
      return nullptr;
    }
    blobs->emplace(name, list.size());
    list.emplace_back();
    list.back().name = name;
    return &list.back();
  }

  // What an operator's arguments need to know of it.
  struct OperatorFacts {
    std::string type;
    std::vector<std::string> outputs;  // the first ones
  };

  void Operator(std::size_t net, uint64_t index, const std::string& place,
                const MessageBytes& message,
                std::map<std::string, std::size_t>* blobs) {
    constexpr std::size_t kOutputsKept = 100;
    OperatorFacts facts;
    InspectedOperator op;
    op.index = index;
    const bool listed = Room(sizeof(InspectedOperator), 3);
    ForEachField(message, [&](const WireReader&, const WireField& field) {
      if (field.type != WireType::kBytes) return;
      switch (field.number) {
        case kOpInput:
          if (listed) AddName(field, &op.inputs);
          if (auto* blob = FindNetBlob(net, Name(field), blobs)) ++blob->reads;
          break;
        case kOpOutput:
          if (facts.outputs.size() < kOutputsKept) {
            facts.outputs.push_back(Name(field));
          }
          if (listed) AddName(field, &op.outputs);
          break;
        case kOpName:
          op.name = Name(field);
          break;
        case kOpType:
          op.type = Name(field);
          break;
        case kOpArg:
          ++op.arguments;
          break;
        case kOpEngine:
          op.engine = Name(field);
          break;
        default:
          break;
      }
    });
    // After the inputs: what an operator reads was made before it.
    ForEachField(message, [&](const WireReader&, const WireField& field) {
      if (!IsBytes(field, kOpOutput)) return;
      InspectedNetBlob* blob = FindNetBlob(net, Name(field), blobs);
      if (blob == nullptr) return;
      if (blob->writes++ == 0 && blob->reads == 0) {
        blob->made_by = static_cast<int64_t>(index);
      }
    });
    facts.type = op.type;
    if (listed) report_->nets[net].operators.push_back(std::move(op));

    Fill fill;
    uint64_t arguments = 0;
    ForEachField(
        message, [&](const WireReader& reader, const WireField& field) {
          if (!IsBytes(field, kOpArg)) return;
          const MessageBytes argument = BytesOf(reader, field);
          CollectFill(argument, &fill);
          Argument(facts, Indexed(place, "arg", arguments++), argument);
        });
    AddFill(facts, place, message, fill);
  }

  // ---- Arguments ------------------------------------------------------------

  void Argument(const OperatorFacts& op, const std::string& place,
                const MessageBytes& message) {
    uint64_t counts[3] = {};  // nets, tensors, qtensors
    MessageParts net;
    MessageParts tensor;
    ForEachField(
        message, [&](const WireReader& reader, const WireField& field) {
          if (field.type != WireType::kBytes) return;
          const MessageBytes value = BytesOf(reader, field);
          switch (field.number) {
            case kArgNet:
              AddPart(value, place, &net);
              break;
            case kArgNets: {
              const std::string nets = Indexed(place, "nets", counts[0]++);
              Net(nets, nets, value);
              break;
            }
            case kArgTensor:
              AddPart(value, place, &tensor);
              break;
            case kArgTensors:
              Tensor(OutputName(op, counts[1]),
                     Indexed(place, "tensors", counts[1]), {value});
              ++counts[1];
              break;
            case kArgQTensors:
              QTensor(OutputName(op, counts[2]),
                      Indexed(place, "qtensors", counts[2]), {value}, {});
              ++counts[2];
              break;
            default:
              break;
          }
        });
    // A net in parts is listed by its parts.
    for (const MessageBytes& part : net) {
      Net(place + ".n", place + ".n", part);
    }
    if (!tensor.empty()) {
      Tensor(OutputName(op, 0), place + ".t", std::move(tensor));
    }
  }

  static std::string OutputName(const OperatorFacts& op, uint64_t index) {
    return index < op.outputs.size() ? op.outputs[index] : "";
  }

  // The arguments of an operator that fills a tensor.
  struct Fill {
    bool has_values = false;
    MessageBytes values;  // the Argument
    std::vector<int64_t> dims;
    bool has_dims = false;
    double scale = 1;
    double zero_point = 0;
  };

  void CollectFill(const MessageBytes& argument, Fill* fill) {
    std::string name;
    ForEachField(argument, [&](const WireReader&, const WireField& field) {
      if (IsBytes(field, kArgName)) name = Name(field);
    });
    if (name == "values") {
      fill->has_values = true;
      fill->values = argument;
    } else if (name == "shape") {
      fill->has_dims = true;
      fill->dims.clear();
      ForEachField(argument, [&](const WireReader&, const WireField& field) {
        if (field.number == kArgInts) AddDims(field, &fill->dims);
      });
    } else if (name == "Y_scale" || name == "Y_zero_point") {
      ForEachField(argument, [&](const WireReader&, const WireField& field) {
        if (field.number == kArgFloat && field.type == WireType::kFixed32) {
          fill->scale = FloatOf(field);
        } else if (field.number == kArgInt && field.type == WireType::kVarint) {
          fill->zero_point = static_cast<double>(IntegerOf(field));
        }
      });
    }
  }

  void AddFill(const OperatorFacts& op, const std::string& place,
               const MessageBytes& message, const Fill& fill) {
    const FillType* type = FindFillType(op.type);
    if (type == nullptr || !fill.has_values) return;
    InspectedTensor tensor;
    tensor.name = OutputName(op, 0);
    tensor.field = place;
    tensor.type = DataTypeName(type->data_type);
    tensor.dims = fill.dims;
    const bool good_dims = CountElements(fill.dims, &tensor.elements);
    uint64_t string_bytes = 0;
    ForEachField(fill.values, [&](const WireReader&, const WireField& field) {
      if (field.number != type->field) return;
      if (type->field == kArgFloats) {
        AddNumbers(field, FieldKind::kFloat, &tensor.range);
      } else if (type->field == kArgInts) {
        AddNumbers(field, FieldKind::kInt64, &tensor.range);
      } else if (field.type == WireType::kBytes &&
                 tensor.type ==
                     DataTypeName(caffe2::TensorProto_DataType_STRING)) {
        ++tensor.values;
        string_bytes += field.size();
      } else if (field.type == WireType::kBytes) {
        for (const uint8_t* at = field.begin; at < field.end; ++at) {
          tensor.range.Add(*at);
        }
      }
    });
    tensor.bytes = string_bytes;
    if (type->data_type != caffe2::TensorProto_DataType_STRING) {
      tensor.values = tensor.range.count + tensor.range.nan_count;
      tensor.bytes = tensor.values * DataTypeBytes(type->data_type);
    }
    if (op.type.compare(0, 4, "Int8") == 0 && tensor.range.count > 0) {
      const double ends[] = {fill.scale * (tensor.range.min - fill.zero_point),
                             fill.scale * (tensor.range.max - fill.zero_point)};
      tensor.range.min = std::min(ends[0], ends[1]);
      tensor.range.max = std::max(ends[0], ends[1]);
      tensor.type = "int8 (" + tensor.type + ")";
    }
    if (fill.has_dims && !good_dims) {
      Fault(message.offset, place, "shape has a dim below 0");
    } else if (fill.has_dims && tensor.values != tensor.elements) {
      Fault(message.offset, place,
            "has " + std::to_string(tensor.values) + " values, expected " +
                std::to_string(tensor.elements) + " by its shape");
    }
    AddTensor(std::move(tensor));
  }

  // ---- Tensors --------------------------------------------------------------

  // False when there are too many.
  bool AddPart(const MessageBytes& part, const std::string& place,
               MessageParts* parts) {
    if (parts->size() == kMaxParts) {
      Fault(
          part.offset, place,
          "has a message in more than " + std::to_string(kMaxParts) + " parts");
    }
    if (parts->size() > kMaxParts) return false;
    parts->push_back(part);
    return true;
  }

  void AddTensor(InspectedTensor tensor) {
    ++report_->tensor_count;
    report_->tensor_bytes += tensor.bytes;
    if (Room(sizeof(InspectedTensor) + tensor.name.size() +
                 tensor.field.size() + tensor.dims.size() * sizeof(int64_t),
             2)) {
      report_->tensors.push_back(std::move(tensor));
    }
  }

  // `name` is what the file calls it outside its own message, "" if nothing.
  void Tensor(const std::string& name, const std::string& place,
              const MessageParts& parts) {
    InspectedTensor tensor;
    std::string own_name;
    const std::string problem = InspectTensorProto(parts, &own_name, &tensor);
    tensor.name = name.empty() ? Name(own_name) : name;
    tensor.field = place;
    if (!problem.empty()) Fault(parts[0].offset, place, problem);
    AddTensor(std::move(tensor));
  }

  void QTensor(const std::string& name, const std::string& place,
               const MessageParts& parts, const MessageBytes& blob) {
    InspectedQTensor tensor;
    std::string own_name;
    const std::string problem =
        InspectQTensorProto(parts, blob, &own_name, &tensor);
    tensor.name = name.empty() ? Name(own_name) : name;
    tensor.field = place;
    if (!problem.empty()) Fault(parts[0].offset, place, problem);
    ++report_->qtensor_count;
    report_->qtensor_bytes += tensor.bytes;
    report_->qtensor_float_bytes += tensor.float_bytes;
    if (Room(sizeof(InspectedQTensor) + tensor.name.size() +
                 tensor.field.size() + tensor.dims.size() * sizeof(int64_t),
             2)) {
      report_->qtensors.push_back(std::move(tensor));
    }
  }

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

  // ---- Blobs ----------------------------------------------------------------

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

  // ---- minidb ---------------------------------------------------------------

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

  // ---- Predictors -----------------------------------------------------------

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

  InspectReport* report_;
  std::size_t list_bytes_ = kListBytes;
  int net_depth_ = 0;
  bool muted_ = false;
  uint64_t unknown_fields_ = 0;
  std::string first_unknown_;
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
                    "MetaNetDef or minidb does");
    return;
  }
  if (!inspector.Whole(scan)) inspector.Mute();
  inspector.Message(report->form,
                    {static_cast<const uint8_t*>(bytes), size, 0});
  inspector.Finish();
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
  if (size <= kMaxTextBytes && LooksLikeText(bytes, size) &&
      InspectText({static_cast<const char*>(bytes), size}, report)) {
    return;
  }
  InspectMessage(bytes, size, report);
}

Status InspectFile(const std::string& path, InspectReport* report) {
  report->path = path;
  InputFile file;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(file.Open(path));
  const uint8_t* bytes = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(file.Read(0, file.size(), &bytes));
  InspectBytes(bytes, file.size(), report);
  return Status::Ok();
}

}  // namespace caffe2_quantization
