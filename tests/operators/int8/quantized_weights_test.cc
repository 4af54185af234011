// Weights and biases as codes; the operators' oracle tests compare what is made
// of them with the host.
#include "operators/int8/quantized_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

std::vector<float> RandomWeights(TestRandom* random, int64_t count) {
  std::vector<float> w(count);
  for (float& each : w) each = random->Float(-0.3f, 1.0f);
  return w;
}

TEST(QuantizedWeights, EverySetHasItsOwnParameters) {
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

TEST(QuantizedWeights, PrecisionAndSparsity) {
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

TEST(QuantizedWeights, Refusals) {
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

TEST(QuantizedWeights, OfAnInt8Tensor) {
  caffe2::int8::Int8TensorCPU w;
  w.scale = 0.5f;
  w.zero_point = 130;
  w.t.Resize(3);
  auto* const codes = w.t.mutable_data<uint8_t>();
  codes[0] = 0;
  codes[1] = 130;
  codes[2] = 255;
  QuantizedWeights<int8_t> weights;
  ASSERT_TRUE(WeightsFromInt8Tensor(w, {}, &weights).ok());
  EXPECT_EQ(weights.codes, (std::vector<int8_t>{-128, 2, 127}));
  EXPECT_EQ(weights.zero_points, std::vector<int32_t>{2});
  EXPECT_EQ(weights.scales, std::vector<float>{0.5f});

  ChooseOptions five_bits;
  five_bits.type = {5, false};
  EXPECT_NE(WeightsFromInt8Tensor(w, five_bits, &weights)
                .message()
                .find("weight code 255, expected 0 to 31"),
            std::string::npos);
  QuantizedWeights<int16_t> wide;
  EXPECT_NE(WeightsFromInt8Tensor(w, {}, &wide).message().find("expected"),
            std::string::npos);
  w.scale = 0;
  EXPECT_FALSE(WeightsFromInt8Tensor(w, {}, &weights).ok());
}

TEST(QuantizedWeights, BiasInUnitsOfASum) {
  const float bias[] = {1, -2.5f, 1e30f, -1e30f, std::nanf(""), 0.5f};
  int32_t codes[6];
  QuantizeBias(bias, 6, 0.5f, {1.0f, 0.25f}, codes);
  EXPECT_EQ(codes[0], 2);
  EXPECT_EQ(codes[1], -5);
  EXPECT_EQ(codes[2], std::numeric_limits<int32_t>::max());
  EXPECT_EQ(codes[3], std::numeric_limits<int32_t>::min());
  EXPECT_EQ(codes[4], 0);
  EXPECT_EQ(codes[5], 4);
}

}  // namespace
}  // namespace caffe2_quantization
