// The list of operators, against the registries and the documentation.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "caffe2/core/operator.h"
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

const char* const kOnednnOperators[] = {
#define OPERATOR(name) #name,
#include "operators/int8/operator_list.inc"
#undef OPERATOR
};

TEST(OperatorList, OnednnHasEachUnderEverySuffixOfDnnlowp) {
  auto* registry = caffe2::CPUOperatorRegistry();
  const std::string engine = "_ENGINE_";
  for (const std::string name : kOnednnOperators) {
    EXPECT_NE(caffe2::OpSchemaRegistry::Schema(name), nullptr) << name;
    int found = 0;
    const std::string dnnlowp = name + engine + "DNNLOWP";
    for (const std::string& key : registry->Keys()) {
      if (key.compare(0, dnnlowp.size(), dnnlowp) != 0) continue;
      ++found;
      const std::string ours =
          name + engine + "ONEDNN" + key.substr(dnnlowp.size());
      EXPECT_TRUE(registry->Has(ours)) << ours;
    }
    // An operator that DNNLOWP does not have is under the engine alone.
    if (found == 0) {
      EXPECT_TRUE(registry->Has(name + engine + "ONEDNN")) << name;
    }
  }
}

TEST(OperatorList, EachHasARowInTheDocumentation) {
  const char* root = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  ASSERT_NE(root, nullptr) << "run by ctest";
  std::ifstream stream(std::string(root) + "/docs/operators.md");
  ASSERT_TRUE(stream);
  std::ostringstream text;
  text << stream.rdbuf();
  const auto expect_row = [&](const std::string& name) {
    EXPECT_NE(text.str().find("`" + name + "`"), std::string::npos) << name;
  };
  for (const char* name : kOperators) expect_row(name);
  for (const char* name : kOnednnOperators) expect_row(name);
}

}  // namespace
}  // namespace caffe2_quantization
