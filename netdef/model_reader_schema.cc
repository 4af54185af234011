#include "netdef/model_reader_schema.h"

#include <iterator>

namespace caffe2_quantization {
namespace {

using K = FieldKind;

template <std::size_t count>
constexpr MessageSchema Make(const char* name,
                             const FieldSchema (&fields)[count]) {
  static_assert(count <= kMaxFieldsOfMessage);
  return {name, fields, count};
}

}  // namespace

const EnumSchema::Value* EnumSchema::Find(std::string_view name) const {
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i].name == name) return &values[i];
  }
  return nullptr;
}

const EnumSchema::Value* EnumSchema::Find(int64_t number) const {
  for (std::size_t i = 0; i < count; ++i) {
    if (values[i].number == number) return &values[i];
  }
  return nullptr;
}

const FieldSchema* MessageSchema::Find(uint32_t number) const {
  for (std::size_t i = 0; i < count; ++i) {
    if (fields[i].number == number) return &fields[i];
  }
  return nullptr;
}

const FieldSchema* MessageSchema::Find(std::string_view name) const {
  for (std::size_t i = 0; i < count; ++i) {
    if (fields[i].name == name) return &fields[i];
  }
  return nullptr;
}

namespace schema {

constexpr EnumSchema::Value kDataTypeValues[] = {
    {"UNDEFINED", 0},
    {"FLOAT", 1},
    {"INT32", 2},
    {"BYTE", 3},
    {"STRING", 4},
    {"BOOL", 5},
    {"UINT8", 6},
    {"INT8", 7},
    {"UINT16", 8},
    {"INT16", 9},
    {"INT64", 10},
    {"FLOAT16", 12},
    {"DOUBLE", 13},
    {"ZERO_COLLISION_HASH", 14},
    {"REBATCHING_BUFFER", 15},
};
const EnumSchema kDataType = {kDataTypeValues, std::size(kDataTypeValues)};

constexpr EnumSchema::Value kDimTypeValues[] = {
    {"UNKNOWN", 0},
    {"CONSTANT", 1},
    {"BATCH", 2},
    {"BATCH_OF_FEATURE_MAX", 3},
    {"BATCH_OF_FEATURE_MAX_DEFAULT", 4},
    {"FEATURE_MAX", 5},
    {"FEATURE_MAX_DEFAULT", 6},
};
extern const EnumSchema kDimType;
const EnumSchema kDimType = {kDimTypeValues, std::size(kDimTypeValues)};

// Internal ones, used before they are defined.
extern const MessageSchema kDeviceOption;
extern const MessageSchema kSegment;
extern const MessageSchema kPartitionInfo;
extern const MessageSchema kBackendOptions;
extern const MessageSchema kMapFieldEntry;
extern const MessageSchema kBlobsMap;
extern const MessageSchema kNetsMap;
extern const MessageSchema kModelInfo;
extern const MessageSchema kPlansMap;
extern const MessageSchema kPlanDef;
extern const MessageSchema kExecutionStep;
extern const MessageSchema kStringMap;
extern const MessageSchema kTensorBoundShapes;
extern const MessageSchema kTensorBoundShape;
extern const MessageSchema kTensorShape;
extern const MessageSchema kAOTConfig;

constexpr FieldSchema kNetDefFields[] = {
    {1, "name", K::kString},
    {2, "op", K::kMessage, true, &kOperatorDef},
    {3, "type", K::kString},
    {4, "num_workers", K::kInt32},
    {5, "device_option", K::kMessage, false, &kDeviceOption},
    {6, "arg", K::kMessage, true, &kArgument},
    {7, "external_input", K::kString, true},
    {8, "external_output", K::kString, true},
    {9, "partition_info", K::kMessage, true, &kPartitionInfo},
};
const MessageSchema kNetDef = Make("NetDef", kNetDefFields);

constexpr FieldSchema kOperatorDefFields[] = {
    {1, "input", K::kString, true},
    {2, "output", K::kString, true},
    {3, "name", K::kString},
    {4, "type", K::kString},
    {5, "arg", K::kMessage, true, &kArgument},
    {6, "device_option", K::kMessage, false, &kDeviceOption},
    {7, "engine", K::kString},
    {8, "control_input", K::kString, true},
    {9, "is_gradient_op", K::kBool},
    {10, "debug_info", K::kString},
    {11, "domain", K::kString},
    {12, "op_version", K::kInt64},
};
const MessageSchema kOperatorDef = Make("OperatorDef", kOperatorDefFields);

constexpr FieldSchema kArgumentFields[] = {
    {1, "name", K::kString},
    {2, "f", K::kFloat},
    {3, "i", K::kInt64},
    {4, "s", K::kBytes},
    {5, "floats", K::kFloat, true},
    {6, "ints", K::kInt64, true},
    {7, "strings", K::kBytes, true},
    {8, "n", K::kMessage, false, &kNetDef},
    {9, "nets", K::kMessage, true, &kNetDef},
    {10, "t", K::kMessage, false, &kTensorProto},
    {11, "tensors", K::kMessage, true, &kTensorProto},
    {12, "qtensors", K::kMessage, true, &kQTensorProto},
};
const MessageSchema kArgument = Make("Argument", kArgumentFields);

constexpr FieldSchema kTensorProtoFields[] = {
    {1, "dims", K::kInt64, true},
    {2, "data_type", K::kEnum, false, nullptr, &kDataType},
    {3, "float_data", K::kFloat, true},
    {4, "int32_data", K::kInt32, true},
    {5, "byte_data", K::kBytes},
    {6, "string_data", K::kBytes, true},
    {7, "name", K::kString},
    {8, "device_detail", K::kMessage, false, &kDeviceOption},
    {9, "double_data", K::kDouble, true},
    {10, "int64_data", K::kInt64, true},
    {11, "segment", K::kMessage, false, &kSegment},
    {13, "raw_data", K::kBytes},
    {15, "data_format", K::kUint32},
};
const MessageSchema kTensorProto = Make("TensorProto", kTensorProtoFields);

constexpr FieldSchema kDeviceOptionFields[] = {
    {1, "device_type", K::kInt32},  {2, "device_id", K::kInt32},
    {3, "random_seed", K::kUint32}, {4, "node_name", K::kString},
    {5, "numa_node_id", K::kInt32}, {6, "extra_info", K::kString, true},
};
const MessageSchema kDeviceOption = Make("DeviceOption", kDeviceOptionFields);

constexpr FieldSchema kSegmentFields[] = {
    {1, "begin", K::kInt64},
    {2, "end", K::kInt64},
};
const MessageSchema kSegment = Make("Segment", kSegmentFields);

constexpr FieldSchema kQTensorProtoFields[] = {
    {1, "dims", K::kInt64, true},
    {2, "precision", K::kInt32},
    {3, "scale", K::kDouble},
    {4, "bias", K::kDouble},
    {5, "is_signed", K::kBool},
    {6, "data", K::kInt32, true},
    {7, "name", K::kString},
    {8, "data_type", K::kEnum, false, nullptr, &kDataType},
    {9, "scales", K::kDouble, true},
    {10, "biases", K::kDouble, true},
    {11, "axis", K::kInt32},
    {12, "is_multiparam", K::kBool},
};
const MessageSchema kQTensorProto = Make("QTensorProto", kQTensorProtoFields);

constexpr FieldSchema kPartitionInfoFields[] = {
    {1, "name", K::kString},
    {2, "device_id", K::kInt32, true},
    {3, "extra_info", K::kString},
    {4, "backend_options", K::kMessage, true, &kBackendOptions},
};
const MessageSchema kPartitionInfo =
    Make("PartitionInfo", kPartitionInfoFields);

constexpr FieldSchema kBackendOptionsFields[] = {
    {1, "backend_name", K::kString},
    {2, "option", K::kMessage, true, &kMapFieldEntry},
};
const MessageSchema kBackendOptions =
    Make("BackendOptions", kBackendOptionsFields);

constexpr FieldSchema kMapFieldEntryFields[] = {
    {1, "key", K::kString},
    {2, "val", K::kString},
};
const MessageSchema kMapFieldEntry =
    Make("MapFieldEntry", kMapFieldEntryFields);

constexpr FieldSchema kBlobProtoFields[] = {
    {1, "name", K::kString},
    {2, "type", K::kString},
    {3, "tensor", K::kMessage, false, &kTensorProto},
    {4, "content", K::kBytes},
    {5, "qtensor", K::kMessage, false, &kQTensorProto},
    {6, "content_num_chunks", K::kInt32},
    {7, "content_chunk_id", K::kInt32},
};
const MessageSchema kBlobProto = Make("BlobProto", kBlobProtoFields);

constexpr FieldSchema kTensorProtosFields[] = {
    {1, "protos", K::kMessage, true, &kTensorProto},
};
const MessageSchema kTensorProtos = Make("TensorProtos", kTensorProtosFields);

constexpr FieldSchema kMetaNetDefFields[] = {
    {1, "blobs", K::kMessage, true, &kBlobsMap},
    {2, "nets", K::kMessage, true, &kNetsMap},
    {3, "modelInfo", K::kMessage, false, &kModelInfo},
    {4, "plans", K::kMessage, true, &kPlansMap},
    {5, "applicationSpecificInfo", K::kMessage, true, &kStringMap},
    {6, "blobsOrder", K::kString, true},
    {7, "preLoadBlobs", K::kString, true},
    {8, "tensorBoundShapes", K::kMessage, false, &kTensorBoundShapes},
    {9, "requestOnlyEmbeddings", K::kString, true},
    {10, "aotConfig", K::kMessage, false, &kAOTConfig},
};
const MessageSchema kMetaNetDef = Make("MetaNetDef", kMetaNetDefFields);

constexpr FieldSchema kBlobsMapFields[] = {
    {1, "key", K::kString},
    {2, "value", K::kString, true},
};
const MessageSchema kBlobsMap = Make("BlobsMap", kBlobsMapFields);

constexpr FieldSchema kNetsMapFields[] = {
    {1, "key", K::kString},
    {2, "value", K::kMessage, false, &kNetDef},
};
const MessageSchema kNetsMap = Make("NetsMap", kNetsMapFields);

constexpr FieldSchema kModelInfoFields[] = {
    {1, "project", K::kString}, {2, "modelClass", K::kString},
    {3, "version", K::kString}, {4, "predictorType", K::kString},
    {5, "modelId", K::kString},
};
const MessageSchema kModelInfo = Make("ModelInfo", kModelInfoFields);

constexpr FieldSchema kPlansMapFields[] = {
    {1, "key", K::kString},
    {2, "value", K::kMessage, false, &kPlanDef},
};
const MessageSchema kPlansMap = Make("PlansMap", kPlansMapFields);

constexpr FieldSchema kPlanDefFields[] = {
    {1, "name", K::kString},
    {2, "network", K::kMessage, true, &kNetDef},
    {3, "execution_step", K::kMessage, true, &kExecutionStep},
};
const MessageSchema kPlanDef = Make("PlanDef", kPlanDefFields);

constexpr FieldSchema kExecutionStepFields[] = {
    {1, "name", K::kString},
    {2, "substep", K::kMessage, true, &kExecutionStep},
    {3, "network", K::kString, true},
    {4, "num_iter", K::kInt64},
    {5, "criteria_network", K::kString},
    {6, "concurrent_substeps", K::kBool},
    {7, "report_net", K::kString},
    {8, "report_interval", K::kInt32},
    {9, "should_stop_blob", K::kString},
    {10, "only_once", K::kBool},
    {11, "run_every_ms", K::kInt64},
    {12, "create_workspace", K::kBool},
    {13, "num_concurrent_instances", K::kInt32},
};
const MessageSchema kExecutionStep =
    Make("ExecutionStep", kExecutionStepFields);

constexpr FieldSchema kStringMapFields[] = {
    {1, "key", K::kString},
    {2, "value", K::kString},
};
const MessageSchema kStringMap = Make("StringMap", kStringMapFields);

constexpr FieldSchema kTensorBoundShapesFields[] = {
    {1, "shapes", K::kMessage, true, &kTensorBoundShape},
    {2, "max_batch_size", K::kInt64},
    {3, "max_feature_len", K::kInt64},
};
const MessageSchema kTensorBoundShapes =
    Make("TensorBoundShapes", kTensorBoundShapesFields);

constexpr FieldSchema kTensorBoundShapeFields[] = {
    {1, "shape", K::kMessage, false, &kTensorShape},
    {2, "dim_type", K::kEnum, true, nullptr, &kDimType},
    {3, "name", K::kString},
    {4, "shape_is_final", K::kBool},
};
const MessageSchema kTensorBoundShape =
    Make("TensorBoundShape", kTensorBoundShapeFields);

constexpr FieldSchema kTensorShapeFields[] = {
    {1, "dims", K::kInt64, true},
    {2, "data_type", K::kEnum, false, nullptr, &kDataType},
    {3, "unknown_dims", K::kInt32, true},
    {4, "unknown_shape", K::kBool},
    {5, "name", K::kString},
};
const MessageSchema kTensorShape = Make("TensorShape", kTensorShapeFields);

constexpr FieldSchema kAOTConfigFields[] = {
    {1, "max_batch_size", K::kInt64},
    {2, "max_seq_size", K::kInt64},
    {3, "in_batch_broadcast", K::kBool},
    {4, "onnxifi_blacklist_ops", K::kString},
    {5, "onnxifi_min_ops", K::kInt32},
};
const MessageSchema kAOTConfig = Make("AOTConfig", kAOTConfigFields);

}  // namespace schema
}  // namespace caffe2_quantization
