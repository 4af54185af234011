#include "base/atomic_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/random.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

class AtomicFolderTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("atomic_folder_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
    options_.may_exchange = GetParam();
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }
  static std::string Read(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  static void Write(const std::string& path, const std::string& contents) {
    std::ofstream(path, std::ios::binary) << contents;
  }
  std::vector<std::string> Entries(const std::string& name = "") const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_ / name)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  Status WriteBoth(const std::string& path, const std::string& contents) {
    return WriteFolderAtomically(
        path, {{"a", contents}, {"b", contents + contents}}, options_);
  }
  void ExpectWhole(const std::string& name, const std::string& contents) {
    EXPECT_EQ(Entries(name), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(Read(Path(name + "/a")), contents);
    EXPECT_EQ(Read(Path(name + "/b")), contents + contents);
  }

  fs::path folder_;
  AtomicFolderOptions options_;
};

TEST_P(AtomicFolderTest, WritesAndReplaces) {
  for (const char* contents : {"one", "two", "", "three"}) {
    const Status status = WriteBoth(Path("out/"), contents);
    ASSERT_TRUE(status.ok()) << status.message();
    ExpectWhole("out", contents);
    EXPECT_EQ(Entries().size(), 1u);
  }
}

TEST_P(AtomicFolderTest, AnEmptyFolderAndALink) {
  fs::create_directory(Path("real"));
  fs::create_symlink("real", Path("link"));
  ASSERT_TRUE(WriteBoth(Path("link"), "one").ok());
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  ExpectWhole("real", "one");
}

TEST_P(AtomicFolderTest, WhatIsNotOursStays) {
  const struct {
    const char* name;
    const char* expected;
  } kCases[] = {
      {"file", "is no folder"},
      {"more", "holds 'c' and is not replaced, expected files a, b alone"},
      {"fewer", "holds 1 files and is not replaced, expected a, b"},
      {"inner", "holds 'b' and is not replaced"},
  };
  Write(Path("file"), "mine");
  for (const char* name : {"more", "fewer", "inner"}) {
    fs::create_directory(Path(name));
    Write(Path(name) + "/a", "mine");
  }
  Write(Path("more/b"), "mine");
  Write(Path("more/c"), "mine");
  fs::create_directory(Path("inner/b"));
  const auto before = Entries();
  for (const auto& each : kCases) {
    const Status status = WriteBoth(Path(each.name), "new");
    EXPECT_FALSE(status.ok()) << each.name;
    EXPECT_NE(status.message().find(each.expected), std::string::npos)
        << status.message();
    EXPECT_EQ(CheckFolder(Path(each.name), {"a", "b"}, options_).message(),
              status.message());
  }
  EXPECT_EQ(Entries(), before);
  EXPECT_EQ(Read(Path("more/a")), "mine");

  fs::remove(Path("more/c"));
  options_.may_replace = [](const std::string& folder) {
    return Status::InvalidArgument("'" + folder + "' is somebody's");
  };
  EXPECT_EQ(WriteBoth(Path("more"), "new").message(),
            "'" + Path("more") + "' is somebody's");
  EXPECT_EQ(Read(Path("more/a")), "mine");
}

TEST_P(AtomicFolderTest, AFailureLeavesTheOldOne) {
  ASSERT_TRUE(WriteBoth(Path("out"), "old").ok());
  const Status status = WriteFolderAtomically(
      Path("out"), {{"a", "new"}, {"b", "new"}, {"no/such", "x"}}, options_);
  EXPECT_FALSE(status.ok());
  ExpectWhole("out", "old");
  EXPECT_FALSE(WriteBoth(Path("none/out"), "new").ok());
  EXPECT_EQ(Entries(), (std::vector<std::string>{"out"}));
}

TEST_P(AtomicFolderTest, WhatKilledProcessesLeft) {
  // Between the two renames.
  ASSERT_TRUE(WriteBoth(Path("out"), "old").ok());
  fs::rename(Path("out"), Path("out.old.tmp"));
  ASSERT_TRUE(CheckFolder(Path("out"), {"a", "b"}, options_).ok());
  ExpectWhole("out", "old");
  // After them, and a part that was being written.
  ASSERT_TRUE(WriteBoth(Path("out.old.tmp"), "older").ok());
  fs::create_directory(Path("out.123.4.tmp"));
  Write(Path("out.123.4.tmp/a"), "part");
  // These are somebody's.
  for (const char* name : {"out.old", "out.12.tmp", "out.x.1.tmp"}) {
    fs::create_directory(Path(name));
  }
  ASSERT_TRUE(WriteBoth(Path("out"), "new").ok());
  ExpectWhole("out", "new");
  EXPECT_EQ(Entries(), (std::vector<std::string>{"out", "out.12.tmp", "out.old",
                                                 "out.x.1.tmp"}));
}

// Kills a process that writes two folders in turn, at random moments.
TEST_P(AtomicFolderTest, KilledAtAnyMoment) {
  TestRandom random;
  const std::string contents[] = {std::string(5000, 'x'),
                                  std::string(70000, 'y')};
  ASSERT_TRUE(WriteBoth(Path("out"), contents[0]).ok());
  const int kills = static_cast<int>(CaseCount(100, 2000));
  int recovered = 0;
  for (int i = 0; i < kills; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int j = 0;; ++j) {
        if (!WriteBoth(Path("out"), contents[j % 2]).ok()) _exit(1);
      }
    }
    usleep(static_cast<useconds_t>(random.Integer(500, 60000)));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child could not write";
    if (!fs::exists(Path("out"))) {
      ASSERT_FALSE(GetParam()) << "gone though folders were exchanged";
      ++recovered;
    }
    ASSERT_TRUE(CheckFolder(Path("out"), {"a", "b"}, options_).ok());
    const std::string found = Read(Path("out/a"));
    ASSERT_TRUE(found == contents[0] || found == contents[1]);
    ExpectWhole("out", found);
  }
  ASSERT_TRUE(WriteBoth(Path("out"), "end").ok());
  EXPECT_EQ(Entries(), (std::vector<std::string>{"out"}));
  std::printf("%d kills, %d between two renames\n", kills, recovered);
}

INSTANTIATE_TEST_SUITE_P(Exchange, AtomicFolderTest,
                         testing::Values(true, false), [](const auto& info) {
                           return info.param ? "InOneStep" : "InTwoRenames";
                         });

}  // namespace
}  // namespace caffe2_quantization
