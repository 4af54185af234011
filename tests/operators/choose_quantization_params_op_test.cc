#include "operators/choose_quantization_params_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/support/net_builder.h"
#include "tests/support/random.h"

C10_DECLARE_int32(caffe2_dnnlowp_weight_quantization_precision);
C10_DECLARE_bool(caffe2_dnnlowp_preserve_weight_sparsity);

namespace caffe2_quantization {
namespace {

using Arguments = std::function<void(OpBuilder&)>;

class ChooseQuantizationParamsOpTest : public testing::Test {
 protected:
  void Run(const std::string& type, const Arguments& arguments,
           bool with_choice = false) {
    caffe2::OperatorDef definition;
    std::vector<std::string> outputs = {"scale", "zero_point"};
    if (with_choice) outputs.push_back("choice");
    OpBuilder builder(&definition, type, {"X"}, outputs);
    arguments(builder);
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }
  void RunArray(
      const Arguments& arguments = [](OpBuilder&) {},
      bool with_choice = false) {
    Run("ChooseQuantizationParams", arguments, with_choice);
  }
  void RunCounts(const Arguments& arguments) {
    Run("ChooseStaticQuantizationParams", arguments);
  }
  float Scale() { return Fetch<float>(workspace_, "scale").at(0); }
  int ZeroPoint() { return Fetch<int32_t>(workspace_, "zero_point").at(0); }

  caffe2::Workspace workspace_;
};

TEST_F(ChooseQuantizationParamsOpTest, EveryArgumentReachesTheChoice) {
  TestRandom random;
  for (int i = 0; i < 100; ++i) {
    std::vector<float> values(random.Integer(0, 300));
    for (auto& each : values) each = random.Float(-3, 20);
    ChooseOptions options;
    options.type = {static_cast<int>(random.Integer(2, 16)),
                    static_cast<bool>(random.OneIn(2))};
    options.preserve_sparsity = random.OneIn(2);
    options.force_scale_power_of_two = random.OneIn(2);
    options.reduced_range = random.OneIn(2);
    FeedFloats(&workspace_, "X", values, {static_cast<int64_t>(values.size())});
    RunArray([&](OpBuilder& b) {
      b.Int("precision", options.type.precision)
          .Int("is_signed", options.type.is_signed)
          .Int("preserve_sparsity", options.preserve_sparsity)
          .Int("force_scale_power_of_two", options.force_scale_power_of_two)
          .Int("reduced_range", options.reduced_range)
          .String("method", "min_max");
    });
    Choice choice;
    ASSERT_TRUE(
        ChooseFromArray(values.data(), values.size(), options, &choice).ok());
    EXPECT_EQ(Scale(), choice.scale);
    EXPECT_EQ(ZeroPoint(), choice.zero_point);
  }
}

TEST_F(ChooseQuantizationParamsOpTest, PercentilesByNameAndByArgument) {
  std::vector<float> values;
  for (int i = 0; i <= 1000; ++i) values.push_back(static_cast<float>(i));
  FeedFloats(&workspace_, "X", values);
  for (const auto& [name, argument, percentile] :
       {std::tuple("P90", 0.0f, 0.90), std::tuple("P99.5", 0.0f, 0.995),
        std::tuple("p99", 0.5f, 0.5)}) {
    const std::string method = name;
    const float share = argument;
    RunArray([&](OpBuilder& b) {
      b.String("method", method);
      if (share > 0) b.Float("percentile", share);
    });
    ChooseOptions options;
    options.method = ChooseMethod::kPercentile;
    options.percentile = percentile;
    Choice choice;
    ASSERT_TRUE(
        ChooseFromArray(values.data(), values.size(), options, &choice).ok());
    EXPECT_EQ(Scale(), choice.scale) << name;
    const double last = std::ceil(1000 * (0.5 + percentile / 2) - 1e-6);
    EXPECT_FLOAT_EQ(Scale(), static_cast<float>(last / 255)) << name;
  }
  // As a float 0.9999 would leave out one value less.
  values.resize(20001);
  for (int i = 0; i <= 20000; ++i) values[i] = static_cast<float>(i);
  FeedFloats(&workspace_, "X", values);
  RunArray([&](OpBuilder& b) {
    b.String("method", "P99").Float("percentile", 0.9999f);
  });
  EXPECT_FLOAT_EQ(Scale(), 19999.0f / 255);
}

TEST_F(ChooseQuantizationParamsOpTest, SmallScalesAndDnnlowps) {
  FeedFloats(&workspace_, "X", {-1e-6f, 1.55e-6f});
  RunArray();
  EXPECT_FLOAT_EQ(Scale(), 1e-8f);
  EXPECT_EQ(ZeroPoint(), 100);
  RunArray([](OpBuilder& b) { b.Int("dnnlowp", 1); });
  EXPECT_EQ(Scale(), kDnnlowpSmallestScale);
  RunArray([](OpBuilder& b) { b.Float("smallest_scale", 1e-5f); });
  EXPECT_EQ(Scale(), 1e-5f);
  RunArray(
      [](OpBuilder& b) { b.Int("dnnlowp", 1).Float("smallest_scale", 1e-7f); });
  EXPECT_EQ(Scale(), 1e-7f);
  RunArray([](OpBuilder& b) {
    b.Int("dnnlowp", 1).Int("force_scale_power_of_two", 1);
  });
  EXPECT_EQ(Scale(), 0x1p-14f);
  RunArray([](OpBuilder& b) { b.Int("force_scale_power_of_two", 1); });
  EXPECT_EQ(Scale(), 0x1p-26f);

  // Percentiles of DNNLOWP are in bins: one far out makes them wide.
  std::vector<float> values(1000, 1);
  values[0] = 1000;
  FeedFloats(&workspace_, "X", values);
  RunArray([](OpBuilder& b) { b.String("method", "P99.7"); });
  EXPECT_FLOAT_EQ(Scale(), 1 / 255.0f);
  RunArray([](OpBuilder& b) { b.String("method", "P99.7").Int("dnnlowp", 1); });
  EXPECT_GT(Scale(), 1.4f / 255);
  const float in_bins = Scale();
  RunArray([](OpBuilder& b) { b.String("method", "p99.7_dnnlowp"); });
  EXPECT_EQ(Scale(), in_bins);
}

TEST_F(ChooseQuantizationParamsOpTest, TheChoiceAsJson) {
  FeedFloats(&workspace_, "X", {0, 5, 25.5f});
  RunArray([](OpBuilder&) {}, true);
  const auto json =
      nlohmann::json::parse(Fetch<std::string>(workspace_, "choice").at(0));
  EXPECT_EQ(json["scale"], 0.1f);
  EXPECT_EQ(json["zero_point"], 0);
  EXPECT_EQ(json["min"], 0);
  EXPECT_EQ(json["max"], 25.5);
  EXPECT_EQ(json["clipped_share"], 0);
  EXPECT_EQ(json["objective"], 0);
  EXPECT_EQ(json["warning"], "");
}

TEST_F(ChooseQuantizationParamsOpTest, FlagsAreOtherDefaults) {
  FeedFloats(&workspace_, "X", {-15, 2});
  FLAGS_caffe2_dnnlowp_weight_quantization_precision = 4;
  RunArray([](OpBuilder& b) { b.String("flags", "weight"); });
  EXPECT_NEAR(Scale(), 17.0 / 15, 1e-6);
  RunArray(
      [](OpBuilder& b) { b.String("flags", "weight").Int("precision", 8); });
  EXPECT_NEAR(Scale(), 17.0 / 255, 1e-6);
  RunArray([](OpBuilder& b) { b.String("flags", "activation"); });
  EXPECT_NEAR(Scale(), 17.0 / 255, 1e-6);
  FLAGS_caffe2_dnnlowp_weight_quantization_precision = 8;
  FLAGS_caffe2_dnnlowp_preserve_weight_sparsity = true;
  RunArray([](OpBuilder& b) { b.String("flags", "weight"); });
  EXPECT_EQ(ZeroPoint(), 128);
  RunArray();
  EXPECT_NE(ZeroPoint(), 128);
  FLAGS_caffe2_dnnlowp_preserve_weight_sparsity = false;
}

TEST_F(ChooseQuantizationParamsOpTest, Counts) {
  Feed<int64_t>(&workspace_, "X", {3, 0, 4});
  RunCounts([](OpBuilder& b) { b.Float("min", -10).Float("max", 15.5f); });
  EXPECT_EQ(Scale(), 0.1f);
  EXPECT_EQ(ZeroPoint(), 100);
}

TEST_F(ChooseQuantizationParamsOpTest, CountsWithTheMethodOfTheOptions) {
  TestRandom random;
  std::vector<int64_t> counts(256);
  for (auto& each : counts) each = random.Integer(0, 100);
  Feed<int64_t>(&workspace_, "X", counts);
  for (const ChooseMethod method :
       {ChooseMethod::kL2, ChooseMethod::kL2Approx, ChooseMethod::kL1,
        ChooseMethod::kKl, ChooseMethod::kPercentile}) {
    RunCounts([&](OpBuilder& b) {
      b.Float("min", -2).Float("max", 5).String("method", Name(method));
    });
    ChooseOptions options;
    options.method = method;
    BinCounts bins{-2, 5, {counts.begin(), counts.end()}};
    Choice choice;
    ASSERT_TRUE(ChooseFromCounts(bins, options, &choice).ok());
    EXPECT_EQ(Scale(), choice.scale) << Name(method);
    EXPECT_EQ(ZeroPoint(), choice.zero_point) << Name(method);
  }
}

TEST_F(ChooseQuantizationParamsOpTest, ShapeInference) {
  const auto* schema =
      caffe2::OpSchemaRegistry::Schema("ChooseQuantizationParams");
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "ChooseQuantizationParams", {"X"}, {"s", "z", "c"});
  const auto shapes =
      schema->InferTensor(definition, std::vector<caffe2::TensorShape>(1));
  ASSERT_EQ(shapes.size(), 3u);
  EXPECT_EQ(shapes[0].data_type(), caffe2::TensorProto::FLOAT);
  EXPECT_EQ(shapes[1].data_type(), caffe2::TensorProto::INT32);
  EXPECT_EQ(shapes[2].data_type(), caffe2::TensorProto::STRING);
  definition.mutable_output()->RemoveLast();
  EXPECT_EQ(schema->InferTensor(definition, std::vector<caffe2::TensorShape>(1))
                .size(),
            2u);
}

TEST_F(ChooseQuantizationParamsOpTest, RefusalsNameWhatIsWrong) {
  const auto expect = [&](const std::string& part, const Arguments& arguments,
                          bool counts = false) {
    const std::string found =
        ErrorOf([&] { counts ? RunCounts(arguments) : RunArray(arguments); });
    EXPECT_NE(found.find(part), std::string::npos) << found.substr(0, 200);
  };
  const Arguments none = [](OpBuilder&) {};
  const Arguments edges = [](OpBuilder& b) {
    b.Float("min", 0).Float("max", 1);
  };
  FeedFloats(&workspace_, "X", {1, NAN, INFINITY});
  expect("ChooseQuantizationParams: tensor 'X': ", none);
  expect("1 NaN and 1 infinite of 3", none);
  expect("'X' is of type float, expected int64", edges, true);
  expect("argument min is missing", none, true);
  expect(
      "argument max is missing", [](OpBuilder& b) { b.Float("min", 0); }, true);
  FeedFloats(&workspace_, "X", {1});
  expect("method 'best' is unknown",
         [](OpBuilder& b) { b.String("method", "best"); });
  expect("flags is 'all', expected activation or weight",
         [](OpBuilder& b) { b.String("flags", "all"); });
  expect("precision is 17", [](OpBuilder& b) { b.Int("precision", 17); });
  expect("percentile is 1.5",
         [](OpBuilder& b) { b.Float("percentile", 1.5f); });
  Feed<double>(&workspace_, "X", {1});
  expect("'X' is of type double, expected float", none);
  Feed<int64_t>(&workspace_, "X", {3, -1});
  expect("count 1 of tensor 'X' is -1", edges, true);
  Feed<int64_t>(&workspace_, "X", {3, 1}, {1, 2});
  expect("'X' has 2 dimensions, expected 1", edges, true);
}

}  // namespace
}  // namespace caffe2_quantization
