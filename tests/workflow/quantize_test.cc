#include "workflow/quantize.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/path_lock.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/workspace.h"
#include "netdef/operator_keys.h"
#include "tests/support/model_files.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/workflow/data_testing.h"
#include "workflow/weight_fills.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

const std::vector<std::string> kFiles = {"init_net.pb", "predict_net.pb",
                                         "recipe.json", "report.json"};

// FC, Relu, Sin, FC over rows of three numbers.
class QuantizeModelTest : public testing::Test {
 protected:
  QuantizeModelTest() {
    NetBuilder predict("small", "simple");
    for (const char* name : {"x", "w", "b", "v", "c"}) predict.Input(name);
    predict.Op("FC", {"x", "w", "b"}, {"h"});
    predict.Op("Relu", {"h"}, {"r"});
    predict.Op("Sin", {"r"}, {"s"});
    predict.Op("FC", {"s", "v", "c"}, {"y"});
    predict_ = predict.Build();
    predict_.add_external_output("y");
    Fill("w", {8, 3}, "GivenTensorFill");
    Fill("b", {8}, "GivenTensorFill");
    Fill("v", {2, 8}, "GivenTensorFill");
    Fill("c", {2}, "GivenTensorFill");
    options_.predict_path = folder_.Write("predict.pb", predict_);
    options_.init_path = folder_.Write("init.pb", init_);
    std::vector<float> values;
    for (int i = 0; i < 3 * 21; ++i) values.push_back(random_.Float(-1, 1));
    WriteZip(folder_.Path("d.npz"),
             {{"x.npy", Npy<float>("<f4", {21, 3}, values)}}, true);
    options_.calibrate.data.path = folder_.Path("d.npz");
    options_.calibrate.batch_size = 4;
    options_.output_path = folder_.Path("out");
  }
  ~QuantizeModelTest() override {
    for (const char* name : {"out", "other"})
      fs::remove_all(folder_.Path(name));
  }

  void Fill(const char* name, const std::vector<int64_t>& shape,
            const char* type) {
    NetBuilder net("init", "simple");
    std::vector<float> values;
    int64_t count = 1;
    for (const int64_t dim : shape) count *= dim;
    for (int64_t i = 0; i < count; ++i) values.push_back(random_.Float(-1, 1));
    OpBuilder op = net.Op(type, {}, {name});
    op.Ints("shape", shape);
    if (std::string(type) == "GivenTensorFill") op.Floats("values", values);
    init_.set_name("init");
    *init_.add_op() = net.Build().op(0);
  }

  Status Run() {
    report_ = QuantizeRunReport();
    notes_.clear();
    return QuantizeModel(
        options_, [this](const std::string& note) { notes_.push_back(note); },
        {}, &report_);
  }
  void RunWell() {
    const Status status = Run();
    ASSERT_TRUE(status.ok()) << status.message();
  }
  std::string RunError() {
    const Status status = Run();
    EXPECT_FALSE(status.ok());
    return status.message();
  }
  std::vector<std::string> Entries(const std::string& name = "") const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.Path(name))) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  std::map<std::string, std::string> Contents(
      const std::string& name = "out") const {
    std::map<std::string, std::string> contents;
    for (const std::string& file : Entries(name)) {
      contents[file] = ReadText(folder_.Path(name + "/" + file));
    }
    return contents;
  }

  TestRandom random_;
  TemporaryFolder folder_;
  caffe2::NetDef init_;
  caffe2::NetDef predict_;
  QuantizeRunOptions options_;
  QuantizeRunReport report_;
  std::vector<std::string> notes_;
};

TEST_F(QuantizeModelTest, TheSameBytesFromDataProfileAndASecondTime) {
  RunWell();
  EXPECT_EQ(Entries("out"), kFiles);
  EXPECT_THAT(Entries(), ElementsAre("d.npz", "init.pb", "out", "predict.pb"));
  const auto expected = Contents();
  EXPECT_EQ(report_.json, expected.at("report.json"));
  RunWell();
  EXPECT_EQ(Contents(), expected);

  CalibrateOptions calibrate = options_.calibrate;
  calibrate.init_path = options_.init_path;
  calibrate.predict_path = options_.predict_path;
  calibrate.profile_path = folder_.Path("p.json");
  CalibrateReport calibrated;
  ASSERT_TRUE(Calibrate(calibrate, {}, {}, &calibrated).ok());
  options_.calibrate.data.path = "";
  options_.profile_path = folder_.Path("p.json");
  options_.output_path = folder_.Path("other/");
  RunWell();
  EXPECT_EQ(Contents("other"), expected);

  options_.profile_path = "";
  options_.recipe_path = folder_.Path("out/recipe.json");
  RunWell();
  for (const char* name : {"init_net.pb", "predict_net.pb", "recipe.json"}) {
    EXPECT_EQ(Contents("other").at(name), expected.at(name));
  }
}

TEST_F(QuantizeModelTest, AStoppedCalibrationGoesOn) {
  options_.options.activation_method = ChooseMethod::kMse;
  RunWell();
  const auto expected = Contents();
  fs::remove_all(folder_.Path("out"));
  int batches = 0;
  options_.calibrate.stop = [&batches] { return ++batches == 4; };
  options_.calibrate.checkpoint_every = 1;
  RunWell();
  EXPECT_THAT(report_.stopped, HasSubstr("stopped after 12 of 21 samples"));
  EXPECT_FALSE(fs::exists(folder_.Path("out")));
  RunWell();
  EXPECT_EQ(report_.stopped, "");
  EXPECT_EQ(batches, 7);  // 4 before, 3 after
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("12 of 21 samples are done")));
  EXPECT_EQ(Contents(), expected);
  EXPECT_THAT(Entries(), ElementsAre("d.npz", "init.pb", "out", "predict.pb"));
}

TEST_F(QuantizeModelTest, StrictWritesNothing) {
  RunWell();
  const auto before = Contents();
  options_.strict = true;
  options_.options.per_channel = false;
  EXPECT_THAT(RunError(),
              HasSubstr("nothing is written: 1 float operators that "
                        "nobody asked for; operator 2 (Sin, output 's'): "
                        "there is no int8 form of it"));
  EXPECT_EQ(report_.left_float.size(), 1u);
  EXPECT_NE(report_.json, "");
  EXPECT_EQ(Contents(), before);
  options_.options.keep_float = {"Sin"};
  RunWell();
  EXPECT_NE(Contents(), before);
}

// The engine has keys under which it refuses operators of the host.
TEST_F(QuantizeModelTest, AKeyThatRefusesIsNone) {
  ASSERT_TRUE(caffe2::CPUOperatorRegistry()->Has("Int8RoIAlign_ENGINE_ONEDNN"));
  EXPECT_FALSE(HasOperator("Int8RoIAlign_ENGINE_ONEDNN"));
  EXPECT_TRUE(HasOperator("Int8Conv_ENGINE_ONEDNN"));
  EXPECT_FALSE(HasOperator("Int8Kon_ENGINE_ONEDNN"));
}

TEST_F(QuantizeModelTest, AFolderOfSomebodyElseStays) {
  fs::create_directory(folder_.Path("out"));
  folder_.Write("out/init_net.pb", "mine");
  options_.calibrate.stop = []() -> bool {
    throw std::logic_error("it was calibrated for nothing");
  };
  EXPECT_THAT(RunError(), HasSubstr("holds 1 files and is not replaced"));
  for (const std::string& name : kFiles) folder_.Write("out/" + name, "{}");
  EXPECT_THAT(RunError(),
              HasSubstr("is not replaced, expected a folder that `quantize` "
                        "wrote: "));
  folder_.Write("out/more", "mine");
  EXPECT_THAT(RunError(), HasSubstr("holds 'more' and is not replaced"));
  EXPECT_EQ(ReadText(folder_.Path("out/more")), "mine");
  EXPECT_EQ(ReadText(folder_.Path("out/init_net.pb")), "{}");
}

TEST_F(QuantizeModelTest, AnotherProcessIsAtWork) {
  PathLock lock;
  ASSERT_TRUE(lock.Acquire(options_.output_path).ok());
  EXPECT_THAT(RunError(), HasSubstr("another process is writing to"));
}

TEST_F(QuantizeModelTest, WhatIsGivenContradictsItself) {
  options_.profile_path = "p";
  EXPECT_EQ(RunError(),
            "2 of profile, recipe and data are given, expected one");
  options_.profile_path = options_.calibrate.data.path = "";
  EXPECT_EQ(RunError(),
            "0 of profile, recipe and data are given, expected one");
  options_.recipe_path = folder_.Write("r.json", "{}");
  EXPECT_EQ(RunError(), "'" + folder_.Path("r.json") +
                            "': recipe: no format_version, expected a recipe");
  options_.init_path = "";
  EXPECT_THAT(RunError(), HasSubstr("no init net"));
}

// A net that is no NetDef of fills alone: what it makes is put into fills.
TEST_F(QuantizeModelTest, OtherOperatorsOfAnInitNetAreRunOnce) {
  init_.Clear();
  Fill("w_raw", {8, 3}, "GivenTensorFill");
  NetBuilder more("more", "simple");
  more.Op("Copy", {"w_raw"}, {"w"});
  more.Op("GaussianFill", {}, {"b"}).Ints("shape", {8});
  more.Op("ConstantFill", {}, {"c"}).Ints("shape", {2}).Float("value", 0.5f);
  more.Op("GivenTensorInt64Fill", {}, {"unread"})
      .Ints("shape", {1})
      .Ints("values", {7});
  init_.MergeFrom(more.Build());
  Fill("v", {2, 8}, "XavierFill");
  init_.set_name("init");
  options_.init_path = folder_.Write("init.pb", init_);
  RunWell();
  EXPECT_THAT(
      notes_,
      ElementsAre(HasSubstr("init net: 3 of 6 operators are no constant "
                            "fills and were run once"),
                  HasSubstr("2 operators draw random values ('b' …)")));
  EXPECT_TRUE(report_.nets.warnings.empty()) << report_.nets.warnings[0];
  caffe2::NetDef made;
  ASSERT_TRUE(made.ParseFromString(Contents().at("init_net.pb")));
  std::vector<std::string> outputs;
  for (const auto& op : made.op()) {
    EXPECT_EQ(op.input_size(), 0);
    outputs.push_back(op.type() + " " + op.output(0));
  }
  EXPECT_THAT(outputs, testing::UnorderedElementsAre(
                           "GivenTensorFill b", "ConstantFill c",
                           "Int8GivenPackedWeightFill w_int8",
                           "Int8GivenPackedWeightFill v_int8"));
  EXPECT_THAT(Entries(), ElementsAre("d.npz", "init.pb", "out", "predict.pb"));
}

TEST(WeightFills, EveryTypeThatAFillHoldsAndOthers) {
  TemporaryFolder folder;
  NetBuilder net("init", "simple");
  const auto twice = [&](const char* type, const char* name) {
    return net.Op(type, {}, {std::string(name) + "_raw"}).Ints("shape", {2});
  };
  twice("GivenTensorFill", "f").Floats("values", {0.1f, -2});
  twice("GivenTensorIntFill", "i").Ints("values", {1, -2});
  twice("GivenTensorInt64Fill", "l").Ints("values", {1LL << 40, -2});
  twice("GivenTensorBoolFill", "b").Ints("values", {1, 0});
  twice("GivenTensorDoubleFill", "d").Floats("values", {0.5f, 3});
  for (const char* name : {"f", "i", "l", "b", "d"}) {
    net.Op("Copy", {std::string(name) + "_raw"}, {name});
  }
  net.Op("GivenTensorStringFill", {}, {"s"})
      .Ints("shape", {2})
      .Strings("values", {"one", std::string("t\0o", 3)});
  InitModel init;
  init.path = "init.pb";
  init.net = net.Build();
  WeightFills fills;
  const Status status = MakeWeightFills(init, {}, &fills);
  ASSERT_TRUE(status.ok()) << status.message();
  caffe2::Workspace expected, found;
  ASSERT_TRUE(expected.RunNetOnce(init.net));
  ASSERT_TRUE(found.RunNetOnce(fills.init));
  for (const char* name : {"f", "i", "l", "b", "d", "s"}) {
    ASSERT_TRUE(found.HasBlob(name)) << name;
    const auto& a = expected.GetBlob(name)->Get<caffe2::Tensor>();
    const auto& b = found.GetBlob(name)->Get<caffe2::Tensor>();
    ASSERT_EQ(a.dtype(), b.dtype()) << name;
    ASSERT_EQ(a.sizes(), b.sizes()) << name;
    if (a.IsType<std::string>()) {
      EXPECT_EQ(a.data<std::string>()[1], b.data<std::string>()[1]);
    } else {
      EXPECT_EQ(std::memcmp(a.raw_data(), b.raw_data(), a.nbytes()), 0) << name;
    }
  }
  // Doubles have no fill that holds them exactly: their operators are kept.
  std::vector<std::string> types;
  for (const auto& op : fills.init.op()) types.push_back(op.type());
  EXPECT_THAT(types,
              testing::UnorderedElementsAre(
                  "GivenTensorFill", "GivenTensorIntFill",
                  "GivenTensorInt64Fill", "GivenTensorBoolFill",
                  "GivenTensorDoubleFill", "Copy", "GivenTensorStringFill"));
}

}  // namespace
}  // namespace caffe2_quantization
