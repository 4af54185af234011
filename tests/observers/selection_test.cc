#include "observers/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "observers/attachment.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using testing::HasSubstr;

// x -> Split -> a, b; a -> Relu -> relu_a; with a name each.
class SelectionTest : public testing::Test {
 protected:
  SelectionTest() {
    FeedFloats(&workspace_, "x", {-1, 2});
    NetBuilder builder("n", "simple");
    builder.Op("Split", {"x"}, {"a", "b"}).Int("axis", 0);
    builder.Op("Relu", {"a"}, {"relu_a"});
    caffe2::NetDef definition = builder.Build();
    definition.mutable_op(0)->set_name("first");
    definition.mutable_op(1)->set_name("second");
    net_ = workspace_.CreateNet(definition);
  }

  std::string ErrorOf(const RecordingOptions& options) {
    return CheckSelection(options, net_).message();
  }

  caffe2::Workspace workspace_;
  caffe2::NetBase* net_;
};

TEST_F(SelectionTest, WhatFitsIsTaken) {
  RecordingOptions options;
  EXPECT_EQ(ErrorOf(options), "");
  options.op_types = {"Relu", "Sp*"};
  options.op_names = {"*"};
  options.outputs = {"[ab]", "relu_?"};
  options.column_max_blobs = {"relu_a"};
  EXPECT_EQ(ErrorOf(options), "");
}

TEST_F(SelectionTest, EachPatternMustFitSomething) {
  RecordingOptions options;
  options.op_types = {"Konv", "Relu", "Reul"};
  EXPECT_EQ(ErrorOf(options),
            "op_types: net 'n' has no operator of type 'Konv', 'Reul' (did you "
            "mean 'Relu'?); there are: Relu, Split");
  options = {};
  options.op_names = {"Secnd"};
  EXPECT_EQ(ErrorOf(options),
            "op_names: net 'n' has no operator called 'Secnd' (did you mean "
            "'second'?); there are: first, second");
  options = {};
  options.outputs = {"nosuch*"};
  EXPECT_EQ(ErrorOf(options),
            "outputs: net 'n' has no output 'nosuch*'; there are: a, b, "
            "relu_a");
  options = {};
  options.column_max_blobs = {"relu_*"};  // no pattern
  EXPECT_EQ(ErrorOf(options),
            "column_max_blobs: net 'n' has no output 'relu_*' (did you mean "
            "'relu_a'?); there are: a, b, relu_a");
}

TEST_F(SelectionTest, OneOperatorMustFitAll) {
  RecordingOptions options;
  options.op_types = {"Relu"};
  options.outputs = {"b"};
  EXPECT_THAT(ErrorOf(options), HasSubstr("no operator of net 'n' fits all"));
}

TEST_F(SelectionTest, StepsOfARecurrentNetworkCount) {
  caffe2::NetDef steps;
  OpBuilder(steps.add_op(), "Negative", {"h"}, {"h_next"});
  caffe2::NetDef definition;
  definition.set_name("recurrent");
  OpBuilder(definition.add_op(), "RecurrentNetwork", {}, {"all"});
  *definition.mutable_op(0)->add_arg() =
      caffe2::MakeArgument("step_net", steps);
  // As much of a net as is asked for its definition.
  class Net final : public caffe2::NetBase {
   public:
    using NetBase::NetBase;
    bool SupportsAsync() override { return false; }
    std::vector<caffe2::OperatorBase*> GetOperators() const override {
      return {};
    }
    bool DoRunAsync() override { return false; }
  } net(std::make_shared<const caffe2::NetDef>(definition), &workspace_);
  RecordingOptions options;
  options.op_types = {"Neg*"};
  EXPECT_TRUE(CheckSelection(options, &net).ok());
  options.outputs = {"h_next"};
  EXPECT_TRUE(CheckSelection(options, &net).ok());
  options.outputs = {"h_nxt"};
  EXPECT_THAT(CheckSelection(options, &net).message(),
              HasSubstr("did you mean 'h_next'?"));
}

TEST_F(SelectionTest, AttachRefusesAndLeavesTheNetAlone) {
  OutputMinMaxOptions options;
  options.recording.outputs = {"relu_b"};
  std::shared_ptr<NetMeasurement> measurement;
  EXPECT_THAT(AttachOutputMinMaxObserver(net_, options, &measurement).message(),
              HasSubstr("has no output 'relu_b' (did you mean 'relu_a'?)"));
  EXPECT_EQ(measurement, nullptr);
  options.recording.outputs = {"relu_a"};
  EXPECT_TRUE(AttachOutputMinMaxObserver(net_, options).ok());
  EXPECT_TRUE(DetachOutputMinMaxObserver(net_).ok());
}

TEST_F(SelectionTest, TypesForLaterNetsAreThoseOfTheHost) {
  OutputMinMaxOptions options;
  options.recording.op_types = {"Relu", "Conv*"};
  options.recording.outputs = {"of no net yet"};
  EXPECT_TRUE(AttachOutputMinMaxObserverToLaterNets(options).ok());
  StopAttachingToLaterNets();
  options.recording.op_types = {"Konv"};
  EXPECT_THAT(AttachOutputMinMaxObserverToLaterNets(options).message(),
              HasSubstr("op_types: Caffe2 has no operator of type 'Konv' (did "
                        "you mean 'Conv'?)"));
}

}  // namespace
}  // namespace caffe2_quantization
