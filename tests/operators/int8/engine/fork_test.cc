// Processes that are forked while nets run and are observed: their int8
// operators, their measurements, and what they leave alone.
//
// A program of its own: OMP_NUM_THREADS is 2 for it, so that there is a pool of
// threads, which no child has.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/process.h"
#include "caffe2/core/tensor_int8.h"
#include "caffe2/core/workspace.h"
#include "observers/attachment.h"
#include "observers/record_callback.h"
#include "profiles/min_max_file.h"
#include "profiles/profile.h"
#include "quantization/onednn/parallel.h"
#include "tests/support/in_child.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kBatch = 2, kSize = 10, kChannels = 48, kOutputs = 64;

std::vector<float> Values(TestRandom* random, int64_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = random->Float(-1, 1);
  return values;
}

// One of each kind of product, each large enough for two threads.
// is_static: with parameters of the outputs; else the host's float operator
// runs beside each.
caffe2::NetDef Definition(const std::string& name, bool is_static) {
  NetBuilder net(name, "simple");
  const auto add = [&](const std::string& op,
                       const std::vector<std::string>& inputs,
                       const std::string& output) {
    OpBuilder builder = net.Op(op, inputs, {output});
    if (is_static) builder.Float("Y_scale", 0.2f).Int("Y_zero_point", 100);
    return builder;
  };
  add("Conv", {"x", "w1", "b1"}, "conv")
      .String("order", "NHWC")
      .Int("kernel", 3)
      .Int("pad", 1);
  add("Conv", {"conv", "w2", "b2"}, "depthwise")
      .String("order", "NHWC")
      .Int("kernel", 3)
      .Int("pad", 1)
      .Int("group", kOutputs);
  add("FC", {"depthwise", "w3", "b3"}, "fc").Int("axis", 3);
  add("BatchMatMul", {"m1", "m2"}, "products");
  caffe2::NetDef definition = net.Build();
  for (auto& op : *definition.mutable_op()) op.set_engine("ONEDNN");
  return definition;
}

const char* const kResults[] = {"conv", "depthwise", "fc", "products"};

void FeedAll(caffe2::Workspace* workspace, TestRandom* random) {
  const auto feed = [&](const char* name, std::vector<int64_t> shape) {
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    FeedFloats(workspace, name, Values(random, count), std::move(shape));
  };
  feed("x", {kBatch, kSize, kSize, kChannels});
  feed("w1", {kOutputs, 3, 3, kChannels});
  feed("b1", {kOutputs});
  feed("w2", {kOutputs, 3, 3, 1});
  feed("b2", {kOutputs});
  feed("w3", {384, kOutputs});
  feed("b3", {384});
  feed("m1", {8, 96, 96});
  feed("m2", {8, 96, 96});
}

std::vector<uint8_t> CodesOf(const caffe2::Workspace& workspace) {
  std::vector<uint8_t> codes;
  for (const char* name : kResults) {
    const auto& tensor =
        workspace.GetBlob(name)->Get<caffe2::int8::Int8TensorCPU>().t;
    const auto* const data = tensor.data<uint8_t>();
    codes.insert(codes.end(), data, data + tensor.numel());
  }
  return codes;
}

std::string ReadText(const fs::path& path) {
  std::ifstream stream(path);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

void LeaveTimeToChildren() {
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// Statuses that children end with; 0 is well. (A failed expectation of
// GoogleTest would be lost with the child.)
#define RETURN_UNLESS(status, condition) \
  if (!(condition)) return status

class ForkTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    folder_ =
        fs::temp_directory_path() / ("fork_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
    FeedAll(&workspace_, &random_);
    net_ = workspace_.CreateNet(Definition("net", GetParam()));
    ASSERT_NE(net_, nullptr);
    ASSERT_EQ(onednn::MaxThreads(), 2);
    ASSERT_TRUE(net_->Run());
    expected_ = CodesOf(workspace_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // In a child.
  int RunAndCompare(caffe2::NetBase* net) {
    for (const char* name : kResults) workspace_.GetBlob(name)->Reset();
    RETURN_UNLESS(1, net->Run());
    RETURN_UNLESS(2, CodesOf(workspace_) == expected_);
    return 0;
  }

  TestRandom random_;
  fs::path folder_;
  caffe2::Workspace workspace_;
  caffe2::NetBase* net_ = nullptr;
  std::vector<uint8_t> expected_;
};

TEST_P(ForkTest, AChildComputesOnOneThread) {
  EXPECT_EQ(InChild([&] {
              RETURN_UNLESS(11, onednn::MaxThreads() == 1);
              const int status = RunAndCompare(net_);
              if (status != 0) return status;
              // A net of its own: weights and plans are made anew.
              caffe2::NetBase* const own =
                  workspace_.CreateNet(Definition("own", GetParam()));
              return RunAndCompare(own);
            }),
            0);
}

// Threads of the child, which have a pool of the host's own.
TEST_P(ForkTest, ThreadsOfAChildComputeToo) {
  EXPECT_EQ(InChild([&] {
              int status = -1;
              std::thread([&] {
                status = onednn::MaxThreads() == 1 ? RunAndCompare(net_) : 11;
              }).join();
              return status;
            }),
            0);
}

TEST_P(ForkTest, AChildOfAChildComputesToo) {
  EXPECT_EQ(InChild([&] {
              const int status = RunAndCompare(net_);
              return status != 0 ? status
                                 : InChild([&] { return RunAndCompare(net_); });
            }),
            0);
}

// Two threads are at work in the parent while it forks: one runs nets of
// changing shapes, the other has one observed, and reads and writes what is
// measured.
TEST_P(ForkTest, ChildrenOfABusyProcess) {
  std::atomic<bool> done{false};
  const auto runs_nets = [&](TestRandom* random) {
    caffe2::Workspace workspace;
    FeedAll(&workspace, random);
    while (!done) {
      caffe2::NetBase* const net =
          workspace.CreateNet(Definition("busy", GetParam()));
      for (int i = 0; i < 3 && !done; ++i) {
        const int64_t batch = random->Integer(1, 6);
        FeedFloats(&workspace, "x",
                   std::vector<float>(batch * kSize * kSize * kChannels, 0.5f),
                   {batch, kSize, kSize, kChannels});
        EXPECT_TRUE(net->Run());
        LeaveTimeToChildren();
      }
      workspace.DeleteNet("busy");
    }
  };
  const auto observes = [&](TestRandom* random) {
    caffe2::Workspace workspace;
    FeedAll(&workspace, random);
    caffe2::NetBase* const net =
        workspace.CreateNet(Definition("observed", GetParam()));
    OutputMinMaxOptions options;
    options.recording.histogram_bins = 64;
    options.path = folder_ / "observed.profile";
    options.format = OutputMinMaxOptions::Format::kProfile;
    while (!done) {
      std::shared_ptr<NetMeasurement> measurement;
      EXPECT_TRUE(AttachOutputMinMaxObserver(net, options, &measurement).ok());
      EXPECT_TRUE(AttachOutputMinMaxObserverToLaterNets({}).ok());
      const int64_t id = AddRecordCallback([](const char*, void*) {}, nullptr);
      for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(net->Run());
        EXPECT_FALSE(ToJson(measurement->get_info(), true).empty());
        EXPECT_TRUE(measurement->dump().ok());
        LeaveTimeToChildren();
      }
      EXPECT_TRUE(RemoveRecordCallback(id));
      StopAttachingToLaterNets();
      EXPECT_TRUE(DetachOutputMinMaxObserver(net).ok());
    }
  };
  // Of the net that the children run.
  std::shared_ptr<NetMeasurement> of_parent;
  OutputMinMaxOptions options;
  options.path = folder_ / "parent.minmax";
  ASSERT_TRUE(AttachOutputMinMaxObserver(net_, options, &of_parent).ok());
  ASSERT_TRUE(net_->Run());
  ASSERT_TRUE(of_parent->dump().ok());
  const std::string written = ReadText(options.path);
  ASSERT_TRUE(net_->Run());  // which no file holds yet

  TestRandom first, second;
  std::thread runner([&] { runs_nets(&first); });
  std::thread observer([&] { observes(&second); });
  const auto child = [&](int index) {
    RETURN_UNLESS(20, AllNetMeasurements().empty());
    RETURN_UNLESS(21, of_parent->get_info().operators.empty());
    RETURN_UNLESS(22, of_parent->dump().message().find(
                          "belongs to the process that attached it") !=
                          std::string::npos);
    RETURN_UNLESS(23, !DetachOutputMinMaxObserver(net_).ok());
    int status = RunAndCompare(net_);
    if (status != 0) return status;

    OutputMinMaxOptions mine;
    mine.path = folder_ / ("child." + std::to_string(index));
    std::shared_ptr<NetMeasurement> measurement;
    RETURN_UNLESS(24,
                  AttachOutputMinMaxObserver(net_, mine, &measurement).ok());
    status = RunAndCompare(net_);
    if (status != 0) return status;
    const NetInfo info = measurement->get_info();
    RETURN_UNLESS(25, info.runs == 1 && info.operators.size() == 4 &&
                          info.operators[3].outputs[0].count == 8 * 96 * 96);
    RETURN_UNLESS(26, measurement->dump().ok());
    // Later nets are observed where the child says so.
    RETURN_UNLESS(27, AttachOutputMinMaxObserverToLaterNets({}).ok());
    caffe2::NetBase* const own =
        workspace_.CreateNet(Definition("own", GetParam()));
    RETURN_UNLESS(28, FindNetMeasurements("own", &workspace_).size() == 1);
    status = RunAndCompare(own);
    if (status != 0) return status;
    RETURN_UNLESS(29, net_->Run());
    if (index % 2 == 0) workspace_.DeleteNet("net");
    std::exit(0);  // in order, with what the process does at its end
  };
  const int64_t count = CaseCount(60, 1000);
  for (int64_t i = 0; i < count && !HasFailure(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(InChild([&] { return child(static_cast<int>(i)); }), 0);
    // Written when the child ended, with both runs.
    std::vector<MinMaxLine> lines;
    EXPECT_TRUE(
        ReadMinMaxFile(folder_ / ("child." + std::to_string(i)), &lines).ok());
    EXPECT_EQ(lines.size(), 4u);
    EXPECT_EQ(ReadText(options.path), written);
  }
  done = true;
  runner.join();
  observer.join();
  EXPECT_EQ(of_parent->get_info().runs, 2u);
  ASSERT_TRUE(DetachOutputMinMaxObserver(net_).ok());
}

INSTANTIATE_TEST_SUITE_P(Parameters, ForkTest, testing::Values(true, false),
                         [](const testing::TestParamInfo<bool>& info) {
                           return info.param ? "given" : "chosen";
                         });

}  // namespace
}  // namespace caffe2_quantization
