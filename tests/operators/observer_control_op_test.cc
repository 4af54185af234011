#include "operators/observer_control_op.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "profiles/histogram_file.h"
#include "profiles/min_max_file.h"
#include "profiles/profile.h"
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

TEST_F(ObserverControlOpTest, DoesNotAttachToTheNetThatItIsIn) {
  NetBuilder builder("self", "simple");
  builder.Op("OutputMinMaxObserverAttach", {}, {}).String("net", "self");
  ASSERT_NE(workspace_.CreateNet(builder.Build()), nullptr);
  EXPECT_NE(ErrorOf([&] {
              workspace_.RunNet("self");
            }).find("it is an operator of net 'self', which is running"),
            std::string::npos);
  EXPECT_TRUE(FindNetMeasurements("self", &workspace_).empty());
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

TEST_F(ObserverControlOpTest, DumpsACheckpointUntilItIsToldThatAllIsDone) {
  RunOn("Attach");
  ASSERT_TRUE(workspace_.RunNet("n"));
  const auto dump = [&](int64_t batches, std::vector<std::string> settings) {
    const std::string path = folder_ / "n.profile";
    Run("Dump", [&](OpBuilder& b) {
      b.String("net", "n").String("path", path).String("format", "profile");
      if (batches >= 0) b.Int("checkpoint_batches", batches);
      if (!settings.empty()) b.Strings("checkpoint_settings", settings);
    });
    NetInfo info;
    EXPECT_TRUE(ReadProfile(path, &info).ok());
    return info.checkpoint;
  };
  EXPECT_TRUE(dump(-1, {}).settings.empty());
  const std::map<std::string, std::string> settings = {{"a", "1"}, {"b", ""}};
  EXPECT_EQ(dump(3, {"b", "", "a", "1"}).settings, settings);
  EXPECT_EQ(dump(-1, {}).batches, 3);  // as it was
  EXPECT_TRUE(dump(0, {}).settings.empty());
  EXPECT_NE(ErrorOf([&] {
              dump(3, {"a"});
            }).find("checkpoint_settings has 1 texts, expected pairs"),
            std::string::npos);
  EXPECT_NE(ErrorOf([&] {
              Run("Dump", [](OpBuilder& b) {
                b.String("net", "n").Int("checkpoint_batches", -1);
              });
            }).find("checkpoint_batches is -1, expected 0 or more"),
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
      [](OpBuilder& b) { b.String("net", "n").String("op_types", "Neg*"); });
  EXPECT_FALSE(Info()["operators"].empty());
  RunOn("Detach");
  EXPECT_NE(ErrorOf([&] {
              Run("Attach", [](OpBuilder& b) {
                b.String("net", "n").String("op_types", "Negatve");
              });
            })
                .find("OutputMinMaxObserverAttach: op_types: net 'n' has no "
                      "operator of type 'Negatve' (did you mean 'Negative'?)"),
            std::string::npos);
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

TEST_F(ObserverControlOpTest, SeveralObserversByLabel) {
  Run("Attach", [](OpBuilder& b) { b.String("net", "n"); });
  Run("Attach", [](OpBuilder& b) {
    b.String("net", "n").String("observer", "second").Int("every", 2);
  });
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(workspace_.RunNet("n"));
  const auto recorded = [&](const std::string& label) {
    Run("Info",
        [&](OpBuilder& b) { b.String("net", "n").String("observer", label); },
        {"json"});
    const auto info =
        nlohmann::json::parse(Fetch<std::string>(workspace_, "json")[0]);
    EXPECT_EQ(info["observer"], label);
    return info["recorded_runs"].get<int>();
  };
  EXPECT_EQ(recorded(""), 4);
  EXPECT_EQ(recorded("second"), 2);
  EXPECT_NE(ErrorOf([&] { RunOn("Reset"); })
                .find("has 2 observers, expected the argument observer to name "
                      "one of '', 'second'"),
            std::string::npos);
  EXPECT_NE(ErrorOf([&] {
              Run("Stop", [](OpBuilder& b) {
                b.String("net", "n").String("observer", "third");
              });
            }).find("has no observer 'third'; it has: '', 'second'"),
            std::string::npos);
  Run("Detach",
      [](OpBuilder& b) { b.String("net", "n").String("observer", ""); });
  RunOn("Reset");  // the only one now
  RunOn("Detach");
  EXPECT_NE(ErrorOf([&] { RunOn("Detach"); }), "");
}

TEST_F(ObserverControlOpTest, RecordsAndDumpsAsTold) {
  Run("Attach", [](OpBuilder& b) {
    b.String("net", "n")
        .Int("histogram_bins", 4)
        .Strings("column_max_blobs", {"n_y"})
        .Int("column_max_bins", 8)
        .Strings("op_types", {"Neg*"})
        .Strings("output_names", {"n_?"})
        .Int("run_limit", 2)
        .String("delimiter", ",");
  });
  FeedFloats(&workspace_, "x", {-1, 2, 0, -2.5f}, {2, 2});
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(workspace_.RunNet("n"));
  const auto options = Info()["options"];
  EXPECT_EQ(options["histogram_bins"], 4);
  EXPECT_EQ(options["column_max_bins"], 8);
  EXPECT_EQ(options["run_limit"], 2);
  EXPECT_EQ(Info()["recorded_runs"], 2);
  EXPECT_FALSE(Info()["operators"][0]["outputs"][0].contains("histogram"));
  Run("Info", [](OpBuilder& b) { b.String("net", "n").Int("histograms", 1); },
      {"json"});
  const auto json =
      nlohmann::json::parse(Fetch<std::string>(workspace_, "json")[0]);
  const auto& output = json["operators"][0]["outputs"][0];
  EXPECT_EQ(output["total_histogram"]["max_bins"], 4);
  EXPECT_EQ(output["total_column_max"].size(), 2u);
  const auto dump = [&](const char* format) {
    const std::string path = folder_ / format;
    Run("Dump", [&](OpBuilder& b) {
      b.String("net", "n")
          .String("path", path)
          .String("format", format)
          .Int("samples", 12);
    });
    return path;
  };
  std::vector<MinMaxLine> lines;
  ASSERT_TRUE(ReadMinMaxFile(dump("min_max"), &lines, ",").ok());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].range.max(), 2.5);
  std::vector<HistogramLine> histograms;
  ASSERT_TRUE(ReadHistogramFile(dump("histogram"), &histograms, ",").ok());
  ASSERT_EQ(histograms.size(), 1u);
  std::vector<ColumnMaxLine> columns;
  ASSERT_TRUE(ReadColumnMaxFile(dump("column_max"), &columns, ",").ok());
  EXPECT_EQ(columns.size(), 2u);
  for (const char* format : {"profile", "profile_json"}) {
    NetInfo profile;
    ASSERT_TRUE(ReadProfile(dump(format), &profile).ok());
    EXPECT_EQ(profile.samples, 12u);
    EXPECT_EQ(profile.recorded_runs, 2u);
  }
  EXPECT_NE(ErrorOf([&] { dump("text"); }).find("format is 'text'"),
            std::string::npos);
  // On from there: the limit is reached already.
  RunOn("Detach");
  Run("Attach", [&](OpBuilder& b) {
    b.String("net", "n")
        .Int("histogram_bins", 4)
        .Strings("column_max_blobs", {"n_y"})
        .Int("column_max_bins", 8)
        .Strings("op_types", {"Neg*"})
        .Strings("outputs", {"n_?"})
        .Int("run_limit", 2)
        .String("resume_from", folder_ / "profile");
  });
  ASSERT_TRUE(workspace_.RunNet("n"));
  EXPECT_EQ(Info()["recorded_runs"], 2);
  EXPECT_EQ(Info()["samples"], 12);
  EXPECT_EQ(Min("total_max"), 2.5);
}

TEST_F(ObserverControlOpTest, LaterNetsByLabelAndPath) {
  const std::string path = folder_ / "later.minmax";
  Run("AttachToLaterNets", [&](OpBuilder& b) {
    b.String("observer", "paths").String("path", path).Int("unique_paths", 1);
  });
  Run("AttachToLaterNets", [&](OpBuilder& b) {
    b.String("observer", "folders")
        .String("folder", folder_)
        .String("format", "profile_json");
  });
  for (const char* name : {"one", "two"}) {
    MakeNet(name);
    ASSERT_TRUE(workspace_.RunNet(name));
    workspace_.DeleteNet(name);
  }
  for (const char* name :
       {"later.minmax.1", "later.minmax.2", "one.folders.profile.json",
        "two.folders.profile.json"}) {
    EXPECT_TRUE(fs::exists(folder_ / name)) << name;
  }
  Run("AttachToLaterNets",
      [](OpBuilder& b) { b.Int("enable", 0).String("observer", "paths"); });
  MakeNet("three");
  EXPECT_EQ(Info("three")["observer"], "folders");
  Run("AttachToLaterNets", [](OpBuilder& b) { b.Int("enable", 0); });
  EXPECT_NE(ErrorOf([&] {
              Run("AttachToLaterNets", [&](OpBuilder& b) {
                b.String("folder", folder_).String("path", path);
              });
            }).find("expected one of them"),
            std::string::npos);
}

TEST_F(ObserverControlOpTest, ValuesOutOfRangeAreRefused) {
  const auto refused = [&](const char* argument, int64_t value) {
    return ErrorOf([&] {
      Run("Attach",
          [&](OpBuilder& b) { b.String("net", "n").Int(argument, value); });
    });
  };
  EXPECT_NE(refused("histogram_bins", 3).find("histogram_bins is 3"),
            std::string::npos);
  EXPECT_NE(refused("histogram_bins", 1 << 20).find("expected 4 to 65536"),
            std::string::npos);
  EXPECT_NE(refused("every", 0).find("every is 0"), std::string::npos);
  EXPECT_NE(refused("run_limit", -1).find("run_limit is -1"),
            std::string::npos);
}

}  // namespace
}  // namespace caffe2_quantization
