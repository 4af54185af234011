// A cursor over the fields of one protobuf message, for messages whose bulk
// must not be copied: it parses no payload. It accepts what protobuf accepts
// (any order, unknown fields, groups, varints longer than needed) and tells
// where a broken message breaks.
//
// Thread rule: a reader belongs to one thread; the bytes are only read.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_WIRE_READER_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_WIRE_READER_H_

#include <cstddef>
#include <cstdint>

#include "base/status.h"

namespace caffe2_quantization {

enum class WireType : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kGroup = 3,
  kGroupEnd = 4,
  kFixed32 = 5,
};

struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  // The tag's offset from the start of the outermost message.
  std::size_t offset = 0;
  // The tag, and the payload [begin, end). For kBytes that is what follows the
  // length; for kGroup, everything up to the tag that ends it.
  const uint8_t* tag = nullptr;
  const uint8_t* begin = nullptr;
  const uint8_t* end = nullptr;

  std::size_t size() const { return static_cast<std::size_t>(end - begin); }
};

inline constexpr std::size_t kMaxVarintBytes = 10;

// Reads a varint of at most max_bytes bytes from [*cursor, end) and advances
// *cursor past it. Returns false if it is cut off or longer; bits past 64 are
// dropped.
bool ReadVarint(const uint8_t** cursor, const uint8_t* end, uint64_t* value,
                std::size_t max_bytes = kMaxVarintBytes);

class WireReader {
 public:
  // Reads [data, data + size). `base_offset` is the offset of `data` in the
  // outermost message, so that errors name offsets in that message.
  WireReader(const void* data, std::size_t size, std::size_t base_offset = 0);

  // Returns a reader of the message that is the payload of `field`, a field
  // read by this reader.
  WireReader Nested(const WireField& field) const;

  bool AtEnd() const { return cursor_ == end_; }
  std::size_t offset() const { return OffsetOf(cursor_); }
  std::size_t OffsetOf(const uint8_t* at) const {
    return base_offset_ + static_cast<std::size_t>(at - begin_);
  }

  // Reads the next field. Precondition: !AtEnd(). After an error the reader
  // must not be used again.
  Status Next(WireField* field);

 private:
  Status ReadTag(WireField* field);
  Status ReadPayload(WireField* field);
  Status SkipGroup(WireField* field);

  const uint8_t* begin_;
  const uint8_t* cursor_;
  const uint8_t* end_;
  std::size_t base_offset_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_WIRE_READER_H_
