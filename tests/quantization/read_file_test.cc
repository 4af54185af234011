#include "quantization/read_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <thread>

namespace caffe2_quantization {
namespace {

class ReadFileTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "read_file_test." + std::to_string(getpid());
  }
  void TearDown() override { std::remove(path_.c_str()); }

  std::string path_;
};

TEST_F(ReadFileTest, ReadsAnyBytes) {
  std::string written;
  for (int i = 0; i < 200000; ++i) written += static_cast<char>(i * 7);
  std::ofstream(path_, std::ios::binary) << written;
  std::string read = "old";
  ASSERT_TRUE(ReadFile(path_, 200000, &read).ok());
  EXPECT_TRUE(read == written);
}

TEST_F(ReadFileTest, RefusesLargerFilesUnread) {
  std::ofstream(path_) << "x";
  ASSERT_EQ(truncate(path_.c_str(), int64_t{1} << 40), 0);  // takes no space
  std::string read = "old";
  const Status status = ReadFile(path_, 100, &read);
  EXPECT_EQ(status.kind(), Status::Kind::kOutOfRange);
  EXPECT_EQ(status.message(), "'" + path_ +
                                  "' has 1099511627776 bytes, expected 100 at "
                                  "most");
  EXPECT_EQ(read, "old");
}

TEST_F(ReadFileTest, APipeIsReadToTheLimit) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  for (const int64_t limit : {10, 9}) {
    std::thread writer([this] { std::ofstream(path_) << "0123456789"; });
    std::string read;
    EXPECT_EQ(ReadFile(path_, limit, &read).ok(), limit == 10);
    writer.join();
  }
}

TEST_F(ReadFileTest, NamesWhatCannotBeRead) {
  std::string read;
  EXPECT_EQ(ReadFile(path_, 10, &read).message(),
            "cannot read '" + path_ + "': No such file or directory");
  EXPECT_EQ(ReadFile("/", 10, &read).kind(), Status::Kind::kIoError);
}

}  // namespace
}  // namespace caffe2_quantization
