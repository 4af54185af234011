// Any bytes as a BlobProto with a QTensor, and as the QTensorProto in one.
//  - Whatever protobuf and the registered deserializer accept, the codec
//    accepts with the same tensor; a QTensorProto that protobuf refuses, the
//    codec refuses.
//  - A tensor that the codec accepts can be written, and what was written is
//    read as the same tensor by both, and written as the same bytes again.
//  - The packed byte kernels agree with the reference on every instruction set.
#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "caffe2/core/blob.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/kernels/isa.h"
#include "quantization/kernels/packed_bytes.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_serializer.h"
#include "tests/fuzz/fuzz_targets.h"

namespace caffe2_quantization {
namespace {

using kernels::PackedBytesOutcome;
using kernels::PackedBytesResult;

// Memory of the exact size, so that AddressSanitizer sees one byte too many.
class ExactBytes {
 public:
  explicit ExactBytes(std::size_t size)
      : size_(size), bytes_(new uint8_t[size]) {}
  ExactBytes(const void* data, std::size_t size) : ExactBytes(size) {
    if (size > 0) std::memcpy(bytes_.get(), data, size);
  }
  uint8_t* data() const { return bytes_.get(); }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::unique_ptr<uint8_t[]> bytes_;
};

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() &&
         (a.empty() ||
          std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

// Which part of two tensors differs; "" when none does.
std::string Difference(const QTensorCPU& a, const QTensorCPU& b) {
  if (a.sizes() != b.sizes() || a.size() != b.size()) return "dims";
  if (a.precision() != b.precision()) return "precision";
  if (a.is_signed() != b.is_signed()) return "is_signed";
  if (!SameBits({a.scale()}, {b.scale()})) return "scale";
  if (!SameBits({a.bias()}, {b.bias()})) return "bias";
  if (a.nbytes() != b.nbytes() ||
      (a.nbytes() > 0 && std::memcmp(a.data(), b.data(), a.nbytes()) != 0)) {
    return "planes";
  }
  const PerChannelQTensor* a_channels = AsPerChannel(a);
  const PerChannelQTensor* b_channels = AsPerChannel(b);
  if ((a_channels == nullptr) != (b_channels == nullptr)) return "class";
  if (a_channels == nullptr) return "";
  const QTensorExtras& a_extras = a_channels->extras();
  const QTensorExtras& b_extras = b_channels->extras();
  if (!SameBits(a_extras.scales, b_extras.scales)) return "scales";
  if (!SameBits(a_extras.biases, b_extras.biases)) return "biases";
  if (a_extras.axis != b_extras.axis) return "axis";
  if (a_extras.is_multiparam != b_extras.is_multiparam) return "is_multiparam";
  if (a_extras.data_type != b_extras.data_type) return "data_type";
  return "";
}

// What protobuf and the registered deserializer make of the bytes; false when
// either refuses.
bool ReadByProtobuf(const void* data, std::size_t size, caffe2::Blob* blob,
                    std::string* name) {
  caffe2::BlobProto proto;
  if (!proto.ParsePartialFromArray(data, static_cast<int>(size))) return false;
  try {
    QTensorDeserializer().Deserialize(proto, blob);
  } catch (const std::exception&) {
    return false;
  }
  *name = proto.has_name() ? proto.name() : proto.qtensor().name();
  return true;
}

// What the codec makes of the bytes; null, and why, when it refuses.
std::unique_ptr<QTensorCPU> ReadByCodec(const void* data, std::size_t size,
                                        std::string* name, Status* status) {
  const ExactBytes exact(data, size);
  std::unique_ptr<QTensorCPU> tensor;
  *status = QTensorFromBytes(exact.data(), exact.size(), &tensor, name);
  return tensor;
}

// Writes a tensor and reads it back both ways.
std::string CheckRoundTrip(const QTensorCPU& tensor, const std::string& name) {
  std::string bytes;
  Status status = QTensorToBytes(tensor, name, &bytes);
  if (!status.ok()) return "what was read is not written: " + status.message();

  std::string name_back;
  const auto back =
      ReadByCodec(bytes.data(), bytes.size(), &name_back, &status);
  if (back == nullptr) {
    return "what was written is not read: " + status.message();
  }
  if (name_back != name) return "the name changes when written";
  std::string difference = Difference(*back, tensor);
  if (!difference.empty()) return difference + " changes when written";

  caffe2::Blob blob;
  if (!ReadByProtobuf(bytes.data(), bytes.size(), &blob, &name_back)) {
    return "protobuf does not read what was written";
  }
  difference = Difference(blob.Get<QTensorCPU>(), tensor);
  if (!difference.empty() || name_back != name) {
    return "protobuf reads what was written with another " +
           (difference.empty() ? "name" : difference);
  }

  std::string again;
  status = QTensorToBytes(*back, name, &again);
  if (!status.ok() || again != bytes) return "written twice, other bytes";
  return "";
}

std::string CheckCodec(const uint8_t* data, std::size_t size) {
  std::string name = "untouched";
  Status status;
  const auto tensor = ReadByCodec(data, size, &name, &status);
  if (status.ok() != (tensor != nullptr)) return "status and tensor disagree";
  if (tensor == nullptr && name != "untouched") return "name of a refused one";
  if (tensor == nullptr && status.message().empty()) return "no error message";

  caffe2::Blob blob;
  std::string protobuf_name;
  if (ReadByProtobuf(data, size, &blob, &protobuf_name)) {
    if (tensor == nullptr) {
      return "protobuf reads it, the codec does not: " + status.message();
    }
    const std::string difference = Difference(*tensor, blob.Get<QTensorCPU>());
    if (!difference.empty()) return "protobuf reads another " + difference;
    if (name != protobuf_name) return "protobuf reads another name";
  }
  return tensor == nullptr ? "" : CheckRoundTrip(*tensor, name);
}

// A BlobProto around the bytes, so that a mutation inside the tensor need not
// also hit on its new length.
std::string Wrapped(const uint8_t* data, std::size_t size) {
  std::string bytes = "\x0A\x01w\x12\x07QTensor\x2A";
  for (std::size_t rest = size;; rest >>= 7) {
    bytes.push_back(static_cast<char>(rest < 0x80 ? rest : rest | 0x80));
    if (rest < 0x80) break;
  }
  if (size > 0) bytes.append(reinterpret_cast<const char*>(data), size);
  return bytes;
}

// The tensor alone is read as it is inside a blob.
std::string CheckAlone(const uint8_t* data, std::size_t size,
                       const std::string& wrapped) {
  std::string name;
  Status status;
  const auto inside =
      ReadByCodec(wrapped.data(), wrapped.size(), &name, &status);
  const ExactBytes exact(data, size);
  std::unique_ptr<QTensorCPU> alone;
  status = QTensorFromProtoBytes(exact.data(), size, 1000, &alone, &name);
  if (status.ok() != (alone != nullptr)) return "alone, status and tensor";
  if ((alone == nullptr) != (inside == nullptr)) {
    return "alone it is read otherwise than in a blob: " + status.message();
  }
  if (alone == nullptr) return "";
  if (!caffe2::QTensorProto().ParsePartialFromArray(data,
                                                    static_cast<int>(size))) {
    return "alone the codec reads what protobuf refuses";
  }
  return Difference(*alone, *inside);
}

std::string CheckMessages(const uint8_t* data, std::size_t size) {
  std::string finding = CheckCodec(data, size);
  if (!finding.empty()) return finding;
  const std::string wrapped = Wrapped(data, size);
  finding = CheckCodec(reinterpret_cast<const uint8_t*>(wrapped.data()),
                       wrapped.size());
  return finding.empty() ? CheckAlone(data, size, wrapped) : finding;
}

bool SameResult(const PackedBytesResult& a, const PackedBytesResult& b) {
  return a.consumed == b.consumed && a.produced == b.produced &&
         a.outcome == b.outcome &&
         (a.outcome != PackedBytesOutcome::kOutOfRange || a.value == b.value);
}

// The bytes as `data` of a message, with room for `capacity` values.
std::string CheckDecode(const ExactBytes& wire, std::size_t capacity) {
  const ExactBytes expected(capacity);
  const PackedBytesResult want = kernels::reference::DecodePackedBytes(
      wire.data(), wire.size(), expected.data(), capacity);
  const ExactBytes got(capacity);
  const PackedBytesResult result = kernels::DecodePackedBytes(
      wire.data(), wire.size(), got.data(), capacity);
  if (!SameResult(result, want)) return "DecodePackedBytes: another result";
  if (want.produced > 0 &&
      std::memcmp(got.data(), expected.data(), want.produced) != 0) {
    return "DecodePackedBytes: other bytes";
  }
  return "";
}

// The bytes as planes to be written.
std::string CheckEncode(const ExactBytes& planes) {
  const std::size_t size =
      kernels::reference::PackedBytesSize(planes.data(), planes.size());
  if (kernels::PackedBytesSize(planes.data(), planes.size()) != size) {
    return "PackedBytesSize: another size";
  }
  const ExactBytes expected(size);
  kernels::reference::EncodePackedBytes(planes.data(), planes.size(),
                                        expected.data());
  const ExactBytes got(size);
  if (kernels::EncodePackedBytes(planes.data(), planes.size(), got.data()) !=
          size ||
      !std::equal(got.data(), got.data() + size, expected.data())) {
    return "EncodePackedBytes: other bytes";
  }
  return "";
}

// The bytes as int32 values.
std::string CheckNarrow(const ExactBytes& bytes) {
  const std::size_t n = bytes.size() / sizeof(int32_t);
  const std::unique_ptr<int32_t[]> values(new int32_t[n]);
  // Every other time small values, which get further.
  const bool small = bytes.size() % 2 == 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::memcpy(&values[i], bytes.data() + i * sizeof(int32_t),
                sizeof(int32_t));
    if (small) values[i] &= 0x1FF;
  }
  const ExactBytes expected(n);
  const std::size_t want =
      kernels::reference::NarrowInt32ToBytes(values.get(), n, expected.data());
  const ExactBytes got(n);
  if (kernels::NarrowInt32ToBytes(values.get(), n, got.data()) != want ||
      !std::equal(got.data(), got.data() + want, expected.data())) {
    return "NarrowInt32ToBytes: other bytes";
  }
  return "";
}

std::string CheckKernels(const uint8_t* data, std::size_t size) {
  const ExactBytes bytes(data, size);
  const auto values = static_cast<std::size_t>(
      std::count_if(data, data + size, [](uint8_t v) { return v < 0x80; }));
  for (const std::size_t capacity : {size, values, values / 2}) {
    const std::string finding = CheckDecode(bytes, capacity);
    if (!finding.empty()) return finding;
  }
  const std::string finding = CheckEncode(bytes);
  return finding.empty() ? CheckNarrow(bytes) : finding;
}

}  // namespace

std::string FuzzQTensorDecoder(const uint8_t* data, std::size_t size) {
  static const std::vector<std::string> targets =
      kernels::SupportedTargetNames();
  std::string finding;
  for (std::size_t i = 0; i < targets.size() && finding.empty(); ++i) {
    kernels::ForceTargetForTest(targets[i]);
    finding = CheckKernels(data, size);
    // The codec adds nothing of its own to a target: one will do.
    if (finding.empty() && i == size % targets.size()) {
      finding = CheckMessages(data, size);
    }
    if (!finding.empty()) finding += " (target " + targets[i] + ")";
  }
  kernels::ClearForcedTargetForTest();
  return finding;
}

}  // namespace caffe2_quantization
