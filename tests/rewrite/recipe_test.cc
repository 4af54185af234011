// A recipe makes the same nets again, also as JSON and after a user has changed
// a decision; one that does not fit the net is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "caffe2/core/net.h"
#include "netdef/operator_keys.h"
#include "rewrite/constants.h"
#include "rewrite/quantize_net.h"
#include "rewrite/recipe_json.h"
#include "tests/support/measure_net.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"
#include "tests/support/test_size.h"
#include "tests/support/whole_nets.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

using Json = nlohmann::ordered_json;

// A float net, its weights, and what was measured of it.
struct Model {
  caffe2::NetDef init;
  caffe2::NetDef predict;
  Measurements measurements;
  caffe2::Workspace workspace;  // with what data fill
  std::vector<std::string> data;
};

std::unique_ptr<Model> WholeModel(const std::string& name) {
  auto model = std::make_unique<Model>();
  const WholeNet net = FeedWholeNet(&model->workspace, name, 2, 32);
  model->predict = net.floats;
  std::set<std::string> data = {"data"};
  for (const std::string& input : net.floats.external_input()) {
    if (input.find("_indices") != std::string::npos ||
        input.find("_lengths") != std::string::npos) {
      data.insert(input);
    }
  }
  for (const std::string& input : data) {
    if (model->workspace.HasBlob(input)) model->data.push_back(input);
  }
  model->predict.add_external_output(net.output);
  model->init = InitNetOf(model->predict, model->workspace, data);
  model->measurements = MeasureNet(model->predict, &model->workspace);
  return model;
}

std::vector<float> OutputOf(const Model& model, const QuantizedNets& nets) {
  caffe2::Workspace workspace;
  EXPECT_TRUE(workspace.RunNetOnce(nets.init));
  for (const std::string& name : model.data) {
    const auto& tensor = model.workspace.GetBlob(name)->Get<caffe2::Tensor>();
    workspace.CreateBlob(name)->Reset(new caffe2::Tensor(tensor.Clone()));
  }
  EXPECT_TRUE(workspace.RunNetOnce(nets.predict));
  const auto& output =
      workspace.GetBlob(nets.predict.external_output(0))->Get<caffe2::Tensor>();
  return {output.data<float>(), output.data<float>() + output.numel()};
}

QuantizedNets Quantize(const Model& model, const QuantizeOptions& options) {
  QuantizedNets nets;
  const Status status =
      QuantizeNet(model.init, model.predict, model.measurements, options,
                  HasOperator, &nets);
  EXPECT_TRUE(status.ok()) << status.message();
  return nets;
}

std::string JsonOf(const Recipe& recipe) {
  std::string json;
  const Status status = RecipeToJson(recipe, &json);
  EXPECT_TRUE(status.ok()) << status.message();
  return json;
}

// The nets that a recipe makes by way of its JSON.
Status QuantizeByJson(const Model& model, const std::string& json,
                      QuantizedNets* nets) {
  Recipe recipe;
  const Status status = RecipeFromJson(json, &recipe);
  if (!status.ok()) return status;
  return QuantizeNetBy(recipe, model.init, model.predict, HasOperator, nets);
}

void ExpectSame(const QuantizedNets& expected, const QuantizedNets& found) {
  EXPECT_EQ(expected.predict.SerializeAsString(),
            found.predict.SerializeAsString());
  EXPECT_EQ(expected.init.SerializeAsString(), found.init.SerializeAsString());
  EXPECT_EQ(JsonOf(expected.recipe), JsonOf(found.recipe));
}

class RecipeOfWholeNets : public testing::TestWithParam<std::string> {};

TEST_P(RecipeOfWholeNets, MakesTheSameNets) {
  const auto model = WholeModel(GetParam());
  for (const char* engine : {"ONEDNN", "DNNLOWP"}) {
    for (const bool int8_io : {false, true}) {
      SCOPED_TRACE(engine);
      QuantizeOptions options;
      options.engine = engine;
      options.int8_io = int8_io;
      options.activation_method = ChooseMethod::kMse;
      options.keep_float = {model->predict.op(3).output(0)};
      const QuantizedNets nets = Quantize(*model, options);
      QuantizedNets again;
      const Status status = QuantizeByJson(*model, JsonOf(nets.recipe), &again);
      ASSERT_TRUE(status.ok()) << status.message();
      ExpectSame(nets, again);
    }
  }
}

// Each operator that is int8, made float by hand, one after the other.
TEST_P(RecipeOfWholeNets, ADecisionMayBeChanged) {
  const auto model = WholeModel(GetParam());
  const QuantizedNets nets = Quantize(*model, {});
  const std::vector<float> expected = OutputOf(*model, nets);
  const Json recipe = Json::parse(JsonOf(nets.recipe));
  int changed = 0;
  const std::size_t count = recipe["operators"].size();
  const std::size_t step = std::max<std::size_t>(
      1, count / static_cast<std::size_t>(CaseCount(20, 1000)));
  for (std::size_t i = 0; i < count; i += step) {
    const Json& op = recipe["operators"][i];
    if (op["decision"] != "int8") continue;
    SCOPED_TRACE(op.dump());
    Json edited = recipe;
    edited["operators"][i]["decision"] = "float";
    QuantizedNets made;
    const Status status = QuantizeByJson(*model, edited.dump(), &made);
    if (op.contains("folded_into")) {
      ASSERT_FALSE(status.ok());
      EXPECT_NE(status.message().find("change the decision of that one"),
                std::string::npos)
          << status.message();
      continue;
    }
    ASSERT_TRUE(status.ok()) << status.message();
    const OperatorChoice& choice = made.recipe.operators[i];
    EXPECT_FALSE(choice.is_int8);
    EXPECT_EQ(Name(choice.decision.reason), "recipe");
    EXPECT_NE(made.predict.SerializeAsString(),
              nets.predict.SerializeAsString());
    // Nothing else has changed but what was within it.
    for (std::size_t j = 0; j < made.recipe.operators.size(); ++j) {
      const OperatorChoice& before = nets.recipe.operators[j];
      const OperatorChoice& after = made.recipe.operators[j];
      if (j == i || before.folded_into == static_cast<int>(i)) continue;
      EXPECT_EQ(before.is_int8, after.is_int8) << j;
    }
    if (++changed % 8 == 1) {
      const std::vector<float> found = OutputOf(*model, made);
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t j = 0; j < found.size(); ++j) {
        EXPECT_NEAR(found[j], expected[j], 0.15);
      }
      QuantizedNets again;
      const Status by_new = QuantizeByJson(*model, JsonOf(made.recipe), &again);
      ASSERT_TRUE(by_new.ok()) << by_new.message();
      ExpectSame(made, again);
    }
  }
  EXPECT_GE(changed, 3);
}

INSTANTIATE_TEST_SUITE_P(Nets, RecipeOfWholeNets,
                         testing::ValuesIn(WholeNetNames()),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) {
                             if (c == '-') c = '_';
                           }
                           return name;
                         });

// An FC with Relu, and an FC whose weight is one value.
std::unique_ptr<Model> SmallModel() {
  auto model = std::make_unique<Model>();
  NetBuilder net("small", "simple");
  for (const char* name : {"x", "w", "b", "v", "c"}) net.Input(name);
  net.Op("FC", {"x", "w", "b"}, {"h"});
  net.Op("Relu", {"h"}, {"r"});
  net.Op("FC", {"r", "v", "c"}, {"y"});
  model->predict = net.Build();
  model->predict.add_external_output("y");
  const auto fill = [&](const char* name, std::vector<int64_t> shape,
                        std::vector<float> values) {
    *model->init.add_op() =
        FillOf(Constant::OfFloats(std::move(shape), std::move(values)), name);
  };
  fill("w", {2, 3}, {1, -2, 0.5f, 0.25f, 3, -1});
  fill("b", {2}, {0.5f, -0.5f});
  fill("v", {1, 2}, {1, 2});
  fill("c", {1}, {0});
  // It only holds the place of the input.
  fill("x", {1, 1}, {0});
  caffe2::Workspace* const workspace = &model->workspace;
  CAFFE_ENFORCE(workspace->RunNetOnce(model->init));
  auto* const x = caffe2::BlobGetMutableTensor(workspace->GetBlob("x"), {4, 3},
                                               at::dtype<float>());
  for (int i = 0; i < 12; ++i) {
    x->mutable_data<float>()[i] = static_cast<float>(i % 5) - 2;
  }
  model->data = {"x"};
  model->measurements = MeasureNet(model->predict, workspace);
  return model;
}

TEST(Recipe, OfAnotherNetOrEditedWrongly) {
  const auto model = SmallModel();
  const QuantizedNets nets = Quantize(*model, {});
  const Json good = Json::parse(JsonOf(nets.recipe));
  const struct {
    std::function<void(Json*)> change;
    const char* expected;
  } kCases[] = {
      {[](Json* j) { (*j)["net_hash"] = std::string(32, '0'); },
       "the recipe is of another net"},
      {[](Json* j) {
         (*j)["operators"].erase(2);
         (*j)["tensors"].erase(3);
       },
       "the recipe has 2 operators, expected 3"},
      {[](Json* j) { (*j)["operators"][2]["op_type"] = "Conv"; },
       "operator 2 is Conv, expected FC"},
      {[](Json* j) { (*j)["operators"][2]["folded_into"] = 1; },
       "operator 2 is folded into operator 1, expected another one"},
      {[](Json* j) { (*j)["tensors"] = Json::array(); }, "operator 0"},
      {[](Json* j) { (*j)["tensors"][0]["name"] = "xx"; },
       "the recipe has an input 'xx', which the net does not have; there are: "
       "b, c, v, w, x"},
      {[](Json* j) { (*j)["tensors"][1]["output_index"] = 1; },
       "output 1 of operator 0, which the net does not have"},
      {[](Json* j) {
         (*j)["tensors"][0].erase("scale");
         (*j)["tensors"][0].erase("zero_point");
       },
       "the recipe has no scale and zero point of tensor 'x'"},
  };
  for (const auto& each : kCases) {
    Json json = good;
    each.change(&json);
    QuantizedNets made;
    made.float_bytes = 12345;
    const Status status = QuantizeByJson(*model, json.dump(), &made);
    EXPECT_FALSE(status.ok()) << each.expected;
    EXPECT_NE(status.message().find(each.expected), std::string::npos)
        << status.message() << ", expected " << each.expected;
    EXPECT_EQ(made.float_bytes, 12345);
  }
}

// A recipe whose text or members were changed at random is refused, or makes
// nets that the host takes.
TEST(Recipe, ChangedAtRandom) {
  TestRandom random;
  const auto model = SmallModel();
  const QuantizedNets nets = Quantize(*model, {});
  const std::string good = JsonOf(nets.recipe);
  const Json parsed = Json::parse(good);
  const int cases = static_cast<int>(CaseCount(500, 20000));
  int made = 0;
  for (int i = 0; i < cases; ++i) {
    std::string json = good;
    if (random.OneIn(2)) {
      for (int64_t j = random.Integer(1, 3); j-- > 0;) {
        json[static_cast<std::size_t>(
            random.Integer(0, static_cast<int64_t>(json.size()) - 1))] =
            random.OneIn(2) ? "0123456789-.\"{}[],"[random.Integer(0, 18)]
                            : static_cast<char>(random.Byte());
      }
    } else {
      // One member becomes another value.
      const Json values[] = {0,       -1,   1e30,    1e-30, "",  "int8",
                             "float", true, nullptr, 3,     255, "NaN"};
      Json changed = parsed;
      const auto pointers = changed.flatten();
      auto at = pointers.begin();
      std::advance(
          at, random.Integer(0, static_cast<int64_t>(pointers.size()) - 1));
      changed[Json::json_pointer(at.key())] = values[random.Integer(0, 11)];
      json = changed.dump();
    }
    QuantizedNets again;
    if (!QuantizeByJson(*model, json, &again).ok()) continue;
    ++made;
    if (again.recipe.options.int8_io) continue;  // it wants to be fed codes
    EXPECT_EQ(OutputOf(*model, again).size(), 4u) << json;
  }
  std::printf("%d of %d made nets\n", made, cases);
}

TEST(Recipe, APlaceholderIsNoWeightAndOneValueIs) {
  const auto model = SmallModel();
  const QuantizedNets nets = Quantize(*model, {});
  for (const OperatorChoice& choice : nets.recipe.operators) {
    EXPECT_TRUE(choice.is_int8) << choice.type;
  }
  const std::vector<float> found = OutputOf(*model, nets);
  const auto& y = model->workspace.GetBlob("y")->Get<caffe2::Tensor>();
  ASSERT_EQ(found.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(found[i], y.data<float>()[i], 0.2);
  }
  QuantizedNets again;
  ASSERT_TRUE(QuantizeByJson(*model, JsonOf(nets.recipe), &again).ok());
  ExpectSame(nets, again);
}

TEST(Recipe, WeightsThatWereNotCalibratedWith) {
  const auto model = SmallModel();
  QuantizedNets nets = Quantize(*model, {});
  EXPECT_TRUE(nets.warnings.empty()) << nets.warnings[0];
  model->init.mutable_op(0)->mutable_arg(1)->set_floats(0, 7);
  nets = Quantize(*model, {});
  ASSERT_EQ(nets.warnings.size(), 1u);
  EXPECT_EQ(nets.warnings[0],
            "weight 'w' is from -2 to 7, but the profile is of one from -2 to "
            "3: the net was calibrated with other weights");
  *model->init.mutable_op(0) =
      FillOf(Constant::OfFloats({1, 3}, {1, 2, 3}), "w");
  const Status status = QuantizeNet(
      model->init, model->predict, model->measurements, {}, HasOperator, &nets);
  EXPECT_EQ(status.message(),
            "the init net makes 'w' with sizes [1, 3], expected [2, 3] which "
            "the profile saw there");
}

TEST(Recipe, InputsWhoseNamesAreNoUtf8) {
  const auto model = SmallModel();
  const std::string name = "\xff";
  model->init.mutable_op()->DeleteSubrange(4, 1);  // x
  model->predict.set_external_input(0, name);
  model->predict.mutable_op(0)->set_input(0, name);
  model->measurements.SetInput(name, *model->measurements.Input("x"));
  const QuantizedNets nets = Quantize(*model, {});
  EXPECT_EQ(nets.predict.op(0).type(), "Int8Quantize");
  QuantizedNets again;
  const Status status = QuantizeByJson(*model, JsonOf(nets.recipe), &again);
  ASSERT_TRUE(status.ok()) << status.message();
  ExpectSame(nets, again);
}

// Also of an operator that could not be int8.
TEST(Recipe, WhatWasAskedForIsTheReason) {
  const auto model = SmallModel();
  model->predict.mutable_op(1)->set_type("Exp");
  QuantizeOptions options;
  const auto reason = [&](std::size_t i) {
    return Name(Quantize(*model, options).recipe.operators[i].decision.reason);
  };
  EXPECT_EQ(reason(1), "no_int8_form");
  options.keep_float = {"Exp"};
  EXPECT_EQ(reason(1), "kept_float");
  options.keep_float = {};
  options.only = {"FC"};
  EXPECT_EQ(reason(1), "not_selected");
  EXPECT_EQ(reason(0), "int8");
}

TEST(Recipe, NoOperatorThatIsNotRegistered) {
  const auto model = SmallModel();
  QuantizedNets nets;
  for (const char* missing : {"Int8Quantize", "Int8Dequantize"}) {
    const Status status = QuantizeNet(
        model->init, model->predict, model->measurements, {},
        [&](const std::string& key) {
          return key != std::string(missing) + "_ENGINE_ONEDNN" &&
                 HasOperator(key);
        },
        &nets);
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.message().find(missing), std::string::npos);
  }
}

TEST(QuantizeReport, SaysWhatWasMade) {
  const auto model = SmallModel();
  QuantizeOptions options;
  options.keep_float = {"y"};
  const QuantizedNets nets = Quantize(*model, options);
  std::string text;
  ASSERT_TRUE(ReportToJson(nets, {"a note"}, &text).ok());
  const Json json = Json::parse(text);
  EXPECT_EQ(json["format_version"], 1);
  EXPECT_EQ(json["net_name"], "small");
  EXPECT_EQ(json["options"]["keep_float"], Json::array({"y"}));
  EXPECT_EQ(json["operators"][0]["made"], "Int8FCRelu");
  EXPECT_EQ(json["operators"][1]["folded_into"], 0);
  EXPECT_EQ(json["operators"][2]["reason"], "kept_float");
  EXPECT_EQ(json["reasons"].size(), 3u);
  EXPECT_EQ(json["notes"], Json::array({"a note"}));
  EXPECT_EQ(json["float_bytes"], std::to_string(model->init.ByteSizeLong() +
                                                model->predict.ByteSizeLong()));
  ASSERT_EQ(json["tensors"].size(), 2u);
  EXPECT_EQ(json["tensors"][0]["tensor"]["name"], "x");
  EXPECT_EQ(json["tensors"][0]["min"], -2.0);
  EXPECT_EQ(json["tensors"][0]["max"], 2.0);
  int quantize = 0;
  for (const Json& each : json["operator_counts"]) {
    if (each["op_type"] != "Int8Quantize") continue;
    EXPECT_EQ(each["engine"], "ONEDNN");
    quantize = each["operators"];
  }
  EXPECT_EQ(quantize, 1);
}

}  // namespace
}  // namespace rewrite
}  // namespace caffe2_quantization
