// The convolutions of two known nets at 224 x 224, each shape once, for
// measurements.
#ifndef CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_CONVOLUTION_LAYERS_H_
#define CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_CONVOLUTION_LAYERS_H_

#include <cstdint>
#include <string>
#include <vector>

namespace caffe2_quantization {

// Square, padded by half the kernel.
struct ConvolutionLayer {
  int64_t in_channels, size, out_channels, kernel, stride, groups;

  // "3x3 64 -> 128, 56x56, stride 2", "3x3 depthwise 32, 112x112"
  std::string Name() const;
  friend bool operator==(const ConvolutionLayer& a, const ConvolutionLayer& b);
};

// arXiv:1512.03385, the stride on the 3x3 convolution.
std::vector<ConvolutionLayer> ResNet50Convolutions();
// arXiv:1801.04381, table 2.
std::vector<ConvolutionLayer> MobileNetV2Convolutions();

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_CONVOLUTION_LAYERS_H_
