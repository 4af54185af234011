#include "rewrite/graph.h"

#include <algorithm>
#include <iterator>

#include "base/return_if_error.h"
#include "base/text.h"
#include "netdef/model_reader_text.h"
#include "rewrite/int8_forms.h"
#include "rewrite/rewrite.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

// Every blob that nets within an operator read or write.
void CollectNested(const caffe2::NetDef& net, std::set<std::string>* reads,
                   std::set<std::string>* writes);

void CollectNested(const caffe2::OperatorDef& op, std::set<std::string>* reads,
                   std::set<std::string>* writes) {
  for (const caffe2::Argument& argument : op.arg()) {
    if (argument.has_n()) CollectNested(argument.n(), reads, writes);
    for (const caffe2::NetDef& net : argument.nets()) {
      CollectNested(net, reads, writes);
    }
  }
}

void CollectNested(const caffe2::NetDef& net, std::set<std::string>* reads,
                   std::set<std::string>* writes) {
  reads->insert(net.external_input().begin(), net.external_input().end());
  // What it leaves may be read by later runs of it, and by others.
  reads->insert(net.external_output().begin(), net.external_output().end());
  for (const caffe2::OperatorDef& op : net.op()) {
    reads->insert(op.input().begin(), op.input().end());
    writes->insert(op.output().begin(), op.output().end());
    CollectNested(op, reads, writes);
  }
}

// RecurrentNetwork takes its nets as texts, too.
bool IsNetInText(const caffe2::OperatorDef& op,
                 const caffe2::Argument& argument) {
  const std::string suffix = "step_net";
  const std::string& name = argument.name();
  return op.type().compare(0, 16, "RecurrentNetwork") == 0 &&
         argument.has_s() && name.size() >= suffix.size() &&
         name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// The net of a text; empty if it is none, which the host says when it makes the
// operator.
caffe2::NetDef FromText(const std::string& text) {
  std::string wire;
  ModelFault fault;
  std::size_t fault_at = 0;
  caffe2::NetDef net;
  if (!TextToWire(*SchemaOf(ModelForm::kNetDef), text, &wire, &fault,
                  &fault_at) ||
      !net.ParsePartialFromString(wire)) {
    net.Clear();
  }
  return net;
}

bool HasNestedNet(const caffe2::OperatorDef& op) {
  return std::any_of(op.arg().begin(), op.arg().end(),
                     [&](const caffe2::Argument& argument) {
                       return argument.has_n() || argument.nets_size() > 0 ||
                              IsNetInText(op, argument);
                     });
}

// What nets within an operator read and write. Its own arguments name blobs,
// too: those that RecurrentNetwork links.
void CollectHidden(const caffe2::OperatorDef& op, std::set<std::string>* reads,
                   std::set<std::string>* writes) {
  if (!HasNestedNet(op)) return;
  CollectNested(op, reads, writes);
  for (const caffe2::Argument& argument : op.arg()) {
    if (IsNetInText(op, argument)) {
      CollectNested(FromText(argument.s()), reads, writes);
      continue;
    }
    if (argument.has_s()) reads->insert(argument.s());
    reads->insert(argument.strings().begin(), argument.strings().end());
  }
}

// Outputs that tell sizes or what was dropped: seldom what a net is for.
bool IsAside(const Node& node, int slot) {
  const std::string& type = node.type();
  return slot > 0 &&
         (type == "Dropout" || type == "Concat" || type == "Reshape");
}

// Operators that do nothing but compute their outputs.
bool HasNoEffects(const Node& node) {
  static const char* const kTypes[] = {
      "AffineChannel", "Alias",      "Cast",         "Copy", "Dropout",
      "ExpandDims",    "Exp",        "FCTransposed", "Log",  "MatMul",
      "Shape",         "Scale",      "StopGradient", "Sub",  "Div",
      "Sqrt",          "ReduceMean", "ReduceSum"};
  const std::string& type = node.type();
  return FindInt8Form(type) != nullptr || IsConstantFill(node.op) ||
         std::find(std::begin(kTypes), std::end(kTypes), type) !=
             std::end(kTypes);
}

}  // namespace

std::string NameOf(const Graph& graph, int node) {
  const Node& of = graph.node(node);
  std::string text =
      "operator " +
      std::to_string(of.origins.empty() ? node : of.origins.back()) + " (" +
      of.type();
  if (!of.outputs.empty()) {
    text += ", output '" + graph.value(of.outputs[0]).name + "'";
  }
  return text + ")";
}

int Graph::AddValue(const std::string& name, int producer, int slot) {
  const int id = num_values();
  Value value;
  value.name = name;
  value.producer = producer;
  value.slot = slot;
  std::vector<int>& versions = versions_[name];
  value.version = static_cast<int>(versions.size());
  versions.push_back(id);
  names_.insert(name);
  values_.push_back(std::move(value));
  return id;
}

Status Graph::Read(const caffe2::NetDef& net,
                   const std::map<std::string, Constant>& weights,
                   const std::set<std::string>& known) {
  *this = Graph();
  net_ = WithoutOperators(net);
  std::set<std::string> outside(net.external_input().begin(),
                                net.external_input().end());
  std::map<std::string, int> current;
  int64_t fill_budget = kMostFilled;
  const auto from_outside = [&](const std::string& name) {
    const int id = AddValue(name, kNone, 0);
    outside_.push_back(id);
    const auto weight = weights.find(name);
    if (weight != weights.end()) {
      values_[id].constant = weight->second;
      values_[id].has_shape = true;
      values_[id].shape = weight->second.shape;
      values_[id].type = weight->second.type == Constant::Type::kFloat ? "float"
                         : weight->second.type == Constant::Type::kInt32
                             ? "int"
                             : "int64_t";
    }
    current[name] = id;
    return id;
  };
  for (const std::string& name : net.external_input()) {
    if (current.count(name) == 0) from_outside(name);
  }
  std::map<std::string, int> written_later;
  for (int i = 0; i < net.op_size(); ++i) {
    for (const std::string& name : net.op(i).output()) {
      written_later.emplace(name, i);
    }
    names_.insert(net.op(i).input().begin(), net.op(i).input().end());
    names_.insert(net.op(i).output().begin(), net.op(i).output().end());
    std::set<std::string> nested;
    CollectHidden(net.op(i), &nested, &nested);
    names_.insert(nested.begin(), nested.end());
  }
  for (const auto& weight : weights) names_.insert(weight.first);
  names_.insert(known.begin(), known.end());

  for (int i = 0; i < net.op_size(); ++i) {
    const caffe2::OperatorDef& op = net.op(i);
    const std::string what = "operator " + std::to_string(i) +
                             (op.type().empty() ? "" : " (" + op.type() + ")");
    if (op.type().empty()) {
      return Status::InvalidArgument(what + " has no type");
    }
    for (const auto* names : {&op.input(), &op.output()}) {
      if (std::find(names->begin(), names->end(), "") != names->end()) {
        return Status::InvalidArgument(
            what + " has an " + (names == &op.input() ? "input" : "output") +
            " without a name, expected the name of a blob");
      }
    }
    Node node;
    node.op = op;
    node.origins = {i};
    const auto read = [&](const std::string& name, int* id) -> Status {
      const auto found = current.find(name);
      if (found != current.end()) {
        *id = found->second;
        return Status::Ok();
      }
      const auto later = written_later.find(name);
      if (later != written_later.end() && weights.count(name) == 0 &&
          known.count(name) == 0) {
        return Status::InvalidArgument(
            what + " reads blob '" + name + "', which operator " +
            std::to_string(later->second) +
            " writes, itself or later, expected an earlier operator, an "
            "external input, or the init net to make it");
      }
      *id = from_outside(name);
      return Status::Ok();
    };
    for (int slot = 0; slot < op.input_size(); ++slot) {
      int id = kNone;
      RETURN_IF_ERROR(read(op.input(slot), &id));
      node.inputs.push_back(id);
      values_[id].uses.push_back({i, slot});
    }
    std::set<std::string> reads, writes;
    CollectHidden(op, &reads, &writes);
    // A net that does not run leaves what was there.
    std::set<std::string> needed = reads;
    needed.insert(writes.begin(), writes.end());
    for (const std::string& name : needed) {
      const auto found = current.find(name);
      int id = kNone;
      if (found != current.end()) {
        id = found->second;
      } else if (weights.count(name) != 0 || known.count(name) != 0) {
        id = from_outside(name);
      } else {
        continue;  // a blob of the inner net
      }
      node.hidden_inputs.push_back(id);
      values_[id].is_pinned = true;
    }
    std::set<std::string> outputs;
    for (int slot = 0; slot < op.output_size(); ++slot) {
      const std::string& name = op.output(slot);
      if (!outputs.insert(name).second) {
        return Status::InvalidArgument(what + " has output '" + name +
                                       "' twice, expected each blob once");
      }
      const int id = AddValue(name, i, slot);
      values_[id].origin = i;
      values_[id].origin_slot = slot;
      current[name] = id;
      node.outputs.push_back(id);
    }
    for (const std::string& name : writes) {
      // A blob of the inner net alone is no value of this one.
      if (outputs.count(name) != 0 || current.count(name) == 0) continue;
      const int id = AddValue(name, i, kNone);
      values_[id].is_pinned = true;
      current[name] = id;
      node.hidden_outputs.push_back(id);
    }
    // What an inner net reads, the operator's own outputs among it, is pinned.
    for (const int id : node.outputs) {
      if (reads.count(values_[id].name) != 0 ||
          writes.count(values_[id].name) != 0) {
        values_[id].is_pinned = true;
      }
    }
    if (IsConstantFill(op)) {
      std::optional<Constant> constant;
      RETURN_IF_ERROR(ReadConstant(op, &constant, &fill_budget));
      if (constant.has_value()) {
        // The graph keeps a copy of the operator, whose values do not move.
        Value& value = values_[node.outputs[0]];
        value.has_shape = true;
        value.shape = constant->shape;
        value.type = constant->type == Constant::Type::kFloat   ? "float"
                     : constant->type == Constant::Type::kInt32 ? "int"
                                                                : "int64_t";
        if (constant->floats != nullptr && constant->owned == nullptr) {
          const float* const floats = constant->floats;
          constant = Constant::OfFloats(
              constant->shape,
              std::vector<float>(floats, floats + constant->count()));
        }
        value.constant = std::move(constant);
      }
    }
    nodes_.push_back(std::move(node));
  }
  for (const std::string& name : net.external_output()) {
    const auto found = current.find(name);
    if (found != current.end())
      values_[found->second].is_external_output = true;
  }
  if (net.external_output_size() == 0) {
    // Who declares none wants what nobody reads.
    for (const auto& last : current) {
      Value& value = values_[last.second];
      if (value.producer == kNone || value.slot == kNone) continue;
      value.is_external_output =
          value.uses.empty() && !IsAside(nodes_[value.producer], value.slot);
    }
  }
  return Check();
}

std::vector<int> Graph::Order() const {
  std::vector<int> order;
  for (int i = 0; i < num_nodes(); ++i) {
    if (!nodes_[i].is_removed) order.push_back(i);
  }
  return order;
}

int Graph::LastValue(const std::string& name) const {
  const auto found = versions_.find(name);
  return found == versions_.end() ? kNone : found->second.back();
}

bool Graph::IsUsedByAlone(int value, int node) const {
  const Value& of = values_[value];
  return !of.is_external_output && !of.is_pinned && of.uses.size() == 1 &&
         of.uses[0].node == node;
}

bool Graph::MayMoveTo(int from, int to) const {
  const Node& node = nodes_[from];
  for (const int input : node.inputs) {
    // The next version of the blob comes after the node's new place.
    for (const int other : versions_.at(values_[input].name)) {
      const int writer = values_[other].producer;
      if (other == input || writer == kNone || nodes_[writer].is_removed) {
        continue;
      }
      if (writer > from && writer < to) {
        return false;
      }
    }
  }
  for (const int output : node.outputs) {
    if (values_[output].is_pinned) return false;
    for (const Use& use : values_[output].uses) {
      if (use.node < to) return false;
    }
    for (const int other : versions_.at(values_[output].name)) {
      const int writer = values_[other].producer;
      if (other == output || writer == kNone || nodes_[writer].is_removed) {
        continue;
      }
      if (writer > from && writer < to) {
        return false;
      }
    }
  }
  return true;
}

void Graph::SetInput(int node, int slot, int value) {
  const int old = nodes_[node].inputs[slot];
  auto& uses = values_[old].uses;
  uses.erase(std::remove_if(uses.begin(), uses.end(),
                            [&](const Use& use) {
                              return use.node == node && use.slot == slot;
                            }),
             uses.end());
  nodes_[node].inputs[slot] = value;
  values_[value].uses.push_back({node, slot});
}

void Graph::ReplaceUses(int value, int by) {
  const std::vector<Use> uses = values_[value].uses;
  for (const Use& use : uses) SetInput(use.node, use.slot, by);
}

bool Graph::MayReplace(int value, int by) const {
  const Value& of = values_[value];
  if (of.is_external_output || of.is_pinned) return false;
  return std::all_of(of.uses.begin(), of.uses.end(), [&](const Use& use) {
    return MayRead(by, use.node, of.producer) && !WritesOver(use.node, by);
  });
}

bool Graph::WritesOver(int node, int value) const {
  const std::vector<int>& outputs = nodes_[node].outputs;
  return std::any_of(outputs.begin(), outputs.end(), [&](int output) {
    return values_[output].name == values_[value].name;
  });
}

void Graph::AddInput(int node, int value) {
  Node& of = nodes_[node];
  values_[value].uses.push_back({node, static_cast<int>(of.inputs.size())});
  of.inputs.push_back(value);
}

void Graph::Merge(int from, int into, const caffe2::OperatorDef& op) {
  const std::vector<int> inputs = nodes_[from].inputs;
  std::vector<int> origins = nodes_[from].origins;
  Remove(from);
  Node& node = nodes_[into];
  origins.insert(origins.end(), node.origins.begin(), node.origins.end());
  std::sort(origins.begin(), origins.end());
  const std::vector<int> outputs = node.outputs;
  Remove(into);
  node.is_removed = false;
  node.op = op;
  node.origins = origins;
  node.outputs = outputs;
  for (const int input : inputs) AddInput(into, input);
}

bool Graph::MayRead(int value, int node, int without) const {
  const int made = values_[value].producer;
  for (const int other : versions_.at(values_[value].name)) {
    const int writer = values_[other].producer;
    if (other == value || writer == kNone || writer == without ||
        nodes_[writer].is_removed) {
      continue;
    }
    if ((made == kNone || writer > made) && writer < node) return false;
  }
  return true;
}

void Graph::Remove(int node) {
  Node& removed = nodes_[node];
  for (int slot = 0; slot < static_cast<int>(removed.inputs.size()); ++slot) {
    auto& uses = values_[removed.inputs[slot]].uses;
    uses.erase(std::remove_if(uses.begin(), uses.end(),
                              [&](const Use& use) { return use.node == node; }),
               uses.end());
  }
  removed.inputs.clear();
  removed.is_removed = true;
}

std::string Graph::FreshName(const std::string& name) {
  std::string fresh = name;
  // Many blobs may ask for one name: each goes on where the last one stopped.
  for (int& i = numbers_[name]; !names_.insert(fresh).second;) {
    fresh = name + "_" + std::to_string(++i);
  }
  return fresh;
}

int Graph::AddConstant(const std::string& name, Constant constant) {
  const std::string fresh = FreshName(name);
  const int id = AddValue(fresh, kNone, 0);
  outside_.push_back(id);
  values_[id].type = "float";
  values_[id].has_shape = true;
  values_[id].shape = constant.shape;
  values_[id].constant = std::move(constant);
  return id;
}

void Graph::RemoveUnused() {
  for (int i = num_nodes(); i-- > 0;) {
    Node& node = nodes_[i];
    // An operator without outputs does something else: it prints, or saves.
    if (node.is_removed || node.outputs.empty() ||
        !node.hidden_inputs.empty() || !node.hidden_outputs.empty() ||
        !HasNoEffects(node)) {
      continue;
    }
    const bool is_needed =
        std::any_of(node.outputs.begin(), node.outputs.end(), [&](int output) {
          const Value& value = values_[output];
          return value.producer == i &&
                 (!value.uses.empty() || value.is_external_output ||
                  value.is_pinned);
        });
    if (!is_needed) Remove(i);
  }
}

caffe2::NetDef Graph::Build() const {
  caffe2::NetDef net = net_;
  net.clear_external_input();
  std::set<std::string> declared;
  const std::set<std::string> before(net_.external_input().begin(),
                                     net_.external_input().end());
  for (const int id : outside_) {
    const Value& value = values_[id];
    const bool was_declared = before.count(value.name) != 0;
    const bool is_weight = value.constant.has_value();
    if ((!value.uses.empty() || value.is_pinned || value.is_external_output ||
         (was_declared && !is_weight)) &&
        declared.insert(value.name).second) {
      net.add_external_input(value.name);
    }
  }
  for (const int id : Order()) {
    caffe2::OperatorDef* const op = net.add_op();
    *op = nodes_[id].op;
    op->clear_input();
    op->clear_output();
    for (const int input : nodes_[id].inputs)
      op->add_input(values_[input].name);
    for (const int output : nodes_[id].outputs) {
      op->add_output(values_[output].name);
    }
  }
  return net;
}

Status Graph::Check() const {
  const auto wrong = [&](const std::string& what) {
    return Status::Corruption("the graph of net '" + net_.name() +
                              "' contradicts itself: " + what);
  };
  for (int i = 0; i < num_nodes(); ++i) {
    const Node& node = nodes_[i];
    if (node.is_removed) continue;
    for (int slot = 0; slot < static_cast<int>(node.inputs.size()); ++slot) {
      const Value& value = values_[node.inputs[slot]];
      if (std::none_of(value.uses.begin(), value.uses.end(),
                       [&](const Use& use) {
                         return use.node == i && use.slot == slot;
                       })) {
        return wrong(NameOf(*this, i) + " is no user of its input '" +
                     value.name + "'");
      }
      if (value.producer != kNone &&
          (nodes_[value.producer].is_removed || value.producer >= i)) {
        return wrong(NameOf(*this, i) + " reads '" + value.name +
                     "', which no operator before it makes");
      }
    }
  }
  for (const Value& value : values_) {
    for (const Use& use : value.uses) {
      if (nodes_[use.node].is_removed) {
        return wrong("a removed operator uses '" + value.name + "'");
      }
    }
    if ((value.is_external_output || value.is_pinned) &&
        value.producer != kNone && nodes_[value.producer].is_removed) {
      return wrong("the operator that makes '" + value.name +
                   "' was removed, though the blob is needed");
    }
  }
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
