#include "workflow/calibrate.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/path_lock.h"
#include "observers/attachment.h"
#include "profiles/profile.h"
#include "proto/profile.pb.h"
#include "tests/support/model_files.h"
#include "tests/support/net_builder.h"
#include "tests/support/predictor_testing.h"
#include "tests/support/random.h"
#include "tests/workflow/data_testing.h"

namespace caffe2_quantization {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ProfileProto ReadProto(const std::string& path) {
  ProfileProto profile;
  EXPECT_TRUE(profile.ParseFromString(ReadText(path))) << path;  // or none
  return profile;
}

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

TEST_F(CalibrateTest, APredictorHasItsOwnWeights) {
  options_.init_path = WriteInit({1, 2});
  const PredictorParts parts("_pick");
  options_.predict_path =
      folder_.Write("predict.pb", parts.meta.nets(2).value());
  RunWell();
  const auto expected = Profile();
  options_.predict_path = folder_.Write("pick.minidb", parts.Bytes());
  options_.init_path.clear();
  RunWell();
  EXPECT_EQ(Profile(), expected);
  EXPECT_EQ(report_.init_path, options_.predict_path);
  EXPECT_THAT(report_.notes, IsEmpty());
  options_.predict_path = folder_.Path("predict.pb");
  EXPECT_THAT(RunError(), HasSubstr("no init net: " + options_.predict_path));
}

TEST_F(CalibrateTest, GoesOnOnlyWithTheSameParameters) {
  PredictorParts parts;
  options_.predict_path = folder_.Write("pick.minidb", parts.Bytes());
  options_.init_path.clear();
  options_.checkpoint_every = 1;
  RunUntil(8);
  parts.records[0].second = FloatBlob("w", {2}, {1, 3}).SerializeAsString();
  folder_.Write("pick.minidb", parts.Bytes());
  EXPECT_THAT(RunError(), HasSubstr("weight 'w' was '"));
  parts.records[0].second = FloatBlob("w", {2}, {1, 2}).SerializeAsString();
  folder_.Write("pick.minidb", parts.Bytes());
  RunWell();
  EXPECT_EQ(report_.resumed_samples, 4);
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
  EXPECT_THAT(RunError(), HasSubstr("weight 'w' was '"));
  WriteInit({2, -1});
  WriteData(22);
  EXPECT_THAT(RunError(), HasSubstr("data samples was '21' and is '22'"));
  EXPECT_THAT(RunError(), HasSubstr("p.json.checkpoint'"));
  options_.restart = true;
  RunWell();
  EXPECT_EQ(report_.resumed_samples, 0);
  EXPECT_EQ(report_.samples, 22);
}

// The weights come of a file that the init net loads, which stays as it was.
TEST_F(CalibrateTest, RefusesOtherWeightsOfALoad) {
  const auto save = [this](const std::vector<float>& w) {
    caffe2::Workspace workspace;
    FeedFloats(&workspace, "w", w);
    unlink(folder_.Path("w.minidb").c_str());
    caffe2::OperatorDef save;
    OpBuilder(&save, "Save", {"w"}, {})
        .String("db", folder_.Path("w.minidb"))
        .String("db_type", "minidb")
        .Int("absolute_path", 1);
    ASSERT_TRUE(workspace.RunOperatorOnce(save));
  };
  NetBuilder init("init", "simple");
  init.Op("Load", {}, {"w"})
      .String("db", folder_.Path("w.minidb"))
      .String("db_type", "minidb")
      .Int("absolute_path", 1);
  folder_.Write("init.pb", init.Build());
  options_.checkpoint_every = 1;
  save({2, -1});
  RunUntil(12);
  save({2, -3});
  EXPECT_THAT(RunError(), HasSubstr("weight 'w' was '"));
  save({2, -1});  // the same values, in another file
  RunWell();
  EXPECT_EQ(report_.resumed_samples, 8);
}

TEST_F(CalibrateTest, RefusesAnotherNet) {
  options_.checkpoint_every = 1;
  RunUntil(12);
  const auto write = [this](int broadcast_axis, const std::string& engine) {
    NetBuilder predict("small", "simple");
    auto op = predict.Op("Mul", {"x", "w"}, {"y"}).Int("broadcast", 1);
    if (broadcast_axis > 0) op.Int("axis", broadcast_axis);
    predict.Op("Relu", {"y"}, {"z"});
    predict.Input("x").Input("w");
    caffe2::NetDef net = predict.Build();
    net.mutable_op(1)->set_engine(engine);
    folder_.Write("predict.pb", net);
  };
  write(1, "");
  EXPECT_THAT(RunError(), HasSubstr("the profile is of a net with hash '"));
  write(0, "NONE");
  EXPECT_THAT(RunError(), HasSubstr("engines of the net was '"));
  write(0, "");
  RunWell();
  EXPECT_EQ(report_.resumed_samples, 8);
}

TEST_F(CalibrateTest, RefusesAnotherFileThatTheNetItselfReads) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "w", {2, -1});
  caffe2::OperatorDef save;
  OpBuilder(&save, "Save", {"w"}, {})
      .String("db", folder_.Path("w.minidb"))
      .String("db_type", "minidb")
      .Int("absolute_path", 1);
  ASSERT_TRUE(workspace.RunOperatorOnce(save));
  NetBuilder predict("small", "simple");
  predict.Op("Load", {}, {"w"})
      .String("db", folder_.Path("w.minidb"))
      .String("db_type", "minidb")
      .Int("absolute_path", 1);
  predict.Op("Mul", {"x", "w"}, {"y"}).Int("broadcast", 1);
  predict.Input("x");
  folder_.Write("predict.pb", predict.Build());
  options_.checkpoint_every = 1;
  RunUntil(12);
  std::ofstream(folder_.Path("w.minidb"), std::ios::app) << "more";
  EXPECT_THAT(RunError(), HasSubstr("file '" + folder_.Path("w.minidb") +
                                    "' that the net reads was '"));
}

// What a checkpoint of before holds: settings, but none that tell its form.
TEST_F(CalibrateTest, RefusesACheckpointOfAnEarlierVersion) {
  options_.checkpoint_every = 1;
  RunUntil(12);
  ProfileProto profile = ReadProto(folder_.Path("p.json.checkpoint"));
  for (auto& setting : *profile.mutable_checkpoint()->mutable_settings()) {
    if (setting.name() == "form of the checkpoint") setting.set_name("forn");
  }
  folder_.Write("p.json.checkpoint", profile);
  EXPECT_THAT(RunError(), HasSubstr("it is of an earlier version, which did "
                                    "not keep enough to tell whether data and "
                                    "weights are still the same; "));
  for (auto& setting : *profile.mutable_checkpoint()->mutable_settings()) {
    if (setting.name() != "forn") continue;
    setting.set_name("form of the checkpoint");
    setting.set_value("another's, 7");
  }
  folder_.Write("p.json.checkpoint", profile);
  EXPECT_THAT(RunError(), HasSubstr("it is one of 'another's, 7', expected "));
  options_.restart = true;
  RunWell();
}

TEST_F(CalibrateTest, AnewMeansThatTheOldCheckpointIsGone) {
  options_.checkpoint_every = 2;
  RunUntil(12);
  ASSERT_TRUE(Exists("p.json.checkpoint"));
  options_.restart = true;
  RunUntil(4);  // before the next one
  EXPECT_FALSE(Exists("p.json.checkpoint"));
}

TEST_F(CalibrateTest, TellsOfManyWeightsByGroups) {
  NetBuilder predict("many", "simple"), init("init", "simple");
  std::vector<std::string> inputs = {"x"};
  const auto write_init = [this](int changed) {
    NetBuilder init("init", "simple");
    for (int i = 0; i < 3000; ++i) {
      init.Op("GivenTensorFill", {}, {"w" + std::to_string(i)})
          .Ints("shape", {2})
          .Floats("values", {i == changed ? 1.0f : 0.5f, 0});
    }
    folder_.Write("init.pb", init.Build());
  };
  for (int i = 0; i < 3000; ++i) inputs.push_back("w" + std::to_string(i));
  predict.Op("Concat", inputs, {"y", "split"}).Int("axis", 0);
  folder_.Write("predict.pb", predict.Build());
  // Weights of two values, and so rows of two.
  WriteZip(folder_.Path("d.npz"),
           {{"x.npy", Npy<float>("<f4", {4}, {1, 2, 3, 4})}});
  options_.batch_size = 1;
  options_.checkpoint_every = 1;
  write_init(-1);
  RunUntil(3);
  EXPECT_LT(
      ReadProto(folder_.Path("p.json.checkpoint")).checkpoint().settings_size(),
      1100);
  write_init(1001);
  EXPECT_THAT(RunError(), HasSubstr("weights 'w999' to 'w1001' was '3 with "
                                    "hash "));
  write_init(-1);
  RunWell();
  EXPECT_EQ(report_.resumed_samples, 2);
}

TEST_F(CalibrateTest, StopsInOrder) {
  RunWell();
  const auto whole = Profile();
  for (const int64_t stop_after : {0, 1, 3, 5, 6}) {
    SCOPED_TRACE(stop_after);
    int64_t asked = 0;
    options_.checkpoint_every = stop_after % 2 == 0 ? 50 : 0;
    options_.stop = [&] { return asked++ == stop_after; };
    unlink(folder_.Path("p.json").c_str());
    if (stop_after == 6) {  // there is no seventh batch
      RunWell();
      EXPECT_EQ(Profile(), whole);
      break;
    }
    RunWell();
    EXPECT_EQ(
        report_.stopped,
        "stopped after " + std::to_string(4 * stop_after) + " of 21 samples, " +
            (stop_after == 0 ? "of which no checkpoint was kept; to begin anew"
                             : "which '" + folder_.Path("p.json.checkpoint") +
                                   "' holds; to go on"));
    EXPECT_EQ(Exists("p.json.checkpoint"), stop_after > 0);
    EXPECT_FALSE(Exists("p.json"));
    EXPECT_FALSE(Exists("p.json.lock"));
    options_.stop = {};
    RunWell();
    EXPECT_EQ(report_.resumed_samples, 4 * stop_after);
    EXPECT_EQ(Profile(), whole);
  }
}

// Stopped again before it did anything, it keeps what it came from.
TEST_F(CalibrateTest, StopsBeforeItGoesOn) {
  options_.checkpoint_every = 1;
  RunUntil(12);
  options_.stop = [] { return true; };
  RunWell();
  EXPECT_THAT(report_.stopped,
              HasSubstr("stopped after 8 of 21 samples, which '"));
  options_.stop = {};
  RunWell();
  EXPECT_EQ(report_.resumed_samples, 8);
}

TEST_F(CalibrateTest, WritesCheckpointsByTheClock) {
  double now = 1000;
  options_.checkpoint_every = 50;
  options_.clock = [&now] { return now; };
  std::vector<int64_t> saved;  // batches in the checkpoint after each batch
  options_.stop = [&] {
    saved.push_back(
        ReadProto(folder_.Path("p.json.checkpoint")).checkpoint().batches());
    return false;
  };
  progress_ = [&now](const CalibrateProgress&) { now += 4; };
  RunWell();
  // 4 seconds a batch, and as many before the first: 10 have passed after the
  // second, and after every third from there on.
  EXPECT_THAT(saved, ElementsAre(0, 0, 2, 2, 2, 5));
  options_.checkpoint_seconds = 0;
  saved.clear();
  RunWell();
  EXPECT_THAT(saved, ElementsAre(0, 0, 0, 0, 0, 0));
}

// A checkpoint that takes long is written more seldom: 2 % of the time.
TEST_F(CalibrateTest, CheckpointsTakeASmallShareOfTheTime) {
  WriteData(400);
  options_.batch_size = 1;
  double now = 0;
  int64_t checkpoints = 0;
  std::string last;
  // Writing one takes a second: the clock is read before and after it.
  options_.clock = [&] {
    const std::string here = Exists("p.json.checkpoint")
                                 ? ReadText(folder_.Path("p.json.checkpoint"))
                                 : "";
    if (here != last) {
      last = here;
      ++checkpoints;
      now += 1;
    }
    return now;
  };
  options_.checkpoint_every = 1'000'000;
  progress_ = [&now](const CalibrateProgress&) { now += 1; };
  RunWell();
  // After 10 seconds, and then every 50.
  EXPECT_EQ(checkpoints, 8);
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

// Each has a workspace of its own: the net's name and its inputs' are the same.
TEST_F(CalibrateTest, TwoAtOnceDoNotMix) {
  constexpr int kThreads = 2;
  CalibrateOptions options[kThreads];
  nlohmann::json expected[kThreads];
  const auto path = [](int i) { return "p" + std::to_string(i) + ".json"; };
  for (int i = 0; i < kThreads; ++i) {
    WriteData(40 + i);
    const std::string data = folder_.Path("d" + std::to_string(i) + ".npz");
    ASSERT_EQ(std::rename(folder_.Path("d.npz").c_str(), data.c_str()), 0);
    options_.data.path = data;
    options_.profile_path = folder_.Path(path(i));
    options[i] = options_;
    RunWell();
    expected[i] = Profile(path(i));
  }
  ASSERT_NE(expected[0], expected[1]);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::thread> threads;
    for (const CalibrateOptions& each : options) {
      threads.emplace_back([&each] {
        CalibrateReport report;
        const Status status = Calibrate(each, {}, {}, &report);
        EXPECT_TRUE(status.ok()) << status.message();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < kThreads; ++i) {
      ASSERT_EQ(Profile(path(i)), expected[i]) << round;
    }
  }
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

// A form of data, as a user has it: files in a folder, of which a first batch
// of two samples is done. Each test changes one thing, and the run that goes on
// names it.
struct DataForm {
  std::string name;
  // Writes samples of these values, two each: value and value + 1.
  std::function<void(const TemporaryFolder&, const std::vector<int>&)> write;
  std::string file;  // that is changed, of those
  bool is_folder = false;
};

void PrintTo(const DataForm& form, std::ostream* out) { *out << form.name; }

std::string MinidbOf(const std::vector<int>& values) {
  std::string bytes;
  for (const int value : values) {
    caffe2::TensorProtos sample;
    AddFloats("x", {2}, {value * 1.0f, value + 1.0f}, &sample);
    const std::string record = sample.SerializeAsString();
    const int32_t sizes[] = {1, static_cast<int32_t>(record.size())};
    bytes.append(reinterpret_cast<const char*>(sizes), sizeof(sizes));
    bytes += "k" + record;
  }
  return bytes;
}

std::vector<float> Rows(const std::vector<int>& values) {
  std::vector<float> rows;
  for (const int value : values) {
    rows.push_back(static_cast<float>(value));
    rows.push_back(static_cast<float>(value + 1));
  }
  return rows;
}

void WriteNpz(const TemporaryFolder& folder, const std::vector<int>& values,
              bool deflate) {
  WriteZip(
      folder.Path("data"),
      {{"x.npy", Npy<float>("<f4", {int64_t(values.size()), 2}, Rows(values))}},
      deflate);
}

void WriteTensors(const TemporaryFolder& folder, const std::vector<int>& values,
                  bool text) {
  caffe2::TensorProtos tensors;
  AddFloats("x", {static_cast<int64_t>(values.size()), 2}, Rows(values),
            &tensors);
  if (text) {
    caffe2::WriteProtoToTextFile(tensors, folder.Path("data"));
  } else {
    folder.Write("data", tensors);
  }
}

std::string CsvOf(const std::vector<int>& values) {
  std::string text;
  for (const int value : values) {
    text += std::to_string(value) + "," + std::to_string(value + 1) + "\n";
  }
  return text;
}

// A file for each sample: 0.csv, 1.csv ...
void WriteMany(const TemporaryFolder& folder, const std::vector<int>& values,
               const std::string& extension) {
  mkdir(folder.Path("data").c_str(), 0777);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string name = "data/" + std::to_string(i) + extension;
    if (extension == ".csv") {
      folder.Write(name, CsvOf({values[i]}));
    } else if (extension == ".bmp") {
      std::string bytes(54 + 8, '\0');
      bytes.replace(0, 2, "BM");
      bytes[2] = 62, bytes[10] = 54, bytes[14] = 40;  // sizes of file, headers
      bytes[18] = 2, bytes[22] = 1, bytes[26] = 1, bytes[28] = 24;
      for (int c = 0; c < 3; ++c) {
        bytes[54 + c] = static_cast<char>(values[i]);
        bytes[57 + c] = static_cast<char>(values[i] + 1);
      }
      folder.Write(name, bytes);
    } else {
      folder.Write(name, "P5 2 1 255\n" + std::string(1, char(values[i])) +
                             std::string(1, char(values[i] + 1)));
    }
  }
}

const DataForm kForms[] = {
    {"npz stored", [](auto& f, auto& v) { WriteNpz(f, v, false); }, "data"},
    {"npz deflated", [](auto& f, auto& v) { WriteNpz(f, v, true); }, "data"},
    {"minidb", [](auto& f, auto& v) { f.Write("data", MinidbOf(v)); }, "data"},
    {"TensorProtos", [](auto& f, auto& v) { WriteTensors(f, v, false); },
     "data"},
    {"TensorProtos as text", [](auto& f, auto& v) { WriteTensors(f, v, true); },
     "data"},
    {"CSV", [](auto& f, auto& v) { f.Write("data", CsvOf(v)); }, "data"},
    {"folder of CSV", [](auto& f, auto& v) { WriteMany(f, v, ".csv"); },
     "data/4.csv", true},
    {"folder of pgm", [](auto& f, auto& v) { WriteMany(f, v, ".pgm"); },
     "data/4.pgm", true},
    {"folder of bmp", [](auto& f, auto& v) { WriteMany(f, v, ".bmp"); },
     "data/4.bmp", true},
};

class RestartTest : public testing::TestWithParam<DataForm> {
 protected:
  RestartTest() {
    // Images come as [N, 1, 1, 2].
    NetBuilder predict("small", "simple"), init("init", "simple");
    predict.Op("Scale", {"x"}, {"y"}).Float("scale", 3);
    predict.Input("x");
    options_.predict_path = folder_.Write("predict.pb", predict.Build());
    init.Op("GivenTensorFill", {}, {"unused"})
        .Ints("shape", {1})
        .Floats("values", {0});
    options_.init_path = folder_.Write("init.pb", init.Build());
    options_.data.path = folder_.Path("data");
    options_.data.images.color = ImageOptions::Color::kGray;
    options_.profile_path = folder_.Path("p");
    options_.batch_size = 2;
    options_.checkpoint_every = 1;
    Write({1, 3, 5, 7, 9, 11, 13});
  }
  ~RestartTest() override {
    const std::string command = "rm -r '" + folder_.Path("data") + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
  }

  void Write(const std::vector<int>& values) {
    GetParam().write(folder_, values);
  }
  std::string File() const { return folder_.Path(GetParam().file); }
  struct stat Stat() const {
    struct stat info = {};
    EXPECT_EQ(stat(File().c_str(), &info), 0);
    return info;
  }
  // Gives the file the times that it had.
  void PutTimesBack(const struct stat& info) const {
    const timespec times[] = {info.st_atim, info.st_mtim};
    EXPECT_EQ(utimensat(AT_FDCWD, File().c_str(), times, 0), 0);
  }
  void ChangeFile(const std::function<void(std::string*)>& change) const {
    std::string bytes = ReadText(File());
    change(&bytes);
    std::ofstream(File(), std::ios::binary) << bytes;  // the same inode
  }
  // Stops when two batches are done.
  void Stop() {
    int asked = 0;
    options_.stop = [&asked] { return asked++ == 2; };
    const Status status = Run();
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_NE(report_.stopped, "");
    options_.stop = {};
    WaitForAnotherTime();
  }
  // A file that is written from now on gets another time than the data has: the
  // file system's clock may move on every 10 milliseconds only.
  void WaitForAnotherTime() const {
    const timespec before = Stat().st_mtim;
    timespec now = before;
    while (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec) {
      struct stat info = {};
      ASSERT_EQ(stat(folder_.Write("clock", "").c_str(), &info), 0);
      now = info.st_mtim;
    }
  }
  Status Run() {
    report_ = CalibrateReport();
    return Calibrate(options_, {}, {}, &report_);
  }
  void ExpectRefusal(const std::string& what) {
    const Status status = Run();
    EXPECT_THAT(status.message(),
                HasSubstr("cannot go on from the checkpoint '" +
                          folder_.Path("p.checkpoint") + "': "));
    EXPECT_THAT(status.message(), HasSubstr(what));
    EXPECT_THAT(status.message(),
                HasSubstr("or start anew (--restart, or without that file)"));
    // It can be had anew, and once the old data is back, go on.
    EXPECT_EQ(access(folder_.Path("p.checkpoint").c_str(), F_OK), 0);
  }
  std::string FileSetting() const {
    const std::string name =
        GetParam().is_folder ? File().substr(File().rfind('/') + 1) : File();
    return "data file '" + name + "' was '";
  }

  TemporaryFolder folder_;
  CalibrateOptions options_;
  CalibrateReport report_;
};

TEST_P(RestartTest, UnchangedEndsAsIfItHadNeverStopped) {
  options_.profile_path = folder_.Path("whole");
  ASSERT_TRUE(Run().ok());
  options_.profile_path = folder_.Path("p");
  Stop();
  const Status status = Run();
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(report_.resumed_samples, 4);
  EXPECT_THAT(report_.notes, ElementsAre(HasSubstr("goes on from '")));
  ProfileProto profile = ReadProto(folder_.Path("p"));
  ProfileProto whole = ReadProto(folder_.Path("whole"));
  EXPECT_EQ(whole.samples(), 7u);
  profile.clear_provenance();  // when and where
  whole.clear_provenance();
  EXPECT_EQ(profile.SerializeAsString(), whole.SerializeAsString());
}

TEST_P(RestartTest, RefusesOtherValues) {
  Stop();
  Write({1, 3, 5, 7, 9, 12, 13});
  ExpectRefusal("data file '");
}

TEST_P(RestartTest, RefusesAnotherOrder) {
  Stop();
  Write({13, 3, 5, 7, 9, 11, 1});
  ExpectRefusal("data file '");
}

// Even where somebody has put back the time.
TEST_P(RestartTest, RefusesOtherValuesOfWhatWasUsed) {
  if (GetParam().is_folder || GetParam().name == "npz deflated") {
    GTEST_SKIP() << "the changed file is one of others, or has another size";
  }
  for (const bool first : {true, false}) {
    Write({1, 3, 5, 7, 9, 11, 13});
    unlink(folder_.Path("p.checkpoint").c_str());
    Stop();
    const struct stat info = Stat();
    Write(first ? std::vector<int>{2, 3, 5, 7, 9, 11, 13}
                : std::vector<int>{1, 3, 5, 8, 9, 11, 13});
    ASSERT_EQ(Stat().st_size, info.st_size);
    PutTimesBack(info);
    if (Stat().st_ino != info.st_ino) {
      ExpectRefusal(FileSetting());
      continue;
    }
    ExpectRefusal(first ? "samples of the first batch was '"
                        : "samples of the last batch that was done was '");
  }
}

TEST_P(RestartTest, RefusesOtherBytes) {
  Stop();
  ChangeFile([](std::string* bytes) { bytes->back() ^= 1; });
  const Status status = Run();
  EXPECT_FALSE(status.ok());
  // A form with a checksum may tell first that the file is broken.
  EXPECT_THAT(status.message(), HasSubstr(File().substr(File().size() - 4)));
}

TEST_P(RestartTest, RefusesAnotherTime) {
  Stop();
  struct stat info = Stat();
  info.st_mtim.tv_nsec ^= 1;
  PutTimesBack(info);
  ExpectRefusal(FileSetting());
}

TEST_P(RestartTest, RefusesAnotherSize) {
  Stop();
  const struct stat info = Stat();
  ChangeFile([](std::string* bytes) {
    // What the form allows at its end: a blank line, or nothing.
    if (bytes->find(',') != std::string::npos) *bytes += "\n";
  });
  PutTimesBack(info);
  if (Stat().st_size == info.st_size) {
    GTEST_SKIP() << "the form takes no byte more";
  }
  ExpectRefusal(std::to_string(info.st_size) + " bytes, ");
}

// A copy with the same time, as cp -p makes it.
TEST_P(RestartTest, RefusesACopy) {
  Stop();
  const std::string command = "cp -p '" + File() + "' '" + File() +
                              "~' && mv '" + File() + "~' '" + File() + "'";
  const struct stat info = Stat();
  ASSERT_EQ(std::system(command.c_str()), 0);
  ASSERT_NE(Stat().st_ino, info.st_ino);
  ExpectRefusal(FileSetting());
}

TEST_P(RestartTest, RefusesAnotherPlace) {
  Stop();
  options_.data.path = folder_.Path("moved");
  ASSERT_EQ(rename(folder_.Path("data").c_str(), folder_.Path("moved").c_str()),
            0);
  ExpectRefusal("data was '" + folder_.Path("data") + "' and is '" +
                folder_.Path("moved") + "'");
  ASSERT_EQ(rename(folder_.Path("moved").c_str(), folder_.Path("data").c_str()),
            0);
  options_.data.path = folder_.Path("data");
  EXPECT_TRUE(Run().ok());  // back where it was
  EXPECT_EQ(report_.resumed_samples, 4);
}

TEST_P(RestartTest, TakesTheSameFolderWithASlash) {
  if (!GetParam().is_folder) GTEST_SKIP() << "one file";
  Stop();
  options_.data.path += '/';
  const Status status = Run();
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(report_.resumed_samples, 4);
}

TEST_P(RestartTest, RefusesFilesAddedAndRemoved) {
  if (!GetParam().is_folder) GTEST_SKIP() << "one file";
  Stop();
  const std::string file = File();
  const std::string extension = file.substr(file.size() - 4);
  const std::string added = folder_.Path("data/3a" + extension);
  folder_.Write("data/3a" + extension, ReadText(file));
  ExpectRefusal("data file '3a" + extension + "' was 'none' and is '");
  unlink(added.c_str());
  ASSERT_EQ(rename(file.c_str(), folder_.Path("kept").c_str()), 0);
  ExpectRefusal("' and is 'none'");
  ExpectRefusal("number of data files was '7' and is '6'");
  ASSERT_EQ(rename(folder_.Path("kept").c_str(), file.c_str()), 0);
  const Status status = Run();
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(report_.resumed_samples, 4);
}

TEST_P(RestartTest, TwoFilesThatChangeNamesAreRefused) {
  if (!GetParam().is_folder) GTEST_SKIP() << "one file";
  Stop();
  const std::string file = File();
  std::string other = file;
  other[other.size() - 5] = '5';
  ASSERT_EQ(rename(file.c_str(), folder_.Path("kept").c_str()), 0);
  ASSERT_EQ(rename(other.c_str(), file.c_str()), 0);
  ASSERT_EQ(rename(folder_.Path("kept").c_str(), other.c_str()), 0);
  ExpectRefusal(FileSetting());
}

TEST_P(RestartTest, RefusesOtherOptions) {
  Stop();
  const CalibrateOptions given = options_;
  const auto expect = [&](const std::string& what) {
    ExpectRefusal(what);
    options_ = given;
  };
  options_.batch_size = 1;
  expect("batch size was '2' and is '1'");
  options_.limit = 5;
  expect("limit was '0' and is '5'");
  options_.shards = 2;
  expect("shard was '0/1' and is '0/2'");
  options_.recording.histogram_bins = 77;
  expect("histogram_bins");
  options_.recording.outputs = {"y*"};
  expect("outputs");
  if (GetParam().name.find("CSV") != std::string::npos) {
    options_.data.shapes["x"] = {1, 2};
    expect("shape of x was 'none' and is '[1, 2]'");
  }
  if (GetParam().name.find("folder of") == 0 &&
      GetParam().name != "folder of CSV") {
    options_.data.images.mean = {1};
    expect("image mean was '' and is '1'");
    options_.data.images.std = {2};
    expect("image std was '' and is '2'");
    options_.data.images.scale = 0.5;
    expect("image scale was '1' and is '0.5'");
    options_.data.images.layout = ImageOptions::Layout::kNhwc;
    expect("image layout was 'nchw' and is 'nhwc'");
    options_.data.images.color = ImageOptions::Color::kRgb;
    expect("image color was 'gray' and is 'rgb'");
  }
}

// The profile is made, with a word.
TEST_P(RestartTest, NotesWhatChangedWhileItWasRead) {
  struct stat info = Stat();
  info.st_mtim.tv_nsec ^= 1;
  options_.stop = [&] {
    PutTimesBack(info);
    return false;
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(report_.notes,
              ElementsAre(HasSubstr(": another process has changed it while it "
                                    "was read")));
}

INSTANTIATE_TEST_SUITE_P(Forms, RestartTest, testing::ValuesIn(kForms),
                         [](const auto& form) {
                           std::string name = form.param.name;
                           std::replace(name.begin(), name.end(), ' ', '_');
                           return name;
                         });

}  // namespace
}  // namespace caffe2_quantization
