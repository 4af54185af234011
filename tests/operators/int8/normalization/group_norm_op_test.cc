// GroupNorm and Int8GroupNorm under the engine ONEDNN, against their equation
// and against DNNLOWP.
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

// Where a value belongs.
struct Place {
  int64_t group, channel;  // of all images; of an image
};

class Layout {
 public:
  explicit Layout(const OperatorCase& c)
      : groups_(c.Argument("group", 32)), x_(c.Input(0)) {
    const bool is_nhwc = c.Argument<std::string>("order", "NCHW") == "NHWC";
    channels_ = is_nhwc ? x_.shape.back() : x_.shape[1];
    inner_ = is_nhwc ? 1 : NumValues({x_.shape.begin() + 2, x_.shape.end()});
    image_ = NumValues({x_.shape.begin() + 1, x_.shape.end()});
  }
  int64_t num_groups() const { return x_.shape[0] * groups_; }
  Place PlaceOf(int64_t i) const {
    const int64_t channel = i / inner_ % channels_;
    return {i / image_ * groups_ + channel / (channels_ / groups_), channel};
  }

 private:
  const int64_t groups_;
  const TestTensor& x_;
  int64_t channels_, inner_, image_;
};

// By sums in long double, in two passes.
std::vector<Expected> Normalized(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const Layout layout(c);
  const auto groups = layout.num_groups();
  // Of codes: in steps of them, of which sums are exact.
  const auto value_of = [&](int64_t i) -> long double {
    return x.is_float() ? x.floats[i] : x.codes[i] - x.zero_point;
  };
  const long double step = x.is_float() ? 1 : x.scale;
  std::vector<long double> mean(groups), variance(groups), count(groups);
  double largest = 0;
  for (int64_t i = 0; i < x.count(); ++i) {
    mean[layout.PlaceOf(i).group] += value_of(i);
    ++count[layout.PlaceOf(i).group];
    largest = std::max(largest, std::fabs(x.Real(i)));
  }
  for (int64_t g = 0; g < groups; ++g) {
    mean[g] /= std::max<long double>(count[g], 1);
  }
  for (int64_t i = 0; i < x.count(); ++i) {
    const int64_t g = layout.PlaceOf(i).group;
    const long double off = value_of(i) - mean[g];
    variance[g] += off * off / count[g];
  }
  Expected y, mu, rsig;
  y.shape = x.shape;
  mu.shape =
      rsig.shape = {x.shape[0], groups / std::max<int64_t>(x.shape[0], 1)};
  if (x.shape[0] == 0) mu.shape[1] = rsig.shape[1] = c.Argument("group", 32);
  const double epsilon = c.Argument("epsilon", 1e-5f);
  for (int64_t g = 0; g < groups; ++g) {
    mu.values.push_back(static_cast<double>(step * mean[g]));
    rsig.values.push_back(static_cast<double>(
        1 / std::sqrt(step * step * variance[g] + epsilon)));
    // Of floats the host's sums are rounded at every step.
    const double rounding =
        x.is_float() ? 4e-6 + 1e-7 * static_cast<double>(count[g]) : 2e-7;
    mu.slack.push_back(rounding * largest);
    const double of_variance =
        x.is_float() ? 2 * rounding * largest * largest : 0;
    rsig.slack.push_back(
        rsig.values[g] *
        (rounding + of_variance * rsig.values[g] * rsig.values[g]));
  }
  for (int64_t i = 0; i < x.count(); ++i) {
    const auto [g, channel] = layout.PlaceOf(i);
    const double gamma = c.Input(1).Real(channel);
    const double beta = c.Input(2).Real(channel);
    const double alpha = gamma * rsig.values[g];
    const double value =
        alpha * static_cast<double>(step * (value_of(i) - mean[g])) + beta;
    y.values.push_back(IsFollowedByRelu(c) ? std::max(value, 0.0) : value);
    if (!x.is_float()) {
      y.float_slack = std::max(y.float_slack, 1e-7 * std::fabs(value));
      continue;
    }
    // That of the host's floats, whose mean and variance are rounded.
    const double off = std::fabs(value - beta);
    const double rounding = 1e-5 + 2e-7 * static_cast<double>(count[g]);
    const double spread = largest * rsig.values[g];
    const double error =
        rounding * (std::fabs(alpha) * largest + std::fabs(beta) +
                    off * (1 + spread * spread));
    y.float_slack = std::max(y.float_slack, error);
    y.slack.push_back(error);
  }
  if (c.definition.output_size() == 1) return {y};
  return {y, mu, rsig};
}

void Vary(TestRandom* random, OperatorCase* c) {
  // One group of one image, whose standard deviation is many codes, is where
  // DNNLOWP's fixed point is near: 1/sd is the largest of its scale, and half a
  // code of the mean is little. Its floats are made without codes.
  const bool is_comparable = random->OneIn(2);
  if (is_comparable) {
    const std::vector<int64_t> shape = {1, random->Integer(1, 20),
                                        random->Integer(1, 9),
                                        random->Integer(4, 20)};
    c->Input(0) = CodeTensor(TestTensor::kUint8,
                             RandomCodes(random, NumValues(shape), 0, 255),
                             shape, random->Float(0.01f, 1), random->Byte());
  }
  c->host_is_wrong = !is_comparable || c->Argument("dequantize_output", 0) == 1;
  c->host_within = 4;

  const TestTensor x = c->Input(0);
  const bool is_nhwc = random->OneIn(2);
  const int64_t channels = is_nhwc ? x.shape.back() : x.shape[1];
  if (is_nhwc || random->OneIn(2)) {
    c->Arguments().String("order", is_nhwc ? "NHWC" : "NCHW");
  }
  std::vector<int64_t> divisors;
  for (int64_t g = 1; g <= channels; ++g) {
    if (channels % g == 0) divisors.push_back(g);
  }
  const auto last = static_cast<int64_t>(divisors.size()) - 1;
  c->Arguments().Int("group",
                     is_comparable ? 1 : divisors[random->Integer(0, last)]);
  // The host's float operator subtracts large squares of floats: where they are
  // the same, only a large epsilon keeps a root from being that of a negative
  // number.
  float largest = 0;
  for (const float value : x.floats) {
    largest = std::max(largest, std::fabs(value));
  }
  const float unit = x.is_float() ? 0.1f * largest : x.scale;
  if (x.is_float() || random->OneIn(2)) {
    c->Arguments().Float("epsilon",
                         unit * unit * random->Float(0.1f, 2) + 1e-9f);
  }
  if (!is_comparable && random->OneIn(3)) {
    c->definition.add_output("mu");
    c->definition.add_output("rsig");
    if (random->OneIn(2)) c->Arguments().Int("is_test", 0);
  }
  std::vector<float> gamma, beta;
  for (int64_t i = 0; i < channels; ++i) {
    // DNNLOWP has beta in units of the scale of X times gamma's.
    gamma.push_back(is_comparable      ? random->Float(0.5f, 2)
                    : random->OneIn(8) ? 0
                                       : random->Float(-2, 2));
    beta.push_back(random->Float(-1, 1));
  }
  if (!is_comparable && random->OneIn(3)) {
    c->AddInput(
        "gamma",
        CodeTensor(TestTensor::kUint8, RandomCodes(random, channels, 0, 255),
                   {channels}, random->Float(0.001f, 0.02f), random->Byte()));
  } else {
    c->AddInput("gamma", FloatTensor(gamma, {channels}));
  }
  if (!is_comparable && random->OneIn(3)) {
    c->AddInput("beta", CodeTensor(TestTensor::kBias,
                                   RandomCodes(random, channels, -9999, 9999),
                                   {channels}, random->Float(1e-5f, 2e-4f), 0));
  } else {
    c->AddInput("beta", FloatTensor(beta, {channels}));
  }
}

std::vector<int64_t> Shape(TestRandom* random) {
  std::vector<int64_t> shape = RandomShape(random, 2, 5);
  shape[1] = std::max<int64_t>(shape[1], 1);
  shape.back() = std::max<int64_t>(shape.back(), 1);
  return shape;
}

TEST(GroupNormOp, LikeItsEquationAndDnnlowp) {
  OperatorTester("GroupNorm")
      .Shapes(Shape)
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .Vary(Vary)
      .Reference(Normalized)
      .ExactCodes()
      .Incomparable(
          0, 1 << 20,
          [](const OperatorCase& c, const TestTensor&, const TestTensor&) {
            // Its range is that of the float operator, whose squares
            // cancel; ours that of the equation.
            return !HasGivenParameters(c);
          })
      .InexactShare(0.3, 0)
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(int64_t group, bool with_statistics = false) {
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, "GroupNorm", {"x", "gamma", "beta"}, {"y"});
  builder.Int("group", group)
      .Float("epsilon", 1e-12f)
      .Float("Y_scale", 0.25f)
      .Int("Y_zero_point", 100);
  if (with_statistics) {
    definition.add_output("mu");
    definition.add_output("rsig");
  }
  definition.set_engine("ONEDNN");
  return definition;
}

// DNNLOWP rounds the mean of 100 and 101 to a code, and gives -2 and 0.
TEST(GroupNormOp, TheMeanIsNotRounded) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {100, 101}, {1, 1, 2}, 1, 50);
  FeedFloats(&workspace, "gamma", {1});
  FeedFloats(&workspace, "beta", {0});
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition(1, true)));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 1, 2}, {96, 104}, 0.25f, 100}));
  EXPECT_EQ(Fetch<float>(workspace, "mu"), (std::vector<float>{50.5f}));
  EXPECT_EQ(Fetch<float>(workspace, "rsig"), (std::vector<float>{2}));
}

// Beside a blank group, whose 1/sd is 1e6, DNNLOWP's others are beta alone.
TEST(GroupNormOp, GroupsAndImagesDoNotDependOnEachOther) {
  for (const bool is_nhwc : {false, true}) {
    caffe2::Workspace workspace;
    // Images of two channels of four values, one group each: 90, 110, 90, 110
    // and blank; blank and 0, 8, 0, 8.
    const std::vector<uint8_t> nchw = {90, 110, 90, 110, 7, 7, 7, 7,
                                       30, 30,  30, 30,  0, 8, 0, 8};
    std::vector<uint8_t> x = nchw;
    std::vector<int> expected = {96,  104, 96,  104, 102, 102, 102, 102,
                                 100, 100, 100, 100, 98,  106, 98,  106};
    const std::vector<int> of_nchw = expected;
    for (int i = 0; is_nhwc && i < 16; ++i) {
      const int to = i / 8 * 8 + i % 4 * 2 + i / 4 % 2;
      x[to] = nchw[i];
      expected[to] = of_nchw[i];
    }
    FeedCodes<uint8_t>(
        &workspace, "x", x,
        is_nhwc ? std::vector<int64_t>{2, 4, 2} : std::vector<int64_t>{2, 2, 4},
        0.5f, 3);
    FeedFloats(&workspace, "gamma", {1, 1});
    FeedFloats(&workspace, "beta", {0, 0.5f});
    auto definition = Definition(2, true);
    OpBuilder(&definition).String("order", is_nhwc ? "NHWC" : "NCHW");
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    EXPECT_EQ(FetchCodes(workspace, "y").codes, expected) << is_nhwc;
    EXPECT_EQ(Fetch<float>(workspace, "mu"),
              (std::vector<float>{48.5f, 2, 13.5f, 0.5f}));
    const auto rsig = Fetch<float>(workspace, "rsig");
    EXPECT_FLOAT_EQ(rsig[0], 0.2f);
    EXPECT_FLOAT_EQ(rsig[1], 1e6f);
    EXPECT_FLOAT_EQ(rsig[2], 1e6f);
    EXPECT_FLOAT_EQ(rsig[3], 0.5f);
  }
}

// DNNLOWP gives gamma one scale, and keeps the first.
TEST(GroupNormOp, GammaAndBetaCountAnew) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {0, 2, 0, 2}, {1, 2, 2}, 1, 0);
  FeedFloats(&workspace, "gamma", {1000, 0.5f});
  FeedFloats(&workspace, "beta", {0, 0});
  const auto op = caffe2::CreateOperator(Definition(2), &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y").codes,
            (std::vector<int>{0, 255, 98, 102}));
  FeedFloats(&workspace, "gamma", {-1, 1});
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y").codes,
            (std::vector<int>{104, 96, 96, 104}));
  // Codes of any scale.
  FeedCodes<uint8_t>(&workspace, "gamma", {4, 0}, {2}, 0.5f, 2);
  FeedCodes<int32_t>(&workspace, "beta", {1, -3}, {2}, 0.5f, 0);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y").codes,
            (std::vector<int>{98, 106, 98, 90}));
}

TEST(GroupNormOp, NoValues) {
  for (const std::vector<int64_t>& sizes :
       {std::vector<int64_t>{0, 2, 3}, std::vector<int64_t>{2, 2, 0}}) {
    for (const bool floats : {false, true}) {
      caffe2::Workspace workspace;
      if (floats) {
        FeedFloats(&workspace, "x", {}, sizes);
      } else {
        FeedCodes<uint8_t>(&workspace, "x", {}, sizes, 1, 0);
      }
      FeedFloats(&workspace, "gamma", {1, 1});
      FeedFloats(&workspace, "beta", {0, 0});
      ASSERT_TRUE(workspace.RunOperatorOnce(Definition(1, true)));
      EXPECT_EQ(FetchCodes(workspace, "y"),
                (Int8Values{sizes, {}, 0.25f, 100}));
      // As the host's float operator gives them.
      EXPECT_EQ(Fetch<float>(workspace, "mu"),
                std::vector<float>(sizes[0], 0.0f));
      EXPECT_EQ(Fetch<float>(workspace, "rsig"),
                std::vector<float>(sizes[0], 1e6f));
    }
  }
}

TEST(GroupNormOp, RefusesWhatDoesNotFit) {
  caffe2::Workspace workspace;
  const auto expect = [&](const caffe2::OperatorDef& definition,
                          const std::string& text) {
    FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 3, 1);
    const std::string message =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(message.find("GroupNorm: " + text), std::string::npos) << message;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 3, 1}));
  };
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4}, {1, 2, 2}, 1, 0);
  FeedFloats(&workspace, "gamma", {1, 1});
  FeedFloats(&workspace, "beta", {0, 0});
  // The host's float operator divides by it, which ends the process.
  expect(Definition(0), "argument group is 0, expected 1 or more");
  expect(Definition(3),
         "tensor 'x' has sizes [1, 2, 2] with 2 channels, expected a multiple "
         "of group, 3");
  auto training = Definition(1);
  OpBuilder(&training).Int("is_test", 0);
  expect(training, "argument is_test is 0 with 1 output, expected 3");
  FeedFloats(&workspace, "gamma", {1});
  expect(Definition(1),
         "tensor 'gamma' has sizes [1], expected a value for "
         "each of 2 channels");
  FeedFloats(&workspace, "gamma", {1, std::nanf("")});
  expect(Definition(1), "tensor 'gamma' has nan for channel 1, expected a");
  FeedFloats(&workspace, "gamma", {1, 1});
  FeedCodes<uint8_t>(&workspace, "beta", {1, 1}, {2}, 1, 0);
  expect(Definition(1),
         "tensor 'beta' is an Int8TensorCPU of unsigned char, "
         "expected int32, or floats");
  FeedCodes<int32_t>(&workspace, "beta", {1, 1}, {2}, 0, 0);
  expect(Definition(1), "tensor 'beta' has the scale 0, expected a finite one");
  workspace.RemoveBlob("beta");
  FeedFloats(&workspace, "beta", {0, 0});
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 4, 4}, {1, 2, 2}, 1, 0);
  auto blank = Definition(2);
  blank.mutable_arg()->Clear();
  OpBuilder(&blank).Int("group", 2).Float("epsilon", 0).Float("Y_scale", 1);
  expect(blank,
         "group 1 of image 0 of tensor 'x' has the variance 0 and "
         "epsilon is 0, expected a sum above 0");
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {2}, 1, 0);
  expect(Definition(1), "tensor 'x' has sizes [2], expected 2 dimensions");
}

}  // namespace
}  // namespace caffe2_quantization
