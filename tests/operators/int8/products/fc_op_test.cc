// FC of the engine ONEDNN where it is not DNNLOWP's (fc_op_oracle_test.cc), and
// what it refuses.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "operators/int8/products/fc_weights.h"
#include "tests/operators/int8/engine/test_tensor.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

class FcOpTest : public testing::Test {
 protected:
  // X [2, 3], W [2, 3], b [2]: values that codes hold exactly, by scales of 1
  // and 0.5.
  FcOpTest() {
    FeedFloats(&workspace_, "x", {0, 255, 3, 1, 2, 100}, {2, 3});
    FeedFloats(&workspace_, "w", {0, 127.5f, 1, 0.5f, 2, 3}, {2, 3});
    FeedFloats(&workspace_, "b", {10, -20});
    FeedCodes<uint8_t>(&workspace_, "x_codes", {0, 255, 3, 1, 2, 100}, {2, 3},
                       1, 0);
    FeedCodes<uint8_t>(&workspace_, "w_codes", {0, 255, 2, 1, 4, 6}, {2, 3},
                       0.5f, 0);
    FeedCodes<int32_t>(&workspace_, "b_codes", {20, -40}, {2}, 0.5f, 0);
  }

  static caffe2::OperatorDef Fc(const std::vector<std::string>& inputs,
                                const std::string& type = "Int8FC",
                                const std::string& suffix = "") {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, type, inputs, {"y"});
    definition.set_engine("ONEDNN" + suffix);
    return definition;
  }
  static caffe2::OperatorDef FloatFc(const std::vector<std::string>& inputs,
                                     const std::string& suffix = "") {
    auto definition = Fc(inputs, "FC", suffix);
    OpBuilder(&definition).Int("dequantize_output", 1);
    return definition;
  }
  static caffe2::OperatorDef PackOp(const std::vector<std::string>& inputs,
                                    const std::string& suffix = "") {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "Int8FCPackWeight", inputs, {"packed"});
    definition.set_engine("ONEDNN" + suffix);
    return definition;
  }

  void Run(const caffe2::OperatorDef& definition) {
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }
  std::vector<float> Floats(const caffe2::OperatorDef& definition) {
    EXPECT_TRUE(workspace_.RunOperatorOnce(definition));
    return Fetch<float>(workspace_, "y");
  }
  void ExpectError(const caffe2::OperatorDef& definition,
                   const std::vector<std::string>& parts) {
    const std::string error =
        ErrorOf([&] { workspace_.RunOperatorOnce(definition); });
    for (const std::string& part : parts) {
      EXPECT_NE(error.find(part), std::string::npos)
          << part << "\nin: " << error.substr(0, 400);
    }
  }

  // X * transpose(W) + b, exactly.
  const std::vector<float> expected_ = {255 * 127.5f + 3 + 10, 255 * 2 + 9 - 20,
                                        255 + 100 + 10, 0.5f + 4 + 300 - 20};

  caffe2::Workspace workspace_;
};

TEST_F(FcOpTest, EveryFormOfTheSameInputsGivesTheSameValues) {
  Run(PackOp({"w_codes"}));
  EXPECT_EQ(Floats(FloatFc({"x", "w", "b"})), expected_);
  for (const char* x : {"x", "x_codes"}) {
    for (const char* w : {"w_codes", "packed"}) {
      for (const char* b : {"b", "b_codes"}) {
        EXPECT_EQ(Floats(FloatFc({x, w, b})), expected_) << x << w << b;
      }
    }
  }
  // One parameter set of codes is that of every row, also where rows have their
  // own.
  EXPECT_EQ(Floats(FloatFc({"x_codes", "w_codes", "b_codes"}, "_ROWWISE")),
            expected_);
  auto relu = Fc({"x_codes", "w_codes", "b"}, "Int8FCRelu");
  OpBuilder(&relu).Int("dequantize_output", 1);
  FeedFloats(&workspace_, "b", {-1e6f, -20});
  EXPECT_EQ(Floats(relu),
            (std::vector<float>{0, expected_[1], 0, expected_[3]}));
}

TEST_F(FcOpTest, PackedBiasIsWorthTheSameByAnotherScaleOfTheInput) {
  auto pack = PackOp({"w_codes", "b"});
  OpBuilder(&pack).Float("in_scale", 0.25f);
  Run(pack);
  // The operator's own bias has no part in it.
  FeedFloats(&workspace_, "other", {7, 7});
  EXPECT_EQ(Floats(FloatFc({"x_codes", "packed", "other"})), expected_);
  auto fc = Fc({"x_codes", "packed", "other"});
  OpBuilder(&fc).Float("Y_scale", 256).Int("Y_zero_point", 3);
  Run(fc);
  const TestTensor y = FetchTensor(workspace_, "y");
  for (std::size_t i = 0; i < expected_.size(); ++i) {
    EXPECT_EQ(y.codes[i], std::nearbyint(expected_[i] / 256) + 3) << i;
  }
}

TEST_F(FcOpTest, BiasCodesOfPackWeight) {
  auto pack = PackOp({"w", "b"});
  OpBuilder(&pack).Float("in_scale", 0.5f);
  pack.add_output("bias");
  Run(pack);
  const auto& bias =
      workspace_.GetBlob("bias")->Get<caffe2::int8::Int8TensorCPU>();
  EXPECT_EQ(bias.scale, 0.25f);
  EXPECT_EQ(bias.zero_point, 0);
  ASSERT_EQ(bias.t.numel(), 2);
  EXPECT_EQ(bias.t.data<int32_t>()[0], 40);
  EXPECT_EQ(bias.t.data<int32_t>()[1], -80);
}

TEST_F(FcOpTest, ConstantWeightsAreReadOnce) {
  for (const bool constant : {true, false}) {
    SCOPED_TRACE(constant);
    caffe2::Workspace workspace;
    FeedFloats(&workspace, "x", {0, 255, 3}, {1, 3});
    FeedFloats(&workspace, "w", {0, 255, 1}, {1, 3});
    FeedFloats(&workspace, "b", {1});
    NetBuilder net("n", "simple");
    net.Op("FC", {"x", "w", "b"}, {"y"})
        .Int("dequantize_output", 1)
        .Int("constant_weight", constant);
    caffe2::NetDef definition = net.Build();
    definition.mutable_op(0)->set_engine("ONEDNN");
    ASSERT_NE(workspace.CreateNet(definition), nullptr);
    ASSERT_TRUE(workspace.RunNet("n"));
    const float before = Fetch<float>(workspace, "y")[0];
    EXPECT_EQ(before, 255 * 255 + 3 + 1);
    FeedFloats(&workspace, "w", {0, 0, 255}, {1, 3});
    FeedFloats(&workspace, "b", {2});
    ASSERT_TRUE(workspace.RunNet("n"));
    EXPECT_EQ(Fetch<float>(workspace, "y")[0], constant ? before : 3 * 255 + 2);
  }
}

TEST_F(FcOpTest, ParametersThatNobodyGaveAreOfEachRun) {
  NetBuilder net("n", "simple");
  net.Op("FC", {"x", "w", "b"}, {"y"});
  caffe2::NetDef definition = net.Build();
  definition.mutable_op(0)->set_engine("ONEDNN");
  ASSERT_NE(workspace_.CreateNet(definition), nullptr);
  ASSERT_TRUE(workspace_.RunNet("n"));
  const TestTensor first = FetchTensor(workspace_, "y");
  EXPECT_NEAR(first.scale, expected_[0] / 255, 1e-3f * first.scale);
  FeedFloats(&workspace_, "x", {0, 1, 0}, {1, 3});
  ASSERT_TRUE(workspace_.RunNet("n"));
  const TestTensor second = FetchTensor(workspace_, "y");
  EXPECT_EQ(second.shape, (std::vector<int64_t>{1, 2}));
  EXPECT_NEAR(second.scale, (137.5f + 18) / 255, 1e-3f * second.scale);
  EXPECT_NEAR(second.scale * (second.codes[1] - second.zero_point), -18,
              second.scale);
}

TEST_F(FcOpTest, OperatorsHoldTheSameWeightsOnce) {
  const std::size_t before = NumSharedFcWeights();
  {
    caffe2::Workspace one, other;
    for (caffe2::Workspace* workspace : {&one, &other}) {
      FeedFloats(workspace, "x", {0, 1, 2}, {1, 3});
      FeedFloats(workspace, "w", {0.125f, 3, 77}, {1, 3});
      FeedFloats(workspace, "b", {1});
      NetBuilder net("n", "simple");
      net.Op("FC", {"x", "w", "b"}, {"y"}).Int("dequantize_output", 1);
      net.Op("FC", {"x", "w", "b"}, {"z"})
          .Int("dequantize_output", 1)
          .Int("quantize_channelwise", 1);
      caffe2::NetDef definition = net.Build();
      for (auto& op : *definition.mutable_op()) op.set_engine("ONEDNN");
      ASSERT_NE(workspace->CreateNet(definition), nullptr);
      ASSERT_TRUE(workspace->RunNet("n"));
    }
    EXPECT_EQ(NumSharedFcWeights(), before + 2);
  }
  EXPECT_EQ(NumSharedFcWeights(), before);
}

TEST_F(FcOpTest, OutputsForDebugging) {
  for (const char* w : {"w_codes", "packed"}) {
    auto pack = PackOp({"w_codes"});
    OpBuilder(&pack).Int("save_unpacked_weights", 1);
    Run(pack);
    auto fc = Fc({"x_codes", w, "b"});
    OpBuilder(&fc).Int("dequantize_output", 1);
    for (const char* name : {"xq", "wq", "sums"}) fc.add_output(name);
    EXPECT_EQ(Floats(fc), expected_);
    EXPECT_EQ(Fetch<float>(workspace_, "xq"),
              (std::vector<float>{0, 255, 3, 1, 2, 100}));
    EXPECT_EQ(Fetch<float>(workspace_, "wq"),
              (std::vector<float>{-128, 127, -126, -127, -124, -122}));
    EXPECT_EQ(Fetch<float>(workspace_, "sums"),
              (std::vector<float>{255 * 127 - 3 * 126, -255 * 124 - 3 * 122,
                                  -128 + 2 * 127 - 12600, -127 - 248 - 12200}));
  }
}

TEST_F(FcOpTest, SumsOf16BitsLeave32Bits) {
  const int64_t k = 70;
  FeedCodes<uint16_t>(&workspace_, "wide_x", std::vector<uint16_t>(k, 65535),
                      {1, k}, 0x1p-10f, 0);
  FeedCodes<uint16_t>(&workspace_, "wide_w", std::vector<uint16_t>(k, 65535),
                      {1, k}, 0x1p-10f, 0);
  FeedFloats(&workspace_, "one_b", {0.5f});
  auto fc = FloatFc({"wide_x", "wide_w", "one_b"}, "_16");
  OpBuilder(&fc).Int("activation_precision", 16).Int("weight_precision", 16);
  const double exact = k * 65535.0 * 65535.0 * 0x1p-20 + 0.5;
  EXPECT_FLOAT_EQ(Floats(fc)[0], exact);
  fc = Fc({"wide_x", "wide_w", "one_b"}, "FC", "_16");
  OpBuilder(&fc)
      .Int("activation_precision", 16)
      .Int("weight_precision", 16)
      .Float("Y_scale", 8);
  Run(fc);
  const TestTensor y = FetchTensor(workspace_, "y");
  EXPECT_EQ(y.codes[0], std::nearbyint(exact / 8));
}

TEST_F(FcOpTest, NoRowsGiveAnEmptyOutput) {
  FeedFloats(&workspace_, "x", {}, {0, 3});
  Run(FloatFc({"x", "w", "b"}));
  EXPECT_EQ(FetchTensor(workspace_, "y").shape, (std::vector<int64_t>{0, 2}));
  Run(Fc({"x", "w", "b"}));
  const TestTensor y = FetchTensor(workspace_, "y");
  EXPECT_EQ(y.shape, (std::vector<int64_t>{0, 2}));
  EXPECT_GT(y.scale, 0);
}

// What the output's range, or the operator that reads it, cuts on purpose is no
// error.
TEST_F(FcOpTest, MeasuresTheErrorOfWhatItIsMeantToCompute) {
  const auto report = [&](const caffe2::OperatorDef& fc) {
    testing::internal::CaptureStderr();
    Run(fc);
    return testing::internal::GetCapturedStderr();
  };
  const auto measured = [&](const std::string& type, bool dequantize) {
    auto fc = Fc({"x_codes", "w_codes", "b"}, type);
    OpBuilder builder(&fc);
    builder.Int("measure_quantization_error", 1)
        .Int("dequantize_output", dequantize);
    if (!dequantize) builder.Float("Y_scale", 0.5f).Int("Y_zero_point", 0);
    return fc;
  };
  // About -1e6, 499, -1e6, 284.5.
  FeedFloats(&workspace_, "b", {-1e6f, -20});
  // Codes of [0, 127.5]: of floats beyond, its ends.
  std::string text = report(measured("Int8FCRelu", false));
  EXPECT_NE(text.find("output 'y' of Int8FCRelu: 1 runs, L2 relative error 0, "
                      "SQNR inf dB, largest error 0; "),
            std::string::npos)
      << text;
  // Floats are as they are; negative ones are the next operator's to cut.
  auto fc = measured("Int8FC", true);
  OpBuilder(&fc).String("followed_by", "Relu");
  text = report(fc);
  EXPECT_NE(text.find("largest error 0\n"), std::string::npos) << text;
}

TEST_F(FcOpTest, MeasuresItsError) {
  auto fc = FloatFc({"x", "w", "b"});
  OpBuilder(&fc).Int("measure_quantization_error", 1);
  EXPECT_EQ(Floats(fc), expected_);
  fc = Fc({"x", "w", "b"});
  OpBuilder(&fc)
      .Int("measure_quantization_error", 1)
      .Float("Y_scale", 200)
      .Int("Y_zero_point", 1);
  Run(fc);
  Run(PackOp({"w"}));
  fc = FloatFc({"x", "packed", "b"});
  OpBuilder(&fc).Int("measure_quantization_error", 1);
  ExpectError(fc, {"FC: blob 'packed' holds a ", "measure_quantization_error"});
}

TEST_F(FcOpTest, RefusesWhatItCannotServe) {
  FeedFloats(&workspace_, "narrow", {1, 2}, {1, 2});
  ExpectError(FloatFc({"narrow", "w", "b"}),
              {"FC: blob 'narrow' has K = 2", "expected 3", "'w'"});
  ExpectError(FloatFc({"x", "w", "x"}),
              {"blob 'x': bias has the shape [2, 3], expected [2]"});
  FeedFloats(&workspace_, "nan", {std::nanf(""), 1});
  ExpectError(FloatFc({"x", "w", "nan"}), {"'nan'", "1 of 2", "finite"});
  FeedFloats(&workspace_, "inf_x",
             {1, 2, std::numeric_limits<float>::infinity()}, {1, 3});
  ExpectError(FloatFc({"inf_x", "w", "b"}), {"'inf_x'", "1 of 3", "finite"});
  ExpectError(FloatFc({"x", "inf_x", "b"}),
              {"blob 'inf_x'", "1 infinite of 3"});
  ExpectError(FloatFc({"x", "b", "b"}),
              {"blob 'b'", "axis_w is 1", "shape [2]"});
  auto fc = FloatFc({"x", "w", "b"});
  OpBuilder(&fc).Int("axis", 2);
  ExpectError(fc, {"argument axis is 2", "'x' of shape [2, 3]"});
  fc = FloatFc({"x", "w", "b"});
  OpBuilder(&fc).String("axis", "1");
  ExpectError(fc, {"argument axis is not an integer"});
  FeedFloats(&workspace_, "none", {}, {0, 3});
  ExpectError(FloatFc({"x", "none", "b"}), {"'none'", "N = 0", "1 or more"});
  Feed<int32_t>(&workspace_, "ints", {1, 2, 3}, {1, 3});
  ExpectError(FloatFc({"ints", "w", "b"}), {"'ints' is of type int"});
  ExpectError(FloatFc({"x", "ints", "b"}), {"'ints'", "tensor of int"});
  ExpectError(FloatFc({"x_codes", "w", "b"}, "_16"),
              {"'x_codes' is an Int8TensorCPU of unsigned char"});
  FeedCodes<int32_t>(&workspace_, "far_b", {1, 1}, {2}, 2, 0);
  auto codes = Fc({"x_codes", "w_codes", "far_b"});
  OpBuilder(&codes).Float("Y_scale", 1);
  ExpectError(codes, {"blob 'far_b': bias has the scale 2, expected 0.5"});
  FeedCodes<int32_t>(&workspace_, "far_b", {1, 1}, {2}, 0.5f, 1);
  ExpectError(codes, {"'far_b'", "zero point 1, expected 0"});
  codes = Fc({"x_codes", "w_codes", "b", "w"});
  ExpectError(codes, {"'w'", "expected an Int8QuantParamsBlob"});
  codes = Fc({"x_codes", "w_codes", "b"});
  codes.add_output("z");
  ExpectError(codes, {"Int8FC: 2 outputs, expected 1, or 4"});
}

TEST_F(FcOpTest, RefusesPackedWeightsOfOthers) {
  caffe2::OperatorDef pack = PackOp({"w"});
  pack.set_engine("DNNLOWP");
  Run(pack);
  ExpectError(FloatFc({"x", "packed", "b"}),
              {"'packed'", "Int8FCDNNLowPPackedWeightBlob",
               "what Int8FCPackWeight of an engine ONEDNN makes"});
  Run(PackOp({"w"}));
  ExpectError(FloatFc({"x", "packed", "b"}, "_ROWWISE"),
              {"'packed' holds int8 weights [2, 3], one parameter set",
               "expected a parameter set a row"});
  ExpectError(FloatFc({"x", "packed", "b"}, "_16"), {"'packed'"});
  // No range to choose by.
  ExpectError(Fc({"x", "packed", "b"}), {"'packed'", "expected Y_scale"});
  auto fc = Fc({"x_codes", "packed", "b"});
  for (const char* name : {"xq", "wq", "sums"}) fc.add_output(name);
  ExpectError(fc, {"'packed'", "save_unpacked_weights"});
  Run(PackOp({"w"}, "_ROWWISE"));
  ExpectError(FloatFc({"x", "packed", "b"}),
              {"a parameter set a row", "expected one parameter set"});

  ExpectError(PackOp({"w", "b"}), {"in_scale is not given", "'b'"});
  pack = PackOp({"w"});
  pack.add_output("bias");
  ExpectError(pack, {"output 'bias'", "expected a second input"});
  pack = PackOp({"w", "b"}, "_ROWWISE");
  OpBuilder(&pack).Float("in_scale", 1);
  pack.add_output("bias");
  ExpectError(pack, {"output 'bias'", "one parameter set"});
  pack = PackOp({"w", "b"});
  OpBuilder(&pack).Float("in_scale", -1);
  ExpectError(pack, {"argument in_scale", "-1"});
}

}  // namespace
}  // namespace caffe2_quantization
