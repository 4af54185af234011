// Sigmoid and Tanh, and their Int8 forms, under the engine ONEDNN, against
// their equations and against DNNLOWP.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

struct Function {
  const char* type;
  double (*value)(double);
  float y_scale;
  int32_t y_zero_point;
  double limit;  // what DNNLOWP takes its input's codes for
};

const Function kSigmoid = {"Sigmoid",
                           [](double x) { return 1 / (1 + std::exp(-x)); },
                           1.0f / 254, 0, 6};
const Function kTanh = {"Tanh", [](double x) { return std::tanh(x); },
                        1.0f / 127, 128, 3};

OperatorTester TesterOf(const Function& function) {
  OperatorTester tester(function.type);
  tester.TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .InPlace(0)
      .FixedParameters(function.y_scale, function.y_zero_point)
      .Reference([function](const OperatorCase& c) {
        const TestTensor& x = c.Input(0);
        Expected y;
        y.shape = x.shape;
        for (int64_t i = 0; i < x.count(); ++i) {
          y.values.push_back(function.value(x.Real(i)));
        }
        // Floats are made of codes.
        if (c.Argument("dequantize_output", 0) == 1) {
          y.slack.assign(y.values.size(), 0.501 * function.y_scale);
        }
        return std::vector<Expected>{y};
      })
      .ExactCodes();
  return tester;
}

void ExpectEquationAndDnnlowp(const Function& function) {
  OperatorTester tester = TesterOf(function);
  tester
      .Vary([function](TestRandom* random, OperatorCase* c) {
        TestTensor& x = c->Input(0);
        // DNNLOWP takes codes of these parameters alone, and gives no floats.
        const bool is_comparable = !random->OneIn(6);
        c->host_is_wrong = !is_comparable || x.is_float() ||
                           c->Argument("dequantize_output", 0) == 1;
        if (is_comparable && !x.is_float()) {
          x.scale = static_cast<float>(function.limit / 127);
          x.zero_point = 128;
        }
        // It approximates both functions.
        c->host_within = 1;
      })
      .InexactShare(0.05, 0, 20)
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

TEST(SigmoidOp, LikeItsEquationAndDnnlowp) {
  ExpectEquationAndDnnlowp(kSigmoid);
}
TEST(TanhOp, LikeItsEquationAndDnnlowp) { ExpectEquationAndDnnlowp(kTanh); }

Int8Values RunOnCodes(const std::string& type, float scale, int zero_point,
                      const std::vector<uint8_t>& codes) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", codes,
                     {static_cast<int64_t>(codes.size())}, scale, zero_point);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"x"}, {"y"});
  definition.set_engine("ONEDNN");
  CAFFE_ENFORCE(workspace.RunOperatorOnce(definition));
  return FetchCodes(workspace, "y");
}

// DNNLOWP gives the same codes for both scales.
TEST(SigmoidOp, ReadsItsInputsOwnParameters) {
  // sigmoid of -10, -1, 0, 1, 10, times 254; and of -2, -0.2, …
  EXPECT_EQ(RunOnCodes("Sigmoid", 0.1f, 100, {0, 90, 100, 110, 200}),
            (Int8Values{{5}, {0, 68, 127, 186, 254}, 1.0f / 254, 0}));
  EXPECT_EQ(RunOnCodes("Int8Sigmoid", 0.02f, 100, {0, 90, 100, 110, 200}),
            (Int8Values{{5}, {30, 114, 127, 140, 224}, 1.0f / 254, 0}));
}

TEST(TanhOp, ReadsItsInputsOwnParameters) {
  EXPECT_EQ(RunOnCodes("Tanh", 0.1f, 100, {0, 90, 100, 110, 200}),
            (Int8Values{{5}, {1, 31, 128, 225, 255}, 1.0f / 127, 128}));
  EXPECT_EQ(RunOnCodes("Int8Tanh", 0.02f, 100, {0, 90, 100, 110, 200}),
            (Int8Values{{5}, {6, 103, 128, 153, 250}, 1.0f / 127, 128}));
}

TEST(SigmoidOp, OfFloatsThatAreNotFinite) {
  for (const char* y : {"y", "x"}) {
    caffe2::Workspace workspace;
    FeedFloats(&workspace, "x", {HUGE_VALF, -HUGE_VALF, std::nanf(""), 1e9f});
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "Sigmoid", {"x"}, {y});
    definition.set_engine("ONEDNN");
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    EXPECT_EQ(FetchCodes(workspace, y),
              (Int8Values{{4}, {254, 0, 0, 254}, 1.0f / 254, 0}));
  }
}

}  // namespace
}  // namespace caffe2_quantization
