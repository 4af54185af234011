// Whole nets with random weights, in floats and made int8 by hand: what an
// engine's nets are measured on, and what a rewriter of nets is compared with.
//
//   ResNet-18, ResNet-50, MobileNet-v2, SqueezeNet   images [N, 3, S, S]
//   Recommender    dense features [N, 13], eight sparse ones of 20 indices
//
// The float net begins with NCHW2NHWC, has the order NHWC and ends in a
// Softmax; the recommender ends in a Sigmoid. The int8 net has the same layers:
// Quantize after NCHW2NHWC, or after each SparseLengthsSum, int8 operators of
// one engine from there on, Relu fused into what comes before it, and one
// Dequantize. Each output has the parameters of the range that it has in the
// float net's run on the fed input; weights are floats, quantized per output
// channel where the engine can (quantize_channelwise).
//
// Weights and inputs are the same in every process.
// Thread rule: as for the workspace.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_WHOLE_NETS_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_WHOLE_NETS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

const std::vector<std::string>& WholeNetNames();

struct WholeNet {
  caffe2::NetDef floats;
  std::string output;  // of both forms, a float tensor
};

// Feeds the net's weights and input into the workspace and returns its float
// form. image_size: the side S of images, 32 or more; the recommender has none.
WholeNet FeedWholeNet(caffe2::Workspace* workspace, const std::string& name,
                      int64_t batch, int64_t image_size);

// Runs the float net once on what the workspace holds, and returns the net of
// int8 operators of `engine` with the parameters of that run. Its blobs are
// called like the float net's. Where an operator of the net is not registered
// under the engine, it throws.
caffe2::NetDef Int8Form(const WholeNet& net, const std::string& engine,
                        caffe2::Workspace* workspace);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_WHOLE_NETS_H_
