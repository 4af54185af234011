// Runs a test body once on every compiled and supported target of the kernels.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_EVERY_TARGET_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_EVERY_TARGET_H_

#include <gtest/gtest.h>

#include <string>

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

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_EVERY_TARGET_H_
