#include "observers/attachment.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "caffe2/core/workspace.h"
#include "profiles/min_max_file.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

caffe2::NetDef NegativeNet(const std::string& name) {
  NetBuilder net(name, "simple");
  net.Op("Negative", {"x"}, {"y"});
  return net.Build();
}

TEST(Attachment, RefusesASecondObserver) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {1});
  auto* net = workspace.CreateNet(NegativeNet("n"));
  const std::size_t before = net->NumObservers();
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, {}).ok());
  const Status status = AttachOutputMinMaxObserver(net, {});
  EXPECT_EQ(status.kind(), Status::Kind::kInvalidArgument);
  EXPECT_NE(status.message().find("'n'"), std::string::npos);
  EXPECT_TRUE(DetachOutputMinMaxObserver(net).ok());
  EXPECT_FALSE(DetachOutputMinMaxObserver(net).ok());
  EXPECT_EQ(net->NumObservers(), before);
  EXPECT_EQ(net->GetOperators()[0]->NumObservers(), 0u);
  EXPECT_TRUE(AttachOutputMinMaxObserver(net, {}).ok());
}

TEST(Attachment, TwoThreadsAttachOnceAndDetachOnce) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {1});
  auto* net = workspace.CreateNet(NegativeNet("n"));
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> attached{0}, detached{0};
    const auto twice = [&](const auto& call) {
      std::thread other(call);
      call();
      other.join();
    };
    twice([&] { attached += AttachOutputMinMaxObserver(net, {}).ok(); });
    twice([&] { detached += DetachOutputMinMaxObserver(net).ok(); });
    ASSERT_EQ(attached, 1);
    ASSERT_EQ(detached, 1);
  }
}

TEST(Attachment, ANullNetIsRefused) {
  EXPECT_EQ(AttachOutputMinMaxObserver(nullptr, {}).kind(),
            Status::Kind::kInvalidArgument);
  EXPECT_EQ(DetachOutputMinMaxObserver(nullptr).kind(),
            Status::Kind::kInvalidArgument);
}

TEST(Attachment, NetsOfOneNameInTwoWorkspacesAreApart) {
  caffe2::Workspace first, second;
  FeedFloats(&first, "x", {1});
  FeedFloats(&second, "x", {2});
  for (auto* workspace : {&first, &second}) {
    auto* net = workspace->CreateNet(NegativeNet("n"));
    ASSERT_TRUE(AttachOutputMinMaxObserver(net, {}).ok());
    ASSERT_TRUE(workspace->RunNet("n"));
  }
  const auto min = [](caffe2::Workspace* workspace) {
    return FindNetMeasurement("n", workspace)
        ->get_info()
        .operators[0]
        .outputs[0]
        .values.range.min();
  };
  EXPECT_EQ(min(&first), -1);
  EXPECT_EQ(min(&second), -2);
}

TEST(Attachment, AMeasurementOutlivesItsWorkspace) {
  auto workspace = std::make_unique<caffe2::Workspace>();
  FeedFloats(workspace.get(), "x", {3});
  auto* net = workspace->CreateNet(NegativeNet("outlives"));
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, {}).ok());
  ASSERT_TRUE(workspace->RunNet("outlives"));
  workspace.reset();
  const auto measurement = FindNetMeasurement("outlives", nullptr);
  ASSERT_NE(measurement, nullptr);
  EXPECT_EQ(measurement->get_info().operators[0].outputs[0].values.range.min(),
            -3);
  EXPECT_TRUE(ForgetNetMeasurement("outlives"));
  EXPECT_FALSE(ForgetNetMeasurement("outlives"));
}

// What the nets of one name each leave behind.
class AttachmentOfManyNets : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("attachment_test.many." + std::to_string(getpid()));
    fs::create_directories(folder_);
    FeedFloats(&workspace_, "x", {3});
  }
  void TearDown() override {
    fs::remove_all(folder_);
    for (const auto& each : AllNetMeasurements()) {
      ForgetNetMeasurement(each->net_name());
    }
  }

  // Makes, observes, runs and deletes a net.
  void Pass(int number, const std::string& path = "") {
    NetBuilder builder("net" + std::to_string(number), "simple");
    for (const char* y : {"a", "b", "c"}) builder.Op("Negative", {"x"}, {y});
    auto* net = workspace_.CreateNet(builder.Build());
    OutputMinMaxOptions options;
    options.recording.histogram_bins = Histogram::kLargestMaxBins;
    options.path = path;
    ASSERT_TRUE(AttachOutputMinMaxObserver(net, options).ok());
    ASSERT_TRUE(workspace_.RunNet(net->Name()));
    workspace_.DeleteNet(net->Name());
  }
  static bool IsKept(int number) {
    return FindNetMeasurement("net" + std::to_string(number), nullptr) !=
           nullptr;
  }

  fs::path folder_;
  caffe2::Workspace workspace_;
};

TEST_F(AttachmentOfManyNets, TheOldestAreLetGoBeyondTheCap) {
  const int cap = static_cast<int>(kMostGone);
  testing::internal::CaptureStderr();
  for (int i = 0; i < 10000; ++i) {
    Pass(i);
    ASSERT_LE(AllNetMeasurements().size(), kMostGone + 1);
  }
  const std::string log = testing::internal::GetCapturedStderr();
  const std::string warning = "the oldest are forgotten from now on, first";
  const auto found = log.find(warning);
  EXPECT_NE(found, std::string::npos) << log;
  EXPECT_EQ(log.find(warning, found + 1), std::string::npos);  // said once
  EXPECT_FALSE(IsKept(10000 - cap - 2));
  EXPECT_TRUE(IsKept(10000 - cap));
  EXPECT_TRUE(IsKept(9999));
}

TEST_F(AttachmentOfManyNets, WhatAFileHoldsIsLetGoFirst) {
  const int cap = static_cast<int>(kMostGone);
  const auto written = [&](int number) { Pass(number, folder_ / "written"); };
  for (int i = 0; i < 3; ++i) Pass(i);
  for (int i = 3; i < 13; ++i) written(i);
  for (int i = 13; i < cap + 5; ++i) Pass(i);
  written(cap + 5);
  written(cap + 6);  // lets go of what is beyond the cap before it
  for (const int i : {0, 1, 2, 9, cap + 4, cap + 5, cap + 6}) {
    EXPECT_TRUE(IsKept(i)) << i;
  }
  for (int i = 3; i < 9; ++i) EXPECT_FALSE(IsKept(i)) << i;
}

TEST_F(AttachmentOfManyNets, BytesHaveACapToo) {
  std::vector<float> values(4 * Histogram::kLargestMaxBins);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 1 + static_cast<float>(i) / static_cast<float>(values.size());
  }
  FeedFloats(&workspace_, "x", values);
  constexpr int kNets = 200;
  for (int i = 0; i < kNets; ++i) Pass(i);
  std::size_t bytes = 0;
  for (const auto& each : AllNetMeasurements()) bytes += each->bytes();
  const std::size_t of_one = AllNetMeasurements().back()->bytes();
  EXPECT_GE(of_one, std::size_t{3} * Histogram::kLargestMaxBins / 2 * 8);
  EXPECT_LE(bytes, kMostGoneBytes + of_one);
  EXPECT_GE(bytes, kMostGoneBytes - of_one);
  EXPECT_FALSE(IsKept(0));
  EXPECT_TRUE(IsKept(kNets - 1));
}

// With all the memory that goes with it.
TEST_F(AttachmentOfManyNets, MemoryIsFlat) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's memory is not the program's";
#endif
  for (int i = 0; i < 3000; ++i) Pass(i);
  const std::size_t before = mallinfo2().uordblks;
  for (int i = 3000; i < 10000; ++i) Pass(i);
  EXPECT_LE(mallinfo2().uordblks, before + (std::size_t{1} << 20));
}

TEST(Attachment, ANetThatDropsItsObserverItselfIsLeftInPeace) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {3});
  auto* net = workspace.CreateNet(NegativeNet("drops"));
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, {}, &measurement).ok());
  ASSERT_NE(net->DetachObserver(measurement->observer()), nullptr);
  // The operator's observer is still on the operator; it records nothing.
  ASSERT_TRUE(workspace.RunNet("drops"));
  EXPECT_EQ(measurement->get_info().operators[0].outputs[0].runs, 0u);
  EXPECT_TRUE(ForgetNetMeasurement("drops"));
}

TEST(Attachment, LaterNets) {
  static int repetition = 0;
  const fs::path folder = fs::temp_directory_path() /
                          ("attachment_test." + std::to_string(getpid()) + "." +
                           std::to_string(++repetition));
  fs::create_directories(folder);
  ASSERT_TRUE(AttachOutputMinMaxObserverToLaterNets({}, {folder}).ok());
  {
    caffe2::Workspace workspace;
    FeedFloats(&workspace, "x", {3});
    ASSERT_NE(workspace.CreateNet(NegativeNet("a/b")), nullptr);
    ASSERT_TRUE(workspace.RunNet("a/b"));
    ASSERT_NE(FindNetMeasurement("a/b", &workspace), nullptr);
    // The same name once more: a file of its own.
    workspace.DeleteNet("a/b");
    ASSERT_NE(workspace.CreateNet(NegativeNet("a/b")), nullptr);
    ASSERT_TRUE(workspace.RunNet("a/b"));
    StopAttachingToLaterNets();
    ASSERT_NE(workspace.CreateNet(NegativeNet("c")), nullptr);
    EXPECT_EQ(FindNetMeasurement("c", &workspace), nullptr);
    // The host forgets all creators: enabling again still works.
    caffe2::ClearGlobalNetObservers();
    ASSERT_TRUE(AttachOutputMinMaxObserverToLaterNets({}).ok());
    ASSERT_NE(workspace.CreateNet(NegativeNet("d")), nullptr);
    EXPECT_NE(FindNetMeasurement("d", &workspace), nullptr);
    StopAttachingToLaterNets();
  }
  for (const char* name : {"a_b.minmax", "a_b_2.minmax"}) {
    std::vector<MinMaxLine> lines;
    ASSERT_TRUE(ReadMinMaxFile(folder / name, &lines).ok()) << name;
    ASSERT_EQ(lines.size(), 1u);
    EXPECT_EQ(lines[0].range.min(), -3);
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace caffe2_quantization
