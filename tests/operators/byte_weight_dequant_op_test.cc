#include "operators/byte_weight_dequant_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

class ByteWeightDequantOpTest : public testing::Test {
 protected:
  OpBuilder Op() {
    definition_.Clear();
    return OpBuilder(&definition_, "ByteWeightDequant", {"bytes"}, {"values"});
  }
  bool Run() { return workspace_.RunOperatorOnce(definition_); }
  std::vector<float> Values() { return Fetch<float>(workspace_, "values"); }
  // The error of the last Op(), which must leave the output alone.
  std::string Error() {
    FeedFloats(&workspace_, "values", {42});
    const std::string error = ErrorOf([&] { Run(); });
    EXPECT_EQ(Values(), std::vector<float>{42});
    return error;
  }

  caffe2::Workspace workspace_;
  caffe2::OperatorDef definition_;
};

TEST_F(ByteWeightDequantOpTest, OursIsTheOneThatRuns) {
  Op().Ints("shape", {1});
  Feed<uint8_t>(&workspace_, "bytes", {1});
  const auto op = caffe2::CreateOperator(definition_, &workspace_);
  EXPECT_NE(dynamic_cast<ByteWeightDequantOp*>(op.get()), nullptr);
}

TEST_F(ByteWeightDequantOpTest, AffineIsTheDefault) {
  Feed<uint8_t>(&workspace_, "bytes", {0, 255, 51, 102});
  Op().Ints("shape", {2, 2}).Float("min", -1).Float("max", 4);
  ASSERT_TRUE(Run());
  EXPECT_EQ(workspace_.GetBlob("values")->Get<caffe2::Tensor>().sizes(),
            (std::vector<int64_t>{2, 2}));
  const auto values = Values();
  const float wanted[] = {-1, 4, 0, 1};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(values[i], wanted[i], 1e-6);
}

TEST_F(ByteWeightDequantOpTest, Centered) {
  Feed<uint8_t>(&workspace_, "bytes", {0, 255, 127, 128});
  Op().Ints("shape", {4})
      .String("formula", "centered")
      .Float("min", 0)
      .Float("max", 2.55f);
  ASSERT_TRUE(Run());
  const auto values = Values();
  const float wanted[] = {-2.55f, 2.55f, -0.01f, 0.01f};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(values[i], wanted[i], 1e-6);

  Op().Ints("shape", {4})
      .String("formula", "centered")
      .Int("quant_min", -128)
      .Int("quant_max", 127)
      .Float("min", 0)
      .Float("max", 2.55f);
  ASSERT_TRUE(Run());
  EXPECT_NEAR(Values()[2], (2 * 127 + 1) * 0.01, 1e-6);
}

TEST_F(ByteWeightDequantOpTest, PerChannelOnEachAxis) {
  TestRandom random;
  const std::vector<int64_t> shape = {3, 4, 5};
  std::vector<uint8_t> bytes(60);
  for (auto& byte : bytes) byte = random.Byte();
  Feed(&workspace_, "bytes", bytes);
  for (const char* formula : {"affine", "centered"}) {
    for (int axis = -3; axis < 3; ++axis) {
      const int at = (axis + 3) % 3;
      std::vector<float> mins, maxs;
      for (int64_t c = 0; c < shape[at]; ++c) {
        mins.push_back(random.Float(-3, 0));
        maxs.push_back(random.Float(0, 3));
      }
      Op().Ints("shape", shape)
          .String("formula", formula)
          .Int("axis", axis)
          .Floats("mins", mins)
          .Floats("maxs", maxs);
      ASSERT_TRUE(Run());
      const auto values = Values();
      const int64_t inner = at == 0 ? 20 : at == 1 ? 5 : 1;
      for (int64_t i = 0; i < 60; ++i) {
        const int64_t c = i / inner % shape[at];
        // One channel alone gives the same bits.
        caffe2::Workspace alone;
        Feed<uint8_t>(&alone, "bytes", {bytes[i]});
        caffe2::OperatorDef one;
        OpBuilder(&one, "ByteWeightDequant", {"bytes"}, {"value"})
            .Ints("shape", {1})
            .String("formula", formula)
            .Float("min", mins[c])
            .Float("max", maxs[c]);
        ASSERT_TRUE(alone.RunOperatorOnce(one));
        EXPECT_EQ(values[i], Fetch<float>(alone, "value")[0]);
      }
    }
  }
}

TEST_F(ByteWeightDequantOpTest, AnEmptyShapeWithAZeroGivesAnEmptyTensor) {
  Feed<uint8_t>(&workspace_, "bytes", {});
  Op().Ints("shape", {3, 0});
  ASSERT_TRUE(Run());
  EXPECT_TRUE(Values().empty());
}

TEST_F(ByteWeightDequantOpTest, HugeDimensionsBesideAZeroTakeNoTime) {
  Feed<uint8_t>(&workspace_, "bytes", {});
  Op().Ints("shape", {int64_t{1} << 40, 3, 0})
      .Int("axis", 1)
      .Floats("mins", {0, 0, 0})
      .Floats("maxs", {1, 1, 1});
  ASSERT_TRUE(Run());
  EXPECT_TRUE(Values().empty());
}

TEST_F(ByteWeightDequantOpTest, AnAliasOfTheInputIsNotWrittenOver) {
  std::vector<uint8_t> bytes(1 << 20, 255);
  Feed(&workspace_, "bytes", bytes);
  caffe2::OperatorDef alias;
  OpBuilder(&alias, "Alias", {"bytes"}, {"values"});
  ASSERT_TRUE(workspace_.RunOperatorOnce(alias));
  Op().Ints("shape", {1 << 20});
  ASSERT_TRUE(Run());
  EXPECT_EQ(Fetch<uint8_t>(workspace_, "bytes"), bytes);
  EXPECT_EQ(Values(), std::vector<float>(1 << 20, 3.0f));
}

TEST_F(ByteWeightDequantOpTest, ShapeLargerThanTheInputNamesBothNumbers) {
  Feed<uint8_t>(&workspace_, "bytes", std::vector<uint8_t>(10));
  Op().Ints("shape", {4, 4});
  EXPECT_NE(Error().find("input 'bytes' holds 10 bytes, but shape (4, 4) asks "
                         "for 16"),
            std::string::npos);
  Feed<std::string>(&workspace_, "bytes", {"abc"});
  EXPECT_NE(Error().find("holds 3 bytes, but shape (4, 4) asks for 16"),
            std::string::npos);
}

TEST_F(ByteWeightDequantOpTest, EveryRefusalNamesItsReason) {
  Feed<uint8_t>(&workspace_, "bytes", std::vector<uint8_t>(16));
  const float nan = std::nanf("");
  const float infinity = std::numeric_limits<float>::infinity();
  const auto expect = [&](const std::string& wanted) {
    const std::string error = Error();
    EXPECT_NE(error.find(wanted), std::string::npos)
        << "'" << wanted << "' is not in '" << error << "'";
  };
  Op().Ints("shape", {-2, 2});
  expect("shape[0] is -2, expected 0 or more");
  Op().Ints("shape", {int64_t{1} << 40, int64_t{1} << 40});
  expect("passes 2^62 elements");
  Op().Ints("shape", {int64_t{1} << 40});
  expect("asks for 1099511627776");
  Op().Ints("shape", {16}).Float("min", nan);
  expect("min is nan");
  Op().Ints("shape", {16}).Float("max", infinity);
  expect("max is inf");
  Op().Ints("shape", {16}).Float("min", -3e38f).Float("max", 3e38f);
  expect("overflows float");
  Op().Ints("shape", {16}).String("formula", "cubic");
  expect("formula is 'cubic', expected 'affine' or 'centered'");
  Op().Ints("shape", {16}).Int("quant_min", 3);
  expect("belong to formula 'centered'");
  Op().Ints("shape", {16}).String("formula", "centered").Int("quant_min", 255);
  expect("quant_min is 255 and quant_max is 255");
  Op().Ints("shape", {4, 4})
      .Int("axis", 2)
      .Floats("mins", {0})
      .Floats("maxs", {1});
  expect("axis is 2, expected -2 ... 1");
  Op().Ints("shape", {4, 4})
      .Int("axis", 0)
      .Floats("mins", {0, 0})
      .Floats("maxs", {1, 1, 1});
  expect("mins has 2 and maxs has 3 numbers, expected 4");
  Op().Ints("shape", {4, 4}).Int("axis", 0).Float("min", 0);
  expect("mins has 0 and maxs has 0 numbers, expected 4");
  Op().Ints("shape", {4, 4}).Floats("mins", {0, 0, 0, 0});
  expect("need the argument axis");
  Feed<int32_t>(&workspace_, "bytes", std::vector<int32_t>(16));
  Op().Ints("shape", {16});
  expect("expected uint8 or string");
  Feed<std::string>(&workspace_, "bytes", {});
  Op().Ints("shape", {16});
  expect("no string in it");
}

}  // namespace
}  // namespace caffe2_quantization
