// Reads the tensors of a file in place, from the bytes of their messages: dims,
// type and range of values. It takes no memory but for the answer, except that
// a QTensor's planes are unpacked.
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
#include "inspect/message_fields.h"
#include "serialization/qtensor_codec.h"

namespace caffe2_quantization {

// The name of a TensorProto.DataType ("float" for 1 …), and its bytes per
// element, 0 if that is not known.
std::string DataTypeName(int64_t data_type);
std::size_t DataTypeBytes(int64_t data_type);

// Reads what a TensorProto holds. *name receives the name in the message.
// Returns a sentence on what contradicts itself in it, or "" if nothing does.
std::string InspectTensorProto(const MessageParts& parts, std::string* name,
                               InspectedTensor* tensor);

// Does the same for a QTensorProto. `blob` is the whole BlobProto if the
// message is in several parts; else it is unused.
std::string InspectQTensorProto(const MessageParts& parts,
                                const MessageBytes& blob, std::string* name,
                                InspectedQTensor* tensor);

// Does the same for the message that the host writes for an Int8TensorCPU: a
// QTensorProto whose data are the integers themselves, with value = scale * (x
// - bias).
std::string InspectInt8TensorProto(const MessageParts& parts, std::string* name,
                                   InspectedTensor* tensor);

// Calls visit(channel, integer, value) for each element of a tensor in memory,
// where value = scale * (integer + bias) in double.
void ForEachElement(
    const QTensorCPU& tensor,
    const std::function<void(std::size_t, double, double)>& visit);

// Adds the integers and the values of a tensor in memory to two ranges.
void AddQTensorValues(const QTensorCPU& tensor, InspectedRange* integers,
                      InspectedRange* values);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_INSPECT_INSPECT_TENSOR_H_
