#include "base/read_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string_view>
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

class InputFileTest : public ReadFileTest {
 protected:
  void Write(std::size_t size) {
    written_.clear();
    for (std::size_t i = 0; i < size; ++i) {
      written_ += static_cast<char>(i * 7 + (i >> 8));
    }
    std::ofstream(path_, std::ios::binary) << written_;
  }
  void ExpectRead(InputFile* file, std::size_t offset, std::size_t count) {
    const uint8_t* bytes = nullptr;
    const Status status = file->Read(offset, count, &bytes);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(std::string_view(reinterpret_cast<const char*>(bytes), count) ==
                std::string_view(written_).substr(offset, count))
        << offset << " " << count;
  }

  std::string written_;
};

TEST_F(InputFileTest, ReadsAnyPartInAnyOrder) {
  Write(1'000'003);
  InputFile file;
  ASSERT_TRUE(file.Open(path_).ok());
  EXPECT_EQ(file.path(), path_);
  ASSERT_EQ(file.size(), written_.size());
  for (const std::size_t count : {0, 1, 8, 65536, 65537, 300000}) {
    for (const std::size_t offset : {0, 1, 65530, 65536, 700000, 3}) {
      ExpectRead(&file, offset, count);
    }
    ExpectRead(&file, written_.size() - count, count);
  }
  ExpectRead(&file, 0, written_.size());
}

TEST_F(InputFileTest, AnEmptyFileHasNoBytes) {
  Write(0);
  InputFile file;
  ASSERT_TRUE(file.Open(path_).ok());
  EXPECT_EQ(file.size(), 0u);
  ExpectRead(&file, 0, 0);
}

TEST_F(InputFileTest, AFileThatWasShortenedIsAnError) {
  for (const bool after_a_read : {false, true}) {
    Write(200'000);
    InputFile file;
    ASSERT_TRUE(file.Open(path_).ok());
    if (after_a_read) ExpectRead(&file, 0, 100'000);
    ASSERT_EQ(truncate(path_.c_str(), 150'000), 0);
    const uint8_t* bytes = nullptr;
    EXPECT_EQ(file.Read(100'000, 100'000, &bytes).message(),
              "'" + path_ +
                  "' has 150000 bytes, expected 200000 as when it was "
                  "opened: it was shortened meanwhile");
    ExpectRead(&file, 100'000, 50'000);  // what is there can still be read
    ASSERT_EQ(truncate(path_.c_str(), 0), 0);
    EXPECT_EQ(file.Read(180'000, 1, &bytes).kind(), Status::Kind::kIoError);
  }
}

TEST_F(InputFileTest, RefusesWhatIsNoRegularFile) {
  EXPECT_EQ(InputFile().Open(path_).message(),
            "'" + path_ + "': cannot open: No such file or directory");
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(InputFile().Open(path_).message(),
            "'" + path_ + "' is not a regular file");
}

TEST_F(InputFileTest, SaysThatThereIsNoMemory) {
  Write(1);
  ASSERT_EQ(truncate(path_.c_str(), int64_t{1} << 42), 0);  // takes no space
  InputFile file;
  ASSERT_TRUE(file.Open(path_).ok());
  const uint8_t* bytes = nullptr;
  const Status status = file.Read(0, file.size(), &bytes);
  EXPECT_EQ(status.kind(), Status::Kind::kOutOfRange);
  EXPECT_EQ(status.message(),
            "'" + path_ + "': no memory for 4398046511104 of its bytes");
}

}  // namespace
}  // namespace caffe2_quantization
