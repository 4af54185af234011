#include "quantization/kernels/softmax_codes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "quantization/kernels/isa.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

std::vector<double> Terms(float scale) {
  std::vector<double> terms(kSoftmaxTerms);
  MakeSoftmaxTerms(scale, terms.data());
  return terms;
}

TEST(SoftmaxCodes, ThePlainFormIsTheEquation) {
  TestRandom random;
  for (int n = 0; n < 500; ++n) {
    const float scale = std::ldexp(random.Float(1, 2), random.Integer(-9, 1));
    const float y_scale = random.Float(0.002f, 0.02f);
    const int32_t zero_point = random.OneIn(2) ? 0 : 30;
    std::vector<uint8_t> x(random.Integer(1, 200));
    for (uint8_t& code : x) code = random.Byte();
    std::vector<uint8_t> y(x.size());
    reference::SoftmaxCodes(x.data(), x.size(), Terms(scale).data(), y_scale,
                            {zero_point, 0, 255}, y.data());
    const int largest = *std::max_element(x.begin(), x.end());
    double sum = 0;
    for (const uint8_t code : x) {
      sum += std::exp(double{scale} * (code - largest));
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double value =
          std::exp(double{scale} * (x[i] - largest)) / sum / y_scale +
          zero_point;
      ASSERT_NEAR(y[i], std::clamp<double>(value, 0, 255), 0.5 + 1e-9);
    }
  }
}

TEST(SoftmaxCodes, OnEveryTarget) {
  TestRandom random;
  for (const std::string& target : SupportedTargetNames()) {
    SCOPED_TRACE(target);
    ASSERT_TRUE(ForceTargetForTest(target));
    for (int n = 0; n < 1000; ++n) {
      const auto terms =
          Terms(std::ldexp(random.Float(1, 2), random.Integer(-20, 3)));
      const float y_scale =
          std::ldexp(random.Float(1, 2), random.Integer(-12, 0));
      const auto low = static_cast<int>(random.Integer(0, 255));
      const auto high = static_cast<int>(random.Integer(low, 255));
      std::vector<uint8_t> x(random.Integer(1, random.OneIn(3) ? 1500 : 150));
      for (uint8_t& code : x) {
        code = static_cast<uint8_t>(random.Integer(low, high));
      }
      const bool is_narrow = random.OneIn(4);
      const CodeRange range{
          static_cast<int32_t>(random.Integer(0, is_narrow ? 15 : 255)), 0,
          is_narrow ? 15 : 255};
      std::vector<uint8_t> y(x.size()), expected(x.size());
      reference::SoftmaxCodes(x.data(), x.size(), terms.data(), y_scale, range,
                              expected.data());
      SoftmaxCodes(x.data(), x.size(), terms.data(), y_scale, range, y.data());
      ASSERT_EQ(y, expected);
      SoftmaxCodes(x.data(), x.size(), terms.data(), y_scale, range, x.data());
      ASSERT_EQ(x, expected) << "in place";
    }
  }
  ClearForcedTargetForTest();
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
