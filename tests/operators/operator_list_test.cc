// The list of operators, against the registries and the documentation.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "caffe2/core/operator.h"

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

TEST(OperatorList, EachHasARowInTheDocumentation) {
  const char* root = std::getenv("CAFFE2_QUANTIZATION_SOURCE_DIR");
  ASSERT_NE(root, nullptr) << "run by ctest";
  std::ifstream stream(std::string(root) + "/docs/operators.md");
  ASSERT_TRUE(stream);
  std::ostringstream text;
  text << stream.rdbuf();
  for (const char* name : kOperators) {
    EXPECT_NE(text.str().find("`" + std::string(name) + "`"), std::string::npos)
        << name;
  }
}

}  // namespace
}  // namespace caffe2_quantization
