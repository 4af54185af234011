#include "base/path_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>
#include <vector>

#include "tests/support/in_child.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

class PathLockTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("path_lock_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ / name; }

  fs::path folder_;
};

TEST_F(PathLockTest, OneHolderAtATime) {
  PathLock first, second, other;
  ASSERT_TRUE(first.Acquire(Path("a")).ok());
  EXPECT_TRUE(fs::exists(Path("a.lock")));
  EXPECT_TRUE(other.Acquire(Path("b")).ok());
  const Status status = second.Acquire(Path("a"));
  EXPECT_EQ(status.kind(), Status::Kind::kIoError);
  EXPECT_EQ(status.message(), "another process is writing to '" + Path("a") +
                                  "' (its lock is held on '" + Path("a.lock") +
                                  "')");
  first.Release();
  EXPECT_FALSE(fs::exists(Path("a.lock")));
  EXPECT_TRUE(second.Acquire(Path("a")).ok());
}

TEST_F(PathLockTest, ALinkAndItsTargetAreOnePath) {
  fs::create_symlink("real", Path("link"));
  std::fclose(std::fopen(Path("real").c_str(), "w"));
  PathLock first, second;
  ASSERT_TRUE(first.Acquire(Path("link")).ok());
  EXPECT_FALSE(second.Acquire(Path("real")).ok());
}

TEST_F(PathLockTest, AKilledHolderLetsGo) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    PathLock lock;
    const char answer = lock.Acquire(Path("a")).ok() ? 'y' : 'n';
    if (write(ready[1], &answer, 1) == 1) pause();
    _exit(1);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  PathLock lock;
  EXPECT_FALSE(lock.Acquire(Path("a")).ok());
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(fs::exists(Path("a.lock")));  // and hinders nobody
  EXPECT_TRUE(lock.Acquire(Path("a")).ok());
  close(ready[0]);
  close(ready[1]);
}

TEST_F(PathLockTest, AChildThatEndsLeavesTheLockToItsParent) {
  PathLock lock, other;
  ASSERT_TRUE(lock.Acquire(Path("a")).ok());
  EXPECT_EQ(InChild([&] {
              lock.Release();
              return 0;
            }),
            0);
  EXPECT_TRUE(fs::exists(Path("a.lock")));
  EXPECT_FALSE(other.Acquire(Path("a")).ok());
  lock.Release();
  EXPECT_FALSE(fs::exists(Path("a.lock")));
}

TEST_F(PathLockTest, NamesAMissingFolder) {
  PathLock lock;
  const Status status = lock.Acquire(Path("none/a"));
  EXPECT_EQ(status.message(), "cannot open the lock '" + Path("none/a.lock") +
                                  "': No such file or directory");
}

// The file is removed and made anew all the time: still never two holders.
TEST_F(PathLockTest, ThreadsExcludeEachOther) {
  std::atomic<int> holders{0}, acquired{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        PathLock lock;
        if (!lock.Acquire(Path("shared")).ok()) continue;
        EXPECT_EQ(++holders, 1);
        ++acquired;
        --holders;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GT(acquired, 0);
  EXPECT_FALSE(fs::exists(Path("shared.lock")));
}

}  // namespace
}  // namespace caffe2_quantization
