#include "serialization/qtensor_codec.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/kernels/packed_bytes.h"
#include "serialization/qtensor_decoder.h"
#include "serialization/qtensor_validation.h"
#include "serialization/wire_writer.h"

namespace caffe2_quantization {
namespace {

using caffe2::BlobProto;
using caffe2::QTensorProto;

// Planes are encoded through a buffer of this size that stays in the cache, so
// that the string is written once and never filled with zeros first.
constexpr std::size_t kEncodeBlock = 32 << 10;

// The fields of a QTensorProto before and after `data`, in the order of their
// numbers.
void WriteFieldsBeforeData(const QTensorCPU& tensor, std::string* out) {
  FieldWriter writer(out);
  for (const int dim : tensor.sizes()) {
    writer.Integer(QTensorProto::kDimsFieldNumber, dim);
  }
  writer.Integer(QTensorProto::kPrecisionFieldNumber, tensor.precision());
  writer.Double(QTensorProto::kScaleFieldNumber, tensor.scale());
  writer.Double(QTensorProto::kBiasFieldNumber, tensor.bias());
  writer.Integer(QTensorProto::kIsSignedFieldNumber, tensor.is_signed());
}

void WriteFieldsAfterData(const QTensorCPU& tensor, const std::string& name,
                          std::string* out) {
  FieldWriter writer(out);
  writer.String(QTensorProto::kNameFieldNumber, name);
  const PerChannelQTensor* per_channel = AsPerChannel(tensor);
  if (per_channel == nullptr) return;
  const QTensorExtras& extras = per_channel->extras();
  constexpr std::size_t kTagAndDouble = 9;
  out->reserve(out->size() +
               (extras.scales.size() + extras.biases.size()) * kTagAndDouble +
               32);
  if (extras.data_type) {
    writer.Integer(QTensorProto::kDataTypeFieldNumber, *extras.data_type);
  }
  for (const double scale : extras.scales) {
    writer.Double(QTensorProto::kScalesFieldNumber, scale);
  }
  for (const double bias : extras.biases) {
    writer.Double(QTensorProto::kBiasesFieldNumber, bias);
  }
  if (extras.axis) writer.Integer(QTensorProto::kAxisFieldNumber, *extras.axis);
  if (extras.is_multiparam) {
    writer.Integer(QTensorProto::kIsMultiparamFieldNumber,
                   *extras.is_multiparam);
  }
}

void AppendPlanes(const uint8_t* planes, std::size_t size, std::string* out) {
  const std::unique_ptr<uint8_t[]> buffer(new uint8_t[2 * kEncodeBlock]);
  for (std::size_t i = 0; i < size; i += kEncodeBlock) {
    const std::size_t encoded = kernels::EncodePackedBytes(
        planes + i, std::min(size - i, kEncodeBlock), buffer.get());
    out->append(reinterpret_cast<const char*>(buffer.get()), encoded);
  }
}

}  // namespace

Status QTensorToBytes(const QTensorCPU& tensor, const std::string& name,
                      std::string* out) {
  RETURN_IF_ERROR(CheckQTensorMessageSize(name, QTensorPlaneBytes(tensor)));
  RETURN_IF_ERROR(ValidateQTensor(name, tensor));
  const uint8_t* const planes = tensor.data();
  const std::size_t plane_bytes = tensor.nbytes();
  const uint64_t wire_bytes = kernels::PackedBytesSize(planes, plane_bytes);
  RETURN_IF_ERROR(CheckQTensorMessageSize(name, wire_bytes));

  std::string before;
  WriteFieldsBeforeData(tensor, &before);
  if (wire_bytes > 0) {
    FieldWriter(&before).Length(QTensorProto::kDataFieldNumber, wire_bytes);
  }
  std::string after;
  WriteFieldsAfterData(tensor, name, &after);

  const uint64_t tensor_bytes = before.size() + wire_bytes + after.size();
  std::string start;
  FieldWriter writer(&start);
  writer.String(BlobProto::kNameFieldNumber, name);
  writer.String(BlobProto::kTypeFieldNumber, kQTensorBlobType);
  writer.Length(BlobProto::kQtensorFieldNumber, tensor_bytes);
  start += before;
  const uint64_t total = start.size() + wire_bytes + after.size();
  RETURN_IF_ERROR(CheckQTensorMessageSize(name, total));

  out->clear();
  out->reserve(total);
  out->append(start);
  AppendPlanes(planes, plane_bytes, out);
  out->append(after);
  return Status::Ok();
}

Status QTensorFromBytes(const void* bytes, std::size_t size,
                        std::unique_ptr<QTensorCPU>* tensor,
                        std::string* name) {
  return DecodeQTensor({bytes, size, 0, true}, tensor, name);
}

Status QTensorFromProtoBytes(const void* bytes, std::size_t size,
                             std::size_t base_offset,
                             std::unique_ptr<QTensorCPU>* tensor,
                             std::string* name) {
  return DecodeQTensor({bytes, size, base_offset, false}, tensor, name);
}

Status QTensorToFile(const QTensorCPU& tensor, const std::string& name,
                     const std::string& path) {
  std::string bytes;
  RETURN_IF_ERROR(QTensorToBytes(tensor, name, &bytes));
  return WriteFileAtomically(path, bytes);
}

Status QTensorFromFile(const std::string& path,
                       std::unique_ptr<QTensorCPU>* tensor, std::string* name) {
  InputFile file;
  RETURN_IF_ERROR(file.Open(path));
  if (file.size() > kMaxMessageBytes) {
    return Status::OutOfRange(
        "'" + path + "' has " + std::to_string(file.size()) +
        " bytes, expected at most " + std::to_string(kMaxMessageBytes) +
        ", the limit of protobuf for one message");
  }
  std::unique_ptr<QTensorCPU> streamed;
  RETURN_IF_ERROR(StreamQTensor(&file, 0, file.size(), &streamed, name));
  if (streamed != nullptr) {
    *tensor = std::move(streamed);
    return Status::Ok();
  }
  const uint8_t* bytes = nullptr;
  RETURN_IF_ERROR(file.Read(0, file.size(), &bytes));
  const Status status = QTensorFromBytes(bytes, file.size(), tensor, name);
  if (status.ok()) return status;
  const std::string message = "'" + path + "': " + status.message();
  return status.kind() == Status::Kind::kOutOfRange
             ? Status::OutOfRange(message)
             : Status::Corruption(message);
}

}  // namespace caffe2_quantization
