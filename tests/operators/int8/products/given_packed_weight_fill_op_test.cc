// The operators that fill a blob with packed weights and make such operators:
// codes of one's own, what is shared, what is refused. Against floats:
// packed_weight_fill_random_test.cc.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "caffe2/core/blob_serialization.h"
#include "netdef/given_weights.h"
#include "operators/int8/products/conv_weights.h"
#include "operators/int8/products/fc_weights.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Codes 1 to 24 of six outputs.
caffe2::OperatorDef FilterFill(const std::string& output = "packed") {
  std::string values;
  for (char code = 1; code <= 24; ++code) values += code;
  caffe2::OperatorDef op;
  OpBuilder(&op, kGivenWeightsType, {}, {output})
      .String("order", "NHWC")
      .Ints("shape", {6, 1, 2, 2})
      .Int("group", 2)
      .String("values", values)
      .Int("is_signed", 1)
      .Floats("scales", {1, 2, 3, 4, 5, 6})
      .Ints("zero_points", {0, -1, 2, -3, 4, -128});
  return op;
}

caffe2::OperatorDef FcFill(const std::string& output = "packed") {
  caffe2::OperatorDef op;
  OpBuilder(&op, kGivenWeightsType, {}, {output})
      .String("order", "FC")
      .Ints("shape", {2, 3})
      .String("values", std::string("\1\2\3\4\5\6"))
      .Int("is_signed", 1)
      .Floats("scales", {0.5f, 0.25f})
      .Ints("zero_points", {1, -1});
  return op;
}

caffe2::OperatorDef Without(caffe2::OperatorDef op, const std::string& name) {
  for (int i = 0; i < op.arg_size(); ++i) {
    if (op.arg(i).name() == name) op.mutable_arg()->DeleteSubrange(i--, 1);
  }
  return op;
}

template <typename T>
caffe2::OperatorDef With(const caffe2::OperatorDef& op, const std::string& name,
                         const T& value) {
  caffe2::OperatorDef changed = Without(op, name);
  *changed.add_arg() = caffe2::MakeArgument(name, value);
  return changed;
}

class GivenPackedWeightFillTest : public testing::Test {
 protected:
  // The error of a run, after which the output is what it was.
  std::string ErrorOfRun(const caffe2::OperatorDef& op) {
    Feed<int>(&workspace_, "packed", {7});
    const std::string error = ErrorOf([&] { workspace_.RunOperatorOnce(op); });
    EXPECT_EQ(Fetch<int>(workspace_, "packed"), std::vector<int>{7}) << error;
    return error;
  }
  void ExpectRefused(const caffe2::OperatorDef& op, const std::string& part) {
    const std::string error = ErrorOfRun(op);
    EXPECT_NE(error.find("Int8GivenPackedWeightFill: " + part),
              std::string::npos)
        << error.substr(0, 500) << "\nexpected " << part;
  }
  const Int8Values Y(const caffe2::OperatorDef& op) {
    CAFFE_ENFORCE(workspace_.RunOperatorOnce(op));
    return FetchCodes(workspace_, op.output(0));
  }

  caffe2::Workspace workspace_;
};

// y = x w, by hand: row 0 has the values 0, 0.5, 1, row 1 1.25, 1.5, 1.75.
TEST_F(GivenPackedWeightFillTest, FcByHand) {
  ASSERT_TRUE(workspace_.RunOperatorOnce(FcFill()));
  FeedCodes<uint8_t>(&workspace_, "x", {2, 4, 6}, {1, 3}, 1, 0);
  FeedFloats(&workspace_, "b", {1, -1});
  caffe2::OperatorDef fc;
  OpBuilder(&fc, "Int8FC", {"x", "packed", "b"}, {"y"})
      .Int("quantize_channelwise", 1)
      .Float("Y_scale", 0.5f)
      .Int("Y_zero_point", 3);
  fc.set_engine("ONEDNN");
  // 2 + 6 + 1 = 9; 2.5 + 6 + 10.5 - 1 = 18.
  EXPECT_EQ(Y(fc).codes, (std::vector<int>{21, 39}));
  // One of the weights' rows has another scale than the other.
  fc = With(fc, "quantize_channelwise", int64_t{0});
  EXPECT_NE(ErrorOf([&] {
              workspace_.RunOperatorOnce(fc);
            }).find("holds int8 weights [2, 3], a parameter set a row"),
            std::string::npos);
}

// Each output by itself is one with an Int8TensorCPU of its own as weights.
TEST_F(GivenPackedWeightFillTest, EveryOutputHasItsOwnParameters) {
  TestRandom random;
  for (int round = 0; round < 200; ++round) {
    const int64_t n = random.Integer(1, 20), k = random.Integer(1, 90);
    const bool is_signed = random.OneIn(2), is_conv = random.OneIn(2);
    const int32_t lowest = is_signed ? -128 : 0;
    std::string values(n * k, '\0');
    std::vector<float> scales(n);
    std::vector<int64_t> zero_points(n);
    for (char& code : values) code = static_cast<char>(random.Byte());
    for (float& scale : scales) scale = std::ldexp(random.Float(1, 2), -8);
    for (int64_t& zero_point : zero_points) {
      zero_point = random.Integer(lowest, lowest + 255);
    }
    std::vector<uint8_t> x(3 * k);
    for (uint8_t& code : x) code = random.Byte();
    FeedCodes(
        &workspace_, "x", x,
        is_conv ? std::vector<int64_t>{3, 1, k} : std::vector<int64_t>{3, k},
        0.125f, 100);
    caffe2::OperatorDef fill;
    OpBuilder(&fill, kGivenWeightsType, {}, {"packed"})
        .String("order", is_conv ? "NHWC" : "FC")
        .Ints("shape", is_conv ? std::vector<int64_t>{n, 1, k}
                               : std::vector<int64_t>{n, k})
        .String("values", values)
        .Int("is_signed", is_signed)
        .Floats("scales", scales)
        .Ints("zero_points", zero_points);
    ASSERT_TRUE(workspace_.RunOperatorOnce(fill));
    FeedFloats(&workspace_, "b", std::vector<float>(n));
    FeedFloats(&workspace_, "no b", {0});
    const auto define = [&](const std::string& w, const std::string& b) {
      caffe2::OperatorDef op;
      OpBuilder(&op, is_conv ? "Int8Conv" : "Int8FC", {"x", w, b}, {"y"})
          .Float("Y_scale", 0.5f)
          .Int("Y_zero_point", 128)
          .Int("quantize_channelwise", w == "packed");
      if (is_conv) {
        OpBuilder(&op).Ints("kernels", {1}).String("order", "NHWC");
      }
      op.set_engine("ONEDNN");
      return op;
    };
    const Int8Values all = Y(define("packed", "b"));
    for (int64_t i = 0; i < n; ++i) {
      std::vector<uint8_t> row(k);
      for (int64_t j = 0; j < k; ++j) {
        row[j] =
            static_cast<uint8_t>(values[i * k + j] ^ (is_signed ? 0x80 : 0));
      }
      FeedCodes(
          &workspace_, "w", row,
          is_conv ? std::vector<int64_t>{1, 1, k} : std::vector<int64_t>{1, k},
          scales[i], static_cast<int32_t>(zero_points[i] - lowest));
      const Int8Values one = Y(define("w", "no b"));
      for (int64_t m = 0; m < 3; ++m) {
        ASSERT_EQ(all.codes[m * n + i], one.codes[m]) << i << " of " << n;
      }
    }
  }
}

// Of a packed bias the convolution makes what its input's scale asks for.
TEST_F(GivenPackedWeightFillTest, BiasForAnInputOfAnotherScale) {
  caffe2::OperatorDef fill = With(FilterFill(), "in_scale", 0.5f);
  fill = With(fill, "bias", std::vector<int64_t>{2, -40, 60, -80, 100, -120});
  ASSERT_TRUE(workspace_.RunOperatorOnce(fill));
  ASSERT_TRUE(workspace_.RunOperatorOnce(FilterFill("no bias")));
  std::vector<float> bias;
  const int codes[] = {2, -40, 60, -80, 100, -120};
  for (int m = 0; m < 6; ++m) bias.push_back(codes[m] * 0.5f * (m + 1));
  FeedFloats(&workspace_, "b", bias);
  std::vector<uint8_t> x;
  for (int i = 0; i < 16; ++i) x.push_back(static_cast<uint8_t>(i * 9));
  for (const float scale : {0.5f, 1.0f, 0.25f, 0.125f}) {
    FeedCodes(&workspace_, "x", x, {1, 2, 2, 4}, scale, 60);
    const auto conv = [&](const std::vector<std::string>& inputs) {
      caffe2::OperatorDef op;
      OpBuilder(&op, "Int8Conv", inputs, {"y"})
          .Ints("kernels", {1, 2})
          .Int("group", 2)
          .String("order", "NHWC")
          .Float("Y_scale", 40)
          .Int("Y_zero_point", 128);
      op.set_engine("ONEDNN");
      return op;
    };
    EXPECT_EQ(Y(conv({"x", "packed"})), Y(conv({"x", "no bias", "b"})))
        << scale;
  }
}

// Without Y_scale the host's float operator runs, which needs the codes. What
// they stand for are the floats that they were made of.
TEST_F(GivenPackedWeightFillTest, UnpackedCodesForTheFloatOperator) {
  TestRandom random;
  std::vector<float> w(4 * 3 * 2 * 2), b{1, 2, 3, 4};
  for (std::size_t i = 0; i < w.size(); ++i) {
    const int64_t code = i % 12 == 0   ? -100
                         : i % 12 == 1 ? 155
                                       : random.Integer(-100, 155);
    w[i] = std::ldexp(static_cast<float>(code), -6);
  }
  FeedFloats(&workspace_, "w", w, {4, 3, 2, 2});
  FeedFloats(&workspace_, "b", b);
  std::vector<uint8_t> x(2 * 3 * 4 * 4);
  for (uint8_t& code : x) code = random.Byte();
  FeedCodes(&workspace_, "x", x, {2, 3, 4, 4}, 0.25f, 9);
  const auto conv = [&](const std::string& filter) {
    caffe2::OperatorDef op;
    OpBuilder(&op, "Int8Conv", {"x", filter, "b"}, {"y"})
        .Int("kernel", 2)
        .String("order", "NCHW")
        .Int("quantize_channelwise", 1);
    op.set_engine("ONEDNN");
    return op;
  };
  const Int8Values expected = Y(conv("w"));
  for (const bool keeps : {true, false}) {
    caffe2::OperatorDef make;
    OpBuilder(&make, "MakeInt8GivenPackedWeightFill", {"w"},
              {"fill", "scales", "zero_points"})
        .String("blob", "packed")
        .String("order", "NCHW")
        .Int("save_unpacked_weights", keeps);
    ASSERT_TRUE(workspace_.RunOperatorOnce(make));
    caffe2::OperatorDef fill;
    ASSERT_TRUE(
        fill.ParseFromString(Fetch<std::string>(workspace_, "fill")[0]));
    ASSERT_TRUE(workspace_.RunOperatorOnce(fill));
    EXPECT_EQ(Fetch<float>(workspace_, "scales"),
              std::vector<float>(4, 0x1p-6f));
    if (keeps) {
      EXPECT_EQ(Y(conv("packed")), expected);
    } else {
      EXPECT_NE(ErrorOf([&] {
                  workspace_.RunOperatorOnce(conv("packed"));
                }).find("save_unpacked_weights"),
                std::string::npos);
    }
  }
}

TEST_F(GivenPackedWeightFillTest, OrdersMustAgree) {
  ASSERT_TRUE(workspace_.RunOperatorOnce(FilterFill()));
  FeedCodes(&workspace_, "x", std::vector<uint8_t>(16), {1, 4, 2, 2}, 1, 0);
  caffe2::OperatorDef conv;
  OpBuilder(&conv, "Int8Conv", {"x", "packed"}, {"y"})
      .Ints("kernels", {1, 2})
      .Int("group", 2)
      .Float("Y_scale", 1)
      .Int("Y_zero_point", 0);
  conv.set_engine("ONEDNN");
  EXPECT_NE(ErrorOf([&] { workspace_.RunOperatorOnce(conv); })
                .find("filter 'packed' is packed, for the order NHWC; argument "
                      "order is NCHW"),
            std::string::npos);
}

// The same content is held once in a process, whatever the blobs are called,
// and no codes are held beside it.
TEST_F(GivenPackedWeightFillTest, HeldOnce) {
  caffe2::Workspace other;
  for (auto* workspace : {&workspace_, &other}) {
    ASSERT_TRUE(workspace->RunOperatorOnce(FcFill("f")));
    ASSERT_TRUE(workspace->RunOperatorOnce(FilterFill("c")));
  }
  ASSERT_TRUE(workspace_.RunOperatorOnce(
      With(FcFill("f2"), "zero_points", std::vector<int64_t>{1, 1})));
  const auto fc = [](const caffe2::Workspace& workspace, const char* name) {
    return workspace.GetBlob(name)->Get<PackedFcWeights>().weights;
  };
  EXPECT_EQ(fc(workspace_, "f"), fc(other, "f"));
  EXPECT_NE(fc(workspace_, "f"), fc(workspace_, "f2"));
  EXPECT_TRUE(fc(workspace_, "f")->quantized.codes.empty());
  const auto& conv = workspace_.GetBlob("c")->Get<PackedConvWeights>();
  EXPECT_EQ(conv.weights, other.GetBlob("c")->Get<PackedConvWeights>().weights);
  EXPECT_TRUE(conv.weights->quantized.codes.empty());
  EXPECT_TRUE(conv.codes.empty());
}

TEST_F(GivenPackedWeightFillTest, ShapeInference) {
  const auto* const schema =
      caffe2::OpSchemaRegistry::Schema(kGivenWeightsType);
  auto shape = schema->InferTensor(FilterFill(), {})[0];
  EXPECT_FALSE(shape.unknown_shape());
  EXPECT_EQ(std::vector<int64_t>(shape.dims().begin(), shape.dims().end()),
            (std::vector<int64_t>{6, 1, 2, 2}));
  EXPECT_EQ(shape.data_type(), caffe2::TensorProto::UNDEFINED);
  shape = schema->InferTensor(Without(FilterFill(), "order"), {})[0];
  EXPECT_TRUE(shape.unknown_shape());
}

// An exporter that saves blobs gets an error that names the type.
TEST_F(GivenPackedWeightFillTest, PackedBlobsAreNotSaved) {
  for (const auto& fill : {FcFill(), FilterFill()}) {
    ASSERT_TRUE(workspace_.RunOperatorOnce(fill));
    const std::string error = ErrorOf([&] {
      caffe2::SerializeBlob(*workspace_.GetBlob("packed"), "packed");
    });
    EXPECT_NE(error.find("blob 'packed' holds weights packed for this "
                         "process, which cannot be saved"),
              std::string::npos)
        << error;
  }
}

TEST_F(GivenPackedWeightFillTest, Refusals) {
  using Ints = std::vector<int64_t>;
  using Floats = std::vector<float>;
  const caffe2::OperatorDef conv = FilterFill(), fc = FcFill();
  for (const char* name :
       {"order", "shape", "values", "is_signed", "scales", "zero_points"}) {
    ExpectRefused(Without(conv, name),
                  std::string("argument ") + name + " is missing, expected");
    ExpectRefused(Without(fc, name),
                  std::string("argument ") + name + " is missing, expected");
    // Of another type.
    caffe2::OperatorDef net = Without(conv, name);
    auto* const argument = net.add_arg();
    argument->set_name(name);
    argument->mutable_n();
    ExpectRefused(
        net, std::string("argument ") + name + " is something else, expected");
  }
  ExpectRefused(With(conv, "order", std::string("NWHC")),
                "argument order is 'NWHC', expected FC, NHWC or NCHW");

  // Sizes.
  ExpectRefused(With(conv, "shape", Ints{6, 4}), "argument shape has 2");
  ExpectRefused(With(conv, "shape", Ints{6, 1, 1, 1, 1, 4}),
                "argument shape has 6");
  ExpectRefused(With(fc, "shape", Ints{6}), "argument shape has 1");
  ExpectRefused(With(fc, "shape", Ints(9, 1)), "argument shape has 9");
  for (const int64_t wrong :
       {int64_t{0}, int64_t{-6}, std::numeric_limits<int64_t>::min()}) {
    ExpectRefused(With(conv, "shape", Ints{wrong, 1, 2, 2}),
                  "argument shape is [" + std::to_string(wrong) +
                      ", 1, 2, 2], expected dimensions of 1 or more");
  }
  ExpectRefused(With(fc, "shape", Ints{int64_t{1} << 62, 4}),
                "argument shape is [4611686018427387904, 4], expected at most "
                "2^63 - 1 values");
  // 2^64 + 6 would be 6 in 64 bits.
  ExpectRefused(With(fc, "shape", Ints{6, 6148914691236517206, 1}),
                "argument shape is [6, 6148914691236517206, 1], expected at "
                "most");
  ExpectRefused(With(fc, "shape", Ints{1 << 20, 1 << 20}),
                "argument values has 6 bytes, expected 1099511627776");
  ExpectRefused(With(fc, "shape", Ints{2, 4}),
                "argument values has 6 bytes, expected 8, one for each code of "
                "shape [2, 4]");
  ExpectRefused(With(fc, "values", std::string()),
                "argument values has 0 bytes, expected 6");
  for (const int64_t group : {0, -2, 4, 12}) {
    ExpectRefused(With(conv, "group", group),
                  "argument group is " + std::to_string(group) +
                      ", expected a number that divides the 6 output");
  }
  ExpectRefused(With(fc, "group", int64_t{1}), "argument group is given");
  ExpectRefused(With(conv, "is_signed", int64_t{2}), "argument is_signed is 2");

  // Parameters.
  ExpectRefused(With(conv, "scales", Floats(5, 1)),
                "argument scales has 5 numbers, expected 1, 2 (groups) or 6 "
                "(outputs)");
  ExpectRefused(With(fc, "scales", Floats(3, 1)),
                "argument scales has 3 numbers, expected 1, or 2 (outputs)");
  ExpectRefused(With(conv, "scales", Ints{1, 2, 3, 4, 5, 6}),
                "argument scales is something else, expected a list of floats");
  ExpectRefused(With(conv, "zero_points", Ints{0, 0}),
                "argument zero_points has 2 numbers, expected 6");
  for (const float wrong :
       {0.0f, -1.0f, std::nanf(""), kInfinity, -kInfinity, 0x1p-140f}) {
    ExpectRefused(With(fc, "scales", Floats{1, wrong}),
                  "argument scales: quantization parameters: scales[1] is ");
  }
  for (const int64_t wrong :
       {int64_t{128}, int64_t{-129}, int64_t{1} << 32, -(int64_t{1} << 40)}) {
    ExpectRefused(With(fc, "zero_points", Ints{0, wrong}),
                  "argument zero_points[1] is " + std::to_string(wrong) +
                      ", expected -128 to 127, the codes of int8");
  }
  ExpectRefused(
      With(With(fc, "is_signed", int64_t{0}), "zero_points", Ints{-1, 0}),
      "argument zero_points[0] is -1, expected 0 to 255, the codes "
      "of uint8");

  // The bias.
  ExpectRefused(With(fc, "bias", Ints{1, 2}),
                "argument bias is given without in_scale, expected both");
  ExpectRefused(With(fc, "in_scale", 1.0f),
                "argument in_scale is given without bias, expected both");
  const caffe2::OperatorDef biased =
      With(With(fc, "in_scale", 1.0f), "bias", Ints{1, 2});
  ExpectRefused(With(biased, "bias", Ints{1}), "argument bias has 1 numbers");
  ExpectRefused(With(biased, "bias", Ints{0, int64_t{1} << 31}),
                "argument bias[1] is 2147483648, expected");
  ExpectRefused(With(biased, "bias", Floats{0.5f, 1}),
                "argument bias is something else, expected a list of integers");
  for (const float wrong : {0.0f, -1.0f, std::nanf(""), kInfinity}) {
    ExpectRefused(With(biased, "in_scale", wrong), "argument in_scale: ");
  }
  ExpectRefused(
      With(With(biased, "in_scale", 0x1p-120f), "scales", Floats{1, 0x1p-120f}),
      "argument in_scale is ");
  ExpectRefused(With(conv, "save_unpacked_weights", int64_t{3}),
                "argument save_unpacked_weights is 3, expected 0 or 1");
  ExpectRefused(With(conv, "quantize_channelwise", int64_t{1}),
                "it has no argument 'quantize_channelwise'");
}

TEST_F(GivenPackedWeightFillTest, MakerRefuses) {
  const auto error = [&](const std::vector<std::string>& inputs,
                         const std::function<void(OpBuilder*)>& change) {
    caffe2::OperatorDef make;
    OpBuilder builder(&make, "MakeInt8GivenPackedWeightFill", inputs,
                      {"packed", "scales", "zero_points"});
    builder.String("blob", "p");
    change(&builder);
    return ErrorOfRun(make);
  };
  const auto expect = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find("MakeInt8GivenPackedWeightFill: " + part),
              std::string::npos)
        << text.substr(0, 500);
  };
  FeedFloats(&workspace_, "w", {1, 2, 3, 4, 5, 6}, {2, 3});
  FeedFloats(&workspace_, "nan", {1, 2, 3, 4, std::nanf(""), 6}, {2, 3});
  FeedFloats(&workspace_, "flat", {1, 2});
  FeedFloats(&workspace_, "empty", {}, {0, 3});
  Feed<int>(&workspace_, "ints", {1, 2}, {1, 2});
  FeedFloats(&workspace_, "b", {1, 2});
  FeedFloats(&workspace_, "b nan", {1, std::nanf("")});
  FeedFloats(&workspace_, "b large", {1, 1e20f});
  const auto fc = [](OpBuilder* op) { op->String("order", "FC"); };
  expect(error({"w"}, [](OpBuilder*) {}), "argument order is ''");
  expect(error({"nan"}, fc), "tensor 'nan': parameter set 1 of 2");
  expect(error({"flat"}, fc), "tensor 'flat' has sizes [2]");
  expect(error({"empty"}, fc), "tensor 'empty' has sizes [0, 3]");
  expect(error({"ints"}, fc), "tensor 'ints' is of type int");
  expect(error({"w"},
               [](OpBuilder* op) {
                 op->String("order", "FC").String("granularity", "row");
               }),
         "argument granularity is 'row', expected tensor, group or channel");
  expect(error({"w"},
               [](OpBuilder* op) {
                 op->String("order", "FC").Int("precision", 9);
               }),
         "tensor 'w': weight_precision is 9, expected 1 to 8 bits");
  expect(error({"w"},
               [](OpBuilder* op) {
                 op->String("order", "FC").Int("is_signed", 1);
               }),
         "it has no argument 'is_signed'");
  expect(error({"w"}, [](OpBuilder* op) { op->String("order", "NHWC"); }),
         "argument shape has 2 dimensions");
  expect(error({"w", "b"}, fc), "argument in_scale is missing");
  for (const float wrong : {0.0f, std::nanf("")}) {
    expect(error({"w", "b"},
                 [&](OpBuilder* op) {
                   op->String("order", "FC").Float("in_scale", wrong);
                 }),
           "argument in_scale: ");
  }
  const auto biased = [](OpBuilder* op) {
    op->String("order", "FC").Float("in_scale", 1);
  };
  expect(error({"w", "w"}, biased), "tensor 'w' has 6 values, expected 2");
  expect(error({"w", "b nan"}, biased), "tensor 'b nan' has values that are");
  expect(error({"w", "b large"}, biased),
         "value 1 of tensor 'b large' is 1e+20, beyond 32 bits");
}

}  // namespace
}  // namespace caffe2_quantization
