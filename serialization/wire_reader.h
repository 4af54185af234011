// A cursor over the fields of one protobuf message, for messages whose bulk
// must not be copied: it parses nothing. It takes what protobuf takes (any
// order, unknown fields, groups, varints longer than needed) and tells where a
// broken message breaks.
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
  // Where the tag stands, counted from the start of the outermost message.
  std::size_t offset = 0;
  // The tag, and [begin, end): the payload. Of kBytes that is what follows the
  // length, of kGroup everything up to the tag that ends it.
  const uint8_t* tag = nullptr;
  const uint8_t* begin = nullptr;
  const uint8_t* end = nullptr;

  std::size_t size() const { return static_cast<std::size_t>(end - begin); }
};

inline constexpr std::size_t kMaxVarintBytes = 10;

// Reads a varint of at most max_bytes bytes from [*cursor, end) and advances
// *cursor past it. Returns false when it is cut off or longer; the bits past 64
// are dropped.
bool ReadVarint(const uint8_t** cursor, const uint8_t* end, uint64_t* value,
                std::size_t max_bytes = kMaxVarintBytes);

class WireReader {
 public:
  // Reads [data, data + size); `base_offset` is where `data` stands in the
  // outermost message, so that errors name offsets of that one.
  WireReader(const void* data, std::size_t size, std::size_t base_offset = 0);

  // A reader of the message that is the payload of `field`, read from this one.
  WireReader Nested(const WireField& field) const;

  bool AtEnd() const { return cursor_ == end_; }
  std::size_t offset() const { return OffsetOf(cursor_); }
  std::size_t OffsetOf(const uint8_t* at) const {
    return base_offset_ + static_cast<std::size_t>(at - begin_);
  }

  // Reads the next field. Precondition: !AtEnd(). After an error the reader is
  // of no further use.
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
