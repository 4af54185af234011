// Weights and biases as codes; the operators' oracle tests compare what is made
// of them with the host.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "operators/int8/products/weights.h"
#include "quantization/onednn/product_bias.h"

namespace caffe2_quantization {
namespace {

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
  const onednn::ProductBias made =
      onednn::QuantizeBias(bias, 6, 0.5f, {1.0f, 0.25f});
  EXPECT_EQ(made.codes, (std::vector<int32_t>{2, -5, 0, 0, 0, 4}));
  // What leaves no room for a sum stays what it is.
  EXPECT_EQ(made.large, (std::vector<float>{0, 0, 1e30f, -1e30f, 0, 0}));
  EXPECT_EQ(onednn::LargeInCodes(made, 0.25f),
            (std::vector<float>{0, 0, 4e30f, -4e30f, 0, 0}));
  constexpr float kLargest = std::numeric_limits<float>::max();
  EXPECT_EQ(onednn::LargeInCodes(made, 1e-15f)[3], -kLargest);
  EXPECT_EQ(onednn::QuantizeBias(bias, 2, 0x1p-15f, {0x1p-15f}).codes,
            (std::vector<int32_t>{1 << 30, 0}));
  EXPECT_EQ(onednn::QuantizeBias(bias, 2, 0x1p-15f, {0x1p-15f}).large,
            (std::vector<float>{0, -2.5f}));
  EXPECT_TRUE(onednn::QuantizeBias(bias, 2, 1, {1}).large.empty());
}

TEST(QuantizedWeights, BiasOfCodesInOtherUnits) {
  const int32_t codes[] = {7, -1000, std::numeric_limits<int32_t>::max(), 4};
  const onednn::ProductBias made =
      onednn::ConvertBias(codes, 4, {0.5f}, 0.25f, {2.0f, 0x1p-3f});
  // Of units of its own the third has 2^31 - 1, of the products' 2^35.
  EXPECT_EQ(made.codes, (std::vector<int32_t>{7, -1000, 0, 64}));
  EXPECT_EQ(made.large, (std::vector<float>{0, 0, 0x1p30f, 0}));
  EXPECT_EQ(onednn::ConvertBias(codes, 2, {0.5f, 0.125f}, 1, {0.25f}).codes,
            (std::vector<int32_t>{14, -500}));
  const int32_t ends[] = {std::numeric_limits<int32_t>::lowest(),
                          std::numeric_limits<int32_t>::max()};
  const onednn::ProductBias same =
      onednn::ConvertBias(ends, 2, {0.5f}, 1, {0.5f});
  EXPECT_EQ(same.codes, (std::vector<int32_t>{ends[0], ends[1]}));
  EXPECT_TRUE(same.large.empty());
}

}  // namespace
}  // namespace caffe2_quantization
