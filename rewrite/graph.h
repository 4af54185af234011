// A net as values and the operators between them.
//
// A blob that is written again is another value of the same name: a value is a
// blob in one version. So the graph tells what an operator reads whatever the
// blobs are called, and whether an operator may be moved.
//
// Operators stay in the net's order, so that a node's number is its place. A
// blob that a net inside an operator (If, While, RecurrentNetwork, Do) reads or
// writes under its name, or that such an operator's arguments name, is pinned:
// its values keep their names and their types.
//
// Thread rule: one thread at a time.
#ifndef CAFFE2_QUANTIZATION_REWRITE_GRAPH_H_
#define CAFFE2_QUANTIZATION_REWRITE_GRAPH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/proto/caffe2_pb.h"
#include "rewrite/constants.h"

namespace caffe2_quantization {
namespace rewrite {

constexpr int kNone = -1;

struct Use {
  int node;
  int slot;  // the index among the node's inputs
};

struct Value {
  std::string name;
  int version = 0;       // which of the blob's values it is
  int producer = kNone;  // the node that writes it; kNone: from outside
  int slot = 0;          // the index among the producer's outputs
  std::vector<Use> uses;
  bool is_external_output = false;
  bool is_pinned = false;
  std::optional<Constant> constant;
  // Which output of which operator of the net as it was read this is; kNone
  // for what comes from outside. Kept through all passes.
  int origin = kNone;
  int origin_slot = 0;
  // What is known of it.
  std::string type;  // "float", "int", "int64_t" …; "": unknown
  bool has_shape = false;
  std::vector<int64_t> shape;  // -1: a size that varies

  int rank() const { return has_shape ? static_cast<int>(shape.size()) : -1; }
};

struct Node {
  caffe2::OperatorDef op;  // its inputs and outputs are not kept up to date
  std::vector<int> inputs;
  std::vector<int> outputs;
  // What nets within the operator read and write.
  std::vector<int> hidden_inputs;
  std::vector<int> hidden_outputs;
  // The operators of the net as it was read whose work it does, ascending.
  std::vector<int> origins;
  bool is_removed = false;

  const std::string& type() const { return op.type(); }
};

class Graph {
 public:
  // Reads a net. `weights` are the constants that the init net makes, by name;
  // they count while the net does not write the blob, and unless it is one of
  // `data`. Errors name operator and blob: an operator without a type, a blob
  // without a name, one twice among the outputs of one operator, a blob that is
  // read before it is written and that is neither an external input nor among
  // `weights` or `known`. A net that declares no external output has those that
  // nobody reads.
  Status Read(const caffe2::NetDef& net,
              const std::map<std::string, Constant>& weights,
              const std::set<std::string>& known);

  // The nodes in order, without those that were removed.
  std::vector<int> Order() const;
  Node& node(int id) { return nodes_[static_cast<std::size_t>(id)]; }
  const Node& node(int id) const {
    return nodes_[static_cast<std::size_t>(id)];
  }
  Value& value(int id) { return values_[static_cast<std::size_t>(id)]; }
  const Value& value(int id) const {
    return values_[static_cast<std::size_t>(id)];
  }
  int num_nodes() const { return static_cast<int>(nodes_.size()); }
  int num_values() const { return static_cast<int>(values_.size()); }
  // What comes from outside: external inputs and weights.
  const std::vector<int>& outside() const { return outside_; }
  const caffe2::NetDef& net() const { return net_; }
  // The value that the net leaves in a blob; kNone: it has no such blob.
  int LastValue(const std::string& name) const;

  // True if the value has exactly one user, `node`, and is needed by nothing
  // else: it is no external output and not pinned.
  bool IsUsedByAlone(int value, int node) const;

  // Whether node `from` could as well run where node `to`, a later one, stands:
  // nothing between them writes a blob that `from` reads, and nothing reads its
  // outputs.
  bool MayMoveTo(int from, int to) const;

  // Whether `value` is still in its blob where `node` stands; `without` a node
  // that is about to be removed.
  bool MayRead(int value, int node, int without = kNone) const;

  // Whether `node` writes the blob that `value` is in: few operators may do so
  // with what they read.
  bool WritesOver(int node, int value) const;

  void SetInput(int node, int slot, int value);
  void AddInput(int node, int value);
  // Lets `by` be read wherever `value` was. `value` must not be an external
  // output or pinned.
  void ReplaceUses(int value, int by);
  // Lets `into`, which stands later, do the work of `from` besides its own, as
  // the operator `op` with the inputs of `from`, where it stands. Outputs are
  // those of `into`; those of `from` must have no other user.
  void Merge(int from, int into, const caffe2::OperatorDef& op);
  // Removes a node. None of its outputs may be used.
  void Remove(int node);
  // Whether ReplaceUses(value, by) leaves all as it is, if the producer of
  // `value` is removed: `by` still has its value at each use of `value`, and no
  // user writes over it.
  bool MayReplace(int value, int by) const;
  // Adds a constant from outside with a name that is like `name`.
  int AddConstant(const std::string& name, Constant constant);
  // A name that nothing in the net has: `name`, or `name` with a number.
  std::string FreshName(const std::string& name);

  // Removes nodes whose outputs nobody needs, from the last one on; only those
  // that do nothing else.
  void RemoveUnused();

  // The net as it is now.
  caffe2::NetDef Build() const;

  // Returns an error that says what contradicts itself; what a pass leaves is
  // checked so.
  Status Check() const;

 private:
  int AddValue(const std::string& name, int producer, int slot);

  caffe2::NetDef net_;
  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::vector<int> outside_;
  std::map<std::string, std::vector<int>> versions_;  // values by name
  std::set<std::string> names_;
  std::map<std::string, int> numbers_;  // of FreshName
};

// How errors and reports call a node: "operator 3 (Conv, output 'y')".
std::string NameOf(const Graph& graph, int node);

}  // namespace rewrite
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_REWRITE_GRAPH_H_
