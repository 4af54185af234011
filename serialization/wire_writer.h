// Appends the fields of one protobuf message to a string in the wire form, for
// messages whose bulk must not be copied. wire_reader.h reads them.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_WIRE_WRITER_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_WIRE_WRITER_H_

#include <cstdint>
#include <cstring>
#include <string>

#include "serialization/wire_reader.h"

namespace caffe2_quantization {

// Thread rule: one thread at a time.
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
  // Writes a negative number in its 64-bit form, as protobuf does.
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

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_WIRE_WRITER_H_
