#include "serialization/qtensor_codec.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/read_file.h"
#include "caffe2/proto/caffe2_pb.h"
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

// As much of a text from a message as an error repeats.
constexpr std::size_t kMaxQuoted = 256;

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

// Values of a repeated field, packed or not.
bool AreVarints(const WireField& field) {
  return field.type == WireType::kBytes || field.type == WireType::kVarint;
}
bool AreDoubles(const WireField& field) {
  return field.type == WireType::kBytes || field.type == WireType::kFixed64;
}

bool IsData(const WireField& field) {
  return field.number == QTensorProto::kDataFieldNumber && AreVarints(field);
}

double DoubleAt(const uint8_t* at) {
  uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) bits |= static_cast<uint64_t>(at[i]) << (8 * i);
  double value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

std::string_view TextOf(const WireField& field) {
  return {reinterpret_cast<const char*>(field.begin), field.size()};
}

std::string Quoted(std::string_view text) {
  return std::string(text.substr(0, kMaxQuoted));
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

// Where something in the QTensorProto stands, for an error to begin with.
std::string At(const Input& input, std::size_t offset) {
  return std::string(input.tensor_name()) + ", offset " +
         std::to_string(offset) + ": ";
}

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

// What a first pass over a message learns. Nothing in it grows with the
// message: texts are where they stand there, and long fields are only counted.
struct Scan {
  std::optional<std::string_view> name;
  std::optional<std::string_view> type;
  bool has_qtensor = false;
  std::string_view tensor_name;
  QTensorProto fields;  // but for name, data, scales and biases
  QTensorCounts counts;
};

// The varints of a field that is one, or a packed run of them. A varint ends
// with its only byte below 128; PackedBytesSize() counts the others.
uint64_t CountVarints(const WireField& field) {
  const uint64_t wide =
      kernels::PackedBytesSize(field.begin, field.size()) - field.size();
  return field.size() - wide;
}

Status AddDims(const Input& input, const WireField& field,
               QTensorProto* fields) {
  // Eight bytes of memory for one of the message: not before this check.
  const uint64_t count =
      static_cast<uint64_t>(fields->dims_size()) + CountVarints(field);
  if (count > kMaxQTensorDims) {
    return Status::OutOfRange(
        At(input, field.offset) + "field dims has at least " +
        std::to_string(count) + " elements, expected at most " +
        std::to_string(kMaxQTensorDims));
  }
  for (const uint8_t* at = field.begin; at != field.end;) {
    uint64_t dim = 0;
    if (!ReadVarint(&at, field.end, &dim)) {
      return Status::Corruption(
          At(input, field.offset) +
          "field dims has a varint that is cut off or too long");
    }
    fields->add_dims(static_cast<int64_t>(dim));
  }
  return Status::Ok();
}

Status CountDoubles(const Input& input, const WireField& field,
                    const char* name, uint64_t* count) {
  if (field.size() % sizeof(double) != 0) {
    return Status::Corruption(At(input, field.offset) + "field " + name +
                              " has " + std::to_string(field.size()) +
                              " packed bytes, expected a multiple of 8");
  }
  *count += field.size() / sizeof(double);
  return Status::Ok();
}

// Takes what a field says as protobuf would: the last scalar wins, lists grow,
// and a field of another wire type than its own is an unknown one.
Status ScanTensorField(const Input& input, const WireField& field, Scan* scan) {
  QTensorProto& fields = scan->fields;
  uint64_t integer = 0;
  const uint8_t* begin = field.begin;
  const bool is_integer = field.type == WireType::kVarint &&
                          ReadVarint(&begin, field.end, &integer);
  const bool is_double = field.type == WireType::kFixed64;
  switch (field.number) {
    case QTensorProto::kDimsFieldNumber:
      if (AreVarints(field)) return AddDims(input, field, &fields);
      break;
    case QTensorProto::kPrecisionFieldNumber:
      if (is_integer) fields.set_precision(static_cast<int32_t>(integer));
      break;
    case QTensorProto::kScaleFieldNumber:
      if (is_double) fields.set_scale(DoubleAt(field.begin));
      break;
    case QTensorProto::kBiasFieldNumber:
      if (is_double) fields.set_bias(DoubleAt(field.begin));
      break;
    case QTensorProto::kIsSignedFieldNumber:
      if (is_integer) fields.set_is_signed(integer != 0);
      break;
    case QTensorProto::kDataFieldNumber:
      if (AreVarints(field)) scan->counts.data += CountVarints(field);
      break;
    case QTensorProto::kNameFieldNumber:
      if (field.type == WireType::kBytes) scan->tensor_name = TextOf(field);
      break;
    case QTensorProto::kDataTypeFieldNumber: {
      // A value that is none of the enum's is unknown too.
      const int type = static_cast<int>(integer);
      if (is_integer && caffe2::TensorProto_DataType_IsValid(type)) {
        fields.set_data_type(static_cast<caffe2::TensorProto_DataType>(type));
      }
      break;
    }
    case QTensorProto::kScalesFieldNumber:
      if (!AreDoubles(field)) break;
      return CountDoubles(input, field, "scales", &scan->counts.scales);
    case QTensorProto::kBiasesFieldNumber:
      if (!AreDoubles(field)) break;
      return CountDoubles(input, field, "biases", &scan->counts.biases);
    case QTensorProto::kAxisFieldNumber:
      if (is_integer) fields.set_axis(static_cast<int32_t>(integer));
      break;
    case QTensorProto::kIsMultiparamFieldNumber:
      if (is_integer) fields.set_is_multiparam(integer != 0);
      break;
    default:
      break;
  }
  return Status::Ok();
}

Status ScanMessage(const Input& input, Scan* scan) {
  const auto on_blob = [&](const WireField& field) {
    if (IsBytes(field, BlobProto::kNameFieldNumber)) {
      scan->name = TextOf(field);
    } else if (IsBytes(field, BlobProto::kTypeFieldNumber)) {
      scan->type = TextOf(field);
    } else if (IsBytes(field, BlobProto::kQtensorFieldNumber)) {
      scan->has_qtensor = true;
    }
  };
  const auto on_tensor = [&](const WireReader&, const WireField& field) {
    return ScanTensorField(input, field, scan);
  };
  return ForEachField(input, on_blob, on_tensor);
}

// Reads scales and biases, of which there are as many as the first pass
// counted: straight to where the tensor will have them.
Status ReadScalesAndBiases(const Input& input, const std::string& name,
                           const QTensorCounts& counts, QTensorExtras* extras) {
  if (counts.scales == 0 && counts.biases == 0) return Status::Ok();
  try {
    extras->scales.reserve(counts.scales);
    extras->biases.reserve(counts.biases);
  } catch (const std::bad_alloc&) {
    return Status::OutOfRange("QTensor '" + name + "': no memory for " +
                              std::to_string(counts.scales) + " scales and " +
                              std::to_string(counts.biases) + " biases");
  }
  const auto read = [&](const WireReader&, const WireField& field) {
    std::vector<double>* const to =
        field.number == QTensorProto::kScalesFieldNumber   ? &extras->scales
        : field.number == QTensorProto::kBiasesFieldNumber ? &extras->biases
                                                           : nullptr;
    if (to == nullptr || !AreDoubles(field)) return Status::Ok();
    for (const uint8_t* at = field.begin; at != field.end; at += 8) {
      to->push_back(DoubleAt(at));
    }
    return Status::Ok();
  };
  return ForEachField(
      input, [](const WireField&) {}, read);
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
  return Status::Corruption(At(input, offset) + what);
}

// The last pass: data to planes, of which there are exactly as many bytes as
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

  const std::string_view full_name = scan.name.value_or(scan.tensor_name);
  const std::string quoted = Quoted(full_name);
  if (input.is_blob) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ValidateQTensorBlob(quoted, scan.type.has_value(),
                            Quoted(scan.type.value_or("")), scan.has_qtensor));
  }
  QTensorLayout layout;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ValidateQTensorProto(quoted, scan.fields, scan.counts, &layout));

  QTensorExtras extras = QTensorExtrasOf(scan.fields);
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadScalesAndBiases(input, quoted, scan.counts, &extras));
  std::unique_ptr<QTensorCPU> result;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      MakeQTensor(quoted, scan.fields, layout, std::move(extras), &result));
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      DecodePlanes(input, quoted, result->mutable_data(),
                   static_cast<std::size_t>(layout.data_bytes)));
  if (name != nullptr) name->assign(full_name.data(), full_name.size());
  *tensor = std::move(result);
  return Status::Ok();
}

// ---- Streaming --------------------------------------------------------------

// Planes are decoded in pieces that stay in the second cache level between the
// system, which copies them there, and the decoder.
constexpr std::size_t kStreamPiece = 256 << 10;
// What is shorter is not worth it, and neither is a message whose other fields
// are longer.
constexpr std::size_t kShortestStreamed = 64 << 10;
constexpr std::size_t kMaxOtherFields = 1 << 20;

// A BlobProto in a file, with the packed data of its qtensor left out.
struct Outline {
  std::string fields;  // a BlobProto of all the others
  std::size_t data_begin = 0;
  std::size_t data_size = 0;
};

// Walks over the fields of a message in a file.
class FileFields {
 public:
  FileFields(InputFile* file, std::size_t begin, std::size_t end)
      : file_(*file), at_(begin), end_(end) {}

  struct Field {
    uint32_t number = 0;
    bool is_bytes = false;
    std::size_t begin = 0;    // of its tag
    std::size_t payload = 0;  // where that begins, of one that is bytes
    std::size_t end = 0;
  };

  bool AtEnd() const { return at_ == end_; }

  // *whole is false for what this reader leaves to others: a group, or a field
  // that is broken.
  Status Next(Field* field, bool* whole) {
    const std::size_t available =
        std::min<std::size_t>(end_ - at_, 2 * kMaxVarintBytes);
    const uint8_t* bytes = nullptr;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(file_.Read(at_, available, &bytes));
    const uint8_t* cursor = bytes;
    const uint8_t* const last = bytes + available;
    uint64_t tag = 0, size = 0;
    *whole = ReadVarint(&cursor, last, &tag) && tag >> 3 <= UINT32_MAX;
    if (!*whole) return Status::Ok();
    field->number = static_cast<uint32_t>(tag >> 3);
    field->begin = at_;
    const auto type = static_cast<WireType>(tag & 7);
    field->is_bytes = type == WireType::kBytes;
    switch (type) {
      case WireType::kBytes:
        *whole = ReadVarint(&cursor, last, &size);
        break;
      case WireType::kVarint: {
        uint64_t value = 0;
        *whole = ReadVarint(&cursor, last, &value);
        break;
      }
      case WireType::kFixed64:
        size = 8;
        break;
      case WireType::kFixed32:
        size = 4;
        break;
      default:
        *whole = false;
    }
    field->payload = at_ + static_cast<std::size_t>(cursor - bytes);
    *whole = *whole && size <= end_ - field->payload;
    if (*whole) at_ = field->end = field->payload + size;
    return Status::Ok();
  }

 private:
  InputFile& file_;
  std::size_t at_;
  const std::size_t end_;
};

// Appends a field of the file to a message; *whole is false when it is long.
Status CopyField(InputFile* file, const FileFields::Field& field,
                 std::string* message, bool* whole) {
  const std::size_t size = field.end - field.begin;
  *whole = size <= kMaxOtherFields && message->size() <= kMaxOtherFields - size;
  if (!*whole) return Status::Ok();
  const uint8_t* bytes = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(file->Read(field.begin, size, &bytes));
  message->append(reinterpret_cast<const char*>(bytes), size);
  return Status::Ok();
}

// Takes the outline of a message that has one qtensor with one long piece of
// packed data; *whole is false for another one.
Status ReadOutline(InputFile* file, std::size_t begin, std::size_t end,
                   Outline* outline, bool* whole) {
  FileFields blob(file, begin, end);
  FileFields::Field field;
  std::string tensor;
  bool has_tensor = false;
  *whole = true;
  while (*whole && !blob.AtEnd()) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(blob.Next(&field, whole));
    if (!*whole) return Status::Ok();
    if (field.number != BlobProto::kQtensorFieldNumber || !field.is_bytes) {
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
          CopyField(file, field, &outline->fields, whole));
      continue;
    }
    *whole = !has_tensor;
    has_tensor = true;
    FileFields fields(file, field.payload, field.end);
    while (*whole && !fields.AtEnd()) {
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(fields.Next(&field, whole));
      if (!*whole) return Status::Ok();
      if (field.number != QTensorProto::kDataFieldNumber) {
        CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
            CopyField(file, field, &tensor, whole));
        continue;
      }
      *whole = field.is_bytes && outline->data_size == 0 &&
               field.end - field.payload >= kShortestStreamed;
      outline->data_begin = field.payload;
      outline->data_size = field.end - field.payload;
    }
  }
  *whole = *whole && outline->data_size > 0;
  FieldWriter(&outline->fields).String(BlobProto::kQtensorFieldNumber, tensor);
  return Status::Ok();
}

// Decodes the data to planes; *whole is false unless it is exactly those.
Status StreamPlanes(InputFile* file, const Outline& outline, uint8_t* planes,
                    std::size_t capacity, bool* whole) {
  std::size_t produced = 0;
  *whole = false;
  for (std::size_t done = 0; done < outline.data_size;) {
    const std::size_t left = outline.data_size - done;
    std::size_t count = std::min(left, kStreamPiece);
    const uint8_t* bytes = nullptr;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        file->Read(outline.data_begin + done, count, &bytes));
    if (count < left) {  // a piece ends where a varint does
      const std::size_t least = count - kMaxVarintBytes;
      while (count > least && bytes[count - 1] >= 0x80) --count;
    }
    const kernels::PackedBytesResult result = kernels::DecodePackedBytes(
        bytes, count, planes + produced, capacity - produced);
    if (result.outcome != PackedBytesOutcome::kOk) return Status::Ok();
    produced += result.produced;
    done += count;
  }
  *whole = produced == capacity;
  return Status::Ok();
}

}  // namespace

Status StreamQTensor(InputFile* file, std::size_t offset, std::size_t size,
                     std::unique_ptr<QTensorCPU>* tensor, std::string* name) {
  if (size < kShortestStreamed || size > kMaxMessageBytes) return Status::Ok();
  Outline outline;
  bool whole = false;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      ReadOutline(file, offset, offset + size, &outline, &whole));
  if (!whole) return Status::Ok();
  // From here on a message that is not valid is left to who reads it in whole,
  // and tells why.
  const Input input = {outline.fields.data(), outline.fields.size(), 0, true};
  Scan scan;
  if (!ScanMessage(input, &scan).ok() || !scan.name || !scan.type ||
      *scan.type != kQTensorBlobType) {
    return Status::Ok();
  }
  const std::string quoted = Quoted(*scan.name);
  // The first call fails for the missing data, and tells how much there must
  // be: one or two bytes of the file for each of the planes.
  QTensorLayout layout;
  if (ValidateQTensorProto(quoted, scan.fields, scan.counts, &layout).ok() ||
      layout.data_bytes > outline.data_size) {
    return Status::Ok();
  }
  scan.counts.data = layout.data_bytes;
  QTensorExtras extras = QTensorExtrasOf(scan.fields);
  std::unique_ptr<QTensorCPU> result;
  if (!ValidateQTensorProto(quoted, scan.fields, scan.counts, &layout).ok() ||
      !ReadScalesAndBiases(input, quoted, scan.counts, &extras).ok() ||
      !MakeQTensor(quoted, scan.fields, layout, std::move(extras), &result)
           .ok()) {
    return Status::Ok();
  }
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      StreamPlanes(file, outline, result->mutable_data(),
                   static_cast<std::size_t>(layout.data_bytes), &whole));
  if (!whole) return Status::Ok();
  if (name != nullptr) name->assign(scan.name->data(), scan.name->size());
  *tensor = std::move(result);
  return Status::Ok();
}

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
  InputFile file;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(file.Open(path));
  if (file.size() > kMaxMessageBytes) {
    return Status::OutOfRange(
        "'" + path + "' has " + std::to_string(file.size()) +
        " bytes, expected at most " + std::to_string(kMaxMessageBytes) +
        ", the limit of protobuf for one message");
  }
  std::unique_ptr<QTensorCPU> streamed;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      StreamQTensor(&file, 0, file.size(), &streamed, name));
  if (streamed != nullptr) {
    *tensor = std::move(streamed);
    return Status::Ok();
  }
  const uint8_t* bytes = nullptr;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(file.Read(0, file.size(), &bytes));
  const Status status = QTensorFromBytes(bytes, file.size(), tensor, name);
  if (status.ok()) return status;
  const std::string message = "'" + path + "': " + status.message();
  return status.kind() == Status::Kind::kOutOfRange
             ? Status::OutOfRange(message)
             : Status::Corruption(message);
}

}  // namespace caffe2_quantization
