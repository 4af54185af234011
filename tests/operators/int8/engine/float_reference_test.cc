// The host's float operator beside an int8 one, and what is measured against
// it.
#include "operators/int8/engine/float_reference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "operators/int8/engine/arguments.h"
#include "operators/int8/engine/error_report.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

caffe2::Tensor Floats(const std::vector<float>& values,
                      const std::vector<int64_t>& shape) {
  caffe2::Tensor tensor(shape, caffe2::CPU);
  std::copy(values.begin(), values.end(), tensor.mutable_data<float>());
  return tensor;
}

caffe2::OperatorDef FcDefinition() {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8FC", {"x", "w", "b"}, {"x"});
  definition.set_engine("ONEDNN");
  return definition;
}

std::vector<float> ValuesOf(const caffe2::Tensor& tensor) {
  const auto* const values = tensor.data<float>();
  return {values, values + tensor.numel()};
}

TEST(FloatReference, TakesFloatsAndCodesInTurn) {
  FloatReference reference(FcDefinition(), "FC", 3);
  const caffe2::Tensor x = Floats({1, 2}, {1, 2});
  const caffe2::Tensor w = Floats({3, 4, 5, 6}, {2, 2});
  const caffe2::Tensor b = Floats({0.5f, 0}, {2});
  reference.SetInput(0, x);
  reference.SetInput(1, w);
  reference.SetInput(2, b);
  EXPECT_EQ(ValuesOf(reference.Run()), (std::vector<float>{11.5f, 17}));

  caffe2::int8::Int8TensorCPU codes;
  codes.scale = 0.5f;
  codes.zero_point = 10;
  codes.t.Resize(2, 2);
  const uint8_t bytes[] = {12, 14, 10, 8};  // 1 2 0 -1
  std::copy_n(bytes, 4, codes.t.mutable_data<uint8_t>());
  reference.SetInput(0, codes);
  caffe2::int8::Int8TensorCPU bias;
  bias.scale = 0.25f;
  bias.t.Resize(2);
  bias.t.mutable_data<int32_t>()[0] = 4;
  bias.t.mutable_data<int32_t>()[1] = std::numeric_limits<int32_t>::min();
  reference.SetInput(2, bias);
  EXPECT_EQ(ValuesOf(reference.Run()),
            (std::vector<float>{12, 17 - 0x1p29f, -3, -6 - 0x1p29f}));
  // What was shared is as it was.
  EXPECT_EQ(ValuesOf(x), (std::vector<float>{1, 2}));

  reference.SetInput(0, x);
  reference.SetInput(2, b);
  EXPECT_EQ(ValuesOf(reference.Run()), (std::vector<float>{11.5f, 17}));
}

TEST(FloatReference, NamesWhatTheHostLacks) {
  const std::string error =
      ErrorOf([] { FloatReference(FcDefinition(), "NoSuchOperator", 3); });
  EXPECT_NE(error.find("Int8FC: the host has no operator NoSuchOperator"),
            std::string::npos)
      << error;
}

TEST(ChooseOutputParameters, OfTheRange) {
  QuantizationParams params;
  const caffe2::Tensor y = Floats({-1, 0.5f, 3}, {3});
  ASSERT_TRUE(ChooseOutputParameters(&y, {}, false, &params).ok());
  EXPECT_NEAR(params.scales[0], 4.0f / 255, 1e-6);
  EXPECT_EQ(params.zero_points[0], 64);
  ASSERT_TRUE(ChooseOutputParameters(&y, {}, true, &params).ok());
  EXPECT_NEAR(params.scales[0], 3.0f / 255, 1e-6);
  EXPECT_EQ(params.zero_points[0], 0);
  const caffe2::Tensor hole = Floats({1, std::nanf("")}, {2});
  const Status status = ChooseOutputParameters(&hole, {}, false, &params);
  EXPECT_NE(status.message().find("1 of 2 float outputs are NaN"),
            std::string::npos);
}

TEST(EngineArguments, ReluIsFusedOrFollows) {
  caffe2::OperatorDef definition = FcDefinition();
  OpBuilder(&definition).Float("Y_scale", 0.5f).Int("Y_zero_point", 100);
  EngineArguments arguments;
  ASSERT_TRUE(ReadEngineArguments(definition, 8, false, &arguments).ok());
  EXPECT_EQ(arguments.outputs[0]->zero_points[0], 100);
  EXPECT_FALSE(arguments.output_is_rectified);
  ASSERT_TRUE(ReadEngineArguments(definition, 8, true, &arguments).ok());
  EXPECT_EQ(arguments.outputs[0]->zero_points[0], 0);
  EXPECT_TRUE(arguments.output_is_rectified);
  OpBuilder(&definition).String("followed_by", "Relu");
  ASSERT_TRUE(ReadEngineArguments(definition, 8, false, &arguments).ok());
  EXPECT_EQ(arguments.outputs[0]->zero_points[0], 0);
  EXPECT_TRUE(arguments.output_is_rectified);
}

TEST(EngineArguments, Refusals) {
  const auto error = [](const char* name, int64_t value, int storage_bits) {
    caffe2::OperatorDef definition = FcDefinition();
    OpBuilder(&definition).Int(name, value);
    EngineArguments arguments;
    return ReadEngineArguments(definition, storage_bits, false, &arguments)
        .message();
  };
  EXPECT_EQ(error("dequantize_output", 2, 8),
            "argument dequantize_output is 2, expected 0 or 1");
  EXPECT_NE(error("weight_precision", 9, 8).find("weight_precision is 9"),
            std::string::npos);
  EXPECT_EQ(error("weight_precision", 9, 16), "");
  EXPECT_NE(error("activation_precision", 17, 16).find("expected 1 to 16 bits"),
            std::string::npos);
}

TEST(ErrorReport, AddsUpRuns) {
  ErrorReport report;
  const float reference[] = {-1, 2, 4};
  const float actual[] = {0, 2, 3.5f};
  report.Add(actual, reference, 3, /*rectifies=*/true);
  const uint8_t codes[] = {10, 14, 18};
  ErrorReport::Activation rectified;
  rectified.rectifies = true;
  report.Add(codes, QuantizationParams({8, false}, 0.5f, 10), reference, 3,
             rectified);
  EXPECT_EQ(report.num_runs(), 2);
  EXPECT_EQ(report.error().squared_error, 0.25);
  EXPECT_EQ(report.error().signal, 40);
  EXPECT_EQ(report.error().max_abs_error, 0.5);
  EXPECT_NE(report.Text(FcDefinition())
                .find("output 'x' of Int8FC: 2 runs, L2 relative error 0.079"),
            std::string::npos)
      << report.Text(FcDefinition());
}

// Both sides: the next operator cuts what this one leaves.
TEST(ErrorReport, RectifiesBothSides) {
  ErrorReport report;
  const float reference[] = {-1, -2, 4};
  const float actual[] = {-3, 1, 4};
  report.Add(actual, reference, 3, /*rectifies=*/true);
  EXPECT_EQ(report.error().squared_error, 1);
  const uint8_t codes[] = {7, 11, 14};
  report.Add(codes, QuantizationParams({8, false}, 1, 10), reference, 3,
             {/*rectifies=*/true, /*clips=*/false});
  EXPECT_EQ(report.error().squared_error, 2);
}

// Codes of [-1, 6.5]: what lies outside counts as its ends, and is told apart.
TEST(ErrorReport, ClipsWhatTheCodesCannotHold) {
  const QuantizationParams params({4, false}, 0.5f, 2);
  const float reference[] = {-3, 6.6f, 9, 2, 6.5f};
  const uint8_t codes[] = {0, 15, 15, 7, 15};  // 2 is off by 0.5
  ErrorReport clipping;
  clipping.Add(codes, params, reference, 5,
               {/*rectifies=*/false, /*clips=*/true});
  EXPECT_EQ(clipping.error().squared_error, 0.25);
  EXPECT_EQ(clipping.error().signal, 1 + 3 * 6.5 * 6.5 + 4);
  EXPECT_NEAR(clipping.unclipped_error().squared_error, 4 + 0.01 + 6.25 + 0.25,
              1e-6);
  EXPECT_EQ(clipping.unclipped_error().clipped, 2);  // 6.6 is rounding
  const std::string text = clipping.Text(FcDefinition());
  EXPECT_NE(text.find("largest error 0.5; 40 % of the float values lie outside "
                      "the output's range and count as its ends, uncut: "),
            std::string::npos)
      << text;
  ErrorReport plain;
  plain.Add(codes, params, reference, 5, {});
  EXPECT_NEAR(plain.error().squared_error, 4 + 0.01 + 6.25 + 0.25, 1e-6);
  EXPECT_EQ(plain.Text(FcDefinition()).find(';'), std::string::npos);
}

TEST(ErrorReport, IsSeenAtTheDefaultLogLevel) {
  const float values[] = {1, 2};
  const auto logged = [&](const ErrorReport& report) {
    testing::internal::CaptureStderr();
    report.Log(FcDefinition());
    return testing::internal::GetCapturedStderr();
  };
  ErrorReport report;
  EXPECT_EQ(logged(report), "");
  report.Add(values, values, 2, false);
  EXPECT_NE(logged(report).find(report.Text(FcDefinition())),
            std::string::npos);
}

}  // namespace
}  // namespace caffe2_quantization
