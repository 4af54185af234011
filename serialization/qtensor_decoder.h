// Decodes a QTensor's bytes in passes: the first one counts and checks, then
// others move planes, scales and biases to the tensor. qtensor_codec.h has the
// rules.
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

// The bytes of a BlobProto, or of a QTensorProto alone.
struct QTensorInput {
  const void* bytes;
  std::size_t size;
  std::size_t offset;  // of the bytes in a file, for messages
  bool is_blob;

  // What errors call the QTensorProto.
  const char* tensor_name() const {
    return is_blob ? "BlobProto.qtensor" : "QTensorProto";
  }
};

// What the first pass over a message learns. Nothing in it grows with the
// message: texts are views into it, and long fields are only counted.
struct QTensorScan {
  std::optional<std::string_view> name;
  std::optional<std::string_view> type;
  bool has_qtensor = false;
  std::string_view tensor_name;
  caffe2::QTensorProto fields;  // without name, data, scales and biases
  QTensorCounts counts;
};

// Makes the first pass. It reads fields as protobuf would: the last scalar
// wins, lists grow, and a field of another wire type than its own is unknown.
Status ScanQTensor(const QTensorInput& input, QTensorScan* scan);

// Reads the scales and biases that the first pass counted straight to where the
// tensor will have them.
Status ReadScalesAndBiases(const QTensorInput& input, const std::string& name,
                           const QTensorCounts& counts, QTensorExtras* extras);

// Makes all passes. On an error *tensor and *name, which may be null, are
// unchanged.
Status DecodeQTensor(const QTensorInput& input,
                     std::unique_ptr<QTensorCPU>* tensor, std::string* name);

// Returns as much of a message's text as an error repeats.
std::string QuotedText(std::string_view text);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_SERIALIZATION_QTENSOR_DECODER_H_
