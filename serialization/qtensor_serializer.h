// The serializers of QTensor for the host's registries: SerializeBlob(),
// DeserializeBlob(), the operators Save and Load, and everything above them use
// these for such a blob.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_SERIALIZER_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_SERIALIZER_H_

#include <string>

#include "base/export.h"
#include "caffe2/core/blob_serialization.h"

namespace caffe2_quantization {

// Writes a caffe2::QTensor<CPUContext> as the host's serializer does, byte for
// byte, and a PerChannelQTensor with its further fields. It throws the host's
// enforce error, before the acceptor is called, for a tensor that could not be
// read back: planes that were never set, parameters out of range, a message
// over 2 GiB.
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
// tensor into the blob. On failure it throws the host's enforce error, and the
// blob is unchanged.
//
// By then protobuf has parsed the message, which costs far more than this.
// QTensorFromBytes() reads the same bytes without protobuf.
//
// Thread rule: no state; the blob belongs to the caller.
class CAFFE2_QUANTIZATION_API QTensorDeserializer
    : public caffe2::BlobDeserializerBase {
 public:
  void Deserialize(const caffe2::BlobProto& proto, caffe2::Blob* blob) override;
};

// Registers both at a priority above the host's own. Call it once in a process:
// on a second registration of equal priority the registries end the process.
void RegisterQTensorSerializers();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_SERIALIZER_H_
