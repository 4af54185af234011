// Int8Softmax under the engine ONEDNN, against its equation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Sizes = std::vector<int64_t>;

std::vector<Expected> Softmax(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const auto rank = static_cast<int64_t>(x.shape.size());
  int64_t axis = c.Argument<int64_t>("axis", 1);
  if (axis < 0) axis += rank;
  const int64_t row = std::accumulate(x.shape.begin() + axis, x.shape.end(),
                                      int64_t{1}, std::multiplies<int64_t>());
  Expected y;
  y.shape = x.shape;
  y.values.resize(x.count());
  for (int64_t begin = 0; begin < x.count(); begin += row) {
    double largest = x.Real(begin), sum = 0;
    for (int64_t i = begin; i < begin + row; ++i) {
      largest = std::max(largest, x.Real(i));
    }
    for (int64_t i = begin; i < begin + row; ++i) {
      y.values[i] = std::exp(x.Real(i) - largest);
      sum += y.values[i];
    }
    for (int64_t i = begin; i < begin + row; ++i) y.values[i] /= sum;
  }
  // Floats are made of codes of 1/256, of which 255 is the largest.
  if (c.Argument("dequantize_output", 0) == 1) {
    for (const double value : y.values) {
      y.slack.push_back(0.501 / 256 + std::max(value - 255.0 / 256, 0.0));
    }
  }
  return {y};
}

// Rows below, at and above where they are counted.
Sizes RandomRows(TestRandom* random) {
  if (random->OneIn(3)) return RandomShape(random, 2, 4);
  if (random->OneIn(2)) return {random->Integer(0, 4), random->Integer(1, 40)};
  return {random->Integer(1, 3), random->OneIn(3) ? random->Integer(250, 260)
                                                  : random->Integer(1, 1200)};
}

TEST(SoftmaxOp, LikeItsEquation) {
  OperatorTester("Softmax")
      .Shapes(RandomRows)
      .TakesFloats()
      .TakesDequantizeOutput()
      .FixedUnlessGiven(1.0f / 256, 0)
      .Vary([](TestRandom* random, OperatorCase* c) {
        TestTensor& x = c->Input(0);
        // Flat rows, usual ones, and those in which one value is all.
        if (!x.is_float() && random->OneIn(2)) {
          x.scale = std::ldexp(random->Float(1, 2), random->Integer(-10, 1));
        }
        const auto rank = static_cast<int64_t>(x.shape.size());
        if (random->OneIn(2)) {
          c->Arguments().Int("axis", random->Integer(-rank, rank - 1));
        }
      })
      .Reference(Softmax)
      .ExactCodes()
      .AgainstReference(CaseCount(600, 2000));
}

caffe2::OperatorDef Definition(int64_t axis = 1) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8Softmax", {"x"}, {"y"}).Int("axis", axis);
  definition.set_engine("ONEDNN");
  return definition;
}

TEST(SoftmaxOp, ByHand) {
  caffe2::Workspace workspace;
  // exp of 0, -1, -2: 0.6652, 0.2447, 0.0900 of 1.
  FeedCodes<uint8_t>(&workspace, "x", {12, 11, 10, 5, 5, 5}, {2, 3}, 1, 7);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{2, 3}, {170, 63, 23, 85, 85, 85}, 1.0f / 256, 0}));
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition(0)));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{2, 3}, {170, 63, 23, 0, 0, 0}, 1.0f / 256, 0}));
  // One value is all: 256 is beyond the codes.
  FeedCodes<uint8_t>(&workspace, "x", {200, 0}, {1, 2}, 1, 7);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 2}, {255, 0}, 1.0f / 256, 0}));
  // 1/512 is half a code: to even, 0; 1/171 of 256 is 1.497.
  for (const auto& [count, code] :
       {std::pair{512, 0}, std::pair{171, 1}, std::pair{170, 2}}) {
    FeedCodes(&workspace, "x", std::vector<uint8_t>(count, 9), {1, count}, 1,
              7);
    ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
    EXPECT_EQ(FetchCodes(workspace, "y").codes, std::vector<int>(count, code));
  }
}

// Rows have the codes that each would have alone, on any number of threads.
TEST(SoftmaxOp, RowsDoNotDependOnEachOther) {
  TestRandom random;
  for (const int64_t row : {10, 300}) {
    constexpr int64_t kRows = 3000;
    std::vector<uint8_t> codes(kRows * row);
    for (uint8_t& code : codes) code = random.Byte();
    caffe2::Workspace workspace;
    FeedCodes(&workspace, "x", codes, {kRows, row}, 0.03f, 7);
    std::vector<int> expected;
    for (const int threads : {1, 3}) {
      const onednn::ThreadsScope scope(threads);
      ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
      const auto all = FetchCodes(workspace, "y").codes;
      if (threads == 1) expected = all;
      EXPECT_EQ(all, expected);
    }
    for (const int64_t i : {int64_t{0}, int64_t{1234}, kRows - 1}) {
      FeedCodes(&workspace, "x",
                std::vector<uint8_t>(codes.begin() + i * row,
                                     codes.begin() + (i + 1) * row),
                {1, row}, 0.03f, 100);
      ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
      EXPECT_EQ(FetchCodes(workspace, "y").codes,
                std::vector<int>(expected.begin() + i * row,
                                 expected.begin() + (i + 1) * row));
    }
  }
}

// QNNPACK's codes are near.
TEST(SoftmaxOp, NearTheDefaultEngines) {
  TestRandom random;
  for (int i = 0; i < 100; ++i) {
    const int64_t row = random.Integer(2, 600);
    std::vector<uint8_t> codes(3 * row);
    for (uint8_t& code : codes) code = random.Byte();
    caffe2::Workspace workspace;
    FeedCodes(&workspace, "x", codes, {3, row},
              std::ldexp(random.Float(1, 2), random.Integer(-8, -3)), 7);
    auto definition = Definition();
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const Int8Values ours = FetchCodes(workspace, "y");
    OpBuilder(&definition).Float("Y_scale", 1.0f / 256).Int("Y_zero_point", 0);
    definition.set_engine("DEFAULT");
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const Int8Values host = FetchCodes(workspace, "y");
    EXPECT_EQ(host.scale, ours.scale);
    for (std::size_t k = 0; k < ours.codes.size(); ++k) {
      ASSERT_NEAR(ours.codes[k], host.codes[k], 1);
    }
  }
}

TEST(SoftmaxOp, FewerBits) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {12, 11, 10}, {1, 3}, 1, 7);
  auto definition = Definition();
  OpBuilder(&definition).Int("activation_precision", 4);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 3}, {11, 4, 1}, 1.0f / 16, 0}));
}

TEST(SoftmaxOp, RefusesAndLeavesTheOutput) {
  caffe2::Workspace workspace;
  const auto expect = [&](const caffe2::OperatorDef& definition,
                          const std::string& part) {
    FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(error.find("Int8Softmax: " + part), std::string::npos) << error;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 0.25f, 3}));
  };
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {1, 2}, 1, 0);
  expect(Definition(2),
         "argument axis is 2, and tensor 'x' has sizes [1, 2], "
         "expected one of its dimensions");
  expect(Definition(-3), "argument axis is -3, and");
  FeedCodes<uint8_t>(&workspace, "x", {1}, {}, 1, 0);
  expect(Definition(0), "argument axis is 0, and tensor 'x' has sizes []");
  workspace.RemoveBlob("x");
  FeedFloats(&workspace, "x", {1, std::nanf("")}, {1, 2});
  expect(Definition(),
         "tensor 'x' has 1 of 2 values that are NaN or infinite, "
         "expected finite values");
}

}  // namespace
}  // namespace caffe2_quantization
