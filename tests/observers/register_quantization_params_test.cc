#include "observers/register_quantization_params.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "caffe2/core/workspace.h"
#include "netdef/static_parameters.h"
#include "observers/attachment.h"
#include "observers/inner_nets.h"
#include "profiles/profile.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;

// Two writes of "y" in turn, so that a name alone does not tell them apart.
caffe2::NetDef InPlaceNet(const std::string& engine) {
  NetBuilder net("n", "simple");
  net.Op("Relu", {"x"}, {"y"});
  net.Op("Relu", {"y"}, {"y"});
  net.Op("Relu", {"y"}, {"z"});
  caffe2::NetDef definition = net.Build();
  for (auto& op : *definition.mutable_op()) op.set_engine(engine);
  return definition;
}

class RegisterQuantizationParamsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("register_test." + std::to_string(getpid()));
    fs::create_directories(folder_);
    for (const char* input : {"x", "data"}) {
      FeedFloats(&workspace_, input, {0, 1}, {1, 1, 1, 2});
    }
    FeedFloats(&workspace_, "w", {1}, {1, 1, 1, 1});
    FeedFloats(&workspace_, "b", {0});
  }
  void TearDown() override {
    StopRegisteringQuantizationParams();
    fs::remove_all(folder_);
  }

  std::string Path(const std::string& name) { return folder_ / name; }
  std::string Write(const std::string& text, const std::string& name = "file") {
    std::ofstream(Path(name)) << text;
    return Path(name);
  }
  std::string Read(const std::string& name) {
    std::ostringstream text;
    text << std::ifstream(Path(name)).rdbuf();
    return text.str();
  }
  caffe2::NetBase* Make(const caffe2::NetDef& definition) {
    return workspace_.CreateNet(definition, true);
  }
  // A net x -> y -> z of int8 Relus.
  caffe2::NetDef Definition(const std::string& engine = "DNNLOWP") {
    NetBuilder net("n", "simple");
    net.Op("Relu", {"x"}, {"y"});
    net.Op("Relu", {"y"}, {"z"});
    caffe2::NetDef definition = net.Build();
    for (auto& op : *definition.mutable_op()) op.set_engine(engine);
    return definition;
  }
  Status Register(caffe2::NetBase* net, const std::string& text,
                  bool histogram = false) {
    RegisterOptions options;
    options.path = Write(text);
    options.histogram = histogram;
    return RegisterQuantizationParams(net, options);
  }

  fs::path folder_;
  caffe2::Workspace workspace_;
};

// "scale zero_point" of an operator; "none".
std::string ParametersOf(const caffe2::OperatorDef& op,
                         const std::string& y = "Y") {
  const caffe2::ArgumentHelper arguments(op);
  if (!arguments.HasArgument(y + "_scale")) return "none";
  std::ostringstream text;
  text << arguments.GetSingleArgument<float>(y + "_scale", 0) << ' '
       << arguments.GetSingleArgument<int>(y + "_zero_point", 0);
  return text.str();
}
std::string ParametersOf(caffe2::NetBase* net, int op,
                         const std::string& y = "Y") {
  return ParametersOf(net->GetOperators()[op]->debug_def(), y);
}

TEST_F(RegisterQuantizationParamsTest, BothFormsOfMinMaxFiles) {
  for (const char* text : {"0 Relu 0 y 0 25.5\n1 Relu 0 z -25.6 25.4\n",
                           "0 0 y 0 25.5\n1 0 z -25.6 25.4\n"}) {
    caffe2::NetBase* net = Make(Definition());
    ASSERT_TRUE(Register(net, text).ok());
    EXPECT_EQ(ParametersOf(net, 0), "0.1 0");
    EXPECT_EQ(ParametersOf(net, 1), "0.2 128");
  }
}

TEST_F(RegisterQuantizationParamsTest, BothFormsOfHistogramFiles) {
  for (const char* text :
       {"0 Relu 0 y 0 25.5 3 1 0 2\n1 Relu 0 z -25.6 25.4 2 5 6\n",
        "0 0 y 0 25.5 3 1 0 2\n1 0 z -25.6 25.4 2 5 6\n"}) {
    caffe2::NetBase* net = Make(Definition());
    ASSERT_TRUE(Register(net, text, true).ok());
    EXPECT_EQ(ParametersOf(net, 0), "0.1 0");
    EXPECT_EQ(ParametersOf(net, 1), "0.2 128");
  }
}

TEST_F(RegisterQuantizationParamsTest, BinsWithoutValuesAtTheEndsAreLeftOut) {
  caffe2::NetBase* net = Make(Definition());
  ASSERT_TRUE(Register(net,
                       "0 Relu 0 y 0 51 4 1 1 0 0\n"
                       "1 Relu 0 z -51.1 50.9 4 0 1 1 0\n",
                       true)
                  .ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.1 0");
  EXPECT_EQ(ParametersOf(net, 1), "0.2 128");
}

TEST_F(RegisterQuantizationParamsTest, ProfilesOfBothForms) {
  caffe2::NetDef measured = Definition("");
  FeedFloats(&workspace_, "x", {0, 25.5});
  caffe2::NetBase* net = Make(measured);
  OutputMinMaxOptions options;
  options.recording.histogram_bins = 2048;
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(
      AttachOutputMinMaxObserver(net, std::move(options), &measurement).ok());
  ASSERT_TRUE(net->Run());
  for (const bool json : {false, true}) {
    RegisterOptions registering;
    registering.path = Path("profile");
    ASSERT_TRUE(
        WriteProfile(registering.path, measurement->get_info(), json).ok());
    for (const bool histogram : {false, true}) {
      registering.histogram = histogram;
      caffe2::NetDef quantized = Definition();
      quantized.set_name("q");
      caffe2::NetBase* int8 = Make(quantized);
      const Status status = RegisterQuantizationParams(int8, registering);
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(ParametersOf(int8, 0), "0.1 0");
      EXPECT_EQ(ParametersOf(int8, 1), "0.1 0");
    }
  }
  ASSERT_TRUE(DetachOutputMinMaxObserver(net).ok());
}

// y = Quantize(x); then, in an If, z = Relu(y) or z = Relu(Relu(y)): all
// branches write "z", each with its own range.
caffe2::NetDef NetWithIf(bool int8) {
  const auto branch = [&](const std::string& name, int relus) {
    NetBuilder net(name, "simple");
    net.Op("Relu", {"y"}, {"z"});
    if (relus == 2) net.Op("Relu", {"z"}, {"z"});
    net.Input("y");
    caffe2::NetDef definition = net.Build();
    for (auto& op : *definition.mutable_op()) {
      op.set_engine(int8 ? "DNNLOWP" : "");
    }
    return definition;
  };
  NetBuilder net(int8 ? "q" : "n", "simple");
  net.Op(int8 ? "Quantize" : "Copy", {"x"}, {"y"});
  net.Op("If", {"condition"}, {});
  net.Input("x").Input("condition");
  caffe2::NetDef definition = net.Build();
  if (int8) definition.mutable_op(0)->set_engine("DNNLOWP");
  for (const auto& [argument, relus] :
       {std::make_pair("then_net", 1), std::make_pair("else_net", 2)}) {
    auto* arg = definition.mutable_op(1)->add_arg();
    arg->set_name(argument);
    *arg->mutable_n() = branch(argument, relus);
  }
  return definition;
}

TEST_F(RegisterQuantizationParamsTest, NetsWithinAndInputsOfAProfile) {
  const auto set_condition = [&](bool value) {
    *caffe2::BlobGetMutableTensor(workspace_.CreateBlob("condition"), {1},
                                  at::dtype<bool>())
         ->mutable_data<bool>() = value;
  };
  set_condition(true);
  caffe2::NetBase* net = Make(NetWithIf(false));
  OutputMinMaxOptions options;
  options.recording.histogram_bins = 2048;
  std::shared_ptr<NetMeasurement> measurement;
  ASSERT_TRUE(AttachOutputMinMaxObserver(net, options, &measurement).ok());
  FeedFloats(&workspace_, "x", {0, 25.5});
  ASSERT_TRUE(net->Run());
  set_condition(false);
  FeedFloats(&workspace_, "x", {0, 51});
  ASSERT_TRUE(net->Run());
  RegisterOptions registering;
  registering.path = Path("profile");
  ASSERT_TRUE(
      WriteProfile(registering.path, measurement->get_info(), false).ok());
  ASSERT_TRUE(DetachOutputMinMaxObserver(net).ok());

  const auto check = [&](caffe2::NetBase* int8) {
    EXPECT_EQ(ParametersOf(int8, 0), "0.2 0");  // y, as the Copy's
    const auto inner = InnerNetsOf(int8->GetOperators()[1]);
    ASSERT_EQ(inner.size(), 2u);
    EXPECT_EQ(ParametersOf(inner[0].net, 0), "0.1 0");
    EXPECT_EQ(ParametersOf(inner[1].net, 0), "0.2 0");
    EXPECT_EQ(ParametersOf(inner[1].net, 1), "0.2 0");
  };
  caffe2::NetBase* int8 = Make(NetWithIf(true));
  Status status = RegisterQuantizationParams(int8, registering);
  ASSERT_TRUE(status.ok()) << status.message();
  check(int8);
  ASSERT_TRUE(RegisterQuantizationParamsOfLaterNets(registering).ok());
  check(Make(NetWithIf(true)));
  StopRegisteringQuantizationParams();
  // In a NetDef too; and what is quantized is an input, by another name.
  caffe2::NetDef definition = NetWithIf(true);
  definition.mutable_op(0)->set_output(0, "x_q");
  status =
      AddScaleZeroOffsetArgumentsWithHistogram(registering.path, &definition);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(ParametersOf(definition.op(0)), "0.2 0");
  EXPECT_EQ(ParametersOf(definition.op(1).arg(0).n().op(0)), "0.1 0");
  EXPECT_EQ(ParametersOf(definition.op(1).arg(1).n().op(1)), "0.2 0");
}

TEST_F(RegisterQuantizationParamsTest, AProfileWithoutHistograms) {
  NetInfo info;
  info.net_name = "n";
  OperatorInfo op;
  op.op_type = "Relu";
  OutputInfo output;
  output.tensor_name = "y";
  output.total.range = ValueRange::OfFloats(0, 1);
  output.runs = 1;
  output.count = 2;
  op.outputs.push_back(output);
  info.operators.push_back(op);
  RegisterOptions options;
  options.path = Path("profile");
  options.histogram = true;
  ASSERT_TRUE(WriteProfile(options.path, info, true).ok());
  caffe2::NetBase* net = Make(Definition());
  EXPECT_EQ(RegisterQuantizationParams(net, options).message(),
            "'" + options.path +
                "': tensor 'y' has no histogram, expected a profile that was "
                "recorded with histogram_bins");
}

TEST_F(RegisterQuantizationParamsTest, OnlyInt8OperatorsWhateverTheirOrder) {
  caffe2::NetDef definition = Definition();
  definition.mutable_op(0)->set_engine("");
  caffe2::NetBase* net = Make(definition);
  ASSERT_TRUE(Register(net, "7 Relu 0 z 0 25.5\n3 Relu 0 a 0 1\n").ok());
  EXPECT_EQ(ParametersOf(net, 0), "none");
  EXPECT_EQ(ParametersOf(net, 1), "0.1 0");
}

TEST_F(RegisterQuantizationParamsTest, EveryOutputOfAnOperator) {
  NetBuilder builder("n", "simple");
  builder.Op("Split", {"x"}, {"a", "b"}).Int("axis", 0);
  caffe2::NetDef definition = builder.Build();
  definition.mutable_op(0)->set_engine("ONEDNN");
  caffe2::NetBase* net = Make(definition);
  ASSERT_TRUE(
      Register(net, "0 Split 0 a 0 25.5\n0 Split 1 b -25.6 25.4\n").ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.1 0");
  EXPECT_EQ(ParametersOf(net, 0, "Y2"), "0.2 128");
}

TEST_F(RegisterQuantizationParamsTest, OfOneNameTheKthLineIsOfTheKthOperator) {
  // One operator stands before them that was not there when they were measured.
  caffe2::NetBase* net = Make(InPlaceNet("DNNLOWP"));
  ASSERT_TRUE(Register(net,
                       "5 Relu 0 z 0 102\n"
                       "4 Relu 0 y 0 51\n1 Relu 0 y 0 25.5\n")
                  .ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.1 0");
  EXPECT_EQ(ParametersOf(net, 1), "0.2 0");
  EXPECT_EQ(ParametersOf(net, 2), "0.4 0");
}

TEST_F(RegisterQuantizationParamsTest, OfOneNameTheTypeDecidesFirst) {
  NetBuilder builder("n", "simple");
  builder.Op("Conv", {"x", "w", "b"}, {"y"}).Int("kernel", 1);
  builder.Op("Relu", {"y"}, {"y"});
  caffe2::NetDef definition = builder.Build();
  for (auto& op : *definition.mutable_op()) op.set_engine("DNNLOWP");
  caffe2::NetBase* net = Make(definition);
  ASSERT_TRUE(
      Register(net, "9 Relu 0 y 0 25.5\n3 Int8Conv 0 y -25.6 25.4\n").ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.2 128");
  EXPECT_EQ(ParametersOf(net, 1), "0.1 0");
}

TEST_F(RegisterQuantizationParamsTest, AFusedOperatorHasTheLastLine) {
  NetBuilder builder("n", "simple");
  builder.Op("Sigmoid", {"x"}, {"y"});
  caffe2::NetDef definition = builder.Build();
  definition.mutable_op(0)->set_engine("DNNLOWP");
  caffe2::NetBase* net = Make(definition);
  ASSERT_TRUE(Register(net, "1 Relu 0 y 0 25.5\n0 Conv 0 y -25.6 25.4\n").ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.1 0");
}

TEST_F(RegisterQuantizationParamsTest, LinesThatDoNotTellWhich) {
  caffe2::NetBase* net = Make(InPlaceNet("DNNLOWP"));
  const Status status =
      Register(net,
               "4 Relu 0 y 0 1\n5 Relu 0 y 0 1\n6 Relu 0 y 0 1\n"
               "7 Relu 0 z 0 1\n");
  EXPECT_EQ(status.message(),
            "'" + Path("file") +
                "': tensor 'y' has 3 lines of type Relu, and the net has 2 "
                "such operators that write it, expected as many, or a line of "
                "operator 0");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ParametersOf(net, i), "none");
}

TEST_F(RegisterQuantizationParamsTest, MissingTensorsAreNamed) {
  caffe2::NetBase* net = Make(Definition());
  EXPECT_EQ(Register(net, "0 Relu 0 y 0 1\n").message(),
            "'" + Path("file") +
                "' has no line of 'z', expected one for each output of the "
                "int8 operators of net 'n'");
  EXPECT_EQ(ParametersOf(net, 0), "none");
  EXPECT_NE(Register(net, "").message().find("no line of 'y', 'z'"),
            std::string::npos);
}

TEST_F(RegisterQuantizationParamsTest, WhatIsNoInt8TensorNeedsNoLine) {
  NetBuilder builder("n", "simple");
  builder.Op("Quantize", {"x"}, {"x_q"});
  builder.Op("Relu", {"x_q"}, {"y"});
  builder.Op("Relu", {"y"}, {"float_y"}).Int("dequantize_output", 1);
  builder.Op("Dequantize", {"y"}, {"y_f"});
  caffe2::NetDef definition = builder.Build();
  for (auto& op : *definition.mutable_op()) op.set_engine("DNNLOWP");
  caffe2::NetBase* net = Make(definition);
  ASSERT_TRUE(Register(net, "0 Relu 0 y 0 25.5\n").ok());
  EXPECT_EQ(ParametersOf(net, 0), "none");
  EXPECT_EQ(ParametersOf(net, 1), "0.1 0");
  EXPECT_EQ(ParametersOf(net, 2), "none");
  EXPECT_EQ(ParametersOf(net, 3), "none");
}

TEST_F(RegisterQuantizationParamsTest, QuantizeTakesTheLineOfItsInput) {
  NetBuilder builder("n", "simple");
  builder.Op("Relu", {"x"}, {"y"});
  builder.Op("Quantize", {"y"}, {"y_q"}).Int("preserve_activation_sparsity", 1);
  builder.Op("Quantize", {"data"}, {"data_q"});
  caffe2::NetDef definition = builder.Build();
  for (int i : {1, 2}) definition.mutable_op(i)->set_engine("DNNLOWP");
  caffe2::NetBase* net = Make(definition);
  ASSERT_TRUE(
      Register(net, "0 Relu 0 y -12.8 12.7\n1 Load 0 data 0 51\n").ok());
  EXPECT_EQ(ParametersOf(net, 0), "none");
  EXPECT_EQ(ParametersOf(net, 1), "0.1 128");
  EXPECT_EQ(ParametersOf(net, 2), "0.2 0");
}

TEST_F(RegisterQuantizationParamsTest, OutputsWithOneValueOrNone) {
  caffe2::NetBase* net = Make(Definition());
  ASSERT_TRUE(Register(net,
                       "0 Relu 0 y 51 51\n"
                       "1 Relu 0 z 3.4028235e+38 -3.4028235e+38\n")
                  .ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.2 0");
  EXPECT_EQ(ParametersOf(net, 1), "0.1 0");
  ASSERT_TRUE(
      Register(net, "0 Relu 0 y 51 51 2 0 3\n1 Relu 0 z 0 1 2 0 0\n", true)
          .ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.2 0");
  EXPECT_EQ(ParametersOf(net, 1), "0.1 0");
}

TEST_F(RegisterQuantizationParamsTest, ArgumentsAndIsWeightDecideHow) {
  caffe2::NetDef definition = Definition();
  *definition.mutable_op(0)->add_arg() =
      caffe2::MakeArgument("preserve_activation_sparsity", 1);
  *definition.mutable_op(1)->add_arg() =
      caffe2::MakeArgument("weight_precision", 4);
  caffe2::NetBase* net = Make(definition);
  RegisterOptions options;
  options.path = Write("0 Relu 0 y -1 12.7\n1 Relu 0 z 0 15\n");
  options.output_path = Path("out");
  ASSERT_TRUE(RegisterQuantizationParams(net, options).ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.1 128");
  options.is_weight = true;
  ASSERT_TRUE(RegisterQuantizationParams(net, options).ok());
  EXPECT_EQ(ParametersOf(net, 1), "1 0");
  EXPECT_NE(Read("out").find("1 Relu 0 z 0 15 1 0 4\n"), std::string::npos)
      << Read("out");
}

TEST_F(RegisterQuantizationParamsTest, WritesWhatWasChosenOfEveryOperator) {
  caffe2::NetDef definition = Definition();
  definition.mutable_op(0)->set_engine("");
  definition.mutable_op(1)->set_output(0, "a b");
  caffe2::NetBase* net = Make(definition);
  RegisterOptions options;
  options.path = Write("0 Relu 0 y 0 127.5\n1 Relu 0 \"a b\" -63.75 63.75\n");
  options.output_path = Path("out");
  ASSERT_TRUE(RegisterQuantizationParams(net, options).ok());
  EXPECT_EQ(Read("out"),
            "0 Relu 0 y 0 127.5 0.5 0 8\n"
            "1 Relu 0 \"a b\" -64 63.5 0.5 128 8\n");
}

TEST_F(RegisterQuantizationParamsTest, AnOutputThatCannotBeWrittenChangesNone) {
  caffe2::NetBase* net = Make(Definition());
  RegisterOptions options;
  options.path = Write("0 Relu 0 y 0 1\n1 Relu 0 z 0 1\n");
  options.output_path = Path("no/such/folder");
  const Status status = RegisterQuantizationParams(net, options);
  EXPECT_EQ(status.kind(), Status::Kind::kIoError);
  EXPECT_NE(status.message().find(options.output_path), std::string::npos);
  EXPECT_EQ(ParametersOf(net, 0), "none");
}

TEST_F(RegisterQuantizationParamsTest, DamagedFilesAreNamed) {
  caffe2::NetBase* net = Make(Definition());
  struct Case {
    const char* text;
    bool histogram;
    const char* error;
  };
  for (const Case& each : {
           Case{"0 Relu 0 y 0\nx\n", false, "line 1"},
           Case{"0 Relu 0 y nan 1\n", false, "'nan'"},
           Case{"0 Relu 0 y 0 1e300\n1 Relu 0 z 0 1\n", false,
                "tensor 'y': the range is [0, 1e+300], expected limits that "
                "are floats"},
           Case{"0 Relu 0 y 0 1\n0 Relu 0 y 0 2\n", false,
                "tensor 'y' has two lines for output 0 of operator 0"},
           Case{"0 Relu 0 y 0 1 2 5\n", true, "nbins is '2'"},
           Case{"0 Relu 0 y 0 1\n", true, "6 fields"},
           Case{"0 Relu 0 y 0 1 2 3 4\n", false, "9 fields"},
           Case{"{\"format_version\": 77}", false, "format version 77"},
           Case{"\x08\x4d", true, "format version 77"},
       }) {
    const Status status = Register(net, each.text, each.histogram);
    EXPECT_FALSE(status.ok()) << each.text;
    EXPECT_NE(status.message().find("'" + Path("file") + "'"),
              std::string::npos)
        << status.message();
    EXPECT_NE(status.message().find(each.error), std::string::npos)
        << status.message();
    EXPECT_EQ(ParametersOf(net, 0), "none");
  }
  RegisterOptions options;
  EXPECT_FALSE(RegisterQuantizationParams(net, options).ok());
  options.path = Path("missing");
  EXPECT_NE(RegisterQuantizationParams(net, options).message().find("missing"),
            std::string::npos);
  EXPECT_FALSE(RegisterQuantizationParams(nullptr, options).ok());
}

TEST_F(RegisterQuantizationParamsTest, WrongSettingsOfAnOperatorAreNamed) {
  caffe2::NetDef definition = Definition();
  *definition.mutable_op(1)->add_arg() =
      caffe2::MakeArgument<std::string>("activation_quantization_kind", "best");
  caffe2::NetBase* net = Make(definition);
  const auto message =
      Register(net, "0 Relu 0 y 0 1\n1 Relu 0 z 0 1\n").message();
  EXPECT_NE(message.find("tensor 'z': "), std::string::npos) << message;
  EXPECT_NE(message.find("method 'best' is unknown"), std::string::npos)
      << message;
  EXPECT_EQ(ParametersOf(net, 0), "none");
}

TEST_F(RegisterQuantizationParamsTest, LaterNets) {
  RegisterOptions options;
  options.path = Write("0 Relu 0 y 0 25.5\n1 Relu 0 z 0 51\n");
  options.output_path = Path("out");
  ASSERT_TRUE(RegisterQuantizationParamsOfLaterNets(options).ok());
  // The file is read once, and a net that it is not about is left alone.
  fs::remove(options.path);
  NetBuilder other("other", "simple");
  other.Op("Relu", {"x"}, {"a"});
  caffe2::NetDef definition = other.Build();
  definition.mutable_op(0)->set_engine("DNNLOWP");
  EXPECT_EQ(ParametersOf(Make(definition), 0), "none");
  EXPECT_FALSE(fs::exists(options.output_path));
  caffe2::NetBase* net = Make(Definition());
  EXPECT_EQ(ParametersOf(net, 0), "0.1 0");
  EXPECT_EQ(ParametersOf(net, 1), "0.2 0");
  EXPECT_TRUE(fs::exists(options.output_path));
  // A net that fits in part is not made.
  definition = Definition();
  definition.mutable_op(1)->set_output(0, "other");
  const std::string error = ErrorOf([&] { Make(definition); });
  EXPECT_NE(error.find("no line of 'other'"), std::string::npos) << error;
  // Another file for the same names comes later, and stands.
  RegisterOptions second;
  second.path = Write("0 Relu 0 y 0 102\n1 Relu 0 z 0 102\n", "second");
  ASSERT_TRUE(RegisterQuantizationParamsOfLaterNets(second).ok());
  EXPECT_EQ(ParametersOf(Make(Definition()), 0), "0.4 0");
  StopRegisteringQuantizationParams();
  EXPECT_EQ(ParametersOf(Make(Definition()), 0), "none");
}

TEST_F(RegisterQuantizationParamsTest, LinesThatNobodyAsksForMayBeAnything) {
  caffe2::NetDef definition = Definition();
  definition.mutable_op(0)->set_engine("");
  caffe2::NetBase* net = Make(definition);
  RegisterOptions options;
  options.path =
      Write("0 Relu 0 y 0 1e300\n1 Relu 0 z 0 25.5\n2 Relu 0 a 0 1e300\n");
  options.output_path = Path("out");
  ASSERT_TRUE(RegisterQuantizationParams(net, options).ok());
  EXPECT_EQ(Read("out"), "1 Relu 0 z 0 25.5 0.1 0 8\n");
}

TEST_F(RegisterQuantizationParamsTest, ALaterNetThatOnlyQuantizes) {
  NetBuilder builder("q", "simple");
  builder.Op("Relu", {"x"}, {"y"});
  builder.Op("Quantize", {"y"}, {"y_q"});
  caffe2::NetDef definition = builder.Build();
  definition.mutable_op(1)->set_engine("DNNLOWP");
  RegisterOptions options;
  options.path = Write("0 Relu 0 y 0 25.5\n");
  options.output_path = Path("out");
  ASSERT_TRUE(RegisterQuantizationParamsOfLaterNets(options).ok());
  EXPECT_EQ(ParametersOf(Make(definition), 1), "0.1 0");
  fs::remove(options.output_path);
  // And one without any int8 operator.
  definition.mutable_op()->RemoveLast();
  Make(definition);
  EXPECT_FALSE(fs::exists(options.output_path));
}

TEST_F(RegisterQuantizationParamsTest, EnginesThatThePreferenceGave) {
  caffe2::SetPerOpEnginePref({{caffe2::CPU, {{"Relu", {"DNNLOWP"}}}}});
  caffe2::NetBase* net = Make(Definition(""));
  caffe2::SetPerOpEnginePref({});
  ASSERT_EQ(net->GetOperators()[0]->engine(), "DNNLOWP");
  ASSERT_TRUE(Register(net, "0 Relu 0 y 0 25.5\n1 Relu 0 z 0 51\n").ok());
  EXPECT_EQ(ParametersOf(net, 0), "0.1 0");
  EXPECT_EQ(ParametersOf(net, 1), "0.2 0");
}

TEST_F(RegisterQuantizationParamsTest, LaterNetsOfManyThreads) {
  RegisterOptions options;
  options.path = Write("0 Relu 0 y 0 25.5\n1 Relu 0 z 0 51\n");
  options.output_path = Path("out");
  ASSERT_TRUE(RegisterQuantizationParamsOfLaterNets(options).ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([this] {
      caffe2::Workspace workspace;
      FeedFloats(&workspace, "x", {0, 1});
      for (int j = 0; j < 50; ++j) {
        caffe2::NetBase* net = workspace.CreateNet(Definition(), true);
        const std::string found = ParametersOf(net, 1);
        EXPECT_TRUE(found == "0.2 0" || found == "none") << found;
      }
    });
  }
  for (int j = 0; j < 50; ++j) {
    StopRegisteringQuantizationParams();
    EXPECT_TRUE(RegisterQuantizationParamsOfLaterNets(options).ok());
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ParametersOf(Make(Definition()), 1), "0.2 0");
  EXPECT_EQ(Read("out"),
            "0 Relu 0 y 0 25.5 0.1 0 8\n1 Relu 0 z 0 51 0.2 0 8\n");
}

TEST_F(RegisterQuantizationParamsTest,
       LaterNetsAfterTheHostClearedItsCreators) {
  RegisterOptions options;
  options.path = Write("0 Relu 0 y 0 25.5\n1 Relu 0 z 0 51\n");
  ASSERT_TRUE(RegisterQuantizationParamsOfLaterNets(options).ok());
  caffe2::ClearGlobalNetObservers();
  EXPECT_EQ(ParametersOf(Make(Definition()), 0), "none");
  ASSERT_TRUE(RegisterQuantizationParamsOfLaterNets(options).ok());
  EXPECT_EQ(ParametersOf(Make(Definition()), 0), "0.1 0");
}

TEST_F(RegisterQuantizationParamsTest, ArgumentsOfANetDef) {
  caffe2::NetDef net = Definition();
  *net.mutable_op(0)->add_arg() = caffe2::MakeArgument("Y_scale", 7.0f);
  OpBuilder(net.add_op(), "Relu", {"z"}, {"out"}).Int("dequantize_output", 1);
  net.mutable_op(2)->set_engine("DNNLOWP");
  OpBuilder(net.add_op(), "Relu", {"out"}, {"float"});
  const std::string path = Write(
      "0 Relu 0 y 0 25.5 2 1 1\n1 Relu 0 z 0 51 2 1 1\n"
      "2 Relu 0 out 0 51 2 1 1\n3 Relu 0 float 0 51 2 1 1\n");
  ASSERT_TRUE(AddScaleZeroOffsetArgumentsWithHistogram(path, &net).ok());
  EXPECT_EQ(ParametersOf(net.op(0)), "0.1 0");
  EXPECT_EQ(net.op(0).arg_size(), 2);
  EXPECT_EQ(ParametersOf(net.op(1)), "0.2 0");
  EXPECT_EQ(ParametersOf(net.op(2)), "none");
  EXPECT_EQ(ParametersOf(net.op(3)), "none");
  net.mutable_op(1)->set_output(0, "other");
  net.mutable_op(2)->set_input(0, "other");
  const std::string changed = net.SerializeAsString();
  EXPECT_NE(AddScaleZeroOffsetArgumentsWithHistogram(path, &net)
                .message()
                .find("no line of 'other'"),
            std::string::npos);
  EXPECT_EQ(net.SerializeAsString(), changed);
}

}  // namespace
}  // namespace caffe2_quantization
