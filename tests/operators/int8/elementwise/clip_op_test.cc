// Int8Clip under the engine ONEDNN, against its equation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<Expected> Clipped(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const double min = c.Argument("min", -kInfinity);
  const double max = c.Argument("max", kInfinity);
  const bool keeps = !x.is_float() && !HasGivenParameters(c);
  const bool makes_floats = c.Argument("dequantize_output", 0) == 1;
  Expected y;
  y.shape = x.shape;
  for (int64_t i = 0; i < x.count(); ++i) {
    double value = std::min(std::max(x.Real(i), min), max);
    if (IsFollowedByRelu(c) && !keeps) value = std::max(value, 0.0);
    // Floats are made of codes.
    if (keeps && makes_floats) {
      const double code = std::nearbyint(value / x.scale) + x.zero_point;
      value = x.scale * (std::clamp(code, 0.0, 255.0) - x.zero_point);
    }
    y.values.push_back(value);
  }
  return {y};
}

void Vary(TestRandom* random, OperatorCase* c) {
  const TestTensor& x = c->Input(0);
  // Of the order of the values, and sometimes of none of them.
  const float unit = x.is_float() ? 1 : 60 * x.scale;
  float min = unit * random->Float(-2, 2), max = unit * random->Float(-2, 2);
  if (min > max) std::swap(min, max);
  if (random->OneIn(8)) max = min;
  if (random->OneIn(8)) min = random->OneIn(2) ? -kInfinity : 0;
  if (!random->OneIn(6)) c->Arguments().Float("min", std::min(min, max));
  if (!random->OneIn(6)) c->Arguments().Float("max", max);
}

TEST(ClipOp, LikeItsEquation) {
  OperatorTester("Clip")
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .InPlace(0)
      .KeepsUnlessGiven()
      .Vary(Vary)
      .Reference(Clipped)
      .ExactCodes()
      .AgainstReference(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(const std::string& y = "y") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8Clip", {"x"}, {y});
  definition.set_engine("ONEDNN");
  return definition;
}

TEST(ClipOp, ARelu6KeepsItsInputsParametersInEachRun) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {0, 99, 100, 101, 112, 113, 255}, {7},
                     0.5f, 100);
  caffe2::OperatorDef definition = Definition();
  OpBuilder(&definition).Float("min", 0).Float("max", 6);
  const auto op = caffe2::CreateOperator(definition, &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{7}, {100, 100, 100, 101, 112, 112, 112}, 0.5f, 100}));
  FeedCodes<uint8_t>(&workspace, "x", {0, 50, 51, 53, 200}, {5, 1}, 4, 50);
  ASSERT_TRUE(op->Run());
  // 6 / 4 is a tie: to the even 2.
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{5, 1}, {50, 50, 51, 52, 52}, 4, 50}));
}

TEST(ClipOp, TakesGivenParameters) {
  for (const char* y : {"y", "x"}) {
    caffe2::Workspace workspace;
    FeedCodes<uint8_t>(&workspace, "x", {0, 100, 104, 255}, {4}, 0.5f, 100);
    caffe2::OperatorDef definition = Definition(y);
    OpBuilder(&definition)
        .Float("min", 0)
        .Float("max", 6)
        .Float("Y_scale", 0.25f)
        .Int("Y_zero_point", 3);
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    EXPECT_EQ(FetchCodes(workspace, y),
              (Int8Values{{4}, {3, 3, 11, 27}, 0.25f, 3}));
  }
}

TEST(ClipOp, WithoutBoundsCopies) {
  caffe2::Workspace workspace;
  std::vector<uint8_t> codes(256);
  std::vector<int> expected(256);
  for (int i = 0; i < 256; ++i) codes[i] = expected[i] = i;
  FeedCodes(&workspace, "x", codes, {256}, 3e-7f, 77);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{256}, expected, 3e-7f, 77}));
}

TEST(ClipOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {2}, 0.5f, 9);
  const auto expect = [&](const std::string& part, const auto& change) {
    caffe2::OperatorDef definition = Definition();
    change(OpBuilder(&definition));
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(error.find("Int8Clip: " + part), std::string::npos) << error;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 0.25f, 3}));
  };
  expect("arguments min and max are 2 and 1, expected a min that is not above",
         [](OpBuilder b) { b.Float("min", 2).Float("max", 1); });
  expect("arguments min and max are nan and ",
         [](OpBuilder b) { b.Float("min", std::nanf("")); });
  expect("argument max is not a float", [](OpBuilder b) { b.Int("max", 6); });
  expect("argument Y_scale: ", [](OpBuilder b) { b.Float("Y_scale", 0); });
}

}  // namespace
}  // namespace caffe2_quantization
