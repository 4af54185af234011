// Quantize and Dequantize beside the host's operators of the engine DNNLOWP.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "caffe2/core/tensor_int8.h"
#include "quantization/quantize.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

TEST(QuantizeOracle, HasTheBitsOfDnnlowp) {
  TestRandom random;
  for (int round = 0; round < 50; ++round) {
    const float scale = std::ldexp(random.Float(0.5f, 1),
                                   static_cast<int>(random.Integer(-20, 5)));
    const int32_t zero_point = random.Byte();
    // Many on ties and beside them.
    std::vector<float> values(5003);
    for (float& x : values) {
      const float tie =
          (static_cast<float>(random.Integer(-300, 300)) + 0.5f) * scale;
      x = tie * (1 + static_cast<float>(random.Integer(-4, 4)) * 0x1p-24f);
    }
    caffe2::Workspace workspace;
    FeedFloats(&workspace, "x", values);
    caffe2::OperatorDef quantize, dequantize;
    OpBuilder(&quantize, "Quantize", {"x"}, {"q"})
        .Float("Y_scale", scale)
        .Int("Y_zero_point", zero_point);
    quantize.set_engine("DNNLOWP");
    ASSERT_TRUE(workspace.RunOperatorOnce(quantize));
    OpBuilder(&dequantize, "Dequantize", {"q"}, {"y"});
    dequantize.set_engine("DNNLOWP");
    ASSERT_TRUE(workspace.RunOperatorOnce(dequantize));

    const QuantizationParams params(QuantizedType::UInt8(), scale, zero_point);
    std::vector<uint8_t> codes(values.size());
    const std::vector<int64_t> shape = {static_cast<int64_t>(values.size())};
    ASSERT_TRUE(Quantize(values.data(), shape, params, codes.data()).ok());
    const auto& host =
        workspace.GetBlob("q")->Get<caffe2::int8::Int8TensorCPU>();
    ASSERT_EQ(host.scale, scale);
    ASSERT_EQ(host.zero_point, zero_point);
    const uint8_t* data = host.t.data<uint8_t>();
    ASSERT_EQ(codes, std::vector<uint8_t>(data, data + values.size()))
        << "scale " << scale << ", zero point " << zero_point;
    std::vector<float> back(values.size());
    ASSERT_TRUE(Dequantize(codes.data(), shape, params, back.data()).ok());
    ASSERT_EQ(back, Fetch<float>(workspace, "y"));
  }
}

}  // namespace
}  // namespace caffe2_quantization
