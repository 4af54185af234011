#include "operators/profile_op.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "profiles/profile.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class ProfileOpTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("profile_op_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
    for (const char* name : {"a", "b", "other"}) {
      NetInfo info;
      info.net_name = "n";
      info.net_hash = std::string(32, name[0] == 'o' ? '1' : '0');
      info.samples = 10;
      ASSERT_TRUE(WriteProfile(Path(name), info, name[0] == 'b').ok());
    }
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ / name; }

  // The message of the error; "" if there is none.
  std::string Run(const caffe2::OperatorDef& definition) {
    try {
      EXPECT_TRUE(workspace_.RunOperatorOnce(definition));
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }

  std::string Merge(const std::vector<std::string>& inputs,
                    const std::string& output, bool force = false) {
    caffe2::OperatorDef definition;
    definition.set_type("OutputMinMaxObserverMerge");
    if (!inputs.empty()) {
      *definition.add_arg() = caffe2::MakeArgument("paths", inputs);
    }
    if (!output.empty()) {
      *definition.add_arg() = caffe2::MakeArgument("output", output);
    }
    if (force) *definition.add_arg() = caffe2::MakeArgument<int>("force", 1);
    return Run(definition);
  }

  std::string ToJson(const std::string& path) {
    caffe2::OperatorDef definition;
    definition.set_type("ProfileToJson");
    definition.add_output("json");
    if (!path.empty()) {
      *definition.add_arg() = caffe2::MakeArgument("path", path);
    }
    return Run(definition);
  }

  fs::path folder_;
  caffe2::Workspace workspace_;
};

TEST_F(ProfileOpTest, MergesAndReads) {
  ASSERT_EQ(Merge({Path("a"), Path("b")}, Path("all")), "");
  ASSERT_EQ(ToJson(Path("all")), "");
  const auto json =
      nlohmann::json::parse(Fetch<std::string>(workspace_, "json")[0]);
  EXPECT_EQ(json["format_version"], 2);
  EXPECT_EQ(json["net_name"], "n");
  EXPECT_EQ(json["samples"], "20");  // 64 bits are text in protobuf's JSON
}

TEST_F(ProfileOpTest, OnePathMayStandAlone) {
  caffe2::OperatorDef definition;
  definition.set_type("OutputMinMaxObserverMerge");
  *definition.add_arg() = caffe2::MakeArgument("paths", Path("b"));
  *definition.add_arg() = caffe2::MakeArgument("output", Path("copy"));
  ASSERT_EQ(Run(definition), "");
  NetInfo info;
  EXPECT_TRUE(ReadProfile(Path("copy"), &info).ok());
}

// As NetDefs have it that were made before the argument was called paths.
TEST_F(ProfileOpTest, ReadsTheOlderNameOfPaths) {
  caffe2::OperatorDef definition;
  definition.set_type("OutputMinMaxObserverMerge");
  *definition.add_arg() = caffe2::MakeArgument<std::vector<std::string>>(
      "inputs", {Path("a"), Path("b")});
  *definition.add_arg() = caffe2::MakeArgument("output", Path("all"));
  ASSERT_EQ(Run(definition), "");
  NetInfo info;
  ASSERT_TRUE(ReadProfile(Path("all"), &info).ok());
  EXPECT_EQ(info.samples, 20u);
  *definition.add_arg() = caffe2::MakeArgument("paths", Path("a"));
  EXPECT_THAT(Run(definition), HasSubstr("arguments paths and inputs are both "
                                         "given, expected paths alone"));
}

TEST_F(ProfileOpTest, ForceIsWrittenDown) {
  EXPECT_THAT(
      Merge({Path("a"), Path("other")}, Path("all")),
      HasSubstr("OutputMinMaxObserverMerge: cannot merge '" + Path("other") +
                "' with '" + Path("a") + "': net_hash is 1111"));
  EXPECT_FALSE(fs::exists(Path("all")));
  ASSERT_EQ(Merge({Path("a"), Path("other")}, Path("all"), true), "");
  NetInfo info;
  ASSERT_TRUE(ReadProfile(Path("all"), &info).ok());
  EXPECT_EQ(info.forced.size(), 2u);
}

TEST_F(ProfileOpTest, RefusesWhatIsMissing) {
  EXPECT_THAT(Merge({}, Path("all")), HasSubstr("argument paths is missing"));
  EXPECT_THAT(Merge({Path("a")}, ""), HasSubstr("output is missing"));
  EXPECT_THAT(ToJson(""), HasSubstr("path is missing"));
  EXPECT_THAT(ToJson(Path("none")),
              HasSubstr("ProfileToJson: cannot read '" + Path("none")));
}

}  // namespace
}  // namespace caffe2_quantization
