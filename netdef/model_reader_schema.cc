#include "netdef/model_reader_schema.h"

#include <iterator>

#include "caffe2/proto/caffe2_pb.h"
#include "caffe2/proto/metanet.pb.h"

namespace caffe2_quantization {
namespace {

using K = FieldKind;

// Numbers are the host's: constants of its generated headers.
using caffe2::AOTConfig;
using caffe2::Argument;
using caffe2::BackendOptions;
using caffe2::BlobProto;
using caffe2::BlobsMap;
using caffe2::DeviceOption;
using caffe2::ExecutionStep;
using caffe2::MapFieldEntry;
using caffe2::MetaNetDef;
using caffe2::ModelInfo;
using caffe2::NetDef;
using caffe2::NetsMap;
using caffe2::OperatorDef;
using caffe2::PartitionInfo;
using caffe2::PlanDef;
using caffe2::PlansMap;
using caffe2::QTensorProto;
using caffe2::StringMap;
using caffe2::TensorBoundShape;
using caffe2::TensorBoundShapes;
using caffe2::TensorProto;
using caffe2::TensorProtos;
using caffe2::TensorShape;
using Segment = caffe2::TensorProto_Segment;

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
    {"UNDEFINED", caffe2::TensorProto_DataType_UNDEFINED},
    {"FLOAT", caffe2::TensorProto_DataType_FLOAT},
    {"INT32", caffe2::TensorProto_DataType_INT32},
    {"BYTE", caffe2::TensorProto_DataType_BYTE},
    {"STRING", caffe2::TensorProto_DataType_STRING},
    {"BOOL", caffe2::TensorProto_DataType_BOOL},
    {"UINT8", caffe2::TensorProto_DataType_UINT8},
    {"INT8", caffe2::TensorProto_DataType_INT8},
    {"UINT16", caffe2::TensorProto_DataType_UINT16},
    {"INT16", caffe2::TensorProto_DataType_INT16},
    {"INT64", caffe2::TensorProto_DataType_INT64},
    {"FLOAT16", caffe2::TensorProto_DataType_FLOAT16},
    {"DOUBLE", caffe2::TensorProto_DataType_DOUBLE},
    {"ZERO_COLLISION_HASH", caffe2::TensorProto_DataType_ZERO_COLLISION_HASH},
    {"REBATCHING_BUFFER", caffe2::TensorProto_DataType_REBATCHING_BUFFER},
};
const EnumSchema kDataType = {kDataTypeValues, std::size(kDataTypeValues)};

constexpr EnumSchema::Value kDimTypeValues[] = {
    {"UNKNOWN", caffe2::TensorBoundShape_DimType_UNKNOWN},
    {"CONSTANT", caffe2::TensorBoundShape_DimType_CONSTANT},
    {"BATCH", caffe2::TensorBoundShape_DimType_BATCH},
    {"BATCH_OF_FEATURE_MAX",
     caffe2::TensorBoundShape_DimType_BATCH_OF_FEATURE_MAX},
    {"BATCH_OF_FEATURE_MAX_DEFAULT",
     caffe2::TensorBoundShape_DimType_BATCH_OF_FEATURE_MAX_DEFAULT},
    {"FEATURE_MAX", caffe2::TensorBoundShape_DimType_FEATURE_MAX},
    {"FEATURE_MAX_DEFAULT",
     caffe2::TensorBoundShape_DimType_FEATURE_MAX_DEFAULT},
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
    {NetDef::kNameFieldNumber, "name", K::kString},
    {NetDef::kOpFieldNumber, "op", K::kMessage, true, &kOperatorDef},
    {NetDef::kTypeFieldNumber, "type", K::kString},
    {NetDef::kNumWorkersFieldNumber, "num_workers", K::kInt32},
    {NetDef::kDeviceOptionFieldNumber, "device_option", K::kMessage, false,
     &kDeviceOption},
    {NetDef::kArgFieldNumber, "arg", K::kMessage, true, &kArgument},
    {NetDef::kExternalInputFieldNumber, "external_input", K::kString, true},
    {NetDef::kExternalOutputFieldNumber, "external_output", K::kString, true},
    {NetDef::kPartitionInfoFieldNumber, "partition_info", K::kMessage, true,
     &kPartitionInfo},
};
const MessageSchema kNetDef = Make("NetDef", kNetDefFields);

constexpr FieldSchema kOperatorDefFields[] = {
    {OperatorDef::kInputFieldNumber, "input", K::kString, true},
    {OperatorDef::kOutputFieldNumber, "output", K::kString, true},
    {OperatorDef::kNameFieldNumber, "name", K::kString},
    {OperatorDef::kTypeFieldNumber, "type", K::kString},
    {OperatorDef::kArgFieldNumber, "arg", K::kMessage, true, &kArgument},
    {OperatorDef::kDeviceOptionFieldNumber, "device_option", K::kMessage, false,
     &kDeviceOption},
    {OperatorDef::kEngineFieldNumber, "engine", K::kString},
    {OperatorDef::kControlInputFieldNumber, "control_input", K::kString, true},
    {OperatorDef::kIsGradientOpFieldNumber, "is_gradient_op", K::kBool},
    {OperatorDef::kDebugInfoFieldNumber, "debug_info", K::kString},
    {OperatorDef::kDomainFieldNumber, "domain", K::kString},
    {OperatorDef::kOpVersionFieldNumber, "op_version", K::kInt64},
};
const MessageSchema kOperatorDef = Make("OperatorDef", kOperatorDefFields);

constexpr FieldSchema kArgumentFields[] = {
    {Argument::kNameFieldNumber, "name", K::kString},
    {Argument::kFFieldNumber, "f", K::kFloat},
    {Argument::kIFieldNumber, "i", K::kInt64},
    {Argument::kSFieldNumber, "s", K::kBytes},
    {Argument::kFloatsFieldNumber, "floats", K::kFloat, true},
    {Argument::kIntsFieldNumber, "ints", K::kInt64, true},
    {Argument::kStringsFieldNumber, "strings", K::kBytes, true},
    {Argument::kNFieldNumber, "n", K::kMessage, false, &kNetDef},
    {Argument::kNetsFieldNumber, "nets", K::kMessage, true, &kNetDef},
    {Argument::kTFieldNumber, "t", K::kMessage, false, &kTensorProto},
    {Argument::kTensorsFieldNumber, "tensors", K::kMessage, true,
     &kTensorProto},
    {Argument::kQtensorsFieldNumber, "qtensors", K::kMessage, true,
     &kQTensorProto},
};
const MessageSchema kArgument = Make("Argument", kArgumentFields);

constexpr FieldSchema kTensorProtoFields[] = {
    {TensorProto::kDimsFieldNumber, "dims", K::kInt64, true},
    {TensorProto::kDataTypeFieldNumber, "data_type", K::kEnum, false, nullptr,
     &kDataType},
    {TensorProto::kFloatDataFieldNumber, "float_data", K::kFloat, true},
    {TensorProto::kInt32DataFieldNumber, "int32_data", K::kInt32, true},
    {TensorProto::kByteDataFieldNumber, "byte_data", K::kBytes},
    {TensorProto::kStringDataFieldNumber, "string_data", K::kBytes, true},
    {TensorProto::kNameFieldNumber, "name", K::kString},
    {TensorProto::kDeviceDetailFieldNumber, "device_detail", K::kMessage, false,
     &kDeviceOption},
    {TensorProto::kDoubleDataFieldNumber, "double_data", K::kDouble, true},
    {TensorProto::kInt64DataFieldNumber, "int64_data", K::kInt64, true},
    {TensorProto::kSegmentFieldNumber, "segment", K::kMessage, false,
     &kSegment},
    {TensorProto::kRawDataFieldNumber, "raw_data", K::kBytes},
    {TensorProto::kDataFormatFieldNumber, "data_format", K::kUint32},
};
const MessageSchema kTensorProto = Make("TensorProto", kTensorProtoFields);

constexpr FieldSchema kDeviceOptionFields[] = {
    {DeviceOption::kDeviceTypeFieldNumber, "device_type", K::kInt32},
    {DeviceOption::kDeviceIdFieldNumber, "device_id", K::kInt32},
    {DeviceOption::kRandomSeedFieldNumber, "random_seed", K::kUint32},
    {DeviceOption::kNodeNameFieldNumber, "node_name", K::kString},
    {DeviceOption::kNumaNodeIdFieldNumber, "numa_node_id", K::kInt32},
    {DeviceOption::kExtraInfoFieldNumber, "extra_info", K::kString, true},
};
const MessageSchema kDeviceOption = Make("DeviceOption", kDeviceOptionFields);

constexpr FieldSchema kSegmentFields[] = {
    {Segment::kBeginFieldNumber, "begin", K::kInt64},
    {Segment::kEndFieldNumber, "end", K::kInt64},
};
const MessageSchema kSegment = Make("Segment", kSegmentFields);

constexpr FieldSchema kQTensorProtoFields[] = {
    {QTensorProto::kDimsFieldNumber, "dims", K::kInt64, true},
    {QTensorProto::kPrecisionFieldNumber, "precision", K::kInt32},
    {QTensorProto::kScaleFieldNumber, "scale", K::kDouble},
    {QTensorProto::kBiasFieldNumber, "bias", K::kDouble},
    {QTensorProto::kIsSignedFieldNumber, "is_signed", K::kBool},
    {QTensorProto::kDataFieldNumber, "data", K::kInt32, true},
    {QTensorProto::kNameFieldNumber, "name", K::kString},
    {QTensorProto::kDataTypeFieldNumber, "data_type", K::kEnum, false, nullptr,
     &kDataType},
    {QTensorProto::kScalesFieldNumber, "scales", K::kDouble, true},
    {QTensorProto::kBiasesFieldNumber, "biases", K::kDouble, true},
    {QTensorProto::kAxisFieldNumber, "axis", K::kInt32},
    {QTensorProto::kIsMultiparamFieldNumber, "is_multiparam", K::kBool},
};
const MessageSchema kQTensorProto = Make("QTensorProto", kQTensorProtoFields);

constexpr FieldSchema kPartitionInfoFields[] = {
    {PartitionInfo::kNameFieldNumber, "name", K::kString},
    {PartitionInfo::kDeviceIdFieldNumber, "device_id", K::kInt32, true},
    {PartitionInfo::kExtraInfoFieldNumber, "extra_info", K::kString},
    {PartitionInfo::kBackendOptionsFieldNumber, "backend_options", K::kMessage,
     true, &kBackendOptions},
};
const MessageSchema kPartitionInfo =
    Make("PartitionInfo", kPartitionInfoFields);

constexpr FieldSchema kBackendOptionsFields[] = {
    {BackendOptions::kBackendNameFieldNumber, "backend_name", K::kString},
    {BackendOptions::kOptionFieldNumber, "option", K::kMessage, true,
     &kMapFieldEntry},
};
const MessageSchema kBackendOptions =
    Make("BackendOptions", kBackendOptionsFields);

constexpr FieldSchema kMapFieldEntryFields[] = {
    {MapFieldEntry::kKeyFieldNumber, "key", K::kString},
    {MapFieldEntry::kValFieldNumber, "val", K::kString},
};
const MessageSchema kMapFieldEntry =
    Make("MapFieldEntry", kMapFieldEntryFields);

constexpr FieldSchema kBlobProtoFields[] = {
    {BlobProto::kNameFieldNumber, "name", K::kString},
    {BlobProto::kTypeFieldNumber, "type", K::kString},
    {BlobProto::kTensorFieldNumber, "tensor", K::kMessage, false,
     &kTensorProto},
    {BlobProto::kContentFieldNumber, "content", K::kBytes},
    {BlobProto::kQtensorFieldNumber, "qtensor", K::kMessage, false,
     &kQTensorProto},
    {BlobProto::kContentNumChunksFieldNumber, "content_num_chunks", K::kInt32},
    {BlobProto::kContentChunkIdFieldNumber, "content_chunk_id", K::kInt32},
};
const MessageSchema kBlobProto = Make("BlobProto", kBlobProtoFields);

constexpr FieldSchema kTensorProtosFields[] = {
    {TensorProtos::kProtosFieldNumber, "protos", K::kMessage, true,
     &kTensorProto},
};
const MessageSchema kTensorProtos = Make("TensorProtos", kTensorProtosFields);

constexpr FieldSchema kMetaNetDefFields[] = {
    {MetaNetDef::kBlobsFieldNumber, "blobs", K::kMessage, true, &kBlobsMap},
    {MetaNetDef::kNetsFieldNumber, "nets", K::kMessage, true, &kNetsMap},
    {MetaNetDef::kModelInfoFieldNumber, "modelInfo", K::kMessage, false,
     &kModelInfo},
    {MetaNetDef::kPlansFieldNumber, "plans", K::kMessage, true, &kPlansMap},
    {MetaNetDef::kApplicationSpecificInfoFieldNumber, "applicationSpecificInfo",
     K::kMessage, true, &kStringMap},
    {MetaNetDef::kBlobsOrderFieldNumber, "blobsOrder", K::kString, true},
    {MetaNetDef::kPreLoadBlobsFieldNumber, "preLoadBlobs", K::kString, true},
    {MetaNetDef::kTensorBoundShapesFieldNumber, "tensorBoundShapes",
     K::kMessage, false, &kTensorBoundShapes},
    {MetaNetDef::kRequestOnlyEmbeddingsFieldNumber, "requestOnlyEmbeddings",
     K::kString, true},
    {MetaNetDef::kAotConfigFieldNumber, "aotConfig", K::kMessage, false,
     &kAOTConfig},
};
const MessageSchema kMetaNetDef = Make("MetaNetDef", kMetaNetDefFields);

constexpr FieldSchema kBlobsMapFields[] = {
    {BlobsMap::kKeyFieldNumber, "key", K::kString},
    {BlobsMap::kValueFieldNumber, "value", K::kString, true},
};
const MessageSchema kBlobsMap = Make("BlobsMap", kBlobsMapFields);

constexpr FieldSchema kNetsMapFields[] = {
    {NetsMap::kKeyFieldNumber, "key", K::kString},
    {NetsMap::kValueFieldNumber, "value", K::kMessage, false, &kNetDef},
};
const MessageSchema kNetsMap = Make("NetsMap", kNetsMapFields);

constexpr FieldSchema kModelInfoFields[] = {
    {ModelInfo::kProjectFieldNumber, "project", K::kString},
    {ModelInfo::kModelClassFieldNumber, "modelClass", K::kString},
    {ModelInfo::kVersionFieldNumber, "version", K::kString},
    {ModelInfo::kPredictorTypeFieldNumber, "predictorType", K::kString},
    {ModelInfo::kModelIdFieldNumber, "modelId", K::kString},
};
const MessageSchema kModelInfo = Make("ModelInfo", kModelInfoFields);

constexpr FieldSchema kPlansMapFields[] = {
    {PlansMap::kKeyFieldNumber, "key", K::kString},
    {PlansMap::kValueFieldNumber, "value", K::kMessage, false, &kPlanDef},
};
const MessageSchema kPlansMap = Make("PlansMap", kPlansMapFields);

constexpr FieldSchema kPlanDefFields[] = {
    {PlanDef::kNameFieldNumber, "name", K::kString},
    {PlanDef::kNetworkFieldNumber, "network", K::kMessage, true, &kNetDef},
    {PlanDef::kExecutionStepFieldNumber, "execution_step", K::kMessage, true,
     &kExecutionStep},
};
const MessageSchema kPlanDef = Make("PlanDef", kPlanDefFields);

constexpr FieldSchema kExecutionStepFields[] = {
    {ExecutionStep::kNameFieldNumber, "name", K::kString},
    {ExecutionStep::kSubstepFieldNumber, "substep", K::kMessage, true,
     &kExecutionStep},
    {ExecutionStep::kNetworkFieldNumber, "network", K::kString, true},
    {ExecutionStep::kNumIterFieldNumber, "num_iter", K::kInt64},
    {ExecutionStep::kCriteriaNetworkFieldNumber, "criteria_network",
     K::kString},
    {ExecutionStep::kConcurrentSubstepsFieldNumber, "concurrent_substeps",
     K::kBool},
    {ExecutionStep::kReportNetFieldNumber, "report_net", K::kString},
    {ExecutionStep::kReportIntervalFieldNumber, "report_interval", K::kInt32},
    {ExecutionStep::kShouldStopBlobFieldNumber, "should_stop_blob", K::kString},
    {ExecutionStep::kOnlyOnceFieldNumber, "only_once", K::kBool},
    {ExecutionStep::kRunEveryMsFieldNumber, "run_every_ms", K::kInt64},
    {ExecutionStep::kCreateWorkspaceFieldNumber, "create_workspace", K::kBool},
    {ExecutionStep::kNumConcurrentInstancesFieldNumber,
     "num_concurrent_instances", K::kInt32},
};
const MessageSchema kExecutionStep =
    Make("ExecutionStep", kExecutionStepFields);

constexpr FieldSchema kStringMapFields[] = {
    {StringMap::kKeyFieldNumber, "key", K::kString},
    {StringMap::kValueFieldNumber, "value", K::kString},
};
const MessageSchema kStringMap = Make("StringMap", kStringMapFields);

constexpr FieldSchema kTensorBoundShapesFields[] = {
    {TensorBoundShapes::kShapesFieldNumber, "shapes", K::kMessage, true,
     &kTensorBoundShape},
    {TensorBoundShapes::kMaxBatchSizeFieldNumber, "max_batch_size", K::kInt64},
    {TensorBoundShapes::kMaxFeatureLenFieldNumber, "max_feature_len",
     K::kInt64},
};
const MessageSchema kTensorBoundShapes =
    Make("TensorBoundShapes", kTensorBoundShapesFields);

constexpr FieldSchema kTensorBoundShapeFields[] = {
    {TensorBoundShape::kShapeFieldNumber, "shape", K::kMessage, false,
     &kTensorShape},
    {TensorBoundShape::kDimTypeFieldNumber, "dim_type", K::kEnum, true, nullptr,
     &kDimType},
    {TensorBoundShape::kNameFieldNumber, "name", K::kString},
    {TensorBoundShape::kShapeIsFinalFieldNumber, "shape_is_final", K::kBool},
};
const MessageSchema kTensorBoundShape =
    Make("TensorBoundShape", kTensorBoundShapeFields);

constexpr FieldSchema kTensorShapeFields[] = {
    {TensorShape::kDimsFieldNumber, "dims", K::kInt64, true},
    {TensorShape::kDataTypeFieldNumber, "data_type", K::kEnum, false, nullptr,
     &kDataType},
    {TensorShape::kUnknownDimsFieldNumber, "unknown_dims", K::kInt32, true},
    {TensorShape::kUnknownShapeFieldNumber, "unknown_shape", K::kBool},
    {TensorShape::kNameFieldNumber, "name", K::kString},
};
const MessageSchema kTensorShape = Make("TensorShape", kTensorShapeFields);

constexpr FieldSchema kAOTConfigFields[] = {
    {AOTConfig::kMaxBatchSizeFieldNumber, "max_batch_size", K::kInt64},
    {AOTConfig::kMaxSeqSizeFieldNumber, "max_seq_size", K::kInt64},
    {AOTConfig::kInBatchBroadcastFieldNumber, "in_batch_broadcast", K::kBool},
    {AOTConfig::kOnnxifiBlacklistOpsFieldNumber, "onnxifi_blacklist_ops",
     K::kString},
    {AOTConfig::kOnnxifiMinOpsFieldNumber, "onnxifi_min_ops", K::kInt32},
};
const MessageSchema kAOTConfig = Make("AOTConfig", kAOTConfigFields);

}  // namespace schema
}  // namespace caffe2_quantization
