// Finds the blobs that a net reads but does not make: data and parameters.
#ifndef CAFFE2_QUANTIZATION_NETDEF_NET_INPUTS_H_
#define CAFFE2_QUANTIZATION_NETDEF_NET_INPUTS_H_

#include <string>
#include <vector>

#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

// Returns the net's external inputs, then every input that no operator before
// its reader makes, each once.
std::vector<std::string> InputsOf(const caffe2::NetDef& net);

struct BlobHash {
  std::string name;
  std::string hash;  // HashOfBlob
};

// Returns the hashes of those inputs that `workspace` has, without the blobs in
// `fed`. Thread rule: any thread, while nobody writes to the blobs.
std::vector<BlobHash> HashesOfInputs(const caffe2::NetDef& net,
                                     const caffe2::Workspace& workspace,
                                     const std::vector<std::string>& fed);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_NET_INPUTS_H_
