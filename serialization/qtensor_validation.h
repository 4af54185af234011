// Checks whether a QTensorProto, or a QTensor in memory, is valid.
//
// Every check is made on numbers, before memory is taken. A failed check gives
// a single message: the blob, the field, the value found and the value
// expected.
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
// protobuf keeps sizes in an int, so no message is larger.
inline constexpr uint64_t kMaxMessageBytes = INT32_MAX;

// The sizes that follow from the fields of a message.
struct QTensorLayout {
  std::vector<int> dims;
  uint64_t elements = 0;    // without dims: 1 with data (a scalar), else 0
  uint64_t data_bytes = 0;  // planes * bytes of a plane
};

// How many values the long fields of a message have.
struct QTensorCounts {
  uint64_t data = 0;
  uint64_t scales = 0;
  uint64_t biases = 0;
};

// Checks all of `fields`. Of the long fields it needs only the number of
// values, in `counts`. `blob` names the blob in messages.
Status ValidateQTensorProto(const std::string& blob,
                            const caffe2::QTensorProto& fields,
                            const QTensorCounts& counts, QTensorLayout* layout);

// Checks type and presence of the tensor in a BlobProto's terms.
Status ValidateQTensorBlob(const std::string& blob, bool has_type,
                           const std::string& type, bool has_qtensor);

// Checks a tensor in memory: its parameters, and that its planes are there.
Status ValidateQTensor(const std::string& blob,
                       const caffe2::QTensor<caffe2::CPUContext>& tensor);

// Returns the bytes of all planes of a tensor, computed without overflow
// (2^64 - 1 stands for more). On the wire each byte takes one or two.
uint64_t QTensorPlaneBytes(const caffe2::QTensor<caffe2::CPUContext>& tensor);

// Returns OutOfRange if protobuf cannot hold a message of `bytes` bytes; the
// error says what to do.
Status CheckQTensorMessageSize(const std::string& blob, uint64_t bytes);

// Returns the fields that the host's class lacks, as far as `fields` has them.
QTensorExtras QTensorExtrasOf(const caffe2::QTensorProto& fields);

// Makes the tensor of validated fields, with planes that are allocated but not
// yet filled. It is a PerChannelQTensor if `extras` call for one; their scales
// and biases are checked here. Lack of memory is an error too.
Status MakeQTensor(const std::string& blob, const caffe2::QTensorProto& fields,
                   const QTensorLayout& layout, QTensorExtras extras,
                   std::unique_ptr<caffe2::QTensor<caffe2::CPUContext>>* out);

// Returns the one error for a value of `data` that is no byte.
Status BadDataValue(const std::string& blob, std::size_t index, int64_t value);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_VALIDATION_H_
