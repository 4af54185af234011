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
#include "inspect/message_fields.h"
#include "serialization/qtensor_codec.h"

namespace caffe2_quantization {

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
