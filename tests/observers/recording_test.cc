// What an observer records of which runs, and what it hands on.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <limits>
#include <set>
#include <thread>

#include "caffe2/core/tensor_int8.h"
#include "caffe2/core/workspace.h"
#include "observers/attachment.h"
#include "profiles/min_max_file.h"
#include "profiles/profile.h"
#include "tests/support/denormals_are_zeros.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

// An operator for tests: fills its outputs as a function says, and succeeds or
// not.
class ScriptedOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Script = std::function<bool(ScriptedOp*)>;
  static Script& script() {
    static Script script;
    return script;
  }
  using Operator::Operator;
  bool RunOnDevice() override { return script()(this); }

  void Fill(int output, const std::vector<float>& values,
            std::vector<int64_t> shape = {}) {
    if (shape.empty()) shape = {static_cast<int64_t>(values.size())};
    auto* tensor = Output(output, shape, at::dtype<float>());
    std::copy(values.begin(), values.end(), tensor->mutable_data<float>());
  }
};

void RegisterScriptedOp() {
  static const bool once = [] {
    caffe2::CPUOperatorRegistry()->Register(
        "Scripted", [](const caffe2::OperatorDef& definition,
                       caffe2::Workspace* workspace) {
          return std::unique_ptr<caffe2::OperatorBase>(
              new ScriptedOp(definition, workspace));
        });
    return true;
  }();
  (void)once;
}

class Recording : public testing::Test {
 protected:
  void SetUp() override {
    RegisterScriptedOp();
    static int number = 0;
    folder_ = fs::temp_directory_path() /
              ("recording_test." + std::to_string(getpid()) + "." +
               std::to_string(++number));
    fs::create_directories(folder_);
    workspace_ = std::make_unique<caffe2::Workspace>();
  }
  void TearDown() override {
    workspace_.reset();
    fs::remove_all(folder_);
  }

  caffe2::NetBase* Make(const std::string& name,
                        const std::vector<std::string>& outputs,
                        const std::string& type = "simple") {
    NetBuilder net(name, type);
    net.Op("Scripted", {}, outputs);
    return workspace_->CreateNet(net.Build());
  }
  std::shared_ptr<NetMeasurement> Attach(caffe2::NetBase* net,
                                         const OutputMinMaxOptions& options) {
    std::shared_ptr<NetMeasurement> measurement;
    const Status status =
        AttachOutputMinMaxObserver(net, options, &measurement);
    EXPECT_TRUE(status.ok()) << status.message();
    return measurement;
  }
  bool RunFloats(const std::string& net, const std::vector<float>& values) {
    ScriptedOp::script() = [&](ScriptedOp* op) {
      op->Fill(0, values);
      return true;
    };
    return workspace_->RunNet(net);
  }
  static OutputInfo Only(const NetMeasurement& measurement) {
    return measurement.get_info().operators.at(0).outputs.at(0);
  }
  std::string Read(const std::string& name) {
    std::ifstream stream(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  fs::path folder_;
  std::unique_ptr<caffe2::Workspace> workspace_;
};

TEST_F(Recording, ZerosEmptyRunsTypesAndShapes) {
  auto* net = Make("n", {"y"});
  const auto measurement = Attach(net, {});
  ASSERT_TRUE(RunFloats("n", {0, -0.0f, 1}));
  ASSERT_TRUE(RunFloats("n", {}));
  ScriptedOp::script() = [](ScriptedOp* op) {
    op->Output(0, {1, 2}, at::dtype<int>())->mutable_data<int>()[0] = 5;
    op->Output(0)->mutable_data<int>()[1] = 0;
    return true;
  };
  ASSERT_TRUE(workspace_->RunNet("n"));
  const OutputInfo output = Only(*measurement);
  EXPECT_EQ(output.runs, 3u);
  EXPECT_EQ(output.empty_runs, 1u);
  EXPECT_EQ(output.count, 5u);
  EXPECT_EQ(output.zero_count, 3u);
  EXPECT_EQ(output.type_name, "int");
  EXPECT_EQ(output.types, (std::vector<std::string>{"float", "int"}));
  EXPECT_EQ(output.shape, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(output.shapes.shapes(),
            (std::vector<std::vector<int64_t>>{{0}, {1, 2}, {3}}));
  EXPECT_EQ(output.total.range.max(), 5);
}

TEST_F(Recording, DenormalsWhereTheProcessorTakesThemForZeros) {
  const float smallest = std::numeric_limits<float>::denorm_min();
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions options;
  options.recording.histogram_bins = 16;
  const auto measurement = Attach(net, options);
  const std::vector<float> first = {3 * smallest, smallest};
  const std::vector<float> second = {-smallest, 0};
  std::string json;
  DumpOptions dump;
  dump.path = folder_ / "file";
  dump.format = OutputMinMaxOptions::Format::kMinMax;
  {
    const DenormalsAreZeros mode;
    ASSERT_TRUE(RunFloats("n", first));
    measurement->reset();
    ASSERT_TRUE(RunFloats("n", second));
    ASSERT_TRUE(measurement->dump_as(dump).ok());
    json = ToJson(measurement->get_info());
  }
  EXPECT_EQ(Read("file"), "0 Scripted 0 y -1e-45 4e-45\n");
  EXPECT_NE(json.find("\"total_min\": -1.4"), std::string::npos) << json;
  const OutputInfo output = Only(*measurement);
  EXPECT_EQ(output.zero_count, 1u);
  EXPECT_EQ(output.values.range.min(), -smallest);
  Histogram expected(16);
  expected.Add(first.data(), first.size());
  expected.Add(second.data(), second.size());
  EXPECT_TRUE(output.total.histogram == expected);
}

TEST_F(Recording, MissingUnsupportedAndSeveralOutputs) {
  auto* net = Make("n", {"never", "text", "values", "values"});
  const auto measurement = Attach(net, {});
  ScriptedOp::script() = [](ScriptedOp* op) {
    *op->Output(1, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
        "a";
    op->Fill(3, {4, -4});
    return true;
  };
  ASSERT_TRUE(workspace_->RunNet("n"));
  const auto outputs = measurement->get_info().operators.at(0).outputs;
  EXPECT_EQ(outputs[0].missing_runs, 1u);
  EXPECT_EQ(outputs[0].runs, 0u);
  EXPECT_EQ(outputs[1].unsupported_runs, 1u);
  EXPECT_NE(outputs[1].type_name.find("string"), std::string::npos);
  // Two outputs in one blob have the same values.
  for (const int i : {2, 3}) {
    EXPECT_EQ(outputs[i].runs, 1u);
    EXPECT_EQ(outputs[i].total.range.min(), -4);
  }
}

TEST_F(Recording, AnOutputInPlace) {
  NetBuilder net("n", "simple");
  net.Op("Negative", {"x"}, {"x"});
  net.Op("Relu", {"x"}, {"x"});
  FeedFloats(workspace_.get(), "x", {-1, 2});
  const auto measurement = Attach(workspace_->CreateNet(net.Build()), {});
  ASSERT_TRUE(workspace_->RunNet("n"));
  const NetInfo info = measurement->get_info();
  EXPECT_EQ(info.operators[0].outputs[0].total.range.min(), -2);
  EXPECT_EQ(info.operators[1].outputs[0].total.range.min(), 0);
}

TEST_F(Recording, QuantizedOutputsHaveTwoRanges) {
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions options;
  options.recording.histogram_bins = 64;
  const auto measurement = Attach(net, options);
  ScriptedOp::script() = [](ScriptedOp* op) {
    auto* tensor = op->OperatorBase::Output<caffe2::int8::Int8TensorCPU>(0);
    tensor->scale = 0.5f;
    tensor->zero_point = 10;
    tensor->t.Resize(3);
    uint8_t* data = tensor->t.mutable_data<uint8_t>();
    data[0] = 10;
    data[1] = 0;
    data[2] = 30;
    return true;
  };
  ASSERT_TRUE(workspace_->RunNet("n"));
  const OutputInfo output = Only(*measurement);
  EXPECT_EQ(output.total.range.min(), -5);
  EXPECT_EQ(output.total.range.max(), 10);
  EXPECT_EQ(output.total.raw_range.integer_min(), 0);
  EXPECT_EQ(output.total.raw_range.integer_max(), 30);
  EXPECT_EQ(output.zero_count, 1u);
  Histogram expected(64);
  for (const double value : {0, -5, 10}) expected.AddRepeated(value, 1);
  EXPECT_TRUE(output.total.histogram == expected);
  EXPECT_EQ(output.shape, (std::vector<int64_t>{3}));
  EXPECT_NE(output.type_name.find("Int8TensorCPU"), std::string::npos);
}

TEST_F(Recording, HistogramsOfValuesAndTotals) {
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions options;
  options.recording.histogram_bins = 128;
  const auto measurement = Attach(net, options);
  Histogram total(128), since_reset(128);
  const float infinity = std::numeric_limits<float>::infinity();
  ASSERT_TRUE(RunFloats("n", {1, 2, infinity, std::nanf("")}));
  for (const double value : {1, 2}) total.AddRepeated(value, 1);
  measurement->reset();
  ASSERT_TRUE(RunFloats("n", {-3, 100}));
  for (const double value : {-3, 100}) {
    total.AddRepeated(value, 1);
    since_reset.AddRepeated(value, 1);
  }
  const OutputInfo output = Only(*measurement);
  EXPECT_TRUE(output.values.histogram == since_reset);
  EXPECT_TRUE(output.total.histogram == total);
}

TEST_F(Recording, AFailedDumpLeavesHistogramsAsTheyWere) {
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions options;
  options.recording.histogram_bins = 128;
  options.format = OutputMinMaxOptions::Format::kProfile;
  options.path = folder_ / "no" / "such" / "folder";
  options.dump_freq = 1;
  const auto measurement = Attach(net, options);
  Histogram expected(128);
  for (const float v : {1, 2, 3}) {
    ASSERT_TRUE(RunFloats("n", {v}));
    expected.AddRepeated(v, 1);
    EXPECT_FALSE(measurement->dump_and_reset().ok());
    EXPECT_FALSE(measurement->dump().ok());
  }
  EXPECT_TRUE(Only(*measurement).values.histogram == expected);
  EXPECT_TRUE(Only(*measurement).total.histogram == expected);
  ASSERT_TRUE(measurement->dump_and_reset(folder_ / "ok").ok());
  EXPECT_TRUE(Only(*measurement).values.histogram.empty());
  EXPECT_TRUE(Only(*measurement).total.histogram == expected);
  EXPECT_FALSE(DetachOutputMinMaxObserver(net).ok());
  fs::create_directories(folder_ / "no" / "such");
  EXPECT_TRUE(DetachOutputMinMaxObserver(net).ok());
}

TEST_F(Recording, ColumnMaxima) {
  auto* net = Make("n", {"y", "z"});
  OutputMinMaxOptions options;
  options.recording.column_max_blobs = {"z", "z"};
  const auto measurement = Attach(net, options);
  EXPECT_EQ(measurement->get_info().options.column_max_bins, 16);
  Histogram first(16), second(16);
  for (const float v : {1.0f, 5.0f, -2.0f}) {
    ScriptedOp::script() = [v](ScriptedOp* op) {
      op->Fill(0, {1, 2}, {1, 2});
      op->Fill(1, {v, 0, v - 1, 3}, {2, 2});
      return true;
    };
    ASSERT_TRUE(workspace_->RunNet("n"));
    first.AddRepeated(v, 1);
    second.AddRepeated(3, 1);
  }
  ScriptedOp::script() = [](ScriptedOp* op) {
    op->Fill(0, {1});
    op->Fill(1, {1});
    return true;
  };
  ASSERT_TRUE(workspace_->RunNet("n"));
  const auto outputs = measurement->get_info().operators[0].outputs;
  EXPECT_TRUE(outputs[0].total.column_max.empty());
  EXPECT_EQ(outputs[0].column_max_unsupported_runs, 0u);
  ASSERT_EQ(outputs[1].total.column_max.size(), 2u);
  EXPECT_TRUE(outputs[1].total.column_max[0] == first);
  EXPECT_TRUE(outputs[1].total.column_max[1] == second);
  EXPECT_EQ(outputs[1].column_max_unsupported_runs, 1u);
}

// ---- Which runs -------------------------------------------------------------

class RecordingOfNetType : public Recording,
                           public testing::WithParamInterface<std::string> {};

TEST_P(RecordingOfNetType, ARunThatFailsIsNotRecorded) {
  auto* net = Make("n", {"y"}, GetParam());
  const auto measurement = Attach(net, {});
  enum { kGood, kFalse, kThrow };
  for (const int end : {kGood, kFalse, kGood, kThrow, kGood, kFalse, kFalse}) {
    ScriptedOp::script() = [end](ScriptedOp* op) {
      op->Fill(0, {end == kGood ? 1.0f : 99.0f});
      if (end == kThrow) CAFFE_THROW("as told");
      return end == kGood;
    };
    bool ran = false;
    try {
      ran = workspace_->RunNet("n");
    } catch (const std::exception&) {
      EXPECT_EQ(end, kThrow);
    }
    EXPECT_EQ(ran, end == kGood);
  }
  EXPECT_EQ(measurement->get_info().runs, 3u);
  EXPECT_EQ(measurement->get_info().recorded_runs, 3u);
  EXPECT_EQ(Only(*measurement).runs, 3u);
  EXPECT_EQ(Only(*measurement).total.range.max(), 1);
}

TEST_P(RecordingOfNetType, EveryNthRunAndNoMoreThanTheLimit) {
  auto* net = Make("n", {"y"}, GetParam());
  OutputMinMaxOptions options;
  options.recording.every = 3;
  options.recording.run_limit = 2;
  const auto measurement = Attach(net, options);
  for (float run = 1; run <= 12; ++run) ASSERT_TRUE(RunFloats("n", {run}));
  NetInfo info = measurement->get_info();
  EXPECT_EQ(info.recorded_runs, 2u);
  EXPECT_EQ(info.runs, 4u);  // the limit is reached with run 4
  EXPECT_TRUE(info.stopped);
  EXPECT_EQ(info.operators[0].outputs[0].runs, 2u);
  EXPECT_EQ(info.operators[0].outputs[0].total.range.min(), 1);
  EXPECT_EQ(info.operators[0].outputs[0].total.range.max(), 4);
  measurement->resume();
  ASSERT_TRUE(RunFloats("n", {100}));
  EXPECT_EQ(measurement->get_info().recorded_runs, 2u);
}

// Both where the operator that runs is observed and where it is not.
TEST_P(RecordingOfNetType, ARunningNetIsRefused) {
  NetBuilder builder("n", GetParam());
  builder.Op("Scripted", {}, {"y"});
  builder.Op("Scripted", {"y"}, {"z"});
  auto* net = workspace_->CreateNet(builder.Build());
  for (const char* observed : {"y", "z"}) {
    OutputMinMaxOptions options, second;
    options.recording.outputs = {observed};
    second.label = "second";
    const auto measurement = Attach(net, options);
    std::promise<void> began, may_end;
    ScriptedOp::script() = [&](ScriptedOp* op) {
      op->Fill(0, {1});
      if (op->InputSize() == 1) return true;
      began.set_value();
      may_end.get_future().wait();
      return true;
    };
    std::thread runner([&] { EXPECT_TRUE(workspace_->RunNet("n")); });
    began.get_future().wait();
    const std::string running = "net 'n' is running";
    EXPECT_NE(AttachOutputMinMaxObserver(net, second)
                  .message()
                  .find("cannot attach an observer: " + running),
              std::string::npos);
    EXPECT_NE(DetachOutputMinMaxObserver(net).message().find(
                  "cannot detach an observer: " + running),
              std::string::npos);
    EXPECT_NE(CheckIsNotRunning(*net, "do it").message().find("cannot do it: "),
              std::string::npos);
    measurement->stop();  // changes nothing of that
    EXPECT_FALSE(DetachOutputMinMaxObserver(net).ok());
    measurement->resume();
    may_end.set_value();
    runner.join();
    // All of the run was recorded, and now both may come and go.
    EXPECT_EQ(measurement->get_info().runs, 1u);
    Attach(net, second);
    EXPECT_TRUE(DetachOutputMinMaxObserver(net, "second").ok());
    EXPECT_TRUE(DetachOutputMinMaxObserver(net).ok());
  }
  for (auto* op : net->GetOperators()) EXPECT_EQ(op->NumObservers(), 0u);
}

// The host does not tell the end of every run that fails.
TEST_P(RecordingOfNetType, ANetThatFailedIsNotRunning) {
  NetBuilder builder("n", GetParam());
  builder.Op("Scripted", {}, {"y"});
  builder.Op("Scripted", {"y"}, {"z"});
  auto* net = workspace_->CreateNet(builder.Build());
  for (const char* observed : {"y", "z"}) {
    for (const char* fails : {"y", "z"}) {
      for (const bool throws : {false, true}) {
        for (const bool stopped : {false, true}) {
          OutputMinMaxOptions options;
          options.recording.outputs = {observed};
          const auto measurement = Attach(net, options);
          if (stopped) measurement->stop();
          ScriptedOp::script() = [&](ScriptedOp* op) {
            op->Fill(0, {1});
            if (op->debug_def().output(0) != fails) return true;
            if (throws) CAFFE_THROW("as told");
            return false;
          };
          bool ran = false;
          ErrorOf([&] { ran = workspace_->RunNet("n"); });
          EXPECT_FALSE(ran);
          EXPECT_EQ(measurement->get_info().runs, 0u);
          const Status status = DetachOutputMinMaxObserver(net);
          EXPECT_TRUE(status.ok()) << status.message();
        }
      }
    }
  }
}

TEST_P(RecordingOfNetType, ACallbackThatDetachesIsRefused) {
  auto* net = Make("n", {"y"}, GetParam());
  OutputMinMaxOptions options;
  std::string message;
  options.on_record = [&](const OutputRecord&) {
    message = DetachOutputMinMaxObserver(net).message();
  };
  const auto measurement = Attach(net, options);
  ASSERT_TRUE(RunFloats("n", {1}));
  EXPECT_NE(message.find("net 'n' is running"), std::string::npos) << message;
  EXPECT_EQ(measurement->get_info().runs, 1u);
}

INSTANTIATE_TEST_SUITE_P(NetTypes, RecordingOfNetType,
                         testing::Values("simple", "dag", "prof_dag",
                                         "async_scheduling"),
                         [](const auto& info) { return info.param; });

TEST_F(Recording, StopAndResumeCountNoRunBetween) {
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions options;
  options.recording.every = 2;
  const auto measurement = Attach(net, options);
  ASSERT_TRUE(RunFloats("n", {1}));
  measurement->stop();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(RunFloats("n", {50}));
  measurement->resume();
  ASSERT_TRUE(RunFloats("n", {70}));  // the second
  ASSERT_TRUE(RunFloats("n", {3}));   // the third
  EXPECT_EQ(measurement->get_info().runs, 3u);
  EXPECT_EQ(Only(*measurement).total.range.max(), 3);
}

TEST_F(Recording, OneOperatorsObserverCountsItsRuns) {
  auto* net = Make("n", {"y"});
  caffe2::OperatorBase* op = net->GetOperators()[0];
  OutputMinMaxOptions options;
  options.recording.every = 2;
  auto owned = std::make_unique<OutputMinMaxObserver>(op, options);
  auto* observer = owned.get();
  op->AttachObserver(std::move(owned));
  for (float run = 1; run <= 5; ++run) ASSERT_TRUE(RunFloats("n", {run}));
  EXPECT_EQ(observer->get_info().outputs[0].runs, 3u);
  EXPECT_EQ(observer->get_info().outputs[0].count, 3u);
}

TEST_F(Recording, PatternsChooseOperators) {
  NetBuilder builder("n", "simple");
  for (const char* name : {"conv1", "conv2", "fc"}) {
    builder.Op("Scripted", {}, {std::string(name) + "_y"});
  }
  caffe2::NetDef def = builder.Build();
  def.mutable_op(1)->set_name("second/part");
  auto* net = workspace_->CreateNet(def);
  const auto chosen = [&](const RecordingOptions& recording) {
    OutputMinMaxOptions options;
    options.recording = recording;
    std::set<int> indexes;
    for (const auto& op : Attach(net, options)->get_info().operators) {
      EXPECT_EQ(op.op_name, op.op_index == 1 ? "second/part" : "");
      indexes.insert(op.op_index);
    }
    EXPECT_TRUE(DetachOutputMinMaxObserver(net).ok());
    return indexes;
  };
  RecordingOptions outputs, names, types;
  outputs.outputs = {"conv?_*"};
  EXPECT_EQ(chosen(outputs), (std::set<int>{0, 1}));
  outputs.outputs = {"[a-e]*1_y", "fc_y"};
  EXPECT_EQ(chosen(outputs), (std::set<int>{0, 2}));
  names.op_names = {"second*"};
  EXPECT_EQ(chosen(names), (std::set<int>{1}));
  types.op_types = {"S*ed"};
  EXPECT_EQ(chosen(types), (std::set<int>{0, 1, 2}));
}

TEST_F(Recording, OptionsOutOfRangeAreRefused) {
  auto* net = Make("n", {"y"});
  const auto refused = [&](const auto& change) {
    OutputMinMaxOptions options;
    change(options);
    const Status status = AttachOutputMinMaxObserver(net, options);
    EXPECT_EQ(status.kind(), Status::Kind::kInvalidArgument);
    return status.message();
  };
  EXPECT_NE(refused([](auto& o) { o.recording.every = 0; }).find("every is 0"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) {
              o.recording.run_limit = -1;
            }).find("run_limit is -1"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) {
              o.recording.histogram_bins = 3;
            }).find("expected 4 to 65536"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.delimiter = ", 1"; }).find("', 1'"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) { o.delimiter = ""; }).find("delimiter"),
            std::string::npos);
  EXPECT_NE(refused([](auto& o) {
              o.format = OutputMinMaxOptions::Format::kColumnMax;
            }).find("column_max_blobs"),
            std::string::npos);
  EXPECT_EQ(net->GetOperators()[0]->NumObservers(), 0u);
}

// ---- Several observers ------------------------------------------------------

TEST_F(Recording, SeveralObserversOfANetAreToldApartByLabel) {
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions all, second;
  second.label = "second";
  second.recording.every = 2;
  const auto a = Attach(net, all);
  const auto b = Attach(net, second);
  EXPECT_FALSE(AttachOutputMinMaxObserver(net, second).ok());
  for (float run = 1; run <= 4; ++run) ASSERT_TRUE(RunFloats("n", {run}));
  EXPECT_EQ(Only(*a).runs, 4u);
  EXPECT_EQ(Only(*b).runs, 2u);
  EXPECT_EQ(FindNetMeasurement("n", workspace_.get()), a);
  EXPECT_EQ(FindNetMeasurement("n", workspace_.get(), "second"), b);
  EXPECT_EQ(FindNetMeasurement("n", workspace_.get(), "third"), nullptr);
  EXPECT_EQ(FindNetMeasurements("n", workspace_.get()).size(), 2u);
  EXPECT_TRUE(DetachOutputMinMaxObserver(net).ok());
  ASSERT_TRUE(RunFloats("n", {5}));
  EXPECT_EQ(Only(*a).runs, 4u);
  EXPECT_EQ(Only(*b).runs, 3u);
  EXPECT_FALSE(DetachOutputMinMaxObserver(net).ok());
  workspace_->DeleteNet("n");
  EXPECT_EQ(FindNetMeasurement("n", workspace_.get(), "second"), b);
  const std::string label = "second", other = "third";
  EXPECT_FALSE(ForgetNetMeasurement("n", &other));
  EXPECT_TRUE(ForgetNetMeasurement("n", &label));
}

TEST_F(Recording, LaterNetsGetAnObserverForEachLabel) {
  OutputMinMaxOptions ranges, profiles;
  ranges.path = folder_ / "all.minmax";
  profiles.label = "p";
  profiles.format = OutputMinMaxOptions::Format::kProfile;
  ASSERT_TRUE(AttachOutputMinMaxObserverToLaterNets(ranges, {"", true}).ok());
  ASSERT_TRUE(
      AttachOutputMinMaxObserverToLaterNets(profiles, {folder_, false}).ok());
  for (const char* name : {"first", "second"}) {
    Make(name, {"y"});
    ASSERT_TRUE(RunFloats(name, {name[0] == 'f' ? 1.0f : 2.0f}));
    EXPECT_EQ(FindNetMeasurements(name, workspace_.get()).size(), 2u);
  }
  const std::string label = "p";
  StopAttachingToLaterNets(&label);
  Make("third", {"y"});
  EXPECT_EQ(FindNetMeasurements("third", workspace_.get()).size(), 1u);
  StopAttachingToLaterNets();
  Make("fourth", {"y"});
  EXPECT_TRUE(FindNetMeasurements("fourth", workspace_.get()).empty());
  workspace_.reset();
  EXPECT_EQ(Read("all.minmax.1"), "0 Scripted 0 y 1 1\n");
  EXPECT_EQ(Read("all.minmax.2"), "0 Scripted 0 y 2 2\n");
  NetInfo profile;
  ASSERT_TRUE(ReadProfile(folder_ / "second.p.profile", &profile).ok());
  EXPECT_EQ(profile.operators[0].outputs[0].total.range.max(), 2);
}

TEST_F(Recording, LaterNetsOnOnePathReplaceEachOther) {
  OutputMinMaxOptions options;
  options.path = folder_ / "one.minmax";
  ASSERT_TRUE(AttachOutputMinMaxObserverToLaterNets(options).ok());
  for (const float value : {1.0f, 2.0f}) {
    Make("n", {"y"});
    ASSERT_TRUE(RunFloats("n", {value}));
    workspace_->DeleteNet("n");
    EXPECT_EQ(Read("one.minmax"),
              value == 1 ? "0 Scripted 0 y 1 1\n" : "0 Scripted 0 y 2 2\n");
  }
  StopAttachingToLaterNets();
}

// ---- Callbacks --------------------------------------------------------------

TEST_F(Recording, CallsBackAfterEachOutput) {
  auto* net = Make("n", {"y", "z"});
  std::vector<OutputRecord> records;
  OutputMinMaxOptions options;
  options.label = "l";
  std::shared_ptr<NetMeasurement> measurement;
  options.on_record = [&](const OutputRecord& record) {
    records.push_back(record);
    measurement->get_info();  // under no lock
  };
  measurement = Attach(net, options);
  for (const float v : {1.0f, 7.0f}) {
    ScriptedOp::script() = [v](ScriptedOp* op) {
      op->Fill(0, {v, 0, std::nanf("")});
      return true;
    };
    ASSERT_TRUE(workspace_->RunNet("n"));
  }
  ASSERT_EQ(records.size(), 4u);
  const OutputRecord& last = records[2];
  EXPECT_EQ(last.net_name, "n");
  EXPECT_EQ(last.observer, "l");
  EXPECT_EQ(last.op_type, "Scripted");
  EXPECT_EQ(last.tensor_name, "y");
  EXPECT_EQ(last.type_name, "float");
  EXPECT_EQ(last.shape, (std::vector<int64_t>{3}));
  EXPECT_EQ(last.range.min(), 0);
  EXPECT_EQ(last.range.max(), 7);
  EXPECT_EQ(last.count, 3u);
  EXPECT_EQ(last.zero_count, 1u);
  EXPECT_EQ(last.nan_count, 1u);
  EXPECT_EQ(last.run, 2u);
  EXPECT_EQ(records[3].count, 0u);
  EXPECT_EQ(records[3].type_name, "");
}

TEST_F(Recording, ACallbackThatThrowsStopsNothing) {
  auto* net = Make("n", {"y"});
  int calls = 0;
  OutputMinMaxOptions options;
  options.on_record = [&](const OutputRecord&) {
    ++calls;
    throw std::runtime_error("as told");
  };
  const auto measurement = Attach(net, options);
  ASSERT_TRUE(RunFloats("n", {1}));
  ASSERT_TRUE(RunFloats("n", {2}));
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(Only(*measurement).runs, 2u);
}

// ---- Files ------------------------------------------------------------------

TEST_F(Recording, EachFormatHasItsFile) {
  using Format = OutputMinMaxOptions::Format;
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions options;
  options.delimiter = ", ";
  options.recording.histogram_bins = 4;
  options.recording.column_max_blobs = {"y"};
  options.recording.column_max_bins = 4;
  const auto measurement = Attach(net, options);
  ScriptedOp::script() = [](ScriptedOp* op) {
    op->Fill(0, {0, 1, 2, 3.5f}, {2, 2});
    return true;
  };
  ASSERT_TRUE(workspace_->RunNet("n"));
  const auto dumped = [&](Format format, const std::string& delimiter) {
    DumpOptions dump;
    dump.path = folder_ / "file";
    dump.format = format;
    dump.delimiter = delimiter;
    const Status status = measurement->dump_as(dump);
    EXPECT_TRUE(status.ok()) << status.message();
    return Read("file");
  };
  EXPECT_EQ(dumped(Format::kMinMax, ""), "0, Scripted, 0, y, 0, 3.5\n");
  EXPECT_EQ(dumped(Format::kMinMax, " "), "0 Scripted 0 y 0 3.5\n");
  EXPECT_EQ(dumped(Format::kHistogram, " "), "0 Scripted 0 y 0 4 4 1 1 1 1\n");
  // By default the most particular one that is recorded.
  EXPECT_EQ(dumped(Format::kDefault, " "), dumped(Format::kColumnMax, " "));
  const std::string columns = dumped(Format::kColumnMax, " ");
  EXPECT_EQ(columns.substr(0, 10), "0 0 y 0 2 ");
  EXPECT_EQ(std::count(columns.begin(), columns.end(), '\n'), 2);
  NetInfo profile;
  EXPECT_NE(dumped(Format::kProfile, "").find("Scripted"), std::string::npos);
  ASSERT_TRUE(ReadProfile(folder_ / "file", &profile).ok());
  EXPECT_EQ(dumped(Format::kProfileJson, "").front(), '{');
  ASSERT_TRUE(ReadProfile(folder_ / "file", &profile).ok());
  EXPECT_EQ(profile.hosts.size(), 1u);
  EXPECT_EQ(profile.net_hash, measurement->get_info().net_hash);
}

// ---- Profiles ---------------------------------------------------------------

TEST_F(Recording, GoesOnFromAProfileAsIfNeverInterrupted) {
  TestRandom random;
  OutputMinMaxOptions options;
  options.recording.histogram_bins = 32;
  options.recording.column_max_blobs = {"y"};
  options.recording.every = 2;
  options.format = OutputMinMaxOptions::Format::kProfile;
  std::vector<std::vector<float>> runs(9);
  for (auto& run : runs) {
    run.resize(2 * random.Integer(0, 50));
    for (float& value : run) value = random.Float(-4, 4);
  }
  const auto run_all = [&](const std::string& net, std::size_t first,
                           std::size_t end) {
    for (std::size_t i = first; i < end; ++i) {
      ScriptedOp::script() = [&](ScriptedOp* op) {
        op->Fill(0, runs[i], {static_cast<int64_t>(runs[i].size() / 2), 2});
        return true;
      };
      ASSERT_TRUE(workspace_->RunNet(net));
    }
  };
  auto* whole = Make("whole", {"y"});
  const auto never = Attach(whole, options);
  never->set_samples(9);
  run_all("whole", 0, 9);
  ASSERT_TRUE(never->dump(folder_ / "whole").ok());

  auto* part = Make("part", {"y"});
  const auto before = Attach(part, options);
  run_all("part", 0, 4);
  before->set_samples(4);
  ASSERT_TRUE(before->dump(folder_ / "checkpoint").ok());
  workspace_->DeleteNet("part");
  part = Make("part", {"y"});
  options.resume_path = folder_ / "checkpoint";
  const auto after = Attach(part, options);
  EXPECT_EQ(after->get_info().samples, 4u);
  EXPECT_TRUE(Only(*after).values.range.empty());
  run_all("part", 4, 9);
  after->set_samples(9);
  ASSERT_TRUE(after->dump(folder_ / "resumed").ok());

  const auto bytes = [&](const std::string& name) {
    NetInfo info;
    EXPECT_TRUE(ReadProfile(folder_ / name, &info).ok());
    info.hosts.clear();
    info.first_record = info.last_record = TimePoint{};
    info.net_name.clear();
    std::string text;
    EXPECT_TRUE(ProfileToBytes(info, &text).ok());
    return text;
  };
  EXPECT_EQ(bytes("resumed"), bytes("whole"));
}

TEST_F(Recording, AProfileThatDoesNotFitIsRefused) {
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions options;
  options.format = OutputMinMaxOptions::Format::kProfile;
  Attach(net, options);
  ASSERT_TRUE(RunFloats("n", {1}));
  ASSERT_TRUE(FindNetMeasurement("n", workspace_.get())
                  ->dump(folder_ / "profile")
                  .ok());
  ASSERT_TRUE(DetachOutputMinMaxObserver(net).ok());
  const std::size_t net_observers = net->NumObservers();
  const std::size_t observers = net->GetOperators()[0]->NumObservers();

  options.resume_path = folder_ / "profile";
  OutputMinMaxOptions other = options;
  other.recording.every = 5;
  const std::string message = AttachOutputMinMaxObserver(net, other).message();
  EXPECT_NE(message.find("every is 1, expected 5"), std::string::npos)
      << message;
  auto* another = Make("another", {"z"});
  EXPECT_NE(AttachOutputMinMaxObserver(another, options).message().find("hash"),
            std::string::npos);
  other.resume_path = folder_ / "nothing";
  EXPECT_FALSE(AttachOutputMinMaxObserver(net, other).ok());
  EXPECT_EQ(net->NumObservers(), net_observers);
  EXPECT_EQ(net->GetOperators()[0]->NumObservers(), observers);
  EXPECT_TRUE(FindNetMeasurements("another", workspace_.get()).empty());
  EXPECT_TRUE(AttachOutputMinMaxObserver(net, options).ok());
}

TEST_F(Recording, PeriodicProfilesHoldOneSpanEach) {
  auto* net = Make("n", {"y"});
  OutputMinMaxOptions options;
  options.recording.histogram_bins = 32;
  options.format = OutputMinMaxOptions::Format::kProfileJson;
  options.path = folder_ / "n.json";
  options.dump_freq = 2;
  Attach(net, options);
  for (float run = 1; run <= 5; ++run) ASSERT_TRUE(RunFloats("n", {run, 0}));
  ASSERT_TRUE(DetachOutputMinMaxObserver(net).ok());
  const auto read = [&](const char* name) {
    NetInfo info;
    const Status status = ReadProfile(folder_ / name, &info);
    EXPECT_TRUE(status.ok()) << status.message();
    return info;
  };
  for (const char* name : {"n_1.json", "n_2.json"}) {
    const NetInfo info = read(name);
    EXPECT_EQ(info.runs, 2u);
    EXPECT_EQ(info.recorded_runs, 2u);
    const OutputInfo& output = info.operators.at(0).outputs.at(0);
    EXPECT_EQ(output.count, 4u);
    EXPECT_EQ(output.zero_count, 2u);
    EXPECT_EQ(output.total.histogram.total(), 4u);
  }
  const NetInfo total = read("n.json");
  EXPECT_EQ(total.runs, 5u);
  EXPECT_EQ(total.operators.at(0).outputs.at(0).count, 10u);
  EXPECT_EQ(total.operators.at(0).outputs.at(0).total.histogram.total(), 10u);
}

}  // namespace
}  // namespace caffe2_quantization
