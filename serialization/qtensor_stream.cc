// StreamQTensor: planes straight from a file to the tensor.
#include <algorithm>
#include <string>
#include <utility>

#include "base/read_file.h"
#include "base/return_if_error.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/kernels/packed_bytes.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_decoder.h"
#include "serialization/qtensor_validation.h"
#include "serialization/wire_reader.h"
#include "serialization/wire_writer.h"

namespace caffe2_quantization {
namespace {

using caffe2::BlobProto;
using caffe2::QTensorProto;
using kernels::PackedBytesOutcome;

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
    RETURN_IF_ERROR(file_.Read(at_, available, &bytes));
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
  RETURN_IF_ERROR(file->Read(field.begin, size, &bytes));
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
    RETURN_IF_ERROR(blob.Next(&field, whole));
    if (!*whole) return Status::Ok();
    if (field.number != BlobProto::kQtensorFieldNumber || !field.is_bytes) {
      RETURN_IF_ERROR(CopyField(file, field, &outline->fields, whole));
      continue;
    }
    *whole = !has_tensor;
    has_tensor = true;
    FileFields fields(file, field.payload, field.end);
    while (*whole && !fields.AtEnd()) {
      RETURN_IF_ERROR(fields.Next(&field, whole));
      if (!*whole) return Status::Ok();
      if (field.number != QTensorProto::kDataFieldNumber) {
        RETURN_IF_ERROR(CopyField(file, field, &tensor, whole));
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
    RETURN_IF_ERROR(file->Read(outline.data_begin + done, count, &bytes));
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
  RETURN_IF_ERROR(ReadOutline(file, offset, offset + size, &outline, &whole));
  if (!whole) return Status::Ok();
  // From here on a message that is not valid is left to who reads it in whole,
  // and tells why.
  const QTensorInput input = {outline.fields.data(), outline.fields.size(), 0,
                              true};
  QTensorScan scan;
  if (!ScanQTensor(input, &scan).ok() || !scan.name || !scan.type ||
      *scan.type != kQTensorBlobType) {
    return Status::Ok();
  }
  const std::string quoted = QuotedText(*scan.name);
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
  RETURN_IF_ERROR(StreamPlanes(file, outline, result->mutable_data(),
                               static_cast<std::size_t>(layout.data_bytes),
                               &whole));
  if (!whole) return Status::Ok();
  if (name != nullptr) name->assign(scan.name->data(), scan.name->size());
  *tensor = std::move(result);
  return Status::Ok();
}

}  // namespace caffe2_quantization
