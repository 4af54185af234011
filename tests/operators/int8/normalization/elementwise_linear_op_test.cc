// ElementwiseLinear and Int8ElementwiseLinear under the engine ONEDNN, against
// their equation and against DNNLOWP.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

int64_t ColumnsOf(const OperatorCase& c) {
  const std::vector<int64_t>& shape = c.Input(0).shape;
  int64_t axis = c.Argument("axis", 1);
  if (axis < 0) axis += static_cast<int64_t>(shape.size());
  return NumValues({shape.begin() + axis, shape.end()});
}

std::vector<Expected> Linear(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const int64_t columns = ColumnsOf(c);
  Expected y;
  y.shape = x.shape;
  for (int64_t i = 0; i < x.count(); ++i) {
    const double a = c.Input(1).floats[i % columns];
    const double b = c.Input(2).floats[i % columns];
    // As codes and steps, so that nothing but a quotient is rounded.
    const double value = x.is_float()
                             ? a * x.floats[i] + b
                             : a * x.scale * (x.codes[i] - x.zero_point) + b;
    y.values.push_back(IsFollowedByRelu(c) ? std::max(value, 0.0) : value);
    const double error = 4e-7 * (std::fabs(a * x.Real(i)) + std::fabs(b));
    y.float_slack = std::max(y.float_slack, error);
    if (x.is_float()) y.slack.push_back(error);
  }
  return {y};
}

void Vary(TestRandom* random, OperatorCase* c) {
  const TestTensor x = c->Input(0);
  const auto rank = static_cast<int64_t>(x.shape.size());
  if (rank < 2 || random->OneIn(2)) {
    c->Arguments().Int("axis", random->Integer(-rank, rank - 1));
  }
  const int64_t columns = ColumnsOf(*c);
  std::vector<float> a(columns), b(columns);
  // DNNLOWP quantizes a, and b in steps of X times those of a: here they are of
  // such steps.
  const bool is_comparable = columns > 1 && !random->OneIn(6);
  const float step = std::ldexp(1.0f, random->Integer(-9, 3));
  const int64_t zero_point = random->Integer(1, 254);
  for (int64_t i = 0; i < columns; ++i) {
    const int64_t code = i == 0 ? 0 : i == 1 ? 255 : random->Integer(0, 255);
    if (is_comparable) {
      a[i] = step * static_cast<float>(code - zero_point);
      b[i] = step * x.scale * static_cast<float>(random->Integer(-9999, 9999));
    } else {
      a[i] = step * random->Float(-9, 9) * (random->OneIn(9) ? 1000 : 1);
      b[i] = step * random->Float(-9, 9);
    }
  }
  c->AddInput("a", FloatTensor(a, {columns}));
  c->AddInput("b", FloatTensor(b, {columns}));
  c->host_is_wrong = !is_comparable || x.is_float();
  // Its multiplier is a float, and ours a quotient: they differ near ties.
  c->host_within = 1;
}

TEST(ElementwiseLinearOp, LikeItsEquationAndDnnlowp) {
  OperatorTester("ElementwiseLinear")
      .Rank(1, 4)
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .Vary(Vary)
      .Reference(Linear)
      .ExactCodes()
      .Incomparable(0, 1 << 20,
                    [](const OperatorCase&, const TestTensor&,
                       const TestTensor&) { return false; })
      .InexactShare(0.003, 0.02, 20)
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(const std::string& type = "ElementwiseLinear") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"x", "a", "b"}, {"y"})
      .Float("Y_scale", 0.5f)
      .Int("Y_zero_point", 10);
  definition.set_engine("ONEDNN");
  return definition;
}

// DNNLOWP gives a one scale, by which 0.004 beside 1000 is 0, and keeps it.
TEST(ElementwiseLinearOp, ReadsUnlikeColumnsInEveryRun) {
  for (const char* type : {"ElementwiseLinear", "Int8ElementwiseLinear"}) {
    caffe2::Workspace workspace;
    FeedCodes<uint8_t>(&workspace, "x", {0, 200, 2, 4, 0, 100}, {2, 3}, 1, 0);
    FeedFloats(&workspace, "a", {1000, 0.04f, 0.25f});
    FeedFloats(&workspace, "b", {2, 0, 0});
    const auto op = caffe2::CreateOperator(Definition(type), &workspace);
    ASSERT_TRUE(op->Run());
    // 2, 8, 0.5 (a tie of 1 code is none), 4002, 0, 25, in steps of 0.5.
    EXPECT_EQ(FetchCodes(workspace, "y"),
              (Int8Values{{2, 3}, {14, 26, 11, 255, 10, 60}, 0.5f, 10}));
    FeedFloats(&workspace, "a", {1, 1, -1});
    FeedFloats(&workspace, "b", {0, 0.25f, 0.75f});
    ASSERT_TRUE(op->Run());
    // 0, 200.25, -1.25 (-2.5 codes, a tie), 4, 0.25 (0.5, a tie), -99.25.
    EXPECT_EQ(FetchCodes(workspace, "y"),
              (Int8Values{{2, 3}, {10, 255, 8, 18, 10, 0}, 0.5f, 10}));
  }
}

TEST(ElementwiseLinearOp, RefusesWhatDoesNotFit) {
  caffe2::Workspace workspace;
  const auto error = [&](const caffe2::OperatorDef& definition) {
    return ErrorOf([&] { workspace.RunOperatorOnce(definition); });
  };
  const auto expect = [&](const caffe2::OperatorDef& definition,
                          const std::string& text) {
    const std::string message = error(definition);
    EXPECT_NE(message.find("ElementwiseLinear: " + text), std::string::npos)
        << message;
  };
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6}, {2, 3}, 1, 0);
  FeedFloats(&workspace, "a", {1, 2});
  FeedFloats(&workspace, "b", {1, 2, 3});
  expect(Definition(),
         "tensor 'a' has sizes [2], expected [3], the sizes of 'x' from axis 1 "
         "on");
  FeedFloats(&workspace, "a", {1, 2, 3}, {1, 3});
  expect(Definition(), "tensor 'a' has sizes [1, 3], expected [3]");
  FeedFloats(&workspace, "a", {1, 2, std::nanf("")});
  expect(Definition(), "tensor 'a' has nan at 2, expected a finite number");
  FeedFloats(&workspace, "a", {1, 2, 3});
  for (const int axis : {2, -3}) {
    auto definition = Definition();
    OpBuilder(&definition).Int("axis", axis);
    expect(definition, "argument axis is " + std::to_string(axis) +
                           ", expected -2 to 1 for tensor 'x' of sizes [2, 3]");
  }
  EXPECT_EQ(error(Definition()), "");
}

// The Int8 name has its schema from us.
TEST(ElementwiseLinearOp, CountsInputsOfTheInt8Name) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1}, {1, 1}, 1, 0);
  FeedFloats(&workspace, "a", {1});
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8ElementwiseLinear", {"x", "a"}, {"y"});
  definition.set_engine("ONEDNN");
  EXPECT_NE(ErrorOf([&] {
              workspace.RunOperatorOnce(definition);
            }).find("did not pass schema checking"),
            std::string::npos);
}

}  // namespace
}  // namespace caffe2_quantization
