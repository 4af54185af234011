#include "base/atomic_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("atomic_file_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }
  static std::string Read(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  int Files() const {
    int count = 0;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      (void)entry;
      ++count;
    }
    return count;
  }

  fs::path folder_;
};

TEST_F(AtomicFileTest, WritesAndReplaces) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "one").ok());
  EXPECT_EQ(Read(Path("a")), "one");
  ASSERT_TRUE(WriteFileAtomically(Path("a"), std::string(100000, 'x')).ok());
  EXPECT_EQ(Read(Path("a")), std::string(100000, 'x'));
  EXPECT_EQ(Files(), 1);
}

TEST_F(AtomicFileTest, GivesOrdinaryPermissions) {
  const mode_t mask = umask(0);
  umask(mask);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "one").ok());
  struct stat info;
  ASSERT_EQ(stat(Path("a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0666 & ~mask);
}

TEST_F(AtomicFileTest, NamesAMissingFolder) {
  const Status status = WriteFileAtomically(Path("none/a"), "one");
  EXPECT_EQ(status.kind(), Status::Kind::kIoError);
  EXPECT_NE(status.message().find(Path("none/a")), std::string::npos);
  EXPECT_NE(status.message().find("No such file"), std::string::npos);
}

TEST_F(AtomicFileTest, LeavesTheOldFileWhenItCannotRename) {
  // A folder that is not empty cannot be replaced by a file.
  fs::create_directories(Path("a"));
  std::ofstream(Path("a/inside")) << "kept";
  const Status status = WriteFileAtomically(Path("a"), "one");
  EXPECT_EQ(status.kind(), Status::Kind::kIoError);
  EXPECT_EQ(Read(Path("a/inside")), "kept");
  EXPECT_EQ(Files(), 1) << "the temporary file is gone";
}

TEST_F(AtomicFileTest, AFullDiskIsAnErrorAndLosesNothing) {
  // Every write to /dev/full fails with "No space left"; a link to it cannot be
  // used, since the new file is made beside the path. A file size limit does.
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "old").ok());
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const struct rlimit limit = {100, 100};
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status =
        WriteFileAtomically(Path("a"), std::string(100000, 'x'));
    _exit(status.kind() == Status::Kind::kIoError ? 0 : 1);
  }
  int result = -1;
  ASSERT_EQ(waitpid(child, &result, 0), child);
  EXPECT_EQ(result, 0);
  EXPECT_EQ(Read(Path("a")), "old");
  EXPECT_EQ(Files(), 1);
}

TEST_F(AtomicFileTest, ALinkStaysALink) {
  ASSERT_TRUE(WriteFileAtomically(Path("real"), "old").ok());
  fs::create_symlink("real", Path("link"));
  ASSERT_TRUE(WriteFileAtomically(Path("link"), "new").ok());
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_EQ(Read(Path("real")), "new");
}

TEST_F(AtomicFileTest, ADeviceStaysADevice) {
  EXPECT_TRUE(WriteFileAtomically("/dev/null", "gone").ok());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const Status status = WriteFileAtomically("/dev/full", "no room");
  EXPECT_NE(status.message().find("No space left"), std::string::npos);
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
  // A pipe that nobody reads: an error, and no waiting.
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_FALSE(WriteFileAtomically(Path("pipe"), "unread").ok());
  EXPECT_TRUE(fs::is_fifo(Path("pipe")));
}

// What a process that was killed leaves: whole files only, and the next write
// removes those that have a temporary name.
TEST_F(AtomicFileTest, AKilledWriterLeavesNoPart) {
  TestRandom random;
  const auto contents = [](char c) { return std::string(1 << 20, c); };
  for (int round = 0; round < 60; ++round) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const bool told = write(ready[1], "r", 1) == 1;
      for (int i = 0; told; ++i) {
        const std::string text = contents(static_cast<char>('a' + i % 26));
        if (!WriteFileAtomically(Path("a"), text).ok()) _exit(1);
      }
      _exit(1);
    }
    char byte = 0;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    usleep(static_cast<useconds_t>(random.Integer(0, 8000)));
    kill(child, SIGKILL);
    int result = 0;
    ASSERT_EQ(waitpid(child, &result, 0), child);
    ASSERT_TRUE(WIFSIGNALED(result));
    for (const auto& entry : fs::directory_iterator(folder_)) {
      const std::string text = Read(entry.path());
      ASSERT_EQ(text.size(), size_t{1} << 20) << entry.path();
      ASSERT_EQ(text, contents(text[0])) << entry.path();
    }
    if (round % 4 == 3) {
      ASSERT_TRUE(WriteFileAtomically(Path("a"), contents('z')).ok());
      ASSERT_EQ(Files(), 1);
    }
  }
}

TEST_F(AtomicFileTest, RemovesOnlyWhatAKilledWriterLeft) {
  const pid_t gone = fork();
  if (gone == 0) _exit(0);
  ASSERT_EQ(waitpid(gone, nullptr, 0), gone);
  const std::string process = std::to_string(gone);
  const std::vector<std::string> kept = {
      "a." + process + ".tmp",
      "a." + process + ".0.tmp.x",
      "a." + process + ".00.tmp",
      "a." + process + ".-1.tmp",
      "a." + process + ".1.temp",
      "ab." + process + ".0.tmp",
      "a.x." + process + ".0.tmp",
      "a..0.tmp",
      "a.0.0.tmp",
      "a.99999999999999999.0.tmp",
      "a." + process + "x.0.tmp",
      "a." + std::to_string(getpid()) + ".0.tmp",
      "a." + process + ".locked.tmp"};
  for (const std::string& name : kept) std::ofstream(Path(name)) << "kept";
  // A writer whose process number means nothing here, but who has it locked.
  const std::string locked = "a." + process + ".5.tmp";
  const int fd = open(Path(locked).c_str(), O_RDWR | O_CREAT, 0666);
  ASSERT_EQ(flock(fd, LOCK_EX), 0);
  std::ofstream(Path("a." + process + ".0.tmp")) << "left";
  std::ofstream(Path("a." + process + ".17.tmp")) << "left";
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "new").ok());
  for (const std::string& name : kept) {
    EXPECT_TRUE(fs::exists(Path(name))) << name;
  }
  EXPECT_TRUE(fs::exists(Path(locked)));
  EXPECT_EQ(Files(), static_cast<int>(kept.size()) + 2);
  close(fd);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "newer").ok());
  EXPECT_FALSE(fs::exists(Path(locked)));
}

TEST_F(AtomicFileTest, ConcurrentWritersLeaveOneWholeFile) {
  std::vector<std::thread> writers;
  for (char c = 'a'; c < 'e'; ++c) {
    writers.emplace_back([this, c] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(
            WriteFileAtomically(Path("shared"), std::string(10000, c)).ok());
      }
    });
  }
  for (auto& writer : writers) writer.join();
  const std::string text = Read(Path("shared"));
  ASSERT_EQ(text.size(), 10000u);
  EXPECT_EQ(text, std::string(10000, text[0]));
  EXPECT_EQ(Files(), 1);
}

}  // namespace
}  // namespace caffe2_quantization
