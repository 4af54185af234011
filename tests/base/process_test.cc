#include "base/process.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/in_child.h"

namespace caffe2_quantization {
namespace {

TEST(Process, CountsForks) {
  ASSERT_EQ(ForkCount(), 0u);
  EXPECT_FALSE(IsForked());
  const auto count = [] { return static_cast<int>(ForkCount()); };
  EXPECT_EQ(InChild(count), 1);
  EXPECT_EQ(InChild([&] { return 10 * count() + InChild(count); }), 12);
  EXPECT_EQ(ForkCount(), 0u);
}

struct Numbers {
  std::mutex mutex;
  std::vector<int> all;
};

TEST(Process, AChildBeginsAnew) {
  static PerProcess<Numbers> numbers;
  numbers.Get().all = {1, 2, 3};
  // As if another thread had been at work when the process forked.
  numbers.Get().mutex.lock();
  EXPECT_EQ(InChild([] {
              Numbers& mine = numbers.Get();
              const std::lock_guard<std::mutex> lock(mine.mutex);
              mine.all.push_back(4);
              return static_cast<int>(numbers.Get().all.size());
            }),
            1);
  numbers.Get().mutex.unlock();
  EXPECT_EQ(numbers.Get().all, (std::vector<int>{1, 2, 3}));
}

TEST(Process, ThreadsThatAskFirstGetOneObject) {
  static std::array<PerProcess<Numbers>, 50> all;
  for (PerProcess<Numbers>& numbers : all) {
    std::vector<Numbers*> found(4);
    std::vector<std::thread> threads;
    for (Numbers*& each : found) {
      threads.emplace_back([&] { each = &numbers.Get(); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(std::set<Numbers*>(found.begin(), found.end()).size(), 1u);
    EXPECT_EQ(found[0], &numbers.Get());
  }
}

// A child finds the mutex free, and both numbers the same, whatever the other
// thread was doing.
TEST(Process, AForkWaitsForAMutexThatItHolds) {
  static std::mutex mutex;
  HoldAcrossForks(&mutex);
  static int first = 0, second = 0;
  std::atomic<bool> done{false};
  std::thread other([&] {
    while (!done) {
      {
        const std::lock_guard<std::mutex> lock(mutex);
        ++first;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        ++second;
      }
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 50; ++round) {
    EXPECT_EQ(InChild([] {
                const std::lock_guard<std::mutex> lock(mutex);
                return first == second ? 0 : 1;
              }),
              0);
  }
  done = true;
  other.join();
}

}  // namespace
}  // namespace caffe2_quantization
