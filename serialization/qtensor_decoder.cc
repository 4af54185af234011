#include "serialization/qtensor_decoder.h"

#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "base/return_if_error.h"
#include "quantization/kernels/packed_bytes.h"
#include "serialization/wire_reader.h"

namespace caffe2_quantization {
namespace {

using caffe2::BlobProto;
using caffe2::QTensorProto;
using kernels::PackedBytesOutcome;

constexpr std::size_t kMaxQuoted = 256;

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

Status InMessage(const char* message, const Status& status) {
  if (status.ok()) return status;
  return Status::Corruption(std::string(message) + ", " + status.message());
}

// Where something in the QTensorProto stands, for an error to begin with.
std::string At(const QTensorInput& input, std::size_t offset) {
  return std::string(input.tensor_name()) + ", offset " +
         std::to_string(offset) + ": ";
}

// Calls on_tensor(reader, field) for each field that is left in `tensor`.
template <typename OnTensor>
Status ForEachTensorField(const QTensorInput& input, WireReader tensor,
                          const OnTensor& on_tensor) {
  WireField field;
  while (!tensor.AtEnd()) {
    RETURN_IF_ERROR(InMessage(input.tensor_name(), tensor.Next(&field)));
    RETURN_IF_ERROR(on_tensor(tensor, field));
  }
  return Status::Ok();
}

// Calls on_blob(field) for each field of the BlobProto, if it is one, and
// on_tensor(reader, field) for each field of each part of its qtensor.
template <typename OnBlob, typename OnTensor>
Status ForEachField(const QTensorInput& input, const OnBlob& on_blob,
                    const OnTensor& on_tensor) {
  WireReader reader(input.bytes, input.size, input.offset);
  if (!input.is_blob) return ForEachTensorField(input, reader, on_tensor);
  WireField field;
  while (!reader.AtEnd()) {
    RETURN_IF_ERROR(InMessage("BlobProto", reader.Next(&field)));
    on_blob(field);
    if (!IsBytes(field, BlobProto::kQtensorFieldNumber)) continue;
    RETURN_IF_ERROR(ForEachTensorField(input, reader.Nested(field), on_tensor));
  }
  return Status::Ok();
}

// The varints of a field that is one, or a packed run of them. A varint ends
// with its only byte below 128; PackedBytesSize() counts the others.
uint64_t CountVarints(const WireField& field) {
  const uint64_t wide =
      kernels::PackedBytesSize(field.begin, field.size()) - field.size();
  return field.size() - wide;
}

Status AddDims(const QTensorInput& input, const WireField& field,
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

Status CountDoubles(const QTensorInput& input, const WireField& field,
                    const char* name, uint64_t* count) {
  if (field.size() % sizeof(double) != 0) {
    return Status::Corruption(At(input, field.offset) + "field " + name +
                              " has " + std::to_string(field.size()) +
                              " packed bytes, expected a multiple of 8");
  }
  *count += field.size() / sizeof(double);
  return Status::Ok();
}

Status ScanTensorField(const QTensorInput& input, const WireField& field,
                       QTensorScan* scan) {
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

// Why the varint that stands at `offset` and would be value `index` is refused.
Status BadVarint(const QTensorInput& input, const std::string& name,
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
Status DecodePlanes(const QTensorInput& input, const std::string& name,
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

}  // namespace

std::string QuotedText(std::string_view text) {
  return std::string(text.substr(0, kMaxQuoted));
}

Status ScanQTensor(const QTensorInput& input, QTensorScan* scan) {
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

Status ReadScalesAndBiases(const QTensorInput& input, const std::string& name,
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

Status DecodeQTensor(const QTensorInput& input,
                     std::unique_ptr<QTensorCPU>* tensor, std::string* name) {
  if (input.size > kMaxMessageBytes) {
    return CheckQTensorMessageSize("", input.size);
  }
  QTensorScan scan;
  RETURN_IF_ERROR(ScanQTensor(input, &scan));

  const std::string_view full_name = scan.name.value_or(scan.tensor_name);
  const std::string quoted = QuotedText(full_name);
  if (input.is_blob) {
    RETURN_IF_ERROR(ValidateQTensorBlob(quoted, scan.type.has_value(),
                                        QuotedText(scan.type.value_or("")),
                                        scan.has_qtensor));
  }
  QTensorLayout layout;
  RETURN_IF_ERROR(
      ValidateQTensorProto(quoted, scan.fields, scan.counts, &layout));

  QTensorExtras extras = QTensorExtrasOf(scan.fields);
  RETURN_IF_ERROR(ReadScalesAndBiases(input, quoted, scan.counts, &extras));
  std::unique_ptr<QTensorCPU> result;
  RETURN_IF_ERROR(
      MakeQTensor(quoted, scan.fields, layout, std::move(extras), &result));
  RETURN_IF_ERROR(DecodePlanes(input, quoted, result->mutable_data(),
                               static_cast<std::size_t>(layout.data_bytes)));
  if (name != nullptr) name->assign(full_name.data(), full_name.size());
  *tensor = std::move(result);
  return Status::Ok();
}

}  // namespace caffe2_quantization
