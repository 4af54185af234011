#include "quantization/kernels/isa.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace caffe2_quantization {
namespace kernels {
namespace {

// Puts the process's cap back when a test ends.
class IsaTest : public testing::Test {
 protected:
  void TearDown() override {
    SetIsaCap(cap_);
    unsetenv("CAFFE2_QUANTIZATION_MAX_ISA");
  }
  const IsaCap cap_ = GetIsaCap();
};

bool Supported(const std::string& name) {
  const auto names = SupportedTargetNames();
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST_F(IsaTest, ScalarIsAlwaysThere) { EXPECT_TRUE(Supported("scalar")); }

TEST_F(IsaTest, TheActiveTargetIsTheBestSupported) {
  EXPECT_EQ(ActiveTargetName(), SupportedTargetNames().front());
}

TEST_F(IsaTest, CapsTakeTargetsAway) {
  SetIsaCap(IsaCap::kAvx2);
  EXPECT_FALSE(Supported("AVX3"));
  EXPECT_FALSE(Supported("AVX3_DL"));
  SetIsaCap(IsaCap::kScalar);
  EXPECT_EQ(SupportedTargetNames(), std::vector<std::string>{"scalar"});
  EXPECT_EQ(ActiveTargetName(), "scalar");
}

TEST_F(IsaTest, TheEnvironmentSetsTheCap) {
  setenv("CAFFE2_QUANTIZATION_MAX_ISA", "scalar", 1);
  EXPECT_EQ(ConfigureIsaFromEnvironment(), "");
  EXPECT_EQ(GetIsaCap(), IsaCap::kScalar);
}

TEST_F(IsaTest, AnUnknownCapIsAnErrorThatNamesIt) {
  setenv("CAFFE2_QUANTIZATION_MAX_ISA", "sse9", 1);
  EXPECT_EQ(ConfigureIsaFromEnvironment(),
            "CAFFE2_QUANTIZATION_MAX_ISA is 'sse9'; expected scalar, avx2, "
            "avx512 or amx");
}

TEST_F(IsaTest, AnEmptyCapIsNoCap) {
  setenv("CAFFE2_QUANTIZATION_MAX_ISA", "", 1);
  EXPECT_EQ(ConfigureIsaFromEnvironment(), "");
  EXPECT_EQ(GetIsaCap(), cap_);
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
