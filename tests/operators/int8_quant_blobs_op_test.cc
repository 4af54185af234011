// The blob types of int8 quantization, beside the host's operators on them.
#include "operators/int8_quant_blobs_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "caffe2/core/tensor_int8.h"
#include "operators/int8_quant_blobs.h"
#include "quantization/choose.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using SchemePtr = std::unique_ptr<caffe2::Int8QuantSchemeBlob>;
using ParamsPtr = std::unique_ptr<caffe2::Int8QuantParamsBlob>;

class Int8QuantBlobsOpTest : public testing::Test {
 protected:
  void Run(
      const std::string& type, const std::vector<std::string>& inputs,
      const std::vector<std::string>& outputs,
      const std::function<void(OpBuilder&)>& arguments = [](OpBuilder&) {},
      const std::string& engine = "") {
    caffe2::OperatorDef definition;
    OpBuilder builder(&definition, type, inputs, outputs);
    arguments(builder);
    definition.set_engine(engine);
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition)) << type;
  }
  void RunDnnlowp(const std::string& type,
                  const std::vector<std::string>& inputs,
                  const std::vector<std::string>& outputs) {
    Run(
        type, inputs, outputs, [](OpBuilder&) {}, "DNNLOWP");
  }
  void FillScheme(const std::string& name, const std::string& kind,
                  bool preserve_sparsity) {
    Run("Int8QuantSchemeBlobFill", {}, {name}, [&](OpBuilder& b) {
      b.String("quantization_kind", kind)
          .Int("preserve_sparsity", preserve_sparsity);
    });
  }
  void FillParams(const std::string& name, float scale, int zero_point) {
    Run("Int8QuantParamsBlobFill", {}, {name}, [&](OpBuilder& b) {
      b.Float("scale", scale).Int("zero_point", zero_point);
    });
  }
  // (scale, zero point), as the operator reads them.
  std::pair<float, int> ReadParams(const std::string& name) {
    Run("Int8QuantParamsBlobInfo", {name}, {"scale", "zero_point"});
    return {Fetch<float>(workspace_, "scale").at(0),
            Fetch<int32_t>(workspace_, "zero_point").at(0)};
  }

  caffe2::Workspace workspace_;
};

TEST_F(Int8QuantBlobsOpTest, SchemesAreReadAsTheyWereWritten) {
  for (const bool preserve_sparsity : {false, true}) {
    FillScheme("s", "L2_MIN_QUANTIZATION", preserve_sparsity);
    Run("Int8QuantSchemeBlobInfo", {"s"}, {"kind", "preserve_sparsity"});
    EXPECT_EQ(Fetch<std::string>(workspace_, "kind").at(0),
              "L2_MIN_QUANTIZATION");
    EXPECT_EQ(Fetch<bool>(workspace_, "preserve_sparsity").at(0),
              preserve_sparsity);
  }
  Run("Int8QuantSchemeBlobFill", {}, {"s"});
  const auto& scheme = *workspace_.GetBlob("s")->Get<SchemePtr>();
  EXPECT_EQ(scheme.quantization_kind_, "MIN_MAX_QUANTIZATION");
  EXPECT_FALSE(scheme.preserve_sparsity_);
}

TEST_F(Int8QuantBlobsOpTest, ParametersAreReadAsTheyWereWritten) {
  FillParams("p", 0.1f, 77);
  EXPECT_EQ(ReadParams("p"), std::pair(0.1f, 77));
  EXPECT_EQ(workspace_.GetBlob("p")->Get<ParamsPtr>()->qparam.precision, 8);
  // Over what the blob held.
  FillParams("p", 2, 0);
  EXPECT_EQ(ReadParams("p"), std::pair(2.0f, 0));
  FeedFloats(&workspace_, "x", {1});
  FillParams("x", 3, 0);
  EXPECT_EQ(ReadParams("x"), std::pair(3.0f, 0));
}

TEST_F(Int8QuantBlobsOpTest, TheHostTakesOurSchemeAndWeItsParameters) {
  FeedFloats(&workspace_, "x", {-12.8f, 1, 5});
  FillScheme("s", "min_max", true);
  Run("Int8GenQuantParams", {"x", "s"}, {"p"});
  EXPECT_EQ(ReadParams("p"), std::pair(0.1f, 128));
  FillScheme("s", "min_max", false);
  Run("Int8GenQuantParams", {"x", "s"}, {"p"});
  EXPECT_FLOAT_EQ(ReadParams("p").first, 17.8f / 255);
}

TEST_F(Int8QuantBlobsOpTest, TheHostQuantizesByOurParameters) {
  FeedFloats(&workspace_, "x", {-1, 0, 0.26f, 40});
  FillParams("p", 0.25f, 3);
  RunDnnlowp("Int8Quantize", {"x", "p"}, {"q"});
  const auto& q = workspace_.GetBlob("q")->Get<caffe2::int8::Int8TensorCPU>();
  EXPECT_EQ(q.scale, 0.25f);
  EXPECT_EQ(q.zero_point, 3);
  const uint8_t* data = q.t.data<uint8_t>();
  EXPECT_EQ(std::vector<int>(data, data + 4), (std::vector<int>{0, 3, 4, 163}));
}

TEST_F(Int8QuantBlobsOpTest, TheHostsFcTakesOurParameters) {
  FeedFloats(&workspace_, "x", {1, 2}, {1, 2});
  FeedFloats(&workspace_, "w", {1, -1, 2, 1}, {2, 2});
  FeedFloats(&workspace_, "b", {0, 0});
  FillParams("p", 0.5f, 10);
  RunDnnlowp("Int8FC", {"x", "w", "b", "p"}, {"y"});
  const auto& y = workspace_.GetBlob("y")->Get<caffe2::int8::Int8TensorCPU>();
  EXPECT_EQ(y.scale, 0.5f);
  EXPECT_EQ(y.zero_point, 10);
  const uint8_t* data = y.t.data<uint8_t>();
  EXPECT_EQ(std::vector<int>(data, data + 2), (std::vector<int>{8, 18}));
}

TEST_F(Int8QuantBlobsOpTest, MinMaxIsWhatTheHostChoosesForTheSameRange) {
  TestRandom random;
  for (int i = 0; i < 1000; ++i) {
    // Scales are normal floats.
    const float magnitude = std::ldexp(1.0f, random.Integer(-110, 120));
    float min = random.Float(0.01f, 1) * (random.OneIn(2) ? 1 : -1) * magnitude;
    float max = random.OneIn(10) ? min
                                 : random.Float(0.01f, 1) *
                                       (random.OneIn(2) ? 1 : -1) * magnitude;
    if (random.OneIn(10)) min = 0;
    if (random.OneIn(10)) max = 0;
    if (min > max) std::swap(min, max);
    const bool preserve_sparsity = random.OneIn(2);
    FeedFloats(&workspace_, "x", {max, min});
    FeedFloats(&workspace_, "min", {min});
    FeedFloats(&workspace_, "max", {max});
    FillScheme("s", "min_max", preserve_sparsity);
    Run("Int8GenQuantParams", {"x", "s"}, {"host"});
    const auto host = ReadParams("host");
    Run("Int8GenQuantParamsMinMax", {"min", "max", "s"}, {"ours"},
        [](OpBuilder& b) { b.Int("dnnlowp", 1); });
    ASSERT_EQ(ReadParams("ours"), host)
        << min << " to " << max << ", " << preserve_sparsity;
    Run("Int8GenQuantParamsMinMax", {"min", "max", "s"}, {"ours"});
    if (std::get<0>(host) <= kDnnlowpSmallestScale) {
      // The plain equation, down to the smallest scale.
      const double low = std::min(min, 0.0f), high = std::max(max, 0.0f);
      const double scale = preserve_sparsity && low < 0 && high > 0
                               ? std::max(-low / 128, high / 127)
                               : (high - low) / 255;
      ASSERT_FLOAT_EQ(std::get<0>(ReadParams("ours")),
                      static_cast<float>(std::max(scale, 0x1p-63)));
      continue;
    }
    ASSERT_EQ(ReadParams("ours"), host);
    if (!preserve_sparsity) {
      Run("Int8GenQuantParamsMinMax", {"min", "max"}, {"ours"});
      ASSERT_EQ(ReadParams("ours"), ReadParams("host"));
    }
  }
}

TEST_F(Int8QuantBlobsOpTest, ParametersAreAFloatToShapeInference) {
  const auto* schema =
      caffe2::OpSchemaRegistry::Schema("Int8GenQuantParamsMinMax");
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8GenQuantParamsMinMax", {"a", "b"}, {"p"});
  const auto shapes =
      schema->InferTensor(definition, std::vector<caffe2::TensorShape>(2));
  ASSERT_EQ(shapes.size(), 1u);
  EXPECT_EQ(shapes[0].dims_size(), 1);
  EXPECT_EQ(shapes[0].dims(0), 1);
  EXPECT_EQ(shapes[0].data_type(), caffe2::TensorProto::FLOAT);
}

TEST_F(Int8QuantBlobsOpTest, RefusalsNameWhatIsWrong) {
  const auto error = [&](
                         const std::string& type,
                         const std::vector<std::string>& inputs,
                         const std::function<void(OpBuilder&)>& arguments =
                             [](OpBuilder&) {}) {
    caffe2::OperatorDef definition;
    std::vector<std::string> outputs = {"out"};
    if (type.find("Info") != std::string::npos) outputs.push_back("out2");
    OpBuilder builder(&definition, type, inputs, outputs);
    arguments(builder);
    return ErrorOf([&] { workspace_.RunOperatorOnce(definition); });
  };
  const auto expect = [&](const std::string& found, const std::string& part) {
    EXPECT_NE(found.find(part), std::string::npos) << found.substr(0, 300);
  };
  FeedFloats(&workspace_, "one", {1});
  FeedFloats(&workspace_, "two", {1, 2});
  FeedFloats(&workspace_, "nan", {std::numeric_limits<float>::quiet_NaN()});
  Feed<double>(&workspace_, "double", {1});
  FillParams("p", 1, 0);
  FillScheme("s", "kl", false);
  FeedFloats(&workspace_, "out", {5});
  expect(error("Int8QuantSchemeBlobFill", {},
               [](OpBuilder& b) { b.String("quantization_kind", "best"); }),
         "Int8QuantSchemeBlobFill: quantization method 'best' is unknown");
  expect(error("Int8QuantSchemeBlobFill", {},
               [](OpBuilder& b) { b.String("quantization_kind", "p99.99"); }),
         "Int8QuantSchemeBlobFill: quantization_kind is 'p99.99', which the "
         "host's Int8GenQuantParams would take for min_max");
  for (const float scale : {0.0f, -1.0f, INFINITY, NAN}) {
    expect(error("Int8QuantParamsBlobFill", {},
                 [&](OpBuilder& b) {
                   b.Float("scale", scale).Int("zero_point", 0);
                 }),
           "expected a finite number above 0");
  }
  expect(error("Int8QuantParamsBlobFill", {},
               [](OpBuilder& b) { b.Float("scale", 1); }),
         "argument zero_point is missing");
  expect(error("Int8QuantParamsBlobFill", {},
               [](OpBuilder& b) { b.Int("zero_point", 1); }),
         "argument scale is missing");
  expect(error("Int8QuantParamsBlobInfo", {"one"}),
         "blob 'one' holds a caffe2::Tensor, expected an Int8QuantParamsBlob");
  expect(error("Int8QuantParamsBlobInfo", {"s"}),
         "expected an Int8QuantParams");
  expect(error("Int8QuantSchemeBlobInfo", {"p"}),
         "expected an Int8QuantScheme");
  *workspace_.CreateBlob("empty")->GetMutable<ParamsPtr>() = nullptr;
  expect(error("Int8QuantParamsBlobInfo", {"empty"}),
         "holds an empty Int8QuantParamsBlob");
  const char* min_max = "Int8GenQuantParamsMinMax";
  expect(error(min_max, {"two", "one"}), "'two' has 2 values, expected 1");
  expect(error(min_max, {"double", "one"}), "'double' is of type double");
  expect(error(min_max, {"p", "one"}), "p");
  expect(error(min_max, {"one", "one", "p"}), "blob 'p' holds a ");
  expect(error(min_max, {"one", "nan"}), "the range is [1, ");
  FeedFloats(&workspace_, "zero", {0});
  expect(error(min_max, {"one", "zero"}), "the range is [1, 0]");
  // Nothing was changed.
  EXPECT_EQ(Fetch<float>(workspace_, "out"), std::vector<float>{5});
}

class FreezeQuantizationParamsTest : public Int8QuantBlobsOpTest {
 protected:
  caffe2::NetDef Freeze(const std::string& bytes) {
    Run("FreezeQuantizationParams", {}, {"frozen"},
        [&](OpBuilder& b) { b.String("net_def", bytes); });
    caffe2::NetDef net;
    EXPECT_TRUE(
        net.ParseFromString(Fetch<std::string>(workspace_, "frozen").at(0)));
    return net;
  }
};

TEST_F(FreezeQuantizationParamsTest, InputsBecomeArguments) {
  FillParams("p", 0.25f, 3);
  FillParams("q", 0.5f, 4);
  NetBuilder net("n", "simple");
  net.Op("Int8Quantize", {"x", "p"}, {"a"}).Float("Y_scale", 9);
  net.Op("Quantize", {"x", "q"}, {"b"});
  net.Op("Int8FC", {"a", "w", "c", "q"}, {"d"});
  net.Op("Int8FC", {"a", "w", "c"}, {"e"});
  net.Op("Int8Quantize", {"x"}, {"f"});
  net.Op("Other", {"x", "p"}, {"g"});
  const caffe2::NetDef before = net.Build();
  const caffe2::NetDef after = Freeze(before.SerializeAsString());
  const auto scale = [&](int i) {
    return caffe2::ArgumentHelper(after.op(i))
        .GetSingleArgument<float>("Y_scale", 0);
  };
  EXPECT_EQ(after.op(0).input_size(), 1);
  EXPECT_EQ(after.op(0).arg_size(), 2);
  EXPECT_EQ(scale(0), 0.25f);
  EXPECT_EQ(caffe2::ArgumentHelper(after.op(0))
                .GetSingleArgument<int>("Y_zero_point", 0),
            3);
  EXPECT_EQ(after.op(1).input_size(), 1);
  EXPECT_EQ(scale(1), 0.5f);
  EXPECT_EQ(after.op(2).input_size(), 3);
  EXPECT_EQ(scale(2), 0.5f);
  for (int i = 3; i < 6; ++i) {
    EXPECT_EQ(after.op(i).SerializeAsString(),
              before.op(i).SerializeAsString());
  }
}

TEST_F(FreezeQuantizationParamsTest, WhatIsNotThereOrNoneIsLeftAsItIs) {
  FeedFloats(&workspace_, "x", {1});
  NetBuilder net("n", "simple");
  net.Op("Int8Quantize", {"x", "nowhere"}, {"a"});
  net.Op("Int8Quantize", {"x", "x"}, {"b"});
  const std::string bytes = net.Build().SerializeAsString();
  EXPECT_EQ(Freeze(bytes).SerializeAsString(), bytes);
}

TEST_F(FreezeQuantizationParamsTest, ANetAsText) {
  NetBuilder net("n", "simple");
  net.Op("Relu", {"x"}, {"a"});
  EXPECT_EQ(Freeze(caffe2::ProtoDebugString(net.Build())).SerializeAsString(),
            net.Build().SerializeAsString());
  const std::string error =
      ErrorOf([&] { Freeze("name: \"n\"\nop { tyqe: \"Relu\" }"); });
  EXPECT_NE(error.find("line 2, column 6: NetDef.op[0]: found tyqe, expected a "
                       "field of OperatorDef"),
            std::string::npos)
      << error;
}

TEST_F(FreezeQuantizationParamsTest, BytesThatAreNoNet) {
  const std::string error = ErrorOf([&] { Freeze("\xff\xff\xff"); });
  EXPECT_NE(error.find("argument net_def holds 3 bytes that are no NetDef"),
            std::string::npos)
      << error;
}

}  // namespace
}  // namespace caffe2_quantization
