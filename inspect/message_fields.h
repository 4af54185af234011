// Reads the fields of one protobuf message of a file in place: numbers, texts,
// dims, and the messages in it.
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

// The bytes of a message, and their offset in the file.
struct MessageBytes {
  const uint8_t* data = nullptr;
  std::size_t size = 0;
  std::size_t offset = 0;
};

MessageBytes BytesOf(const WireReader& reader, const WireField& field);

// All parts of a message. protobuf merges a message that is set more than once.
using MessageParts = std::vector<MessageBytes>;

// Calls visit(reader, field) for each field. It stops silently where the
// structure breaks, since ScanMessage() has reported that.
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

// Returns the number whose bytes, as they lie in memory, begin at `from`.
template <typename T>
T Load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

// Adds every number of a repeated field, packed or not, whose kind is kFloat,
// kDouble or an integer kind.
void AddNumbers(const WireField& field, FieldKind kind, InspectedRange* range);
void ForEachInteger(const WireField& field,
                    const std::function<void(int64_t)>& visit);

// Appends dims, up to a number that no tensor has; returns false if there are
// more.
bool AddDims(const WireField& field, std::vector<int64_t>* dims);

// Sets *elements to the product of dims, or to 2^64 - 1 if it has more than 63
// bits. Returns false if a dim is below 0.
bool CountElements(const std::vector<int64_t>& dims, uint64_t* elements);

// Returns the fault of a message with more dims than that.
std::string TooManyDims();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_MESSAGE_FIELDS_H_
