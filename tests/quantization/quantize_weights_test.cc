// Weights as codes of their own sets; operators' oracle tests compare what is
// made of them with the host.
#include "quantization/quantize_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

std::vector<float> RandomWeights(TestRandom* random, int64_t count) {
  std::vector<float> w(count);
  for (float& each : w) each = random->Float(-0.3f, 1.0f);
  return w;
}

TEST(QuantizeWeights, EverySetHasItsOwnParameters) {
  TestRandom random;
  for (int round = 0; round < 100; ++round) {
    const int64_t sets = random.Integer(1, 6), columns = random.Integer(1, 40);
    const int64_t rows = sets * random.Integer(1, 4);
    std::vector<float> w = RandomWeights(&random, rows * columns);
    for (int64_t i = 0; i < rows * columns; ++i) {
      w[i] *= static_cast<float>(1 + i / (rows / sets * columns));
    }
    QuantizedWeights<int8_t> weights;
    const Status status =
        QuantizeWeights(w.data(), rows, columns, sets, {}, &weights);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(weights.scales.size(), sets);
    ASSERT_EQ(weights.zero_points.size(), sets);
    for (int64_t i = 0; i < rows * columns; ++i) {
      const int64_t set = i / (rows / sets * columns);
      const float scale = weights.scales[set];
      const float back = scale * static_cast<float>(weights.codes[i] -
                                                    weights.zero_points[set]);
      ASSERT_NEAR(back, w[i], 0.5001 * scale) << i;
    }
  }
}

TEST(QuantizeWeights, PrecisionAndSparsity) {
  TestRandom random;
  const std::vector<float> w = RandomWeights(&random, 60);
  for (int precision = 2; precision <= 16; ++precision) {
    ChooseOptions options;
    options.type = {precision, false};
    options.preserve_sparsity = true;
    QuantizedWeights<int16_t> weights;
    ASSERT_TRUE(QuantizeWeights(w.data(), 6, 10, 1, options, &weights).ok());
    EXPECT_EQ(weights.zero_points[0], 0);
    for (const int16_t code : weights.codes) {
      EXPECT_GE(code, -(1 << (precision - 1)));
      EXPECT_LT(code, 1 << (precision - 1));
    }
    QuantizedWeights<int8_t> narrow;
    EXPECT_EQ(QuantizeWeights(w.data(), 6, 10, 1, options, &narrow).ok(),
              precision <= 8);
  }
}

TEST(QuantizeWeights, Refusals) {
  std::vector<float> w(6, 1.0f);
  QuantizedWeights<int8_t> weights;
  const auto error = [&](int64_t sets) {
    return QuantizeWeights(w.data(), 3, 2, sets, {}, &weights).message();
  };
  EXPECT_NE(error(2).find("3 rows in 2 parameter sets"), std::string::npos);
  w[4] = std::nanf("");
  EXPECT_NE(error(3).find("parameter set 2 of 3"), std::string::npos)
      << error(3);
}

}  // namespace
}  // namespace caffe2_quantization
