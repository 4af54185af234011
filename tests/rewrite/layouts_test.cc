// Orders of axes: images of either order, what mixes axes, windows of one to
// three dimensions, groups.
#include <gtest/gtest.h>

#include <limits>

#include "tests/rewrite/net_case.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

TEST(Layouts, OneQuantizeAndOneDequantizeTransposeForANetOfNchw) {
  NetCase net;
  net.Data("x", {2, 3, 12, 12});
  net.Conv("x", "a", 3, 8, 3);
  net.Op("Relu", {"a"}, {"a"});
  net.Op("MaxPool", {"a"}, {"p"}).Int("kernel", 2).Int("stride", 2);
  net.Conv("p", "b", 8, 8, 3);
  net.Op("AveragePool", {"b"}, {"y"}).Int("global_pooling", 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.nets().predict.op_size(), 6)
      << net.nets().predict.DebugString();
  EXPECT_EQ(net.Count("NCHW2NHWC") + net.Count("Int8NCHW2NHWC") +
                net.Count("NHWC2NCHW") + net.Count("Int8NHWC2NCHW"),
            0);
  EXPECT_GT(net.Sqnr("y"), 28);
}

TEST(Layouts, ConcatSplitAndSliceOfChannels) {
  NetCase net;
  net.Data("x", {2, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("Split", {"a"}, {"s0", "s1"}).Int("axis", 1).Ints("split", {2, 4});
  net.Op("Concat", {"s1", "s0", "x"}, {"c", "sizes"}).Int("axis", 1);
  net.Op("Slice", {"c"}, {"t"})
      .Ints("starts", {0, 1, 0, 0})
      .Ints("ends", {-1, 8, -1, -1});
  net.Conv("t", "y", 7, 3, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Split") + net.Count("Int8Concat") +
                net.Count("Int8Slice") + net.Count("Int8Conv"),
            5);
  EXPECT_EQ(net.Count("Int8NHWC2NCHW"), 0);
  EXPECT_GT(net.Sqnr("y"), 32);
}

TEST(Layouts, ConcatAndSliceOfOtherAxes) {
  NetCase net;
  net.Data("x", {2, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("Concat", {"a", "a"}, {"c", "sizes"}).Int("axis", -1);
  net.Op("Slice", {"c"}, {"s"})
      .Ints("starts", {0, 0, 2})
      .Ints("ends", {-1, -1, 5});
  net.Op("Split", {"s"}, {"p", "q", "r"}).Int("axis", 2);
  net.Op("Sum", {"p", "r"}, {"u"});
  net.Conv("u", "y", 6, 3, 1);
  net.Output("y");
  net.Output("q");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_GT(net.Sqnr("y"), 30);
  EXPECT_GT(net.Sqnr("q"), 32);
}

TEST(Layouts, SplitByOrder) {
  NetCase net;
  net.Data("x", {2, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("Split", {"a"}, {"p", "q"});
  net.Op("Split", {"a"}, {"r", "s", "t", "u", "v"}).String("order", "NHWC");
  net.Conv("q", "y", 3, 3, 1);
  net.Conv("t", "z", 6, 3, 1);
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Split"), 2);
  EXPECT_GT(net.Sqnr("y"), 32);
  EXPECT_GT(net.Sqnr("z"), 32);
}

TEST(Layouts, TransposeAndReshapeThatMixAxes) {
  NetCase net;
  net.Data("x", {2, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("Transpose", {"a"}, {"t"}).Ints("axes", {0, 2, 3, 1});
  net.Op("Reshape", {"t"}, {"r", "old"}).Ints("shape", {0, 10, -1});
  net.Op("Reshape", {"r"}, {"i", "older"}).Ints("shape", {-1, 6, 6, 5});
  net.Conv("i", "y", 6, 3, 1);
  net.Output("y");
  net.Output("older");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Transpose"), 1);
  EXPECT_EQ(net.Count("Int8Reshape"), 2);
  EXPECT_GT(net.Sqnr("y"), 30);
  EXPECT_EQ(Fetch<int64_t>(net.RunInt8(), "older"),
            std::vector<int64_t>({2, 10, 18}));
}

TEST(Layouts, ReshapeByAnInput) {
  NetCase net;
  net.Data("x", {2, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("GivenTensorInt64Fill", {}, {"shape"})
      .Ints("shape", {2})
      .Ints("values", {2, -1});
  net.Op("Reshape", {"a", "shape"}, {"r", "old"});
  net.Fc("r", "y", 180, 8);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8FC"), 1);
  EXPECT_GT(net.Sqnr("y"), 32);
}

TEST(Layouts, FlattenOfNchwPermutesTheColumnsOfAnFc) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("Flatten", {"a"}, {"f"});
  net.Fc("f", "y", 180, 8);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.nets().predict.op_size(), 4)
      << net.nets().predict.DebugString();
  EXPECT_EQ(net.ReasonOf("f"), "unused");
  EXPECT_GT(net.Sqnr("y"), 32);
  // The batch may be another one.
  net.Feed("x", {5, 4, 6, 5}, 0.5f);
  EXPECT_GT(net.Sqnr("y"), 25);
}

TEST(Layouts, OneWeightForFcsOfBothOrders) {
  NetCase net;
  net.Data("x", {3, 4, 2, 3});
  net.Data("v", {3, 24});
  net.Conv("x", "a", 4, 4, 3);
  net.Fc("a", "y", 24, 8);
  net.Op("FC", {"v", "y_w", "y_b"}, {"z"});
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8FC"), 2);
  EXPECT_GT(net.Sqnr("y"), 32);
  EXPECT_GT(net.Sqnr("z"), 35);
}

TEST(Layouts, FlattenOfAnotherAxis) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("Flatten", {"a"}, {"f"}).Int("axis", 2);
  net.Fc("f", "y", 30, 8);
  net.Conv("x", "b", 4, 6, 3);
  net.Fc("b", "z", 30, 8).Int("axis", 2);
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8FC"), 2);
  EXPECT_GT(net.Sqnr("y"), 32);
  EXPECT_GT(net.Sqnr("z"), 32);
}

TEST(Layouts, SoftmaxOverChannels) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("Softmax", {"a"}, {"s"}).Int("axis", 1);
  net.Conv("s", "y", 6, 8, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 2);
  EXPECT_EQ(net.Count("Softmax"),
            HasInt8Key("Int8Softmax_ENGINE_ONEDNN") ? 0 : 1);
  EXPECT_GT(net.Sqnr("y"), 20);
}

TEST(Layouts, ActivationsOfChannels) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Uniform("slope", {6}, 0.1f, 0.9f);
  net.Op("PRelu", {"a", "slope"}, {"p"});
  net.Weight("scale", {6}, 2);
  net.Weight("bias", {6}, 2);
  net.Weight("mean", {6}, 0.5f);
  net.Uniform("variance", {6}, 0.5f, 2);
  net.Op("SpatialBN", {"p", "scale", "bias", "mean", "variance"}, {"n"})
      .Int("is_test", 1);
  net.Op("LeakyRelu", {"n"}, {"l"}).Float("alpha", 0.3f);
  net.Weight("gamma", {6}, 1);
  net.Weight("beta", {6}, 1);
  net.Op("GroupNorm", {"l", "gamma", "beta"}, {"g"}).Int("group", 3);
  net.Op("ChannelShuffle", {"g"}, {"h"}).Int("group", 2).Int("kernel", 1);
  net.Conv("h", "y", 6, 3, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  for (const char* type : {"Int8PRelu", "Int8SpatialBN", "Int8LeakyRelu",
                           "Int8GroupNorm", "Int8ChannelShuffle"}) {
    EXPECT_EQ(net.Count(type), 1) << type;
  }
  EXPECT_EQ(net.Count("Int8NHWC2NCHW"), 0);
  EXPECT_GT(net.Sqnr("y"), 27);
}

// A squeeze and excitation block.
TEST(Layouts, MulOfAnImageAndOfOneValueAChannel) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("AveragePool", {"a"}, {"p"}).Int("global_pooling", 1);
  net.Conv("p", "e", 6, 2, 1);
  net.Op("Relu", {"e"}, {"e"});
  net.Conv("e", "f", 2, 6, 1);
  net.Op("Sigmoid", {"f"}, {"s"});
  net.Op("Mul", {"a", "s"}, {"m"});
  net.Conv("m", "y", 6, 3, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Mul"), 1);
  EXPECT_EQ(net.Count("Int8Sigmoid"), 1);
  EXPECT_EQ(net.Count("Int8NHWC2NCHW"), 0);
  EXPECT_GT(net.Sqnr("y"), 30);
}

TEST(Layouts, LegacyBroadcasts) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("AveragePool", {"a"}, {"p"}).Int("global_pooling", 1);
  net.Op("Reshape", {"p"}, {"v", "old"}).Ints("shape", {0, 6});
  net.Fc("v", "s", 6, 6);
  net.Op("Mul", {"a", "s"}, {"m"}).Int("broadcast", 1).Int("axis", 0);
  net.Weight("c", {6}, 1);
  net.Op("Add", {"m", "c"}, {"n"}).Int("broadcast", 1).Int("axis", 1);
  net.Weight("d", {6, 5}, 1);
  net.Op("Add", {"n", "d"}, {"o"}).Int("broadcast", 1);
  net.Op("Add", {"o", "a"}, {"q"}).Int("broadcast", 1);
  net.Conv("q", "y", 6, 3, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Mul"), 1);
  EXPECT_EQ(net.Count("Int8Add"), 3);
  EXPECT_GT(net.Sqnr("y"), 27);
}

TEST(Layouts, BroadcastsAsInNumpy) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Weight("c", {6, 1, 1}, 1);
  net.Op("Mul", {"a", "c"}, {"m"});  // not the one user of a: it stays
  net.Weight("d", {1, 6, 1, 1}, 1);
  net.Op("Add", {"m", "d"}, {"n"});
  net.Weight("e", {5}, 1);
  net.Op("Add", {"n", "e"}, {"o"});
  net.Op("Sum", {"o", "a"}, {"q"});
  net.Conv("q", "y", 6, 3, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Mul"), 1);
  EXPECT_EQ(net.Count("Int8Add"), 2);
  EXPECT_GT(net.Sqnr("y"), 27);
}

TEST(Layouts, OrderSwitchesInTheNetCostNothing) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("NCHW2NHWC", {"a"}, {"b"});
  net.Weight("c_w", {8, 3, 3, 6});
  net.Op("Conv", {"b", "c_w"}, {"c"})
      .Int("kernel", 3)
      .Int("pad", 1)
      .String("order", "NHWC");
  net.Op("NHWC2NCHW", {"c"}, {"d"});
  net.Conv("d", "y", 8, 3, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 3);
  EXPECT_EQ(net.nets().predict.op_size(), 5)
      << net.nets().predict.DebugString();
  EXPECT_EQ(net.ReasonOf("b"), "int8");
  EXPECT_GT(net.Sqnr("y"), 30);
}

TEST(Layouts, OrderSwitchesAtBothEnds) {
  NetCase net;
  net.Data("x", {3, 4, 6, 5});
  net.Op("NCHW2NHWC", {"x"}, {"b"});
  net.Weight("c_w", {8, 3, 3, 4});
  net.Op("Conv", {"b", "c_w"}, {"c"})
      .Int("kernel", 3)
      .Int("pad", 1)
      .String("order", "NHWC");
  net.Op("NHWC2NCHW", {"c"}, {"y"});
  net.Output("y");
  for (const bool int8_io : {false, true}) {
    net.options().int8_io = int8_io;
    ASSERT_EQ(net.Quantize(), "");
    EXPECT_EQ(net.Count("Int8Conv"), 1);
    if (!int8_io) {
      EXPECT_GT(net.Sqnr("y"), 34);
    }
  }
}

TEST(Layouts, ConvolutionsOfOneAndThreeDimensions) {
  NetCase net;
  net.Data("x", {2, 4, 20});
  net.Weight("a_w", {6, 4, 3});
  net.Op("Conv", {"x", "a_w"}, {"a"}).Ints("kernels", {3}).Ints("pads", {1, 1});
  net.Op("Relu", {"a"}, {"a"});
  net.Op("MaxPool", {"a"}, {"p"}).Ints("kernels", {2}).Ints("strides", {2});
  net.Fc("p", "y", 60, 5);
  net.Data("v", {2, 3, 4, 5, 6});
  net.Weight("b_w", {4, 3, 3, 3, 3});
  net.Weight("b_b", {4}, 1);
  net.Op("Conv", {"v", "b_w", "b_b"}, {"b"})
      .Ints("kernels", {3, 3, 3})
      .Ints("pads", {1, 1, 1, 1, 1, 1})
      .Ints("dilations", {1, 1, 1});
  net.Op("AveragePool", {"b"}, {"z"}).Ints("kernels", {2, 2, 2});
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv") + net.Count("Int8ConvRelu"), 2);
  EXPECT_EQ(net.Count("Int8FC"), 1);
  EXPECT_GT(net.Sqnr("y"), 30);
  EXPECT_GT(net.Sqnr("z"), 30);
}

TEST(Layouts, GroupsAndDepthwise) {
  for (const int64_t groups : {2, 4, 8}) {
    for (const int64_t multiplier : {1, 2}) {
      NetCase net(static_cast<uint64_t>(10 * groups + multiplier));
      net.Data("x", {2, 8, 7, 7});
      net.Conv("x", "y", 8, 8 * multiplier, 3, groups);
      net.Output("y");
      for (const bool per_channel : {true, false}) {
        net.options().per_channel = per_channel;
        ASSERT_EQ(net.Quantize(), "");
        EXPECT_EQ(net.Count("Int8Conv"), 1);
        EXPECT_GT(net.Sqnr("y"), 33) << groups << " groups, " << multiplier;
      }
    }
  }
}

// The host has no dilation with a legacy_pad.
TEST(Layouts, DilatedOrPaddedToTheSameSize) {
  for (const bool is_dilated : {true, false}) {
    NetCase net;
    net.Data("x", {2, 4, 9, 8});
    net.Weight("w", {4, 4, 3, 3});
    OpBuilder conv = net.Op("Conv", {"x", "w"}, {"y"}).Int("kernel", 3);
    if (is_dilated) {
      conv.Int("dilation", 2).Ints("pads", {2, 1, 2, 3});
    } else {
      conv.Int("stride", 2).Int("legacy_pad", 2);
    }
    net.Output("y");
    ASSERT_EQ(net.Quantize(), "");
    EXPECT_EQ(net.Count("Int8Conv"), 1);
    EXPECT_GT(net.Sqnr("y"), 34);
  }
}

TEST(Layouts, LegacyPadOfCaffeAtOddSizes) {
  for (const char* pool : {"MaxPool", "AveragePool"}) {
    NetCase net;
    net.Data("x", {2, 4, 9, 12});
    net.Conv("x", "a", 4, 4, 3);
    net.Op(pool, {"a"}, {"p"})
        .Int("kernel", 3)
        .Int("stride", 2)
        .Int("legacy_pad", 3);
    net.Conv("p", "y", 4, 4, 1);
    net.Output("y");
    ASSERT_EQ(net.Quantize(), "");
    EXPECT_EQ(net.Count(std::string("Int8") + pool), 1);
    EXPECT_GT(net.Sqnr("y"), 32) << pool;
  }
}

TEST(Layouts, MaxPoolBeforeTheFirstConvolution) {
  NetCase net;
  net.Data("x", {2, 4, 9, 9});
  net.Op("MaxPool", {"x"}, {"p"}).Int("kernel", 3).Int("stride", 2);
  net.Conv("p", "y", 4, 4, 3);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8MaxPool"), 1);
  EXPECT_EQ(net.Count("Int8Quantize"), 1);
  EXPECT_GT(net.Sqnr("y"), 30);
}

// Codes of a Relu's input would spend half of their range on what it cuts.
TEST(Layouts, ReluBeforeTheFirstConvolution) {
  NetCase net;
  net.Data("x", {2, 4, 9, 9});
  net.Op("Relu", {"x"}, {"r"});
  net.Conv("r", "y", 4, 4, 3);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Relu"), 1);
  EXPECT_EQ(net.ReasonOf("r"), "island");
  EXPECT_GT(net.Sqnr("y"), 36);
}

TEST(Layouts, PoolsThatAreCalledSoAndAreGlobal) {
  NetCase net;
  net.Data("x", {2, 4, 9, 9});
  net.Conv("x", "a", 4, 6, 3);
  net.Last()->set_name("Pool_like");
  net.Op("AveragePool", {"a"}, {"y"}).Int("global_pooling", 1);
  net.Last()->set_name("GlobalAverage_1");
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Find("Int8AveragePool").name(), "GlobalAverage_1");
  EXPECT_GT(net.Sqnr("y"), 28);
}

TEST(Layouts, ResizeNearestOfNchw) {
  NetCase net;
  net.Data("x", {2, 4, 5, 6});
  net.Conv("x", "a", 4, 6, 3);
  net.Op("ResizeNearest", {"a"}, {"r"})
      .Float("height_scale", 2)
      .Float("width_scale", 1.5f);
  net.Conv("r", "y", 6, 3, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8ResizeNearest"), 1);
  EXPECT_GT(net.Sqnr("y"), 32);
}

TEST(Layouts, ConvTranspose) {
  NetCase net;
  net.Data("x", {2, 4, 5, 6});
  net.Weight("w", {4, 3, 2, 2});
  net.Weight("b", {3}, 0.1f);
  net.Op("ConvTranspose", {"x", "w", "b"}, {"t"})
      .Int("kernel", 2)
      .Int("stride", 2);
  net.Weight("scale", {3}, 1);
  net.Weight("shift", {3}, 1);
  net.Op("AffineChannel", {"t", "scale", "shift"}, {"n"});
  net.Conv("n", "y", 3, 3, 3);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("AffineChannel"), 0);
  EXPECT_EQ(net.Count("Int8ConvTranspose"),
            HasInt8Key("Int8ConvTranspose_ENGINE_ONEDNN") ? 1 : 0);
  EXPECT_GT(net.Sqnr("y"), 30);
}

TEST(Layouts, ProductsOfMatrices) {
  NetCase net;
  net.Data("x", {2, 5, 6});
  net.Data("z", {2, 6, 7});
  net.Op("BatchMatMul", {"x", "z"}, {"a"});
  net.Weight("w", {7, 4});
  net.Op("BatchMatMul", {"a", "w"}, {"y"}).Int("broadcast", 1);
  net.Data("v", {4, 6});
  net.Weight("m_w", {6, 3});
  net.Op("MatMul", {"v", "m_w"}, {"m"});
  net.Weight("t_w", {6, 3});
  net.Weight("t_b", {3}, 1);
  net.Op("FCTransposed", {"v", "t_w", "t_b"}, {"t"});
  for (const char* name : {"y", "m", "t"}) net.Output(name);
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8BatchMatMul"), 1);
  EXPECT_EQ(net.Count("Int8FC"), 3);
  for (const char* name : {"y", "m", "t"})
    EXPECT_GT(net.Sqnr(name), 30) << name;
}

TEST(Layouts, GatherSqueezeAndElementwiseLinear) {
  NetCase net;
  net.Data("x", {6, 5, 1});
  net.Op("Squeeze", {"x"}, {"s"}).Ints("dims", {2});
  net.Fc("s", "a", 5, 8);
  net.Op("GivenTensorInt64Fill", {}, {"rows"})
      .Ints("shape", {3})
      .Ints("values", {5, 0, 0});
  net.Op("Gather", {"a", "rows"}, {"g"});
  net.Weight("k", {8}, 1);
  net.Weight("c", {8}, 1);
  net.Op("ElementwiseLinear", {"g", "k", "c"}, {"e"});
  net.Fc("e", "y", 8, 3);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Gather"), 1);
  EXPECT_EQ(net.Count("Int8ElementwiseLinear"), 1);
  EXPECT_GT(net.Sqnr("y"), 30);
}

TEST(Layouts, OtherBatchSizesAndNone) {
  NetCase net;
  net.Data("x", {4, 3, 8, 8});
  net.Conv("x", "a", 3, 6, 3);
  net.Op("Relu", {"a"}, {"a"});
  net.Op("AveragePool", {"a"}, {"p"}).Int("global_pooling", 1);
  net.Fc("p", "y", 6, 4);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  for (const int64_t batch : {1, 7, 0}) {
    net.Feed("x", {batch, 3, 8, 8}, 0.7f);
    EXPECT_GT(net.Sqnr("y"), 20) << batch;
  }
}

// Sizes that were not always the same are known as such.
TEST(Layouts, SizesThatVary) {
  NetCase net;
  net.Data("x", {4, 3, 8, 8});
  net.Conv("x", "a", 3, 6, 3);
  net.Op("AveragePool", {"a"}, {"p"}).Int("kernel", 8);
  net.Fc("p", "y", 6, 4);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  Measurements varied = net.measurements();
  for (int op = 0; op < 3; ++op) {
    Measured measured = *varied.Output(op, 0);
    measured.shape[0] = -1;
    if (op == 1) measured.shape[2] = measured.shape[3] = -1;
    varied.SetOutput(op, 0, measured);
  }
  ASSERT_EQ(net.QuantizeBy(varied), "");
  EXPECT_EQ(net.Count("Int8FC"), 1);
  EXPECT_EQ(net.Count("Int8NHWC2NCHW"), 1);  // its columns stay
  EXPECT_GT(net.Sqnr("y"), 28);
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
