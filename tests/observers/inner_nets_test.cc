#include "observers/inner_nets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>

#include "caffe2/core/workspace.h"
#include "observers/attachment.h"
#include "profiles/profile.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int kBins = 64;

void SetNet(const std::string& argument, const caffe2::NetDef& net,
            caffe2::OperatorDef* op) {
  auto* arg = op->add_arg();
  arg->set_name(argument);
  arg->mutable_n()->CopyFrom(net);
}

// y = relu(x) or -x.
caffe2::NetDef IfNet(const std::string& name) {
  NetBuilder then_net("then", "simple");
  then_net.Op("Relu", {"x"}, {"y"});
  then_net.Input("x");
  NetBuilder else_net("else", "simple");
  else_net.Op("Negative", {"x"}, {"y"});
  else_net.Input("x");
  NetBuilder net(name, "simple");
  net.Op("Copy", {"x"}, {"before"});
  net.Op("If", {"condition"}, {"y"});
  net.Input("x").Input("condition");
  caffe2::NetDef def = net.Build();
  SetNet("then_net", then_net.Build(), def.mutable_op(1));
  SetNet("else_net", else_net.Build(), def.mutable_op(1));
  return def;
}

// sum += x while count < limit, count += 1. The condition's net and the loop's
// write one blob each that the other does not.
caffe2::NetDef WhileNet(const std::string& name) {
  NetBuilder condition("condition", "simple");
  condition.Op("LT", {"count", "limit"}, {"go_on"});
  condition.Input("count").Input("limit");
  NetBuilder loop("loop", "simple");
  loop.Op("Add", {"sum", "x"}, {"sum"});
  loop.Op("Add", {"count", "one"}, {"count"});
  loop.Input("sum").Input("x").Input("count").Input("one");
  NetBuilder net(name, "simple");
  net.Op("While", {"go_on"}, {});
  for (const char* input : {"go_on", "count", "limit", "sum", "x", "one"}) {
    net.Input(input);
  }
  caffe2::NetDef def = net.Build();
  SetNet("loop_net", loop.Build(), def.mutable_op(0));
  SetNet("cond_net", condition.Build(), def.mutable_op(0));
  return def;
}

// z = relu(-x), inside a Do whose blobs have other names there.
caffe2::OperatorDef DoOp(const std::string& stack, bool reuse) {
  NetBuilder inner("inner", "simple");
  inner.Op("Negative", {"a"}, {"b"});
  inner.Op("Relu", {"b"}, {"c"});
  inner.Input("a");
  caffe2::OperatorDef op;
  OpBuilder(&op, "Do", {"x", stack}, {"z", stack})
      .Strings("inner_blobs", {"a", "c"})
      .Ints("outer_blobs_idx", {0, 1})
      .Int("reuse_workspace", reuse ? 1 : 0);
  SetNet("net", inner.Build(), &op);
  return op;
}

// What an output took, by numpy's definitions.
struct Expected {
  std::vector<float> values;
  uint64_t runs = 0;
};

class InnerNets : public testing::Test {
 protected:
  void SetUp() override { Reset(); }

  void Reset() {
    workspace_ = std::make_unique<caffe2::Workspace>();
    FeedFloats(workspace_.get(), "x", {1});
    Feed<int64_t>(workspace_.get(), "count", {0});
    Feed<int64_t>(workspace_.get(), "limit", {0});
    Feed<int64_t>(workspace_.get(), "one", {1});
    FeedFloats(workspace_.get(), "sum", {0});
    FeedBool("condition", true);
    FeedBool("go_on", true);
  }
  void FeedBool(const std::string& name, bool value) {
    *caffe2::BlobGetMutableTensor(workspace_->CreateBlob(name), {1},
                                  at::dtype<bool>())
         ->mutable_data<bool>() = value;
  }
  std::vector<float> FeedX() {
    std::vector<float> x(static_cast<std::size_t>(random_.Integer(1, 40)));
    for (float& value : x) value = random_.Float(-3, 3);
    FeedFloats(workspace_.get(), "x", x);
    return x;
  }
  static OutputMinMaxOptions Options() {
    OutputMinMaxOptions options;
    options.recording.histogram_bins = kBins;
    return options;
  }
  std::shared_ptr<NetMeasurement> Attach(
      caffe2::NetBase* net, const OutputMinMaxOptions& options = Options()) {
    std::shared_ptr<NetMeasurement> measurement;
    const Status status =
        AttachOutputMinMaxObserver(net, options, &measurement);
    EXPECT_TRUE(status.ok()) << status.message();
    return measurement;
  }

  void Expect(const std::string& path, const std::vector<float>& values) {
    Expected& expected = expected_[path];
    expected.values.insert(expected.values.end(), values.begin(), values.end());
    ++expected.runs;
  }
  static void ExpectOutput(const std::string& path, const OutputInfo& output,
                           const Expected& expected) {
    EXPECT_EQ(output.runs, expected.runs) << path;
    EXPECT_EQ(output.count, expected.values.size()) << path;
    if (expected.values.empty()) {
      EXPECT_TRUE(output.total.range.empty()) << path;
      return;
    }
    const auto [min, max] =
        std::minmax_element(expected.values.begin(), expected.values.end());
    EXPECT_EQ(output.total.range.min(), *min) << path;
    EXPECT_EQ(output.total.range.max(), *max) << path;
    Histogram histogram(kBins);
    histogram.Add(expected.values.data(), expected.values.size());
    EXPECT_TRUE(output.total.histogram == histogram) << path;
  }
  // Each operator of expected_ once, under its path, and no other one within.
  void ExpectInner(const NetInfo& info) const {
    std::map<std::string, int> found;
    for (const OperatorInfo& op : info.operators) {
      const std::string path = PathText(op);
      EXPECT_EQ(++found[path], 1) << path;
      if (expected_.count(path) == 0) {
        EXPECT_TRUE(op.inner.empty()) << path;
        continue;
      }
      ASSERT_EQ(op.outputs.size(), 1u) << path;
      ExpectOutput(path, op.outputs[0], expected_.at(path));
    }
    for (const auto& [path, expected] : expected_) {
      EXPECT_EQ(found[path], 1) << path;
    }
  }

  void RunIf(const std::string& net) {
    const std::vector<float> x = FeedX();
    const bool condition = random_.OneIn(2);
    FeedBool("condition", condition);
    ASSERT_TRUE(workspace_->RunNet(net));
    std::vector<float> y = x;
    for (float& value : y) value = condition ? std::max(value, 0.0f) : -value;
    Expect(condition ? "1/then_net/0" : "1/else_net/0", y);
  }
  void RunWhile(const std::string& net, int64_t limit) {
    const std::vector<float> x = FeedX();
    std::vector<float> sum(x.size());
    FeedFloats(workspace_.get(), "sum", sum);
    Feed<int64_t>(workspace_.get(), "count", {0});
    Feed<int64_t>(workspace_.get(), "limit", {limit});
    ASSERT_TRUE(workspace_->RunNet(net));
    for (int64_t i = 0; i <= limit; ++i) {
      Expect("0/cond_net/0", {i < limit ? 1.0f : 0.0f});
      if (i == limit) break;
      for (std::size_t k = 0; k < x.size(); ++k) sum[k] += x[k];
      Expect("0/loop_net/0", sum);
      Expect("0/loop_net/1", {static_cast<float>(i + 1)});
    }
  }
  void RunDo(const std::string& net, const std::string& path) {
    const std::vector<float> x = FeedX();
    ASSERT_TRUE(workspace_->RunNet(net));
    std::vector<float> b = x, c = x;
    for (float& value : b) value = -value;
    for (float& value : c) value = std::max(-value, 0.0f);
    Expect(path + "0", b);
    Expect(path + "1", c);
  }

  TestRandom random_;
  std::unique_ptr<caffe2::Workspace> workspace_;
  std::map<std::string, Expected> expected_;  // by path
};

TEST_F(InnerNets, BothBranchesOfAnIf) {
  const auto measurement = Attach(workspace_->CreateNet(IfNet("n")));
  expected_["1/then_net/0"];
  expected_["1/else_net/0"];
  ExpectInner(measurement->get_info());  // before any run
  for (int run = 0; run < 20; ++run) RunIf("n");
  const NetInfo info = measurement->get_info();
  ExpectInner(info);
  ASSERT_EQ(info.operators.size(), 4u);
  EXPECT_EQ(info.operators[1].outputs[0].runs, 20u);
}

TEST_F(InnerNets, EveryRoundOfAWhile) {
  const auto measurement = Attach(workspace_->CreateNet(WhileNet("n")));
  for (const int64_t limit : {3, 0, 1, 12}) RunWhile("n", limit);
  ExpectInner(measurement->get_info());
  EXPECT_EQ(expected_["0/loop_net/0"].runs, 16u);
}

TEST_F(InnerNets, OfANetThatLivesAndRanBefore) {
  auto* net = workspace_->CreateNet(IfNet("n"));
  RunIf("n");
  expected_.clear();
  const auto first = Attach(net);
  expected_["1/then_net/0"];
  expected_["1/else_net/0"];
  for (int run = 0; run < 6; ++run) RunIf("n");
  ExpectInner(first->get_info());
  ASSERT_TRUE(DetachOutputMinMaxObserver(net).ok());
  for (const InnerNet& inner : InnerNetsOf(net->GetOperators()[1])) {
    EXPECT_EQ(inner.net->GetOperators()[0]->NumObservers(), 0u);
  }
  const auto kept = expected_;
  RunIf("n");
  expected_ = kept;
  ExpectInner(first->get_info());
}

TEST_F(InnerNets, WithinEachOther) {
  // An If in the loop of a While.
  caffe2::NetDef def = WhileNet("n");
  caffe2::NetDef* loop = nullptr;
  for (auto& arg : *def.mutable_op(0)->mutable_arg()) {
    if (arg.name() == "loop_net") loop = arg.mutable_n();
  }
  loop->add_external_input("condition");
  *loop->add_op() = IfNet("unused").op(1);
  def.add_external_input("condition");
  const auto measurement = Attach(workspace_->CreateNet(def));
  FeedBool("condition", false);
  RunWhile("n", 2);
  const std::vector<float> x = Fetch<float>(*workspace_, "x");
  std::vector<float> minus = x;
  for (float& value : minus) value = -value;
  Expect("0/loop_net/2/else_net/0", minus);
  Expect("0/loop_net/2/else_net/0", minus);
  expected_["0/loop_net/2/then_net/0"];
  const NetInfo info = measurement->get_info();
  std::vector<std::string> paths;
  for (const OperatorInfo& op : info.operators) {
    paths.push_back(PathText(op));
    if (paths.back() != "0/loop_net/2") continue;
    EXPECT_EQ(op.outputs[0].runs, 2u);  // the If's own output
    ExpectOutput("0/loop_net/2", op.outputs[0],
                 expected_.at("0/loop_net/2/else_net/0"));
  }
  EXPECT_THAT(paths, ElementsAre("0", "0/loop_net/0", "0/loop_net/1",
                                 "0/loop_net/2", "0/loop_net/2/then_net/0",
                                 "0/loop_net/2/else_net/0", "0/cond_net/0"));
  Expect("0/loop_net/2", minus);
  Expect("0/loop_net/2", minus);
  ExpectInner(info);
}

TEST_F(InnerNets, OfADoInItsOwnWorkspaces) {
  for (const bool reuse : {false, true}) {
    Reset();
    expected_.clear();
    NetBuilder net("n", "simple");
    net.Op("CreateScope", {}, {"stack"});
    net.Input("x").Input("later");
    caffe2::NetDef def = net.Build();
    *def.add_op() = DoOp("stack", reuse);
    *def.add_op() = DoOp("stack", reuse);  // on the other's workspaces
    const auto measurement = Attach(workspace_->CreateNet(def));
    for (int run = 0; run < 5; ++run) {
      RunDo("n", "1/net/");
      const std::vector<float> x = Fetch<float>(*workspace_, "x");
      std::vector<float> b = x, c = x;
      for (float& value : b) value = -value;
      for (float& value : c) value = std::max(-value, 0.0f);
      if (reuse) {
        // It runs the net that the first one made.
        Expect("1/net/0", b);
        Expect("1/net/1", c);
      } else {
        Expect("2/net/0", b);
        Expect("2/net/1", c);
      }
    }
    ExpectInner(measurement->get_info());
  }
}

TEST_F(InnerNets, ADoWithinAnIf) {
  NetBuilder then_net("then", "simple");
  then_net.Op("CreateScope", {}, {"stack"});
  then_net.Input("x");
  caffe2::NetDef then_def = then_net.Build();
  *then_def.add_op() = DoOp("stack", false);
  NetBuilder net("n", "simple");
  net.Op("If", {"condition"}, {});
  net.Input("x").Input("condition");
  caffe2::NetDef def = net.Build();
  SetNet("then_net", then_def, def.mutable_op(0));
  const auto measurement = Attach(workspace_->CreateNet(def));
  for (int run = 0; run < 4; ++run) RunDo("n", "0/then_net/1/net/");
  const NetInfo info = measurement->get_info();
  std::vector<std::string> paths;
  for (const OperatorInfo& op : info.operators) {
    paths.push_back(PathText(op));
    const auto found = expected_.find(paths.back());
    if (found == expected_.end()) continue;
    ExpectOutput(paths.back(), op.outputs[0], found->second);
  }
  EXPECT_THAT(paths, ElementsAre("0", "0/then_net/0", "0/then_net/1",
                                 "0/then_net/1/net/0", "0/then_net/1/net/1"));
}

TEST_F(InnerNets, OfLaterNetsAreTheirs) {
  const std::string folder = (std::filesystem::temp_directory_path() /
                              ("inner_nets_test." + std::to_string(getpid())))
                                 .string();
  std::filesystem::create_directory(folder);
  OutputMinMaxOptions options = Options();
  options.format = OutputMinMaxOptions::Format::kProfile;
  ASSERT_TRUE(AttachOutputMinMaxObserverToLaterNets(options, {folder}).ok());
  // One that is called as a net within is.
  NetBuilder alone("then", "simple");
  alone.Op("Relu", {"x"}, {"alone"});
  alone.Input("x");
  ASSERT_NE(workspace_->CreateNet(IfNet("n")), nullptr);
  ASSERT_NE(workspace_->CreateNet(alone.Build()), nullptr);
  StopAttachingToLaterNets();
  for (int run = 0; run < 10; ++run) RunIf("n");
  ASSERT_TRUE(workspace_->RunNet("then"));
  std::size_t count = 0;
  for (const auto& measurement : AllNetMeasurements()) {
    if (measurement->net() == nullptr) continue;
    ++count;
    if (measurement->net_name() == "n") ExpectInner(measurement->get_info());
  }
  EXPECT_EQ(count, 2u);
  workspace_.reset();
  std::vector<std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    files.push_back(file.path().filename().string());
  }
  std::sort(files.begin(), files.end());
  EXPECT_THAT(files, ElementsAre("n.profile", "then.profile"));
  NetInfo read;
  ASSERT_TRUE(ReadProfile(folder + "/n.profile", &read).ok());
  ExpectInner(read);
  std::filesystem::remove_all(folder);
}

TEST_F(InnerNets, OptionsChooseAmongThem) {
  OutputMinMaxOptions options;
  options.recording.op_types = {"Neg*"};
  auto* net = workspace_->CreateNet(IfNet("n"));
  const auto measurement = Attach(net, options);
  for (int run = 0; run < 10; ++run) RunIf("n");
  const NetInfo info = measurement->get_info();
  ASSERT_EQ(info.operators.size(), 1u);
  EXPECT_EQ(PathText(info.operators[0]), "1/else_net/0");
  EXPECT_EQ(info.operators[0].outputs[0].runs, expected_["1/else_net/0"].runs);
  EXPECT_TRUE(info.inputs.empty());
  options.label = "wrong";
  options.recording.op_types = {"Neg*", "Tanh"};
  const Status status = AttachOutputMinMaxObserver(net, options, nullptr);
  EXPECT_THAT(status.message(), HasSubstr("no operator of type 'Tanh'"));
}

TEST_F(InnerNets, GatesAndResetsHoldForThem) {
  OutputMinMaxOptions options = Options();
  options.recording.every = 3;
  const auto measurement =
      Attach(workspace_->CreateNet(WhileNet("n")), options);
  for (int run = 0; run < 6; ++run) {
    const auto kept = expected_;
    RunWhile("n", 4);
    if (run % 3 != 0) expected_ = kept;
  }
  ExpectInner(measurement->get_info());
  measurement->stop();
  const auto kept = expected_;
  RunWhile("n", 4);
  expected_ = kept;
  measurement->resume();
  measurement->reset();
  const NetInfo info = measurement->get_info();
  ExpectInner(info);  // totals stay
  for (const OperatorInfo& op : info.operators) {
    for (const OutputInfo& output : op.outputs) {
      EXPECT_TRUE(output.values.range.empty());
    }
  }
}

TEST_F(InnerNets, AFailureWithinIsNotRecorded) {
  // Add of other shapes throws.
  const auto measurement = Attach(workspace_->CreateNet(WhileNet("n")));
  RunWhile("n", 2);
  const auto kept = expected_;
  FeedFloats(workspace_.get(), "x", {1, 2, 3});
  FeedFloats(workspace_.get(), "sum", {1, 2});
  Feed<int64_t>(workspace_.get(), "count", {0});
  EXPECT_ANY_THROW(workspace_->RunNet("n"));
  expected_ = kept;
  Expect("0/cond_net/0", {1});  // which succeeded
  ExpectInner(measurement->get_info());
  EXPECT_FALSE(measurement->running());
  RunWhile("n", 3);
  ExpectInner(measurement->get_info());
}

TEST_F(InnerNets, ExternalInputsAsARunBegins) {
  NetBuilder builder("n", "simple");
  builder.Op("Negative", {"x"}, {"x"});  // in its place
  builder.Op("Gather", {"table", "ids"}, {"rows"});
  builder.Op("Mul", {"words", "words"}, {"squares"});
  for (const char* input : {"table", "x", "ids", "unread", "words", "x"}) {
    builder.Input(input);
  }
  FeedFloats(workspace_.get(), "table", {1, 2, 3, 4}, {2, 2});
  const int64_t large = (int64_t{1} << 53) + 1;
  Feed<int64_t>(workspace_.get(), "words", {3, large, -large});
  Feed<int32_t>(workspace_.get(), "ids", {0});
  FeedFloats(workspace_.get(), "unread", {1});
  auto* net = workspace_->CreateNet(builder.Build());
  const auto measurement = Attach(net);
  Expected x, ids;
  for (int run = 0; run < 5; ++run) {
    const std::vector<float> values = FeedX();
    x.values.insert(x.values.end(), values.begin(), values.end());
    ++x.runs;
    const auto id = static_cast<int32_t>(random_.Integer(0, 1));
    Feed<int32_t>(workspace_.get(), "ids", {id});
    ids.values.push_back(static_cast<float>(id));
    ++ids.runs;
    ASSERT_TRUE(workspace_->RunNet("n"));
  }
  const NetInfo info = measurement->get_info();
  ASSERT_EQ(info.inputs.size(), 3u);
  EXPECT_EQ(info.inputs[0].output_index, 1);
  EXPECT_EQ(info.inputs[0].tensor_name, "x");
  ExpectOutput("x", info.inputs[0], x);
  EXPECT_EQ(info.inputs[1].output_index, 2);
  ExpectOutput("ids", info.inputs[1], ids);
  EXPECT_EQ(info.inputs[1].type_name, "int");
  EXPECT_EQ(info.inputs[2].output_index, 4);
  const ValueRange& words = info.inputs[2].total.range;
  EXPECT_EQ(words.kind(), ValueRange::Kind::kInteger);
  EXPECT_EQ(words.integer_min(), -large);  // no double holds it
  EXPECT_EQ(words.integer_max(), large);
  EXPECT_EQ(info.inputs[2].total.histogram.total(), 15u);
  EXPECT_EQ(info.inputs[2].count, 15u);
}

TEST_F(InnerNets, InputsCanBeChosen) {
  auto* net = workspace_->CreateNet(WhileNet("n"));
  OutputMinMaxOptions options;
  options.recording.inputs = {"co*", "one"};
  options.recording.op_types = {"While"};
  const auto measurement = Attach(net, options);
  RunWhile("n", 2);
  const NetInfo info = measurement->get_info();
  ASSERT_EQ(info.inputs.size(), 2u);
  EXPECT_EQ(info.inputs[0].tensor_name, "count");
  EXPECT_EQ(info.inputs[0].total.range.integer_max(), 0);  // as it began
  EXPECT_EQ(info.inputs[1].tensor_name, "one");
  options.label = "wrong";
  options.recording.inputs = {"limits"};
  const Status status = AttachOutputMinMaxObserver(net, options, nullptr);
  EXPECT_THAT(status.message(),
              HasSubstr("inputs: net 'n' has no external input 'limits'"));
}

// A recording that is cut into shards, and one that goes on from a file.
TEST_F(InnerNets, ShardsAndResumedRunsAreTheSingleRun) {
  const std::string path = (std::filesystem::temp_directory_path() /
                            ("inner_shard." + std::to_string(getpid())))
                               .string();
  OutputMinMaxOptions options = Options();
  options.format = OutputMinMaxOptions::Format::kProfile;
  const auto bytes_of = [](NetInfo info) {
    info.hosts.clear();
    info.first_record = info.last_record = TimePoint{};
    std::string bytes;
    EXPECT_TRUE(ProfileToBytes(info, &bytes).ok());
    return bytes;
  };
  const auto run = [&](int64_t batch) {
    FeedFloats(workspace_.get(), "x", {static_cast<float>(batch), -2});
    FeedFloats(workspace_.get(), "sum", {0, 0});
    Feed<int64_t>(workspace_.get(), "count", {0});
    Feed<int64_t>(workspace_.get(), "limit", {batch % 5});
    FeedBool("go_on", true);  // or it is an input that the run before left
    ASSERT_TRUE(workspace_->RunNet("n"));
  };
  constexpr int64_t kBatches = 70;
  auto measurement = Attach(workspace_->CreateNet(WhileNet("n")), options);
  for (int64_t batch = 0; batch < kBatches; ++batch) run(batch);
  const std::string single = bytes_of(measurement->get_info());
  for (const int64_t shards : {1, 2, 7, 64}) {
    NetInfo merged;
    for (int64_t shard = shards - 1; shard >= 0; --shard) {
      Reset();
      measurement = Attach(workspace_->CreateNet(WhileNet("n")), options);
      for (int64_t batch = shard; batch < kBatches; batch += shards) {
        run(batch);
      }
      if (shard == shards - 1) {
        merged = measurement->get_info();
        continue;
      }
      const Status status = MergeProfile(measurement->get_info(), {}, &merged);
      ASSERT_TRUE(status.ok()) << status.message();
    }
    EXPECT_TRUE(bytes_of(merged) == single) << shards;
  }
  Reset();
  measurement = Attach(workspace_->CreateNet(WhileNet("n")), options);
  for (int64_t batch = 0; batch < 30; ++batch) run(batch);
  ASSERT_TRUE(measurement->dump(path).ok());
  Reset();
  options.resume_path = path;
  measurement = Attach(workspace_->CreateNet(WhileNet("n")), options);
  for (int64_t batch = 30; batch < kBatches; ++batch) run(batch);
  EXPECT_TRUE(bytes_of(measurement->get_info()) == single);
  // One of the older format lacks what is recorded now.
  NetInfo older = measurement->get_info();
  older.format_version = 1;
  older.inputs.clear();
  older.operators.clear();
  ASSERT_TRUE(WriteProfile(path, older, false).ok());
  Reset();
  const Status status = AttachOutputMinMaxObserver(
      workspace_->CreateNet(WhileNet("n")), options, nullptr);
  EXPECT_THAT(status.message(),
              HasSubstr("the profile is of format version 1, expected 2"));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace caffe2_quantization
