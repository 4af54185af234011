// AveragePool and its kin under the engine ONEDNN, against averages in double
// by the host's own geometry, and against DNNLOWP.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/operators/int8/pooling/pool_case.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

bool IncludesPad(const OperatorCase& c) {
  return c.Argument("count_include_pad", 0) == 1;
}

void Draw(TestRandom* random, OperatorCase* c) {
  DrawPool(random, c);
  if (random->OneIn(4)) c->Arguments().Int("count_include_pad", 1);
  // Scales whose quotients are powers of two have ties.
  TestTensor& x = c->Input(0);
  if (!x.is_float() && !c->Argument("dequantize_output", 0) &&
      random->OneIn(3)) {
    x.scale = std::ldexp(1.0f, static_cast<int>(random->Integer(-9, 3)));
    const int64_t largest = c->largest_code;
    c->Arguments()
        .Float("Y_scale",
               std::ldexp(x.scale, static_cast<int>(random->Integer(-2, 2))))
        .Int("Y_zero_point", random->Integer(0, largest));
  }
}

std::vector<Expected> Reference(const OperatorCase& c) {
  const bool rectifies = IsFusedWithRelu(c.kind) || IsFollowedByRelu(c);
  const bool includes_pad = IncludesPad(c) && !IsGlobal(c);
  // How far off the float operator's sums of floats may be.
  double error = 0;
  Expected y =
      PoolReference(c, [&](const std::vector<double>& x, int64_t kernel) {
        const auto n = static_cast<double>(x.size());
        double sum = 0, magnitude = 0;
        for (const double value : x) {
          sum += value;
          magnitude += std::fabs(value);
        }
        const double count = includes_pad ? static_cast<double>(kernel) : n;
        error = std::max(error, (n + 3) * 0x1p-24 * magnitude / count);
        return rectifies ? std::max(sum / count, 0.0) : sum / count;
      });
  y.float_slack = error;
  if (c.Input(0).is_float()) y.slack.assign(y.values.size(), error);
  return {y};
}

TEST(AveragePoolOp, LikeTheFloatOperator) {
  OperatorTester("AveragePool", {"Int8AveragePoolRelu"})
      .TakesFloats()
      // Floats are rounded by given parameters, and refused without.
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .Vary(Draw)
      .Reference(Reference)
      .ExactCodes()
      .AgainstReference(static_cast<int>(CaseCount(400, 2000)));
}

// DNNLOWP makes codes of floats before it adds them up, and refuses one
// dimension and dequantize_output.
TEST(AveragePoolOp, LikeDnnlowp) {
  const auto draw = [](TestRandom* random, OperatorCase* c) {
    DrawPool(random, c, /*low_dims=*/2);
    // DNNLOWP does not read it.
    if (random->OneIn(4)) c->Arguments().Int("count_include_pad", 1);
    // It pools globally in two dimensions alone without going out of bounds.
    c->host_is_wrong =
        IncludesPad(*c) || (IsGlobal(*c) && c->Input(0).shape.size() != 4);
    // It adds the zero point, and then rounds half to even.
    c->host_within = 1;
  };
  // An output that gets the input's scale, as where windows of one code keep
  // its range, has ties everywhere.
  const auto has_ties = [](const OperatorCase& c, const TestTensor&,
                           const TestTensor& host) {
    return host.scale == c.Input(0).scale;
  };
  const auto cases = static_cast<int>(CaseCount(400, 2000));
  OperatorTester("AveragePool")
      .Vary(draw)
      .Reference(Reference)
      .ExactCodes()
      .Incomparable(0, cases * 3 / 4, has_ties)
      .InexactShare(0.004, 0, 40)
      .AgainstDnnlowp(cases);
}

caffe2::OperatorDef Definition(const std::string& type,
                               const std::string& suffix = "") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"x"}, {"y"});
  definition.set_engine("ONEDNN" + suffix);
  return definition;
}

// Half to even, and then the zero point, which is odd here.
TEST(AveragePoolOp, TiesGoToTheEvenNumberOfSteps) {
  for (const char* order : {"NCHW", "NHWC"}) {
    caffe2::Workspace workspace;
    FeedCodes<uint8_t>(&workspace, "x", {10, 11, 11, 12, 9, 10, 0, 1},
                       {1, 1, 8, 1}, 1, 10);
    auto definition = Definition("AveragePool");
    OpBuilder(&definition)
        .String("order", order)
        .Float("Y_scale", 1)
        .Int("Y_zero_point", 3);
    if (std::string(order) == "NCHW") {
      OpBuilder(&definition).Ints("kernels", {2, 1}).Ints("strides", {2, 1});
    } else {
      OpBuilder(&definition).Ints("kernels", {1, 2}).Ints("strides", {1, 2});
    }
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    // 0.5, 1.5, -0.5 and -9.5 above the zero point.
    EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{3, 5, 3, 0}))
        << order;
  }
}

// As the host's float operator divides, which DNNLOWP does not.
TEST(AveragePoolOp, CountsPaddingIfItIsAsked) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {100, 104, 108, 112}, {1, 1, 2, 2}, 1,
                     100);
  for (const int includes : {0, 1}) {
    auto definition = Definition("Int8AveragePool");
    OpBuilder(&definition)
        .Int("kernel", 2)
        .Int("pad", 1)
        .Int("stride", 2)
        .Int("count_include_pad", includes)
        .Float("Y_scale", 1)
        .Int("Y_zero_point", 0);
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    EXPECT_EQ(FetchCodes(workspace, "y").codes,
              (includes ? std::vector<int>{0, 1, 2, 3}
                        : std::vector<int>{0, 4, 8, 12}));
  }
}

TEST(AveragePoolOp, OfOneDimension) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {0, 2, 4, 10, 20, 30}, {1, 2, 3}, 1, 0);
  auto definition = Definition("AveragePool");
  OpBuilder(&definition).Ints("kernels", {3}).Float("Y_scale", 2);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1, 2, 1}, {1, 10}, 2, 0}));
}

// DNNLOWP's conversion to int32 wraps there: its upper end becomes code 0.
TEST(AveragePoolOp, SaturatesWithTheSmallestScales) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {200, 220, 10, 20}, {1, 2, 2}, 1, 100);
  auto definition = Definition("AveragePool");
  OpBuilder(&definition)
      .Int("global_pooling", 1)
      .Float("Y_scale", 1e-8f)
      .Int("Y_zero_point", 50);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{255, 0}));
}

// One saturation, at the output's bits; codes of the input have their own.
TEST(AveragePoolOp, PrecisionIsTheOutputs) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {200, 220, 10, 12}, {1, 2, 2}, 1, 0);
  auto definition = Definition("AveragePool");
  OpBuilder(&definition)
      .Int("global_pooling", 1)
      .Int("activation_precision", 4)
      .Float("Y_scale", 1)
      .Int("Y_zero_point", 2);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{15, 13}));
}

TEST(AveragePoolOp, OfFloatsRoundsNothingButTheOutput) {
  caffe2::Workspace workspace;
  // As codes of 8 bits the small ones would be 0.
  FeedFloats(&workspace, "x", {1000, -1000, 0.25f, 0.5f}, {1, 1, 4});
  auto definition = Definition("AveragePool");
  OpBuilder(&definition)
      .Int("global_pooling", 1)
      .Float("Y_scale", 0.0625f)
      .Int("Y_zero_point", 7);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{10}));
}

TEST(AveragePoolOp, RefusesFloatsWithoutARange) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {1, NAN}, {1, 1, 2});
  auto definition = Definition("AveragePool");
  OpBuilder(&definition).Int("global_pooling", 1);
  const std::string error =
      ErrorOf([&] { workspace.RunOperatorOnce(definition); });
  EXPECT_NE(error.find("AveragePool: output 'y': 1 of 1 float outputs are NaN "
                       "or infinite"),
            std::string::npos)
      << error;
}

// A row of a batch does not depend on the others.
TEST(AveragePoolOp, RowsAreIndependent) {
  TestRandom random;
  const auto codes = RandomCodes(&random, 4 * 5 * 5 * 9, 0, 255);
  const auto pool = [&](const std::vector<int>& x, int64_t batch) {
    caffe2::Workspace workspace;
    FeedTensor(&workspace, "x",
               CodeTensor(TestTensor::kUint8, x, {batch, 5, 5, 9}, 0.1f, 77));
    auto definition = Definition("AveragePool");
    OpBuilder(&definition)
        .Int("kernel", 3)
        .Int("pad", 1)
        .String("order", "NHWC")
        .Float("Y_scale", 0.07f)
        .Int("Y_zero_point", 120);
    CAFFE_ENFORCE(workspace.RunOperatorOnce(definition));
    return FetchCodes(workspace, "y").codes;
  };
  std::vector<int> expected;
  constexpr int kRow = 5 * 5 * 9;
  for (int n = 0; n < 4; ++n) {
    const auto row =
        pool({codes.begin() + n * kRow, codes.begin() + (n + 1) * kRow}, 1);
    expected.insert(expected.end(), row.begin(), row.end());
  }
  EXPECT_EQ(pool(codes, 4), expected);
}

// Large enough for several threads.
TEST(PoolOps, ThreadsChangeNothing) {
  TestRandom random;
  for (const char* type : {"AveragePool", "MaxPool"}) {
    for (const char* order : {"NCHW", "NHWC"}) {
      caffe2::Workspace workspace;
      FeedTensor(&workspace, "x",
                 CodeTensor(TestTensor::kUint8,
                            RandomCodes(&random, 3 * 40 * 40 * 40, 0, 255),
                            {3, 40, 40, 40}, 0.1f, 77));
      auto definition = Definition(type);
      OpBuilder(&definition)
          .Int("kernel", 3)
          .Int("pad", 1)
          .String("order", order)
          .Float("Y_scale", 0.07f)
          .Int("Y_zero_point", 120);
      Int8Values expected{};
      for (const int threads : {1, 2, 3}) {
        const onednn::ThreadsScope scope(threads);
        ASSERT_TRUE(workspace.RunOperatorOnce(definition));
        const Int8Values y = FetchCodes(workspace, "y");
        if (threads == 1) expected = y;
        EXPECT_EQ(y, expected) << type << ' ' << order << ' ' << threads;
      }
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
