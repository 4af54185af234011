// What the engine ONEDNN refuses, in place of QNNPACK's operators.
#include "operators/int8/engine/refused_keys.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "caffe2/core/operator.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

caffe2::OperatorDef Definition(const std::string& type,
                               const std::string& engine) {
  const auto* const schema = caffe2::OpSchemaRegistry::Schema(type);
  caffe2::OperatorDef definition;
  definition.set_type(type);
  definition.set_engine(engine);
  for (int i = 0; i < schema->min_input(); ++i) {
    definition.add_input("x" + std::to_string(i));
  }
  for (int i = 0; i < schema->min_output(); ++i) {
    definition.add_output("y" + std::to_string(i));
  }
  return definition;
}

std::string ErrorOfMaking(const std::string& type, const std::string& engine) {
  caffe2::Workspace workspace;
  for (int i = 0; i < 4; ++i) workspace.CreateBlob("x" + std::to_string(i));
  return ErrorOf(
      [&] { caffe2::CreateOperator(Definition(type, engine), &workspace); });
}

TEST(RefusedKeys, SayWhatToDo) {
  const std::string lacks =
      "Int8RoIAlign: the engine ONEDNN does not have it, expected "
      "Int8Dequantize and the float operator in its place; or the engine "
      "DEFAULT, if the host's own operator of QNNPACK is wanted";
  EXPECT_NE(ErrorOfMaking("Int8RoIAlign", "ONEDNN").find(lacks),
            std::string::npos)
      << ErrorOfMaking("Int8RoIAlign", "ONEDNN");
  const std::string error = ErrorOfMaking("Int8Conv", "ONEDNN_ROWWISE");
  EXPECT_NE(error.find("Int8Conv: the engine ONEDNN_ROWWISE does not have it, "
                       "expected one of ONEDNN, ONEDNN_ACC16; or the engine "
                       "DEFAULT, if"),
            std::string::npos)
      << error;
}

TEST(RefusedKeys, UnderAnEnginePreference) {
  caffe2::SetGlobalEnginePref({{caffe2::CPU, {"ONEDNN", "DNNLOWP"}}});
  const std::string error = ErrorOfMaking("Int8RoIAlign", "");
  const std::string with_default = ErrorOfMaking("Int8RoIAlign", "DEFAULT");
  caffe2::SetGlobalEnginePref({});
  EXPECT_NE(error.find("Int8RoIAlign: the engine ONEDNN does not have it"),
            std::string::npos)
      << error;
  EXPECT_EQ(with_default, "");
}

TEST(RefusedKeys, AListOfEnginesGoesOnToOneThatHasTheOperator) {
  // ONEDNN's asks for a kernel.
  const std::string error = ErrorOfMaking("Int8Conv", "ONEDNN_ROWWISE,ONEDNN");
  EXPECT_NE(error.find("Int8Conv: no kernel size"), std::string::npos) << error;
  EXPECT_EQ(ErrorOfMaking("Int8RoIAlign", "ONEDNN,DEFAULT"), "");
  EXPECT_NE(ErrorOfMaking("Int8RoIAlign", "ONEDNN,DNNLOWP"), "");
  EXPECT_NE(ErrorOfMaking("Int8RoIAlign", "ONEDNN,ONEDNN_16"), "");
}

// Every int8 operator of the default engine is under the engine, or refused;
// except for those that fill blobs, and ours.
TEST(RefusedKeys, NoOperatorFallsToTheDefaultEngine) {
  const std::set<std::string> fills = {
#define OPERATOR(name) #name,
#include "operators/operator_list.inc"
#undef OPERATOR
      "Int8GivenTensorFill", "Int8GivenIntTensorFill", "Int8GenQuantParams"};
  auto* const registry = caffe2::CPUOperatorRegistry();
  for (const std::string& key : registry->Keys()) {
    const bool is_default = key.find("_ENGINE_") == std::string::npos;
    if (key.rfind("Int8", 0) != 0 || !is_default || fills.count(key) > 0) {
      continue;
    }
    for (const char* suffix :
         {"", "_ACC16", "_ROWWISE", "_16", "_ROWWISE_16"}) {
      EXPECT_TRUE(registry->Has(key + "_ENGINE_ONEDNN" + suffix))
          << key << suffix;
    }
  }
}

TEST(RefusedKeys, WhatFillsBlobsRunsAsBefore) {
  caffe2::Workspace workspace;
  caffe2::OperatorDef fill;
  OpBuilder(&fill, "Int8GivenTensorFill", {}, {"x"})
      .Ints("shape", {2})
      .String("values", "\1\2")
      .Float("Y_scale", 0.5f)
      .Int("Y_zero_point", 3);
  caffe2::SetGlobalEnginePref({{caffe2::CPU, {"ONEDNN"}}});
  const std::string error = ErrorOf([&] { workspace.RunOperatorOnce(fill); });
  caffe2::SetGlobalEnginePref({});
  EXPECT_EQ(error, "");
  EXPECT_EQ(FetchCodes(workspace, "x"), (Int8Values{{2}, {1, 2}, 0.5f, 3}));
}

}  // namespace
}  // namespace caffe2_quantization
