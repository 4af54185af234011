// Reads nets and tensors in protobuf's binary or text form; the contents tell
// which. Every function of the plugin that takes a NetDef reads it here.
// Nothing in it is trusted: the structure is checked before protobuf sees it. A
// refusal says where it breaks: by line and column in text, by offset in bytes.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_NETDEF_LOAD_NET_H_
#define CAFFE2_QUANTIZATION_NETDEF_LOAD_NET_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "caffe2/core/tensor.h"
#include "caffe2/core/workspace.h"
#include "caffe2/proto/caffe2_pb.h"
#include "netdef/net_inputs.h"

namespace caffe2_quantization {

// Reads a NetDef from bytes; it may have no operators. An error does not say
// where the bytes come from. *net is changed only on success.
Status ParseNetDef(std::string_view bytes, caffe2::NetDef* net);

// Whether ReadNetDef accepts a net without operators, such as an init net
// without weights. Such a file may be empty.
enum class WithoutOperators { kIsRefused, kIsRead };

// Reads a NetDef from a file. A net without a name gets "net". Errors name the
// file; *net is changed only on success.
Status ReadNetDef(const std::string& path, caffe2::NetDef* net,
                  WithoutOperators without = WithoutOperators::kIsRefused);

// Checks that each operator of a net that was read has a type. An operator
// without one shows that the bytes are another message. An error names the
// operator.
Status CheckOperators(const caffe2::NetDef& net);

// Reads a TensorProtos, in either form, into the blobs of `workspace` that its
// tensors name. *names receives the names in the file's order. Only CPU tensors
// are read.
Status ReadTensors(const std::string& path, caffe2::Workspace* workspace,
                   std::vector<std::string>* names);

// Makes a tensor from a message that holds a whole CPU tensor. An error calls
// the message "it".
Status DeserializeTensor(const caffe2::TensorProto& proto,
                         caffe2::Tensor* tensor);

// The elements of a tensor for which a message has values: all of them, or
// those of a segment.
struct TensorSpan {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t elements = 0;  // of the whole tensor
};

// Checks that the host can read the message, which is a whole tensor or a
// segment of one: its type is a tensor's, its dims make sense, and it has a
// value for each element of *span. (The host takes memory for all elements
// before it looks.)
Status CheckTensorProto(const caffe2::TensorProto& proto, TensorSpan* span);

// Returns whether a text begins, after any comments, with a field of a message:
// "name:" or "op {".
bool BeginsWithField(const std::string& text);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_LOAD_NET_H_
