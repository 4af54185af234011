// The passes over a QTensor's bytes: a first one that counts, checks, and then
// those that move planes, scales and biases to the tensor. qtensor_codec.h has
// the rules.
//
// Thread rule: pure functions of their arguments; call from any thread.
#ifndef CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_DECODER_H_
#define CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_DECODER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "serialization/per_channel_qtensor.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_validation.h"

namespace caffe2_quantization {

// A BlobProto, or the QTensorProto alone.
struct QTensorInput {
  const void* bytes;
  std::size_t size;
  std::size_t offset;  // of the bytes, for messages
  bool is_blob;

  // What errors call the QTensorProto.
  const char* tensor_name() const {
    return is_blob ? "BlobProto.qtensor" : "QTensorProto";
  }
};

// What a first pass over a message learns. Nothing in it grows with the
// message: texts are where they stand there, and long fields are only counted.
struct QTensorScan {
  std::optional<std::string_view> name;
  std::optional<std::string_view> type;
  bool has_qtensor = false;
  std::string_view tensor_name;
  caffe2::QTensorProto fields;  // but for name, data, scales and biases
  QTensorCounts counts;
};

// The first pass. It takes what a field says as protobuf would: the last scalar
// wins, lists grow, and a field of another wire type than its own is unknown.
Status ScanQTensor(const QTensorInput& input, QTensorScan* scan);

// Reads scales and biases, whose number the first pass counted, straight to
// where the tensor will have them.
Status ReadScalesAndBiases(const QTensorInput& input, const std::string& name,
                           const QTensorCounts& counts, QTensorExtras* extras);

// All passes. On an error *tensor and *name, which may be null, are left alone.
Status DecodeQTensor(const QTensorInput& input,
                     std::unique_ptr<QTensorCPU>* tensor, std::string* name);

// As much of a text from a message as an error repeats.
std::string QuotedText(std::string_view text);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_DECODER_H_
