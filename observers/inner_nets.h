// Finds the nets that a living operator runs, and those that it makes while it
// runs.
//
// The host's If and While make their nets when they are made themselves, and
// keep them to themselves. Do and RecurrentNetwork make theirs in workspaces of
// their own when they first need them.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_INNER_NETS_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_INNER_NETS_H_

#include <string>
#include <vector>

#include "caffe2/core/net.h"
#include "caffe2/core/operator.h"
#include "caffe2/proto/caffe2_pb.h"

namespace caffe2_quantization {

struct InnerNet {
  const char* argument;  // that the net was made from: "then_net"
  caffe2::NetBase* net;
};

// Returns the nets that an operator holds: then_net and else_net of an If,
// loop_net and cond_net of a While, on the CPU; else none. Thread rule: any
// thread, while the operator lives.
std::vector<InnerNet> InnerNetsOf(caffe2::OperatorBase* op);

// Returns all nets that the operators of a net hold, and those that their
// operators hold.
std::vector<caffe2::NetBase*> AllInnerNetsOf(const caffe2::NetBase& net);

// Returns the argument from which an operator of this type makes nets, or their
// operators, while it runs: "net" of Do, "step_net" of RecurrentNetwork,
// "backward_step_net" of RecurrentNetworkGradient. Null for any other.
const char* NetMadeInRuns(const std::string& op_type);

// Returns true if an operator makes nets while it runs, by itself or within one
// that it runs: Do, and a RecurrentNetwork without the host's executor of
// recurrent nets.
bool MakesNetsInRuns(const caffe2::OperatorDef& op);

// Returns the number of operators of the NetDef in that argument, which the
// host may add others to; the largest int if it is not there as a NetDef.
int SizeOfNetMadeInRuns(const caffe2::OperatorBase& op);

// True if this is the net that a running operator makes.
bool IsNetMadeBy(const caffe2::OperatorBase& op, const caffe2::NetBase& net);

// True for the operators that the host puts into a step net, which only make
// tensors point into others.
bool IsLink(const std::string& op_type);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_INNER_NETS_H_
