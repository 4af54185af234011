// Reads nets and tensors in protobuf's binary or text form; the contents tell
// which. Everything of ours that takes a NetDef reads it here. Nothing in it is
// trusted: the structure is checked before protobuf sees it, and a refusal says
// where it breaks, by line and column of a text and by offset of bytes.
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

// Reads a NetDef out of bytes; it may have no operators. An error does not say
// where the bytes are from. *net is changed only on success.
Status ParseNetDef(std::string_view bytes, caffe2::NetDef* net);

// Whether ReadNetDef takes a net without operators, as an init net without
// weights is. Such a file may be empty.
enum class WithoutOperators { kIsRefused, kIsRead };

// Reads a NetDef from a file. A net without a name gets "net". Errors name the
// file; *net is changed only on success.
Status ReadNetDef(const std::string& path, caffe2::NetDef* net,
                  WithoutOperators without = WithoutOperators::kIsRefused);

// Whether each operator of a net that was read has a type. One that has none
// shows that the bytes are another message. An error names the operator.
Status CheckOperators(const caffe2::NetDef& net);

// Reads a TensorProtos, in either form, into blobs of their names in
// `workspace`; *names receives them in the file's order. CPU tensors only.
Status ReadTensors(const std::string& path, caffe2::Workspace* workspace,
                   std::vector<std::string>* names);

// Makes a tensor of a message that is a whole CPU tensor. An error says what is
// wrong with "it".
Status DeserializeTensor(const caffe2::TensorProto& proto,
                         caffe2::Tensor* tensor);

// The elements of a tensor that a message has values for: all of them, or those
// of a segment.
struct TensorSpan {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t elements = 0;  // of the whole tensor
};

// Whether the host can read the message, which is a whole tensor or a segment
// of one: the type is one of a tensor, the dims make sense, and there is a
// value for each element of *span. The host takes memory for all elements
// first.
Status CheckTensorProto(const caffe2::TensorProto& proto, TensorSpan* span);

// Whether the first thing of a text that is no comment is a field of a message:
// "name:" or "op {".
bool BeginsWithField(const std::string& text);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_NETDEF_LOAD_NET_H_
