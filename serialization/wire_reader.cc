#include "serialization/wire_reader.h"

#include <string>
#include <vector>

#include "base/return_if_error.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kMaxTagBytes = 5;
constexpr std::size_t kMaxLengthBytes = 5;
// As protobuf's own limit on nested messages and groups.
constexpr std::size_t kMaxGroupDepth = 100;

Status Broken(std::size_t offset, const std::string& what) {
  return Status::Corruption("offset " + std::to_string(offset) + ": " + what);
}

Status BrokenField(const WireField& field, const std::string& what) {
  return Broken(field.offset,
                "field " + std::to_string(field.number) + " " + what);
}

}  // namespace

bool ReadVarint(const uint8_t** cursor, const uint8_t* end, uint64_t* value,
                std::size_t max_bytes) {
  uint64_t result = 0;
  const uint8_t* at = *cursor;
  for (std::size_t i = 0; i < max_bytes; ++i, ++at) {
    if (at == end) return false;
    result |= static_cast<uint64_t>(*at & 0x7F) << (7 * i);
    if (*at < 0x80) {
      *cursor = at + 1;
      *value = result;
      return true;
    }
  }
  return false;
}

WireReader::WireReader(const void* data, std::size_t size,
                       std::size_t base_offset)
    : begin_(static_cast<const uint8_t*>(data)),
      cursor_(begin_),
      end_(begin_ + size),
      base_offset_(base_offset) {}

WireReader WireReader::Nested(const WireField& field) const {
  return WireReader(field.begin, field.size(), OffsetOf(field.begin));
}

Status WireReader::Next(WireField* field) {
  RETURN_IF_ERROR(ReadTag(field));
  if (field->type == WireType::kGroupEnd) {
    return BrokenField(*field, "ends a group that never began");
  }
  if (field->type == WireType::kGroup) return SkipGroup(field);
  return ReadPayload(field);
}

Status WireReader::ReadTag(WireField* field) {
  field->offset = offset();
  field->tag = cursor_;
  uint64_t tag = 0;
  if (!ReadVarint(&cursor_, end_, &tag, kMaxTagBytes)) {
    return Broken(field->offset, "the tag of a field is cut off or too long");
  }
  // Five bytes have room for 35 bits; protobuf drops the three beyond 32.
  const uint32_t low = static_cast<uint32_t>(tag);
  field->number = low >> 3;
  const uint32_t type = low & 7;
  if (field->number == 0) {
    return Broken(field->offset, "a field has number 0, expected 1 or more");
  }
  if (type > static_cast<uint32_t>(WireType::kFixed32)) {
    return BrokenField(
        *field, "has wire type " + std::to_string(type) + ", expected 0 to 5");
  }
  field->type = static_cast<WireType>(type);
  field->begin = field->end = cursor_;
  return Status::Ok();
}

Status WireReader::ReadPayload(WireField* field) {
  uint64_t value = 0;
  uint64_t size = 0;
  switch (field->type) {
    case WireType::kVarint:
      if (!ReadVarint(&cursor_, end_, &value)) {
        return BrokenField(*field, "has a varint that is cut off or too long");
      }
      field->end = cursor_;
      return Status::Ok();
    case WireType::kBytes:
      if (!ReadVarint(&cursor_, end_, &size, kMaxLengthBytes)) {
        return BrokenField(*field, "has a length that is cut off or too long");
      }
      field->begin = cursor_;
      break;
    case WireType::kFixed64:
      size = sizeof(uint64_t);
      break;
    default:
      size = sizeof(uint32_t);
      break;
  }
  const std::size_t left = static_cast<std::size_t>(end_ - cursor_);
  if (size > left) {
    return BrokenField(*field, "takes " + std::to_string(size) +
                                   " bytes, but only " + std::to_string(left) +
                                   " are left");
  }
  cursor_ += size;
  field->end = cursor_;
  return Status::Ok();
}

Status WireReader::SkipGroup(WireField* field) {
  // Numbers of the groups that are open, the outermost first.
  std::vector<uint32_t> open = {field->number};
  while (!open.empty()) {
    if (AtEnd()) return BrokenField(*field, "is a group that never ends");
    WireField inner;
    RETURN_IF_ERROR(ReadTag(&inner));
    if (inner.type == WireType::kGroup) {
      if (open.size() == kMaxGroupDepth) {
        return BrokenField(*field, "holds groups more than " +
                                       std::to_string(kMaxGroupDepth) +
                                       " deep");
      }
      open.push_back(inner.number);
    } else if (inner.type == WireType::kGroupEnd) {
      if (inner.number != open.back()) {
        return BrokenField(inner, "ends a group, expected the end of group " +
                                      std::to_string(open.back()));
      }
      open.pop_back();
      field->end = inner.tag;
    } else {
      RETURN_IF_ERROR(ReadPayload(&inner));
    }
  }
  return Status::Ok();
}

}  // namespace caffe2_quantization
