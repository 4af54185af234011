// Sum, SumRelu, Int8Sum and Int8SumRelu under the engine ONEDNN, against
// doubles and against DNNLOWP.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/operators/int8/elementwise/operand_pairs.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

std::vector<Expected> SumOfInputs(const OperatorCase& c) {
  const bool rectifies = IsFusedWithRelu(c.kind) || IsFollowedByRelu(c);
  Expected expected;
  expected.shape = c.Input(0).shape;
  for (int64_t i = 0; i < c.Input(0).count(); ++i) {
    double sum = 0, magnitude = 0;
    for (int k = 0; k < c.activations; ++k) {
      const double value = c.Input(k).Real(i);
      sum += value;
      magnitude += std::fabs(value);
    }
    expected.values.push_back(rectifies ? std::max(sum, 0.0) : sum);
    // Of floats each value and each sum is rounded.
    expected.slack.push_back(0x1p-24 * c.activations * magnitude);
    expected.float_slack =
        std::max(expected.float_slack, expected.slack.back());
  }
  return {expected};
}

OperatorTester Tester() {
  OperatorTester tester("Sum", {"SumRelu", "Int8SumRelu"});
  tester.Inputs(1, 5)
      .TakesDequantizeOutput()
      .InPlace(0)
      .Reference(SumOfInputs)
      .ExactCodes();
  return tester;
}

TEST(SumOp, LikeDoubles) {
  Tester().TakesFloats().AgainstReference(CaseCount(400, 2000));
}

// Of codes alone: DNNLOWP saturates floats above the middle of a range that
// reaches below 0, and refuses them beside codes.
TEST(SumOp, LikeDnnlowp) {
  const int64_t count = CaseCount(600, 3000);
  Tester()
      .Vary([](TestRandom*, OperatorCase* c) {
        // Of two tensors of 8 bits it adds the zero point before it rounds.
        c->host_within = 1;
      })
      // Of others it makes 16 bits.
      .Incomparable(
          0, count * 3 / 4,
          [](const OperatorCase& c, const TestTensor& ours, const TestTensor&) {
            return (c.kind.is_wide() || c.activations != 2) &&
                   SixteenBitsShow(c, ours);
          })
      .InexactShare(0.01, 1, 300)
      .AgainstDnnlowp(count);
}

class SumOpTest : public testing::Test {
 protected:
  caffe2::OperatorDef Definition(const std::string& type,
                                 const std::vector<std::string>& inputs,
                                 const std::string& y = "y") {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, type, inputs, {y});
    definition.set_engine("ONEDNN");
    return definition;
  }
  caffe2::OperatorDef With(caffe2::OperatorDef definition, float scale,
                           int zero_point) {
    OpBuilder(&definition)
        .Float("Y_scale", scale)
        .Int("Y_zero_point", zero_point);
    return definition;
  }
  Int8Values Run(const caffe2::OperatorDef& definition) {
    EXPECT_TRUE(workspace_.RunOperatorOnce(definition));
    return FetchCodes(workspace_, definition.output(0));
  }

  caffe2::Workspace workspace_;
};

// Of one input; values -1.5, -0.5, 0.5, 1.5 and 100.
TEST_F(SumOpTest, RequantizesOneInput) {
  FeedCodes<uint8_t>(&workspace_, "a", {7, 9, 11, 13, 210}, {5}, 0.5f, 10);
  const std::vector<std::string> inputs = {"a"};
  for (const char* type : {"Sum", "Int8Sum"}) {
    EXPECT_EQ(Run(With(Definition(type, inputs), 1, 3)),
              (Int8Values{{5}, {1, 3, 3, 5, 103}, 1, 3}));
  }
  EXPECT_EQ(Run(With(Definition("SumRelu", inputs), 1, 0)),
            (Int8Values{{5}, {0, 0, 0, 2, 100}, 1, 0}));
}

// A third input of zeros of a wide scale: through 16 bits of it 58 % of
// DNNLOWP's codes change.
TEST_F(SumOpTest, AddsZerosOfAWideScaleExactly) {
  std::vector<uint8_t> codes(256);
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
  FeedCodes<uint8_t>(&workspace_, "a", codes, {256}, 1e-4f, 128);
  FeedCodes(&workspace_, "b", std::vector<uint8_t>(256, 5), {256}, 1e-4f, 5);
  FeedCodes(&workspace_, "c", std::vector<uint8_t>(256, 77), {256}, 0.1f, 77);
  EXPECT_EQ(Run(With(Definition("Sum", {"a", "b", "c"}), 1e-4f, 128)).codes,
            std::vector<int>(codes.begin(), codes.end()));
}

// DNNLOWP gives 0.016 for 1 + 1, and 0 for 3.8 of SumRelu.
TEST_F(SumOpTest, FloatsDoNotSaturate) {
  FeedFloats(&workspace_, "a", {1, -1, 2, -2});
  FeedFloats(&workspace_, "b", {1, -1, 1.8f, -1.8f});
  const Int8Values y = Run(Definition("Sum", {"a", "b"}));
  EXPECT_NEAR(y.scale * (y.codes[0] - y.zero_point), 2, y.scale / 2);
  EXPECT_NEAR(y.scale * (y.codes[3] - y.zero_point), -3.8, y.scale / 2);
  const Int8Values relu = Run(Definition("SumRelu", {"a", "b"}));
  EXPECT_EQ(relu.codes, (std::vector<int>{134, 0, 255, 0}));
  EXPECT_FLOAT_EQ(relu.scale, 3.8f / 255);
}

// Floats beside codes, in place of them.
TEST_F(SumOpTest, TakesFloatsBesideCodes) {
  FeedCodes<uint8_t>(&workspace_, "a", {1, 2, 3}, {3}, 10, 0);
  FeedFloats(&workspace_, "b", {0.25f, 0.5f, 1.75f});
  EXPECT_EQ(Run(With(Definition("Sum", {"b", "a"}, "b"), 0.5f, 1)),
            (Int8Values{{3}, {21, 42, 65}, 0.5f, 1}));
}

TEST_F(SumOpTest, AddsABlobToItself) {
  FeedCodes<uint8_t>(&workspace_, "a", {1, 2, 200}, {3}, 1, 0);
  EXPECT_EQ(Run(With(Definition("Sum", {"a", "a", "a"}), 2, 0)),
            (Int8Values{{3}, {2, 3, 255}, 2, 0}));
  EXPECT_EQ(Run(With(Definition("Int8Sum", {"a", "a"}, "a"), 2, 0)),
            (Int8Values{{3}, {1, 2, 200}, 2, 0}));
}

// Inputs are read by their own 8 bits, whatever the output has.
TEST_F(SumOpTest, PrecisionIsThatOfTheOutput) {
  FeedCodes<uint8_t>(&workspace_, "a", {0, 100, 255}, {3}, 1, 0);
  FeedCodes<uint8_t>(&workspace_, "b", {0, 100, 255}, {3}, 1, 0);
  FeedCodes<uint8_t>(&workspace_, "c", {0, 0, 0}, {3}, 1, 0);
  auto definition = With(Definition("Sum", {"a", "b", "c"}), 40, 1);
  OpBuilder(&definition).Int("activation_precision", 4);
  EXPECT_EQ(Run(definition).codes, (std::vector<int>{1, 6, 14}));
  FeedCodes<uint8_t>(&workspace_, "c", {0, 0, 255}, {3}, 1, 0);
  EXPECT_EQ(Run(definition).codes, (std::vector<int>{1, 6, 15}));
}

// 2^127 and more codes of the output a code of the input: the products of a
// float's multiplier leave the floats.
TEST_F(SumOpTest, ScalesWhoseQuotientNoFloatHolds) {
  const std::vector<int> expected = {0, 128, 255};
  const auto run = [&](const std::string& type,
                       const std::vector<std::string>& inputs, float scale) {
    FeedCodes<uint8_t>(&workspace_, "a", {0, 7, 200}, {1, 1, 3, 1}, scale, 7);
    auto definition = With(Definition(type, inputs), 0x1p-30f, 128);
    OpBuilder(&definition).Int("kernel", 1).String("order", "NHWC");
    return Run(definition).codes;
  };
  for (const float scale : {0x1p90f, 0x1p97f, 0x1p98f, 0x1p120f}) {
    EXPECT_EQ(run("Sum", {"a"}, scale), expected) << scale;
    EXPECT_EQ(run("Sum", {"a", "a", "a"}, scale), expected) << scale;
    EXPECT_EQ(run("Add", {"a", "a"}, scale), expected) << scale;
    EXPECT_EQ(run("AveragePool", {"a"}, scale), expected) << scale;
    EXPECT_EQ(run("Mul", {"a", "a"}, scale), (std::vector<int>{255, 128, 255}))
        << scale;
  }
}

TEST_F(SumOpTest, RefusesOtherShapes) {
  FeedCodes<uint8_t>(&workspace_, "a", {1, 2, 3, 4, 5, 6}, {2, 3}, 1, 0);
  FeedCodes<uint8_t>(&workspace_, "b", {1, 2, 3, 4, 5, 6}, {3, 2}, 1, 0);
  FeedFloats(&workspace_, "f", {1, 2, 3, 4, 5, 6}, {6});
  const auto error = [&](const std::string& type, const std::string& other) {
    const auto definition = With(Definition(type, {"a", "a", other}), 1, 0);
    return ErrorOf([&] { workspace_.RunOperatorOnce(definition); });
  };
  for (const char* type : {"Sum", "Int8SumRelu"}) {
    EXPECT_NE(error(type, "b").find(
                  type + std::string(": tensor 'b' has sizes [3, 2], expected "
                                     "those of 'a', [2, 3]")),
              std::string::npos)
        << error(type, "b");
    EXPECT_NE(error(type, "f").find("tensor 'f' has sizes [6], expected"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace caffe2_quantization
