#include "quantization/onednn/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

namespace caffe2_quantization {
namespace onednn {
namespace {

TEST(ParallelFor, RunsEachOnce) {
  for (const int threads : {1, 2, 5}) {
    for (const int64_t count : {0, 1, 2, 100}) {
      std::vector<std::atomic<int>> runs(count);
      EXPECT_TRUE(ParallelFor(count, threads, [&](int64_t i) {
                    ++runs[i];
                    return Status::Ok();
                  }).ok());
      for (const auto& each : runs) EXPECT_EQ(each, 1);
    }
  }
}

TEST(ParallelFor, ReturnsAnErrorAndRunsTheRest) {
  for (const int threads : {1, 3}) {
    std::atomic<int> runs{0};
    const Status status = ParallelFor(9, threads, [&](int64_t i) {
      ++runs;
      return i == 4 ? Status::InvalidArgument("of 4") : Status::Ok();
    });
    EXPECT_EQ(status.message(), "of 4");
    EXPECT_EQ(runs, 9);
  }
}

TEST(ParallelFor, OneThreadWithinAnother) {
  const int before = MaxThreads();
  std::atomic<int> others{0};
  EXPECT_TRUE(ParallelFor(4, 2, [&](int64_t) {
                others += MaxThreads() != 1;
                return Status::Ok();
              }).ok());
  EXPECT_EQ(others, 0);
  EXPECT_EQ(MaxThreads(), before);
}

TEST(ThreadsScope, LeavesTheNumberAsItWas) {
  const int before = MaxThreads();
  {
    const ThreadsScope scope(before + 2);
    EXPECT_EQ(MaxThreads(), before + 2);
    const ThreadsScope inner(1);
    EXPECT_EQ(MaxThreads(), 1);
  }
  EXPECT_EQ(MaxThreads(), before);
}

}  // namespace
}  // namespace onednn
}  // namespace caffe2_quantization
