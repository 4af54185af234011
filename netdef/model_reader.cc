#include "netdef/model_reader.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "serialization/minidb_reader.h"
#include "serialization/wire_reader.h"

namespace caffe2_quantization {
namespace {

// As protobuf's own limit.
constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxVarintBytes = 10;

constexpr ModelForm kMessageForms[] = {
    ModelForm::kNetDef, ModelForm::kBlobProto, ModelForm::kTensorProtos,
    ModelForm::kMetaNetDef};

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && (c < '\t' || c > '\r')) || byte == 0x7F;
}

WireType WireTypeOf(FieldKind kind) {
  switch (kind) {
    case FieldKind::kFloat:
      return WireType::kFixed32;
    case FieldKind::kDouble:
      return WireType::kFixed64;
    case FieldKind::kString:
    case FieldKind::kBytes:
    case FieldKind::kMessage:
      return WireType::kBytes;
    default:
      return WireType::kVarint;
  }
}

// A place in nested messages, innermost first; on the stack of the walk.
struct Place {
  const Place* outer;
  const FieldSchema* field;  // null of the outermost
  std::size_t index;         // of a repeated one
  const std::string* root;

  std::string ToString() const {
    if (outer == nullptr) return *root;
    std::string text = outer->ToString() + '.' + field->name;
    if (field->repeated) text += '[' + std::to_string(index) + ']';
    return text;
  }
};

class Scanner {
 public:
  explicit Scanner(std::size_t end) { scan_.likely = end; }

  // Walks through the message in [reader, end). False when the walk must stop.
  bool Message(const MessageSchema& message, WireReader reader,
               const uint8_t* end, int depth, const Place& place) {
    std::size_t counts[kMaxFieldsOfMessage] = {};
    WireField field;
    while (!reader.AtEnd()) {
      const Status status = reader.Next(&field);
      const FieldSchema* known =
          field.number == 0 ? nullptr : message.Find(field.number);
      std::size_t index = 0;
      if (known != nullptr) {
        index = counts[static_cast<std::size_t>(known - message.fields)]++;
      }
      const Place inner = {&place, known, index, nullptr};
      if (!status.ok()) {
        // The message may be cut inside this field: where exactly?
        if (known != nullptr && known->kind == FieldKind::kMessage &&
            field.type == WireType::kBytes && depth < kMaxDepth &&
            EndsBeforeItsLength(status)) {
          const WireReader rest(field.begin,
                                static_cast<std::size_t>(end - field.begin),
                                reader.OffsetOf(field.begin));
          if (!Message(*known->message, rest, end, depth + 1, inner)) {
            return false;
          }
        }
        return Broken(status, known != nullptr ? inner : place);
      }
      if (known == nullptr || !Fits(*known, field)) {
        NoteUnknown(field, place);
        continue;
      }
      if (!Payload(*known, reader, field, depth, inner)) return false;
    }
    return true;
  }

  MessageScan Take() { return std::move(scan_); }

 private:
  // Of the wire reader's complaints, the one about a field that goes on past
  // the end.
  static bool EndsBeforeItsLength(const Status& status) {
    return status.message().find(" bytes, but only ") != std::string::npos;
  }

  static bool Fits(const FieldSchema& known, const WireField& field) {
    if (field.type == WireTypeOf(known.kind)) return true;
    // Numbers may be packed.
    return known.repeated && field.type == WireType::kBytes;
  }

  bool Payload(const FieldSchema& known, const WireReader& reader,
               const WireField& field, int depth, const Place& place) {
    switch (known.kind) {
      case FieldKind::kMessage:
        if (depth >= kMaxDepth) {
          return Fault(
              field.offset, place,
              "is a message more than " + std::to_string(kMaxDepth) + " deep");
        }
        return Message(*known.message, reader.Nested(field), field.end,
                       depth + 1, place);
      case FieldKind::kString:
        if (std::any_of(field.begin, field.end, [](uint8_t c) {
              return IsControl(static_cast<char>(c));
            })) {
          scan_.likely = std::min(scan_.likely, field.offset);
        }
        return true;
      case FieldKind::kBytes:
        return true;
      default:
        return field.type != WireType::kBytes || Packed(known, field, place);
    }
  }

  bool Packed(const FieldSchema& known, const WireField& field,
              const Place& place) {
    const WireType type = WireTypeOf(known.kind);
    if (type != WireType::kVarint) {
      const std::size_t width = type == WireType::kFixed32 ? 4 : 8;
      if (field.size() % width == 0) return true;
      return Fault(field.offset, place,
                   "has " + std::to_string(field.size()) +
                       " bytes of packed values, expected a multiple of " +
                       std::to_string(width));
    }
    std::size_t length = 0;
    for (const uint8_t* at = field.begin; at < field.end; ++at) {
      ++length;
      if (*at < 0x80) {
        length = 0;
      } else if (length == kMaxVarintBytes) {
        break;
      }
    }
    if (length == 0) return true;
    return Fault(field.offset, place,
                 "has packed values with a varint that is cut off or too long");
  }

  void NoteUnknown(const WireField& field, const Place& place) {
    scan_.likely = std::min(scan_.likely, field.offset);
    if (scan_.unknown_fields++ > 0) return;
    scan_.first_unknown = {true,
                           field.offset,
                           0,
                           0,
                           place.ToString(),
                           "field " + std::to_string(field.number) +
                               " is unknown, or of another type"};
  }

  bool Fault(std::size_t offset, const Place& place, std::string what) {
    scan_.broken = true;
    scan_.fault = {true, offset, 0, 0, place.ToString(), std::move(what)};
    scan_.likely = std::min(scan_.likely, offset);
    return false;
  }

  // Takes the wire reader's "offset 41: …" apart.
  bool Broken(const Status& status, const Place& place) {
    constexpr std::string_view kPrefix = "offset ";
    const std::string& text = status.message();
    const std::size_t colon = text.find(": ");
    std::size_t offset = 0;
    for (std::size_t i = kPrefix.size(); i < colon; ++i) {
      offset = offset * 10 + static_cast<std::size_t>(text[i] - '0');
    }
    return Fault(offset, place, text.substr(colon + 2));
  }

  MessageScan scan_;
};

}  // namespace

const char* ModelFormName(ModelForm form) {
  if (form == ModelForm::kMinidb) return "minidb";
  if (form == ModelForm::kProfile) return "profile";
  const MessageSchema* message = SchemaOf(form);
  return message == nullptr ? "unknown" : message->name;
}

const MessageSchema* SchemaOf(ModelForm form) {
  switch (form) {
    case ModelForm::kNetDef:
      return &schema::kNetDef;
    case ModelForm::kBlobProto:
      return &schema::kBlobProto;
    case ModelForm::kTensorProtos:
      return &schema::kTensorProtos;
    case ModelForm::kMetaNetDef:
      return &schema::kMetaNetDef;
    default:
      return nullptr;
  }
}

std::string ModelFault::ToString() const {
  std::string text;
  if (has_offset) text += "offset " + std::to_string(offset) + ": ";
  if (line > 0) {
    text += "line " + std::to_string(line) + ", column " +
            std::to_string(column) + ": ";
  }
  if (!field.empty()) text += field + ": ";
  return text + what;
}

MessageScan ScanMessage(const MessageSchema& message, const std::string& field,
                        const void* bytes, std::size_t size,
                        std::size_t base_offset) {
  Scanner scanner(base_offset + size);
  const Place root = {nullptr, nullptr, 0, &field};
  scanner.Message(message, WireReader(bytes, size, base_offset),
                  static_cast<const uint8_t*>(bytes) + size, 0, root);
  MessageScan scan = scanner.Take();
  scan.likely -= base_offset;
  return scan;
}

ModelForm DetectMessage(const void* bytes, std::size_t size,
                        MessageScan* scan) {
  ModelForm best = ModelForm::kUnknown;
  for (const ModelForm form : kMessageForms) {
    const MessageSchema* message = SchemaOf(form);
    MessageScan found = ScanMessage(*message, message->name, bytes, size);
    if (best != ModelForm::kUnknown && found.likely <= scan->likely) continue;
    best = form;
    *scan = std::move(found);
    if (scan->likely == size) break;
  }
  return scan->likely == 0 ? ModelForm::kUnknown : best;
}

bool LooksLikeMinidb(const void* bytes, std::size_t size) {
  if (IsMinidb(MinidbReader(bytes, size))) return true;
  constexpr std::size_t kSizesBytes = 2 * sizeof(int32_t);
  constexpr uint32_t kLongestKey = 4096;
  if (size <= kSizesBytes) return false;
  const auto* const data = static_cast<const uint8_t*>(bytes);
  const auto number = [data](std::size_t at) {
    return static_cast<uint32_t>(data[at] | data[at + 1] << 8 |
                                 data[at + 2] << 16) |
           static_cast<uint32_t>(data[at + 3]) << 24;
  };
  const uint32_t key_size = number(0);
  if (key_size == 0 || key_size > kLongestKey ||
      key_size >= size - kSizesBytes) {
    return false;
  }
  const uint8_t* const key = data + kSizesBytes;
  if (std::any_of(key, key + key_size,
                  [](uint8_t c) { return IsControl(static_cast<char>(c)); })) {
    return false;
  }
  const std::size_t left = size - kSizesBytes - key_size;
  const std::size_t value_size = std::min<std::size_t>(left, number(4));
  // One field that makes sense is enough beside such a key.
  for (const ModelForm form :
       {ModelForm::kBlobProto, ModelForm::kTensorProtos}) {
    const MessageScan scan =
        ScanMessage(*SchemaOf(form), "", key + key_size, value_size);
    if (scan.likely > 0) return true;
  }
  return false;
}

bool LooksLikeText(const void* bytes, std::size_t size) {
  const auto* const data = static_cast<const char*>(bytes);
  return std::none_of(data, data + size, IsControl);
}

}  // namespace caffe2_quantization
