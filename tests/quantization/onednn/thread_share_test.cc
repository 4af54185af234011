#include "quantization/onednn/thread_share.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <atomic>
#include <thread>
#include <vector>

#include "quantization/onednn/parallel.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

class ThreadShareTest : public testing::Test {
 protected:
  void SetUp() override { omp_set_num_threads(4); }
  void TearDown() override { omp_set_num_threads(before_); }

  const int before_ = omp_get_max_threads();
};

TEST_F(ThreadShareTest, TheFirstTakesWhatThereIs) {
  const ThreadShare first;
  EXPECT_EQ(first.count(), 4);
  const ThreadShare second;
  EXPECT_EQ(second.count(), 1);
}

TEST_F(ThreadShareTest, WhoNeedsFewLeavesTheOthers) {
  const ThreadShare first(1);
  EXPECT_EQ(first.count(), 1);
  const ThreadShare second(2);
  EXPECT_EQ(second.count(), 2);
  const ThreadShare third;
  EXPECT_EQ(third.count(), 1);
}

TEST_F(ThreadShareTest, WhatIsGivenBackIsThereAgain) {
  { const ThreadShare first; }
  omp_set_num_threads(3);
  const ThreadShare of_three;
  EXPECT_EQ(of_three.count(), 3);
  omp_set_num_threads(8);
  const ThreadShare rest;
  EXPECT_EQ(rest.count(), 5);
}

TEST_F(ThreadShareTest, InAParallelRegionItIsOne) {
  std::atomic<int> sum{0}, num_tasks{0};
  const Status status = ParallelFor(4, 4, [&](int64_t) {
    const ThreadShare share;
    sum += share.count();
    ++num_tasks;
    return Status::Ok();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(sum, num_tasks);
}

TEST_F(ThreadShareTest, ManyAtOnceStayWithinOneEachBeyondTheTotal) {
  constexpr int kThreads = 8;
  std::atomic<int> held{0}, most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      omp_set_num_threads(4);
      for (int i = 0; i < 2000; ++i) {
        const ThreadShare share;
        const int now = held += share.count();
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        held -= share.count();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_LE(most, 4 + kThreads - 1);
  EXPECT_EQ(ThreadShare().count(), 4);
}

}  // namespace
}  // namespace onednn
}  // namespace caffe2_quantization
