#include "netdef/net_hash.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "serialization/content_hash.h"

namespace caffe2_quantization {
namespace {

template <typename Strings>
void AddAll(const Strings& strings, ContentHash* hash) {
  hash->Add(static_cast<uint64_t>(strings.size()));
  for (const std::string& text : strings) hash->Add(text);
}

void AddNet(const caffe2::NetDef& net, ContentHash* hasher);

void AddArgument(const caffe2::Argument& argument, ContentHash* hasher) {
  // Nets within are hashed as nets are, all else as its bytes.
  if (!argument.has_n() && argument.nets_size() == 0) {
    hasher->Add(argument.SerializeAsString());
    return;
  }
  caffe2::Argument rest = argument;
  rest.clear_n();
  rest.clear_nets();
  hasher->Add(rest.SerializeAsString());
  hasher->Add(uint64_t{argument.has_n()});
  if (argument.has_n()) AddNet(argument.n(), hasher);
  hasher->Add(static_cast<uint64_t>(argument.nets_size()));
  for (const caffe2::NetDef& net : argument.nets()) AddNet(net, hasher);
}

void AddOperator(const caffe2::OperatorDef& op, ContentHash* hasher) {
  hasher->Add(op.type());
  AddAll(op.input(), hasher);
  AddAll(op.output(), hasher);
  std::vector<const caffe2::Argument*> arguments;
  for (const caffe2::Argument& argument : op.arg()) {
    arguments.push_back(&argument);
  }
  std::stable_sort(arguments.begin(), arguments.end(),
                   [](const caffe2::Argument* a, const caffe2::Argument* b) {
                     return a->name() < b->name();
                   });
  hasher->Add(static_cast<uint64_t>(arguments.size()));
  for (const caffe2::Argument* argument : arguments) {
    AddArgument(*argument, hasher);
  }
}

void AddNet(const caffe2::NetDef& net, ContentHash* hasher) {
  hasher->Add(static_cast<uint64_t>(net.op_size()));
  for (const caffe2::OperatorDef& op : net.op()) AddOperator(op, hasher);
  AddAll(net.external_input(), hasher);
  AddAll(net.external_output(), hasher);
}

}  // namespace

std::string NetHash(const caffe2::NetDef& net) {
  ContentHash hasher;
  AddNet(net, &hasher);
  return hasher.Hex();
}

}  // namespace caffe2_quantization
