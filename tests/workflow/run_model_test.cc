#include "workflow/run_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "observers/attachment.h"
#include "profiles/min_max_file.h"
#include "tests/support/model_files.h"
#include "tests/support/net_builder.h"
#include "tests/support/predictor_testing.h"
#include "workflow/run_report.h"

namespace caffe2_quantization {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

// y = w * x elementwise over rows of two scores; w is what the init nets make.
// With w = (1, 1) the larger of the two numbers of a row is its class.
class RunModelTest : public testing::Test {
 protected:
  RunModelTest() {
    NetBuilder predict("pick", "simple");
    predict.Op("Mul", {"x", "w"}, {"y"}).Int("broadcast", 1);
    predict.Input("x").Input("w");
    predict_ = predict.Build();
    predict_.add_external_output("y");
    AddFloats("x", {5, 2}, {1, 2, 4, 3, 5, 6, 8, 7, 9, 10}, &data_);
    AddInts("label", {5}, {1, 0, 1, 0, 0}, &data_);  // the last one is wrong
    options_.predict_path = folder_.Path("predict.pb");
    options_.data.path = folder_.Path("data.pb");
    options_.batch_size = 2;
    AddInit("float", FloatInit({1, 1}));
  }

  static caffe2::NetDef FloatInit(const std::vector<float>& w) {
    NetBuilder init("init", "simple");
    init.Op("GivenTensorFill", {}, {"w"})
        .Ints("shape", {2})
        .Floats("values", w);
    return init.Build();
  }

  void AddInit(const std::string& label, const caffe2::NetDef& net) {
    options_.init_nets.push_back({label, folder_.Write(label + ".pb", net)});
  }

  Status Run() {
    folder_.Write("predict.pb", predict_);
    folder_.Write("data.pb", data_);
    return RunModels(options_, progress_, &report_);
  }
  void RunWell() {
    const Status status = Run();
    ASSERT_TRUE(status.ok()) << status.message();
  }
  std::string RunError() {
    const Status status = Run();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(report_.models, IsEmpty());
    EXPECT_THAT(AllNetMeasurements(), IsEmpty());
    return status.message();
  }

  TemporaryFolder folder_;
  caffe2::NetDef predict_;
  caffe2::TensorProtos data_;
  RunOptions options_;
  std::function<void(const RunProgress&)> progress_;
  RunReport report_;
};

TEST_F(RunModelTest, CountsWhatIsRightOverAllBatches) {
  std::vector<int64_t> done;
  progress_ = [&](const RunProgress& progress) {
    EXPECT_EQ(progress.label, "float");
    EXPECT_EQ(progress.images_total, 5);
    done.push_back(progress.images_done);
  };
  RunWell();
  EXPECT_THAT(done, ElementsAre(2, 4, 5));
  EXPECT_EQ(report_.net_name, "pick");
  EXPECT_EQ(report_.output_blob, "y");
  EXPECT_EQ(report_.images, 5);
  EXPECT_THAT(report_.notes, IsEmpty());
  ASSERT_THAT(report_.models, SizeIs(1));
  const ModelReport& model = report_.models[0];
  EXPECT_TRUE(model.has_accuracy);
  EXPECT_EQ(model.correct, 4);
  EXPECT_EQ(model.batches, 3);
  EXPECT_FALSE(model.has_largest_output_change);
}

TEST_F(RunModelTest, GivesTheSameOnEveryTypeOfNet) {
  for (const char* type : {"simple", "simple_refcount", "dag", "prof_dag",
                           "async_simple", "async_dag", "async_scheduling"}) {
    SCOPED_TRACE(type);
    options_.net_type = type;
    RunWell();
    EXPECT_EQ(report_.net_type, type);
    EXPECT_EQ(report_.models[0].correct, 4);
    const auto& output =
        report_.models[0].min_max.operators.at(0).outputs.at(0);
    EXPECT_EQ(output.total.range.min(), 1);
    EXPECT_EQ(output.total.range.max(), 10);
  }
}

TEST_F(RunModelTest, RepeatsWithoutCountingTwice) {
  options_.repeat = 3;
  options_.batch_size = 100;
  RunWell();
  EXPECT_EQ(report_.models[0].correct, 4);
  EXPECT_EQ(report_.models[0].images, 15);
  EXPECT_EQ(report_.models[0].batches, 3);
  EXPECT_EQ(report_.models[0].min_max.runs, 3);
}

TEST_F(RunModelTest, ComparesWithTheReference) {
  AddInit("other", FloatInit({1, 0.5f}));
  RunWell();
  ASSERT_THAT(report_.models, SizeIs(2));
  EXPECT_TRUE(report_.models[0].observed);
  EXPECT_FALSE(report_.models[1].observed);
  EXPECT_TRUE(report_.models[1].has_largest_output_change);
  EXPECT_EQ(report_.models[1].largest_output_change, 5);
  EXPECT_EQ(report_.models[1].correct, 3);
}

TEST_F(RunModelTest, WritesRangesOfEveryObservedModel) {
  AddInit("half", FloatInit({0.5f, 0.5f}));
  options_.observe = RunOptions::Observe::kAll;
  options_.min_max_path = folder_.Path("out.minmax");
  RunWell();
  EXPECT_EQ(report_.models[1].min_max_path, folder_.Path("out_half.minmax"));
  std::vector<MinMaxLine> lines;
  Status status = ReadMinMaxFile(folder_.Path("out.minmax"), &lines);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_EQ(lines[0].tensor_name, "y");
  EXPECT_EQ(lines[0].range.max(), 10);
  status = ReadMinMaxFile(folder_.Path("out_half.minmax"), &lines);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(lines[0].range.max(), 5);
  EXPECT_THAT(AllNetMeasurements(), IsEmpty());
}

TEST_F(RunModelTest, ReportsQTensors) {
  // w = 0.25 * (3, -5): bits of 3 are 011, of 5 are 101; signs 0 and 1.
  NetBuilder init("init", "simple");
  init.Op("GivenQTensorFill", {}, {"w_q"});
  init.Op("QTensorDequantize", {"w_q"}, {"w"});
  caffe2::NetDef net = init.Build();
  caffe2::Argument* argument = net.mutable_op(0)->add_arg();
  argument->set_name("qtensors");
  caffe2::QTensorProto* proto = argument->add_qtensors();
  proto->set_name("w_q");
  proto->add_dims(2);
  proto->set_precision(3);
  proto->set_is_signed(true);
  proto->set_scale(0.25);
  proto->set_bias(0);
  for (const int plane : {0b11000000, 0b10000000, 0b01000000, 0b01000000}) {
    proto->add_data(plane);
  }
  AddInit("qtensor", net);
  RunWell();
  EXPECT_THAT(report_.models[0].qtensors, IsEmpty());
  ASSERT_THAT(report_.models[1].qtensors, SizeIs(1));
  const QTensorWeight& stored = report_.models[1].qtensors[0];
  EXPECT_EQ(stored.blob, "w_q");
  EXPECT_EQ(stored.weight, "w");
  EXPECT_THAT(stored.shape, ElementsAre(2));
  EXPECT_EQ(stored.precision, 3);
  EXPECT_TRUE(stored.is_signed);
  EXPECT_EQ(stored.scale, 0.25);
  EXPECT_EQ(stored.bytes, 4);
  EXPECT_EQ(stored.float_bytes, 8);
  EXPECT_TRUE(stored.has_largest_error);
  EXPECT_EQ(stored.largest_error, 2.25);  // -1.25 against 1
}

TEST_F(RunModelTest, ReportsByteWeights) {
  NetBuilder init("init", "simple");
  init.Op("GivenTensorByteStringToUInt8Fill", {}, {"w_bytes"})
      .Ints("shape", {2})
      .Strings("values", {std::string("\x00\xff", 2)});
  init.Op("ByteWeightDequant", {"w_bytes"}, {"w"})
      .Ints("shape", {2})
      .Float("min", 0.5f)
      .Float("max", 1);
  AddInit("byte", init.Build());
  RunWell();
  ASSERT_THAT(report_.models[1].byte_weights, SizeIs(1));
  const StoredWeight& stored = report_.models[1].byte_weights[0];
  EXPECT_EQ(stored.blob, "w_bytes");
  EXPECT_EQ(stored.weight, "w");
  EXPECT_EQ(stored.bytes, 2);
  EXPECT_EQ(stored.float_bytes, 8);
  EXPECT_EQ(stored.largest_error, 0.5);
}

TEST_F(RunModelTest, NotesWhatItLeavesOut) {
  AddFloats("extra", {3}, {1, 2, 3}, &data_);
  data_.mutable_protos(1)->set_name("digit");
  RunWell();
  EXPECT_FALSE(report_.models[0].has_accuracy);
  EXPECT_THAT(report_.notes,
              ElementsAre(HasSubstr("no label blob"), HasSubstr("'digit'"),
                          HasSubstr("'extra'")));
}

TEST_F(RunModelTest, NeverCountsNanAsRight) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  options_.init_nets.clear();
  AddInit("nan", FloatInit({nan, nan}));
  RunWell();
  EXPECT_EQ(report_.models[0].correct, 0);
  EXPECT_EQ(report_.models[0].min_max.operators[0].outputs[0].nan_count, 10);
}

TEST_F(RunModelTest, RefusesDataThatDoesNotFit) {
  AddFloats("w", {2}, {1, 1}, &data_);
  EXPECT_THAT(RunError(), HasSubstr("'w' has 2 rows, expected 5"));
  data_.mutable_protos()->RemoveLast();
  data_.mutable_protos(1)->set_data_type(caffe2::TensorProto_DataType_UINT8);
  EXPECT_THAT(RunError(), HasSubstr("expected int32 or int64"));
  options_.label_blob = "digit";
  EXPECT_THAT(RunError(), HasSubstr("no label blob 'digit'"));
  options_.label_blob = "x";
  EXPECT_THAT(RunError(), HasSubstr("one class for each of"));
  data_.mutable_protos(0)->set_name("z");
  data_.mutable_protos(1)->set_data_type(caffe2::TensorProto_DataType_INT32);
  options_.label_blob.clear();
  EXPECT_THAT(RunError(), HasSubstr("the net wants: x, w"));
}

TEST_F(RunModelTest, RefusesNetsThatDoNotFit) {
  options_.output_blob = "nowhere";
  EXPECT_THAT(RunError(), HasSubstr("output 'nowhere' does not exist"));
  options_.output_blob = "y";
  options_.net_type = "no_such_type";
  EXPECT_THAT(RunError(), HasSubstr("no_such_type"));
  options_.net_type.clear();
  predict_.mutable_op(0)->set_input(1, "b");
  EXPECT_THAT(RunError(), HasSubstr("makes: b"));
  predict_.add_external_input("b");
  EXPECT_THAT(RunError(), HasSubstr("makes: b"));
  predict_.mutable_external_input()->RemoveLast();
  predict_.mutable_op(0)->set_input(1, "w");
  predict_.mutable_op(0)->set_type("NoSuchOperator");
  EXPECT_THAT(RunError(), HasSubstr("'NoSuchOperator'"));
}

TEST_F(RunModelTest, ReportsFailuresInsideNetsAndGoesOn) {
  options_.init_nets.clear();
  AddInit("long", FloatInit({1, 1}));
  caffe2::NetDef bad = FloatInit({1, 1});
  bad.mutable_op(0)->mutable_arg(0)->set_ints(0, 3);  // shape [3], two values
  AddInit("bad", bad);
  EXPECT_THAT(RunError(), HasSubstr("bad.pb: "));
  options_.init_nets.pop_back();
  NetBuilder fails("fails", "simple");
  fails.Op("FC", {"x", "w", "w"}, {"y"});
  predict_ = fails.Build();
  predict_.add_external_output("y");
  EXPECT_THAT(RunError(), HasSubstr("predict.pb with weights of "));
}

TEST_F(RunModelTest, APredictorHasItsOwnWeights) {
  folder_.Write("data.pb", data_);
  const std::string path =
      folder_.Write("pick.minidb", PredictorParts().Bytes());
  options_.predict_path = path;
  options_.init_nets.clear();
  Status status = RunModels(options_, progress_, &report_);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_THAT(report_.models, SizeIs(1));
  EXPECT_EQ(report_.models[0].label, "pick");
  EXPECT_EQ(report_.models[0].init_path, path);
  EXPECT_EQ(report_.output_blob, "y");
  EXPECT_THAT(report_.notes, IsEmpty());
  // y = (x0, 2 x1): the second score of each row is the larger one.
  EXPECT_EQ(report_.models[0].correct, 2);
  // It may be one of several sets of weights.
  AddInit("float", FloatInit({1, 1}));
  options_.init_nets.push_back({"pick", path});
  status = RunModels(options_, progress_, &report_);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_THAT(report_.models, SizeIs(2));
  EXPECT_EQ(report_.models[0].correct, 4);
  EXPECT_EQ(report_.models[1].correct, 2);
  EXPECT_EQ(report_.models[1].largest_output_change, 10);
}

TEST_F(RunModelTest, AnInitNetMayHoldTheWholeModel) {
  options_.init_nets.clear();
  caffe2::NetDef init = FloatInit({1, 1});
  init.mutable_op()->MergeFrom(predict_.op());
  AddInit("onnx", init);
  predict_.clear_external_input();
  predict_.add_external_input("x");  // and not the weights
  RunWell();
  EXPECT_EQ(report_.models[0].correct, 4);
  EXPECT_THAT(
      report_.notes,
      ElementsAre(HasSubstr("1 of 2 operators make no weights"),
                  HasSubstr("read inputs that it does not declare, which is "
                            "mended here: w")));
}

TEST_F(RunModelTest, AnErrorSaysWhichOperatorCannotRun) {
  options_.init_nets.clear();
  NetBuilder init("init", "simple");
  init.Op("Copy", {"mispelt"}, {"w"});
  AddInit("init", init.Build());
  EXPECT_THAT(RunError(),
              HasSubstr("inputs that neither " + folder_.Path("init.pb") +
                        " nor " + folder_.Path("data.pb") + " makes: w; " +
                        folder_.Path("init.pb") +
                        ": 1 of 1 operators make no weights and "
                        "are left out: operator 0 (Copy) reads "
                        "'mispelt', which nothing before it "
                        "makes"));
}

TEST_F(RunModelTest, AnInputThatNoOperatorReadsIsNoted) {
  predict_.add_external_input("never_read");
  RunWell();
  EXPECT_EQ(report_.models[0].correct, 4);
  EXPECT_THAT(report_.notes,
              ElementsAre(options_.predict_path +
                          ": declares inputs that no operator reads and "
                          "nothing makes: never_read"));
  // One that an operator reads is needed.
  predict_.mutable_op(0)->set_input(1, "never_read");
  report_ = RunReport();
  EXPECT_THAT(RunError(), HasSubstr("makes: never_read"));
}

TEST_F(RunModelTest, AnEmptyInitNetIsEnoughForANetWithoutWeights) {
  options_.init_nets.clear();
  AddInit("empty", caffe2::NetDef());
  EXPECT_THAT(RunError(), HasSubstr("makes: w"));
  predict_.mutable_op(0)->set_input(1, "x");
  predict_.mutable_external_input()->RemoveLast();
  RunWell();
  EXPECT_EQ(report_.models[0].correct, 4);
  EXPECT_THAT(report_.notes,
              ElementsAre(HasSubstr("no operators, so it makes no weights")));
}

TEST_F(RunModelTest, DataWithoutNamesIsForTheInputWhosePlaceIsHeld) {
  // As mobile_exporter writes it.
  options_.init_nets.clear();
  caffe2::NetDef init = FloatInit({1, 1});
  OpBuilder(init.add_op(), "GivenTensorFill", {}, {"x"})
      .Ints("shape", {1, 1})
      .Floats("values", {0});
  AddInit("mobile", init);
  predict_.add_external_input("never_read");
  folder_.Write("predict.pb", predict_);
  std::vector<std::pair<std::string, std::string>> records;
  for (int i = 0; i < 5; ++i) {
    caffe2::TensorProtos sample;
    AddFloats("", {2},
              {data_.protos(0).float_data(2 * i),
               data_.protos(0).float_data(2 * i + 1)},
              &sample);
    AddInts("", {}, {data_.protos(1).int32_data(i)}, &sample);
    records.emplace_back(std::to_string(i), sample.SerializeAsString());
  }
  options_.data.path = folder_.Write("d.minidb", MinidbBytes(records));
  for (const char* input : {"", "x"}) {
    SCOPED_TRACE(input);
    options_.data.input = input;
    const Status status = RunModels(options_, progress_, &report_);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(report_.models[0].correct, 4);
  }
  // Data that lacks the input leaves it at its one zero, which is noted.
  caffe2::TensorProtos other;
  AddFloats("w", {1, 1}, {1}, &other);
  options_.data.path = folder_.Write("data.pb", other);
  options_.data.input.clear();
  const Status status = RunModels(options_, progress_, &report_);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_THAT(report_.notes, Contains(HasSubstr("has nothing for inputs that " +
                                                folder_.Path("mobile.pb") +
                                                " only holds a place for: x")));
  // And a weight of the same name as data's is not what is run.
  EXPECT_THAT(report_.notes,
              Contains(HasSubstr("takes the place of what " +
                                 folder_.Path("mobile.pb") + " makes: w")));
}

TEST_F(RunModelTest, RefusesMeaninglessOptions) {
  options_.repeat = std::numeric_limits<int64_t>::max();
  EXPECT_THAT(RunError(), HasSubstr("too large"));
  options_.repeat = 0;
  EXPECT_THAT(RunError(), HasSubstr("expected 1 or more"));
  options_.repeat = 1;
  options_.observe = RunOptions::Observe::kNone;
  options_.min_max_path = folder_.Path("x");
  EXPECT_THAT(RunError(), HasSubstr("no model is observed"));
  options_.min_max_path.clear();
  AddInit("float", FloatInit({1, 1}));
  EXPECT_THAT(RunError(), HasSubstr("called 'float'"));
  options_.init_nets.clear();
  EXPECT_THAT(RunError(), HasSubstr("no init net"));
}

TEST_F(RunModelTest, JsonHasEveryNumber) {
  const float infinity = std::numeric_limits<float>::infinity();
  AddInit("infinite", FloatInit({1, infinity}));
  RunWell();
  const auto json = nlohmann::json::parse(ToJson(report_));
  EXPECT_EQ(json["images"], 5);
  EXPECT_EQ(json["models"][0]["accuracy"], 0.8);
  EXPECT_EQ(json["models"][0]["min_max"]["operators"][0]["op_type"], "Mul");
  EXPECT_TRUE(json["models"][1]["largest_output_change"].is_null());
  EXPECT_TRUE(json["models"][1]["min_max"].is_null());
}

TEST(RunModelDigitsTest, EveryFormOfTheWeightsReadsTheDigits) {
  const char* root = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  if (root == nullptr) GTEST_SKIP() << "CAFFE2_QUANTIZATION_SOURCE_DIR not set";
  const std::string digits = std::string(root) + "/examples/digits/";
  RunOptions options;
  options.predict_path = digits + "predict_net.pb";
  options.data.path = digits + "test_images.pb";
  options.init_nets = {{"float", digits + "init_net.pb"},
                       {"byte", digits + "init_net_byte.pb"},
                       {"qtensor", digits + "init_net_qtensor.pb"}};
  RunReport report;
  const Status status = RunModels(options, {}, &report);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_THAT(report.models, SizeIs(3));
  for (const ModelReport& model : report.models) {
    EXPECT_GE(model.correct, 530) << model.label;
  }
  EXPECT_THAT(report.models[1].byte_weights, SizeIs(4));
  ASSERT_THAT(report.models[2].qtensors, SizeIs(4));
  for (const QTensorWeight& stored : report.models[2].qtensors) {
    EXPECT_EQ(stored.bytes * 32, stored.float_bytes * 9) << stored.blob;
    ASSERT_TRUE(stored.has_largest_error);
    // Half a step, and what rounding to float adds.
    EXPECT_LE(stored.largest_error, stored.scale * 0.50001) << stored.blob;
  }
}

}  // namespace
}  // namespace caffe2_quantization
