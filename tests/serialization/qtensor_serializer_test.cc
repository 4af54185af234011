// The (de)serializer of the host's registries, and every hostile field, by both
// routes: a message that protobuf has parsed, and its bytes.
#include "serialization/qtensor_serializer.h"

#include <gtest/gtest.h>

#include <climits>
#include <cmath>
#include <functional>
#include <limits>

#include "caffe2/core/blob_serialization.h"
#include "tests/serialization/qtensor_testing.h"

namespace caffe2_quantization {
namespace {

// A valid message: 3 x 5 elements, 4 bits and a sign, 10 bytes of planes.
caffe2::BlobProto ValidProto() {
  caffe2::BlobProto proto;
  proto.set_name("w");
  proto.set_type("QTensor");
  caffe2::QTensorProto* tensor = proto.mutable_qtensor();
  tensor->add_dims(3);
  tensor->add_dims(5);
  tensor->set_precision(4);
  tensor->set_scale(0.5);
  tensor->set_bias(-3);
  tensor->set_is_signed(true);
  for (int i = 0; i < 10; ++i) tensor->add_data(25 * i);
  return proto;
}

std::string MessageOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

// The message is refused by both routes with `expected` in it, and the blob is
// the same object with the same contents after it.
void ExpectRefused(const caffe2::BlobProto& proto,
                   const std::string& expected) {
  SCOPED_TRACE(expected);
  caffe2::Blob blob;
  TestRandom random;
  QTensorCPU* const held = RandomQTensor(&random).release();
  blob.Reset(held);
  const std::string before = HostBytes(*held, "before");
  const std::string message =
      MessageOf([&] { QTensorDeserializer().Deserialize(proto, &blob); });
  EXPECT_NE(message.find(expected), std::string::npos) << message;
  ASSERT_TRUE(blob.IsType<QTensorCPU>());
  EXPECT_EQ(&blob.Get<QTensorCPU>(), held);
  EXPECT_EQ(HostBytes(*held, "before"), before);

  caffe2::Blob other;
  other.Reset(new std::string("as it was"));
  EXPECT_NE(
      MessageOf([&] { QTensorDeserializer().Deserialize(proto, &other); }),
      "no error");
  ASSERT_TRUE(other.IsType<std::string>());
  EXPECT_EQ(other.Get<std::string>(), "as it was");

  caffe2::Blob empty;
  EXPECT_NE(
      MessageOf([&] { QTensorDeserializer().Deserialize(proto, &empty); }),
      "no error");
  EXPECT_EQ(empty.GetRaw(), nullptr);

  const std::string bytes = proto.SerializePartialAsString();
  std::unique_ptr<QTensorCPU> tensor;
  const Status status =
      QTensorFromBytes(bytes.data(), bytes.size(), &tensor, nullptr);
  EXPECT_NE(status.message().find(expected), std::string::npos)
      << status.message();
  EXPECT_EQ(tensor, nullptr);
}

using Change = std::function<void(caffe2::QTensorProto*)>;

void ExpectFieldRefused(const Change& change, const std::string& expected) {
  caffe2::BlobProto proto = ValidProto();
  change(proto.mutable_qtensor());
  ExpectRefused(proto, expected);
}

TEST(QTensorSerializerTest, SameBytesAsTheHostThroughTheRegistry) {
  TestRandom random;
  for (int round = 0; round < 3000; ++round) {
    caffe2::Blob blob;
    blob.Reset(RandomQTensor(&random).release());
    const QTensorCPU& tensor = blob.Get<QTensorCPU>();
    const std::string name = RandomName(&random);
    const std::string bytes = caffe2::SerializeBlob(blob, name);
    ASSERT_EQ(bytes, HostBytes(tensor, name)) << "round " << round;
    caffe2::Blob back;
    caffe2::DeserializeBlob(bytes, &back);
    ASSERT_NO_FATAL_FAILURE(ExpectSameTensor(back.Get<QTensorCPU>(), tensor));
  }
}

TEST(QTensorSerializerTest, ValidMessageReplacesTheBlob) {
  caffe2::Blob blob;
  blob.Reset(new std::string("something else"));
  QTensorDeserializer().Deserialize(ValidProto(), &blob);
  const QTensorCPU& tensor = blob.Get<QTensorCPU>();
  EXPECT_EQ(tensor.sizes().vec(), (std::vector<int>{3, 5}));
  EXPECT_EQ(tensor.precision(), 4);
  EXPECT_TRUE(tensor.is_signed());
  EXPECT_EQ(Planes(tensor), (std::vector<uint8_t>{0, 25, 50, 75, 100, 125, 150,
                                                  175, 200, 225}));
  EXPECT_EQ(AsPerChannel(tensor), nullptr);
}

TEST(QTensorSerializerTest, RefusesBlobsOfAnotherKind) {
  caffe2::BlobProto proto = ValidProto();
  proto.clear_qtensor();
  ExpectRefused(proto,
                "QTensor 'w': field qtensor of its BlobProto is missing");
  proto = ValidProto();
  proto.set_type("Tensor");
  ExpectRefused(proto,
                "QTensor 'w': field type of its BlobProto is 'Tensor', "
                "expected 'QTensor'");
  proto.clear_type();
  ExpectRefused(proto, "QTensor 'w': field type of its BlobProto is missing");
}

TEST(QTensorSerializerTest, RefusesMissingFields) {
  ExpectFieldRefused([](auto* t) { t->clear_precision(); },
                     "QTensor 'w': field precision is missing");
  ExpectFieldRefused([](auto* t) { t->clear_scale(); },
                     "QTensor 'w': field scale is missing");
  ExpectFieldRefused([](auto* t) { t->clear_bias(); },
                     "QTensor 'w': field bias is missing");
  ExpectFieldRefused([](auto* t) { t->clear_is_signed(); },
                     "QTensor 'w': field is_signed is missing");
}

TEST(QTensorSerializerTest, RefusesBadDims) {
  ExpectFieldRefused([](auto* t) { t->set_dims(1, -5); },
                     "QTensor 'w': field dims[1] is -5, expected 0 to");
  ExpectFieldRefused([](auto* t) { t->set_dims(0, INT64_MIN); },
                     "field dims[0] is -9223372036854775808, expected 0 to");
  ExpectFieldRefused([](auto* t) { t->set_dims(0, int64_t{1} << 32); },
                     "field dims[0] is 4294967296, expected 0 to 2147483646");
  ExpectFieldRefused([](auto* t) { t->set_dims(0, INT_MAX); },
                     "field dims[0] is 2147483647, expected 0 to 2147483646");
  ExpectFieldRefused(
      [](auto* t) {
        t->set_dims(0, 1 << 30);
        t->set_dims(1, 1 << 30);
        t->add_dims(16);
      },
      "field dims has a product of more than 63 bits at index 2");
  // A dimension of 0 hides no overflow: the host multiplies the others too.
  ExpectFieldRefused(
      [](auto* t) {
        for (int i = 0; i < 3; ++i) t->add_dims(1 << 30);
        t->add_dims(0);
        t->clear_data();
      },
      "field dims has a product of more than 63 bits at index 3");
  // Fits 63 bits, and is more than the data holds.
  ExpectFieldRefused(
      [](auto* t) {
        t->set_dims(0, 1 << 30);
        t->set_dims(1, 1 << 30);
      },
      "field data has 10 values, expected 5 planes of 144115188075855872 bytes "
      "for 1152921504606846976 elements");
  // So large that the number of data bytes overflows in turn.
  ExpectFieldRefused(
      [](auto* t) {
        t->set_dims(0, 1 << 30);
        t->set_dims(1, 1 << 30);
        t->add_dims(7);
        t->set_precision(64);
      },
      "field data has 10 values, expected 65 planes of");
}

TEST(QTensorSerializerTest, RefusesBadPrecision) {
  for (const int precision : {0, -1, 65, 256 + 4, INT_MIN, INT_MAX}) {
    ExpectFieldRefused([&](auto* t) { t->set_precision(precision); },
                       "QTensor 'w': field precision is " +
                           std::to_string(precision) + ", expected 1 to 64");
  }
}

TEST(QTensorSerializerTest, RefusesBadScaleAndBias) {
  const double inf = std::numeric_limits<double>::infinity();
  ExpectFieldRefused([&](auto* t) { t->set_scale(NAN); },
                     "QTensor 'w': field scale is nan, expected a finite");
  ExpectFieldRefused([&](auto* t) { t->set_scale(inf); },
                     "QTensor 'w': field scale is inf, expected a finite");
  ExpectFieldRefused([&](auto* t) { t->set_bias(-inf); },
                     "QTensor 'w': field bias is -inf, expected a finite");
}

TEST(QTensorSerializerTest, RefusesDataOfAnotherLength) {
  ExpectFieldRefused([](auto* t) { t->clear_data(); },
                     "QTensor 'w': field data has 0 values, expected 5 planes "
                     "of 2 bytes for 15 elements");
  ExpectFieldRefused([](auto* t) { t->add_data(1); },
                     "field data has 11 values, expected 5 planes");
  ExpectFieldRefused([](auto* t) { t->set_is_signed(false); },
                     "field data has 10 values, expected 4 planes");
  ExpectFieldRefused([](auto* t) { t->set_precision(5); },
                     "field data has 10 values, expected 6 planes");
  ExpectFieldRefused([](auto* t) { t->clear_dims(); },
                     "field data has 10 values, expected 5 planes of 1 bytes");
}

TEST(QTensorSerializerTest, RefusesDataThatIsNoByte) {
  for (const int value : {-1, 256, INT_MIN, INT_MAX}) {
    for (const int at : {0, 4, 9}) {
      ExpectFieldRefused([&](auto* t) { t->set_data(at, value); },
                         "QTensor 'w': field data[" + std::to_string(at) +
                             "] is " + std::to_string(value) +
                             ", expected 0 to 255");
    }
  }
}

TEST(QTensorSerializerTest, RefusesBadChannels) {
  const auto with = [](const Change& change) {
    return [change](caffe2::QTensorProto* t) {
      t->set_is_multiparam(true);
      t->set_axis(0);
      for (int c = 0; c < 3; ++c) {
        t->add_scales(1);
        t->add_biases(0);
      }
      change(t);
    };
  };
  ExpectFieldRefused(with([](auto* t) { t->set_axis(2); }),
                     "QTensor 'w': field axis is 2, expected 0 to 1");
  ExpectFieldRefused(with([](auto* t) { t->set_axis(-1); }),
                     "QTensor 'w': field axis is -1, expected 0 to 1");
  ExpectFieldRefused(
      with([](auto* t) { t->set_axis(1); }),
      "QTensor 'w': field scales has 3 elements, expected 5 (dims[1])");
  ExpectFieldRefused(with([](auto* t) { t->clear_scales(); }),
                     "field scales has 0 elements, expected 3 (dims[0])");
  ExpectFieldRefused(with([](auto* t) { t->add_biases(1); }),
                     "field biases has 4 elements, expected 3 (dims[0])");
  for (const double scale :
       {0.0, -1.0, double{NAN}, std::numeric_limits<double>::infinity()}) {
    ExpectFieldRefused(with([&](auto* t) { t->set_scales(1, scale); }),
                       "QTensor 'w': field scales[1] is ");
  }
  ExpectFieldRefused(with([&](auto* t) { t->set_biases(2, NAN); }),
                     "QTensor 'w': field biases[2] is nan, expected a finite");
}

// Fields that say nothing unless is_multiparam is true are kept as they are.
TEST(QTensorSerializerTest, KeepsParametersThatAreNotInForce) {
  caffe2::BlobProto proto = ValidProto();
  proto.mutable_qtensor()->set_name("w");
  proto.mutable_qtensor()->add_scales(-7);
  proto.mutable_qtensor()->set_axis(99);
  caffe2::Blob blob;
  QTensorDeserializer().Deserialize(proto, &blob);
  const PerChannelQTensor* tensor = AsPerChannel(blob.Get<QTensorCPU>());
  ASSERT_NE(tensor, nullptr);
  EXPECT_FALSE(tensor->is_per_channel());
  EXPECT_EQ(caffe2::SerializeBlob(blob, "w"), proto.SerializeAsString());
}

TEST(QTensorSerializerTest, SerializerRefusesWhatCouldNotBeReadBack) {
  const auto serialize = [](const QTensorCPU& tensor) {
    return MessageOf([&] {
      QTensorSerializer().Serialize(
          &tensor, caffe2::TypeMeta::Make<QTensorCPU>(), "w",
          [](const std::string&, std::string&&) { FAIL() << "accepted"; });
    });
  };
  QTensorCPU unset({2, 2}, 8, false);
  unset.SetScale(1);
  unset.SetBias(0);
  EXPECT_NE(serialize(unset).find("QTensor 'w': field data is not set"),
            std::string::npos);
  unset.mutable_data()[0] = 1;
  unset.SetScale(NAN);
  EXPECT_NE(serialize(unset).find("QTensor 'w': field scale is nan"),
            std::string::npos);
  QTensorCPU no_bits({2, 2}, 0, true);
  no_bits.SetScale(1);
  no_bits.SetBias(0);
  EXPECT_NE(serialize(no_bits).find("field precision is 0, expected 1 to 64"),
            std::string::npos);
  QTensorCPU huge({65536, 65536}, 8, false);
  huge.SetScale(1);
  huge.SetBias(0);
  EXPECT_NE(serialize(huge).find("expected at most 2147483647"),
            std::string::npos);
}

TEST(QTensorSerializerTest, SerializerRefusesAnotherType) {
  const std::string text = "not a tensor";
  EXPECT_NE(MessageOf([&] {
              QTensorSerializer().Serialize(
                  &text, caffe2::TypeMeta::Make<std::string>(), "w",
                  [](const std::string&, std::string&&) {});
            }).find("Blob 'w' is of type"),
            std::string::npos);
}

}  // namespace
}  // namespace caffe2_quantization
