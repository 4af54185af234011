// Tests on every compiled and supported target of the kernels: OnEveryTarget()
// runs a body once on each, TargetTest makes each a test of its own.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_EVERY_TARGET_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_EVERY_TARGET_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "quantization/kernels/isa.h"

namespace caffe2_quantization {

template <typename Body>
void OnEveryTarget(const Body& body) {
  for (const std::string& target : kernels::SupportedTargetNames()) {
    SCOPED_TRACE("target " + target);
    ASSERT_TRUE(kernels::ForceTargetForTest(target));
    ASSERT_EQ(kernels::ActiveTargetName(), target);
    body();
    kernels::ClearForcedTargetForTest();
  }
}

// A test of one target, its parameter. After `class FooTest : public TargetTest
// {};` write INSTANTIATE_ON_EVERY_TARGET(FooTest).
class TargetTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    // The cap of CAFFE2_QUANTIZATION_MAX_ISA is read after the list was made.
    const std::vector<std::string> allowed = kernels::SupportedTargetNames();
    if (std::find(allowed.begin(), allowed.end(), GetParam()) ==
        allowed.end()) {
      GTEST_SKIP() << "above the cap";
    }
    ASSERT_TRUE(kernels::ForceTargetForTest(GetParam()));
    ASSERT_EQ(kernels::ActiveTargetName(), GetParam());
  }
  void TearDown() override { kernels::ClearForcedTargetForTest(); }
};

#define INSTANTIATE_ON_EVERY_TARGET(suite)                         \
  INSTANTIATE_TEST_SUITE_P(                                        \
      Targets, suite,                                              \
      testing::ValuesIn(                                           \
          ::caffe2_quantization::kernels::SupportedTargetNames()), \
      [](const testing::TestParamInfo<std::string>& info) {        \
        return info.param;                                         \
      })

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_EVERY_TARGET_H_
