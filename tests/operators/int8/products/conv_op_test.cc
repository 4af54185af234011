// Convolutions under the engine ONEDNN: forms of inputs, where the output's
// parameters come from, sums, what is shared, and what is refused. Codes are
// compared with DNNLOWP's in conv_op_oracle_test.cc.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "netdef/dnnlowp_settings.h"
#include "operators/int8/products/conv_weights.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

caffe2::OperatorDef Definition(const std::string& type,
                               const std::string& engine = "ONEDNN",
                               const std::vector<std::string>& inputs = {
                                   "x", "w", "b"}) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, inputs, {"y"});
  definition.set_engine(engine);
  return definition;
}

// A kernel of 1 x 1, NHWC.
caffe2::OperatorDef OnePixel(const std::string& type,
                             const std::string& engine = "ONEDNN",
                             const std::vector<std::string>& inputs = {"x", "w",
                                                                       "b"}) {
  auto definition = Definition(type, engine, inputs);
  OpBuilder(&definition).Int("kernel", 1).String("order", "NHWC");
  return definition;
}

caffe2::OperatorDef With(caffe2::OperatorDef definition, float y_scale,
                         int y_zero_point) {
  OpBuilder(&definition)
      .Float("Y_scale", y_scale)
      .Int("Y_zero_point", y_zero_point);
  return definition;
}

class ConvOpTest : public testing::Test {
 protected:
  void Run(const caffe2::OperatorDef& definition) {
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }
  Int8Values Y() const { return FetchCodes(workspace_, "y"); }
  std::vector<float> YFloats() const {
    const Int8Values y = Y();
    std::vector<float> values(y.codes.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = y.scale * (y.codes[i] - y.zero_point);
    }
    return values;
  }
  void FeedX(const std::vector<uint8_t>& codes,
             const std::vector<int64_t>& sizes, float scale = 1,
             int zero_point = 0) {
    FeedCodes(&workspace_, "x", codes, sizes, scale, zero_point);
  }
  // Two channels to three, by small whole numbers that codes represent: the
  // largest and the smallest weight are 255 apart.
  void FeedSmall() {
    FeedX({1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 2, 2});
    FeedFloats(&workspace_, "w", {1, 0, -100, 155, 2, 1}, {3, 1, 1, 2});
    FeedFloats(&workspace_, "b", {10, 20, 30});
  }
  void FeedRandom(TestRandom* random, const std::vector<int64_t>& x,
                  const std::vector<int64_t>& w) {
    const auto values = [&](const std::vector<int64_t>& sizes) {
      std::vector<float> all(std::accumulate(
          sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<int64_t>()));
      for (float& value : all) value = random->Float(-1, 1);
      return all;
    };
    FeedFloats(&workspace_, "x", values(x), x);
    FeedFloats(&workspace_, "w", values(w), w);
    FeedFloats(&workspace_, "b", values({w[0]}));
  }

  caffe2::Workspace workspace_;
};

// x = 1 2 | 3 4 | 5 6 | 7 8, y = x0 + 10, 155 x1 - 100 x0 + 20, 2 x0 + x1 + 30.
TEST_F(ConvOpTest, WholeNumbersAreExact) {
  FeedSmall();
  Run(With(OnePixel("Int8Conv"), 4, 1));
  EXPECT_EQ(Y().sizes, (std::vector<int64_t>{1, 2, 2, 3}));
  EXPECT_EQ(Y().scale, 4);
  EXPECT_EQ(Y().zero_point, 1);
  // 11 230 34 | 13 340 40 | 15 450 46 | 17 560 52, halves to even.
  EXPECT_EQ(Y().codes,
            (std::vector<int>{4, 59, 9, 4, 86, 11, 5, 113, 13, 5, 141, 14}));
}

TEST_F(ConvOpTest, ReluCutsAtTheZeroPoint) {
  FeedX({200, 0, 0, 200}, {1, 2, 1, 2}, 1, 100);
  FeedFloats(&workspace_, "w", {1, 0}, {1, 1, 1, 2});
  FeedFloats(&workspace_, "b", {0});
  // Given parameters change for [0, max]: here to scale 1, zero point 0.
  for (const char* type : {"ConvRelu", "Int8ConvRelu"}) {
    Run(With(OnePixel(type), 1, 0));
    EXPECT_EQ(Y().codes, (std::vector<int>{100, 0})) << type;
    EXPECT_EQ(Y().zero_point, 0);
  }
}

// The three types of weights and both orders give the same.
TEST_F(ConvOpTest, FormsOfFilterAndBiasAgree) {
  FeedSmall();
  const std::vector<int> expected{4, 59, 9, 4, 86, 11, 5, 113, 13, 5, 141, 14};
  // w = code - 100.
  FeedCodes<uint8_t>(&workspace_, "wq", {101, 100, 0, 255, 102, 101},
                     {3, 1, 1, 2}, 1, 100);
  FeedCodes<int32_t>(&workspace_, "bq", {10, 20, 30}, {3}, 1, 0);
  for (const char* w : {"w", "wq"}) {
    for (const char* b : {"b", "bq"}) {
      Run(With(OnePixel("Conv", "ONEDNN", {"x", w, b}), 4, 1));
      EXPECT_EQ(Y().codes, expected) << w << " " << b;
      for (const bool packs_bias : {false, true}) {
        auto pack = Definition("Int8ConvPackWeight", "ONEDNN",
                               packs_bias ? std::vector<std::string>{w, b}
                                          : std::vector<std::string>{w});
        pack.set_output(0, "packed");
        if (packs_bias) OpBuilder(&pack).Float("in_scale", 1);
        Run(pack);
        std::vector<std::string> inputs{"x", "packed"};
        if (!packs_bias) inputs.push_back(b);
        Run(With(OnePixel("Int8Conv", "ONEDNN_ACC16", inputs), 4, 1));
        EXPECT_EQ(Y().codes, expected) << w << " " << b;
      }
    }
  }
  // A packed bias goes before the input's.
  auto pack = Definition("Int8ConvPackWeight", "ONEDNN", {"w", "b"});
  pack.set_output(0, "packed");
  OpBuilder(&pack).Float("in_scale", 1);
  Run(pack);
  FeedFloats(&workspace_, "other", {1, 2, 3});
  Run(With(OnePixel("Int8Conv", "ONEDNN", {"x", "packed", "other"}), 4, 1));
  EXPECT_EQ(Y().codes, expected);
  // And without any.
  Run(With(OnePixel("Int8Conv", "ONEDNN", {"x", "w"}), 4, 1));
  EXPECT_EQ(Y().codes[0], 1);
  EXPECT_EQ(Y().codes[1], 53);  // 210 / 4 = 52.5, to even, and 1
}

TEST_F(ConvOpTest, WeightsAreQuantizedByGroupOrChannel) {
  FeedX({10, 10, 10, 10}, {1, 1, 1, 4});
  // Groups and channels of very different ranges.
  FeedFloats(&workspace_, "w", {1, 1, 0.01f, 0.01f, 100, 100, 0.5f, 0.5f},
             {4, 1, 1, 2});
  const auto run = [&](const char* argument) {
    auto definition = With(OnePixel("Conv", "ONEDNN", {"x", "w"}), 0.05f, 0);
    OpBuilder(&definition).Int("group", 2);
    if (argument != nullptr) OpBuilder(&definition).Int(argument, 1);
    Run(definition);
    return Y().codes;
  };
  // y = 20, 0.2, 2000, 10 in units of 0.05.
  EXPECT_EQ(run("quantize_channelwise"), (std::vector<int>{255, 4, 255, 200}));
  // A group's weights are multiples of 1 / 255, 100 / 255.
  EXPECT_EQ(run("quantize_groupwise"), (std::vector<int>{255, 5, 255, 157}));
  EXPECT_EQ(run(nullptr), (std::vector<int>{255, 0, 255, 157}));
}

// Padding is the input's zero point: it adds nothing.
TEST_F(ConvOpTest, PaddingStandsForZero) {
  FeedX({7}, {1, 1, 1, 1}, 1, 5);
  FeedFloats(&workspace_, "w", std::vector<float>(9, 1), {1, 3, 3, 1});
  auto definition = With(Definition("Conv", "ONEDNN", {"x", "w"}), 1, 0);
  OpBuilder(&definition).Int("kernel", 3).Int("pad", 2).String("order", "NHWC");
  Run(definition);
  EXPECT_EQ(Y().codes, (std::vector<int>(9, 2)));
}

TEST_F(ConvOpTest, FloatInputsBecomeCodes) {
  FeedFloats(&workspace_, "x", {-1, 0, 0.5f, 1.55f}, {1, 2, 2, 1});
  FeedFloats(&workspace_, "w", {2}, {1, 1, 1, 1});
  Run(With(OnePixel("Conv", "ONEDNN", {"x", "w"}), 0.02f, 100));
  EXPECT_EQ(Y().codes, (std::vector<int>{0, 100, 150, 255}));
}

// Without Y_scale the output's parameters are those of the host's float
// operator's range, in every order, with relu or not, on every form of weights.
TEST_F(ConvOpTest, OutputParametersOfTheFloatOperator) {
  TestRandom random;
  for (int i = 0; i < 60; ++i) {
    const bool nhwc = random.OneIn(2);
    const std::vector<int64_t> x = nhwc ? std::vector<int64_t>{2, 5, 6, 4}
                                        : std::vector<int64_t>{2, 4, 5, 6};
    const std::vector<int64_t> w = nhwc ? std::vector<int64_t>{6, 3, 3, 4}
                                        : std::vector<int64_t>{6, 4, 3, 3};
    FeedRandom(&random, x, w);
    const char* const types[] = {"Conv", "ConvRelu", "Int8Conv",
                                 "Int8ConvRelu"};
    const std::string type = types[random.Integer(0, 3)];
    const bool relu = type.find("Relu") != std::string::npos;
    auto definition = Definition(type, "ONEDNN");
    OpBuilder builder(&definition);
    builder.Int("kernel", 3)
        .Int("pad", 1)
        .String("order", nhwc ? "NHWC" : "NCHW");
    auto reference = definition;
    reference.set_type("Conv");
    reference.clear_engine();
    reference.set_output(0, "reference");
    Run(reference);
    const bool codes = random.OneIn(2);
    if (codes) {
      auto quantize = Definition("Quantize", "ONEDNN", {"x"});
      quantize.set_output(0, "xq");
      Run(quantize);
      definition.set_input(0, "xq");
    }
    builder.Int("measure_quantization_error", random.OneIn(2));
    Run(definition);

    auto expected = Fetch<float>(workspace_, "reference");
    if (relu) {
      for (float& value : expected) value = std::max(value, 0.0f);
    }
    const auto [min, max] =
        std::minmax_element(expected.begin(), expected.end());
    const float range = std::max(*max, 0.0f) - std::min(*min, 0.0f);
    const auto actual = YFloats();
    ASSERT_EQ(actual.size(), expected.size());
    // With codes as inputs the float operator sees them, not the floats.
    EXPECT_NEAR(Y().scale, range / 255, codes ? 0.01f * range : 1e-6f * range);
    for (std::size_t k = 0; k < actual.size(); ++k) {
      ASSERT_NEAR(actual[k], expected[k], 0.03f * range) << type << " " << k;
    }
  }
}

// A packed filter can stand for floats if its codes were kept.
TEST_F(ConvOpTest, PackedFilterWithItsCodesGivesParameters) {
  TestRandom random;
  FeedRandom(&random, {1, 5, 5, 3}, {4, 3, 3, 3});
  auto definition = Definition("Int8Conv");
  OpBuilder(&definition).Int("kernel", 3).String("order", "NHWC");
  Run(definition);
  const Int8Values expected = Y();
  auto quantize = Definition("Quantize", "ONEDNN", {"x"});
  quantize.set_output(0, "xq");
  Run(quantize);
  auto pack = Definition("Int8ConvPackWeight", "ONEDNN", {"w", "b"});
  pack.set_output(0, "packed");
  OpBuilder(&pack)
      .Float("in_scale", FetchCodes(workspace_, "xq").scale)
      .Int("save_unpacked_weights", 1);
  Run(pack);
  definition = Definition("Int8Conv", "ONEDNN", {"xq", "packed"});
  OpBuilder(&definition)
      .Int("kernel", 3)
      .String("order", "NHWC")
      .Int("measure_quantization_error", 1);
  Run(definition);
  EXPECT_NEAR(Y().scale, expected.scale, 0.01f * expected.scale);
  EXPECT_NEAR(Y().codes[0], expected.codes[0], 3);
}

TEST_F(ConvOpTest, SumsAreAddedBeforeTheRounding) {
  FeedX({10, 20}, {1, 1, 2, 1});
  FeedCodes<uint8_t>(&workspace_, "w", {129}, {1, 1, 1, 1}, 1, 128);
  FeedFloats(&workspace_, "b", {0.0f});
  // s = -3, 2.5.
  FeedCodes<uint8_t>(&workspace_, "s", {0, 11}, {1, 1, 2, 1}, 0.5f, 6);
  const auto run = [&](const char* type, const std::vector<std::string>& inputs,
                       float scale, int zero_point) {
    Run(With(OnePixel(type, "ONEDNN", inputs), scale, zero_point));
    return Y().codes;
  };
  EXPECT_EQ(run("Int8ConvSum", {"x", "w", "b", "s"}, 1, 3),
            (std::vector<int>{10, 25}));  // 7, 22.5
  EXPECT_EQ(run("Int8ConvSum", {"x", "w", "s"}, 0.5f, 0),
            (std::vector<int>{14, 45}));
  FeedCodes<uint8_t>(&workspace_, "s", {0, 255}, {1, 1, 2, 1}, 0.5f, 255);
  EXPECT_EQ(run("Int8ConvSum", {"x", "w", "s"}, 1, 128),  // -117.5, 20
            (std::vector<int>{10, 148}));
  // [0, 127] for relu: scale 127 / 255.
  EXPECT_EQ(run("Int8ConvSumRelu", {"x", "w", "s"}, 1, 128),
            (std::vector<int>{0, 40}));
  // Floats, and no parameters: the range of the sum.
  FeedFloats(&workspace_, "f", {-12, 5}, {1, 1, 2, 1});
  Run(OnePixel("Int8ConvSum", "ONEDNN", {"x", "w", "f"}));
  EXPECT_FLOAT_EQ(Y().scale, 27.0f / 255);
  EXPECT_NEAR(YFloats()[0], -2, 0.2);
  EXPECT_NEAR(YFloats()[1], 25, 0.2);
}

TEST_F(ConvOpTest, SumsInPlace) {
  TestRandom random;
  for (const bool nhwc : {true, false}) {
    for (const bool is_static : {true, false}) {
      const std::vector<int64_t> x = {2, 6, 6, 6}, w = {6, 1, 1, 6};
      FeedRandom(&random, x, nhwc ? w : std::vector<int64_t>{6, 6, 1, 1});
      std::vector<uint8_t> s(2 * 6 * 6 * 6);
      for (uint8_t& code : s) code = random.Byte();
      FeedCodes(&workspace_, "s", s, x, 0.02f, 100);
      auto definition =
          Definition("Int8ConvSum", "ONEDNN", {"x", "w", "b", "s"});
      OpBuilder builder(&definition);
      builder.Int("kernel", 1)
          .String("order", nhwc ? "NHWC" : "NCHW")
          .Int("measure_quantization_error", 1);
      if (is_static) builder.Float("Y_scale", 0.03f).Int("Y_zero_point", 120);
      Run(definition);
      const Int8Values expected = Y();
      definition.set_output(0, "s");
      Run(definition);
      EXPECT_EQ(FetchCodes(workspace_, "s"), expected);
    }
  }
}

TEST_F(ConvOpTest, BatchesAndSizesMayChange) {
  TestRandom random;
  FeedRandom(&random, {1, 5, 5, 4}, {4, 3, 3, 4});
  auto definition = With(Definition("Conv"), 0.05f, 128);
  OpBuilder(&definition).Int("kernel", 3).Int("pad", 1).String("order", "NHWC");
  const auto op = caffe2::CreateOperator(definition, &workspace_);
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{1, 5, 5, 4},
                                            {3, 9, 2, 4},
                                            {0, 5, 5, 4},
                                            {0, 1, 1, 4},
                                            {2, 5, 5, 4}}) {
    int64_t count = 1;
    for (const int64_t size : sizes) count *= size;
    std::vector<float> x(count);
    for (float& value : x) value = random.Float(-1, 1);
    FeedFloats(&workspace_, "x", x, sizes);
    ASSERT_TRUE(op->Run());
    const Int8Values kept = Y();
    EXPECT_EQ(kept.sizes, sizes);  // as many channels out, and padding
    Run(definition);
    EXPECT_EQ(kept, Y());
  }
  // Another filter of other sizes is taken too.
  FeedRandom(&random, {1, 5, 5, 4}, {7, 3, 3, 4});
  ASSERT_TRUE(op->Run());
  const Int8Values kept = Y();
  Run(definition);
  EXPECT_EQ(kept, Y());
  EXPECT_EQ(kept.sizes, (std::vector<int64_t>{1, 5, 5, 7}));
}

// An empty batch with nothing given: the range is [0, 0], as in DNNLOWP.
TEST_F(ConvOpTest, EmptyBatchWithoutParameters) {
  TestRandom random;
  FeedRandom(&random, {0, 5, 5, 4}, {4, 3, 3, 4});
  for (const char* engine : {"ONEDNN", "ONEDNN_16"}) {
    auto definition = Definition("ConvRelu", engine);
    OpBuilder(&definition).Int("kernel", 3).String("order", "NHWC");
    Run(definition);
    EXPECT_EQ(Y().sizes, (std::vector<int64_t>{0, 3, 3, 4}));
  }
}

TEST_F(ConvOpTest, PackedFiltersAreShared) {
  TestRandom random;
  FeedRandom(&random, {1, 5, 5, 4}, {4, 3, 3, 4});
  const auto pack = [&](const std::string& w, const std::string& packed) {
    auto definition = Definition("Int8ConvPackWeight", "ONEDNN", {w});
    definition.set_output(0, packed);
    Run(definition);
    return workspace_.GetBlob(packed)->Get<PackedConvWeights>().weights;
  };
  FeedFloats(&workspace_, "copy", Fetch<float>(workspace_, "w"), {4, 3, 3, 4});
  const auto weights = pack("w", "packed");
  EXPECT_EQ(pack("copy", "packed_too"), weights);
  auto definition = With(Definition("Conv", "ONEDNN", {"x", "w"}), 1, 0);
  OpBuilder(&definition).Int("kernel", 3).String("order", "NHWC");
  const auto uses = weights.use_count();
  const auto op = caffe2::CreateOperator(definition, &workspace_);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(weights.use_count(), uses + 1);
  // Another value, order or granularity is another filter.
  FeedFloats(&workspace_, "copy", Fetch<float>(workspace_, "w"), {4, 3, 4, 3});
  EXPECT_NE(pack("copy", "packed_too"), weights);
}

TEST_F(ConvOpTest, ReadsArgumentsInTheFirstRun) {
  FeedSmall();
  const auto definition = OnePixel("Conv");
  const auto op = caffe2::CreateOperator(definition, &workspace_);
  auto with_parameters = std::make_shared<caffe2::OperatorDef>(definition);
  SetStaticParameters(0, 4, 1, with_parameters.get());
  op->set_debug_def(with_parameters);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(Y().scale, 4);
  EXPECT_EQ(Y().codes[1], 59);
}

TEST_F(ConvOpTest, PrecisionOfOutputsIsKept) {
  FeedSmall();
  auto definition = With(OnePixel("Conv"), 4, 1);
  OpBuilder(&definition).Int("activation_precision", 6);
  Run(definition);
  EXPECT_EQ(Y().codes,
            (std::vector<int>{4, 59, 9, 4, 63, 11, 5, 63, 13, 5, 63, 14}));
}

class ConvOpRefusalTest : public ConvOpTest {
 protected:
  // And leaves the output.
  void ExpectError(const caffe2::OperatorDef& definition,
                   const std::string& expected) {
    FeedCodes<uint8_t>(&workspace_, "y", {5, 6}, {2}, 0.5f, 1);
    const std::string error =
        ErrorOf([&] { workspace_.RunOperatorOnce(definition); });
    EXPECT_NE(error.find(definition.type() + ": " + expected),
              std::string::npos)
        << error << "\nexpected: " << expected;
    EXPECT_EQ(Y().codes, (std::vector<int>{5, 6})) << expected;
    EXPECT_EQ(Y().scale, 0.5f);
  }
  void SetUp() override { FeedSmall(); }
};

TEST_F(ConvOpRefusalTest, Arguments) {
  const auto with = [](const auto& add) {
    auto definition = With(OnePixel("Conv"), 1, 0);
    OpBuilder builder(&definition);
    add(&builder);
    return definition;
  };
  using B = OpBuilder*;
  ExpectError(With(Definition("Conv"), 1, 0), "no kernel size");
  ExpectError(with([](B b) { b->Int("dequantize_output", 1); }),
              "argument dequantize_output is 1, expected 0");
  ExpectError(with([](B b) {
                b->Int("quantize_groupwise", 1).Int("quantize_channelwise", 1);
              }),
              "arguments quantize_groupwise and quantize_channelwise are both");
  ExpectError(with([](B b) { b->Int("quantize_groupwise", 2); }),
              "argument quantize_groupwise is 2, expected 0 or 1");
  ExpectError(with([](B b) { b->Int("weight_precision", 9); }),
              "weight_precision is 9, expected 1 to 8");
  ExpectError(With(OnePixel("Conv"), 1, 256), "argument Y_zero_point is 256");
  ExpectError(With(OnePixel("Conv"), 0, 1), "argument Y_scale: ");
  ExpectError(OnePixel("Int8ConvSum", "ONEDNN", {"x", "w"}),
              "2 inputs, expected 3 or 4, the last of them S");
}

TEST_F(ConvOpRefusalTest, Inputs) {
  const auto definition = With(OnePixel("Int8Conv"), 1, 0);
  FeedX({1, 2}, {1, 1, 2});
  ExpectError(definition, "tensor 'x' has sizes [1, 1, 2], expected 4");
  FeedX({1, 2, 3}, {1, 1, 1, 3});
  ExpectError(definition,
              "tensor 'w' has sizes [3, 1, 1, 2], expected 3 channels");
  FeedX({1, 2}, {1, 1, 1, 2}, 0);
  ExpectError(definition, "tensor 'x': ");
  FeedCodes<uint16_t>(&workspace_, "x", {1, 2}, {1, 1, 1, 2}, 1, 0);
  ExpectError(definition, "tensor 'x' is an Int8TensorCPU of ");
  workspace_.RemoveBlob("x");
  Feed<int>(&workspace_, "x", {1, 2}, {1, 1, 1, 2});
  ExpectError(definition, "tensor 'x' is of type int, expected float");
  FeedFloats(&workspace_, "x", {1, std::nanf("")}, {1, 1, 1, 2});
  ExpectError(definition, "tensor 'x' has 1 of 2 values that are NaN");
  FeedFloats(&workspace_, "x", {1, 2}, {1, 1, 1, 2});
  ExpectError(With(OnePixel("Conv", "ONEDNN_16"), 1, 256),
              "argument Y_zero_point is 256");
}

TEST_F(ConvOpRefusalTest, Filters) {
  const auto definition = With(OnePixel("Int8Conv"), 1, 0);
  FeedFloats(&workspace_, "w", {1, 2, 3}, {3});
  ExpectError(definition, "tensor 'w' has sizes [3], expected 4 dimensions");
  FeedFloats(&workspace_, "w", std::vector<float>(24), {3, 2, 2, 2});
  ExpectError(definition,
              "tensor 'w' has sizes [3, 2, 2, 2], expected a "
              "kernel of [1, 1]");
  FeedFloats(&workspace_, "w", {1, 2, 3, 4, std::nanf(""), 6}, {3, 1, 1, 2});
  ExpectError(definition, "filter 'w': ");
  workspace_.RemoveBlob("w");
  Feed<int>(&workspace_, "w", {1, 2, 3, 4, 5, 6}, {3, 1, 1, 2});
  ExpectError(definition, "tensor 'w' is of type int, expected float");
  FeedCodes<uint16_t>(&workspace_, "w", {1, 2, 3, 4, 5, 6}, {3, 1, 1, 2}, 1, 0);
  ExpectError(definition, "filter 'w': weights are an Int8TensorCPU of ");
  workspace_.RemoveBlob("w");
  *workspace_.CreateBlob("w")->GetMutable<std::string>() = "text";
  ExpectError(definition, "blob 'w' holds a ");
}

TEST_F(ConvOpRefusalTest, PackedFilters) {
  auto pack = Definition("Int8ConvPackWeight", "ONEDNN", {"w"});
  pack.set_output(0, "packed");
  Run(pack);
  const std::vector<std::string> inputs{"x", "packed"};
  ExpectError(OnePixel("Int8Conv", "ONEDNN", inputs),
              "filter 'packed' is packed, and the host's float operator");
  auto wrong = With(Definition("Int8Conv", "ONEDNN", inputs), 1, 0);
  OpBuilder(&wrong).Int("kernel", 1);
  ExpectError(wrong, "filter 'packed' is packed, for the order NHWC");
  wrong = With(OnePixel("Int8Conv", "ONEDNN", inputs), 1, 0);
  OpBuilder(&wrong).Int("group", 2);
  ExpectError(wrong,
              "filter 'packed' is packed for 1 groups, expected the "
              "argument group's 2");
  ExpectError(With(OnePixel("Conv", "ONEDNN_16", inputs), 1, 0),
              "tensor 'x' is an Int8TensorCPU of ");
  FeedCodes<uint16_t>(&workspace_, "x", {1, 2}, {1, 1, 1, 2}, 1, 0);
  ExpectError(With(OnePixel("Conv", "ONEDNN_16", inputs), 1, 0),
              "blob 'packed' holds a ");
  // The host's own is another type.
  pack.set_engine("DNNLOWP");
  OpBuilder(&pack).Int("kernel", 1).String("order", "NHWC");
  pack.set_output(0, "hosts");
  Run(pack);
  FeedSmall();
  ExpectError(With(OnePixel("Int8Conv", "ONEDNN", {"x", "hosts"}), 1, 0),
              "blob 'hosts' holds a ");
}

TEST_F(ConvOpRefusalTest, BiasesAndAddends) {
  const auto definition = With(OnePixel("Int8Conv"), 1, 0);
  FeedFloats(&workspace_, "b", {1, 2});
  ExpectError(definition, "bias 'b' has 2 values, expected 3");
  FeedCodes<int32_t>(&workspace_, "b", {1, 2, 3}, {3}, 2, 0);
  ExpectError(definition,
              "bias 'b' has the scale 2, expected the input's "
              "times the filter's, 1");
  FeedCodes<int32_t>(&workspace_, "b", {1, 2, 3}, {3}, 1, 4);
  ExpectError(definition, "bias 'b' has the zero point 4, expected 0");
  FeedCodes<uint8_t>(&workspace_, "b", {1, 2, 3}, {3}, 1, 0);
  ExpectError(definition, "bias 'b' is an Int8TensorCPU of unsigned char");
  workspace_.RemoveBlob("b");
  Feed<int>(&workspace_, "b", {1, 2, 3});
  ExpectError(definition, "tensor 'b' is of type int, expected float");

  const auto sum =
      With(OnePixel("Int8ConvSum", "ONEDNN", {"x", "w", "s"}), 1, 0);
  FeedCodes<uint8_t>(&workspace_, "s", {1, 2}, {2}, 1, 0);
  ExpectError(sum,
              "tensor 's' has sizes [2], expected the output's, "
              "[1, 2, 2, 3]");
  FeedCodes<int32_t>(&workspace_, "s", {1}, {1}, 1, 0);
  ExpectError(sum, "tensor 's' is an Int8TensorCPU of int");
  FeedCodes(&workspace_, "s", std::vector<uint8_t>(12), {1, 2, 2, 3}, -1, 0);
  ExpectError(sum, "tensor 's': ");
}

TEST_F(ConvOpRefusalTest, ScalesWithoutAMultiplier) {
  FeedX({1, 2}, {1, 1, 1, 2}, 1e35f);
  ExpectError(With(OnePixel("Conv", "ONEDNN", {"x", "w"}), 1.25e-38f, 0),
              "input scale 1.00000004e+35 * weight scale 1 / output scale "
              "1.24999999e-38 is inf, expected a finite float");
  FeedX({1, 2}, {1, 1, 1, 2});
  FeedCodes(&workspace_, "s", std::vector<uint8_t>(3), {1, 1, 1, 3}, 1e35f, 0);
  ExpectError(
      With(OnePixel("Int8ConvSum", "ONEDNN", {"x", "w", "s"}), 1.25e-38f, 0),
      "scales 1e+35 of tensor 's' and 1.25e-38 of the output");
}

TEST_F(ConvOpRefusalTest, Packing) {
  const auto with = [](const auto& add,
                       const std::vector<std::string>& inputs = {"w"}) {
    auto definition = Definition("Int8ConvPackWeight", "ONEDNN", inputs);
    OpBuilder builder(&definition);
    add(&builder);
    return definition;
  };
  using B = OpBuilder*;
  const auto nothing = [](B) {};
  ExpectError(with(nothing, {"w", "b"}), "no argument in_scale, expected");
  ExpectError(with([](B b) { b->Float("in_scale", -1); }, {"w", "b"}),
              "argument in_scale: ");
  ExpectError(with([](B b) { b->Int("group", 2); }),
              "filter 'w' has sizes [3, 1, 1, 2], expected none that is 0, and "
              "output channels that 2 groups divide");
  ExpectError(with([](B b) { b->Int("group", 0); }), "argument group is 0");
  ExpectError(with([](B b) { b->String("order", "NCHW"); }),
              "argument order is 'NCHW', expected NHWC");
  FeedFloats(&workspace_, "w", {1, 2}, {2});
  ExpectError(with(nothing), "filter 'w' has sizes [2], expected [M, kernel");
  FeedFloats(&workspace_, "w", {}, {3, 1, 1, 0});
  ExpectError(with(nothing),
              "filter 'w' has sizes [3, 1, 1, 0], expected none");
  FeedX({1, 2}, {1, 1, 1, 2});
  FeedFloats(&workspace_, "w", {1, 2}, {1, 1, 1, 2});
  FeedFloats(&workspace_, "b", {1, 2});
  ExpectError(with([](B b) { b->Float("in_scale", 1); }, {"w", "b"}),
              "bias 'b' has 2 values, expected 1");
}

}  // namespace
}  // namespace caffe2_quantization
