// Reading nets and tensors from files. Nothing in a file is trusted; a refusal
// names the file and what is wrong with it.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_WORKFLOW_LOAD_NET_H_
#define CAFFE2_QUANTIZATION_WORKFLOW_LOAD_NET_H_

#include <string>
#include <vector>

#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"
#include "quantization/status.h"

namespace caffe2_quantization {

// Reads a NetDef in protobuf's binary or text form, told apart by the contents.
// A net without a name gets "net". *net is changed only on success.
Status ReadNetDef(const std::string& path, caffe2::NetDef* net);

// Reads a TensorProtos, in either form, into blobs of their names in
// `workspace`; *names receives them in the file's order. CPU tensors only.
Status ReadTensors(const std::string& path, caffe2::Workspace* workspace,
                   std::vector<std::string>* names);

// What a net needs from outside, in order, each once: its external inputs, and
// every input that no operator before has made.
std::vector<std::string> InputsOf(const caffe2::NetDef& net);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_WORKFLOW_LOAD_NET_H_
