#include "operators/compute_equalization_scale_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

class ComputeEqualizationScaleOpTest : public testing::Test {
 protected:
  std::vector<float> Run(const std::vector<float>& x, int64_t x_rows,
                         const std::vector<float>& w, int64_t w_rows,
                         int64_t columns) {
    FeedFloats(&workspace_, "X", x, {x_rows, columns});
    FeedFloats(&workspace_, "W", w, {w_rows, columns});
    RunOperator();
    EXPECT_EQ(workspace_.GetBlob("S")->Get<caffe2::Tensor>().sizes().vec(),
              std::vector<int64_t>{columns});
    return Fetch<float>(workspace_, "S");
  }
  void RunOperator() {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "ComputeEqualizationScale", {"X", "W"}, {"S"});
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }
  caffe2::Workspace workspace_;
};

TEST_F(ComputeEqualizationScaleOpTest, ByHand) {
  EXPECT_EQ(Run({1, -2, 0, 0.5f, 1, 0}, 2, {-9, 8, 5}, 1, 3),
            (std::vector<float>{3, 2, 1}));
  EXPECT_EQ(Run({1, 2}, 1, {0, -0.0f}, 1, 2), (std::vector<float>{1, 1}));
}

TEST_F(ComputeEqualizationScaleOpTest, ExtremeValuesStayFinite) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
  const auto scale = Run({kSmallest, kLargest}, 1, {kLargest, kSmallest}, 1, 2);
  EXPECT_EQ(scale[0], kLargest);
  EXPECT_GT(scale[1], 0);
}

TEST_F(ComputeEqualizationScaleOpTest, RowsOrColumnsOfNone) {
  EXPECT_EQ(Run({}, 0, {4, 5}, 1, 2), (std::vector<float>{1, 1}));
  EXPECT_EQ(Run({}, 3, {}, 2, 0), std::vector<float>());
}

TEST_F(ComputeEqualizationScaleOpTest, EqualsTheEquationOnRandomMatrices) {
  TestRandom random;
  for (int i = 0; i < 100; ++i) {
    const int64_t m = random.Integer(1, 20);
    const int64_t n = random.Integer(1, 20);
    const int64_t k = random.Integer(1, 70);
    std::vector<float> x(m * k);
    std::vector<float> w(n * k);
    for (auto& each : x) each = random.OneIn(3) ? 0 : random.Float(-2, 2);
    for (auto& each : w) each = random.OneIn(3) ? 0 : random.Float(-9, 9);
    const auto scale = Run(x, m, w, n, k);
    for (int64_t j = 0; j < k; ++j) {
      double x_max = 0;
      double w_max = 0;
      for (int64_t r = 0; r < m; ++r) {
        x_max = std::max(x_max, std::fabs(double{x[r * k + j]}));
      }
      for (int64_t r = 0; r < n; ++r) {
        w_max = std::max(w_max, std::fabs(double{w[r * k + j]}));
      }
      const double expected =
          x_max == 0 || w_max == 0 ? 1 : std::sqrt(w_max / x_max);
      ASSERT_EQ(scale[j], static_cast<float>(expected));
    }
  }
}

TEST_F(ComputeEqualizationScaleOpTest, RefusalsNameTheTensor) {
  const auto error = [&] { return ErrorOf([&] { RunOperator(); }); };
  const auto expect = [&](const std::string& part) {
    const std::string found = error();
    EXPECT_NE(found.find(part), std::string::npos) << found.substr(0, 200);
  };
  FeedFloats(&workspace_, "X", {1, 2}, {1, 2});
  FeedFloats(&workspace_, "W", {1, 2, 3}, {1, 3});
  expect("tensor 'X' has 2 columns and 'W' has 3");
  FeedFloats(&workspace_, "W", {1, 2});
  expect("tensor 'W' has 1 dimensions, expected 2");
  Feed<double>(&workspace_, "W", {1, 2}, {1, 2});
  expect("tensor 'W' is of type double, expected float");
  FeedFloats(&workspace_, "W", {1, NAN, 1, 3}, {2, 2});
  expect("column 1 of tensor 'W' holds a NaN");
  FeedFloats(&workspace_, "W", {-INFINITY, 1, 1, 3}, {2, 2});
  expect("column 0 of tensor 'W' holds an infinity");
}

}  // namespace
}  // namespace caffe2_quantization
