// The list of operators, against the registries and the documentation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "operators/int8/engine/refused_keys.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

const char* const kOperators[] = {
#define OPERATOR(name) #name,
#include "operators/operator_list.inc"
#undef OPERATOR
};

TEST(OperatorList, EachHasACreatorAndASchema) {
  for (const char* name : kOperators) {
    EXPECT_TRUE(caffe2::CPUOperatorRegistry()->Has(name)) << name;
    EXPECT_NE(caffe2::OpSchemaRegistry::Schema(name), nullptr) << name;
  }
}

// A definition with as many inputs and outputs as the schema asks for.
caffe2::OperatorDef DefinitionOf(const std::string& type) {
  const auto* schema = caffe2::OpSchemaRegistry::Schema(type);
  caffe2::OperatorDef definition;
  OpBuilder builder(&definition, type, {}, {});
  for (int i = 0; i < schema->min_input(); ++i) {
    definition.add_input("in" + std::to_string(i));
  }
  for (int i = 0; i < schema->min_output(); ++i) {
    definition.add_output("out" + std::to_string(i));
  }
  return definition;
}

TEST(OperatorList, EachRefusesAnArgumentThatItDoesNotRead) {
  for (const std::string name : kOperators) {
    if (name == "ByteWeightDequant") continue;  // takes what the host's takes
    caffe2::Workspace workspace;
    caffe2::OperatorDef definition = DefinitionOf(name);
    for (const auto& input : definition.input()) workspace.CreateBlob(input);
    *definition.add_arg() = caffe2::MakeArgument("nonsense", 7);
    EXPECT_NE(ErrorOf([&] {
                caffe2::CreateOperator(definition, &workspace);
              }).find(name + ": it has no argument 'nonsense'; there are"),
              std::string::npos)
        << name;
  }
}

TEST(OperatorList, ARefusedArgumentNamesTheNearestOne) {
  caffe2::Workspace workspace;
  workspace.CreateBlob("in0");
  caffe2::OperatorDef definition = DefinitionOf("ChooseQuantizationParams");
  *definition.add_arg() = caffe2::MakeArgument("precison", 4);
  EXPECT_NE(ErrorOf([&] { caffe2::CreateOperator(definition, &workspace); })
                .find("ChooseQuantizationParams: it has no argument 'precison' "
                      "(did you mean 'precision'?); there are: method, "),
            std::string::npos);
}

TEST(OperatorList, AnEngineTakesArgumentsThatItDoesNotKnow) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "in0", {1, 2});
  caffe2::OperatorDef definition = DefinitionOf("Quantize");
  definition.set_engine("ONEDNN");
  *definition.add_arg() = caffe2::MakeArgument("nonsense", 7);
  EXPECT_EQ(
      ErrorOf([&] { caffe2::CreateOperator(definition, &workspace)->Run(); }),
      "");
}

// What is refused counts as absent.
bool IsThere(const std::string& key) {
  return caffe2::CPUOperatorRegistry()->Has(key) &&
         RefusedKeys().count(key) == 0;
}

struct OnednnOperator {
  std::string name;
  std::vector<std::string> suffixes;
};

const std::vector<OnednnOperator>& OnednnOperators() {
  static const auto* const operators = new std::vector<OnednnOperator>{
#define OPERATOR(family, name, ...) {#name, {__VA_ARGS__}},
#include "operators/int8/operator_list.inc"
#undef OPERATOR
  };
  return *operators;
}

std::string OperatorsDocument() {
  const char* root = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  if (root == nullptr) return "";  // not run by ctest
  std::ifstream stream(std::string(root) + "/docs/operators.md");
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

TEST(OperatorList, OnednnIsUnderTheSuffixesOfItsLine) {
  std::set<std::string> listed;
  for (const auto& [name, suffixes] : OnednnOperators()) {
    for (const std::string& suffix : suffixes) {
      listed.insert(name + "_ENGINE_ONEDNN" + suffix);
    }
  }
  std::set<std::string> registered;
  for (const std::string& key : caffe2::CPUOperatorRegistry()->Keys()) {
    if (key.find("_ENGINE_ONEDNN") != std::string::npos && IsThere(key)) {
      registered.insert(key);
    }
  }
  EXPECT_EQ(registered, listed);
}

// The table's columns are suffixes, its rows operators, and ticks what is
// there.
TEST(OperatorList, OnednnIsInTheDocumentationUnderItsSuffixes) {
  const std::string text = OperatorsDocument();
  const std::vector<std::string> columns = {"", "_ACC16", "_ROWWISE", "_16",
                                            "_ROWWISE_16"};
  EXPECT_NE(text.find("| | `ONEDNN` | `_ACC16` | `_ROWWISE` | `_16` | "
                      "`_ROWWISE_16` |"),
            std::string::npos);
  for (const auto& [name, suffixes] : OnednnOperators()) {
    std::string row = "| `" + name + "` |";
    for (const std::string& column : columns) {
      const bool is_there =
          std::count(suffixes.begin(), suffixes.end(), column);
      row += is_there ? " ✓ |" : " |";
    }
    EXPECT_NE(text.find("\n" + row + "\n"), std::string::npos) << row;
  }
}

TEST(OperatorList, OnednnHasEachUnderEverySuffixOfDnnlowp) {
  const std::string dnnlowp = "_ENGINE_DNNLOWP";
  int found = 0;
  for (const std::string& key : caffe2::CPUOperatorRegistry()->Keys()) {
    const std::size_t at = key.find(dnnlowp);
    if (at == std::string::npos) continue;
    ++found;
    const std::string ours =
        key.substr(0, at) + "_ENGINE_ONEDNN" + key.substr(at + dnnlowp.size());
    EXPECT_TRUE(IsThere(ours)) << ours;
  }
  EXPECT_GE(found, 49);
}

// An operator that DNNLOWP does not have is under the engine alone, too.
TEST(OperatorList, OnednnHasEachWithoutSuffixAndWithASchema) {
  for (const auto& each : OnednnOperators()) {
    EXPECT_TRUE(IsThere(each.name + "_ENGINE_ONEDNN")) << each.name;
    EXPECT_NE(caffe2::OpSchemaRegistry::Schema(each.name), nullptr)
        << each.name;
  }
}

TEST(OperatorList, EachHasARowInTheDocumentation) {
  const std::string text = OperatorsDocument();
  ASSERT_NE(text, "") << "run by ctest";
  const auto expect_row = [&](const std::string& name) {
    EXPECT_NE(text.find("`" + name + "`"), std::string::npos) << name;
  };
  for (const char* name : kOperators) expect_row(name);
  for (const auto& each : OnednnOperators()) expect_row(each.name);
}

}  // namespace
}  // namespace caffe2_quantization
