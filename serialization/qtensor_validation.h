// What makes a QTensorProto, or a QTensor in memory, a valid one.
//
// Every check is made on numbers, before memory is taken. A failed one gives a
// single message: the blob, the field, the value found and the value expected.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_VALIDATION_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_VALIDATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/core/qtensor.h"
#include "caffe2/proto/caffe2_pb.h"
#include "serialization/per_channel_qtensor.h"

namespace caffe2_quantization {

inline constexpr char kQTensorBlobType[] = "QTensor";
inline constexpr int kMaxQTensorPrecision = 64;
// More dims than this are no tensor but an attack on the memory.
inline constexpr uint64_t kMaxQTensorDims = 1024;
// protobuf keeps sizes in an int: no message is larger.
inline constexpr uint64_t kMaxMessageBytes = INT32_MAX;

// What the fields of a message come to.
struct QTensorLayout {
  std::vector<int> dims;
  uint64_t elements = 0;    // 1 for no dims with data: a scalar; else 0
  uint64_t data_bytes = 0;  // planes * bytes of a plane
};

// How many values the long fields of a message have.
struct QTensorCounts {
  uint64_t data = 0;
  uint64_t scales = 0;
  uint64_t biases = 0;
};

// Checks everything in `fields` but the long ones, of which it takes the
// numbers of values alone. `blob` names the blob in messages.
Status ValidateQTensorProto(const std::string& blob,
                            const caffe2::QTensorProto& fields,
                            const QTensorCounts& counts, QTensorLayout* layout);

// Checks type and presence of the tensor in a BlobProto's terms.
Status ValidateQTensorBlob(const std::string& blob, bool has_type,
                           const std::string& type, bool has_qtensor);

// Checks a tensor in memory: its parameters, and that its planes are there.
Status ValidateQTensor(const std::string& blob,
                       const caffe2::QTensor<caffe2::CPUContext>& tensor);

// Bytes of all planes of a tensor, computed without overflow (2^64 - 1 stands
// for more). On the wire each takes one or two.
uint64_t QTensorPlaneBytes(const caffe2::QTensor<caffe2::CPUContext>& tensor);

// OutOfRange when a message of `bytes` bytes is more than protobuf can hold;
// the message says what to do.
Status CheckQTensorMessageSize(const std::string& blob, uint64_t bytes);

// The fields that the host's class lacks, as far as they are in `fields`.
QTensorExtras QTensorExtrasOf(const caffe2::QTensorProto& fields);

// Makes the tensor of validated fields, its planes allocated and not yet
// filled: a PerChannelQTensor where `extras` call for one; their scales and
// biases are checked here. An error also when there is no memory for it.
Status MakeQTensor(const std::string& blob, const caffe2::QTensorProto& fields,
                   const QTensorLayout& layout, QTensorExtras extras,
                   std::unique_ptr<caffe2::QTensor<caffe2::CPUContext>>* out);

// The one message for a value of `data` that is no byte.
Status BadDataValue(const std::string& blob, std::size_t index, int64_t value);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_VALIDATION_H_
