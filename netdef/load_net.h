// Reading nets and tensors from files. Nothing in a file is trusted; a refusal
// names the file and what is wrong with it.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_LOAD_NET_H_
#define CAFFE2_QUANTIZATION_NETDEF_LOAD_NET_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/core/tensor.h"
#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"
#include "netdef/net_inputs.h"

namespace caffe2_quantization {

// Reads a NetDef in protobuf's binary or text form, told apart by the contents.
// A net without a name gets "net". *net is changed only on success.
Status ReadNetDef(const std::string& path, caffe2::NetDef* net);

// Reads a TensorProtos, in either form, into blobs of their names in
// `workspace`; *names receives them in the file's order. CPU tensors only.
Status ReadTensors(const std::string& path, caffe2::Workspace* workspace,
                   std::vector<std::string>* names);

// Makes a tensor of a message that is a whole CPU tensor. An error says what is
// wrong with "it".
Status DeserializeTensor(const caffe2::TensorProto& proto,
                         caffe2::Tensor* tensor);

// Whether the bytes hold no control character, as binary messages of the host
// do: the tags of their operators or dimensions.
bool IsText(const std::string& contents);
// Whether the first thing of a text that is no comment is a field of a message:
// "name:" or "op {".
bool BeginsWithField(const std::string& text);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_LOAD_NET_H_
