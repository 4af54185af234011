// Nets of two or three operators in which values are shared, repeated, written
// again or called by awkward names.
#include <gtest/gtest.h>

#include "tests/rewrite/net_case.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

TEST(CornerCases, WeightSharedByConvolutionsOfDifferentInputs) {
  NetCase net;
  net.Data("a", {2, 3, 8, 8}, 1);
  net.Data("b", {2, 3, 8, 8}, 20);
  net.Conv("a", "y", 3, 4, 3);
  net.Weight("z_b", {4}, 0.1f);
  net.Op("Conv", {"b", "y_w", "z_b"}, {"z"}).Int("kernel", 3).Int("pad", 1);
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 2);
  // The codes of a weight do not depend on the input: one fill serves both.
  int fills = 0;
  for (const caffe2::OperatorDef& op : net.nets().init.op()) {
    fills += op.type() == "Int8GivenPackedWeightFill" ? 1 : 0;
  }
  EXPECT_EQ(fills, 1);
  EXPECT_GT(net.Sqnr("y"), 35);
  EXPECT_GT(net.Sqnr("z"), 35);
}

TEST(CornerCases, WeightSharedByConvolutionsOfBothOrders) {
  NetCase net;
  net.Data("a", {2, 3, 8, 8});
  net.Data("b", {2, 8, 8, 3});
  net.Weight("w", {5, 3, 1, 1});
  net.Weight("w_nhwc", {5, 1, 1, 3});
  net.Weight("bias", {5}, 0.1f);
  net.Op("Conv", {"a", "w", "bias"}, {"y"}).Int("kernel", 1);
  net.Op("Conv", {"b", "w_nhwc", "bias"}, {"z"})
      .Int("kernel", 1)
      .String("order", "NHWC");
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_GT(net.Sqnr("y"), 35);
  EXPECT_GT(net.Sqnr("z"), 35);
}

TEST(CornerCases, BiasSharedByLayersOfUnlikeScales) {
  NetCase net;
  net.Data("a", {4, 16}, 0.01f);
  net.Data("b", {4, 16}, 30);
  net.Fc("a", "y", 16, 8);
  net.Weight("z_w", {8, 16});
  net.Op("FC", {"b", "z_w", "y_b"}, {"z"});
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8FC"), 2);
  EXPECT_GT(net.Sqnr("y"), 35);
  EXPECT_GT(net.Sqnr("z"), 35);
}

TEST(CornerCases, WeightReadByAnFcAndByAFloatOperator) {
  NetCase net;
  net.Data("x", {8, 16});
  net.Fc("x", "y", 16, 8);
  net.Op("Exp", {"y_w"}, {"e"});
  net.Output("y");
  net.Output("e");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8FC"), 1);
  EXPECT_GT(net.Sqnr("y"), 35);
  EXPECT_GT(net.Sqnr("e"), 1000);
}

TEST(CornerCases, ScaleThatIsFoldedIntoASharedWeight) {
  NetCase net;
  net.Data("a", {2, 3, 8, 8});
  net.Conv("a", "y", 3, 4, 3);
  net.Weight("scale", {4}, 3);
  net.Weight("shift", {4}, 3);
  net.Op("AffineChannel", {"y", "scale", "shift"}, {"n"});
  net.Op("Conv", {"a", "y_w", "y_b"}, {"z"}).Int("kernel", 3).Int("pad", 1);
  net.Output("n");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 2);
  EXPECT_EQ(net.Count("AffineChannel"), 0);
  EXPECT_EQ(net.ReasonOf("n"), "folded");
  EXPECT_GT(net.Sqnr("n"), 35);
  EXPECT_GT(net.Sqnr("z"), 35);
}

TEST(CornerCases, ReluInPlaceOnABlobThatIsAlsoAnOutput) {
  NetCase net;
  net.Data("x", {2, 3, 8, 8});
  net.Conv("x", "y", 3, 4, 3);
  net.Op("Relu", {"y"}, {"y"});
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8ConvRelu"), 1);
  EXPECT_EQ(net.nets().predict.op_size(), 3);
  EXPECT_GT(net.Sqnr("y"), 35);
}

TEST(CornerCases, OutputThatIsReadInsideTheNet) {
  NetCase net;
  net.Data("x", {2, 3, 8, 8});
  net.Conv("x", "y", 3, 4, 3);
  net.Op("Relu", {"y"}, {"r"});
  net.Conv("r", "z", 4, 4, 1);
  net.Output("y");
  net.Output("r");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 2);  // the Relu is not in the first one
  EXPECT_EQ(net.Count("Int8Relu"), 1);
  EXPECT_EQ(net.Count("Int8Dequantize"), 3);
  for (const char* name : {"y", "r", "z"}) EXPECT_GT(net.Sqnr(name), 34);
}

TEST(CornerCases, ResidualWhoseShortcutIsTheFloatInput) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "y", 4, 4, 3);
  net.Op("Sum", {"y", "x"}, {"s"});
  net.Op("Relu", {"s"}, {"s"});
  net.Output("s");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8ConvSumRelu"), 1);
  EXPECT_EQ(net.Count("Int8Quantize"), 1);
  EXPECT_EQ(net.ReasonOf("y"), "int8");
  EXPECT_GT(net.Sqnr("s"), 35);
}

TEST(CornerCases, SumOfTwoConvolutionsTakesTheLast) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 6, 3);
  net.Conv("x", "b", 4, 6, 1);
  net.Op("Sum", {"b", "a"}, {"s"});
  net.Output("s");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Find("Int8Conv").output(0), "a_int8_nhwc");
  EXPECT_EQ(net.Count("Int8ConvSum"), 1);
  EXPECT_EQ(net.Count("Int8Sum"), 0);
  EXPECT_GT(net.Sqnr("s"), 34);
}

TEST(CornerCases, SumOfThree) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 4, 3);
  net.Conv("x", "b", 4, 4, 1);
  net.Op("Sum", {"a", "b", "x"}, {"s"});
  net.Output("s");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Sum"), 1);
  EXPECT_GT(net.Sqnr("s"), 34);
}

TEST(CornerCases, SumOfOneTensorTwice) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 4, 3);
  net.Op("Sum", {"a", "a"}, {"s"});
  net.Conv("s", "y", 4, 4, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 2);
  EXPECT_EQ(net.Count("Int8Sum"), 1);
  EXPECT_GT(net.Sqnr("y"), 33);
}

TEST(CornerCases, SumOfOne) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 4, 3);
  net.Op("Sum", {"a"}, {"s"});
  net.Output("s");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 1);
  EXPECT_GT(net.Sqnr("s"), 35);
}

TEST(CornerCases, ConcatOfOne) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 4, 3);
  net.Op("Concat", {"a"}, {"c", "sizes"}).Int("axis", 1);
  net.Conv("c", "y", 4, 4, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("c"), "int8");
  EXPECT_GT(net.Sqnr("y"), 33);
}

TEST(CornerCases, ConcatWithARepeatedInput) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 4, 3);
  net.Conv("x", "b", 4, 4, 1);
  net.Op("Concat", {"a", "b", "a"}, {"c", "sizes"});
  net.Conv("c", "y", 12, 4, 1);
  net.Output("y");
  net.Output("sizes");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Concat"), 1);
  EXPECT_GT(net.Sqnr("y"), 33);
  EXPECT_EQ(Fetch<int>(net.RunInt8(), "sizes"), std::vector<int>({4, 4, 4}));
}

TEST(CornerCases, ConcatWhoseInputAlsoFeedsFloats) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 4, 3);
  net.Conv("x", "b", 4, 4, 1);
  net.Op("Concat", {"a", "b"}, {"c", "sizes"});
  net.Op("Exp", {"a"}, {"e"});
  net.Conv("c", "y", 8, 4, 1);
  net.Output("y");
  net.Output("e");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Concat"), 1);
  EXPECT_EQ(net.ReasonOf("e"), "no_int8_form");
  EXPECT_GT(net.Sqnr("y"), 33);
  EXPECT_GT(net.Sqnr("e"), 30);
}

TEST(CornerCases, ConcatOfLikeRangesCopiesCodes) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 4, 3);
  net.Conv("x", "b", 4, 4, 3);
  net.Op("Concat", {"a", "b"}, {"c", "sizes"});
  net.Output("c");
  ASSERT_EQ(net.Quantize(), "");
  std::set<float> scales;
  for (const caffe2::OperatorDef& op : net.nets().predict.op()) {
    if (op.type() != "Int8Conv" && op.type() != "Int8Concat") continue;
    scales.insert(
        caffe2::ArgumentHelper(op).GetSingleArgument<float>("Y_scale", 0));
  }
  EXPECT_EQ(scales.size(), 1u);
  EXPECT_GT(net.Sqnr("c"), 34);
}

// Where Relu6 cut what was measured, the others of a Concat are not cut.
TEST(CornerCases, ConcatOfRelu6AndOfALargerRange) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8}, 3);
  net.Conv("x", "a", 4, 4, 3);
  net.Op("Clip", {"a"}, {"a"}).Float("min", 0).Float("max", 6);
  net.Conv("x", "b", 4, 4, 3);
  net.Op("Relu", {"b"}, {"b"});
  net.Op("Concat", {"a", "b"}, {"c", "sizes"});
  net.Op("Concat", {"c", "b"}, {"d", "sizes"});
  net.Output("d");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8ConvRelu"), 2);
  EXPECT_EQ(net.Count("Int8Concat"), 2);
  EXPECT_GT(net.Sqnr("d"), 33);
}

TEST(CornerCases, SigmoidAndTanhBesideConvolutionsInAConcat) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "a", 4, 4, 3);
  net.Op("Sigmoid", {"a"}, {"s"});
  net.Op("Tanh", {"a"}, {"t"});
  net.Op("Concat", {"s", "t", "a"}, {"c", "sizes"});
  net.Conv("c", "y", 12, 4, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Sigmoid"), 1);
  EXPECT_EQ(net.Count("Int8Tanh"), 1);
  EXPECT_GT(net.Sqnr("y"), 33);
}

TEST(CornerCases, EnginesThatAreSetAlready) {
  NetCase net;
  net.Data("x", {2, 3, 8, 8});
  net.Conv("x", "y", 3, 4, 3);
  net.Last()->set_engine("NNPACK");
  net.Op("Exp", {"y"}, {"e"});
  net.Last()->set_engine("EIGEN");
  net.Output("e");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Find("Int8Conv").engine(), "ONEDNN");
  EXPECT_EQ(net.Find("Exp").engine(), "EIGEN");
  EXPECT_GT(net.Sqnr("e"), 25);
}

// A net that DNNLOWP's operators have in it already.
TEST(CornerCases, Int8OperatorsThatAreThereAlready) {
  NetCase net;
  net.Data("x", {2, 3, 8, 8});
  net.Conv("x", "y", 3, 4, 3);
  net.Op("Int8Quantize", {"y"}, {"q"})
      .Float("Y_scale", 0.1f)
      .Int("Y_zero_point", 128);
  net.Last()->set_engine("DNNLOWP");
  net.Op("Int8Relu", {"q"}, {"r"});
  net.Last()->set_engine("DNNLOWP");
  net.Op("Int8Dequantize", {"r"}, {"z"});
  net.Last()->set_engine("DNNLOWP");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Find("Int8Conv").engine(), "ONEDNN");
  EXPECT_EQ(net.ReasonOf("r"), "no_int8_form");
  EXPECT_GT(net.Sqnr("z"), 25);
}

TEST(CornerCases, ABlobThatIsWrittenAgain) {
  NetCase net;
  net.Data("x", {2, 4, 8, 8});
  net.Conv("x", "y", 4, 4, 3);
  net.Op("Exp", {"x"}, {"x"});
  net.Conv("x", "z", 4, 4, 1);
  net.Op("Sum", {"y", "z"}, {"x"});
  net.Op("Sum", {"y", "x"}, {"y"});
  net.Output("x");
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  // The data are overwritten: one measurement, one comparison.
  const std::vector<float> x = Fetch<float>(net.workspace(), "x");
  EXPECT_EQ(net.Count("Int8Quantize"), 2);
  net.Feed("x", {2, 4, 8, 8});
  EXPECT_GT(net.Sqnr("y"), 28);
}

// After the fold a convolution would write over its own input.
TEST(CornerCases, ScaleThatWritesOverTheInputOfItsConvolution) {
  NetCase net;
  net.Data("data", {2, 4, 8, 8});
  net.Op("Copy", {"data"}, {"x"});
  net.Op("Exp", {"x"}, {"x"});
  net.Conv("x", "y", 4, 4, 3);
  net.Weight("scale", {4}, 3);
  net.Weight("shift", {4}, 3);
  net.Op("AffineChannel", {"y", "scale", "shift"}, {"x"});
  net.Output("x");
  for (const bool is_float : {false, true}) {
    if (is_float) net.options().keep_float = {"Conv"};
    ASSERT_EQ(net.Quantize(), "");
    for (const caffe2::OperatorDef& op : net.nets().predict.op()) {
      if (op.type() != "Conv") continue;
      EXPECT_NE(op.input(0), op.output(0));
    }
    EXPECT_GT(net.Sqnr("x"), is_float ? 90 : 30);
  }
}

TEST(CornerCases, CopyBetweenAConvolutionAndItsOwnOutput) {
  NetCase net;
  net.Data("data", {2, 4, 8, 8});
  net.Op("Exp", {"data"}, {"x"});
  net.Op("Copy", {"x"}, {"c"});
  net.Conv("c", "x", 4, 4, 3);
  net.Output("x");
  net.options().keep_float = {"Conv"};
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_GT(net.Sqnr("x"), 1000);
}

TEST(CornerCases, FlattenBeforeAnFcThatWritesOverTheImage) {
  NetCase net;
  net.Data("data", {2, 4, 2, 2});
  net.Op("Exp", {"data"}, {"x"});
  net.Op("Flatten", {"x"}, {"f"});
  net.Fc("f", "x", 16, 8);
  net.Output("x");
  net.options().keep_float = {"FC"};
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_GT(net.Sqnr("x"), 90);
}

TEST(CornerCases, DropoutWithItsMask) {
  NetCase net;
  net.Data("x", {4, 16});
  net.Fc("x", "y", 16, 8);
  net.Op("Dropout", {"y"}, {"d", "mask"}).Int("is_test", 1).Float("ratio", 0.5);
  net.Fc("d", "z", 8, 8);
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Dropout"), 0);
  EXPECT_EQ(net.Count("Int8FC"), 2);
  EXPECT_GT(net.Sqnr("z"), 33);
}

TEST(CornerCases, DropoutInPlace) {
  NetCase net;
  net.Data("x", {4, 16});
  net.Fc("x", "y", 16, 8);
  net.Op("Dropout", {"y"}, {"y", "mask"}).Int("is_test", 1);
  net.Fc("y", "z", 8, 8);
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8FC"), 2);
  EXPECT_GT(net.Sqnr("y"), 33);
  EXPECT_GT(net.Sqnr("z"), 33);
}

TEST(CornerCases, BlobsThatAreCalledLikeThoseThatAreMade) {
  NetCase net;
  net.Data("y_int8_nhwc", {2, 3, 8, 8});
  net.Conv("y_int8_nhwc", "y", 3, 4, 3);
  net.Op("Exp", {"y"}, {"y_int8"});
  net.Weight("y_w_int8", {4, 4, 1, 1});
  net.Op("Conv", {"y", "y_w_int8"}, {"y_int8_nhwc_1"}).Int("kernel", 1);
  net.Output("y_int8");
  net.Output("y_int8_nhwc_1");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 2);
  EXPECT_GT(net.Sqnr("y_int8"), 25);
  EXPECT_GT(net.Sqnr("y_int8_nhwc_1"), 33);
}

// A blob of the init net alone has its name, too.
TEST(CornerCases, BlobsOfTheInitNetKeepTheirNames) {
  NetCase net;
  net.Data("x", {2, 3, 8, 8});
  net.Conv("x", "y", 3, 4, 3);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  caffe2::NetDef init = net.Init();
  OpBuilder(init.add_op(), "UniformFill", {}, {"y_w_int8"}).Ints("shape", {3});
  OpBuilder(init.add_op(), "UniformFill", {}, {"x_int8_nhwc"})
      .Ints("shape", {3});
  QuantizedNets nets;
  const Status status =
      QuantizeNet(init, net.net(), net.measurements(), {}, HasInt8Key, &nets);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(IllFormed(nets, net.net(), net.data()), "");
  for (const caffe2::OperatorDef& op : nets.init.op()) {
    if (op.type() == "Int8GivenPackedWeightFill") {
      EXPECT_EQ(op.output(0), "y_w_int8_1");
    }
  }
  for (const caffe2::OperatorDef& op : nets.predict.op()) {
    if (op.type() == "Int8Quantize") {
      EXPECT_EQ(op.output(0), "x_int8_nhwc_1");
    }
  }
}

TEST(CornerCases, NamesWithSlashesAndBlanks) {
  NetCase net;
  net.Data("data/in put", {2, 3, 8, 8});
  net.Conv("data/in put", "scope/y \"1\"", 3, 4, 3);
  net.Op("Relu", {"scope/y \"1\""}, {"scope/\xc3\xbc"});
  net.Output("scope/\xc3\xbc");
  net.options().keep_float = {"scope/\xc3\xbc"};
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("scope/\xc3\xbc"), "kept_float");
  EXPECT_EQ(net.Count("Int8Conv"), 1);
  EXPECT_GT(net.Sqnr("scope/\xc3\xbc"), 33);
}

// Nets of the Python front seldom declare outputs: what nobody reads is one.
TEST(CornerCases, NoDeclaredOutput) {
  NetCase net;
  net.Data("x", {2, 3, 8, 8});
  net.Conv("x", "y", 3, 4, 3);
  net.Conv("x", "z", 3, 4, 3);
  net.Op("Relu", {"y"}, {"y"});
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.nets().predict.external_output_size(), 0);
  EXPECT_EQ(net.Count("Int8ConvRelu"), 1);
  EXPECT_EQ(net.Count("Int8Conv"), 1);
  EXPECT_GT(net.Sqnr("y"), 35);
  EXPECT_GT(net.Sqnr("z"), 35);
}

// What has an effect beside its outputs stays, though nobody reads these.
TEST(CornerCases, OperatorsWithEffectsStay) {
  NetCase net;
  net.Data("x", {2, 3, 8, 8});
  net.Conv("x", "y", 3, 4, 3);
  net.Conv("x", "unused", 3, 4, 3);
  net.Op("CreateCounter", {}, {"counter"});
  net.Op("CountUp", {"counter"}, {"before"});
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("CountUp"), 1);
  EXPECT_EQ(net.Count("Int8Conv"), 1);
  EXPECT_EQ(net.ReasonOf("unused"), "unused");
  EXPECT_EQ(net.ReasonOf("before"), "no_int8_form");
  EXPECT_GT(net.Sqnr("y"), 35);
}

TEST(CornerCases, AnOutputThatIsAnInputOrAWeight) {
  NetCase net;
  net.Data("x", {2, 3, 8, 8});
  net.Conv("x", "y", 3, 4, 3);
  net.Output("y");
  net.Output("x");
  net.Output("y_w");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_GT(net.Sqnr("y"), 35);
  EXPECT_GT(net.Sqnr("y_w"), 1000);
}

// Weights that the predict net fills itself.
TEST(CornerCases, FillsWithinThePredictNet) {
  NetCase net;
  net.Data("x", {4, 6});
  std::vector<float> values(12);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 0.1f * static_cast<float>(i) - 0.5f;
  }
  net.Op("GivenTensorFill", {}, {"w"})
      .Ints("shape", {2, 6})
      .Floats("values", values);
  net.Op("ConstantFill", {}, {"b"}).Ints("shape", {2}).Float("value", 0.25f);
  net.Op("FC", {"x", "w", "b"}, {"y"});
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8FC"), 1);
  EXPECT_EQ(net.Count("GivenTensorFill"), 0);  // nobody reads the floats
  EXPECT_EQ(net.Count("ConstantFill"), 1);
  EXPECT_EQ(net.ReasonOf("w"), "constant");
  EXPECT_GT(net.Sqnr("y"), 35);
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
