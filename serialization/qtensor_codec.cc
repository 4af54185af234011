#include "serialization/qtensor_codec.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "caffe2/proto/caffe2_pb.h"
#include "quantization/atomic_file.h"
#include "quantization/kernels/packed_bytes.h"
#include "serialization/qtensor_validation.h"
#include "serialization/wire_reader.h"

namespace caffe2_quantization {
namespace {

using caffe2::BlobProto;
using caffe2::QTensorProto;
using kernels::PackedBytesOutcome;

// Planes are encoded through a buffer of this size that stays in the cache, so
// that the string is written once and never filled with zeros first.
constexpr std::size_t kEncodeBlock = 32 << 10;

// Fields other than data that one message may have, in bytes, written or read:
// fourteen million channels fit. More than that is not a tensor but an attack
// on the memory.
constexpr std::size_t kMaxHeaderBytes = 256 << 20;

Status HeaderTooLarge(const std::string& where, uint64_t bytes) {
  return Status::OutOfRange(where + ": the fields besides data take at least " +
                            std::to_string(bytes) +
                            " bytes, expected at most " +
                            std::to_string(kMaxHeaderBytes));
}

// ---- Writing ----------------------------------------------------------------

// Appends fields to a string in the wire form.
class FieldWriter {
 public:
  explicit FieldWriter(std::string* out) : out_(out) {}

  void Varint(uint64_t value) {
    while (value >= 0x80) {
      out_->push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    out_->push_back(static_cast<char>(value));
  }
  void Tag(int number, WireType type) {
    Varint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(type));
  }
  // A negative number is written as its 64-bit form, as protobuf does.
  void Integer(int number, int64_t value) {
    Tag(number, WireType::kVarint);
    Varint(static_cast<uint64_t>(value));
  }
  void Double(int number, double value) {
    Tag(number, WireType::kFixed64);
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    for (int i = 0; i < 8; ++i) {
      out_->push_back(static_cast<char>(bits >> (8 * i)));
    }
  }
  void Length(int number, uint64_t size) {
    Tag(number, WireType::kBytes);
    Varint(size);
  }
  void String(int number, const std::string& value) {
    Length(number, value.size());
    out_->append(value);
  }

 private:
  std::string* out_;
};

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

// ---- Reading ----------------------------------------------------------------

bool IsBytes(const WireField& field, int number) {
  return field.number == static_cast<uint32_t>(number) &&
         field.type == WireType::kBytes;
}

// The data field, packed or not.
bool IsData(const WireField& field) {
  return field.number == QTensorProto::kDataFieldNumber &&
         (field.type == WireType::kBytes || field.type == WireType::kVarint);
}

// A field that protobuf is to parse. Unknown ones and groups it would only
// keep.
bool IsHeader(const WireField& field) {
  return field.number >= QTensorProto::kDimsFieldNumber &&
         field.number <= QTensorProto::kIsMultiparamFieldNumber &&
         field.number != QTensorProto::kDataFieldNumber &&
         field.type != WireType::kGroup;
}

Status InMessage(const char* message, const Status& status) {
  if (status.ok()) return status;
  return Status::Corruption(std::string(message) + ", " + status.message());
}

// A BlobProto, or the QTensorProto alone.
struct Input {
  const void* bytes;
  std::size_t size;
  std::size_t offset;  // of the bytes, for messages
  bool is_blob;

  // What errors call the QTensorProto.
  const char* tensor_name() const {
    return is_blob ? "BlobProto.qtensor" : "QTensorProto";
  }
};

// Calls on_tensor(reader, field) for each field that is left in `tensor`.
template <typename OnTensor>
Status ForEachTensorField(const Input& input, WireReader tensor,
                          const OnTensor& on_tensor) {
  WireField field;
  while (!tensor.AtEnd()) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        InMessage(input.tensor_name(), tensor.Next(&field)));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(on_tensor(tensor, field));
  }
  return Status::Ok();
}

// Calls on_blob(field) for each field of the BlobProto, if it is one, and
// on_tensor(reader, field) for each field of each part of its qtensor.
template <typename OnBlob, typename OnTensor>
Status ForEachField(const Input& input, const OnBlob& on_blob,
                    const OnTensor& on_tensor) {
  WireReader reader(input.bytes, input.size, input.offset);
  if (!input.is_blob) return ForEachTensorField(input, reader, on_tensor);
  WireField field;
  while (!reader.AtEnd()) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        InMessage("BlobProto", reader.Next(&field)));
    on_blob(field);
    if (!IsBytes(field, BlobProto::kQtensorFieldNumber)) continue;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ForEachTensorField(input, reader.Nested(field), on_tensor));
  }
  return Status::Ok();
}

// What a first pass over a message learns, without taking memory for its data.
struct Scan {
  bool has_name = false;
  bool has_type = false;
  bool has_qtensor = false;
  std::string name;
  std::string type;
  std::string header;        // the qtensor's fields besides data, as found
  uint64_t data_values = 0;  // varints in its data
  uint64_t dims = 0;         // varints in its dims
};

// The varints of a field that is one, or a packed run of them. A varint ends
// with its only byte below 128; PackedBytesSize() counts the others.
uint64_t CountVarints(const WireField& field) {
  const uint64_t wide =
      kernels::PackedBytesSize(field.begin, field.size()) - field.size();
  return field.size() - wide;
}

Status ScanMessage(const Input& input, Scan* scan) {
  const auto text = [](const WireField& field) {
    return std::string(reinterpret_cast<const char*>(field.begin),
                       field.size());
  };
  const auto on_blob = [&](const WireField& field) {
    if (IsBytes(field, BlobProto::kNameFieldNumber)) {
      scan->has_name = true;
      scan->name = text(field);
    } else if (IsBytes(field, BlobProto::kTypeFieldNumber)) {
      scan->has_type = true;
      scan->type = text(field);
    } else if (IsBytes(field, BlobProto::kQtensorFieldNumber)) {
      scan->has_qtensor = true;
    }
  };
  const auto on_tensor = [&](const WireReader&, const WireField& field) {
    if (IsData(field)) {
      scan->data_values += CountVarints(field);
    } else if (IsHeader(field)) {
      const std::size_t field_size =
          static_cast<std::size_t>(field.end - field.tag);
      const auto where = [&] {
        return std::string(input.tensor_name()) + ", offset " +
               std::to_string(field.offset);
      };
      if (field_size > kMaxHeaderBytes - scan->header.size()) {
        return HeaderTooLarge(where(), scan->header.size() + field_size);
      }
      if (field.number == QTensorProto::kDimsFieldNumber &&
          (field.type == WireType::kBytes || field.type == WireType::kVarint)) {
        // Eight bytes of memory for one of the message: not before this check.
        scan->dims += CountVarints(field);
        if (scan->dims > kMaxQTensorDims) {
          return Status::OutOfRange(where() + ": field dims has at least " +
                                    std::to_string(scan->dims) +
                                    " elements, expected at most " +
                                    std::to_string(kMaxQTensorDims));
        }
      }
      scan->header.append(reinterpret_cast<const char*>(field.tag), field_size);
    }
    return Status::Ok();
  };
  return ForEachField(input, on_blob, on_tensor);
}

// Why the varint that stands at `offset` and would be value `index` is refused.
Status BadVarint(const Input& input, const std::string& name,
                 std::size_t offset, std::size_t index,
                 const kernels::PackedBytesResult& result) {
  std::string what;
  switch (result.outcome) {
    case PackedBytesOutcome::kOutOfRange:
      what = BadDataValue(name, index, result.value).message();
      break;
    case PackedBytesOutcome::kTruncated:
    case PackedBytesOutcome::kTooMany:
      // There is room for every varint that has an end: this one has none.
      what = "field data is cut off inside value " + std::to_string(index);
      break;
    default:
      what = "field data has a varint of more than 10 bytes as value " +
             std::to_string(index);
      break;
  }
  return Status::Corruption(std::string(input.tensor_name()) + ", offset " +
                            std::to_string(offset) + ": " + what);
}

// The second pass: data to planes, of which there are exactly as many bytes as
// the first pass counted.
Status DecodePlanes(const Input& input, const std::string& name,
                    uint8_t* planes, std::size_t capacity) {
  std::size_t produced = 0;
  const auto decode = [&](const WireReader& reader, const WireField& field) {
    if (!IsData(field)) return Status::Ok();
    const kernels::PackedBytesResult result = kernels::DecodePackedBytes(
        field.begin, field.size(), planes + produced, capacity - produced);
    produced += result.produced;
    if (result.outcome == PackedBytesOutcome::kOk) return Status::Ok();
    return BadVarint(input, name,
                     reader.OffsetOf(field.begin) + result.consumed, produced,
                     result);
  };
  return ForEachField(
      input, [](const WireField&) {}, decode);
}

Status Decode(const Input& input, std::unique_ptr<QTensorCPU>* tensor,
              std::string* name) {
  if (input.size > kMaxMessageBytes) {
    return CheckQTensorMessageSize("", input.size);
  }
  Scan scan;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ScanMessage(input, &scan));

  QTensorProto fields;
  if (!fields.ParsePartialFromArray(scan.header.data(),
                                    static_cast<int>(scan.header.size()))) {
    return Status::Corruption("QTensor '" + scan.name +
                              "': the fields besides data do not parse");
  }
  std::string().swap(scan.header);
  if (!scan.has_name) scan.name = fields.name();
  if (input.is_blob) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ValidateQTensorBlob(
        scan.name, scan.has_type, scan.type, scan.has_qtensor));
  }
  QTensorLayout layout;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ValidateQTensorProto(scan.name, fields, scan.data_values, &layout));

  std::unique_ptr<QTensorCPU> result;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      MakeQTensor(scan.name, fields, layout, &result));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      DecodePlanes(input, scan.name, result->mutable_data(),
                   static_cast<std::size_t>(layout.data_bytes)));
  *tensor = std::move(result);
  if (name != nullptr) *name = std::move(scan.name);
  return Status::Ok();
}

// ---- Files ------------------------------------------------------------------

Status SystemError(const std::string& path, const char* what) {
  return Status::IoError("'" + path + "': cannot " + what + ": " +
                         std::strerror(errno));
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

Status QTensorToBytes(const QTensorCPU& tensor, const std::string& name,
                      std::string* out) {
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      CheckQTensorMessageSize(name, QTensorPlaneBytes(tensor)));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(ValidateQTensor(name, tensor));
  const uint8_t* const planes = tensor.data();
  const std::size_t plane_bytes = tensor.nbytes();
  const uint64_t wire_bytes = kernels::PackedBytesSize(planes, plane_bytes);
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      CheckQTensorMessageSize(name, wire_bytes));

  std::string before;
  WriteFieldsBeforeData(tensor, &before);
  if (wire_bytes > 0) {
    FieldWriter(&before).Length(QTensorProto::kDataFieldNumber, wire_bytes);
  }
  std::string after;
  WriteFieldsAfterData(tensor, name, &after);
  if (before.size() + after.size() > kMaxHeaderBytes) {
    return HeaderTooLarge("QTensor '" + name.substr(0, 256) + "'",
                          before.size() + after.size());
  }

  const uint64_t tensor_bytes = before.size() + wire_bytes + after.size();
  std::string start;
  FieldWriter writer(&start);
  writer.String(BlobProto::kNameFieldNumber, name);
  writer.String(BlobProto::kTypeFieldNumber, kQTensorBlobType);
  writer.Length(BlobProto::kQtensorFieldNumber, tensor_bytes);
  start += before;
  const uint64_t total = start.size() + wire_bytes + after.size();
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(CheckQTensorMessageSize(name, total));

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
  return Decode({bytes, size, 0, true}, tensor, name);
}

Status QTensorFromProtoBytes(const void* bytes, std::size_t size,
                             std::size_t base_offset,
                             std::unique_ptr<QTensorCPU>* tensor,
                             std::string* name) {
  return Decode({bytes, size, base_offset, false}, tensor, name);
}

Status QTensorToFile(const QTensorCPU& tensor, const std::string& name,
                     const std::string& path) {
  std::string bytes;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(QTensorToBytes(tensor, name, &bytes));
  return WriteFileAtomically(path, bytes);
}

Status QTensorFromFile(const std::string& path,
                       std::unique_ptr<QTensorCPU>* tensor, std::string* name) {
  const FileDescriptor file(
      open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return SystemError(path, "open");
  struct stat info;
  if (fstat(file.get(), &info) != 0) return SystemError(path, "examine");
  if (!S_ISREG(info.st_mode)) {
    return Status::IoError("'" + path + "' is not a regular file");
  }
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  if (size > kMaxMessageBytes) {
    return Status::OutOfRange("'" + path + "' has " + std::to_string(size) +
                              " bytes, expected at most " +
                              std::to_string(kMaxMessageBytes) +
                              ", the limit of protobuf for one message");
  }
  const std::unique_ptr<uint8_t[]> bytes(new (std::nothrow) uint8_t[size]);
  if (bytes == nullptr) {
    return Status::OutOfRange("'" + path + "': no memory for its " +
                              std::to_string(size) + " bytes");
  }
  for (std::size_t done = 0; done < size;) {
    const ssize_t got = read(file.get(), bytes.get() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path, "read");
    if (got == 0) {
      return Status::IoError("'" + path + "' ended after " +
                             std::to_string(done) + " bytes, expected " +
                             std::to_string(size));
    }
    done += static_cast<std::size_t>(got);
  }
  const Status status = QTensorFromBytes(bytes.get(), size, tensor, name);
  if (status.ok()) return status;
  const std::string message = "'" + path + "': " + status.message();
  return status.kind() == Status::Kind::kOutOfRange
             ? Status::OutOfRange(message)
             : Status::Corruption(message);
}

}  // namespace caffe2_quantization
