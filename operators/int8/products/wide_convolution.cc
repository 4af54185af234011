#include "operators/int8/products/wide_convolution.h"

#include <array>
#include <cstddef>
#include <vector>

namespace caffe2_quantization {
namespace {

using Point = std::array<int64_t, 3>;

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

}  // namespace

void ConvolveWide(const ProductStage& stage,
                  const onednn::ConvolutionShape& shape, const int16_t* filter,
                  const uint16_t* x, int32_t x_zero_point, uint16_t* dst) {
  // In three dimensions: those that it has not are 1.
  Point input{1, 1, 1}, kernel{1, 1, 1}, output{1, 1, 1};
  for (int dim = 0; dim < shape.dims; ++dim) {
    input[dim] = shape.input[dim];
    kernel[dim] = shape.kernel[dim];
    output[dim] = shape.Output(dim);
  }
  const int64_t channels = shape.in_channels / shape.groups;
  const int64_t outputs = shape.out_channels / shape.groups;
  const int64_t input_points = Volume(input), output_points = Volume(output);
  const int64_t depth = channels * Volume(kernel);
  // Steps from one point, or one channel, to the next: of the image, of a
  // filter's row, of the output.
  const bool first = shape.channels_first;
  const int64_t x_point = first ? 1 : shape.in_channels;
  const int64_t x_channel = first ? input_points : 1;
  const int64_t w_point = first ? 1 : channels;
  const int64_t w_channel = first ? Volume(kernel) : 1;
  const int64_t y_point = first ? 1 : shape.out_channels;
  const int64_t y_channel = first ? output_points : 1;

  std::vector<uint16_t> window(depth);  // in the filter's order
  for (int64_t n = 0; n < shape.batch; ++n) {
    const uint16_t* const image = x + n * input_points * shape.in_channels;
    uint16_t* const result = dst + n * output_points * shape.out_channels;
    for (int64_t group = 0; group < shape.groups; ++group) {
      ForEachPoint(output, [&](const Point& out) {
        ForEachPoint(kernel, [&](const Point& tap) {
          Point in{0, 0, 0};
          bool inside = true;
          for (int dim = 0; dim < shape.dims; ++dim) {
            in[dim] = out[dim] * shape.stride[dim] - shape.pad_begin[dim] +
                      tap[dim] * shape.dilation[dim];
            inside = inside && in[dim] >= 0 && in[dim] < input[dim];
          }
          uint16_t* const values =
              window.data() + PlaceOf(tap, kernel) * w_point;
          const int64_t place =
              PlaceOf(in, input) * x_point + group * channels * x_channel;
          for (int64_t c = 0; c < channels; ++c) {
            values[c * w_channel] = inside
                                        ? image[place + c * x_channel]
                                        : static_cast<uint16_t>(x_zero_point);
          }
        });
        const int64_t m = group * outputs;
        stage.ToCodes(window.data(), filter + m * depth, m, outputs,
                      result + PlaceOf(out, output) * y_point + m * y_channel,
                      y_channel);
      });
    }
  }
}

}  // namespace caffe2_quantization
