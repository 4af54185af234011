#include "inspect/inspect_tensor.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {
namespace {

enum TensorField : uint32_t {
  kDims = caffe2::TensorProto::kDimsFieldNumber,
  kDataType = caffe2::TensorProto::kDataTypeFieldNumber,
  kFloatData = caffe2::TensorProto::kFloatDataFieldNumber,
  kInt32Data = caffe2::TensorProto::kInt32DataFieldNumber,
  kByteData = caffe2::TensorProto::kByteDataFieldNumber,
  kStringData = caffe2::TensorProto::kStringDataFieldNumber,
  kTensorName = caffe2::TensorProto::kNameFieldNumber,
  kDoubleData = caffe2::TensorProto::kDoubleDataFieldNumber,
  kInt64Data = caffe2::TensorProto::kInt64DataFieldNumber,
  kSegment = caffe2::TensorProto::kSegmentFieldNumber,
  kRawData = caffe2::TensorProto::kRawDataFieldNumber,
  kDataFormat = caffe2::TensorProto::kDataFormatFieldNumber,
};
enum SegmentField : uint32_t {
  kSegmentBegin = caffe2::TensorProto_Segment::kBeginFieldNumber,
  kSegmentEnd = caffe2::TensorProto_Segment::kEndFieldNumber
};
constexpr int64_t kFormatBfloat16 =
    caffe2::TensorProto_SerializationFormat_FMT_BFLOAT16;

enum DataType : int64_t {
  kFloat = caffe2::TensorProto_DataType_FLOAT,
  kInt32 = caffe2::TensorProto_DataType_INT32,
  kByte = caffe2::TensorProto_DataType_BYTE,
  kString = caffe2::TensorProto_DataType_STRING,
  kBool = caffe2::TensorProto_DataType_BOOL,
  kUint8 = caffe2::TensorProto_DataType_UINT8,
  kInt8 = caffe2::TensorProto_DataType_INT8,
  kUint16 = caffe2::TensorProto_DataType_UINT16,
  kInt16 = caffe2::TensorProto_DataType_INT16,
  kInt64 = caffe2::TensorProto_DataType_INT64,
  kFloat16 = caffe2::TensorProto_DataType_FLOAT16,
  kDouble = caffe2::TensorProto_DataType_DOUBLE,
};

struct TypeInfo {
  int64_t number;
  const char* name;
  std::size_t bytes;
  uint32_t field;  // of TensorProto, that holds values of this type
};

constexpr TypeInfo kTypes[] = {
    {kFloat, "float", 4, kFloatData},     {kInt32, "int32", 4, kInt32Data},
    {kByte, "byte", 1, kByteData},        {kString, "string", 0, kStringData},
    {kBool, "bool", 1, kInt32Data},       {kUint8, "uint8", 1, kInt32Data},
    {kInt8, "int8", 1, kInt32Data},       {kUint16, "uint16", 2, kInt32Data},
    {kInt16, "int16", 2, kInt32Data},     {kInt64, "int64", 8, kInt64Data},
    {kFloat16, "float16", 2, kInt32Data}, {kDouble, "double", 8, kDoubleData},
};

const TypeInfo* FindType(int64_t data_type) {
  for (const TypeInfo& type : kTypes) {
    if (type.number == data_type) return &type;
  }
  return nullptr;
}

double HalfToDouble(uint16_t bits) {
  const int exponent = bits >> 10 & 0x1F;
  const int mantissa = bits & 0x3FF;
  double value = 0;
  if (exponent == 0x1F) {
    value = mantissa == 0 ? std::numeric_limits<double>::infinity()
                          : std::numeric_limits<double>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(mantissa, -24);
  } else {
    value = std::ldexp(mantissa + 0x400, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

double Bfloat16ToDouble(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof(value));
  return value;
}

// Values of `type` that stand as they do in memory.
void AddRawValues(int64_t type, const uint8_t* at, std::size_t bytes,
                  InspectedRange* range) {
  const std::size_t width = DataTypeBytes(type);
  if (width == 0) return;
  for (std::size_t i = 0; i + width <= bytes; i += width) {
    const uint8_t* const from = at + i;
    switch (type) {
      case kFloat:
        range->Add(static_cast<double>(Load<float>(from)));
        break;
      case kDouble:
        range->Add(Load<double>(from));
        break;
      case kInt32:
        range->Add(Load<int32_t>(from));
        break;
      case kInt64:
        range->Add(static_cast<double>(Load<int64_t>(from)));
        break;
      case kInt8:
        range->Add(Load<int8_t>(from));
        break;
      case kUint16:
        range->Add(Load<uint16_t>(from));
        break;
      case kInt16:
        range->Add(Load<int16_t>(from));
        break;
      case kFloat16:
        range->Add(HalfToDouble(Load<uint16_t>(from)));
        break;
      default:
        range->Add(*from);
        break;
    }
  }
}

FieldKind KindOf(uint32_t tensor_field) {
  switch (tensor_field) {
    case kFloatData:
      return FieldKind::kFloat;
    case kDoubleData:
      return FieldKind::kDouble;
    default:
      return FieldKind::kInt64;
  }
}

// What a TensorProto says beside its values.
struct TensorHeader {
  std::string problem;
  int64_t data_type = kFloat;  // as protobuf's default
  int64_t data_format = 0;
  bool has_segment = false;
  int64_t segment_begin = 0;
  int64_t segment_end = 0;
};

TensorHeader ReadTensorHeader(const MessageParts& parts, std::string* name,
                              std::vector<int64_t>* dims) {
  TensorHeader header;
  const auto segment = [&](const WireReader&, const WireField& field) {
    if (!IsVarint(field)) return;
    if (field.number == kSegmentBegin) header.segment_begin = IntegerOf(field);
    if (field.number == kSegmentEnd) header.segment_end = IntegerOf(field);
  };
  ForEachField(parts, [&](const WireReader& reader, const WireField& field) {
    if (field.number == kDims) {
      if (!AddDims(field, dims)) header.problem = TooManyDims();
    } else if (field.number == kDataType && IsVarint(field)) {
      // An enum of another value stays what it was.
      const int64_t type = static_cast<int32_t>(IntegerOf(field));
      if (schema::kDataType.Find(type) != nullptr) header.data_type = type;
    } else if (field.number == kTensorName && IsBytes(field)) {
      *name = TextOf(field);
    } else if (field.number == kDataFormat && IsVarint(field)) {
      header.data_format = static_cast<uint32_t>(IntegerOf(field));
    } else if (field.number == kSegment && IsBytes(field)) {
      header.has_segment = true;
      ForEachField(BytesOf(reader, field), segment);
    }
  });
  return header;
}

// Values and their bytes, from whichever field has them.
void ReadTensorValues(const MessageParts& parts, const TensorHeader& header,
                      InspectedTensor* tensor) {
  const TypeInfo* type = FindType(header.data_type);
  uint64_t string_bytes = 0;
  WireField bytes;  // of byte_data and raw_data the last one holds
  bool is_raw = false;
  ForEachField(parts, [&](const WireReader&, const WireField& field) {
    if (field.number == kStringData && IsBytes(field)) {
      if (header.data_type != kString) return;
      ++tensor->values;
      string_bytes += field.size();
    } else if ((field.number == kByteData || field.number == kRawData) &&
               IsBytes(field)) {
      if (field.size() == 0) return;
      bytes = field;
      is_raw = field.number == kRawData;
    } else if (type != nullptr && field.number == type->field) {
      if (header.data_type == kFloat16) {
        ForEachInteger(field, [tensor](int64_t value) {
          tensor->range.Add(HalfToDouble(static_cast<uint16_t>(value)));
        });
      } else {
        AddNumbers(field, KindOf(field.number), &tensor->range);
      }
    }
  });
  if (header.data_type == kString) {
    tensor->bytes = string_bytes;
    return;
  }
  const bool has_own = tensor->range.count + tensor->range.nan_count > 0;
  if (!has_own && bytes.begin != nullptr && type != nullptr) {
    if (is_raw && header.data_format == kFormatBfloat16) {
      for (std::size_t i = 0; i + 2 <= bytes.size(); i += 2) {
        tensor->range.Add(Bfloat16ToDouble(Load<uint16_t>(bytes.begin + i)));
      }
    } else {
      AddRawValues(header.data_type, bytes.begin, bytes.size(), &tensor->range);
    }
  }
  tensor->values = tensor->range.count + tensor->range.nan_count;
  tensor->bytes = tensor->values * (type == nullptr ? 0 : type->bytes);
}

}  // namespace

std::string DataTypeName(int64_t data_type) {
  if (const TypeInfo* type = FindType(data_type)) return type->name;
  const EnumSchema::Value* value = schema::kDataType.Find(data_type);
  return value == nullptr ? "type " + std::to_string(data_type) : value->name;
}

std::size_t DataTypeBytes(int64_t data_type) {
  const TypeInfo* type = FindType(data_type);
  return type == nullptr ? 0 : type->bytes;
}

std::string InspectTensorProto(const MessageParts& parts, std::string* name,
                               InspectedTensor* tensor) {
  const TensorHeader header = ReadTensorHeader(parts, name, &tensor->dims);
  tensor->type = DataTypeName(header.data_type);
  const bool good_dims = CountElements(tensor->dims, &tensor->elements);
  ReadTensorValues(parts, header, tensor);
  if (!header.problem.empty()) return header.problem;
  if (!good_dims) return "dims have one below 0";
  uint64_t expected = tensor->elements;
  if (header.has_segment) {
    int64_t length = 0;
    if (header.segment_begin < 0 ||
        __builtin_sub_overflow(header.segment_end, header.segment_begin,
                               &length) ||
        length < 0 ||
        static_cast<uint64_t>(header.segment_end) > tensor->elements) {
      return "segment is from " + std::to_string(header.segment_begin) +
             " to " + std::to_string(header.segment_end) +
             ", expected within 0 and " + std::to_string(tensor->elements) +
             ", the number of elements";
    }
    expected = static_cast<uint64_t>(length);
  }
  if (tensor->values != 0 && tensor->values != expected) {
    return "has data of " + std::to_string(tensor->values) +
           " values, expected " + std::to_string(expected) + " by its " +
           (header.has_segment ? "segment" : "dims");
  }
  return "";
}

}  // namespace caffe2_quantization
