#include "operators/int8/wide_convolution.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <vector>

namespace caffe2_quantization {
namespace {

using Point = std::array<int64_t, 3>;

// The convolution in three dimensions: those that it has not are 1.
struct Space {
  Point input{1, 1, 1}, kernel{1, 1, 1}, output{1, 1, 1};
  Point stride{1, 1, 1}, dilation{1, 1, 1}, pad{0, 0, 0};

  explicit Space(const onednn::ConvolutionShape& shape) {
    for (int dim = 0; dim < shape.dims; ++dim) {
      input[dim] = shape.input[dim];
      kernel[dim] = shape.kernel[dim];
      output[dim] = shape.Output(dim);
      stride[dim] = shape.stride[dim];
      dilation[dim] = shape.dilation[dim];
      pad[dim] = shape.pad_begin[dim];
    }
  }
};

int64_t Volume(const Point& sizes) { return sizes[0] * sizes[1] * sizes[2]; }

// Calls f(point) for each point, the last dimension fastest.
template <typename F>
void ForEachPoint(const Point& sizes, const F& f) {
  for (int64_t i = 0; i < sizes[0]; ++i) {
    for (int64_t j = 0; j < sizes[1]; ++j) {
      for (int64_t k = 0; k < sizes[2]; ++k) f(Point{i, j, k});
    }
  }
}

int64_t PlaceOf(const Point& point, const Point& sizes) {
  return (point[0] * sizes[1] + point[1]) * sizes[2] + point[2];
}

uint16_t Requantize(const WideConvolution& convolution, int64_t m,
                    int64_t acc) {
  float scaled = static_cast<float>(acc) * convolution.multipliers[m];
  if (convolution.large_bias != nullptr) scaled += convolution.large_bias[m];
  const double code =
      convolution.zero_point + static_cast<double>(std::nearbyint(scaled));
  return static_cast<uint16_t>(
      std::clamp<double>(code, convolution.low, convolution.high));
}

}  // namespace

void ConvolveWide(const WideConvolution& convolution,
                  const onednn::ConvolutionShape& shape, const uint16_t* x,
                  uint16_t* dst) {
  const Space space(shape);
  const int64_t channels = shape.in_channels / shape.groups;
  const int64_t outputs = shape.out_channels / shape.groups;
  const int64_t kernel_points = Volume(space.kernel);
  const int64_t input_points = Volume(space.input);
  const int64_t output_points = Volume(space.output);
  const int64_t depth = channels * kernel_points;
  // Steps from one point, or one channel, to the next: of the image, of a
  // filter's row, of the output.
  const bool first = shape.channels_first;
  const int64_t x_point = first ? 1 : shape.in_channels;
  const int64_t x_channel = first ? input_points : 1;
  const int64_t w_point = first ? 1 : channels;
  const int64_t w_channel = first ? kernel_points : 1;
  const int64_t y_point = first ? 1 : shape.out_channels;
  const int64_t y_channel = first ? output_points : 1;

  std::vector<int32_t> patch(depth);
  for (int64_t n = 0; n < shape.batch; ++n) {
    const uint16_t* const image = x + n * input_points * shape.in_channels;
    uint16_t* const result = dst + n * output_points * shape.out_channels;
    for (int64_t group = 0; group < shape.groups; ++group) {
      ForEachPoint(space.output, [&](const Point& out) {
        // The values under the kernel, in the filter's order.
        ForEachPoint(space.kernel, [&](const Point& tap) {
          Point in;
          bool inside = true;
          for (std::size_t dim = 0; dim < in.size(); ++dim) {
            in[dim] = out[dim] * space.stride[dim] - space.pad[dim] +
                      tap[dim] * space.dilation[dim];
            inside = inside && in[dim] >= 0 && in[dim] < space.input[dim];
          }
          int32_t* const values =
              patch.data() + PlaceOf(tap, space.kernel) * w_point;
          const uint16_t* const source =
              inside ? image + PlaceOf(in, space.input) * x_point +
                           group * channels * x_channel
                     : nullptr;
          for (int64_t c = 0; c < channels; ++c) {
            values[c * w_channel] =
                inside ? source[c * x_channel] - convolution.x_zero_point : 0;
          }
        });
        for (int64_t o = 0; o < outputs; ++o) {
          const int64_t m = group * outputs + o;
          const int16_t* const weights = convolution.filter + m * depth;
          int64_t acc = convolution.bias[m];
          for (int64_t k = 0; k < depth; ++k) {
            acc += int64_t{patch[k]} *
                   (weights[k] - convolution.weight_zero_points[m]);
          }
          result[PlaceOf(out, space.output) * y_point + m * y_channel] =
              Requantize(convolution, m, acc);
        }
      });
    }
  }
}

}  // namespace caffe2_quantization
