#include "workflow/inspect_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "quantization/kernels/bit_planes.h"
#include "serialization/per_channel_qtensor.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kMaxDims = 64;
// A QTensor of more bytes of planes is not unpacked for its range.
constexpr uint64_t kMaxUnpackedBytes = uint64_t{512} << 20;

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

enum QTensorField : uint32_t {
  kQDims = caffe2::QTensorProto::kDimsFieldNumber,
  kQPrecision = caffe2::QTensorProto::kPrecisionFieldNumber,
  kQScale = caffe2::QTensorProto::kScaleFieldNumber,
  kQBias = caffe2::QTensorProto::kBiasFieldNumber,
  kQIsSigned = caffe2::QTensorProto::kIsSignedFieldNumber,
  kQData = caffe2::QTensorProto::kDataFieldNumber,
  kQName = caffe2::QTensorProto::kNameFieldNumber,
  kQDataType = caffe2::QTensorProto::kDataTypeFieldNumber,
  kQScales = caffe2::QTensorProto::kScalesFieldNumber,
  kQBiases = caffe2::QTensorProto::kBiasesFieldNumber,
  kQAxis = caffe2::QTensorProto::kAxisFieldNumber,
  kQIsMultiparam = caffe2::QTensorProto::kIsMultiparamFieldNumber,
};

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

template <typename T>
T Load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// A varint that is known to be whole; moves past it.
uint64_t TakeVarint(const uint8_t** at, const uint8_t* end) {
  uint64_t value = 0;
  for (int shift = 0; *at < end; shift += 7) {
    const uint8_t byte = *(*at)++;
    if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) break;
  }
  return value;
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

bool IsVarint(const WireField& field) {
  return field.type == WireType::kVarint;
}
bool IsBytes(const WireField& field) { return field.type == WireType::kBytes; }

std::string TooManyDims() {
  return "has more than " + std::to_string(kMaxDims) + " dims";
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

// The fields of a QTensorProto besides data.
struct QTensorHeader {
  std::string problem;
  std::string name;
  std::vector<int64_t> dims;
  int64_t precision = 0;
  double scale = 0;
  double bias = 0;
  bool is_signed = false;
  int64_t data_type = 0;
  InspectedRange scales;
  InspectedRange biases;
  int64_t axis = 0;
  bool is_multiparam = false;
  InspectedRange data;
};

QTensorHeader ReadQTensorHeader(const MessageParts& parts, bool with_data) {
  QTensorHeader header;
  ForEachField(parts, [&](const WireReader&, const WireField& field) {
    const bool is_varint = IsVarint(field);
    const bool is_double = field.type == WireType::kFixed64;
    switch (field.number) {
      case kQDims:
        if (!AddDims(field, &header.dims)) header.problem = TooManyDims();
        break;
      case kQPrecision:
        if (is_varint) {
          header.precision = static_cast<int32_t>(IntegerOf(field));
        }
        break;
      case kQScale:
        if (is_double) header.scale = DoubleOf(field);
        break;
      case kQBias:
        if (is_double) header.bias = DoubleOf(field);
        break;
      case kQIsSigned:
        if (is_varint) header.is_signed = IntegerOf(field) != 0;
        break;
      case kQData:
        if (with_data) AddNumbers(field, FieldKind::kInt32, &header.data);
        break;
      case kQName:
        if (IsBytes(field)) header.name = TextOf(field);
        break;
      case kQDataType:
        if (is_varint) header.data_type = IntegerOf(field);
        break;
      case kQScales:
        AddNumbers(field, FieldKind::kDouble, &header.scales);
        break;
      case kQBiases:
        AddNumbers(field, FieldKind::kDouble, &header.biases);
        break;
      case kQAxis:
        if (is_varint) header.axis = static_cast<int32_t>(IntegerOf(field));
        break;
      case kQIsMultiparam:
        if (is_varint) header.is_multiparam = IntegerOf(field) != 0;
        break;
      default:
        break;
    }
  });
  return header;
}

// Bytes of all planes; 2^64 - 1 for more.
uint64_t PlaneBytes(uint64_t elements, int64_t precision, bool is_signed) {
  uint64_t bytes = 0;
  const auto planes = static_cast<uint64_t>(std::max<int64_t>(precision, 0)) +
                      (is_signed ? 1 : 0);
  if (__builtin_mul_overflow(kernels::BitPlaneBytes(elements), planes,
                             &bytes)) {
    return std::numeric_limits<uint64_t>::max();
  }
  return bytes;
}

// Elements in the order of a QTensor, with the index of their channel.
class ChannelWalk {
 public:
  explicit ChannelWalk(const QTensorCPU& tensor) {
    const PerChannelQTensor* per_channel = AsPerChannel(tensor);
    if (per_channel == nullptr || !per_channel->is_per_channel()) {
      scales_ = {tensor.scale()};
      biases_ = {tensor.bias()};
      return;
    }
    scales_ = per_channel->extras().scales;
    biases_ = per_channel->extras().biases;
    inner_ = 1;
    const auto dims = tensor.sizes();
    for (std::size_t i = static_cast<std::size_t>(per_channel->axis()) + 1;
         i < dims.size(); ++i) {
      inner_ *= static_cast<uint64_t>(dims[i]);
    }
  }

  std::size_t channel() const { return channel_; }

  // The value that the next element's integer stands for.
  double Next(double x) {
    const double value = scales_[channel_] * (x + biases_[channel_]);
    if (++within_ == inner_) {
      within_ = 0;
      if (++channel_ == scales_.size()) channel_ = 0;
    }
    return value;
  }

 private:
  std::vector<double> scales_;
  std::vector<double> biases_;
  uint64_t inner_ = std::numeric_limits<uint64_t>::max();
  uint64_t within_ = 0;
  std::size_t channel_ = 0;
};

// Element `i` of a block of planes that begin `plane_bytes` apart.
double IntegerAt(const uint8_t* planes, std::size_t plane_bytes,
                 kernels::BitPlaneFormat format, std::size_t i) {
  const auto bit = [&](int plane) {
    const uint8_t byte =
        planes[static_cast<std::size_t>(plane) * plane_bytes + i / 8];
    return static_cast<uint64_t>(byte >> (7 - i % 8) & 1);
  };
  uint64_t magnitude = 0;
  for (int plane = 0; plane < format.precision; ++plane) {
    magnitude |= bit(plane) << plane;
  }
  const double x = static_cast<double>(magnitude);
  return format.is_signed && bit(format.precision) != 0 ? -x : x;
}

}  // namespace

void InspectedRange::Add(double value) {
  if (std::isnan(value)) {
    ++nan_count;
    return;
  }
  min = count == 0 ? value : std::min(min, value);
  max = count == 0 ? value : std::max(max, value);
  ++count;
}

void InspectedRange::Add(const InspectedRange& other) {
  nan_count += other.nan_count;
  if (other.count == 0) return;
  min = count == 0 ? other.min : std::min(min, other.min);
  max = count == 0 ? other.max : std::max(max, other.max);
  count += other.count;
}

MessageBytes BytesOf(const WireReader& reader, const WireField& field) {
  return {field.begin, field.size(), reader.OffsetOf(field.begin)};
}

std::string TextOf(const WireField& field) {
  return std::string(reinterpret_cast<const char*>(field.begin), field.size());
}

int64_t IntegerOf(const WireField& field) {
  const uint8_t* at = field.begin;
  return static_cast<int64_t>(TakeVarint(&at, field.end));
}

double DoubleOf(const WireField& field) { return Load<double>(field.begin); }
double FloatOf(const WireField& field) {
  return static_cast<double>(Load<float>(field.begin));
}

void ForEachInteger(const WireField& field,
                    const std::function<void(int64_t)>& visit) {
  if (!IsVarint(field) && !IsBytes(field)) return;
  for (const uint8_t* at = field.begin; at < field.end;) {
    visit(static_cast<int64_t>(TakeVarint(&at, field.end)));
  }
}

void AddNumbers(const WireField& field, FieldKind kind, InspectedRange* range) {
  const bool packed = IsBytes(field);
  if (kind == FieldKind::kFloat || kind == FieldKind::kDouble) {
    const bool is_float = kind == FieldKind::kFloat;
    if (!packed &&
        field.type != (is_float ? WireType::kFixed32 : WireType::kFixed64)) {
      return;
    }
    AddRawValues(is_float ? kFloat : kDouble, field.begin, field.size(), range);
  } else {
    ForEachInteger(field, [kind, range](int64_t value) {
      range->Add(static_cast<double>(
          kind == FieldKind::kInt32 ? static_cast<int32_t>(value) : value));
    });
  }
}

bool AddDims(const WireField& field, std::vector<int64_t>* dims) {
  bool good = true;
  ForEachInteger(field, [dims, &good](int64_t dim) {
    good = good && dims->size() < kMaxDims;
    if (good) dims->push_back(dim);
  });
  return good;
}

bool CountElements(const std::vector<int64_t>& dims, uint64_t* elements) {
  int64_t product = 1;
  bool empty = false;
  bool overflow = false;
  for (const int64_t dim : dims) {
    if (dim < 0) {
      *elements = 0;
      return false;
    }
    empty |= dim == 0;
    overflow |= dim > 0 && __builtin_mul_overflow(product, dim, &product);
  }
  *elements = empty      ? 0
              : overflow ? std::numeric_limits<uint64_t>::max()
                         : static_cast<uint64_t>(product);
  return true;
}

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

std::string InspectQTensorProto(const MessageParts& parts,
                                const MessageBytes& blob, std::string* name,
                                InspectedQTensor* tensor) {
  const QTensorHeader header = ReadQTensorHeader(parts, false);
  *name = header.name;
  tensor->dims = header.dims;
  tensor->precision = header.precision;
  tensor->is_signed = header.is_signed;
  tensor->scale = header.scale;
  tensor->bias = header.bias;
  tensor->is_per_channel = header.is_multiparam;
  if (header.is_multiparam) {
    tensor->axis = header.axis;
    tensor->channels = header.scales.count + header.scales.nan_count;
    tensor->scales = header.scales;
    tensor->biases = header.biases;
  }
  if (!header.problem.empty()) return header.problem;
  CountElements(header.dims, &tensor->elements);
  if (header.dims.empty()) tensor->elements = 0;
  tensor->bytes =
      PlaneBytes(tensor->elements, header.precision, header.is_signed);
  if (tensor->bytes > kMaxUnpackedBytes) {
    // The codec refuses it when the data are not there; then this costs little.
    uint64_t wire_bytes = 0;
    for (const MessageBytes& part : parts) wire_bytes += part.size;
    if (wire_bytes >= tensor->bytes) {
      tensor->float_bytes = tensor->elements * sizeof(float);
      return "";
    }
  }
  std::unique_ptr<QTensorCPU> unpacked;
  const Status status =
      parts.size() == 1
          ? QTensorFromProtoBytes(parts[0].data, parts[0].size, parts[0].offset,
                                  &unpacked, nullptr)
          : QTensorFromBytes(blob.data, blob.size, &unpacked, nullptr);
  if (!status.ok()) {
    tensor->bytes = 0;
    return status.message();
  }
  tensor->elements = unpacked->size();
  tensor->bytes = unpacked->nbytes();
  tensor->float_bytes = tensor->elements * sizeof(float);
  AddQTensorValues(*unpacked, &tensor->integers, &tensor->range);
  return "";
}

std::string InspectInt8TensorProto(const MessageParts& parts, std::string* name,
                                   InspectedTensor* tensor) {
  const QTensorHeader header = ReadQTensorHeader(parts, true);
  *name = header.name;
  tensor->dims = header.dims;
  tensor->type = "int8 (" + DataTypeName(header.data_type) + ")";
  const bool good_dims = CountElements(header.dims, &tensor->elements);
  tensor->values = header.data.count;
  tensor->bytes = tensor->values * DataTypeBytes(header.data_type);
  if (header.data.count > 0) {
    tensor->range = header.data;
    const double ends[] = {header.scale * (header.data.min - header.bias),
                           header.scale * (header.data.max - header.bias)};
    tensor->range.min = std::min(ends[0], ends[1]);
    tensor->range.max = std::max(ends[0], ends[1]);
  }
  if (!header.problem.empty()) return header.problem;
  if (!good_dims) return "dims have one below 0";
  if (tensor->values != tensor->elements) {
    return "has data of " + std::to_string(tensor->values) +
           " values, expected " + std::to_string(tensor->elements) +
           " by its dims";
  }
  return "";
}

void ForEachElement(
    const QTensorCPU& tensor,
    const std::function<void(std::size_t, double, double)>& visit) {
  // Blocks of elements, whose planes are brought together.
  constexpr std::size_t kBlock = 8192;
  constexpr std::size_t kBlockBytes = kBlock / 8;
  const kernels::BitPlaneFormat format = {tensor.precision(),
                                          tensor.is_signed()};
  const auto planes = static_cast<std::size_t>(format.planes());
  const std::size_t n = tensor.size();
  const std::size_t plane_bytes = kernels::BitPlaneBytes(n);
  std::vector<uint8_t> block(planes * kBlockBytes);
  std::vector<int32_t> unpacked(kBlock);
  ChannelWalk walk(tensor);
  for (std::size_t begin = 0; begin < n; begin += kBlock) {
    const std::size_t count = std::min(kBlock, n - begin);
    const std::size_t count_bytes = kernels::BitPlaneBytes(count);
    for (std::size_t plane = 0; plane < planes; ++plane) {
      std::memcpy(&block[plane * count_bytes],
                  tensor.data() + plane * plane_bytes + begin / 8, count_bytes);
    }
    const bool narrow = format.precision <= 31;
    if (narrow) {
      kernels::UnpackBitPlanes(block.data(), count, format, unpacked.data());
    }
    for (std::size_t i = 0; i < count; ++i) {
      const double x = narrow ? unpacked[i]
                              : IntegerAt(block.data(), count_bytes, format, i);
      const std::size_t channel = walk.channel();
      visit(channel, x, walk.Next(x));
    }
  }
}

void AddQTensorValues(const QTensorCPU& tensor, InspectedRange* integers,
                      InspectedRange* values) {
  ForEachElement(tensor, [&](std::size_t, double x, double value) {
    integers->Add(x);
    values->Add(value);
  });
}

}  // namespace caffe2_quantization
