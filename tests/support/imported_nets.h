// Whole float nets as importers and the Python front leave them, with random
// weights: NCHW, batch normalizations of their own, no order, several outputs,
// recurrent nets.
//
//   EfficientNet-Lite0   as the ONNX importer writes it: names, kernels, pads
//                        and strides, Clip, Add
//   SSD                  two outputs of three feature maps: scores and boxes
//   LSTM                 a RecurrentNetwork between two FCs
//
// Weights and inputs are the same in every process.
// Thread rule: as for the workspace.
#ifndef CAFFE2_QUANTIZATION_TESTS_SUPPORT_IMPORTED_NETS_H_
#define CAFFE2_QUANTIZATION_TESTS_SUPPORT_IMPORTED_NETS_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

const std::vector<std::string>& ImportedNetNames();

struct ImportedNet {
  caffe2::NetDef floats;
  std::set<std::string> data;  // the first is "data"
};

// Feeds the net's weights and data. image_size: the side of images.
ImportedNet FeedImportedNet(caffe2::Workspace* workspace,
                            const std::string& name, int64_t batch,
                            int64_t image_size);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_SUPPORT_IMPORTED_NETS_H_
