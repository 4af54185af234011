// Converts QTensors to bytes and back, at memory speed: the bit planes go
// straight between the tensor and the wire. FORMAT.md has the form of the
// bytes.
//
// The bytes are a BlobProto, the same that the host's SerializeBlob() makes,
// and either side reads the other's. Reading them through the host's
// DeserializeBlob() makes protobuf spread every byte of a plane to an int32
// first; QTensorFromBytes() does not.
//
// Thread rule: pure functions of their arguments; call from any thread.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_CODEC_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_CODEC_H_

#include <cstddef>
#include <memory>
#include <string>

#include "base/export.h"
#include "base/status.h"
#include "caffe2/core/qtensor.h"
#include "serialization/per_channel_qtensor.h"

namespace caffe2_quantization {

using QTensorCPU = caffe2::QTensor<caffe2::CPUContext>;
class InputFile;  // base/read_file.h, which is not installed

// Writes `tensor` as a BlobProto named `name`. *out is replaced; on an error it
// is unchanged. Errors:
//   InvalidArgument or Corruption: the tensor is not valid, or not set.
//   OutOfRange: the message would be over 2 GiB; nothing was allocated.
CAFFE2_QUANTIZATION_API Status QTensorToBytes(const QTensorCPU& tensor,
                                              const std::string& name,
                                              std::string* out);

// Reads a BlobProto from [bytes, bytes + size). *tensor and *name (which may be
// null) are set on success, else unchanged. The tensor is a PerChannelQTensor
// if the message has fields that the host's class lacks.
//
// It takes memory for the result and at most 64 KiB more, however many channels
// the tensor has and whatever else is in the message. It accepts what protobuf
// accepts: fields in any order, repeated and unknown ones, groups, qtensor
// split into parts, data packed, not packed or in pieces, varints longer than
// needed. Errors name the offset or the field, and a blob by the first 256
// bytes of its name.
CAFFE2_QUANTIZATION_API Status
QTensorFromBytes(const void* bytes, std::size_t size,
                 std::unique_ptr<QTensorCPU>* tensor, std::string* name);

// Does the same for a QTensorProto alone, which is what an operator's argument
// `qtensors` holds. `base_offset` is the bytes' offset in a file; errors add it
// to theirs.
Status QTensorFromProtoBytes(const void* bytes, std::size_t size,
                             std::size_t base_offset,
                             std::unique_ptr<QTensorCPU>* tensor,
                             std::string* name);

// Reads the BlobProto at [offset, offset + size) of an opened file as
// QTensorFromBytes does, but reads its planes straight from the file: beside
// the tensor it takes 256 KiB. It does so for messages as QTensorToBytes and
// the host write them. For any other message, also one that is no QTensor or is
// broken, *tensor is left null, and the caller has to read the bytes. Errors
// are those of the file.
Status StreamQTensor(InputFile* file, std::size_t offset, std::size_t size,
                     std::unique_ptr<QTensorCPU>* tensor, std::string* name);

// The same for a file that holds one BlobProto. It is written under another
// name beside the old one and renamed, so a reader sees either file whole.
CAFFE2_QUANTIZATION_API Status QTensorToFile(const QTensorCPU& tensor,
                                             const std::string& name,
                                             const std::string& path);
CAFFE2_QUANTIZATION_API Status
QTensorFromFile(const std::string& path, std::unique_ptr<QTensorCPU>* tensor,
                std::string* name);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_CODEC_H_
