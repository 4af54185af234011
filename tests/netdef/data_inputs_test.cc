#include "netdef/data_inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> NamesOf(const caffe2::NetDef& net,
                                 const std::vector<int>& indices) {
  std::vector<std::string> names;
  for (const int index : indices) names.push_back(net.external_input(index));
  return names;
}

void SetNet(const std::string& argument, const caffe2::NetDef& net,
            caffe2::OperatorDef* op) {
  auto* arg = op->add_arg();
  arg->set_name(argument);
  arg->mutable_n()->CopyFrom(net);
}

TEST(DataInputs, ParametersAreWhatAllOperatorsReadAsSuch) {
  NetBuilder net("n", "simple");
  net.Op("Conv", {"image", "conv_w", "conv_b"}, {"a"});
  net.Op("SpatialBN", {"a", "scale", "bias", "mean", "var"}, {"b"});
  net.Op("PRelu", {"b", "slope"}, {"c"});
  net.Op("FC", {"c", "fc_w", "fc_b"}, {"d"});
  net.Op("Int8FC", {"d", "shared", "fc_b"}, {"e"});
  net.Op("SparseLengthsWeightedSum", {"table", "weights", "ids", "lengths"},
         {"f"});
  net.Op("Add", {"f", "shared"}, {"g"});  // both a weight and an addend
  net.Op("Gather", {"rows", "ids"}, {"h"});
  for (const char* input :
       {"conv_w", "conv_b", "scale", "bias", "mean", "var", "slope", "fc_w",
        "fc_b", "image", "shared", "table", "weights", "ids", "lengths", "rows",
        "unread", "image"}) {
    net.Input(input);
  }
  EXPECT_THAT(NamesOf(net.Build(), DataInputs(net.Build())),
              ElementsAre("image", "shared", "weights", "ids", "lengths"));
}

TEST(DataInputs, OperatorsWithinKnowBetter) {
  NetBuilder branch("then", "simple");
  branch.Op("FC", {"x", "w", "b"}, {"y"});
  NetBuilder inner("inner", "simple");
  inner.Op("Conv", {"a", "own_w"}, {"c"});
  inner.Op("Relu", {"own"}, {"d"});  // a blob of the Do's own workspace
  NetBuilder step("step", "simple");
  step.Op("FC", {"hidden_before", "gates_w", "gates_b"}, {"gates"});
  NetBuilder net("n", "simple");
  // An If may name what its nets read.
  net.Op("If", {"condition", "x", "w", "b"}, {"y"});
  net.Op("Do", {"picture", "kernel", "stack"}, {"z", "stack"})
      .Strings("inner_blobs", {"a", "own_w", "c"})
      .Ints("outer_blobs_idx", {0, 1, 2});
  net.Op("RecurrentNetwork", {"seq", "h0", "gates_w", "gates_b", "extra"},
         {"all"})
      .Ints("param", {4});
  for (const char* input :
       {"condition", "x", "w", "b", "picture", "kernel", "stack", "own", "seq",
        "h0", "gates_w", "gates_b", "extra"}) {
    net.Input(input);
  }
  caffe2::NetDef def = net.Build();
  SetNet("then_net", branch.Build(), def.mutable_op(0));
  SetNet("net", inner.Build(), def.mutable_op(1));
  SetNet("step_net", step.Build(), def.mutable_op(2));
  EXPECT_THAT(NamesOf(def, DataInputs(def)),
              ElementsAre("condition", "x", "picture", "seq", "h0"));
}

TEST(DataInputs, OptionsNameOthersAndChosenOperatorsLeaveThemOut) {
  NetBuilder net("n", "simple");
  net.Op("FC", {"x", "fc_w", "fc_b"}, {"y"});
  for (const char* input : {"x", "fc_w", "fc_b"}) net.Input(input);
  RecordingOptions options;
  EXPECT_THAT(RecordedInputs(net.Build(), options), ElementsAre(0));
  options.inputs = {"*_w", "x"};
  EXPECT_THAT(RecordedInputs(net.Build(), options), ElementsAre(0, 1));
  options.outputs = {"y"};
  EXPECT_THAT(RecordedInputs(net.Build(), options), ElementsAre(0, 1));
  options.inputs = {};
  EXPECT_THAT(RecordedInputs(net.Build(), options), IsEmpty());
}

}  // namespace
}  // namespace caffe2_quantization
