#include "observers/inner_nets.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "caffe2/operators/if_op.h"
#include "caffe2/operators/while_op.h"
#include "caffe2/utils/proto_utils.h"

namespace caffe2_quantization {
namespace {

using If = caffe2::IfOp<caffe2::CPUContext>;
using While = caffe2::WhileOp<caffe2::CPUContext>;

using NetPointer = std::unique_ptr<caffe2::NetBase>;

// An explicit instantiation may name a private member.
struct ThenNet {
  using Type = NetPointer If::*;
  friend Type Member(ThenNet);
};
struct ElseNet {
  using Type = NetPointer If::*;
  friend Type Member(ElseNet);
};
struct LoopNet {
  using Type = NetPointer While::*;
  friend Type Member(LoopNet);
};
struct CondNet {
  using Type = NetPointer While::*;
  friend Type Member(CondNet);
};
template <typename Tag, typename Tag::Type kMember>
struct Reveal {
  friend typename Tag::Type Member(Tag) { return kMember; }
};
template struct Reveal<ThenNet, &If::then_net_>;
template struct Reveal<ElseNet, &If::else_net_>;
template struct Reveal<LoopNet, &While::loop_net_>;
template struct Reveal<CondNet, &While::cond_net_>;

template <typename Op>
std::vector<InnerNet> NetsOf(caffe2::OperatorBase* op, const char* first,
                             NetPointer Op::*first_net, const char* second,
                             NetPointer Op::*second_net) {
  std::vector<InnerNet> nets;
  // An operator of that name may be of another class.
  auto* known = dynamic_cast<Op*>(op);
  if (known == nullptr) return nets;
  if (auto* net = (known->*first_net).get()) nets.push_back({first, net});
  if (auto* net = (known->*second_net).get()) nets.push_back({second, net});
  return nets;
}

void AddInnerNetsOf(const caffe2::NetBase& net,
                    std::vector<caffe2::NetBase*>* nets) {
  for (caffe2::OperatorBase* op : net.GetOperators()) {
    for (const InnerNet& inner : InnerNetsOf(op)) {
      nets->push_back(inner.net);
      AddInnerNetsOf(*inner.net, nets);
    }
  }
}

const caffe2::NetDef* DefinitionOfNetMadeInRuns(
    const caffe2::OperatorBase& op) {
  const char* argument = NetMadeInRuns(op.type());
  if (argument == nullptr || !op.has_debug_def()) return nullptr;
  for (const caffe2::Argument& each : op.debug_def().arg()) {
    if (each.name() == argument && each.has_n()) return &each.n();
  }
  return nullptr;
}

}  // namespace

std::vector<InnerNet> InnerNetsOf(caffe2::OperatorBase* op) {
  if (op->type() == "If") {
    return NetsOf<If>(op, "then_net", Member(ThenNet()), "else_net",
                      Member(ElseNet()));
  }
  if (op->type() == "While") {
    return NetsOf<While>(op, "loop_net", Member(LoopNet()), "cond_net",
                         Member(CondNet()));
  }
  return {};
}

std::vector<caffe2::NetBase*> AllInnerNetsOf(const caffe2::NetBase& net) {
  std::vector<caffe2::NetBase*> nets;
  AddInnerNetsOf(net, &nets);
  return nets;
}

const char* NetMadeInRuns(const std::string& op_type) {
  if (op_type == "Do") return "net";
  if (op_type == "RecurrentNetwork") return "step_net";
  if (op_type == "RecurrentNetworkGradient") return "backward_step_net";
  return nullptr;
}

bool MakesNetsInRuns(const caffe2::OperatorDef& op) {
  if (op.type() == "Do") return true;
  const char* argument = NetMadeInRuns(op.type());
  if (argument != nullptr &&
      !caffe2::ArgumentHelper(op).GetSingleArgument<bool>("enable_rnn_executor",
                                                          false)) {
    return true;
  }
  for (const caffe2::Argument& each : op.arg()) {
    if (!each.has_n()) continue;
    const auto& inner = each.n().op();
    if (std::any_of(inner.begin(), inner.end(), MakesNetsInRuns)) return true;
  }
  return false;
}

int SizeOfNetMadeInRuns(const caffe2::OperatorBase& op) {
  const caffe2::NetDef* net = DefinitionOfNetMadeInRuns(op);
  return net == nullptr ? std::numeric_limits<int>::max() : net->op_size();
}

bool IsNetMadeBy(const caffe2::OperatorBase& op, const caffe2::NetBase& net) {
  const caffe2::NetDef* made = DefinitionOfNetMadeInRuns(op);
  if (made == nullptr) {
    return NetMadeInRuns(op.type()) != nullptr;  // told as text
  }
  return made->name() == net.Name() &&
         static_cast<std::size_t>(made->op_size()) <= net.GetOperators().size();
}

bool IsLink(const std::string& op_type) {
  return op_type == "rnn_internal_apply_link";
}

}  // namespace caffe2_quantization
