// QTensors and int8 tensors: their headers, and the values of their planes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "inspect/inspect_tensor.h"
#include "quantization/kernels/bit_planes.h"
#include "serialization/per_channel_qtensor.h"

namespace caffe2_quantization {
namespace {

// A QTensor of more bytes of planes is not unpacked for its range.
constexpr uint64_t kMaxUnpackedBytes = uint64_t{512} << 20;

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
