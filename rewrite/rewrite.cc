#include "rewrite/rewrite.h"

#include "base/no_destructor.h"
#include "caffe2/utils/proto_utils.h"
#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

const caffe2::Argument* Find(const caffe2::OperatorDef& op,
                             const std::string& name) {
  for (const caffe2::Argument& argument : op.arg()) {
    if (argument.name() == name) return &argument;
  }
  return nullptr;
}

caffe2::Argument* Fresh(const std::string& name, caffe2::OperatorDef* op) {
  RemoveArgument(name, op);
  caffe2::Argument* const argument = op->add_arg();
  argument->set_name(name);
  return argument;
}

}  // namespace

void Rewrite::Decide(const Node& node, Reason reason, const std::string& detail,
                     const std::string& made) {
  for (std::size_t i = 0; i < node.origins.size(); ++i) {
    Decision& decision = decisions[static_cast<std::size_t>(node.origins[i])];
    decision.reason =
        reason == Reason::kInt8 && i > 0 ? Reason::kFolded : reason;
    decision.detail = decision.reason == Reason::kFolded
                          ? "operator " + std::to_string(node.origins[0])
                          : detail;
    decision.made = made;
  }
}

const std::vector<Pass>& Passes() {
  static NoDestructor<std::vector<Pass>> passes(std::vector<Pass>{
#define PASS(function, name, what, keeps_values) \
  {name, what, keeps_values, function},
#include "rewrite/pass_list.inc"
#undef PASS
  });
  return *passes;
}

caffe2::NetDef WithoutOperators(const caffe2::NetDef& net) {
  caffe2::NetDef copy;
  if (net.has_name()) copy.set_name(net.name());
  if (net.has_type()) copy.set_type(net.type());
  if (net.has_num_workers()) copy.set_num_workers(net.num_workers());
  if (net.has_device_option()) {
    *copy.mutable_device_option() = net.device_option();
  }
  *copy.mutable_arg() = net.arg();
  *copy.mutable_external_input() = net.external_input();
  *copy.mutable_external_output() = net.external_output();
  *copy.mutable_partition_info() = net.partition_info();
  if (!net.unknown_fields().empty()) {
    copy.mutable_unknown_fields()->MergeFrom(net.unknown_fields());
  }
  return copy;
}

int64_t IntArgument(const caffe2::OperatorDef& op, const std::string& name,
                    int64_t otherwise) {
  const caffe2::Argument* const argument = Find(op, name);
  return argument != nullptr && argument->has_i() ? argument->i() : otherwise;
}

float FloatArgument(const caffe2::OperatorDef& op, const std::string& name,
                    float otherwise) {
  const caffe2::Argument* const argument = Find(op, name);
  return argument != nullptr && argument->has_f() ? argument->f() : otherwise;
}

std::string StringArgument(const caffe2::OperatorDef& op,
                           const std::string& name,
                           const std::string& otherwise) {
  const caffe2::Argument* const argument = Find(op, name);
  return argument != nullptr && argument->has_s() ? argument->s() : otherwise;
}

bool HasArgument(const caffe2::OperatorDef& op, const std::string& name) {
  return Find(op, name) != nullptr;
}

void SetInt(const std::string& name, int64_t value, caffe2::OperatorDef* op) {
  Fresh(name, op)->set_i(value);
}

void SetFloat(const std::string& name, float value, caffe2::OperatorDef* op) {
  Fresh(name, op)->set_f(value);
}

void SetString(const std::string& name, const std::string& value,
               caffe2::OperatorDef* op) {
  Fresh(name, op)->set_s(value);
}

void RemoveArgument(const std::string& name, caffe2::OperatorDef* op) {
  for (int i = op->arg_size(); i-- > 0;) {
    if (op->arg(i).name() == name) op->mutable_arg()->DeleteSubrange(i, 1);
  }
}

}  // namespace rewrite
}  // namespace caffe2_quantization
