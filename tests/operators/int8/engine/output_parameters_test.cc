// What arguments say of an output's parameters; the operators' oracle test
// compares what they give with the host.
#include <gtest/gtest.h>

#include <limits>

#include "operators/int8/engine/arguments.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

struct Read {
  std::optional<QuantizationParams> params;
  std::string error;
};

Read ReadStatic(const caffe2::OperatorDef& definition, int storage_bits = 8) {
  Read read;
  ChooseOptions options;
  Status status = ActivationOptions(definition, storage_bits, &options);
  if (status.ok()) status = StaticParameters(definition, options, &read.params);
  read.error = status.message();
  return read;
}

void ExpectParams(const Read& read, QuantizedType type, float scale,
                  int32_t zero_point) {
  ASSERT_EQ(read.error, "");
  ASSERT_TRUE(read.params.has_value());
  EXPECT_EQ(*read.params, QuantizationParams(type, scale, zero_point));
}

TEST(OutputParameters, NoneAreGiven) {
  caffe2::OperatorDef definition;
  EXPECT_EQ(ReadStatic(definition).error, "");
  EXPECT_FALSE(ReadStatic(definition).params.has_value());
  OpBuilder(&definition).String("followed_by", "Relu");
  EXPECT_EQ(ReadStatic(definition).error, "");
  EXPECT_FALSE(ReadStatic(definition).params.has_value());
}

TEST(OutputParameters, OfArguments) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition).Float("Y_scale", 0.5f);
  ExpectParams(ReadStatic(definition), QuantizedType::UInt8(), 0.5f, 0);
  OpBuilder(&definition).Int("Y_zero_point", 255);
  ExpectParams(ReadStatic(definition), QuantizedType::UInt8(), 0.5f, 255);
  OpBuilder(&definition).Int("activation_precision", 16);
  ExpectParams(ReadStatic(definition, 16), QuantizedType::UInt16(), 0.5f, 255);
}

TEST(OutputParameters, BeforeARelu) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition)
      .Float("Y_scale", 0.5f)
      .Int("Y_zero_point", 135)
      .String("followed_by", "Relu");
  // 0.5 * (255 - 135) = 60 is the largest.
  ExpectParams(ReadStatic(definition), QuantizedType::UInt8(), 60.0f / 255, 0);
}

TEST(OutputParameters, BeforeASigmoidAndATanh) {
  for (const bool with_scale : {false, true}) {
    caffe2::OperatorDef sigmoid, tanh;
    OpBuilder(&sigmoid).String("followed_by", "Sigmoid");
    OpBuilder(&tanh).String("followed_by", "Tanh");
    if (with_scale) OpBuilder(&tanh).Float("Y_scale", 2.0f);
    ExpectParams(ReadStatic(sigmoid), QuantizedType::UInt8(), 6.0f / 127, 128);
    ExpectParams(ReadStatic(tanh), QuantizedType::UInt8(), 3.0f / 127, 128);
  }
}

TEST(OutputParameters, BadOnesAreNamed) {
  const auto error = [](const auto& build) {
    caffe2::OperatorDef definition;
    OpBuilder builder(&definition);
    build(&builder);
    return ReadStatic(definition).error;
  };
  using B = OpBuilder;
  EXPECT_EQ(error([](B* b) { b->Int("Y_scale", 1); }),
            "argument Y_scale is not a float");
  EXPECT_EQ(
      error([](B* b) { b->Float("Y_scale", 1).Float("Y_zero_point", 1.5f); }),
      "argument Y_zero_point is not an integer");
  for (const int64_t zero_point :
       {int64_t{-1}, int64_t{256}, int64_t{1} << 40}) {
    EXPECT_EQ(error([&](B* b) {
                b->Float("Y_scale", 1).Int("Y_zero_point", zero_point);
              }),
              "argument Y_zero_point is " + std::to_string(zero_point) +
                  ", expected a code, 0 to 255");
  }
  EXPECT_EQ(
      error([](B* b) { b->Int("Y_zero_point", 7); }),
      "argument Y_zero_point is 7 without Y_scale, expected both or none");
  EXPECT_EQ(
      error([](B* b) { b->String("followed_by", "Softmax"); }),
      "argument followed_by is 'Softmax', expected Relu, Sigmoid or Tanh");
  EXPECT_EQ(error([](B* b) { b->Int("followed_by", 1); }),
            "argument followed_by is not a string");
  EXPECT_EQ(
      error([](B* b) { b->Int("activation_precision", 9); }),
      "activation_precision is 9, expected 1 to 8 bits; engines ending in "
      "_16 have up to 16");
  for (const float scale : {0.0f, -1.0f, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
    const std::string text = error([&](B* b) { b->Float("Y_scale", scale); });
    EXPECT_EQ(text.find("argument Y_scale: "), 0u) << scale << ": " << text;
  }
  const std::string tanh = error([](B* b) {
    b->Int("activation_precision", 4).String("followed_by", "Tanh");
  });
  EXPECT_NE(tanh.find("followed_by is Tanh"), std::string::npos) << tanh;
  EXPECT_NE(tanh.find("128"), std::string::npos) << tanh;
}

}  // namespace
}  // namespace caffe2_quantization
