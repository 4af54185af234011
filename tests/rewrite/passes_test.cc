// Each pass by two texts: the net before it, and the graph, the plan or the net
// that it leaves.
#include "rewrite/passes/passes.h"

#include <gtest/gtest.h>

#include "caffe2/utils/proto_utils.h"
#include "tests/rewrite/net_case.h"
#include "tests/rewrite/run_passes.h"
#include "tests/support/measure_net.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

caffe2::NetDef Parse(const std::string& text) {
  caffe2::NetDef net;
  EXPECT_TRUE(caffe2::TextFormat::ParseFromString(text, &net)) << text;
  return net;
}

std::string JoinedNames(const Graph& graph, const std::vector<int>& values) {
  std::string text;
  for (const int id : values) text += " " + graph.value(id).name;
  return text;
}

// A line for each operator: its type, blobs, and what is planned.
std::string PlanText(const Rewrite& rewrite) {
  const Graph& graph = rewrite.graph;
  std::string text;
  for (const int id : graph.Order()) {
    const Node& node = graph.node(id);
    text += node.type() + JoinedNames(graph, node.inputs) + " ->" +
            JoinedNames(graph, node.outputs);
    const NodePlan plan = static_cast<std::size_t>(id) < rewrite.nodes.size()
                              ? rewrite.nodes[static_cast<std::size_t>(id)]
                              : NodePlan();
    if (plan.is_int8) text += " int8";
    if (plan.has_relu) text += " relu";
    text += "\n";
  }
  return text;
}

// The sets of values that share parameters, each a line of names.
std::string SetText(const Rewrite& rewrite) {
  std::string text;
  for (const ParameterSet& set : rewrite.sets) {
    std::string line;
    for (const int id : set.values) {
      const Value& value = rewrite.graph.value(id);
      line += (line.empty() ? "" : " ") + value.name;
    }
    text += line + "\n";
  }
  return text;
}

class PassTest : public testing::Test {
 protected:
  // Feeds a tensor of one value, or of 0, 1, 2, … if there is none.
  void Feed(const std::string& name, const std::vector<int64_t>& shape,
            float first, float step) {
    std::vector<float> values(1, first);
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    for (int64_t i = 1; i < count; ++i) {
      values.push_back(first + step * static_cast<float>(i % 5));
    }
    FeedFloats(&workspace_, name, values, shape);
  }
  void Data(const std::string& name, const std::vector<int64_t>& shape) {
    Feed(name, shape, -1, 0.5f);
    data_.insert(name);
  }

  // Runs the passes up to one of them on a net.
  void Run(const std::string& pass, const std::string& text) {
    predict_ = Parse(text);
    init_ = InitNetOf(predict_, workspace_, data_);
    const Measurements measurements = MeasureNet(predict_, &workspace_, &data_);
    measurements_ = measurements;
    ASSERT_EQ(RunPasses(pass, init_, predict_, measurements_, options_,
                        HasInt8Key, &rewrite_),
              "");
  }
  void ExpectNet(const caffe2::NetDef& net, const std::string& expected) {
    EXPECT_EQ(net.DebugString(), Parse(expected).DebugString());
  }

  caffe2::Workspace workspace_;
  std::set<std::string> data_;
  caffe2::NetDef predict_, init_;
  Measurements measurements_;
  QuantizeOptions options_;
  Rewrite rewrite_;
};

TEST_F(PassTest, Canonical) {
  Data("x", {2, 2, 1, 3});
  Feed("w", {6, 4}, 0.5f, 0.25f);
  Feed("b", {4}, 0.5f, 0.25f);
  Run("canonical", R"(
    op { type: "Copy" input: "x" output: "c" }
    op { type: "Flatten" input: "c" output: "f" }
    op { type: "Dropout" input: "f" output: "f" output: "mask"
         arg { name: "is_test" i: 1 } }
    op { type: "FCTransposed" input: "f" input: "w" input: "b" output: "y" }
    op { type: "Clip" input: "y" output: "r" arg { name: "min" f: 0 } }
    op { type: "Exp" input: "r" output: "unused" }
    external_input: "x" external_input: "w" external_input: "b"
    external_output: "r")");
  ExpectNet(rewrite_.graph.Build(), R"(
    op { type: "FC" input: "x" input: "w_transposed" input: "b" output: "y" }
    op { type: "Relu" input: "y" output: "r" }
    external_input: "x" external_input: "b" external_input: "w_transposed"
    external_output: "r")");
  EXPECT_EQ(rewrite_.graph.LastValue("nothing"), kNone);
  const Constant& w =
      *rewrite_.graph.value(rewrite_.graph.LastValue("w_transposed")).constant;
  EXPECT_EQ(w.shape, (std::vector<int64_t>{4, 6}));
  EXPECT_EQ(w.floats[1], 1.5f);  // [0][1] is w[1][0], its fifth value
}

TEST_F(PassTest, Fold) {
  Data("x", {1, 1, 2, 2});
  Feed("w", {2, 1, 1, 1}, 2, 1);       // 2, 3
  Feed("scale", {2}, 10, 10);          // 10, 20
  Feed("bias", {2}, 1, 1);             // 1, 2
  Feed("mean", {2}, 0.5f, 0.5f);       // 0.5, 1
  Feed("variance", {2}, 4, 21);        // 4, 25
  Feed("shift", {2, 1, 1}, 100, 100);  // 100, 200
  Run("fold", R"(
    op { type: "Conv" name: "first" input: "x" input: "w" output: "y"
         arg { name: "kernel" i: 1 } }
    op { type: "SpatialBN" input: "y" input: "scale" input: "bias"
         input: "mean" input: "variance" output: "n"
         arg { name: "is_test" i: 1 } arg { name: "epsilon" f: 1e-20 } }
    op { type: "Add" input: "n" input: "shift" output: "z" }
    external_input: "x" external_input: "w" external_input: "scale"
    external_input: "bias" external_input: "mean" external_input: "variance"
    external_input: "shift" external_output: "z")");
  ExpectNet(rewrite_.graph.Build(), R"(
    op { type: "Conv" name: "first" input: "x" input: "w_folded_folded"
         input: "w_bias_folded_folded" output: "z"
         arg { name: "kernel" i: 1 } }
    external_input: "x" external_input: "w_folded_folded"
    external_input: "w_bias_folded_folded" external_output: "z")");
  const Graph& graph = rewrite_.graph;
  const Constant& w = *graph.value(graph.LastValue("w_folded_folded")).constant;
  EXPECT_EQ(w.floats[0], 10.0f);  // 2 * 10 / 2
  EXPECT_EQ(w.floats[1], 12.0f);  // 3 * 20 / 5
  const Constant& b =
      *graph.value(graph.LastValue("w_bias_folded_folded")).constant;
  EXPECT_EQ(b.floats[0], 98.5f);   // 1 - 0.5 * 5 + 100
  EXPECT_EQ(b.floats[1], 198.0f);  // 2 - 1 * 4 + 200
}

constexpr char kBlock[] = R"(
    op { type: "Exp" input: "x" output: "e" }
    op { type: "Conv" input: "e" input: "w" output: "a"
         arg { name: "kernel" i: 1 } }
    op { type: "Relu" input: "a" output: "a" }
    op { type: "Conv" input: "a" input: "w" output: "b"
         arg { name: "kernel" i: 1 } }
    op { type: "Sum" input: "a" input: "b" output: "s" }
    op { type: "Relu" input: "s" output: "s" }
    op { type: "MaxPool" input: "s" output: "p"
         arg { name: "kernel" i: 2 } }
    op { type: "Concat" input: "p" input: "p" output: "c" output: "sizes"
         arg { name: "axis" i: 1 } }
    op { type: "Sin" input: "c" output: "y" }
    op { type: "Tanh" input: "y" output: "z" }
    external_input: "x" external_input: "w" external_output: "z")";

TEST_F(PassTest, Regions) {
  Data("x", {1, 2, 4, 4});
  Feed("w", {2, 2, 1, 1}, 0.5f, -0.3f);
  Run("regions", kBlock);
  EXPECT_EQ(PlanText(rewrite_),
            "Exp x -> e\n"
            "Conv e w -> a int8\n"
            "Relu a -> a int8\n"
            "Conv a w -> b int8\n"
            "Sum a b -> s int8\n"
            "Relu s -> s int8\n"
            "MaxPool s -> p int8\n"
            "Concat p p -> c sizes int8\n"
            "Sin c -> y\n"
            "Tanh y -> z\n");
  EXPECT_EQ(Name(rewrite_.decisions[0].reason), "no_int8_form");
  EXPECT_EQ(Name(rewrite_.decisions[9].reason), "island");
}

TEST_F(PassTest, Fuse) {
  Data("x", {1, 2, 4, 4});
  Feed("w", {2, 2, 1, 1}, 0.5f, -0.3f);
  Run("fuse", kBlock);
  EXPECT_EQ(PlanText(rewrite_),
            "Exp x -> e\n"
            "Conv e w -> a int8 relu\n"
            "ConvSum a w a -> s int8 relu\n"
            "MaxPool s -> p int8\n"
            "Concat p p -> c sizes int8\n"
            "Sin c -> y\n"
            "Tanh y -> z\n");
  EXPECT_EQ(Name(rewrite_.decisions[5].reason), "folded");
  EXPECT_EQ(rewrite_.decisions[5].detail, "operator 3");
}

// An Add of two tensors of one shape is a Sum; one that repeats is none.
TEST_F(PassTest, FuseAdd) {
  std::string add = kBlock;
  const std::size_t at = add.find("\"Sum\"");
  ASSERT_NE(at, std::string::npos) << add;
  add.replace(at, 5, "\"Add\"");
  Data("x", {1, 2, 4, 4});
  Feed("w", {2, 2, 1, 1}, 0.5f, -0.3f);
  Run("fuse", add);
  EXPECT_NE(PlanText(rewrite_).find("ConvSum a w a -> s int8 relu\n"),
            std::string::npos)
      << PlanText(rewrite_);
  Data("small", {1, 2, 1, 1});
  Run("fuse", R"(
op { type: 'Conv' input: 'x' input: 'w' output: 'a' arg { name: 'kernel' i: 1 } }
op { type: 'Conv' input: 'small' input: 'w' output: 'b' arg { name: 'kernel' i: 1 } }
op { type: 'Add' input: 'a' input: 'b' output: 'y' }
op { type: 'Conv' input: 'y' input: 'w' output: 'z' arg { name: 'kernel' i: 1 } }
external_input: 'x' external_input: 'small' external_input: 'w'
external_output: 'z')");
  EXPECT_NE(PlanText(rewrite_).find("Add a b -> y int8\n"), std::string::npos)
      << PlanText(rewrite_);
}

TEST_F(PassTest, ParameterSets) {
  Data("x", {1, 2, 4, 4});
  Feed("w", {2, 2, 1, 1}, 0.5f, -0.3f);
  Run("parameter_sets", kBlock);
  EXPECT_EQ(SetText(rewrite_),
            "e\n"
            "a\n"
            "s p\n"
            "c\n");  // its input is read twice
}

TEST_F(PassTest, Parameters) {
  Data("x", {1, 2, 4, 4});
  Feed("w", {2, 2, 1, 1}, 0.5f, -0.3f);
  Run("parameters", R"(
    op { type: "Conv" input: "x" input: "w" output: "a"
         arg { name: "kernel" i: 1 } }
    op { type: "Clip" input: "a" output: "a" arg { name: "min" f: 0 }
         arg { name: "max" f: 0.125 } }
    op { type: "Sigmoid" input: "a" output: "s" }
    op { type: "Conv" input: "s" input: "w" output: "y"
         arg { name: "kernel" i: 1 } }
    external_input: "x" external_input: "w" external_output: "y")");
  ASSERT_EQ(SetText(rewrite_), "x\na\ns\ny\n");
  // x is from -1 to 1, a is cut at 0.125.
  EXPECT_FLOAT_EQ(rewrite_.sets[0].parameters.scale, 2.0f / 255);
  EXPECT_EQ(rewrite_.sets[0].parameters.zero_point, 127);
  EXPECT_FLOAT_EQ(rewrite_.sets[1].parameters.scale, 0.125f / 255);
  EXPECT_EQ(rewrite_.sets[1].parameters.zero_point, 0);
  EXPECT_FLOAT_EQ(rewrite_.sets[2].parameters.scale, 1.0f / 254);
  EXPECT_TRUE(rewrite_.sets[2].is_fixed);
}

TEST_F(PassTest, Orders) {
  Data("x", {1, 2, 2, 2});
  Feed("w", {2, 2, 1, 1}, 0.5f, -0.3f);
  Feed("v", {3, 8}, 0.5f, -0.3f);
  Feed("u", {3}, 0.5f, -0.3f);
  Run("orders", R"(
    op { type: "Conv" input: "x" input: "w" output: "a"
         arg { name: "kernel" i: 1 } }
    op { type: "Tanh" input: "a" output: "t" }
    op { type: "Transpose" input: "t" output: "r"
         arg { name: "axes" ints: 0 ints: 2 ints: 1 ints: 3 } }
    op { type: "FC" input: "t" input: "v" input: "u" output: "f" }
    op { type: "FC" input: "r" input: "v" input: "u" output: "g" }
    external_input: "x" external_input: "w" external_input: "u"
    external_input: "v" external_output: "f" external_output: "g")");
  std::string text;
  for (const int id : rewrite_.graph.Order()) {
    text +=
        rewrite_.graph.node(id).type() +
        (InputOrder(rewrite_, id) == Order::kNatural ? " natural" : " last");
    const int y = rewrite_.graph.node(id).outputs[0];
    text +=
        rewrite_.values[static_cast<std::size_t>(y)].order == Order::kNatural
            ? " natural\n"
            : " last\n";
  }
  EXPECT_EQ(text,
            "Conv last last\n"
            "Tanh last last\n"
            "Transpose natural natural\n"
            "FC last natural\n"
            "FC natural natural\n");
}

TEST_F(PassTest, Emit) {
  Data("x", {1, 2, 2, 2});
  Feed("w", {2, 2, 1, 1}, 0.5f, -0.25f);
  Feed("v", {3, 8}, 0.5f, -0.25f);
  Feed("u", {3}, 0.5f, -0.25f);
  Run("emit", R"(
    name: "net" type: "simple"
    op { type: "Conv" input: "x" input: "w" output: "a" name: "conv"
         arg { name: "kernel" i: 1 } }
    op { type: "Relu" input: "a" output: "a" }
    op { type: "FC" input: "a" input: "v" input: "u" output: "y" }
    op { type: "Softmax" input: "y" output: "p" }
    external_input: "x" external_input: "w" external_input: "u"
    external_input: "v" external_output: "p")");
  caffe2::NetDef net = rewrite_.new_predict;
  // The parameters are those of other tests.
  std::vector<float> scales;
  for (caffe2::OperatorDef& op : *net.mutable_op()) {
    for (caffe2::Argument& argument : *op.mutable_arg()) {
      if (argument.name() != "Y_scale") continue;
      EXPECT_GT(argument.f(), 0);
      argument.set_f(1);
    }
  }
  ExpectNet(net, R"(
    name: "net" type: "simple"
    op { type: "Int8Quantize" input: "x" output: "x_int8_nhwc"
         engine: "ONEDNN" arg { name: "Y_scale" f: 1 }
         arg { name: "Y_zero_point" i: 127 }
         arg { name: "input_order" s: "NCHW" } }
    op { type: "Int8ConvRelu" input: "x_int8_nhwc" input: "w_int8"
         output: "a_int8_nhwc" name: "conv" engine: "ONEDNN"
         arg { name: "kernel" i: 1 } arg { name: "order" s: "NHWC" }
         arg { name: "quantize_channelwise" i: 1 }
         arg { name: "preserve_weight_sparsity" i: 1 }
         arg { name: "Y_scale" f: 1 } arg { name: "Y_zero_point" i: 0 } }
    op { type: "Int8FC" input: "a_int8_nhwc" input: "v_int8" input: "u"
         output: "y_int8" engine: "ONEDNN"
         arg { name: "quantize_channelwise" i: 1 }
         arg { name: "preserve_weight_sparsity" i: 1 }
         arg { name: "Y_scale" f: 1 } arg { name: "Y_zero_point" i: 24 } }
    op { type: "Int8Dequantize" input: "y_int8" output: "y"
         engine: "ONEDNN" }
    op { type: "Softmax" input: "y" output: "p" }
    external_input: "x" external_input: "u" external_input: "w_int8"
    external_input: "v_int8" external_output: "p")");
  caffe2::NetDef init = rewrite_.new_init;
  std::string text;
  for (const caffe2::OperatorDef& op : init.op()) {
    text += op.type() + " " + op.output(0) + "\n";
  }
  EXPECT_EQ(text,
            "GivenTensorFill u\n"
            "Int8GivenPackedWeightFill w_int8\n"
            "Int8GivenPackedWeightFill v_int8\n");
}

TEST(Passes, EachHasATest) {
  std::string text;
  for (const Pass& pass : Passes()) text += std::string(pass.name) + " ";
  EXPECT_EQ(text,
            "canonical fold regions fuse parameter_sets parameters orders "
            "emit ");
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
