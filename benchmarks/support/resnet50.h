// ResNet-50 (arXiv:1512.03385, the stride on the 3x3 convolution) for
// measurements: NCHW, batch normalization folded into the convolutions, random
// weights of He's variance (arXiv:1502.01852), so that activations have the
// magnitudes and the zeros of a trained net.
#ifndef CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_RESNET50_H_
#define CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_RESNET50_H_

#include <cstdint>
#include <string>

#include "caffe2/core/workspace.h"

namespace caffe2_quantization {

// Fills `workspace` with the weights and the input "data" (batch x 3 x 224 x
// 224), makes the net and returns it; the workspace owns it. Its last output is
// "softmax".
caffe2::NetBase* MakeResNet50(caffe2::Workspace* workspace, int64_t batch,
                              const std::string& net_type = "simple");

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_BENCHMARKS_SUPPORT_RESNET50_H_
