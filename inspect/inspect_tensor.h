// The tensors in a file, read in place from the bytes of their messages: dims,
// type and range of values, with no memory but for the answer (a QTensor's
// planes are unpacked).
//
// Thread rule: pure functions of their arguments; call from any thread.
#ifndef CAFFE2_QUANTIZATION_INSPECT_INSPECT_TENSOR_H_
#define CAFFE2_QUANTIZATION_INSPECT_INSPECT_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "inspect/inspect.h"
#include "serialization/qtensor_codec.h"
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

// "float" for 1 … of TensorProto.DataType; its bytes an element, 0 when that is
// not known.
std::string DataTypeName(int64_t data_type);
std::size_t DataTypeBytes(int64_t data_type);

// What a TensorProto holds. *name is its own one. The result is a sentence on
// what contradicts itself, "" when nothing does.
std::string InspectTensorProto(const MessageParts& parts, std::string* name,
                               InspectedTensor* tensor);

// What a QTensorProto holds; `blob` is the whole BlobProto of one in several
// parts, else unused.
std::string InspectQTensorProto(const MessageParts& parts,
                                const MessageBytes& blob, std::string* name,
                                InspectedQTensor* tensor);

// The message that the host writes for an Int8TensorCPU: a QTensorProto whose
// data are the integers themselves, and value = scale * (x - bias).
std::string InspectInt8TensorProto(const MessageParts& parts, std::string* name,
                                   InspectedTensor* tensor);

// Calls visit(channel, integer, value) for each element of a tensor in memory,
// where value = scale * (integer + bias) in double.
void ForEachElement(
    const QTensorCPU& tensor,
    const std::function<void(std::size_t, double, double)>& visit);

// Integers and values of a tensor in memory.
void AddQTensorValues(const QTensorCPU& tensor, InspectedRange* integers,
                      InspectedRange* values);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_INSPECT_TENSOR_H_
