// QTensor in the host's registries: what SerializeBlob(), DeserializeBlob(),
// the operators Save and Load, and everything above them use for such a blob.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_SERIALIZER_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_SERIALIZER_H_

#include <string>

#include "base/export.h"
#include "caffe2/core/blob_serialization.h"

namespace caffe2_quantization {

// Writes a caffe2::QTensor<CPUContext> as the host's serializer does, byte for
// byte; a PerChannelQTensor with its further fields. Fails by the host's
// enforce error, before the acceptor is called, on what could not be read back:
// planes that were never set, parameters out of range, a message over 2 GiB.
//
// Thread rule: no state; one object serves any number of threads.
class CAFFE2_QUANTIZATION_API QTensorSerializer
    : public caffe2::BlobSerializerBase {
 public:
  void Serialize(const void* pointer, caffe2::TypeMeta type_meta,
                 const std::string& name,
                 SerializationAcceptor acceptor) override;
};

// Checks every field of the message before memory is taken, then puts a new
// tensor into the blob. On failure, by the host's enforce error, the blob is
// what it was.
//
// The message has been parsed by protobuf by then, which costs far more than
// this: QTensorFromBytes() reads the same bytes without it.
//
// Thread rule: no state; the blob belongs to the caller.
class CAFFE2_QUANTIZATION_API QTensorDeserializer
    : public caffe2::BlobDeserializerBase {
 public:
  void Deserialize(const caffe2::BlobProto& proto, caffe2::Blob* blob) override;
};

// Registers both at a priority above the host's own. Call once in a process:
// the registries end it on a second registration of equal priority.
void RegisterQTensorSerializers();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_SERIALIZER_H_
