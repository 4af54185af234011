#include "inspect/net_inspector.h"

#include <algorithm>
#include <utility>

#include "caffe2/proto/caffe2_pb.h"
#include "inspect/inspect_tensor.h"
#include "netdef/given_weights.h"

namespace caffe2_quantization {
namespace {

// Nets in arguments of operators of nets: three messages a step, and protobuf
// goes 100 deep.
constexpr int kMaxNetDepth = 34;

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
    {kGivenWeightsType, kArgString, caffe2::TensorProto_DataType_UINT8},
};

const FillType* FindFillType(const std::string& op) {
  for (const FillType& type : kFillTypes) {
    if (op == type.op) return &type;
  }
  return nullptr;
}

}  // namespace

void NetInspector::Net(const std::string& label, const std::string& place,
                       const MessageBytes& message) {
  if (net_depth_ == kMaxNetDepth ||
      !Room(sizeof(InspectedNet) + label.size())) {
    return;
  }
  ++net_depth_;
  NetFields(label, place, message);
  --net_depth_;
}

void NetInspector::NetFields(const std::string& label, const std::string& place,
                             const MessageBytes& message) {
  // By index: nets inside its operators may move the list.
  const std::size_t index = report_->nets.size();
  report_->nets.emplace_back();
  report_->nets[index].label = label;
  std::map<std::string, std::size_t> blobs;
  uint64_t arguments = 0;
  ForEachField(message, [&](const WireReader& reader, const WireField& field) {
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
      Operator(index, op, Indexed(place, "op", op), BytesOf(reader, field),
               &blobs);
    } else if (IsBytes(field, kNetArg)) {
      Argument({}, Indexed(place, "arg", arguments++), BytesOf(reader, field));
    }
  });
}

InspectedNetBlob* NetInspector::FindNetBlob(
    std::size_t net, const std::string& name,
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

void NetInspector::Operator(std::size_t net, uint64_t index,
                            const std::string& place,
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
  ForEachField(message, [&](const WireReader& reader, const WireField& field) {
    if (!IsBytes(field, kOpArg)) return;
    const MessageBytes argument = BytesOf(reader, field);
    CollectFill(argument, &fill);
    Argument(facts, Indexed(place, "arg", arguments++), argument);
  });
  AddFill(facts, place, message, fill);
}

void NetInspector::Argument(const OperatorFacts& op, const std::string& place,
                            const MessageBytes& message) {
  uint64_t counts[3] = {};  // nets, tensors, qtensors
  MessageParts net;
  MessageParts tensor;
  ForEachField(message, [&](const WireReader& reader, const WireField& field) {
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
        Tensor(OutputName(op, counts[1]), Indexed(place, "tensors", counts[1]),
               {value});
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

std::string NetInspector::OutputName(const OperatorFacts& op, uint64_t index) {
  return index < op.outputs.size() ? op.outputs[index] : "";
}

void NetInspector::CollectFill(const MessageBytes& argument, Fill* fill) {
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

void NetInspector::AddFill(const OperatorFacts& op, const std::string& place,
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
  if (op.type == kGivenWeightsType) {
    // Codes of several scales have no range that they tell themselves.
    tensor.range = {};
    tensor.type = "int8 weights";
  } else if (op.type.compare(0, 4, "Int8") == 0 && tensor.range.count > 0) {
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

}  // namespace caffe2_quantization
