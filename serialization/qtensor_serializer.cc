#include "serialization/qtensor_serializer.h"

#include <memory>
#include <utility>

#include "base/return_if_error.h"
#include "caffe2/core/blob.h"
#include "quantization/kernels/packed_bytes.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_validation.h"

namespace caffe2_quantization {
namespace {

void EnforceOk(const Status& status) {
  if (!status.ok()) CAFFE_THROW(status.message());
}

Status MakeFromProto(const caffe2::BlobProto& proto,
                     std::unique_ptr<QTensorCPU>* tensor) {
  const caffe2::QTensorProto& fields = proto.qtensor();
  const std::string& name = proto.has_name() ? proto.name() : fields.name();
  RETURN_IF_ERROR(ValidateQTensorBlob(name, proto.has_type(), proto.type(),
                                      proto.has_qtensor()));
  const std::size_t values = static_cast<std::size_t>(fields.data_size());
  QTensorCounts counts;
  counts.data = values;
  counts.scales = static_cast<uint64_t>(fields.scales_size());
  counts.biases = static_cast<uint64_t>(fields.biases_size());
  QTensorLayout layout;
  RETURN_IF_ERROR(ValidateQTensorProto(name, fields, counts, &layout));
  RETURN_IF_ERROR(
      MakeQTensor(name, fields, layout, QTensorExtrasOf(fields), tensor));
  const std::size_t narrowed = kernels::NarrowInt32ToBytes(
      fields.data().data(), values, (*tensor)->mutable_data());
  if (narrowed != values) {
    return BadDataValue(name, narrowed,
                        fields.data(static_cast<int>(narrowed)));
  }
  return Status::Ok();
}

}  // namespace

void QTensorSerializer::Serialize(const void* pointer,
                                  caffe2::TypeMeta type_meta,
                                  const std::string& name,
                                  SerializationAcceptor acceptor) {
  CAFFE_ENFORCE(type_meta.Match<QTensorCPU>(), "Blob '", name, "' is of type ",
                type_meta.name(), ", expected ",
                caffe2::TypeMeta::TypeName<QTensorCPU>());
  std::string bytes;
  EnforceOk(
      QTensorToBytes(*static_cast<const QTensorCPU*>(pointer), name, &bytes));
  acceptor(name, std::move(bytes));
}

void QTensorDeserializer::Deserialize(const caffe2::BlobProto& proto,
                                      caffe2::Blob* blob) {
  std::unique_ptr<QTensorCPU> tensor;
  EnforceOk(MakeFromProto(proto, &tensor));
  blob->Reset(tensor.release());
}

void RegisterQTensorSerializers() {
  caffe2::BlobSerializerRegistry()->Register(
      caffe2::TypeMeta::Id<QTensorCPU>(),
      [] {
        return std::unique_ptr<caffe2::BlobSerializerBase>(
            new QTensorSerializer);
      },
      c10::REGISTRY_PREFERRED);
  caffe2::BlobDeserializerRegistry()->Register(
      kQTensorBlobType,
      [] {
        return std::unique_ptr<caffe2::BlobDeserializerBase>(
            new QTensorDeserializer);
      },
      c10::REGISTRY_PREFERRED);
}

}  // namespace caffe2_quantization
