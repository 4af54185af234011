#include "operators/observer_control_op.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "observers/min_max_file.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

class ObserverControlOpTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("control_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
    FeedFloats(&workspace_, "x", {-1, 2});
    MakeNet("n");
  }
  void TearDown() override { fs::remove_all(folder_); }

  void MakeNet(const std::string& name) {
    NetBuilder net(name, "simple");
    net.Op("Negative", {"x"}, {name + "_y"});
    ASSERT_NE(workspace_.CreateNet(net.Build()), nullptr);
  }
  // Runs one control operator; `arguments` adds what it takes.
  template <typename Arguments>
  void Run(const std::string& op, const Arguments& arguments,
           const std::vector<std::string>& outputs = {}) {
    caffe2::OperatorDef definition;
    OpBuilder builder(&definition, "OutputMinMaxObserver" + op, {}, outputs);
    arguments(builder);
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }
  void RunOn(const std::string& op, const std::string& net = "n") {
    Run(op, [&](OpBuilder& b) { b.String("net", net); });
  }
  nlohmann::json Info(const std::string& net = "n") {
    Run("Info",
        [&](OpBuilder& b) {
          if (!net.empty()) b.String("net", net);
        },
        {"json"});
    return nlohmann::json::parse(Fetch<std::string>(workspace_, "json")[0]);
  }
  double Min(const char* field = "min") {
    return Info()["operators"][0]["outputs"][0][field];
  }

  fs::path folder_;
  caffe2::Workspace workspace_;
};

TEST_F(ObserverControlOpTest, AttachesReadsResetsStopsResumesAndDetaches) {
  RunOn("Attach");
  ASSERT_TRUE(workspace_.RunNet("n"));
  EXPECT_EQ(Min(), -2);
  EXPECT_EQ(Info()["runs"], 1);
  RunOn("Reset");
  EXPECT_TRUE(Info()["operators"][0]["outputs"][0]["min"].is_null());
  EXPECT_EQ(Min("total_min"), -2);
  RunOn("Stop");
  ASSERT_TRUE(workspace_.RunNet("n"));
  EXPECT_EQ(Info()["runs"], 1);
  EXPECT_TRUE(Info()["stopped"]);
  RunOn("Resume");
  ASSERT_TRUE(workspace_.RunNet("n"));
  EXPECT_EQ(Info()["runs"], 2);
  EXPECT_EQ(Min(), -2);
  RunOn("Detach");
  EXPECT_NE(ErrorOf([&] {
              Run("Info", [](OpBuilder& b) { b.String("net", "n"); }, {"json"});
            }).find("net 'n' has no OutputMinMaxNetObserver"),
            std::string::npos);
}

TEST_F(ObserverControlOpTest, Dumps) {
  const std::string path = folder_ / "n.minmax";
  Run("Attach", [&](OpBuilder& b) {
    b.String("net", "n").String("path", path).Int("dump_freq", 1);
  });
  ASSERT_TRUE(workspace_.RunNet("n"));
  EXPECT_TRUE(fs::exists(folder_ / "n_1.minmax"));
  RunOn("Dump");
  std::vector<MinMaxLine> lines;
  ASSERT_TRUE(ReadMinMaxFile(path, &lines).ok());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].tensor_name, "n_y");
  EXPECT_EQ(lines[0].range.min(), -2);
  const std::string other = folder_ / "other.minmax";
  Run("Dump", [&](OpBuilder& b) {
    b.String("net", "n").String("path", other).Int("reset", 1);
  });
  EXPECT_TRUE(fs::exists(other));
  EXPECT_NE(ErrorOf([&] {
              Run("Dump", [&](OpBuilder& b) {
                b.String("net", "n").String("path", folder_ / "no" / "such");
              });
            }).find("cannot create a file beside"),
            std::string::npos);
}

TEST_F(ObserverControlOpTest, LaterNets) {
  Run("AttachToLaterNets",
      [](OpBuilder& b) { b.Strings("op_types", {"Negative"}); });
  MakeNet("later");
  Run("AttachToLaterNets", [](OpBuilder& b) { b.Int("enable", 0); });
  MakeNet("too_late");
  EXPECT_EQ(Info("later")["net"], "later");
  bool listed = false;
  for (const auto& info : Info("")) {
    listed |= info["net"] == "later";
    EXPECT_NE(info["net"], "too_late");
  }
  EXPECT_TRUE(listed);
  // A net that is gone can still be read, and then forgotten.
  workspace_.DeleteNet("later");
  EXPECT_FALSE(Info("later")["net_alive"]);
  RunOn("Detach", "later");
  EXPECT_NE(ErrorOf([&] { RunOn("Detach", "later"); }), "");
}

TEST_F(ObserverControlOpTest, OneNameMayStandAlone) {
  Run("Attach",
      [](OpBuilder& b) { b.String("net", "n").String("op_types", "Relu"); });
  EXPECT_TRUE(Info()["operators"].empty());
  RunOn("Detach");
  EXPECT_NE(ErrorOf([&] {
              Run("Attach", [](OpBuilder& b) {
                b.String("net", "n").Ints("op_types", {1});
              });
            }).find("op_types holds no string"),
            std::string::npos);
}

TEST_F(ObserverControlOpTest, RefusalsNameTheNet) {
  EXPECT_NE(ErrorOf([&] {
              RunOn("Attach", "nowhere");
            }).find("there is no net 'nowhere' in this workspace; it has: n"),
            std::string::npos);
  EXPECT_NE(
      ErrorOf([&] { RunOn("Attach", ""); }).find("argument net is missing"),
      std::string::npos);
  EXPECT_NE(ErrorOf([&] {
              Run("Attach", [](OpBuilder& b) {
                b.String("net", "n").Int("dump_freq", 3);
              });
            }).find("no path to dump to"),
            std::string::npos);
  RunOn("Attach");
  EXPECT_NE(
      ErrorOf([&] { RunOn("Attach"); }).find("has an OutputMinMaxNetObserver"),
      std::string::npos);
}

}  // namespace
}  // namespace caffe2_quantization
