#include "benchmarks/support/convolution_layers.h"

#include <algorithm>
#include <tuple>

namespace caffe2_quantization {
namespace {

void AddOnce(const ConvolutionLayer& layer,
             std::vector<ConvolutionLayer>* layers) {
  if (std::find(layers->begin(), layers->end(), layer) == layers->end()) {
    layers->push_back(layer);
  }
}

std::string By(int64_t size) {
  return std::to_string(size) + "x" + std::to_string(size);
}

}  // namespace

std::string ConvolutionLayer::Name() const {
  std::string name = By(kernel) + " ";
  if (groups == 1) {
    name += std::to_string(in_channels) + " -> " + std::to_string(out_channels);
  } else {
    name += "depthwise " + std::to_string(in_channels);
  }
  name += ", " + By(size);
  if (stride > 1) name += ", stride " + std::to_string(stride);
  return name;
}

bool operator==(const ConvolutionLayer& a, const ConvolutionLayer& b) {
  return std::tie(a.in_channels, a.size, a.out_channels, a.kernel, a.stride,
                  a.groups) == std::tie(b.in_channels, b.size, b.out_channels,
                                        b.kernel, b.stride, b.groups);
}

std::vector<ConvolutionLayer> ResNet50Convolutions() {
  std::vector<ConvolutionLayer> layers = {{3, 224, 64, 7, 2, 1}};
  int64_t channels = 64, size = 56;
  const int blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = int64_t{64} << stage;
    for (int block = 0; block < blocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      AddOnce({channels, size, width, 1, 1, 1}, &layers);
      AddOnce({width, size, width, 3, stride, 1}, &layers);
      AddOnce({width, size / stride, 4 * width, 1, 1, 1}, &layers);
      if (block == 0) {
        AddOnce({channels, size, 4 * width, 1, stride, 1}, &layers);
      }
      size /= stride;
      channels = 4 * width;
    }
  }
  return layers;
}

std::vector<ConvolutionLayer> MobileNetV2Convolutions() {
  std::vector<ConvolutionLayer> layers = {{3, 224, 32, 3, 2, 1}};
  struct Row {
    int64_t expansion, channels, blocks, stride;
  };
  const Row rows[] = {{1, 16, 1, 1}, {6, 24, 2, 2}, {6, 32, 3, 2},
                      {6, 64, 4, 2}, {6, 96, 3, 1}, {6, 160, 3, 2},
                      {6, 320, 1, 1}};
  int64_t channels = 32, size = 112;
  for (const Row& row : rows) {
    for (int64_t block = 0; block < row.blocks; ++block) {
      const int64_t stride = block == 0 ? row.stride : 1;
      const int64_t wide = channels * row.expansion;
      if (wide != channels) AddOnce({channels, size, wide, 1, 1, 1}, &layers);
      AddOnce({wide, size, wide, 3, stride, wide}, &layers);
      size /= stride;
      AddOnce({wide, size, row.channels, 1, 1, 1}, &layers);
      channels = row.channels;
    }
  }
  AddOnce({channels, size, 1280, 1, 1, 1}, &layers);
  return layers;
}

}  // namespace caffe2_quantization
