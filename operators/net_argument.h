// Reads the NetDef that an operator is given as an argument.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_NET_ARGUMENT_H_
#define CAFFE2_QUANTIZATION_OPERATORS_NET_ARGUMENT_H_

#include <string>

#include "caffe2/core/operator.h"
#include "netdef/load_net.h"
#include "operators/enforce.h"

namespace caffe2_quantization {

// Reads the argument net_def, which holds a NetDef in protobuf's binary or text
// form. Throws the host's enforce error, which says where the NetDef is wrong.
inline caffe2::NetDef NetArgument(const caffe2::OperatorBase& op) {
  const auto bytes = op.GetSingleArgument<std::string>("net_def", "");
  caffe2::NetDef net;
  const Status status =
      op.HasArgument("net_def")
          ? ParseNetDef(bytes, &net)
          : Status::InvalidArgument("the argument is missing");
  EnforceOk(op, status, "argument net_def holds ", bytes.size(),
            " bytes that are no NetDef: ");
  return net;
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_NET_ARGUMENT_H_
