#include "quantization/atomic_file.h"

#include <gtest/gtest.h>
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
