#include "operators/register_quantization_params_op.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "observers/register_quantization_params.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

namespace fs = std::filesystem;
using Arguments = std::function<void(OpBuilder&)>;

class RegisterQuantizationParamsOpTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::temp_directory_path() /
            ("register_op_test." + std::to_string(getpid()));
    FeedFloats(&workspace_, "x", {1});
    Write("0 Relu 0 y 0 25.5\n");
  }
  void TearDown() override {
    StopRegisteringQuantizationParams();
    fs::remove(path_);
    fs::remove(path_ + ".out");
  }
  void Write(const std::string& text) { std::ofstream(path_) << text; }
  caffe2::NetDef Definition() {
    NetBuilder net("n", "simple");
    net.Op("Relu", {"x"}, {"y"});
    caffe2::NetDef definition = net.Build();
    definition.mutable_op(0)->set_engine("DNNLOWP");
    return definition;
  }
  void Run(const std::string& type, const Arguments& arguments,
           const std::vector<std::string>& outputs = {}) {
    caffe2::OperatorDef definition;
    OpBuilder builder(&definition, type, {}, outputs);
    arguments(builder);
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }
  static float ScaleOf(const caffe2::OperatorDef& op) {
    return caffe2::ArgumentHelper(op).GetSingleArgument<float>("Y_scale", 0);
  }
  float ScaleOf(caffe2::NetBase* net) {
    return ScaleOf(net->GetOperators()[0]->debug_def());
  }
  caffe2::NetBase* Make() { return workspace_.CreateNet(Definition(), true); }

  std::string path_;
  caffe2::Workspace workspace_;
};

TEST_F(RegisterQuantizationParamsOpTest, OneNet) {
  caffe2::NetBase* net = Make();
  Run("RegisterQuantizationParams", [&](OpBuilder& b) {
    b.String("net", "n").String("path", path_).String("output", path_ + ".out");
  });
  EXPECT_EQ(ScaleOf(net), 0.1f);
  EXPECT_TRUE(fs::exists(path_ + ".out"));
  Write("0 Relu 0 y 0 51 2 1 1\n");
  Run("RegisterQuantizationParamsWithHistogram",
      [&](OpBuilder& b) { b.String("net", "n").String("path", path_); });
  EXPECT_EQ(ScaleOf(net), 0.2f);
  // The next net is not concerned.
  EXPECT_EQ(ScaleOf(Make()), 0);
}

TEST_F(RegisterQuantizationParamsOpTest, LaterNets) {
  Run("RegisterQuantizationParams",
      [&](OpBuilder& b) { b.String("path", path_); });
  EXPECT_EQ(ScaleOf(Make()), 0.1f);
  Run("RegisterQuantizationParams", [&](OpBuilder& b) { b.Int("enable", 0); });
  EXPECT_EQ(ScaleOf(Make()), 0);
}

TEST_F(RegisterQuantizationParamsOpTest, IsWeight) {
  caffe2::NetDef definition = Definition();
  *definition.mutable_op(0)->add_arg() =
      caffe2::MakeArgument("weight_precision", 4);
  caffe2::NetBase* net = workspace_.CreateNet(definition, true);
  Run("RegisterQuantizationParams", [&](OpBuilder& b) {
    b.String("net", "n").String("path", path_).Int("is_weight", 1);
  });
  EXPECT_EQ(ScaleOf(net), 1.7f);
}

TEST_F(RegisterQuantizationParamsOpTest, ANetDef) {
  Write("0 Relu 0 y 0 25.5 2 1 1\n");
  for (const std::string& definition :
       {Definition().SerializeAsString(),
        caffe2::ProtoDebugString(Definition())}) {
    Run("AddScaleZeroOffsetArgumentsWithHistogram",
        [&](OpBuilder& b) {
          b.String("path", path_).String("net_def", definition);
        },
        {"net"});
    caffe2::NetDef net;
    ASSERT_TRUE(
        net.ParseFromString(Fetch<std::string>(workspace_, "net").at(0)));
    EXPECT_EQ(ScaleOf(net.op(0)), 0.1f);
    EXPECT_EQ(net.name(), "n");
  }
}

TEST_F(RegisterQuantizationParamsOpTest, RefusalsNameWhatIsWrong) {
  const auto expect = [&](const std::string& type, const Arguments& arguments,
                          const std::string& part) {
    std::vector<std::string> outputs;
    if (type.compare(0, 3, "Add") == 0) outputs = {"net"};
    const std::string found = ErrorOf([&] { Run(type, arguments, outputs); });
    EXPECT_NE(found.find(type + ": "), std::string::npos) << found;
    EXPECT_NE(found.find(part), std::string::npos) << found.substr(0, 300);
  };
  Make();
  for (const char* type : {"RegisterQuantizationParams",
                           "RegisterQuantizationParamsWithHistogram"}) {
    expect(
        type, [](OpBuilder&) {}, "argument path is missing");
    expect(
        type, [&](OpBuilder& b) { b.String("path", path_).String("net", "m"); },
        "there is no net 'm' in this workspace; it has: n");
    expect(
        type, [&](OpBuilder& b) { b.String("path", path_ + ".none"); },
        path_ + ".none");
  }
  Write("0 Relu 0 other 0 1\n");
  expect(
      "RegisterQuantizationParams",
      [&](OpBuilder& b) { b.String("path", path_).String("net", "n"); },
      "has no line of 'y'");
  const char* add = "AddScaleZeroOffsetArgumentsWithHistogram";
  expect(
      add, [&](OpBuilder& b) { b.String("path", path_); },
      "argument net_def holds 0 bytes that are no NetDef");
  expect(
      add,
      [&](OpBuilder& b) {
        b.String("path", path_).String("net_def", "\xff\xff");
      },
      "argument net_def holds 2 bytes");
  expect(
      add,
      [&](OpBuilder& b) {
        b.String("path", path_)
            .String("net_def", Definition().SerializeAsString());
      },
      "6 fields");
}

}  // namespace
}  // namespace caffe2_quantization
