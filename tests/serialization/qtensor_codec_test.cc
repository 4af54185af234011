#include "serialization/qtensor_codec.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/read_file.h"
#include "caffe2/core/blob_serialization.h"
#include "serialization/qtensor_serializer.h"
#include "serialization/qtensor_validation.h"
#include "tests/serialization/qtensor_testing.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

Status Read(const std::string& bytes, std::unique_ptr<QTensorCPU>* tensor,
            std::string* name = nullptr) {
  // A copy of the exact size, so that AddressSanitizer sees one byte too many.
  const std::vector<char> exact(bytes.begin(), bytes.end());
  return QTensorFromBytes(exact.data(), exact.size(), tensor, name);
}

std::unique_ptr<QTensorCPU> MustRead(const std::string& bytes,
                                     std::string* name = nullptr) {
  std::unique_ptr<QTensorCPU> tensor;
  const Status status = Read(bytes, &tensor, name);
  EXPECT_TRUE(status.ok()) << status.message();
  return tensor;
}

std::string ErrorOf(const std::string& bytes) {
  std::unique_ptr<QTensorCPU> tensor;
  std::string name = "as it was";
  const Status status = Read(bytes, &tensor, &name);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(tensor, nullptr);
  EXPECT_EQ(name, "as it was");
  return status.message();
}

// What protobuf and our deserializer make of the same bytes; null if refused.
std::unique_ptr<caffe2::Blob> ReadByProtobuf(const std::string& bytes) {
  caffe2::BlobProto proto;
  if (!proto.ParsePartialFromString(bytes)) return nullptr;
  auto blob = std::make_unique<caffe2::Blob>();
  try {
    QTensorDeserializer().Deserialize(proto, blob.get());
  } catch (const c10::Error&) {
    return nullptr;
  }
  return blob;
}

TEST(QTensorCodecTest, SameBytesAsTheHostAndEachReadsTheOthers) {
  TestRandom random;
  for (int round = 0; round < 100000; ++round) {
    const std::unique_ptr<QTensorCPU> made = RandomQTensor(&random);
    const QTensorCPU& tensor = *made;
    const std::string name = RandomName(&random);
    const std::string ours = OurBytes(tensor, name);
    ASSERT_EQ(ours, HostBytes(tensor, name)) << "round " << round;

    std::string name_back;
    const std::unique_ptr<QTensorCPU> back = MustRead(ours, &name_back);
    ASSERT_NE(back, nullptr);
    ASSERT_EQ(name_back, name);
    ASSERT_NO_FATAL_FAILURE(ExpectSameTensor(*back, tensor));

    caffe2::BlobProto proto;
    ASSERT_TRUE(proto.ParseFromString(ours));
    caffe2::Blob blob;
    caffe2::QTensorDeserializer<caffe2::CPUContext>().Deserialize(proto, &blob);
    ASSERT_NO_FATAL_FAILURE(ExpectSameTensor(blob.Get<QTensorCPU>(), tensor));
  }
}

TEST(QTensorCodecTest, LargeTensor) {
  TestRandom random;
  QTensorCPU tensor({1000, 333}, 8, true);
  tensor.SetScale(0.5);
  tensor.SetBias(3);
  unsigned char* data = tensor.mutable_data();
  for (size_t i = 0; i < tensor.nbytes(); ++i) data[i] = random.Byte();
  const std::string bytes = OurBytes(tensor, "large");
  EXPECT_EQ(bytes, HostBytes(tensor, "large"));
  ExpectSameTensor(*MustRead(bytes), tensor);
}

// The example of FORMAT.md.
TEST(QTensorCodecTest, WorkedExample) {
  QTensorCPU tensor({2, 3}, 3, true);
  tensor.SetScale(0.5);
  tensor.SetBias(0);
  const int values[6] = {1, -2, 3, 0, -5, 7};
  std::memset(tensor.mutable_data(), 0, tensor.nbytes());
  for (size_t i = 0; i < 6; ++i) {
    for (unsigned char bit = 0; bit < 3; ++bit) {
      tensor.SetBitAtIndex(bit, i, (std::abs(values[i]) >> bit) & 1);
    }
    tensor.SetBitAtIndex(3, i, values[i] < 0);
  }
  const unsigned char expected[] = {
      0x0A, 0x01, 'w',                                       // name
      0x12, 0x07, 'Q',  'T',  'e',  'n',  's',  'o',  'r',   // type
      0x2A, 0x24,                                            // qtensor
      0x08, 0x02, 0x08, 0x03,                                // dims
      0x10, 0x03,                                            // precision
      0x19, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xE0, 0x3F,  // scale
      0x21, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,  // bias
      0x28, 0x01,                                            // is_signed
      0x32, 0x05, 0xAC, 0x01, 0x64, 0x0C, 0x48,              // data
      0x3A, 0x01, 'w'};                                      // name
  EXPECT_EQ(
      OurBytes(tensor, "w"),
      std::string(reinterpret_cast<const char*>(expected), sizeof(expected)));
}

// ---- Forms that protobuf accepts --------------------------------------------

// A tensor of 2 x 3 elements of 4 bits: 4 data bytes.
const std::vector<uint8_t>& FormPlanes() {
  static const std::vector<uint8_t> planes = {0x07, 0x80, 0xFF, 0x01};
  return planes;
}

Message FormHeader() {
  return Message()
      .Varint(kDims, 2)
      .Varint(kDims, 3)
      .Varint(kPrecision, 4)
      .Fixed64(kScale, 0.25)
      .Fixed64(kBias, -1)
      .Varint(kIsSigned, 0);
}

std::string FormData(int padding = 0) {
  std::string data;
  for (uint8_t v : FormPlanes()) data += Message::VarintBytes(v, padding);
  return data;
}

std::string Doubles(std::size_t count, double value) {
  const std::vector<double> values(count, value);
  return std::string(reinterpret_cast<const char*>(values.data()), count * 8);
}

void ExpectForm(const std::string& bytes) {
  std::string name;
  const std::unique_ptr<QTensorCPU> tensor = MustRead(bytes, &name);
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(name, "w");
  EXPECT_EQ(tensor->sizes().vec(), (std::vector<int>{2, 3}));
  EXPECT_EQ(tensor->precision(), 4);
  EXPECT_EQ(tensor->scale(), 0.25);
  EXPECT_EQ(tensor->bias(), -1);
  EXPECT_FALSE(tensor->is_signed());
  EXPECT_EQ(Planes(*tensor), FormPlanes());
  // protobuf reads the same.
  const std::unique_ptr<caffe2::Blob> blob = ReadByProtobuf(bytes);
  ASSERT_NE(blob, nullptr);
  ExpectSameTensor(blob->Get<QTensorCPU>(), *tensor);
}

TEST(QTensorCodecTest, Packed) {
  ExpectForm(BlobOf(FormHeader().Bytes(kData, FormData())));
}

TEST(QTensorCodecTest, DataFirst) {
  ExpectForm(
      BlobOf(Message().Bytes(kData, FormData()).Raw(FormHeader().str())));
}

TEST(QTensorCodecTest, DataNotPacked) {
  Message message = FormHeader();
  for (uint8_t v : FormPlanes()) message.Varint(kData, v);
  ExpectForm(BlobOf(message));
}

TEST(QTensorCodecTest, DataInPieces) {
  Message message;
  message.Bytes(kData, Message::VarintBytes(0x07))
      .Raw(FormHeader().str())
      .Varint(kData, 0x80)
      .Bytes(kData, "")
      .Bytes(kData, Message::VarintBytes(0xFF) + Message::VarintBytes(1));
  ExpectForm(BlobOf(message));
}

TEST(QTensorCodecTest, LongVarints) {
  for (int padding = 1; padding <= 8; ++padding) {
    Message message = FormHeader();
    ExpectForm(BlobOf(message.Bytes(kData, FormData(padding))));
  }
}

TEST(QTensorCodecTest, BitsPastInt32AreDropped) {
  Message message = FormHeader();
  for (uint8_t v : FormPlanes()) {
    message.Varint(kData, v + (int64_t{5} << 32));
  }
  ExpectForm(BlobOf(message));
}

TEST(QTensorCodecTest, PackedDims) {
  ExpectForm(BlobOf(Message()
                        .Bytes(kDims, "\x02\x03")
                        .Varint(kPrecision, 4)
                        .Fixed64(kScale, 0.25)
                        .Fixed64(kBias, -1)
                        .Varint(kIsSigned, 0)
                        .Bytes(kData, FormData())));
}

TEST(QTensorCodecTest, LastScalarWins) {
  Message message;
  message.Varint(kPrecision, 77).Fixed64(kScale, NAN).Varint(kIsSigned, 1);
  message.Raw(FormHeader().str()).Bytes(kData, FormData());
  ExpectForm(Message()
                 .Bytes(kBlobName, "other")
                 .Bytes(kBlobType, "Tensor")
                 .Raw(BlobOf(message))
                 .str());
}

TEST(QTensorCodecTest, SplitMessage) {
  ExpectForm(Message()
                 .Bytes(kBlobQTensor, FormHeader().str())
                 .Bytes(kBlobName, "w")
                 .Bytes(kBlobQTensor, "")
                 .Bytes(kBlobType, "QTensor")
                 .Bytes(kBlobQTensor, Message().Bytes(kData, FormData()).str())
                 .str());
}

TEST(QTensorCodecTest, UnknownFieldsAndGroups) {
  const Message group =
      Message().Varint(1, 5).Group(6, Message().Bytes(6, "zz")).Fixed32(3, 1);
  Message inner = FormHeader();
  inner.Varint(99, 1)
      .Fixed64(98, 2)
      .Fixed32(97, 3)
      .Bytes(96, std::string(300, 'x'))
      .Group(95, group)
      .Group(kData, group)  // the number of a known field, another type
      .Fixed32(kDims, 3)
      .Fixed64(kData, 1)
      .Bytes(kData, FormData());
  ExpectForm(Message()
                 .Group(9, group)
                 .Varint(kBlobQTensor, 1)
                 .Raw(BlobOf(inner))
                 .Fixed32(1000, 1)
                 .str());
}

TEST(QTensorCodecTest, NameOfTheTensorStandsInForTheBlobs) {
  Message inner = FormHeader();
  inner.Bytes(kData, FormData()).Bytes(kTensorName, "w");
  ExpectForm(Message()
                 .Bytes(kBlobType, "QTensor")
                 .Bytes(kBlobQTensor, inner.str())
                 .str());
}

// ---- Broken messages --------------------------------------------------------

TEST(QTensorCodecTest, DataErrorsNameOffsetAndIndex) {
  const std::string whole = BlobOf(FormHeader().Bytes(kData, FormData()));
  const size_t data = whole.size() - FormData().size();
  const std::string at = "BlobProto.qtensor, offset " + std::to_string(data);
  EXPECT_EQ(ErrorOf(BlobOf(FormHeader().Bytes(kData, "\x80\x02\x01\x02\x03"))),
            at + ": QTensor 'w': field data[0] is 256, expected 0 to 255");
  EXPECT_EQ(ErrorOf(BlobOf(FormHeader().Bytes(
                kData, Message::VarintBytes(static_cast<uint64_t>(-1)) +
                           "\x01\x02\x03"))),
            "BlobProto.qtensor, offset " + std::to_string(data) +
                ": QTensor 'w': field data[0] is -1, expected 0 to 255");
  EXPECT_EQ(ErrorOf(BlobOf(FormHeader().Bytes(kData, "\x01\x02\x03\x04\x80"))),
            "BlobProto.qtensor, offset " + std::to_string(data + 4) +
                ": field data is cut off inside value 4");
  EXPECT_EQ(ErrorOf(BlobOf(FormHeader().Bytes(
                kData, "\x01\x02\x03" + std::string(10, '\x80') + "\x01"))),
            "BlobProto.qtensor, offset " + std::to_string(data + 3) +
                ": field data has a varint of more than 10 bytes as value 3");
}

TEST(QTensorCodecTest, TruncationAtEveryByte) {
  TestRandom random;
  for (int round = 0; round < 30; ++round) {
    const std::string bytes = OurBytes(*RandomQTensor(&random), "blob");
    for (size_t size = 0; size < bytes.size(); ++size) {
      std::unique_ptr<QTensorCPU> tensor;
      const Status status = Read(bytes.substr(0, size), &tensor);
      ASSERT_FALSE(status.ok()) << "round " << round << " size " << size;
      ASSERT_FALSE(status.message().empty());
    }
  }
}

// Every byte of a message replaced by every other: an error, or a tensor. When
// protobuf and the deserializer take the message, so does the codec, and both
// make the same of it.
TEST(QTensorCodecTest, EverySingleByteMutation) {
  QTensorCPU tensor({3, 5}, 2, true);
  tensor.SetScale(0.5);
  tensor.SetBias(1);
  for (size_t i = 0; i < tensor.nbytes(); ++i) {
    tensor.mutable_data()[i] = static_cast<unsigned char>(37 * i + 120);
  }
  Message extras;
  extras.Varint(kDataType, 1)
      .Fixed64(kScales, 1)
      .Fixed64(kScales, 2)
      .Fixed64(kScales, 3)
      .Fixed64(kBiases, 0)
      .Fixed64(kBiases, 1)
      .Fixed64(kBiases, 2)
      .Varint(kAxis, 0)
      .Varint(kIsMultiparam, 1);
  const std::string plain = OurBytes(tensor, "blob");
  const std::string split = plain + Message().Bytes(5, extras.str()).str();
  Message packed_extras;
  packed_extras.Bytes(kScales, Doubles(2, 1))
      .Bytes(kBiases, Doubles(3, 0.5))
      .Fixed64(kScales, 3)
      .Varint(kIsMultiparam, 1);
  const std::string packed =
      plain + Message().Bytes(5, packed_extras.str()).str();
  for (const std::string& original : {plain, split, packed}) {
    for (size_t at = 0; at < original.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        std::string bytes = original;
        bytes[at] = static_cast<char>(value);
        SCOPED_TRACE(testing::Message() << "byte " << at << " value " << value);
        std::unique_ptr<QTensorCPU> got;
        const Status status = Read(bytes, &got);
        ASSERT_EQ(status.ok(), got != nullptr);
        ASSERT_EQ(status.ok(), status.message().empty());
        const std::unique_ptr<caffe2::Blob> blob = ReadByProtobuf(bytes);
        if (blob != nullptr) {
          ASSERT_TRUE(status.ok()) << status.message();
          ASSERT_NO_FATAL_FAILURE(
              ExpectSameTensor(*got, blob->Get<QTensorCPU>()));
        } else if (status.ok()) {
          // Only a field that is not the tensor's may be broken in its inside.
          caffe2::BlobProto proto;
          ASSERT_FALSE(proto.ParsePartialFromString(bytes));
        }
      }
    }
  }
}

TEST(QTensorCodecTest, RandomDamage) {
  TestRandom random;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = OurBytes(*RandomQTensor(&random), "blob");
    for (int64_t n = random.Integer(1, 4); n > 0; --n) {
      const size_t at = random.Integer(0, bytes.size() - 1);
      switch (random.Integer(0, 3)) {
        case 0:
          bytes[at] = static_cast<char>(random.Byte());
          break;
        case 1:
          bytes.erase(at, random.Integer(1, 5));
          break;
        case 2:
          bytes.insert(at, bytes.substr(at, random.Integer(1, 20)));
          break;
        default:
          bytes[at] =
              static_cast<char>(bytes[at] ^ (1 << random.Integer(0, 7)));
          break;
      }
      if (bytes.empty()) break;
    }
    std::unique_ptr<QTensorCPU> got;
    const Status status = Read(bytes, &got);
    const std::unique_ptr<caffe2::Blob> blob = ReadByProtobuf(bytes);
    if (blob != nullptr) {
      ASSERT_TRUE(status.ok()) << status.message();
      ASSERT_NO_FATAL_FAILURE(ExpectSameTensor(*got, blob->Get<QTensorCPU>()));
    }
  }
}

// ---- Limits -----------------------------------------------------------------

TEST(QTensorCodecTest, OverTwoGiBIsRefusedBeforeAnythingIsTouched) {
  std::unique_ptr<QTensorCPU> tensor;
  const char byte = 0;
  const Status read =
      QTensorFromBytes(&byte, size_t{1} << 31, &tensor, nullptr);
  EXPECT_EQ(read.kind(), Status::Kind::kOutOfRange);
  EXPECT_NE(read.message().find("2147483648 bytes"), std::string::npos);

  // 2^32 elements of 4 bits: 2 GiB of planes that nobody allocated.
  QTensorCPU huge({65536, 65536}, 4, false);
  huge.SetScale(1);
  huge.SetBias(0);
  std::string out = "as it was";
  const Status written = QTensorToBytes(huge, "huge", &out);
  EXPECT_EQ(written.kind(), Status::Kind::kOutOfRange);
  EXPECT_EQ(written.message(),
            "QTensor 'huge': its message takes at least 2147483648 bytes, "
            "expected at most 2147483647, the limit of protobuf; split the "
            "tensor along a dimension, or use fewer bits");
  EXPECT_EQ(out, "as it was");
  EXPECT_EQ(huge.data(), nullptr);
}

TEST(QTensorCodecTest, TensorThatWasNeverSet) {
  QTensorCPU tensor({4, 4}, 8, false);
  tensor.SetScale(1);
  tensor.SetBias(0);
  std::string out = "as it was";
  const Status status = QTensorToBytes(tensor, "fresh", &out);
  EXPECT_EQ(status.kind(), Status::Kind::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "QTensor 'fresh': field data is not set, expected 16 bytes of "
            "planes; call mutable_data() and fill it first");
  EXPECT_EQ(out, "as it was");
}

// The host's class has two tensors without dims: fresh (no element) and after a
// Resize({}) (one). The host cannot read back the second; the codec can.
TEST(QTensorCodecTest, TensorsWithoutDims) {
  QTensorCPU fresh({}, 5, true);
  fresh.SetScale(2);
  fresh.SetBias(0);
  ASSERT_EQ(fresh.size(), 0u);
  EXPECT_EQ(OurBytes(fresh, "f"), HostBytes(fresh, "f"));
  ExpectSameTensor(*MustRead(OurBytes(fresh, "f")), fresh);

  QTensorCPU scalar({1}, 5, true);
  scalar.Resize(std::vector<int>{});
  scalar.SetScale(2);
  scalar.SetBias(0);
  ASSERT_EQ(scalar.size(), 1u);
  std::memset(scalar.mutable_data(), 0x80, scalar.nbytes());
  EXPECT_EQ(OurBytes(scalar, "s"), HostBytes(scalar, "s"));
  ExpectSameTensor(*MustRead(OurBytes(scalar, "s")), scalar);
}

long StatusKiB(const char* key) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.rfind(key, 0) == 0) {
      return std::strtol(line.c_str() + std::strlen(key), nullptr, 10);
    }
  }
  return -1;
}

// By how many KiB the resident size grows at most while `read` runs.
template <typename Read>
long GrowthKiB(const Read& read) {
  malloc_trim(0);  // else what was freed before would hide what is taken now
  // Writing 5 makes the kernel forget the highest resident size so far.
  std::ofstream forget("/proc/self/clear_refs");
  if (!(forget << "5" << std::flush)) return -1;
  const long before = StatusKiB("VmRSS:");
  read();
  return StatusKiB("VmHWM:") - before;
}

// Expects of `bytes` that reading them takes 1 MiB more than what is read.
void ExpectLittleMemory(const std::string& bytes, bool with_name) {
  std::unique_ptr<QTensorCPU> tensor;
  std::string name;
  Status status;
  const long growth = GrowthKiB([&] {
    status = QTensorFromBytes(bytes.data(), bytes.size(), &tensor,
                              with_name ? &name : nullptr);
  });
  if (growth < 0) GTEST_SKIP() << "no clear_refs here";
  ASSERT_TRUE(status.ok()) << status.message();
  std::size_t result = tensor->nbytes() + name.size();
  if (const PerChannelQTensor* per_channel = AsPerChannel(*tensor)) {
    const QTensorExtras& extras = per_channel->extras();
    result += (extras.scales.capacity() + extras.biases.capacity()) * 8;
  }
  EXPECT_LE(growth, static_cast<long>(result / 1024) + 1024);
  EXPECT_GE(growth, static_cast<long>(result / 1024) - 1024);
}

// The fields of a tensor with `channels` times 64 elements of 4 bits.
Message ManyChannels(int channels) {
  return Message()
      .Varint(kDims, channels)
      .Varint(kDims, 64)
      .Varint(kPrecision, 4)
      .Fixed64(kScale, 1)
      .Fixed64(kBias, 0)
      .Varint(kIsSigned, 0)
      .Bytes(kData, std::string(channels * size_t{32}, '\x11'))
      .Varint(kIsMultiparam, 1);
}

TEST(QTensorCodecTest, ReadingTakesMemoryForTheResultOnly) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps memory of its own";
#endif
  TestRandom random;
  MustRead(OurBytes(*RandomQTensor(&random), "warm up"));
  QTensorCPU tensor({4096, 4096}, 8, false);
  tensor.SetScale(1);
  tensor.SetBias(0);
  std::memset(tensor.mutable_data(), 0x91, tensor.nbytes());
  ExpectLittleMemory(OurBytes(tensor, "large"), true);

  for (const int channels : {1000000, 100000}) {
    SCOPED_TRACE(testing::Message() << channels << " channels");
    Message packed = ManyChannels(channels);
    packed.Bytes(kScales, Doubles(channels, 0.5))
        .Bytes(kBiases, Doubles(channels, 1));
    ExpectLittleMemory(BlobOf(packed), true);
    Message single = ManyChannels(channels);
    for (int c = 0; c < channels; ++c) {
      single.Fixed64(kScales, 0.5).Fixed64(kBiases, 1);
    }
    ExpectLittleMemory(BlobOf(single), true);
  }
}

TEST(QTensorCodecTest, WhatIsNotKeptTakesNoMemory) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps memory of its own";
#endif
  const std::string junk(8 << 20, '\x01');
  Message inner = FormHeader();
  inner.Bytes(kData, FormData())
      .Bytes(kPrecision, junk)  // a wire type that is not its own
      .Bytes(99, junk)
      .Bytes(kTensorName, junk)
      .Bytes(kTensorName, "w");
  for (int i = 0; i < 3000000; ++i) inner.Raw("\x40\x7F");  // no data_type
  for (int i = 0; i < 3000000; ++i) inner.Varint(kPrecision, 4);
  for (int i = 0; i < 3000000; ++i) inner.Bytes(kDims, "");
  const std::string blob = Message()
                               .Bytes(kBlobName, junk)
                               .Bytes(kBlobType, junk)
                               .Bytes(99, junk)
                               .Raw(BlobOf(inner))
                               .str();
  ExpectForm(blob);
  ExpectLittleMemory(blob, true);
  // A long name is part of the result, if it is asked for.
  const std::string named = BlobOf(inner, junk);
  ExpectLittleMemory(named, true);
  ExpectLittleMemory(named, false);
}

TEST(QTensorCodecTest, ErrorsRepeatTheBeginningOfALongName) {
  Message inner = FormHeader();
  EXPECT_EQ(ErrorOf(BlobOf(inner, std::string(100000, 'n'))),
            "QTensor '" + std::string(256, 'n') +
                "': field data has 0 values, expected 4 planes of 1 bytes for "
                "6 elements");
}

TEST(QTensorCodecTest, ManyDimsAreRefused) {
  Message inner = FormHeader();
  inner.Bytes(kDims, std::string(33 << 20, '\x01'));
  const std::string error = ErrorOf(BlobOf(inner));
  EXPECT_NE(error.find("field dims has at least 34603"), std::string::npos)
      << error;
  EXPECT_NE(error.find("expected at most 1024"), std::string::npos) << error;
  caffe2::QTensorProto proto;
  for (int i = 0; i < 1025; ++i) proto.add_dims(1);
  QTensorLayout layout;
  EXPECT_NE(ValidateQTensorProto("q", proto, {}, &layout)
                .message()
                .find("dims has 1025 elements, expected at most 1024"),
            std::string::npos);
}

// ---- Per channel ------------------------------------------------------------

std::unique_ptr<PerChannelQTensor> RandomPerChannel(TestRandom* random) {
  std::vector<int> dims(random->Integer(1, 4));
  for (int& dim : dims) dim = static_cast<int>(random->Integer(1, 6));
  auto tensor = std::make_unique<PerChannelQTensor>(
      dims, static_cast<unsigned char>(random->Integer(1, 16)),
      random->OneIn(2));
  tensor->SetScale(random->Float(0, 2));
  tensor->SetBias(random->Float(-9, 9));
  for (size_t i = 0; i < tensor->nbytes(); ++i) {
    tensor->mutable_data()[i] = random->Byte();
  }
  QTensorExtras extras;
  extras.axis = static_cast<int32_t>(random->Integer(0, dims.size() - 1));
  for (int c = 0; c < dims[*extras.axis]; ++c) {
    extras.scales.push_back(random->Float(0.01f, 2));
    extras.biases.push_back(random->Float(-9, 9));
  }
  extras.is_multiparam = true;
  if (random->OneIn(2)) {
    extras.data_type = caffe2::TensorProto_DataType_FLOAT;
  }
  tensor->SetExtras(extras);
  return tensor;
}

TEST(QTensorCodecTest, PerChannelFieldsAreKept) {
  TestRandom random;
  for (int round = 0; round < 2000; ++round) {
    const std::unique_ptr<PerChannelQTensor> made = RandomPerChannel(&random);
    const PerChannelQTensor& tensor = *made;
    const std::string bytes = OurBytes(tensor, "per channel");
    const std::unique_ptr<QTensorCPU> back = MustRead(bytes);
    ASSERT_NO_FATAL_FAILURE(ExpectSameTensor(*back, tensor));
    ASSERT_TRUE(AsPerChannel(*back)->is_per_channel());
    // The bytes are protobuf's own: it writes what it read.
    caffe2::BlobProto proto;
    ASSERT_TRUE(proto.ParseFromString(bytes));
    ASSERT_EQ(proto.SerializeAsString(), bytes);
    const std::unique_ptr<caffe2::Blob> blob = ReadByProtobuf(bytes);
    ASSERT_NE(blob, nullptr);
    ASSERT_NO_FATAL_FAILURE(ExpectSameTensor(blob->Get<QTensorCPU>(), tensor));
  }
}

// `values` as fields of number `number`, packed and not, in pieces.
std::vector<std::string> InPieces(uint32_t number,
                                  const std::vector<double>& values,
                                  TestRandom* random) {
  std::vector<std::string> pieces;
  for (size_t i = 0; i < values.size();) {
    if (random->OneIn(2)) {
      pieces.push_back(Message().Fixed64(number, values[i++]).str());
      continue;
    }
    const size_t n = random->Integer(0, values.size() - i);
    const std::string bytes(reinterpret_cast<const char*>(&values[i]), 8 * n);
    pieces.push_back(Message()
                         .Tag(number, 2)
                         .Raw(Message::VarintBytes(
                             8 * n, static_cast<int>(random->Integer(0, 3))))
                         .Raw(bytes)
                         .str());
    i += n;
  }
  return pieces;
}

// Scales and biases in every form that protobuf takes, among the other fields
// and over the parts of the tensor; often too many, too few or bad ones.
TEST(QTensorCodecTest, ScalesAndBiasesAsProtobufReadsThem) {
  TestRandom random;
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    const std::unique_ptr<PerChannelQTensor> tensor = RandomPerChannel(&random);
    QTensorExtras extras = tensor->extras();
    if (random.OneIn(8)) extras.scales.push_back(1);
    if (random.OneIn(8)) extras.biases.pop_back();
    if (random.OneIn(8)) extras.scales[0] = random.OneIn(2) ? -1 : INFINITY;
    if (random.OneIn(8)) extras.biases.assign(1, INFINITY);
    Message header;
    for (const int dim : tensor->sizes()) header.Varint(kDims, dim);
    header.Varint(kPrecision, tensor->precision())
        .Fixed64(kScale, tensor->scale())
        .Fixed64(kBias, tensor->bias())
        .Varint(kIsSigned, tensor->is_signed());
    Message data;
    for (const uint8_t value : Planes(*tensor)) data.Varint(kData, value);
    std::vector<std::string> others = {
        header.str(),
        data.str(),
        Message().Varint(kAxis, *extras.axis, 2).str(),
        Message().Varint(kIsMultiparam, !random.OneIn(4)).str(),
        Message().Varint(kDataType, random.Integer(-1, 40)).str(),
        Message().Fixed32(kScales, 1).Varint(kBiases, 1).str(),
        Message().Group(kScales, Message().Fixed64(kScales, 1)).str()};
    std::shuffle(others.begin(), others.end(), random.generator());
    // Each list keeps its order; which one is next is chance.
    std::vector<std::string> lists[] = {
        others, InPieces(kScales, extras.scales, &random),
        InPieces(kBiases, extras.biases, &random)};
    if (random.OneIn(8)) {
      lists[1].push_back(Message().Bytes(kScales, "1234567").str());
    }
    std::string bytes = Message().Bytes(kBlobType, "QTensor").str();
    std::string part;
    for (std::vector<std::string>& list : lists) {
      std::reverse(list.begin(), list.end());
    }
    while (!lists[0].empty() || !lists[1].empty() || !lists[2].empty()) {
      std::vector<std::string>& list = lists[random.Integer(0, 2)];
      if (list.empty()) continue;
      part += list.back();
      list.pop_back();
      if (random.OneIn(4)) {
        bytes += Message().Bytes(kBlobQTensor, part).str();
        part.clear();
      }
    }
    bytes += Message().Bytes(kBlobQTensor, part).str();

    std::unique_ptr<QTensorCPU> got;
    const Status status = Read(bytes, &got);
    const std::unique_ptr<caffe2::Blob> blob = ReadByProtobuf(bytes);
    ASSERT_EQ(status.ok(), blob != nullptr) << status.message();
    if (blob == nullptr) continue;
    ++accepted;
    ASSERT_NO_FATAL_FAILURE(ExpectSameTensor(*got, blob->Get<QTensorCPU>()));
  }
  EXPECT_GT(accepted, 5000);
  EXPECT_LT(accepted, 15000);
}

TEST(QTensorCodecTest, CountsOfScalesAndBiasesAreChecked) {
  const auto error_of = [](size_t scales, size_t biases, int axis) {
    return ErrorOf(BlobOf(FormHeader()
                              .Bytes(kData, FormData())
                              .Bytes(kScales, Doubles(scales, 1))
                              .Bytes(kBiases, Doubles(biases, 1))
                              .Varint(kAxis, axis)
                              .Varint(kIsMultiparam, 1)));
  };
  EXPECT_EQ(error_of(1, 2, 0),
            "QTensor 'w': field scales has 1 elements, expected 2 (dims[0])");
  EXPECT_EQ(error_of(2, 3, 0),
            "QTensor 'w': field biases has 3 elements, expected 2 (dims[0])");
  EXPECT_EQ(error_of(3, 0, 1),
            "QTensor 'w': field biases has 0 elements, expected 3 (dims[1])");
  EXPECT_EQ(error_of(2, 2, 2),
            "QTensor 'w': field axis is 2, expected 0 to 1 (the tensor has 2 "
            "dims)");
  const std::string whole = BlobOf(FormHeader());
  const std::string at =
      "BlobProto.qtensor, offset " + std::to_string(whole.size());
  EXPECT_EQ(ErrorOf(BlobOf(FormHeader().Bytes(kScales, "1234567"))),
            at + ": field scales has 7 packed bytes, expected a multiple of 8");
  EXPECT_EQ(ErrorOf(BlobOf(FormHeader().Bytes(kBiases, "123456789"))),
            at + ": field biases has 9 packed bytes, expected a multiple of 8");
  // A length beyond the end asks for no memory.
  EXPECT_EQ(
      ErrorOf(BlobOf(
          FormHeader().Tag(kScales, 2).Raw(Message::VarintBytes(INT32_MAX)))),
      at + ": field 9 takes 2147483647 bytes, but only 0 are left");
}

TEST(QTensorCodecTest, BrokenDims) {
  const std::string at =
      "BlobProto.qtensor, offset " + std::to_string(BlobOf(Message()).size());
  const std::string what =
      ": field dims has a varint that is cut off or too long";
  EXPECT_EQ(ErrorOf(BlobOf(Message().Bytes(kDims, "\x02\x83"))), at + what);
  EXPECT_EQ(
      ErrorOf(BlobOf(Message().Bytes(kDims, std::string(10, '\x80') + "\x01"))),
      at + what);
}

TEST(QTensorCodecTest, PerChannelParametersAreCheckedOnWriting) {
  TestRandom random;
  const std::unique_ptr<PerChannelQTensor> made = RandomPerChannel(&random);
  PerChannelQTensor& tensor = *made;
  QTensorExtras extras = tensor.extras();
  extras.scales.push_back(1);
  tensor.SetExtras(extras);
  std::string out;
  const Status status = QTensorToBytes(tensor, "w", &out);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find("QTensor 'w': field scales has"),
            std::string::npos);
}

// ---- Files ------------------------------------------------------------------

class QTensorFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "qtensor_file_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/tensor.qtensor";
  }
  void TearDown() override {
    unlink(path_.c_str());
    rmdir(directory_.c_str());
  }
  std::string directory_;
  std::string path_;
};

TEST_F(QTensorFileTest, RoundTrip) {
  TestRandom random;
  for (int round = 0; round < 5; ++round) {
    const std::unique_ptr<QTensorCPU> made = RandomQTensor(&random);
    const QTensorCPU& tensor = *made;
    const Status written = QTensorToFile(tensor, "w", path_);
    ASSERT_TRUE(written.ok()) << written.message();
    std::unique_ptr<QTensorCPU> back;
    std::string name;
    const Status read = QTensorFromFile(path_, &back, &name);
    ASSERT_TRUE(read.ok()) << read.message();
    EXPECT_EQ(name, "w");
    ExpectSameTensor(*back, tensor);
    std::ifstream file(path_, std::ios::binary);
    std::stringstream contents;
    contents << file.rdbuf();
    EXPECT_EQ(contents.str(), HostBytes(tensor, "w"));
  }
}

TEST_F(QTensorFileTest, ReadingTakesMemoryForFileAndResultOnly) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps memory of its own";
#endif
  const int channels = 100000;
  Message message = ManyChannels(channels);
  for (int c = 0; c < channels; ++c) {
    message.Fixed64(kScales, 0.5).Fixed64(kBiases, 1);
  }
  const std::string bytes = BlobOf(message);
  std::ofstream(path_, std::ios::binary) << bytes;
  std::unique_ptr<QTensorCPU> tensor;
  Status status;
  const long growth =
      GrowthKiB([&] { status = QTensorFromFile(path_, &tensor, nullptr); });
  if (growth < 0) GTEST_SKIP() << "no clear_refs here";
  ASSERT_TRUE(status.ok()) << status.message();
  const std::size_t result = tensor->nbytes() + channels * size_t{16};
  EXPECT_LE(growth, static_cast<long>((bytes.size() + result) / 1024) + 1024);
}

// Long data is streamed: the tensor, or the error, is that of the bytes in
// whole.
TEST_F(QTensorFileTest, GivesWhatTheBytesGive) {
  TestRandom random;
  int streamed = 0, refused = 0;
  for (int64_t round = 0; round < CaseCount(60, 2000); ++round) {
    const int elements = static_cast<int>(random.Integer(1, 3'000'000));
    const int precision = static_cast<int>(random.Integer(1, 4));
    auto tensor = std::make_unique<PerChannelQTensor>(
        std::vector<int>{elements}, precision, random.Integer(0, 1) == 1);
    tensor->SetScale(0.5);
    tensor->SetBias(1);
    if (random.Integer(0, 1) == 1) {
      QTensorExtras extras;
      extras.scales = {0.25};
      extras.biases = {2};
      extras.axis = 0;
      tensor->SetExtras(extras);
    }
    // Bytes of the wire: one, two, or either.
    const int64_t low = random.Integer(0, 255);
    const int64_t high = random.Integer(low, 255);
    for (std::size_t i = 0; i < tensor->nbytes(); ++i) {
      tensor->mutable_data()[i] =
          static_cast<uint8_t>(random.Integer(low, high));
    }
    std::string bytes = random.Integer(0, 1) == 1 ? HostBytes(*tensor, "w")
                                                  : OurBytes(*tensor, "w");
    switch (random.Integer(0, 5)) {
      case 0:  // cut
        bytes.resize(static_cast<std::size_t>(
            random.Integer(0, static_cast<int64_t>(bytes.size()) - 1)));
        break;
      case 1: {  // another byte, often one that ends or begins a piece
        const int64_t pieces = static_cast<int64_t>(bytes.size() >> 18);
        const int64_t at =
            (random.Integer(0, pieces) << 18) + random.Integer(0, 80);
        if (at < static_cast<int64_t>(bytes.size())) {
          bytes[static_cast<std::size_t>(at)] =
              static_cast<char>(random.Integer(0, 255));
        }
        break;
      }
      case 2:  // a field more
        bytes += Message().Bytes(99, "unknown").str();
        break;
      default:
        break;
    }
    std::ofstream(path_, std::ios::binary) << bytes;
    std::unique_ptr<QTensorCPU> expected, found, straight;
    std::string expected_name, name;
    const Status of_bytes =
        QTensorFromBytes(bytes.data(), bytes.size(), &expected, &expected_name);
    const Status of_file = QTensorFromFile(path_, &found, &name);
    ASSERT_EQ(of_file.ok(), of_bytes.ok()) << of_file.message();
    EXPECT_EQ(name, expected_name);
    InputFile file;
    ASSERT_TRUE(file.Open(path_).ok());
    ASSERT_TRUE(StreamQTensor(&file, 0, file.size(), &straight, nullptr).ok());
    streamed += straight != nullptr;
    if (!of_bytes.ok()) {
      ++refused;
      EXPECT_EQ(of_file.message(), "'" + path_ + "': " + of_bytes.message());
      EXPECT_EQ(straight, nullptr);
      continue;
    }
    ExpectSameTensor(*found, *expected);
    if (straight != nullptr) ExpectSameTensor(*straight, *expected);
  }
  EXPECT_GT(streamed, 0);
  EXPECT_GT(refused, 0);
}

// What the host and we write is streamed, and takes no memory beside the
// tensor.
TEST_F(QTensorFileTest, StreamingTakesMemoryForTheResultOnly) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer keeps memory of its own";
#endif
  QTensorCPU tensor(std::vector<int>{32 << 20}, 8, false);
  tensor.SetScale(1);
  tensor.SetBias(0);
  std::memset(tensor.mutable_data(), 0xee, tensor.nbytes());
  ASSERT_TRUE(QTensorToFile(tensor, "w", path_).ok());
  std::unique_ptr<QTensorCPU> found;
  Status status;
  const long growth =
      GrowthKiB([&] { status = QTensorFromFile(path_, &found, nullptr); });
  if (growth < 0) GTEST_SKIP() << "no clear_refs here";
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_LE(growth, static_cast<long>(found->nbytes() / 1024) + 1024);
}

TEST_F(QTensorFileTest, AFileThatIsShortenedIsAnError) {
  QTensorCPU tensor(std::vector<int>{1 << 20}, 8, false);
  tensor.SetScale(1);
  tensor.SetBias(0);
  std::memset(tensor.mutable_data(), 1, tensor.nbytes());
  ASSERT_TRUE(QTensorToFile(tensor, "w", path_).ok());
  InputFile file;
  ASSERT_TRUE(file.Open(path_).ok());
  ASSERT_EQ(truncate(path_.c_str(), 600'000), 0);
  std::unique_ptr<QTensorCPU> found;
  const Status status = StreamQTensor(&file, 0, file.size(), &found, nullptr);
  EXPECT_EQ(status.message(),
            "'" + path_ + "' has 600000 bytes, expected " +
                std::to_string(file.size()) +
                " as when it was opened: it was shortened meanwhile");
  EXPECT_EQ(found, nullptr);
}

TEST_F(QTensorFileTest, ErrorsNameThePath) {
  std::unique_ptr<QTensorCPU> tensor;
  std::string name;
  Status status = QTensorFromFile(path_, &tensor, &name);
  EXPECT_EQ(status.kind(), Status::Kind::kIoError);
  EXPECT_EQ(status.message(),
            "'" + path_ + "': cannot open: No such file or directory");
  status = QTensorFromFile(directory_, &tensor, &name);
  EXPECT_EQ(status.kind(), Status::Kind::kIoError);
  std::ofstream(path_, std::ios::binary) << "\x0A\x05xyz";
  status = QTensorFromFile(path_, &tensor, &name);
  EXPECT_EQ(status.kind(), Status::Kind::kCorruption);
  EXPECT_EQ(status.message(), "'" + path_ +
                                  "': BlobProto, offset 0: field 1 takes 5 "
                                  "bytes, but only 3 are left");
}

TEST_F(QTensorFileTest, FileOverTwoGiB) {
  std::ofstream(path_) << "";
  // Sparse: takes no room on the disk.
  ASSERT_EQ(truncate(path_.c_str(), off_t{3} << 30), 0);
  std::unique_ptr<QTensorCPU> tensor;
  const Status status = QTensorFromFile(path_, &tensor, nullptr);
  EXPECT_EQ(status.kind(), Status::Kind::kOutOfRange);
  EXPECT_NE(status.message().find("3221225472 bytes"), std::string::npos);
}

}  // namespace
}  // namespace caffe2_quantization
