// Nets in many threads, whose observers come and go meanwhile: for
// ThreadSanitizer above all. CAFFE2_QUANTIZATION_STRESS_SECONDS prolongs it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "caffe2/core/workspace.h"
#include "observers/attachment.h"
#include "observers/record_callback.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

constexpr int kThreads = 8;
constexpr int kRounds = 12;
const char* const kTypes[] = {"simple", "dag", "async_scheduling", "prof_dag"};

bool More(int round, std::chrono::steady_clock::time_point start) {
  const char* seconds = std::getenv("CAFFE2_QUANTIZATION_STRESS_SECONDS");
  if (seconds == nullptr) return round < kRounds;
  return std::chrono::steady_clock::now() - start <
         std::chrono::seconds(std::atoi(seconds));
}

// One thread's net: made, observed by labels that come and go, and gone.
void RunANet(int thread, const fs::path& folder,
             std::chrono::steady_clock::time_point start, TestRandom* random) {
  const std::string name = "stress" + std::to_string(thread);
  for (int round = 0; More(round, start); ++round) {
    caffe2::Workspace workspace;
    FeedFloats(&workspace, "x", {-1, 2, 0.5f, 7}, {2, 2});
    NetBuilder builder(name, kTypes[random->Integer(0, 3)]);
    builder.Op("Relu", {"x"}, {"a"});
    builder.Op("Negative", {"x"}, {"b"});
    builder.Op("Add", {"a", "b"}, {"c"});
    builder.Input("x");
    caffe2::NetBase* net = workspace.CreateNet(builder.Build());
    ASSERT_NE(net, nullptr);
    std::atomic<uint64_t> heard{0};
    std::map<std::string, uint64_t> runs;  // of the labels that are attached
    uint64_t heard_runs = 0;
    for (int step = 0; step < 20; ++step) {
      const std::string label = std::string(1, 'a' + random->Integer(0, 2));
      if (runs.count(label) == 0) {
        OutputMinMaxOptions options;
        options.label = label;
        options.recording.histogram_bins = random->OneIn(2) ? 32 : 0;
        options.recording.column_max_blobs = {"c"};
        if (random->OneIn(3)) {
          options.path = folder / (name + label);
          options.dump_freq = 3;
          options.format = OutputMinMaxOptions::Format::kProfile;
        }
        options.on_record = [&](const OutputRecord&) { ++heard; };
        ASSERT_TRUE(AttachOutputMinMaxObserver(net, options).ok());
        runs[label] = 0;
      } else if (random->OneIn(3)) {
        ASSERT_TRUE(DetachOutputMinMaxObserver(net, label).ok());
        runs.erase(label);
      }
      const int64_t times = random->Integer(1, 4);
      for (int64_t run = 0; run < times; ++run) {
        ASSERT_TRUE(workspace.RunNet(name));
      }
      for (auto& each : runs) {
        each.second += static_cast<uint64_t>(times);
        heard_runs += static_cast<uint64_t>(times);
      }
    }
    for (const auto& measurement : FindNetMeasurements(name, &workspace)) {
      const NetInfo info = measurement->get_info();
      if (runs.count(measurement->label()) == 0) continue;
      // Somebody else may have stopped it for a while, or reset it.
      EXPECT_LE(info.runs, runs[measurement->label()]);
      for (const OperatorInfo& op : info.operators) {
        EXPECT_EQ(op.outputs[0].count, 4 * op.outputs[0].runs);
        EXPECT_LE(op.outputs[0].runs, runs[measurement->label()]);
      }
      EXPECT_LE(info.operators[1].outputs[0].total.range.max(), 1);
    }
    EXPECT_LE(heard, 3 * heard_runs);
    if (random->OneIn(2)) workspace.DeleteNet(name);
  }
}

// Another thread, that looks at all of them and interferes.
void Interfere(const std::atomic<bool>* done, const fs::path& folder,
               TestRandom* random) {
  std::atomic<int> calls{0};
  int later = 0;
  while (!*done) {
    const int64_t id = AddRecordCallback(
        [](const char*, void* calls) {
          ++*static_cast<std::atomic<int>*>(calls);
        },
        &calls);
    for (const auto& measurement : AllNetMeasurements()) {
      const NetInfo info = measurement->get_info();
      EXPECT_FALSE(ToJson(info, true).empty());
      switch (random->Integer(0, 4)) {
        case 0:
          measurement->reset();
          break;
        case 1:
          measurement->stop();
          measurement->resume();
          break;
        case 2:
          EXPECT_TRUE(measurement->dump(folder / "others").ok());
          break;
        case 3:
          EXPECT_TRUE(measurement->dump_and_reset(folder / "others").ok());
          break;
        default:
          break;
      }
    }
    EXPECT_TRUE(RemoveRecordCallback(id));
    // Nets of other threads are made meanwhile: they may get this one.
    OutputMinMaxOptions options;
    options.label = "later" + std::to_string(++later % 2);
    EXPECT_TRUE(AttachOutputMinMaxObserverToLaterNets(options).ok());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    StopAttachingToLaterNets(&options.label);
  }
}

TEST(Stress, NetsInThreadsWithObserversThatComeAndGo) {
  const fs::path folder =
      fs::temp_directory_path() / ("stress_test." + std::to_string(getpid()));
  fs::create_directories(folder);
  // ThreadSanitizer does not see into the host, and would take for races what
  // it initialises once, and the end of the threads that its nets share: so the
  // first nets are made here, and stay.
  std::vector<std::unique_ptr<caffe2::Workspace>> first;
  for (const char* type : kTypes) {
    first.push_back(std::make_unique<caffe2::Workspace>());
    FeedFloats(first.back().get(), "x", {1});
    NetBuilder builder("first", type);
    builder.Op("Relu", {"x"}, {"a"});
    ASSERT_NE(first.back()->CreateNet(builder.Build()), nullptr);
    ASSERT_TRUE(first.back()->RunNet("first"));
  }
  const auto start = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<TestRandom>> random;
  for (int i = 0; i <= kThreads; ++i) {
    random.push_back(std::make_unique<TestRandom>());
  }
  std::atomic<bool> done{false};
  std::thread other([&] { Interfere(&done, folder, random[kThreads].get()); });
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back(
        [&, i] { RunANet(i, folder, start, random[i].get()); });
  }
  for (auto& thread : threads) thread.join();
  done = true;
  other.join();
  StopAttachingToLaterNets();
  for (int i = 0; i < kThreads; ++i) {
    ForgetNetMeasurement("stress" + std::to_string(i));
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace caffe2_quantization
