// QTensor to bytes and back: the host's route through protobuf, ours through
// the registry, and ours without protobuf.
#include "benchmarks/registry.h"
#include "caffe2/core/blob.h"
#include "caffe2/core/blob_serialization.h"
#include "caffe2/core/qtensor_serialization.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_serializer.h"

namespace caffe2_quantization {
namespace {

constexpr std::size_t kBytes = std::size_t{16} << 20;

// 16 MiB of random planes: 8 bits and a sign for 14.9 million elements.
std::shared_ptr<caffe2::Blob> RandomBlob() {
  auto blob = std::make_shared<caffe2::Blob>();
  auto* tensor = blob->GetMutable<QTensorCPU>();
  tensor->SetPrecision(8);
  tensor->SetSigned(false);
  tensor->SetScale(0.5);
  tensor->SetBias(0);
  tensor->Resize(std::vector<int>{static_cast<int>(kBytes)});
  unsigned char* data = tensor->mutable_data();
  uint64_t state = 1;
  for (std::size_t i = 0; i < tensor->nbytes(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    data[i] = static_cast<unsigned char>(state >> 56);
  }
  return blob;
}

std::string Bytes(const caffe2::Blob& blob) {
  std::string bytes;
  CAFFE_ENFORCE(QTensorToBytes(blob.Get<QTensorCPU>(), "q", &bytes).ok());
  return bytes;
}

// SerializeBlob() with one serializer or the other.
template <typename Serializer>
std::unique_ptr<BenchmarkRun> MakeSerialize() {
  return MakeRun([blob = RandomBlob()] {
    std::string bytes;
    Serializer().Serialize(blob->GetRaw(), blob->meta(), "q",
                           [&](const std::string&, std::string&& data) {
                             bytes = std::move(data);
                           });
  });
}

// DeserializeBlob(): protobuf's parse, then one deserializer or the other.
template <typename Deserializer>
std::unique_ptr<BenchmarkRun> MakeDeserialize() {
  return MakeRun([bytes = Bytes(*RandomBlob())] {
    caffe2::BlobProto proto;
    CAFFE_ENFORCE(proto.ParseFromString(bytes));
    caffe2::Blob blob;
    Deserializer().Deserialize(proto, &blob);
  });
}

std::unique_ptr<BenchmarkRun> MakeToBytes() {
  return MakeRun([blob = RandomBlob()] { Bytes(*blob); });
}

std::unique_ptr<BenchmarkRun> MakeFromBytes() {
  return MakeRun([bytes = Bytes(*RandomBlob())] {
    std::unique_ptr<QTensorCPU> tensor;
    CAFFE_ENFORCE(
        QTensorFromBytes(bytes.data(), bytes.size(), &tensor, nullptr).ok());
  });
}

}  // namespace

void AddQTensorCodecBenchmarks() {
  const std::string to = "QTensor to bytes/16MiB";
  AddBenchmark(to, "host", kBytes,
               MakeSerialize<caffe2::QTensorSerializer<caffe2::CPUContext>>);
  AddBenchmark(to, "ours, registry", kBytes, MakeSerialize<QTensorSerializer>);
  AddBenchmark(to, "ours", kBytes, MakeToBytes);
  AddBenchmark(to, "ours, AVX2", kBytes, MakeToBytes, "AVX2");
  AddBenchmark(to, "ours, scalar", kBytes, MakeToBytes, "scalar");
  const std::string from = "QTensor from bytes/16MiB";
  AddBenchmark(
      from, "host", kBytes,
      MakeDeserialize<caffe2::QTensorDeserializer<caffe2::CPUContext>>);
  AddBenchmark(from, "ours, registry", kBytes,
               MakeDeserialize<QTensorDeserializer>);
  AddBenchmark(from, "ours", kBytes, MakeFromBytes);
  AddBenchmark(from, "ours, AVX2", kBytes, MakeFromBytes, "AVX2");
  AddBenchmark(from, "ours, scalar", kBytes, MakeFromBytes, "scalar");
}

}  // namespace caffe2_quantization
