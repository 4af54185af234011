// Int8LeakyRelu and Int8PRelu under the engine ONEDNN, against their equation,
// and Int8LeakyRelu against QNNPACK's of the default engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

// slope(i): of value i.
template <typename Slope>
std::vector<Expected> Leaky(const OperatorCase& c, const Slope& slope) {
  const TestTensor& x = c.Input(0);
  Expected y;
  y.shape = x.shape;
  for (int64_t i = 0; i < x.count(); ++i) {
    double value = x.Real(i);
    if (value < 0) {
      const double factor = slope(i);
      // As codes and steps, so that a tie is one.
      value = x.is_float() ? factor * value
                           : factor * x.scale * (x.codes[i] - x.zero_point);
    }
    y.values.push_back(IsFollowedByRelu(c) ? std::max(value, 0.0) : value);
    y.float_slack = std::max(y.float_slack, 4e-7 * std::fabs(value));
  }
  return {y};
}

TEST(LeakyReluOp, LikeItsEquation) {
  OperatorTester("LeakyRelu")
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .InPlace(0)
      .Vary([](TestRandom* random, OperatorCase* c) {
        if (random->OneIn(5)) return;
        c->Arguments().Float("alpha",
                             random->OneIn(3) ? 0.25f : random->Float(-1, 2));
      })
      .Reference([](const OperatorCase& c) {
        const double alpha = c.Argument("alpha", 0.01f);
        return Leaky(c, [&](int64_t) { return alpha; });
      })
      .ExactCodes()
      .AgainstReference(CaseCount(400, 2000));
}

double SlopeOf(const OperatorCase& c, int64_t i) {
  const Shape& shape = c.Input(0).shape;
  const TestTensor& slope = c.Input(1);
  if (slope.count() == 1) return slope.floats[0];
  const bool first = c.Argument<std::string>("order", "NCHW") == "NCHW";
  const int64_t inner =
      first ? NumValues(Shape(shape.begin() + 2, shape.end())) : 1;
  return slope.floats[i / inner % slope.count()];
}

TEST(PReluOp, LikeItsEquation) {
  OperatorTester("PRelu")
      .Rank(2, 5)
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .InPlace(0)
      .Vary([](TestRandom* random, OperatorCase* c) {
        const Shape& shape = c->Input(0).shape;
        const bool first = random->OneIn(2);
        if (!first || random->OneIn(2)) {
          c->Arguments().String("order", first ? "NCHW" : "NHWC");
        }
        const int64_t channels = first ? shape[1] : shape.back();
        const int64_t count = random->OneIn(3) ? 1 : channels;
        auto slopes = RandomFloats(random, count, -1, 2);
        for (float& slope : slopes) {
          if (random->OneIn(4)) slope = 0.25f;
        }
        c->AddInput("slope", FloatTensor(slopes, {count}));
      })
      .Reference([](const OperatorCase& c) {
        return Leaky(c, [&](int64_t i) { return SlopeOf(c, i); });
      })
      .ExactCodes()
      .AgainstReference(CaseCount(400, 2000));
}

// It computes a table in float. It takes an alpha between 0 and 1, and scales
// that are not too far apart.
TEST(LeakyReluOp, LikeTheDefaultEngine) {
  TestRandom random;
  int64_t codes = 0, differ = 0;
  for (int64_t k = 0; k < CaseCount(400, 2000); ++k) {
    OperatorCase c;
    c.kind = {"Int8LeakyRelu", ""};
    c.definition.set_type(c.kind.type);
    c.definition.add_output("y");
    TestTensor x = c.RandomInput(&random, RandomShape(&random, 1, 4));
    if (x.count() == 0) continue;
    c.Arguments()
        .Float("alpha", random.Float(0.01f, 0.99f))
        .Float("Y_scale", x.scale * random.Float(0.5f, 3))
        .Int("Y_zero_point", random.Integer(0, 255));
    c.AddInput("x", x);
    SCOPED_TRACE(c.Text());
    const TestTensor ours = RunOurs(c)[0];
    const TestTensor host = RunCase(c, "DEFAULT")[0];
    ASSERT_EQ(ours.shape, host.shape);
    ASSERT_EQ(ours.scale, host.scale);
    ASSERT_EQ(ours.zero_point, host.zero_point);
    for (std::size_t i = 0; i < ours.codes.size(); ++i) {
      ASSERT_LE(std::abs(ours.codes[i] - host.codes[i]), 1) << i;
      differ += ours.codes[i] != host.codes[i];
    }
    codes += static_cast<int64_t>(ours.codes.size());
  }
  std::printf("%lld of %lld codes differ from QNNPACK's\n",
              static_cast<long long>(differ), static_cast<long long>(codes));
  EXPECT_LE(differ, 0.001 * static_cast<double>(codes) + 2);
}

caffe2::OperatorDef Definition(const std::string& type,
                               const std::vector<std::string>& inputs) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, inputs, {"y"}).Float("Y_scale", 0.5f);
  OpBuilder(&definition).Int("Y_zero_point", 100);
  definition.set_engine("ONEDNN");
  return definition;
}

TEST(LeakyReluOp, ByHand) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {0, 6, 8, 10, 12, 255}, {6}, 0.5f, 10);
  caffe2::OperatorDef definition = Definition("Int8LeakyRelu", {"x"});
  OpBuilder(&definition).Float("alpha", 0.25f);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  // -2.5 and -0.5 steps are ties.
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{6}, {98, 99, 100, 100, 102, 255}, 0.5f, 100}));
}

TEST(PReluOp, SlopesCountInEveryRunAndOfOtherShapes) {
  caffe2::Workspace workspace;
  caffe2::OperatorDef definition = Definition("Int8PRelu", {"x", "slope"});
  FeedCodes<uint8_t>(&workspace, "x", {}, {0, 3}, 0.5f, 10);
  FeedFloats(&workspace, "slope", {1});
  const auto op = caffe2::CreateOperator(definition, &workspace);
  const auto expect = [&](const Shape& shape, const std::vector<float>& slopes,
                          const std::vector<int>& codes) {
    FeedCodes<uint8_t>(&workspace, "x", {0, 2, 4, 6, 8, 12}, shape, 0.5f, 10);
    FeedFloats(&workspace, "slope", slopes);
    ASSERT_TRUE(op->Run());
    EXPECT_EQ(FetchCodes(workspace, "y"),
              (Int8Values{shape, codes, 0.5f, 100}));
  };
  expect({1, 2, 3}, {1, 2}, {90, 92, 94, 92, 96, 102});
  expect({1, 2, 3}, {1, -2}, {90, 92, 94, 108, 104, 102});
  expect({2, 3}, {1, 0, -1}, {90, 100, 106, 96, 100, 102});
  expect({2, 3}, {2}, {80, 84, 88, 92, 96, 102});
  expect({1, 6}, {3}, {70, 76, 82, 88, 94, 102});
}

// In parts, and past the cache.
TEST(PReluOp, OfManyValues) {
  const int64_t channels = 3, plane = 700001;
  std::vector<uint8_t> codes(channels * plane);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  }
  for (const char* order : {"NCHW", "NHWC"}) {
    const bool first = order[1] == 'C';
    caffe2::Workspace workspace;
    FeedCodes(&workspace, "x", codes,
              first ? Shape{1, channels, plane} : Shape{1, plane, channels},
              0.5f, 128);
    FeedFloats(&workspace, "slope", {0, -1, 1});
    caffe2::OperatorDef definition = Definition("Int8PRelu", {"x", "slope"});
    OpBuilder(&definition).String("order", order);
    const onednn::ThreadsScope threads(3);
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const Int8Values y = FetchCodes(workspace, "y");
    int64_t wrong = 0;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const int step = codes[i] - 128;
      const auto c = static_cast<int>(first ? i / plane : i % channels);
      const int expected = step >= 0 ? step
                           : c == 0  ? 0
                           : c == 1  ? -step
                                     : step;
      wrong += y.codes[i] != std::clamp(expected + 100, 0, 255);
    }
    EXPECT_EQ(wrong, 0) << order;
  }
}

TEST(LeakyReluOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {2}, 0.5f, 9);
  caffe2::OperatorDef definition = Definition("Int8LeakyRelu", {"x"});
  OpBuilder(&definition).Float("alpha", HUGE_VALF);
  EXPECT_NE(ErrorOf([&] { workspace.RunOperatorOnce(definition); })
                .find("Int8LeakyRelu: argument alpha is inf, expected a finite "
                      "number"),
            std::string::npos);
}

TEST(PReluOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
  for (const bool floats : {false, true}) {
    const auto expect = [&](const Shape& shape,
                            const std::vector<float>& slopes,
                            const std::string& order, const std::string& part) {
      workspace.RemoveBlob("x");
      if (floats) {
        FeedFloats(&workspace, "x", std::vector<float>(NumValues(shape)),
                   shape);
      } else {
        FeedCodes(&workspace, "x", std::vector<uint8_t>(NumValues(shape)),
                  shape, 0.5f, 9);
      }
      FeedFloats(&workspace, "slope", slopes);
      caffe2::OperatorDef definition = Definition("Int8PRelu", {"x", "slope"});
      OpBuilder(&definition).String("order", order);
      const std::string error =
          ErrorOf([&] { workspace.RunOperatorOnce(definition); });
      EXPECT_NE(error.find("Int8PRelu: " + part), std::string::npos) << error;
      EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 0.25f, 3}));
    };
    expect({1, 2, 3}, {1, 2, 3}, "NCHW",
           "tensor 'slope' has sizes [3], expected one value, or 2, one for "
           "each channel of 'x'");
    expect({1, 2, 3}, {1, 2}, "NHWC",
           "tensor 'slope' has sizes [2], expected one value, or 3");
    expect({3}, {1}, "NCHW",
           "tensor 'x' has sizes [3], expected 2 dimensions or more");
    expect({1, 2}, {1, std::nanf("")}, "NCHW",
           "tensor 'slope' has nan at 1, expected a finite number");
    expect({1, 2}, {1}, "CHWN",
           "argument order is 'CHWN', expected NCHW or NHWC");
  }
}

}  // namespace
}  // namespace caffe2_quantization
