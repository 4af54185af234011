// The operator that carries packed weights, written and read.
#include "netdef/given_weights.h"

#include <gtest/gtest.h>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using Order = GivenWeights::Order;

TEST(GivenWeights, WhatIsWrittenIsRead) {
  TestRandom random;
  for (int round = 0; round < 300; ++round) {
    GivenWeights given;
    const Order orders[] = {Order::kFc, Order::kNhwc, Order::kNchw};
    given.order = orders[random.Integer(0, 2)];
    const bool is_fc = given.order == Order::kFc;
    if (!is_fc) given.groups = random.Integer(1, 3);
    const int64_t outputs = given.groups * random.Integer(1, 5);
    given.shape = {outputs};
    std::size_t count = outputs;
    const int64_t dims = random.Integer(is_fc ? 1 : 2, 4);
    for (int64_t dim = 0; dim < dims; ++dim) {
      given.shape.push_back(random.Integer(1, 4));
      count *= given.shape.back();
    }
    std::string values(count, '\0');
    for (char& value : values) value = static_cast<char>(random.Byte());
    given.values = values;
    given.is_signed = random.OneIn(2);
    const int64_t lowest = given.is_signed ? -128 : 0;
    const int64_t counts[] = {1, given.groups, outputs};
    const int64_t sets = counts[random.Integer(0, 2)];
    for (int64_t set = 0; set < sets; ++set) {
      given.scales.push_back(random.Float(0.001f, 1));
      given.zero_points.push_back(
          static_cast<int32_t>(random.Integer(lowest, lowest + 255)));
    }
    if (random.OneIn(2)) {
      given.in_scale = random.Float(0.001f, 1);
      for (int64_t i = 0; i < outputs; ++i) {
        given.bias.push_back(
            static_cast<int32_t>(random.Integer(INT32_MIN, INT32_MAX)));
      }
    }
    given.save_unpacked_weights = random.OneIn(2);

    const caffe2::OperatorDef written = GivenWeightsFill("w", given);
    EXPECT_EQ(written.type(), "Int8GivenPackedWeightFill");
    EXPECT_EQ(written.output(0), "w");
    caffe2::OperatorDef op;
    ASSERT_TRUE(op.ParseFromString(written.SerializeAsString()));
    GivenWeights read;
    const Status status = ReadGivenWeights(op, &read);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(read.order, given.order);
    EXPECT_EQ(read.shape, given.shape);
    EXPECT_EQ(read.groups, given.groups);
    EXPECT_EQ(read.values, given.values);
    EXPECT_EQ(read.is_signed, given.is_signed);
    EXPECT_EQ(read.scales, given.scales);
    EXPECT_EQ(read.zero_points, given.zero_points);
    EXPECT_EQ(read.bias, given.bias);
    EXPECT_EQ(read.in_scale, given.in_scale);
    EXPECT_EQ(read.save_unpacked_weights, given.save_unpacked_weights);
  }
}

// Values are not copied, and a definition that is refused changes nothing.
TEST(GivenWeights, ValuesStandInTheDefinition) {
  GivenWeights given;
  given.shape = {2, 2};
  given.values = "abcd";
  given.scales = {1};
  given.zero_points = {0};
  caffe2::OperatorDef op = GivenWeightsFill("w", given);
  GivenWeights read;
  ASSERT_TRUE(ReadGivenWeights(op, &read).ok());
  const std::string* values = nullptr;
  for (caffe2::Argument& argument : *op.mutable_arg()) {
    if (argument.name() == "values") values = &argument.s();
  }
  ASSERT_NE(values, nullptr);
  EXPECT_EQ(read.values.data(), values->data());

  given.values = "abc";
  EXPECT_EQ(ReadGivenWeights(GivenWeightsFill("w", given), &read).message(),
            "argument values has 3 bytes, expected 4, one for each code of "
            "shape [2, 2]");
  EXPECT_EQ(read.values, "abcd");
}

}  // namespace
}  // namespace caffe2_quantization
