#include "observers/output_min_max_observer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <thread>

#include "caffe2/core/workspace.h"
#include "observers/attachment.h"
#include "profiles/min_max_file.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

using Ranges = std::map<std::string, std::pair<double, double>>;

Ranges TotalRanges(const NetInfo& info) {
  Ranges ranges;
  for (const auto& op : info.operators) {
    for (const auto& output : op.outputs) {
      ranges[output.tensor_name] = {output.total.range.min(),
                                    output.total.range.max()};
    }
  }
  return ranges;
}

// A net of several branches, so that dag nets have something to run at once:
//   a = Relu(x); b = Negative(x); c, d = Split(x); e = Add(a, b)
caffe2::NetDef BranchedNet(const std::string& name, const std::string& type,
                           const std::string& x) {
  NetBuilder net(name, type);
  net.Op("Relu", {x}, {x + "_a"});
  net.Op("Negative", {x}, {x + "_b"});
  net.Op("Split", {x}, {x + "_c", x + "_d"}).Int("axis", 0);
  net.Op("Add", {x + "_a", x + "_b"}, {x + "_e"});
  net.Input(x);
  return net.Build();
}

void Merge(const std::string& name, const std::vector<float>& values,
           Ranges* ranges) {
  auto& range =
      ranges
          ->emplace(name,
                    std::make_pair(std::numeric_limits<double>::infinity(),
                                   -std::numeric_limits<double>::infinity()))
          .first->second;
  for (const float value : values) {
    range.first = std::min(range.first, static_cast<double>(value));
    range.second = std::max(range.second, static_cast<double>(value));
  }
}

// What BranchedNet's outputs are, by the plainest means.
void MergeExpected(const std::string& x, const std::vector<float>& values,
                   Ranges* ranges) {
  std::vector<float> a, b, e;
  for (const float v : values) {
    a.push_back(v > 0 ? v : 0);
    b.push_back(-v);
    e.push_back(a.back() + b.back());
  }
  const auto half = values.begin() + values.size() / 2;
  Merge(x + "_a", a, ranges);
  Merge(x + "_b", b, ranges);
  Merge(x + "_c", {values.begin(), half}, ranges);
  Merge(x + "_d", {half, values.end()}, ranges);
  Merge(x + "_e", e, ranges);
}

std::vector<float> RandomValues(TestRandom* random) {
  std::vector<float> values(2 * random->Integer(1, 2000));
  for (float& value : values) value = random->Float(-100, 100);
  return values;
}

class ObserverOfNetType : public testing::TestWithParam<std::string> {};

TEST_P(ObserverOfNetType, EqualsThePlainMinAndMaxOfEveryRun) {
  TestRandom random;
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {0, 0});
  auto* net = workspace.CreateNet(BranchedNet("n", GetParam(), "x"));
  ASSERT_NE(net, nullptr);
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, {}, &measurement).ok());
  Ranges total;
  for (int run = 0; run < 20; ++run) {
    const auto values = RandomValues(&random);
    FeedFloats(&workspace, "x", values);
    measurement->reset();
    ASSERT_TRUE(workspace.RunNet("n"));
    Ranges expected;
    MergeExpected("x", values, &expected);
    MergeExpected("x", values, &total);
    const NetInfo info = measurement->get_info();
    for (const auto& op : info.operators) {
      for (const auto& output : op.outputs) {
        EXPECT_EQ(output.values.range.min(),
                  expected[output.tensor_name].first);
        EXPECT_EQ(output.values.range.max(),
                  expected[output.tensor_name].second);
        EXPECT_EQ(output.runs, static_cast<uint64_t>(run + 1));
      }
    }
    EXPECT_EQ(info.runs, static_cast<uint64_t>(run + 1));
    EXPECT_EQ(TotalRanges(info), total);
  }
  ASSERT_TRUE(DetachOutputMinMaxObserver(net).ok());
}

TEST_P(ObserverOfNetType, TwoNetsAtOnceFromTwoThreads) {
  TestRandom random;
  caffe2::Workspace workspace;
  std::vector<std::vector<float>> inputs = {RandomValues(&random),
                                            RandomValues(&random)};
  std::shared_ptr<NetMeasurement> measurements[2];
  for (int i = 0; i < 2; ++i) {
    const std::string x = "x" + std::to_string(i);
    FeedFloats(&workspace, x, inputs[i]);
    auto* net = workspace.CreateNet(BranchedNet("n" + x, GetParam(), x));
    ASSERT_NE(net, nullptr);
    ASSERT_TRUE(AttachOutputMinMaxObserver(net, {}, &measurements[i]).ok());
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (int run = 0; run < 50; ++run) {
        EXPECT_TRUE(workspace.RunNet("nx" + std::to_string(i)));
        // A reader of the other net's measurement meanwhile.
        EXPECT_LE(measurements[1 - i]->get_info().runs, 50u);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (int i = 0; i < 2; ++i) {
    Ranges expected;
    MergeExpected("x" + std::to_string(i), inputs[i], &expected);
    EXPECT_EQ(TotalRanges(measurements[i]->get_info()), expected);
    EXPECT_EQ(measurements[i]->get_info().runs, 50u);
  }
}

INSTANTIATE_TEST_SUITE_P(NetTypes, ObserverOfNetType,
                         testing::Values("simple", "simple_refcount", "dag",
                                         "prof_dag", "async_simple",
                                         "async_dag", "async_scheduling"),
                         [](const auto& info) { return info.param; });

class OutputMinMaxObserverTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("observer_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
    FeedFloats(&workspace_, "x", {-1, 2});
    net_ = workspace_.CreateNet(BranchedNet("n", "simple", "x"));
    ASSERT_NE(net_, nullptr);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void Run(const std::vector<float>& values) {
    FeedFloats(&workspace_, "x", values);
    ASSERT_TRUE(workspace_.RunNet("n"));
  }
  // Negative(x)'s range as a file has it.
  std::pair<double, double> NegativeIn(const std::string& name) {
    std::vector<MinMaxLine> lines;
    const Status status = ReadMinMaxFile(folder_ / name, &lines);
    EXPECT_TRUE(status.ok()) << status.message();
    for (const auto& line : lines) {
      if (line.tensor_name == "x_b") {
        return {line.range.min(), line.range.max()};
      }
    }
    ADD_FAILURE() << "no x_b in " << name;
    return {};
  }

  fs::path folder_;
  caffe2::Workspace workspace_;
  caffe2::NetBase* net_ = nullptr;
};

TEST_F(OutputMinMaxObserverTest, ObservesOneOperator) {
  caffe2::OperatorBase* op = net_->GetOperators()[1];
  auto owned = std::make_unique<OutputMinMaxObserver>(op);
  auto* observer = owned.get();
  op->AttachObserver(std::move(owned));
  Run({-1, 2});
  EXPECT_EQ(observer->get_info().op_type, "Negative");
  EXPECT_EQ(observer->get_info().outputs[0].values.range.min(), -2);
  observer->stop();
  Run({-9, 9});
  EXPECT_EQ(observer->get_info().outputs[0].values.range.min(), -2);
  observer->resume();
  observer->reset();
  Run({-1, 0});
  const OutputInfo output = observer->get_info().outputs[0];
  EXPECT_EQ(output.values.range.min(), 0);
  EXPECT_EQ(output.total.range.min(), -2);
  EXPECT_EQ(output.runs, 2u);
  EXPECT_EQ(output.count, 4u);
  EXPECT_NE(op->DetachObserver(observer), nullptr);
}

TEST_F(OutputMinMaxObserverTest, TimestampsComeFromTheClock) {
  int ticks = 0;
  OutputMinMaxOptions options;
  options.clock = [&] { return TimePoint(std::chrono::seconds(++ticks)); };
  options.recording.op_types = {"Relu"};
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, options, &measurement).ok());
  EXPECT_EQ(measurement->get_info().attached_at,
            TimePoint(std::chrono::seconds(1)));
  Run({1, 1});
  Run({1, 1});
  const NetInfo info = measurement->get_info();
  ASSERT_EQ(info.operators.size(), 1u);
  EXPECT_EQ(info.operators[0].first_record, TimePoint(std::chrono::seconds(2)));
  EXPECT_EQ(info.operators[0].last_record, TimePoint(std::chrono::seconds(3)));
}

TEST_F(OutputMinMaxObserverTest, ChoosesOperatorsByTypeAndOutput) {
  OutputMinMaxOptions options;
  options.recording.op_types = {"Relu", "Split"};
  options.recording.outputs = {"x_d", "x_e"};
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, options, &measurement).ok());
  const NetInfo info = measurement->get_info();
  ASSERT_EQ(info.operators.size(), 1u);
  EXPECT_EQ(info.operators[0].op_type, "Split");
  EXPECT_EQ(info.operators[0].op_index, 2);
}

TEST_F(OutputMinMaxObserverTest, NonFiniteOutputsNeverReachTheRange) {
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, {}, &measurement).ok());
  const float infinity = std::numeric_limits<float>::infinity();
  Run({std::nanf(""), 1, -infinity, infinity, -3, 5});
  const OutputInfo output = measurement->get_info().operators[1].outputs[0];
  EXPECT_EQ(output.values.range.min(), -5);
  EXPECT_EQ(output.values.range.max(), 3);
  EXPECT_EQ(output.nan_count, 1u);
  EXPECT_EQ(output.positive_infinity_count, 1u);
  EXPECT_EQ(output.negative_infinity_count, 1u);
}

TEST_F(OutputMinMaxObserverTest, DumpsPeriodicallyAndTotalsAtTheEnd) {
  OutputMinMaxOptions options;
  options.path = folder_ / "n.minmax";
  options.dump_freq = 2;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, options).ok());
  for (float v = 1; v <= 5; ++v) Run({v, v});
  EXPECT_EQ(NegativeIn("n_1.minmax"), std::make_pair(-2.0, -1.0));
  EXPECT_EQ(NegativeIn("n_2.minmax"), std::make_pair(-4.0, -3.0));
  EXPECT_FALSE(fs::exists(folder_ / "n.minmax"));
  ASSERT_TRUE(DetachOutputMinMaxObserver(net_).ok());
  EXPECT_EQ(NegativeIn("n.minmax"), std::make_pair(-5.0, -1.0));
}

TEST_F(OutputMinMaxObserverTest, ANetThatEndsWritesItsTotals) {
  OutputMinMaxOptions options;
  options.path = folder_ / "n.minmax";
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, options).ok());
  Run({1, 4});
  workspace_.DeleteNet("n");
  EXPECT_EQ(NegativeIn("n.minmax"), std::make_pair(-4.0, -1.0));
  const auto measurement = FindNetMeasurement("n", &workspace_);
  ASSERT_NE(measurement, nullptr);
  EXPECT_FALSE(measurement->get_info().net_alive);
  EXPECT_TRUE(ForgetNetMeasurement("n"));
  EXPECT_EQ(FindNetMeasurement("n", &workspace_), nullptr);
}

TEST_F(OutputMinMaxObserverTest, AFailedDumpKeepsWhatWasMeasured) {
  OutputMinMaxOptions options;
  options.path = folder_ / "missing" / "n.minmax";
  options.dump_freq = 1;
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, options, &measurement).ok());
  Run({1, 4});
  Run({2, 3});
  EXPECT_EQ(measurement->get_info().operators[1].outputs[0].values.range.min(),
            -4);
  const Status status = measurement->dump_and_reset();
  EXPECT_EQ(status.kind(), Status::Kind::kIoError);
  EXPECT_NE(status.message().find("missing"), std::string::npos);
  EXPECT_EQ(measurement->get_info().operators[1].outputs[0].values.range.min(),
            -4);
  EXPECT_FALSE(DetachOutputMinMaxObserver(net_).ok());
  EXPECT_NE(FindNetMeasurement("n", &workspace_), nullptr);
  // The folder turns up: nothing was lost.
  fs::create_directories(folder_ / "missing");
  ASSERT_TRUE(DetachOutputMinMaxObserver(net_).ok());
  EXPECT_EQ(NegativeIn("missing/n.minmax"), std::make_pair(-4.0, -1.0));
}

TEST_F(OutputMinMaxObserverTest, DumpAndResetStartsAnew) {
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, {}, &measurement).ok());
  Run({1, 4});
  ASSERT_TRUE(measurement->dump_and_reset(folder_ / "a.minmax").ok());
  Run({7, 8});
  ASSERT_TRUE(measurement->dump_and_reset(folder_ / "b.minmax").ok());
  ASSERT_TRUE(measurement->dump(folder_ / "total.minmax").ok());
  EXPECT_EQ(NegativeIn("a.minmax"), std::make_pair(-4.0, -1.0));
  EXPECT_EQ(NegativeIn("b.minmax"), std::make_pair(-8.0, -7.0));
  EXPECT_EQ(NegativeIn("total.minmax"), std::make_pair(-8.0, -1.0));
  EXPECT_EQ(measurement->dump().kind(), Status::Kind::kInvalidArgument);
}

TEST_F(OutputMinMaxObserverTest, AnUnsupportedOutputIsListed) {
  NetBuilder net("strings", "simple");
  net.Op("GivenTensorStringFill", {}, {"s"}).Strings("values", {"a"});
  auto* created = workspace_.CreateNet(net.Build());
  ASSERT_NE(created, nullptr);
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(created, {}, &measurement).ok());
  ASSERT_TRUE(workspace_.RunNet("strings"));
  const OutputInfo output = measurement->get_info().operators[0].outputs[0];
  EXPECT_EQ(output.unsupported_runs, 1u);
  EXPECT_EQ(output.runs, 0u);
  EXPECT_TRUE(output.values.range.empty());
  EXPECT_NE(output.type_name.find("string"), std::string::npos);
}

TEST_F(OutputMinMaxObserverTest, AFailedRunLeavesTheRangesAlone) {
  // Gather fills its output as far as it gets: what is in there after an index
  // out of range is nobody's result.
  NetBuilder net("gather", "simple");
  net.Op("Gather", {"x", "i"}, {"y"});
  FeedFloats(&workspace_, "x", {1, 1, 1});
  Feed<int64_t>(&workspace_, "i", {0, 1, 2});
  auto* created = workspace_.CreateNet(net.Build());
  ASSERT_NE(created, nullptr);
  OutputMinMaxOptions options;
  options.path = folder_ / "gather.minmax";
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(created, options, &measurement).ok());
  ASSERT_TRUE(workspace_.RunNet("gather"));
  Feed<int64_t>(&workspace_, "i", std::vector<int64_t>(5000, 1000000));
  EXPECT_ANY_THROW(workspace_.RunNet("gather"));
  try {
    throw std::runtime_error("a net that is run while this is handled");
  } catch (const std::exception&) {
    Feed<int64_t>(&workspace_, "i", {0, 1});
    EXPECT_TRUE(workspace_.RunNet("gather"));
  }
  const OutputInfo output = measurement->get_info().operators[0].outputs[0];
  EXPECT_EQ(output.runs, 2u);
  EXPECT_EQ(output.count, 5u);
  EXPECT_EQ(output.values.range.min(), 1);
  EXPECT_EQ(output.values.range.max(), 1);
}

TEST_F(OutputMinMaxObserverTest, WhatAFailedNetShowedIsWrittenToo) {
  NetBuilder net("fails", "simple");
  net.Op("Negative", {"x"}, {"x_b"});
  net.Op("MatMul", {"x", "x"}, {"bad"});  // x has one dimension
  auto* created = workspace_.CreateNet(net.Build());
  ASSERT_NE(created, nullptr);
  OutputMinMaxOptions options;
  options.path = folder_ / "fails.minmax";
  ASSERT_TRUE(AttachOutputMinMaxObserver(created, options).ok());
  FeedFloats(&workspace_, "x", {1, 4});
  EXPECT_ANY_THROW(workspace_.RunNet("fails"));
  workspace_.DeleteNet("fails");
  EXPECT_EQ(NegativeIn("fails.minmax"), std::make_pair(-4.0, -1.0));
}

TEST_F(OutputMinMaxObserverTest, ADumpElsewhereDoesNotCountForThePath) {
  OutputMinMaxOptions options;
  options.path = folder_ / "n.minmax";
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, options, &measurement).ok());
  Run({1, 4});
  ASSERT_TRUE(measurement->dump(folder_ / "other.minmax").ok());
  EXPECT_TRUE(measurement->unsaved());
  ASSERT_TRUE(DetachOutputMinMaxObserver(net_).ok());
  EXPECT_EQ(NegativeIn("n.minmax"), std::make_pair(-4.0, -1.0));
}

TEST_F(OutputMinMaxObserverTest, AFailedRunRecordsNoOutput) {
  NetBuilder net("fails", "simple");
  net.Op("Relu", {"x"}, {"ok"});
  net.Op("MatMul", {"x", "x"}, {"bad"});  // x has one dimension
  auto* created = workspace_.CreateNet(net.Build());
  ASSERT_NE(created, nullptr);
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(created, {}, &measurement).ok());
  EXPECT_ANY_THROW(workspace_.RunNet("fails"));
  const NetInfo info = measurement->get_info();
  EXPECT_EQ(info.operators[0].outputs[0].runs, 1u);
  EXPECT_EQ(info.operators[1].outputs[0].runs, 0u);
}

}  // namespace
}  // namespace caffe2_quantization
