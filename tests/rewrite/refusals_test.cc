// What stays float and why, nets within operators, and what is an error.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "rewrite/constants.h"
#include "tests/rewrite/net_case.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

// ---- Nets within operators --------------------------------------------------

TEST(ControlFlow, IfWithOneBranch) {
  for (const bool is_taken : {true, false}) {
    NetCase net;
    net.Data("x", {2, 4, 6, 6});
    Feed<bool>(&net.workspace(), "cond", {is_taken});
    net.MarkAsData("cond");
    net.Conv("x", "a", 4, 4, 3);
    net.Op("Relu", {"a"}, {"b"});
    net.Weight("inner_w", {4, 4, 1, 1});
    NetBuilder branch("then", "simple");
    branch.Op("Conv", {"a", "inner_w"}, {"b"}).Int("kernel", 1);
    net.Op("If", {"cond"}, {});
    caffe2::Argument* const then = net.Last()->add_arg();
    then->set_name("then_net");
    *then->mutable_n() = branch.Build();
    net.Conv("b", "c", 4, 4, 3);
    net.Conv("c", "y", 4, 4, 1);
    net.Output("y");
    ASSERT_EQ(net.Quantize(), "");
    EXPECT_EQ(net.ReasonOf("a"), "int8");
    EXPECT_EQ(net.ReasonOf("c"), "not_measured");  // what If leaves in b
    EXPECT_EQ(net.ReasonOf("y"), "int8");
    const auto& operators = net.nets().recipe.operators;
    EXPECT_EQ(Name(operators[2].decision.reason), "control_flow");
    for (const bool now : {true, false}) {
      Feed<bool>(&net.workspace(), "cond", {now});
      // What was not seen is cut.
      EXPECT_GT(net.Sqnr("y"), now == is_taken ? 25 : 5) << is_taken << now;
    }
  }
}

// A condition that the net fills is no operator that is left float.
TEST(ControlFlow, ConditionThatTheNetFills) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Conv("x", "y", 4, 4, 3);
  net.Op("GivenTensorBoolFill", {}, {"cond"}).Ints("shape", {1});
  net.Last()->add_arg()->set_name("values");
  net.Last()->mutable_arg(1)->add_ints(1);
  NetBuilder branch("then", "simple");
  branch.Op("Relu", {"y"}, {"z"});
  net.Op("If", {"cond"}, {"z"});
  caffe2::Argument* const then = net.Last()->add_arg();
  then->set_name("then_net");
  *then->mutable_n() = branch.Build();
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("y"), "int8");
  EXPECT_EQ(net.ReasonOf("cond"), "constant");
  EXPECT_GT(net.Sqnr("z"), 25);
}

// The inner net's weight is in the init net alone.
TEST(ControlFlow, WeightThatOnlyAnInnerNetReads) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Conv("x", "y", 4, 4, 3);
  NetBuilder branch("then", "simple");
  branch.Op("Conv", {"y", "inner_w"}, {"z"}).Int("kernel", 1);
  net.Op("If", {"cond"}, {"z"});
  caffe2::Argument* const then = net.Last()->add_arg();
  then->set_name("then_net");
  *then->mutable_n() = branch.Build();
  Feed<bool>(&net.workspace(), "cond", {true});
  net.MarkAsData("cond");
  net.Output("z");
  FeedFloats(&net.workspace(), "inner_w", std::vector<float>(16, 0.5f),
             {4, 4, 1, 1});
  ASSERT_EQ(net.Quantize(), "");
  caffe2::NetDef init = net.Init();
  Constant weight =
      Constant::OfFloats({4, 4, 1, 1}, std::vector<float>(16, 0.5f));
  *init.add_op() = FillOf(weight, "inner_w");
  QuantizedNets nets;
  const Status status =
      QuantizeNet(init, net.net(), net.measurements(), {}, HasInt8Key, &nets);
  ASSERT_TRUE(status.ok()) << status.message();
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", Fetch<float>(net.workspace(), "x"), {2, 4, 6, 6});
  Feed<bool>(&workspace, "cond", {true});
  ASSERT_TRUE(workspace.RunNetOnce(nets.init));
  ASSERT_TRUE(workspace.RunNetOnce(nets.predict));
  EXPECT_GT(
      SqnrOf(Fetch<float>(net.workspace(), "z"), Fetch<float>(workspace, "z")),
      30);
}

TEST(ControlFlow, WhileThatNeverRan) {
  NetCase net;
  net.Data("x", {2, 8});
  Feed<bool>(&net.workspace(), "go", {false});
  net.MarkAsData("go");
  net.Fc("x", "a", 8, 8);
  NetBuilder loop("loop", "simple");
  loop.Op("Relu", {"a"}, {"r"});
  loop.Op("Copy", {"r"}, {"a"});
  loop.Op("GivenTensorBoolFill", {}, {"go"})
      .Ints("shape", {1})
      .Ints("values", {0});
  net.Op("While", {"go"}, {});
  caffe2::Argument* const inner = net.Last()->add_arg();
  inner->set_name("loop_net");
  *inner->mutable_n() = loop.Build();
  net.Fc("a", "b", 8, 8);
  net.Fc("b", "y", 8, 4);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("a"), "int8");
  EXPECT_EQ(net.ReasonOf("b"), "not_measured");
  EXPECT_EQ(net.ReasonOf("y"), "int8");
  for (const bool go : {false, true}) {
    Feed<bool>(&net.workspace(), "go", {go});
    EXPECT_GT(net.Sqnr("y"), go ? 10 : 28) << go;
  }
}

// hidden[t + 1] = Tanh(x[t] + FC(hidden[t])), twice with one cell's weights,
// between FCs.
TEST(ControlFlow, RecurrentNetworksOfOneCell) {
  for (const bool is_text : {false, true}) {
    NetCase net;
    net.Data("x", {5, 2, 6});
    net.Fc("x", "a", 6, 4).Int("axis", 2);
    net.Weight("cell_w", {4, 4});
    net.Weight("cell_b", {4}, 0.1f);
    net.Weight("h0", {2, 4}, 0.5f);
    std::string input = "a";
    for (const std::string name : {"one", "two"}) {
      NetBuilder step("step_" + name, "simple");
      step.Op("FC", {"h_before", "cell_w", "cell_b"}, {"g"}).Int("axis", 2);
      step.Op("Add", {"x_t", "g"}, {"sum"});
      step.Op("Tanh", {"sum"}, {"h"});
      step.Input("x_t").Input("h_before").Input("cell_w").Input("cell_b");
      caffe2::NetDef step_net = step.Build();
      step_net.add_external_output("h");
      net.Op("RecurrentNetwork", {input, "h0", "cell_w", "cell_b"},
             {name, name + "_last", name + "_workspaces"})
          .Strings("recurrent_states", {"states_" + name})
          .Ints("initial_recurrent_state_ids", {1})
          .Strings("link_internal", {"x_t", "h_before", "h"})
          .Strings("link_external", {input, "states_" + name, "states_" + name})
          .Ints("link_offset", {0, 0, 1})
          .Strings("alias_src", {"states_" + name, "states_" + name})
          .Strings("alias_dst", {name, name + "_last"})
          .Ints("alias_offset", {1, -1})
          .String("timestep", "t_" + name);
      caffe2::Argument* const argument = net.Last()->add_arg();
      argument->set_name("step_net");
      if (is_text) {
        argument->set_s(step_net.DebugString());
      } else {
        *argument->mutable_n() = step_net;
      }
      input = name;
    }
    net.Fc("two", "y", 4, 3).Int("axis", 2);
    net.Output("y");
    net.Output("one_last");
    ASSERT_EQ(net.Quantize(), "");
    EXPECT_EQ(net.Count("Int8FC"), 2);
    EXPECT_EQ(net.ReasonOf("one"), "control_flow");
    EXPECT_EQ(net.ReasonOf("a"), "int8");
    EXPECT_EQ(net.ReasonOf("y"), "int8");
    EXPECT_GT(net.Sqnr("y"), 28);
    EXPECT_GT(net.Sqnr("one_last"), 30);
  }
}

// ---- Reasons ----------------------------------------------------------------

TEST(Refusals, WeightThatNothingMakesBefore) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Conv("x", "a", 4, 4, 3);
  net.Conv("a", "y", 4, 4, 1);
  net.MarkAsData("a_w");  // fed by the user
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("a"), "not_constant");
  EXPECT_EQ(net.ReasonOf("y"), "int8");
  EXPECT_GT(net.Sqnr("y"), 33);
}

// The data's place, which some exporters fill, is no weight.
TEST(Refusals, AFillInThePlaceOfTheData) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Conv("x", "y", 4, 4, 3);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  caffe2::NetDef init = net.Init();
  OpBuilder(init.add_op(), "ConstantFill", {}, {"x"}).Ints("shape", {1});
  QuantizedNets nets;
  const Status status =
      QuantizeNet(init, net.net(), net.measurements(), {}, HasInt8Key, &nets);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(nets.operator_counts.count("Int8Quantize (ONEDNN)"), 1u);
  // It stays in the init net: who loads it may count on the blob.
  int fills = 0;
  for (const caffe2::OperatorDef& op : nets.init.op()) {
    fills += op.output(0) == "x" ? 1 : 0;
  }
  EXPECT_EQ(fills, 1);
}

TEST(Refusals, WeightThatTheNetWrites) {
  NetCase net;
  net.Data("x", {2, 8});
  net.Fc("x", "a", 8, 8);
  net.Op("Exp", {"a_b"}, {"a_b"});
  net.Op("FC", {"a", "a_w", "a_b"}, {"y"});
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("a"), "int8");
  EXPECT_EQ(net.ReasonOf("y"), "not_constant");
}

TEST(Refusals, NanInCalibration) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.workspace()
      .GetBlob("x")
      ->GetMutable<caffe2::Tensor>()
      ->mutable_data<float>()[7] = std::nanf("");
  net.Conv("x", "a", 4, 4, 3);
  net.Conv("a", "b", 4, 4, 3);
  net.Op("Sigmoid", {"b"}, {"y"});
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(net.ReasonOf(name), "not_finite");
  }
  EXPECT_EQ(net.Count("Conv"), 2);
}

TEST(Refusals, NanInAWeight) {
  for (const char* which : {"a_w", "a_b"}) {
    NetCase net;
    net.Data("x", {2, 4, 6, 6});
    net.Conv("x", "a", 4, 4, 3);
    net.Output("a");
    ASSERT_EQ(net.Quantize(), "");
    net.workspace()
        .GetBlob(which)
        ->GetMutable<caffe2::Tensor>()
        ->mutable_data<float>()[1] = std::numeric_limits<float>::infinity();
    ASSERT_EQ(net.QuantizeBy(net.measurements()), "");
    EXPECT_EQ(net.ReasonOf("a"), "not_finite") << which;
  }
}

TEST(Refusals, ZeroActivations) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6}, 0);
  net.Weight("w", {4, 4, 3, 3});
  net.Op("Conv", {"x", "w"}, {"a"}).Int("kernel", 3);
  net.Op("Relu", {"a"}, {"a"});
  net.Conv("a", "y", 4, 4, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8ConvRelu"), 1);
  EXPECT_GT(net.Sqnr("y"), 40);
}

TEST(Refusals, ZeroChannelOfAWeight) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Conv("x", "y", 4, 4, 3);
  float* const w = net.workspace()
                       .GetBlob("y_w")
                       ->GetMutable<caffe2::Tensor>()
                       ->mutable_data<float>();
  std::fill(w, w + 36, 0.0f);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 1);
  EXPECT_GT(net.Sqnr("y"), 34);
}

// The bias in units of tiny weights and inputs passes 32 bits.
TEST(Refusals, BiasThatIsLargeBesideItsWeights) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6}, 1e-6f);
  net.Weight("w", {4, 4, 3, 3}, 1e-6f);
  net.Weight("b", {4}, 10);
  net.Op("Conv", {"x", "w", "b"}, {"y"}).Int("kernel", 3);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.Count("Int8Conv"), 1);
  EXPECT_GT(net.Sqnr("y"), 34);
}

TEST(Refusals, IndicesOfAnEmbedding) {
  NetCase net;
  Feed<int64_t>(&net.workspace(), "ids", {3, 0, 7, 7}, {4});
  net.MarkAsData("ids");
  Feed<int>(&net.workspace(), "lengths", {1, 3}, {2});
  net.MarkAsData("lengths");
  net.Weight("table", {8, 6}, 1);
  net.Op("SparseLengthsSum", {"table", "ids", "lengths"}, {"s"});
  net.Op("Gather", {"table", "ids"}, {"g"});
  net.Fc("s", "y", 6, 4);
  net.Fc("g", "z", 6, 4);
  net.Output("y");
  net.Output("z");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("s"), "no_int8_form");
  EXPECT_EQ(net.ReasonOf("g"), "unsupported");
  EXPECT_EQ(net.Count("Int8FC"), 2);
  EXPECT_GT(net.Sqnr("y"), 33);
  EXPECT_GT(net.Sqnr("z"), 33);
}

TEST(Refusals, SumOfIntegers) {
  NetCase net;
  Feed<int>(&net.workspace(), "a", {1, 2, 3});
  net.MarkAsData("a");
  net.Op("Add", {"a", "a"}, {"b"});
  net.Op("Cast", {"b"}, {"c"}).Int("to", caffe2::TensorProto::FLOAT);
  net.Output("c");
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("b"), "not_float");
  EXPECT_EQ(net.nets().predict.op_size(), 2);
}

TEST(Refusals, OtherDevices) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Conv("x", "a", 4, 4, 3);
  net.Conv("a", "y", 4, 4, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  caffe2::NetDef on_cuda = net.net();
  on_cuda.mutable_op(1)->mutable_device_option()->set_device_type(1);
  QuantizedNets nets;
  ASSERT_TRUE(QuantizeNet(net.Init(), on_cuda, net.measurements(), {},
                          HasInt8Key, &nets)
                  .ok());
  EXPECT_EQ(Name(nets.recipe.operators[0].decision.reason), "int8");
  EXPECT_EQ(Name(nets.recipe.operators[1].decision.reason), "device");
  EXPECT_EQ(nets.recipe.operators[1].decision.detail, "device_type 1");

  // The net's own device holds for what names none.
  on_cuda = net.net();
  on_cuda.mutable_device_option()->set_device_type(1);
  on_cuda.mutable_op(0)->mutable_device_option()->set_device_type(0);
  ASSERT_TRUE(QuantizeNet(net.Init(), on_cuda, net.measurements(), {},
                          HasInt8Key, &nets)
                  .ok());
  EXPECT_EQ(Name(nets.recipe.operators[0].decision.reason), "int8");
  EXPECT_EQ(Name(nets.recipe.operators[1].decision.reason), "device");
  for (const caffe2::OperatorDef& op : nets.predict.op()) {
    EXPECT_EQ(op.device_option().has_device_type(), op.type() != "Conv");
  }
}

TEST(Refusals, PythonAndUnknownOperators) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Conv("x", "a", 4, 4, 3);
  net.Op("Exp", {"a"}, {"p"});
  net.Conv("p", "y", 4, 4, 1);
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  caffe2::NetDef predict = net.net();
  for (const char* type : {"Python", "NobodyKnowsThis"}) {
    predict.mutable_op(1)->set_type(type);
    QuantizedNets nets;
    ASSERT_TRUE(QuantizeNet(net.Init(), predict, net.measurements(), {},
                            HasInt8Key, &nets)
                    .ok());
    EXPECT_EQ(IllFormed(nets, predict, net.data()), "");
    EXPECT_EQ(Name(nets.recipe.operators[1].decision.reason), "no_int8_form");
    EXPECT_EQ(nets.operator_counts[type], 1);
    EXPECT_EQ(nets.operator_counts["Int8Conv (ONEDNN)"], 2);
  }
}

TEST(Refusals, AnEngineThatLacksAnOperator) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Conv("x", "a", 4, 4, 3);
  net.Op("LeakyRelu", {"a"}, {"l"});
  net.Conv("l", "y", 4, 4, 1);
  net.Output("y");
  net.has_key = [](const std::string& key) {
    return key != "Int8LeakyRelu_ENGINE_ONEDNN" && HasInt8Key(key);
  };
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("l"), "not_registered");
  EXPECT_GT(net.Sqnr("y"), 30);
}

TEST(Refusals, Islands) {
  NetCase net;
  net.Data("x", {2, 4, 6, 6});
  net.Op("Exp", {"x"}, {"e"});
  net.Op("Sigmoid", {"e"}, {"s"});
  net.Op("MaxPool", {"s"}, {"m"}).Int("kernel", 2);
  net.Op("Sum", {"m", "m"}, {"y"});
  net.Output("y");
  ASSERT_EQ(net.Quantize(), "");
  for (const char* name : {"s", "m", "y"}) {
    EXPECT_EQ(net.ReasonOf(name), "island");
  }
  EXPECT_EQ(net.nets().predict.op_size(), 4);
}

TEST(Refusals, LastSoftmax) {
  NetCase net;
  net.Data("x", {2, 8});
  net.Fc("x", "a", 8, 8);
  net.Op("Softmax", {"a"}, {"y"});
  net.Output("y");
  net.has_key = [](const std::string& key) {
    return key == "Int8Softmax_ENGINE_ONEDNN" || HasInt8Key(key);
  };
  ASSERT_EQ(net.Quantize(), "");
  EXPECT_EQ(net.ReasonOf("y"), "last_softmax");
  EXPECT_GT(net.Sqnr("y"), 30);
}

// ---- Errors -----------------------------------------------------------------

std::string ErrorOfNet(const caffe2::NetDef& predict,
                       const caffe2::NetDef& init = {}) {
  QuantizedNets nets;
  nets.predict.set_name("as it was");
  const Status status =
      QuantizeNet(init, predict, Measurements(), {}, HasInt8Key, &nets);
  EXPECT_EQ(nets.predict.name(), "as it was");
  return status.ok() ? "" : status.message();
}

TEST(Errors, Cycles) {
  NetBuilder net("loop", "simple");
  net.Input("x");
  net.Op("Add", {"x", "b"}, {"a"});
  net.Op("Relu", {"a"}, {"b"});
  EXPECT_EQ(ErrorOfNet(net.Build()),
            "operator 0 (Add) reads blob 'b', which operator 1 writes, itself "
            "or later, expected an earlier operator, an external input, or the "
            "init net to make it");
}

TEST(Errors, ReadsWhatItWrites) {
  NetBuilder net("loop", "simple");
  net.Op("Relu", {"a"}, {"a"});
  EXPECT_NE(ErrorOfNet(net.Build()).find("operator 0 (Relu) reads blob 'a'"),
            std::string::npos);
}

TEST(Errors, OneBlobForTwoOutputs) {
  NetBuilder net("net", "simple");
  net.Input("x");
  net.Op("Split", {"x"}, {"a", "a"});
  EXPECT_EQ(ErrorOfNet(net.Build()),
            "operator 0 (Split) has output 'a' twice, expected each blob once");
}

TEST(Errors, OperatorWithoutAType) {
  NetBuilder net("net", "simple");
  net.Op("", {}, {"a"});
  EXPECT_EQ(ErrorOfNet(net.Build()), "operator 0 has no type");
}

TEST(Errors, BlobsWithoutAName) {
  NetBuilder net("net", "simple");
  net.Op("Relu", {""}, {"a"});
  EXPECT_EQ(ErrorOfNet(net.Build()),
            "operator 0 (Relu) has an input without a name, expected the name "
            "of a blob");
}

TEST(Errors, FillsOfAnotherNumberOfValues) {
  NetBuilder init("init", "simple");
  init.Op("GivenTensorFill", {}, {"w"})
      .Ints("shape", {2, 3})
      .Floats("values", {1, 2});
  NetBuilder net("net", "simple");
  EXPECT_EQ(ErrorOfNet(net.Build(), init.Build()),
            "GivenTensorFill of blob 'w' has 2 values, expected the 6 of its "
            "shape [2, 3]");
  EXPECT_NE(ErrorOfNet(init.Build()).find("GivenTensorFill of blob 'w'"),
            std::string::npos);
}

TEST(Errors, FillsOfHugeSizes) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{int64_t{1} << 62, 4},
        {-1, 3},
        {1 << 30, 1 << 30},
        {std::numeric_limits<int64_t>::min()}}) {
    for (const char* type : {"GivenTensorFill", "ConstantFill"}) {
      NetBuilder init("init", "simple");
      init.Op(type, {}, {"w"}).Ints("shape", shape);
      EXPECT_NE(ErrorOfNet({}, init.Build()).find("of blob 'w' has the shape"),
                std::string::npos);
    }
  }
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
