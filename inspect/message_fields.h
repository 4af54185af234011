// The fields of one protobuf message in a file, read in place: numbers, texts,
// dims, and messages within.
//
// Thread rule: pure functions of their arguments; call from any thread.
#ifndef CAFFE2_QUANTIZATION_INSPECT_MESSAGE_FIELDS_H_
#define CAFFE2_QUANTIZATION_INSPECT_MESSAGE_FIELDS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "inspect/inspect.h"
#include "netdef/model_reader_schema.h"
#include "serialization/wire_reader.h"

namespace caffe2_quantization {

// Bytes of a message, and where they stand in the file.
struct MessageBytes {
  const uint8_t* data = nullptr;
  std::size_t size = 0;
  std::size_t offset = 0;
};

MessageBytes BytesOf(const WireReader& reader, const WireField& field);

// A message that is set more than once is merged by protobuf: all its parts.
using MessageParts = std::vector<MessageBytes>;

// Calls visit(reader, field) for each field; stops without a word where the
// structure breaks, which ScanMessage() has told.
template <typename Visit>
void ForEachField(const MessageBytes& message, const Visit& visit) {
  WireReader reader(message.data, message.size, message.offset);
  WireField field;
  while (!reader.AtEnd() && reader.Next(&field).ok()) visit(reader, field);
}
template <typename Visit>
void ForEachField(const MessageParts& parts, const Visit& visit) {
  for (const MessageBytes& part : parts) ForEachField(part, visit);
}

std::string TextOf(const WireField& field);
int64_t IntegerOf(const WireField& field);  // of a varint
double DoubleOf(const WireField& field);    // of a fixed64
double FloatOf(const WireField& field);     // of a fixed32

bool IsVarint(const WireField& field);
bool IsBytes(const WireField& field);

// The bytes of a number, as they stand in memory.
template <typename T>
T Load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Takes every number of a repeated field, packed or not, whose kind is kFloat,
// kDouble or an integer one.
void AddNumbers(const WireField& field, FieldKind kind, InspectedRange* range);
void ForEachInteger(const WireField& field,
                    const std::function<void(int64_t)>& visit);

// Appends dims up to a number that no tensor has; false on more.
bool AddDims(const WireField& field, std::vector<int64_t>* dims);

// The product of dims, with 2^64 - 1 for more than 63 bits; false when one is
// below 0.
bool CountElements(const std::vector<int64_t>& dims, uint64_t* elements);

// What a message with more dims than that is told.
std::string TooManyDims();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_MESSAGE_FIELDS_H_
