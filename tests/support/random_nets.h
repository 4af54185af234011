// Random float nets with weights and data: convolutions, products, what works
// value by value, what moves values, in either order of axes, with blobs that
// are written in place and names that are used again, as memory optimizers
// leave them.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_RANDOM_NETS_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_RANDOM_NETS_H_

#include <random>
#include <set>
#include <string>

#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

struct RandomNet {
  caffe2::NetDef net;
  std::set<std::string> data;  // fed; all other external inputs are weights
};

// Makes a net of 5 to 40 operators, which run on what it feeds.
RandomNet FeedRandomNet(caffe2::Workspace* workspace, std::mt19937_64* random);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_RANDOM_NETS_H_
