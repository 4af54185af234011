// SpatialBN, Int8SpatialBN and Int8SpatialBNRelu under the engine ONEDNN,
// against their equation and against DNNLOWP.
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

constexpr const char* kTypes[] = {"SpatialBN", "Int8SpatialBN",
                                  "Int8SpatialBNRelu"};

std::vector<Expected> Normalized(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const bool is_nhwc = c.Argument<std::string>("order", "NCHW") == "NHWC";
  const int64_t channels = is_nhwc ? x.shape.back() : x.shape[1];
  const int64_t inner =
      is_nhwc ? 1 : NumValues({x.shape.begin() + 2, x.shape.end()});
  const double epsilon = c.Argument("epsilon", 1e-5f);
  const bool rectifies = IsFusedWithRelu(c.kind) || IsFollowedByRelu(c);
  Expected y;
  y.shape = x.shape;
  for (int64_t i = 0; i < x.count(); ++i) {
    const auto input = [&](int k) {
      return double{c.Input(k).floats[i / inner % channels]};
    };
    const double alpha = input(1) / std::sqrt(input(4) + epsilon);
    const double beta = input(2) - alpha * input(3);
    const double value =
        x.is_float() ? alpha * x.floats[i] + beta
                     : alpha * x.scale * (x.codes[i] - x.zero_point) + beta;
    y.values.push_back(rectifies ? std::max(value, 0.0) : value);
    const double error =
        1e-6 * (std::fabs(alpha * x.Real(i)) + std::fabs(alpha * input(3)) +
                std::fabs(input(2)));
    y.float_slack = std::max(y.float_slack, error);
    if (x.is_float()) y.slack.push_back(error);
  }
  return {y};
}

void Vary(TestRandom* random, OperatorCase* c) {
  const TestTensor x = c->Input(0);
  const bool is_nhwc = random->OneIn(2);
  const int64_t channels = is_nhwc ? x.shape.back() : x.shape[1];
  if (is_nhwc || random->OneIn(2)) {
    c->Arguments().String("order", is_nhwc ? "NHWC" : "NCHW");
  }
  if (random->OneIn(2)) {
    c->Arguments().Float("epsilon", random->Float(1e-6f, 0.1f));
  }
  c->Arguments().Int("is_test", 1);
  const float spread = x.is_float() ? 1 : 50 * x.scale;
  std::vector<float> scale, bias, mean, variance;
  for (int64_t i = 0; i < channels; ++i) {
    scale.push_back(random->OneIn(8)   ? 0
                    : random->OneIn(8) ? random->Float(-1e4f, 1e4f)
                                       : random->Float(-2, 2));
    bias.push_back(random->Float(-2, 2));
    mean.push_back(spread * random->Float(-1, 1));
    variance.push_back(
        random->OneIn(8) ? 1e-12f : spread * spread * random->Float(0.1f, 4));
  }
  c->AddInput("scale", FloatTensor(scale, {channels}));
  c->AddInput("bias", FloatTensor(bias, {channels}));
  c->AddInput("mean", FloatTensor(mean, {channels}));
  c->AddInput("variance", FloatTensor(variance, {channels}));
  // DNNLOWP quantizes floats first, and ends the process in their place; it
  // refuses two dimensions, and sets no parameters of what is empty.
  c->host_is_wrong = x.is_float() || x.shape.size() == 2 || x.count() == 0;
  // It computes in float, its AVX2 with an approximate root: values near ties
  // fall on the other side, by more of a large scale.
  c->host_within = 1;
}

// One channel at least, whatever the order.
std::vector<int64_t> Shape(TestRandom* random) {
  std::vector<int64_t> shape = RandomShape(random, 2, 5);
  shape[1] = std::max<int64_t>(shape[1], 1);
  shape.back() = std::max<int64_t>(shape.back(), 1);
  return shape;
}

TEST(SpatialBNOp, LikeItsEquationAndDnnlowp) {
  OperatorTester("SpatialBN", {"Int8SpatialBNRelu"})
      .Shapes(Shape)
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .InPlace(0)
      .Vary(Vary)
      .Reference(Normalized)
      .ExactCodes()
      .InexactShare(0.003, 0.01, 20)
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(const std::string& type = "SpatialBN",
                               const std::string& y = "y") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"x", "s", "b", "m", "v"}, {y})
      .Int("is_test", 1)
      .Float("epsilon", 1)
      .Float("Y_scale", 0.5f)
      .Int("Y_zero_point", 10);
  definition.set_engine("ONEDNN");
  return definition;
}

// Two channels, 2 * (x - 1) / 2 + 0.25 and -(x - 1) / 1.
void FeedStatistics(caffe2::Workspace* workspace) {
  FeedFloats(workspace, "s", {2, -1});
  FeedFloats(workspace, "b", {0.25f, 0});
  FeedFloats(workspace, "m", {1, 1});
  FeedFloats(workspace, "v", {3, 0});
}

TEST(SpatialBNOp, KnownValues) {
  for (const bool is_nhwc : {false, true}) {
    caffe2::Workspace workspace;
    FeedStatistics(&workspace);
    FeedCodes<uint8_t>(
        &workspace, "x",
        is_nhwc ? std::vector<uint8_t>{100, 100, 101, 101, 200, 104}
                : std::vector<uint8_t>{100, 101, 200, 100, 101, 104},
        is_nhwc ? std::vector<int64_t>{1, 3, 2} : std::vector<int64_t>{1, 2, 3},
        1, 100);
    auto definition = Definition();
    OpBuilder(&definition).String("order", is_nhwc ? "NHWC" : "NCHW");
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    // -0.75 (-1.5 codes), 0.25 (0.5 codes), 99.25; 1, 0, -3.
    const std::vector<int> first = {8, 10, 208}, second = {12, 10, 4};
    const std::vector<int> codes =
        is_nhwc ? std::vector<int>{8, 12, 10, 10, 208, 4}
                : std::vector<int>{8, 10, 208, 12, 10, 4};
    EXPECT_EQ(FetchCodes(workspace, "y").codes, codes) << is_nhwc;
  }
}

TEST(SpatialBNOp, TwoDimensions) {
  caffe2::Workspace workspace;
  FeedStatistics(&workspace);
  FeedCodes<uint8_t>(&workspace, "x", {100, 100, 200, 104}, {2, 2}, 1, 100);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{2, 2}, {8, 12, 208, 4}, 0.5f, 10}));
}

// DNNLOWP leaves 1 and 0, or what was there.
TEST(SpatialBNOp, NoImagesHaveTheParametersThatAreGiven) {
  for (const char* type : kTypes) {
    caffe2::Workspace workspace;
    FeedStatistics(&workspace);
    FeedCodes<uint8_t>(&workspace, "x", {}, {0, 2, 3}, 1, 100);
    ASSERT_TRUE(workspace.RunOperatorOnce(Definition(type)));
    const Int8Values y = FetchCodes(workspace, "y");
    EXPECT_EQ(y.sizes, (std::vector<int64_t>{0, 2, 3}));
    if (std::string(type) == "Int8SpatialBNRelu") {
      EXPECT_EQ(y.scale, 0.5f * (255 - 10) / 255);
      EXPECT_EQ(y.zero_point, 0);
    } else {
      EXPECT_EQ(y.scale, 0.5f);
      EXPECT_EQ(y.zero_point, 10);
    }
  }
}

TEST(SpatialBNOp, StatisticsCountAnew) {
  caffe2::Workspace workspace;
  FeedStatistics(&workspace);
  FeedCodes<uint8_t>(&workspace, "x", {100, 104}, {1, 2, 1}, 1, 100);
  const auto op = caffe2::CreateOperator(Definition(), &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{8, 4}));
  FeedFloats(&workspace, "m", {-9, 2});
  ASSERT_TRUE(op->Run());
  // 9.25, -2.
  EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{28, 6}));
  FeedFloats(&workspace, "v", {0, 3});
  ASSERT_TRUE(op->Run());
  // 18.25, -1.
  EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{46, 8}));
  // Another scale of X.
  FeedCodes<uint8_t>(&workspace, "x", {100, 104}, {1, 2, 1}, 2, 100);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{46, 4}));
}

// It ends the process under DNNLOWP.
TEST(SpatialBNOp, FloatsInPlace) {
  caffe2::Workspace workspace;
  FeedStatistics(&workspace);
  FeedFloats(&workspace, "x", {0, 4}, {1, 2, 1});
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition("SpatialBN", "x")));
  EXPECT_EQ(FetchCodes(workspace, "x"),
            (Int8Values{{1, 2, 1}, {8, 4}, 0.5f, 10}));
}

TEST(SpatialBNOp, RefusesWhatDoesNotFit) {
  caffe2::Workspace workspace;
  const auto expect = [&](const caffe2::OperatorDef& definition,
                          const std::string& text) {
    FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 3, 1);
    const std::string message =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(message.find("SpatialBN: " + text), std::string::npos) << message;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 3, 1}));
  };
  const auto with = [](const auto& change) {
    // SpatialBN's schema refuses some of it.
    auto definition = Definition("Int8SpatialBN");
    definition.mutable_arg()->Clear();
    OpBuilder builder(&definition);
    change(&builder);
    return definition;
  };
  FeedStatistics(&workspace);
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {1, 2, 1}, 1, 0);
  expect(with([](OpBuilder*) {}), "argument is_test is 0, expected 1");
  expect(with([](OpBuilder* b) { b->Int("is_test", 2); }),
         "argument is_test is 2, expected 0 or 1");
  expect(
      with([](OpBuilder* b) { b->Int("is_test", 1).String("order", "CHWN"); }),
      "argument order is 'CHWN', expected NCHW or NHWC");
  expect(with([](OpBuilder* b) { b->Int("is_test", 1).Float("epsilon", 0); }),
         "argument epsilon is 0, expected a finite number above 0");
  expect(with([](OpBuilder* b) { b->Int("is_test", 1).Float("momentum", 2); }),
         "argument momentum is 2, expected 0 to 1");
  FeedFloats(&workspace, "v", {1, 1, 1});
  expect(Definition(),
         "tensor 'v' has sizes [3], expected a value for each of 2 channels");
  FeedFloats(&workspace, "v", {1, -1});
  expect(Definition(),
         "tensor 'v' has -1 for channel 1, expected a finite number, above 0 "
         "with epsilon");
  FeedFloats(&workspace, "v", {1, 1});
  FeedFloats(&workspace, "s", {HUGE_VALF, 1});
  expect(Definition(),
         "tensor 's' has inf for channel 0, expected a finite number");
  FeedStatistics(&workspace);
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {2}, 1, 0);
  expect(Definition(), "tensor 'x' has sizes [2], expected 2 dimensions");
  FeedCodes<uint8_t>(&workspace, "x", {}, {1, 0, 1}, 1, 0);
  expect(Definition(),
         "tensor 'x' has sizes [1, 0, 1], expected a channel or more");
}

}  // namespace
}  // namespace caffe2_quantization
