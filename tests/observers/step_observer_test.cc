#include "observers/step_observer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

#include "caffe2/core/workspace.h"
#include "observers/attachment.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

constexpr int64_t kBatch = 2;
constexpr int64_t kSize = 3;
const char* const kStepOutputs[] = {"sum", "minus", "hidden"};

// hidden[t + 1] = Relu(-(x[t] + hidden[t])), by the host's executor of
// recurrent nets. Of its step net the host makes
//   0..2 links, 3 sum = Add, 4 minus = Negative, 5 hidden = Relu
caffe2::NetDef RecurrentNet(const std::string& name, bool executor = true) {
  NetBuilder step("step_of_" + name, "simple");
  step.Op("Add", {"x_t", "hidden_before"}, {"sum"});
  step.Op("Negative", {"sum"}, {"minus"});
  step.Op("Relu", {"minus"}, {"hidden"});
  step.Input("x_t").Input("hidden_before");
  caffe2::NetDef step_net = step.Build();
  step_net.add_external_output("hidden");

  NetBuilder net(name, "simple");
  net.Op("RecurrentNetwork", {"x", "hidden_0"}, {"y", "last", "workspaces"})
      .Strings("recurrent_states", {"states"})
      .Ints("initial_recurrent_state_ids", {1})
      .Strings("link_internal", {"x_t", "hidden_before", "hidden"})
      .Strings("link_external", {"x", "states", "states"})
      .Ints("link_offset", {0, 0, 1})
      .Strings("alias_src", {"states", "states"})
      .Strings("alias_dst", {"y", "last"})
      .Ints("alias_offset", {1, -1})
      .String("timestep", "t")
      .Int("rnn_executor.num_threads", 3)
      .Int("enable_rnn_executor", executor ? 1 : 0);
  net.Input("x").Input("hidden_0");
  caffe2::NetDef def = net.Build();
  auto* arg = def.mutable_op(0)->add_arg();
  arg->set_name("step_net");
  arg->mutable_n()->CopyFrom(step_net);
  return def;
}

using Values = std::map<std::string, std::vector<float>>;

// The same by the plainest means, appended to `values`.
void Expect(const std::vector<float>& x, const std::vector<float>& first,
            Values* values) {
  std::vector<float> hidden = first;
  for (std::size_t t = 0; t < x.size() / hidden.size(); ++t) {
    for (std::size_t i = 0; i < hidden.size(); ++i) {
      const float sum = x[t * hidden.size() + i] + hidden[i];
      hidden[i] = std::max(-sum, 0.0f);
      (*values)["sum"].push_back(sum);
      (*values)["minus"].push_back(-sum);
      (*values)["hidden"].push_back(hidden[i]);
    }
  }
}

class StepObserver : public testing::Test {
 protected:
  void SetUp() override { Reset(); }

  void Reset() {
    workspace_ = std::make_unique<caffe2::Workspace>();
    FeedFloats(workspace_.get(), "x", {}, {0, kBatch, kSize});
    Feed0();
  }
  void Feed0() {
    first_.assign(kBatch * kSize, 0.5f);
    FeedFloats(workspace_.get(), "hidden_0", first_, {kBatch, kSize});
  }
  // Runs the net for so many time steps.
  void Run(const std::string& net, int64_t steps, Values* values) {
    std::vector<float> x(static_cast<std::size_t>(steps * kBatch * kSize));
    for (float& value : x) value = random_.Float(-2, 2);
    FeedFloats(workspace_.get(), "x", x, {steps, kBatch, kSize});
    ASSERT_TRUE(workspace_->RunNet(net));
    if (values != nullptr) Expect(x, first_, values);
  }
  static void ExpectSteps(const NetInfo& info, const Values& values,
                          uint64_t runs) {
    std::size_t found = 0;
    int last_step = -1;
    for (const OperatorInfo& op : info.operators) {
      EXPECT_EQ(op.op_index, 0);
      if (op.inner.empty()) {
        EXPECT_EQ(op.op_type, "RecurrentNetwork");
        continue;
      }
      // By its index in the NetDef, without the host's links.
      EXPECT_EQ(PathText(op), "0/step_net/" + std::to_string(++last_step));
      ASSERT_EQ(op.outputs.size(), 1u);
      const OutputInfo& output = op.outputs[0];
      EXPECT_EQ(output.tensor_name, kStepOutputs[last_step]);
      ASSERT_EQ(values.count(output.tensor_name), 1u) << output.tensor_name;
      ++found;
      const auto& expected = values.at(output.tensor_name);
      const auto [min, max] =
          std::minmax_element(expected.begin(), expected.end());
      EXPECT_EQ(output.total.range.min(), *min) << output.tensor_name;
      EXPECT_EQ(output.total.range.max(), *max) << output.tensor_name;
      EXPECT_EQ(output.count, expected.size());
      EXPECT_EQ(output.runs, runs);
      Histogram histogram(64);
      histogram.Add(expected.data(), expected.size());
      EXPECT_TRUE(output.total.histogram == histogram);
    }
    EXPECT_EQ(found, values.size());
  }
  static OutputMinMaxOptions WithHistograms() {
    OutputMinMaxOptions options;
    options.recording.histogram_bins = 64;
    return options;
  }

  TestRandom random_;
  std::unique_ptr<caffe2::Workspace> workspace_;
  std::vector<float> first_;
};

TEST_F(StepObserver, EveryOutputOfEveryTimeStep) {
  auto* net = workspace_->CreateNet(RecurrentNet("rnn"));
  ASSERT_NE(net, nullptr);
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(
      AttachOutputMinMaxObserver(net, WithHistograms(), &measurement).ok());
  Values values;
  uint64_t steps = 0;
  for (const int64_t length : {1, 5, 3, 12, 12}) {
    Run("rnn", length, &values);
    steps += static_cast<uint64_t>(length);
  }
  const NetInfo info = measurement->get_info();
  ASSERT_EQ(info.operators.size(), 4u);
  EXPECT_EQ(info.operators[0].outputs[0].runs, 5u);
  ExpectSteps(info, values, steps);
  EXPECT_TRUE(DetachOutputMinMaxObserver(net).ok());
  Run("rnn", 5, nullptr);  // with copies that belong to nobody
  EXPECT_EQ(measurement->get_info().operators[1].outputs[0].runs, steps);
}

TEST_F(StepObserver, ObserversThatComeLaterHearOfTheStepsToo) {
  auto* net = workspace_->CreateNet(RecurrentNet("rnn"));
  OutputMinMaxOptions options = WithHistograms();
  std::shared_ptr<NetMeasurement> first, second, again;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, options, &first).ok());
  Values of_first, of_second, of_again;
  Run("rnn", 6, &of_first);
  options.label = "second";
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, options, &second).ok());
  std::vector<Values*> all = {&of_first, &of_second};
  Values both;
  Run("rnn", 8, &both);
  for (auto* values : all) {
    for (const auto& [name, more] : both) {
      auto& into = (*values)[name];
      into.insert(into.end(), more.begin(), more.end());
    }
  }
  ExpectSteps(first->get_info(), of_first, 14);
  ExpectSteps(second->get_info(), of_second, 8);
  EXPECT_TRUE(DetachOutputMinMaxObserver(net).ok());
  EXPECT_TRUE(DetachOutputMinMaxObserver(net, "second").ok());
  options.label = "";
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, options, &again).ok());
  Run("rnn", 10, &of_again);
  ExpectSteps(again->get_info(), of_again, 10);
  ExpectSteps(first->get_info(), of_first, 14);
}

TEST_F(StepObserver, OptionsChooseSteps) {
  auto* net = workspace_->CreateNet(RecurrentNet("rnn"));
  OutputMinMaxOptions options;
  options.recording.op_types = {"Neg*"};
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, options, &measurement).ok());
  EXPECT_TRUE(measurement->get_info().operators.empty());
  Run("rnn", 4, nullptr);
  const NetInfo info = measurement->get_info();
  ASSERT_EQ(info.operators.size(), 1u);
  EXPECT_EQ(info.operators[0].op_type, "Negative");
  EXPECT_EQ(PathText(info.operators[0]), "0/step_net/1");
  EXPECT_EQ(info.operators[0].outputs[0].runs, 4u);
}

TEST_F(StepObserver, StopsWithItsNet) {
  auto* net = workspace_->CreateNet(RecurrentNet("rnn"));
  std::shared_ptr<NetMeasurement> measurement;
  OutputMinMaxOptions options;
  options.recording.every = 2;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, options, &measurement).ok());
  for (int run = 1; run <= 4; ++run) Run("rnn", 3, nullptr);
  const auto runs = [&] {
    return measurement->get_info().operators[1].outputs[0].runs;
  };
  EXPECT_EQ(runs(), 6u);
  measurement->stop();
  Run("rnn", 3, nullptr);
  EXPECT_EQ(runs(), 6u);
  measurement->resume();
  Run("rnn", 3, nullptr);
  EXPECT_EQ(runs(), 9u);
  // The net's observer goes first, and the net with its copies last.
  ASSERT_NE(net->DetachObserver(measurement->observer()), nullptr);
  Run("rnn", 3, nullptr);
  EXPECT_EQ(runs(), 9u);
}

TEST_F(StepObserver, NetsComeAndGo) {
  for (int round = 0; round < 20; ++round) {
    Reset();
    auto* net = workspace_->CreateNet(RecurrentNet("rnn"));
    std::shared_ptr<NetMeasurement> measurement;
    ASSERT_TRUE(
        AttachOutputMinMaxObserver(net, WithHistograms(), &measurement).ok());
    Values values;
    Run("rnn", 3, &values);
    if (round % 2 == 0) workspace_.reset();
    ExpectSteps(measurement->get_info(), values, 3);
  }
}

TEST_F(StepObserver, GoesOnFromAProfile) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() /
      ("step_observer_test." + std::to_string(getpid()));
  OutputMinMaxOptions options = WithHistograms();
  options.format = OutputMinMaxOptions::Format::kProfile;
  Values values;
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(
      AttachOutputMinMaxObserver(workspace_->CreateNet(RecurrentNet("rnn")),
                                 options, &measurement)
          .ok());
  Run("rnn", 5, &values);
  ASSERT_TRUE(measurement->dump(path).ok());
  Reset();
  options.resume_path = path;
  const Status status = AttachOutputMinMaxObserver(
      workspace_->CreateNet(RecurrentNet("rnn")), options, &measurement);
  ASSERT_TRUE(status.ok()) << status.message();
  ExpectSteps(measurement->get_info(), values, 5);  // before any run
  Run("rnn", 7, &values);
  ExpectSteps(measurement->get_info(), values, 12);
  std::filesystem::remove(path);
}

TEST_F(StepObserver, WithoutTheExecutorToo) {
  auto* net = workspace_->CreateNet(RecurrentNet("rnn", /*executor=*/false));
  std::shared_ptr<NetMeasurement> measurement, second;
  ASSERT_TRUE(
      AttachOutputMinMaxObserver(net, WithHistograms(), &measurement).ok());
  Values values, of_second;
  Run("rnn", 4, &values);
  // Its step nets are there now, and each has its observers.
  OutputMinMaxOptions options = WithHistograms();
  options.label = "second";
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, options, &second).ok());
  Run("rnn", 7, &of_second);
  for (const auto& [name, more] : of_second) {
    auto& into = values[name];
    into.insert(into.end(), more.begin(), more.end());
  }
  const NetInfo info = measurement->get_info();
  ExpectSteps(info, values, 11);
  ExpectSteps(second->get_info(), of_second, 7);
  EXPECT_EQ(info.operators[0].outputs[0].count, values["hidden"].size());
  EXPECT_EQ(
      info.operators[0].outputs[0].total.range.max(),
      *std::max_element(values["hidden"].begin(), values["hidden"].end()));
}

}  // namespace
}  // namespace caffe2_quantization
