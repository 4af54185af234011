// What the QTensor tests share: random tensors, the host's own (de)serializer,
// and a writer of messages that no writer would make.
#ifndef CAFFE2_QUANTIZATION_TESTS_SERIALIZATION_QTENSOR_TESTING_H_
#define CAFFE2_QUANTIZATION_TESTS_SERIALIZATION_QTENSOR_TESTING_H_

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "caffe2/core/blob.h"
#include "caffe2/core/qtensor_serialization.h"
#include "serialization/per_channel_qtensor.h"
#include "serialization/qtensor_codec.h"
#include "tests/support/random.h"

namespace caffe2_quantization {

// Any tensor that the host can write: precision 1 to 16, signed or not, 0 to 4
// dims, element counts around multiples of 8 among them, every byte of its
// planes random, pad bits too.
inline std::unique_ptr<QTensorCPU> RandomQTensor(TestRandom* random) {
  std::vector<int> dims(random->Integer(0, 4));
  for (int& dim : dims) {
    dim = static_cast<int>(random->OneIn(20) ? 0 : random->Integer(1, 9));
  }
  if (!dims.empty() && random->OneIn(3)) {
    dims.assign(1, static_cast<int>(8 * random->Integer(0, 40) +
                                    random->Integer(0, 2)));
  }
  auto tensor = std::make_unique<QTensorCPU>(
      dims, static_cast<unsigned char>(random->Integer(1, 16)),
      random->OneIn(2));
  tensor->SetScale(random->Float(-2, 2));
  tensor->SetBias(random->OneIn(3) ? 0.0 : random->Float(-99, 99));
  const bool small_bytes = random->OneIn(4);
  unsigned char* data = tensor->mutable_data();
  for (size_t i = 0; i < tensor->nbytes(); ++i) {
    data[i] = random->Byte() & (small_bytes ? 0x7F : 0xFF);
  }
  return tensor;
}

inline std::string RandomName(TestRandom* random) {
  std::string name(random->Integer(0, 20), ' ');
  for (char& c : name) c = static_cast<char>(random->Integer(' ', '~'));
  return name;
}

inline std::string HostBytes(const QTensorCPU& tensor,
                             const std::string& name) {
  std::string bytes;
  caffe2::QTensorSerializer<caffe2::CPUContext>().Serialize(
      &tensor, caffe2::TypeMeta::Make<QTensorCPU>(), name,
      [&](const std::string&, std::string&& data) { bytes = std::move(data); });
  return bytes;
}

inline std::string OurBytes(const QTensorCPU& tensor, const std::string& name) {
  std::string bytes;
  const Status status = QTensorToBytes(tensor, name, &bytes);
  EXPECT_TRUE(status.ok()) << status.message();
  return bytes;
}

inline std::vector<uint8_t> Planes(const QTensorCPU& tensor) {
  return tensor.nbytes() == 0
             ? std::vector<uint8_t>()
             : std::vector<uint8_t>(tensor.data(),
                                    tensor.data() + tensor.nbytes());
}

inline void ExpectSameTensor(const QTensorCPU& got, const QTensorCPU& want) {
  ASSERT_EQ(got.sizes(), want.sizes());
  ASSERT_EQ(got.size(), want.size());
  ASSERT_EQ(got.precision(), want.precision());
  ASSERT_EQ(got.is_signed(), want.is_signed());
  ASSERT_EQ(got.scale(), want.scale());
  ASSERT_EQ(got.bias(), want.bias());
  ASSERT_EQ(Planes(got), Planes(want));
  const PerChannelQTensor* got_extras = AsPerChannel(got);
  const PerChannelQTensor* want_extras = AsPerChannel(want);
  ASSERT_EQ(got_extras == nullptr, want_extras == nullptr);
  if (got_extras == nullptr) return;
  ASSERT_EQ(got_extras->extras().scales, want_extras->extras().scales);
  ASSERT_EQ(got_extras->extras().biases, want_extras->extras().biases);
  ASSERT_EQ(got_extras->extras().axis, want_extras->extras().axis);
  ASSERT_EQ(got_extras->extras().is_multiparam,
            want_extras->extras().is_multiparam);
  ASSERT_EQ(got_extras->extras().data_type, want_extras->extras().data_type);
}

// A message as a string of bytes, field by field.
class Message {
 public:
  static std::string VarintBytes(uint64_t value, int padding = 0) {
    std::string bytes;
    while (value >= 0x80 || padding > 0) {
      if (value < 0x80) --padding;
      bytes.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    bytes.push_back(static_cast<char>(value));
    return bytes;
  }

  Message& Tag(uint32_t number, int type) {
    return Raw(
        VarintBytes(uint64_t{number} << 3 | static_cast<uint64_t>(type)));
  }
  Message& Raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  Message& Varint(uint32_t number, int64_t value, int padding = 0) {
    return Tag(number, 0).Raw(
        VarintBytes(static_cast<uint64_t>(value), padding));
  }
  Message& Fixed64(uint32_t number, double value) {
    char bytes[8];
    std::memcpy(bytes, &value, 8);
    return Tag(number, 1).Raw(std::string(bytes, 8));
  }
  Message& Fixed32(uint32_t number, uint32_t value) {
    char bytes[4];
    std::memcpy(bytes, &value, 4);
    return Tag(number, 5).Raw(std::string(bytes, 4));
  }
  Message& Bytes(uint32_t number, const std::string& value) {
    return Tag(number, 2).Raw(VarintBytes(value.size())).Raw(value);
  }
  Message& Group(uint32_t number, const Message& inner) {
    return Tag(number, 3).Raw(inner.str()).Tag(number, 4);
  }
  const std::string& str() const { return bytes_; }

 private:
  std::string bytes_;
};

// Fields of the two messages, by their numbers in caffe2.proto.
enum QTensorField : uint32_t {
  kDims = 1,
  kPrecision = 2,
  kScale = 3,
  kBias = 4,
  kIsSigned = 5,
  kData = 6,
  kTensorName = 7,
  kDataType = 8,
  kScales = 9,
  kBiases = 10,
  kAxis = 11,
  kIsMultiparam = 12,
};
enum BlobField : uint32_t { kBlobName = 1, kBlobType = 2, kBlobQTensor = 5 };

inline std::string BlobOf(const Message& qtensor,
                          const std::string& name = "w") {
  return Message()
      .Bytes(kBlobName, name)
      .Bytes(kBlobType, "QTensor")
      .Bytes(kBlobQTensor, qtensor.str())
      .str();
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SERIALIZATION_QTENSOR_TESTING_H_
