#include "workflow/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "observers/attachment.h"
#include "observers/profile.h"
#include "quantization/path_lock.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/workflow/data_testing.h"
#include "tests/workflow/workflow_testing.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// y = w * x, z = relu(y) over rows of two numbers.
class CalibrateTest : public testing::Test {
 protected:
  CalibrateTest() {
    NetBuilder predict("small", "simple");
    predict.Op("Mul", {"x", "w"}, {"y"}).Int("broadcast", 1);
    predict.Op("Relu", {"y"}, {"z"});
    predict.Input("x").Input("w");
    options_.predict_path = folder_.Write("predict.pb", predict.Build());
    options_.init_path = WriteInit({2, -1});
    WriteData(21);
    options_.data.path = folder_.Path("d.npz");
    options_.profile_path = folder_.Path("p.json");
    options_.batch_size = 4;
    options_.recording.histogram_bins = 64;
  }

  std::string WriteInit(const std::vector<float>& w) {
    NetBuilder init("init", "simple");
    init.Op("GivenTensorFill", {}, {"w"})
        .Ints("shape", {2})
        .Floats("values", w);
    return folder_.Write("init.pb", init.Build());
  }
  void WriteData(int64_t rows) {
    std::vector<float> values;
    for (int64_t i = 0; i < 2 * rows; ++i) {
      values.push_back(random_.Float(-10, 10));
    }
    WriteZip(folder_.Path("d.npz"),
             {{"x.npy", Npy<float>("<f4", {rows, 2}, values)}}, true);
  }

  Status Run() {
    report_ = CalibrateReport();
    return Calibrate(options_, {}, progress_, &report_);
  }
  void RunWell() {
    const Status status = Run();
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_THAT(AllNetMeasurements(), IsEmpty());
  }
  std::string RunError() {
    const Status status = Run();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(AllNetMeasurements(), IsEmpty());
    EXPECT_FALSE(Exists("p.json.lock"));
    return status.message();
  }
  // Runs until so many samples are done, then throws, as a full stop does.
  void RunUntil(int64_t samples) {
    struct Stop {};
    progress_ = [samples](const CalibrateProgress& progress) {
      if (progress.samples_done >= samples) throw Stop();
    };
    EXPECT_THROW((void)Run().ok(), Stop);
    progress_ = {};
  }
  bool Exists(const std::string& name) const {
    struct stat info;
    return stat(folder_.Path(name).c_str(), &info) == 0;
  }
  // Without when and where.
  nlohmann::json Profile(const std::string& name = "p.json") const {
    auto profile = nlohmann::json::parse(ReadText(folder_.Path(name)));
    profile.erase("provenance");
    return profile;
  }

  TestRandom random_;
  TemporaryFolder folder_;
  CalibrateOptions options_;
  std::function<void(const CalibrateProgress&)> progress_;
  CalibrateReport report_;
};

TEST_F(CalibrateTest, WritesWhatEveryOutputShowed) {
  std::vector<int64_t> done;
  progress_ = [&](const CalibrateProgress& progress) {
    EXPECT_EQ(progress.samples_total, 21);
    done.push_back(progress.samples_done);
  };
  RunWell();
  EXPECT_THAT(done, ElementsAre(0, 4, 8, 12, 16, 20, 21));
  EXPECT_EQ(report_.samples, 21);
  EXPECT_EQ(report_.batches, 6);
  EXPECT_EQ(report_.resumed_samples, 0);
  EXPECT_THAT(report_.notes, IsEmpty());
  EXPECT_THAT(report_.inputs, ElementsAre("x"));
  EXPECT_FALSE(Exists("p.json.lock"));
  EXPECT_FALSE(Exists("p.json.checkpoint"));
  const auto profile = Profile();
  EXPECT_EQ(profile["net_name"], "small");
  EXPECT_EQ(profile["samples"], "21");
  EXPECT_EQ(profile["runs"], "6");
  EXPECT_FALSE(profile.contains("checkpoint"));
  EXPECT_EQ(profile["operators"][1]["outputs"][0]["count"], "42");
  EXPECT_EQ(profile["operators"][1]["outputs"][0]["histogram"]["max_bins"], 64);
  const auto json = nlohmann::json::parse(ToJson(report_));
  EXPECT_EQ(json["samples"], 21);
  EXPECT_EQ(json["data_form"], "npz");
  EXPECT_EQ(json["observed"]["operators"][0]["op_type"], "Mul");
}

TEST_F(CalibrateTest, GivesTheSameOnEveryTypeOfNet) {
  RunWell();
  const auto expected = Profile();
  for (const char* type : {"dag", "async_scheduling", "prof_dag"}) {
    options_.net_type = type;
    RunWell();
    EXPECT_EQ(report_.net_type, type);
    EXPECT_EQ(Profile(), expected) << type;
  }
}

TEST_F(CalibrateTest, AShardedRunMergesToTheWhole) {
  RunWell();
  const auto whole = Profile();
  for (const int64_t shards : {1, 2, 5, 8}) {
    SCOPED_TRACE(shards);
    options_.shards = shards;
    std::vector<std::string> profiles;
    int64_t samples = 0;
    for (int64_t shard = shards - 1; shard >= 0; --shard) {
      options_.shard = shard;
      options_.profile_path = folder_.Path("s" + std::to_string(shard));
      RunWell();
      profiles.push_back(options_.profile_path);
      samples += report_.samples;
    }
    EXPECT_EQ(samples, 21);
    const Status status =
        MergeProfileFiles(profiles, folder_.Path("m.json"), MergeOptions());
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(Profile("m.json"), whole);
  }
}

TEST_F(CalibrateTest, GoesOnFromACheckpoint) {
  RunWell();
  const auto whole = Profile();
  for (const int64_t every : {1, 2, 3}) {
    options_.checkpoint_every = every;
    for (const int64_t stop : {4, 8, 16, 21}) {
      SCOPED_TRACE(stop);
      RunUntil(stop);
      const int64_t saved = (stop + 3) / 4 - 1;  // batches before the last one
      EXPECT_EQ(Exists("p.json.checkpoint"), saved / every > 0);
      RunWell();
      EXPECT_EQ(report_.resumed_samples, saved / every * every * 4);
      EXPECT_EQ(Profile(), whole);
      EXPECT_FALSE(Exists("p.json.checkpoint"));
    }
  }
}

TEST_F(CalibrateTest, GoesOnAgainAndAgainInAShard) {
  options_.shards = 2;
  options_.shard = 1;
  options_.checkpoint_every = 1;
  options_.data.path = folder_.Path("d.npz");
  RunWell();
  const auto whole = Profile();
  RunUntil(8);
  RunUntil(9);
  EXPECT_TRUE(Exists("p.json.checkpoint"));
  RunWell();
  EXPECT_EQ(report_.resumed_samples, 8);
  EXPECT_EQ(Profile(), whole);
}

TEST_F(CalibrateTest, RefusesACheckpointOfOtherSettings) {
  options_.checkpoint_every = 1;
  RunUntil(12);
  const CalibrateOptions given = options_;
  options_.batch_size = 3;
  EXPECT_THAT(RunError(), HasSubstr("batch size was '4' and is '3'"));
  options_ = given;
  options_.shards = 2;
  options_.limit = 7;
  EXPECT_THAT(RunError(), HasSubstr("limit was '0' and is '7', "
                                    "shard was '0/1' and is '0/2'"));
  options_ = given;
  options_.recording.histogram_bins = 32;
  EXPECT_THAT(RunError(), HasSubstr("histogram_bins"));
  options_ = given;
  WriteInit({2, -3});
  EXPECT_THAT(RunError(), HasSubstr("weights was "));
  WriteInit({2, -1});
  const std::string data = ReadText(folder_.Path("d.npz"));
  WriteData(22);
  EXPECT_THAT(RunError(), HasSubstr("data samples was '21' and is '22'"));
  EXPECT_THAT(RunError(), HasSubstr("p.json.checkpoint'"));
  options_.restart = true;
  RunWell();
  EXPECT_EQ(report_.resumed_samples, 0);
  EXPECT_EQ(report_.samples, 22);
}

TEST_F(CalibrateTest, RefusesWhatIsNoCheckpoint) {
  RunWell();
  folder_.Write("p.json.checkpoint", ReadText(folder_.Path("p.json")));
  EXPECT_THAT(RunError(), HasSubstr("it is a finished profile"));
  folder_.Write("p.json.checkpoint", "words");
  EXPECT_THAT(RunError(), HasSubstr("cannot go on from the checkpoint"));
}

TEST_F(CalibrateTest, ACheckpointIsNotMerged) {
  options_.checkpoint_every = 1;
  RunUntil(12);
  EXPECT_THAT(MergeProfileFiles({folder_.Path("p.json.checkpoint")},
                                folder_.Path("m.json"), MergeOptions())
                  .message(),
              HasSubstr("the checkpoint of an unfinished calibration"));
}

TEST_F(CalibrateTest, OneAtATime) {
  PathLock lock;
  ASSERT_TRUE(lock.Acquire(options_.profile_path).ok());
  EXPECT_THAT(Run().message(), HasSubstr("another process is writing to '" +
                                         options_.profile_path + "'"));
}

TEST_F(CalibrateTest, TakesTheFirstSamplesAlone) {
  options_.limit = 6;
  RunWell();
  EXPECT_EQ(report_.samples, 6);
  EXPECT_EQ(report_.batches, 2);
  EXPECT_EQ(Profile()["samples"], "6");
  options_.limit = 100;
  RunWell();
  EXPECT_EQ(report_.samples, 21);
}

TEST_F(CalibrateTest, RecordsWhatIsAskedFor) {
  options_.recording.outputs = {"z*"};
  options_.recording.histogram_bins = 0;
  options_.recording.column_max_bins = 16;
  options_.recording.column_max_blobs = {"z"};
  RunWell();
  const auto profile = Profile();
  ASSERT_EQ(profile["operators"].size(), 1u);
  const auto& output = profile["operators"][0]["outputs"][0];
  EXPECT_EQ(output["tensor_name"], "z");
  EXPECT_EQ(output["column_max"].size(), 2u);
  EXPECT_FALSE(output.contains("histogram"));
}

TEST_F(CalibrateTest, ALostCheckpointDoesNotStopIt) {
  options_.checkpoint_every = 1;
  options_.restart = true;
  mkdir(folder_.Path("p.json.checkpoint").c_str(), 0777);
  RunWell();
  EXPECT_THAT(report_.notes, ElementsAre(HasSubstr("it is a folder"),
                                         HasSubstr("cannot remove")));
  rmdir(folder_.Path("p.json.checkpoint").c_str());
}

TEST_F(CalibrateTest, SaysWhatCannotBe) {
  options_.batch_size = 0;
  EXPECT_THAT(RunError(), HasSubstr("batch size 0"));
  options_.batch_size = 1;
  options_.shards = 2;
  options_.shard = 2;
  EXPECT_THAT(RunError(), HasSubstr("shard 2 of 2"));
  options_.shard = 0;
  options_.profile_path = folder_.Path("none/p");
  EXPECT_THAT(RunError(), HasSubstr("none/p.lock': No such file"));
  options_.profile_path = folder_.Path("p.json");
  WriteZip(folder_.Path("d.npz"),
           {{"x.npy", Npy<float>("<f4", {2, 3}, {1, 2, 3, 4, 5, 6})}});
  EXPECT_THAT(RunError(), HasSubstr("predict.pb with weights of "));
  EXPECT_FALSE(Exists("p.json"));
}

}  // namespace
}  // namespace caffe2_quantization
