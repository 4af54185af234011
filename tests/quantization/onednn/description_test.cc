#include "quantization/onednn/description.h"

#include <gtest/gtest.h>

#include "quantization/kernels/isa.h"

namespace caffe2_quantization {
namespace onednn {
namespace {

TEST(Description, SaysVersionAndInstructionSetWithinTheCap) {
  const std::string text = Description();
  EXPECT_EQ(text.find("2."), 0u) << text;
  EXPECT_EQ(text.find("unknown"), std::string::npos) << text;
  const bool called = text.find(", ISA ") != std::string::npos;
  const bool amx = text.find("AMX") != std::string::npos;
  const bool avx512 = text.find("AVX512") != std::string::npos;
  switch (kernels::GetIsaCap()) {
    case kernels::IsaCap::kScalar:
      EXPECT_NE(text.find(", not called"), std::string::npos) << text;
      break;
    case kernels::IsaCap::kAvx2:
      EXPECT_TRUE(called && !avx512) << text;
      break;
    case kernels::IsaCap::kAvx512:
      EXPECT_TRUE(called && !amx) << text;
      break;
    case kernels::IsaCap::kAmx:
      EXPECT_TRUE(called) << text;
      break;
  }
}

}  // namespace
}  // namespace onednn
}  // namespace caffe2_quantization
