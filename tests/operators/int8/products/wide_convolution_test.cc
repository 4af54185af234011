// Convolutions of 16-bit codes, against the definition written out.
#include "operators/int8/products/wide_convolution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

// A value of a tensor with channels at `c` and a place of up to three
// dimensions, in either order.
int64_t Index(bool channels_first, int dims, const int64_t* sizes,
              int64_t channels, int64_t n, int64_t c, const int64_t* place) {
  int64_t index = n;
  if (channels_first) index = index * channels + c;
  for (int dim = 0; dim < dims; ++dim) index = index * sizes[dim] + place[dim];
  if (!channels_first) index = index * channels + c;
  return index;
}

// Counts a place up, the last dimension fastest; false after the last.
bool Next(int dims, const int64_t* sizes, int64_t* place) {
  for (int dim = dims - 1; dim >= 0; --dim) {
    if (++place[dim] < sizes[dim]) return true;
    place[dim] = 0;
  }
  return false;
}

TEST(WideConvolution, IsTheDefinition) {
  TestRandom random;
  for (int i = 0; i < 300; ++i) {
    onednn::ConvolutionShape shape;
    shape.dims = random.Integer(1, 3);
    shape.batch = random.Integer(0, 2);
    shape.groups = random.Integer(1, 3);
    shape.in_channels = shape.groups * random.Integer(1, 3);
    shape.out_channels = shape.groups * random.Integer(1, 3);
    shape.channels_first = random.OneIn(2);
    int64_t output[3] = {1, 1, 1};
    int64_t depth = shape.in_channels / shape.groups;
    int64_t inputs = shape.batch * shape.in_channels;
    int64_t outputs = shape.batch * shape.out_channels;
    for (int dim = 0; dim < shape.dims; ++dim) {
      shape.kernel[dim] = random.Integer(1, 3);
      shape.stride[dim] = random.Integer(1, 3);
      shape.dilation[dim] = random.Integer(1, 2);
      shape.pad_begin[dim] = random.Integer(0, 3);
      shape.pad_end[dim] = random.Integer(0, 3);
      shape.input[dim] = random.Integer(5, 7);
      output[dim] = shape.Output(dim);
      depth *= shape.kernel[dim];
      inputs *= shape.input[dim];
      outputs *= output[dim];
    }
    ASSERT_TRUE(shape.Validate().ok());

    std::vector<uint16_t> x(inputs);
    for (uint16_t& code : x) code = random.Integer(0, 65535);
    std::vector<int16_t> w(shape.out_channels * depth);
    for (int16_t& code : w) code = random.Integer(-32768, 32767);
    std::vector<int32_t> w_zero_points(shape.out_channels);
    onednn::ProductBias bias;
    bias.codes.resize(shape.out_channels);
    std::vector<float> multipliers(shape.out_channels);
    for (int64_t m = 0; m < shape.out_channels; ++m) {
      w_zero_points[m] = random.Integer(-32768, 32767);
      bias.codes[m] = random.Integer(-2147483648LL, 2147483647LL);
      multipliers[m] = std::ldexp(random.Float(1, 2), -20);
    }
    const int32_t x_zero_point = random.Integer(0, 65535);
    const QuantizedType type{random.OneIn(2) ? 16 : 10, false};
    const int32_t zero_point = random.Integer(0, type.qmax());
    const bool relu = random.OneIn(2);
    const int32_t low = relu ? zero_point : 0;
    ProductStage stage;
    const auto sums = RowSums(w.data(), shape.out_channels, depth);
    ASSERT_TRUE(stage
                    .SetCodes({shape.out_channels, depth, &multipliers,
                               &w_zero_points, sums.data()},
                              1, x_zero_point, &bias,
                              QuantizationParams(type, 1, zero_point), relu)
                    .ok());
    std::vector<uint16_t> y(outputs, 0xabcd);
    ConvolveWide(stage, shape, w.data(), x.data(), x_zero_point, y.data());

    const int64_t per_group = shape.out_channels / shape.groups;
    const int64_t channels = shape.in_channels / shape.groups;
    for (int64_t n = 0; n < shape.batch; ++n) {
      for (int64_t m = 0; m < shape.out_channels; ++m) {
        int64_t out[3] = {0, 0, 0};
        do {
          int64_t acc = bias.codes[m];
          for (int64_t c = 0; c < channels; ++c) {
            int64_t tap[3] = {0, 0, 0};
            do {
              int64_t in[3];
              bool inside = true;
              for (int dim = 0; dim < shape.dims; ++dim) {
                in[dim] = out[dim] * shape.stride[dim] +
                          tap[dim] * shape.dilation[dim] - shape.pad_begin[dim];
                inside = inside && in[dim] >= 0 && in[dim] < shape.input[dim];
              }
              if (!inside) continue;
              const int64_t code = x[Index(
                  shape.channels_first, shape.dims, shape.input.data(),
                  shape.in_channels, n, m / per_group * channels + c, in)];
              const int64_t weight =
                  w[Index(shape.channels_first, shape.dims, shape.kernel.data(),
                          channels, m, c, tap)];
              acc += (code - x_zero_point) * (weight - w_zero_points[m]);
            } while (Next(shape.dims, shape.kernel.data(), tap));
          }
          const float scaled = static_cast<float>(acc) * multipliers[m];
          const double code =
              static_cast<double>(std::nearbyint(scaled)) + zero_point;
          const int expected =
              std::min<double>(std::max<double>(code, low), type.qmax());
          ASSERT_EQ(y[Index(shape.channels_first, shape.dims, output,
                            shape.out_channels, n, m, out)],
                    expected);
        } while (Next(shape.dims, output, out));
      }
    }
  }
}

// Sums that leave 32 bits, and products that leave the codes.
TEST(WideConvolution, SumsAreOf64Bits) {
  onednn::ConvolutionShape shape;
  shape.dims = 1;
  shape.in_channels = 4;
  const std::vector<uint16_t> x(4, 65535);
  const std::vector<int16_t> w(4, 32767);
  const std::vector<int32_t> zero_points{0};
  const int64_t sum = 4 * 32767;
  const auto convolve = [&](float multiplier) {
    const std::vector<float> scales{multiplier};
    ProductStage stage;
    EXPECT_TRUE(stage
                    .SetCodes({1, 4, &scales, &zero_points, &sum}, 1, 0,
                              nullptr,
                              QuantizationParams(QuantizedType::UInt16(), 1, 0),
                              /*relu=*/false)
                    .ok());
    uint16_t y = 0;
    ConvolveWide(stage, shape, w.data(), x.data(), 0, &y);
    return y;
  };
  // 4 * 65535 * 32767 / 2^18, in floats 32766.5
  EXPECT_EQ(convolve(0x1p-18f), 32766);
  EXPECT_EQ(convolve(1e30f), 65535);
}

}  // namespace
}  // namespace caffe2_quantization
