// Recipes as JSON: everything is kept to the last bit, and what is no recipe is
// refused.
#include "rewrite/recipe_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

using Json = nlohmann::ordered_json;

std::string JsonOf(const Recipe& recipe) {
  std::string json;
  const Status status = RecipeToJson(recipe, &json);
  EXPECT_TRUE(status.ok()) << status.message();
  return json;
}

Recipe SmallRecipe() {
  Recipe recipe;
  recipe.net_hash = std::string(32, 'a');
  recipe.options.keep_float = {"Softmax", "fc.*"};
  recipe.options.activation_method = ChooseMethod::kPercentile;
  recipe.options.activation_percentile = 0.9995;
  for (int i = 0; i < 3; ++i) {
    OperatorChoice choice;
    choice.op_index = i;
    choice.type = i == 1 ? "Relu" : "FC";
    choice.output = "y" + std::to_string(i);
    choice.is_int8 = i < 2;
    choice.folded_into = i == 1 ? 0 : -1;
    choice.decision.reason = i == 0   ? Reason::kInt8
                             : i == 1 ? Reason::kFolded
                                      : Reason::kKeptFloat;
    choice.decision.made = i < 2 ? "Int8FCRelu" : "";
    recipe.operators.push_back(choice);
  }
  for (int i = -1; i < 3; ++i) {
    TensorChoice8 tensor;
    tensor.op_index = i;
    tensor.name = i < 0 ? "x" : "y" + std::to_string(i);
    tensor.type = "float";
    tensor.has_shape = true;
    tensor.shape = {-1, 4};
    tensor.is_int8 = i == -1 || i == 1;
    tensor.parameters = {0.1f, 128};
    recipe.tensors.push_back(tensor);
  }
  return recipe;
}

TEST(RecipeJson, KeepsEverything) {
  const Recipe recipe = SmallRecipe();
  Recipe read;
  const Status status = RecipeFromJson(JsonOf(recipe), &read);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(JsonOf(read), JsonOf(recipe));
  EXPECT_EQ(read.options.keep_float, recipe.options.keep_float);
  EXPECT_EQ(read.options.activation_method, ChooseMethod::kPercentile);
  EXPECT_EQ(read.options.activation_percentile, 0.9995);
  EXPECT_EQ(read.operators[1].folded_into, 0);
  EXPECT_EQ(read.operators[1].decision.reason, Reason::kFolded);
  EXPECT_EQ(read.tensors[0].op_index, -1);
  EXPECT_EQ(read.tensors[0].shape, (std::vector<int64_t>{-1, 4}));
  EXPECT_EQ(read.tensors[0].parameters.scale, 0.1f);
}

TEST(RecipeJson, ScalesAreExact) {
  TestRandom random;
  Recipe recipe = SmallRecipe();
  recipe.tensors.clear();
  for (int i = 0; i < 20000; ++i) {
    TensorChoice8 tensor;
    tensor.name = "x" + std::to_string(i);
    tensor.is_int8 = true;
    do {
      const auto bits = static_cast<uint32_t>(random.Integer(0, 0x7fffffff));
      std::memcpy(&tensor.parameters.scale, &bits, sizeof(bits));
    } while (!std::isnormal(tensor.parameters.scale));
    recipe.tensors.push_back(tensor);
  }
  Recipe read;
  const Status status = RecipeFromJson(JsonOf(recipe), &read);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(read.tensors.size(), recipe.tensors.size());
  for (std::size_t i = 0; i < read.tensors.size(); ++i) {
    ASSERT_EQ(std::memcmp(&read.tensors[i].parameters.scale,
                          &recipe.tensors[i].parameters.scale, sizeof(float)),
              0)
        << recipe.tensors[i].parameters.scale;
  }
}

TEST(RecipeJson, NamesThatAreNoUtf8) {
  Recipe recipe = SmallRecipe();
  recipe.operators[0].output = "a\xff\"\n";
  recipe.operators[1].output = "\xc3\xa4";
  Recipe read;
  ASSERT_TRUE(RecipeFromJson(JsonOf(recipe), &read).ok());
  EXPECT_EQ(read.operators[0].output, "a\xef\xbf\xbd\"\n");
  EXPECT_EQ(read.operators[1].output, "\xc3\xa4");
}

TEST(RecipeJson, AChangedDecisionIsTaken) {
  Json json = Json::parse(JsonOf(SmallRecipe()));
  json["operators"][0]["decision"] = "float";
  json["operators"][2]["decision"] = "int8";
  Recipe read;
  const Status status = RecipeFromJson(json.dump(), &read);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(read.operators[0].decision.reason, Reason::kRecipe);
  EXPECT_EQ(read.operators[2].decision.reason, Reason::kInt8);
}

TEST(RecipeJson, WrongOnesAreRefused) {
  const struct {
    std::function<void(Json*)> change;
    const char* expected;
  } kCases[] = {
      {[](Json* j) { (*j)["format_version"] = 2; },
       "format version 2, this program reads 1"},
      {[](Json* j) {
         (*j)["format_version"] = 3;
         (*j)["new"] = {{"a", 1}};
       },
       "format version 3, this program reads 1"},
      {[](Json* j) { j->erase("format_version"); }, "no format_version"},
      {[](Json* j) { (*j)["unknown"] = 1; }, "unknown"},
      {[](Json* j) { (*j)["options"]["colour"] = "x"; }, "colour"},
      {[](Json* j) { j->erase("net_hash"); }, "no net_hash"},
      {[](Json* j) { (*j)["net_hash"] = "12"; },
       "net_hash is '12', expected 32 hexadecimal digits"},
      {[](Json* j) { j->erase("options"); }, "no options"},
      {[](Json* j) { (*j)["options"].erase("int8_io"); },
       "no int8_io of options"},
      {[](Json* j) { (*j)["options"]["activation_method"] = "MIN_MAXX"; },
       "options: activation_method: quantization method 'MIN_MAXX' is unknown"},
      {[](Json* j) { (*j)["options"]["activation_bits"] = 9; },
       "activation_bits is 9, expected 2 to 8"},
      {[](Json* j) { (*j)["options"]["weight_percentile"] = 0; },
       "percentile of weight_method is 0"},
      {[](Json* j) { (*j)["operators"][1]["op_index"] = 2; },
       "op_index is 2 where operator 1 is expected"},
      {[](Json* j) { (*j)["operators"][0]["decision"] = "int4"; },
       "operator 0: decision is 'int4', expected int8 or float"},
      {[](Json* j) { (*j)["operators"][0]["reason"] = "kept_flot"; },
       "did you mean 'kept_float'"},
      {[](Json* j) { (*j)["operators"][0].erase("reason"); },
       "no reason of operator 0"},
      {[](Json* j) { (*j)["operators"][0]["folded_into"] = 3; },
       "folded_into is 3, expected one of 3 operators"},
      {[](Json* j) { (*j)["tensors"][1]["op_index"] = 3; },
       "output 0 of operator 3, expected one of 3 operators"},
      {[](Json* j) { (*j)["tensors"][1].erase("op_index"); },
       "op_index and output_index, expected both or none"},
      {[](Json* j) { (*j)["tensors"][1] = (*j)["tensors"][0]; },
       "tensor 'x' is there twice"},
      {[](Json* j) { (*j)["tensors"][0].erase("scale"); },
       "scale and zero_point, expected both or none"},
      {[](Json* j) { (*j)["tensors"][0]["scale"] = -0.5; }, "scale is -0.5"},
      {[](Json* j) { (*j)["tensors"][0]["scale"] = 1e300; }, "scale is 1e+300"},
      {[](Json* j) { (*j)["tensors"][0]["scale"] = 1e-40; }, "scale is 1e-40"},
      {[](Json* j) { (*j)["tensors"][0]["scale"] = "NaN"; }, "scale is nan"},
      {[](Json* j) { (*j)["tensors"][0]["zero_point"] = 256; },
       "zero_point is 256, expected 0 to 255"},
      {[](Json* j) { (*j)["tensors"][0]["shape"]["dims"][0] = -2; },
       "a size of -2"},
      {[](Json* j) { (*j)["tensors"] = 5; }, "JSON"},
      {[](Json* j) { *j = Json::array(); }, "JSON"},
  };
  const Json good = Json::parse(JsonOf(SmallRecipe()));
  for (const auto& each : kCases) {
    Json json = good;
    each.change(&json);
    Recipe read;
    read.net_hash = "untouched";
    const Status status = RecipeFromJson(json.dump(), &read);
    EXPECT_FALSE(status.ok()) << each.expected;
    EXPECT_NE(status.message().find(each.expected), std::string::npos)
        << status.message() << ", expected " << each.expected;
    EXPECT_EQ(read.net_hash, "untouched");
  }
  Recipe read;
  for (const char* text : {"", "{", "{}", "null", "\x01\x02", "[[[[["}) {
    EXPECT_FALSE(RecipeFromJson(text, &read).ok()) << text;
  }
  EXPECT_FALSE(RecipeFromJson(std::string(100000, '['), &read).ok());
  EXPECT_NE(RecipeFromJson(std::string(kMostRecipeBytes + 1, ' '), &read)
                .message()
                .find("at most"),
            std::string::npos);
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
