// Finds the values that share scale and zero point: what only moves values, and
// a Concat whose inputs have about one range, so that codes are copied.
#include <algorithm>

#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

class Sets {
 public:
  explicit Sets(Rewrite* rewrite) : rewrite_(rewrite), graph_(rewrite->graph) {
    parent_.resize(static_cast<std::size_t>(graph_.num_values()));
    for (std::size_t i = 0; i < parent_.size(); ++i) {
      parent_[i] = static_cast<int>(i);
    }
  }

  void Run() {
    for (const int id : graph_.Order()) {
      const Node& node = graph_.node(id);
      if (!IsInt8(id)) continue;
      if (FindInt8Form(node.type())->parameters != Parameters::kKept) continue;
      for (int i = 0; i < NumDataOutputs(node); ++i) {
        Join(node.outputs[static_cast<std::size_t>(i)], node.inputs[0]);
      }
    }
    for (const int id : graph_.Order()) {
      if (IsInt8(id) && graph_.node(id).type() == "Concat" &&
          rewrite_->recipe == nullptr) {
        JoinConcat(graph_.node(id));
      }
    }
    Number();
  }

 private:
  bool IsInt8(int id) const {
    return rewrite_->nodes[static_cast<std::size_t>(id)].is_int8;
  }

  int Find(int value) {
    while (parent_[static_cast<std::size_t>(value)] != value) {
      int& above = parent_[static_cast<std::size_t>(value)];
      value = above = parent_[static_cast<std::size_t>(above)];
    }
    return value;
  }

  void Join(int a, int b) {
    parent_[static_cast<std::size_t>(Find(a))] = Find(b);
  }

  // The range that codes of a value must hold, with 0; false: it must not be
  // joined with others.
  bool RangeOf(int value, double* min, double* max) const {
    const Value& of = graph_.value(value);
    if (of.constant.has_value()) return false;
    const Measured* const measured = MeasuredOf(*rewrite_, of);
    if (measured == nullptr || measured->range.empty()) return false;
    *min = std::min(0.0, measured->range.min());
    *max = std::max(0.0, measured->range.max());
    return true;
  }

  // The node that makes a value, through what only moves it; kNone: none.
  int SourceOf(int value) const {
    for (;;) {
      const int producer = graph_.value(value).producer;
      if (producer == kNone || !IsInt8(producer)) return kNone;
      const Node& node = graph_.node(producer);
      if (FindInt8Form(node.type())->parameters != Parameters::kKept) {
        return producer;
      }
      value = node.inputs[0];
    }
  }

  void JoinConcat(const Node& node) {
    const std::size_t count = node.inputs.size();
    std::vector<double> min(count), max(count);
    double all_min = 0, all_max = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Value& input = graph_.value(node.inputs[i]);
      if (input.uses.size() != 1 ||
          !RangeOf(node.inputs[i], &min[i], &max[i])) {
        return;
      }
      const int source = SourceOf(node.inputs[i]);
      if (source != kNone) {
        const NodePlan& plan =
            rewrite_->nodes[static_cast<std::size_t>(source)];
        // A Clip within an operator is its range; fixed parameters stay.
        if (plan.clip_top > 0 ||
            FindInt8Form(graph_.node(source).type())->parameters !=
                Parameters::kOwn) {
          return;
        }
      }
      all_min = std::min(all_min, min[i]);
      all_max = std::max(all_max, max[i]);
    }
    for (std::size_t i = 0; i < count; ++i) {
      // An operator with a Relu within has codes from the zero point on alone.
      const int source = SourceOf(node.inputs[i]);
      const bool has_relu =
          source != kNone &&
          rewrite_->nodes[static_cast<std::size_t>(source)].has_relu;
      if ((has_relu && all_min < 0) ||
          all_max - all_min > 2 * (max[i] - min[i])) {
        return;
      }
    }
    for (const int input : node.inputs) Join(input, node.outputs[0]);
  }

  void Number() {
    rewrite_->values.assign(static_cast<std::size_t>(graph_.num_values()), {});
    rewrite_->sets.clear();
    std::vector<int> number(parent_.size(), kNone);
    const auto add = [&](int value) {
      ValuePlan& plan = rewrite_->values[static_cast<std::size_t>(value)];
      if (plan.set != kNone) return;
      const auto root = static_cast<std::size_t>(Find(value));
      if (number[root] == kNone) {
        number[root] = static_cast<int>(rewrite_->sets.size());
        rewrite_->sets.emplace_back();
      }
      plan.set = number[root];
      rewrite_->sets[static_cast<std::size_t>(plan.set)].values.push_back(
          value);
    };
    for (const int id : graph_.Order()) {
      if (!IsInt8(id)) continue;
      const Node& node = graph_.node(id);
      for (const int slot : DataSlots(node)) {
        add(node.inputs[static_cast<std::size_t>(slot)]);
      }
      for (int i = 0; i < NumDataOutputs(node); ++i) {
        const int output = node.outputs[static_cast<std::size_t>(i)];
        add(output);
        rewrite_->values[static_cast<std::size_t>(output)].is_int8 = true;
      }
    }
  }

  Rewrite* const rewrite_;
  const Graph& graph_;
  std::vector<int> parent_;
};

}  // namespace

Status ParameterSets(Rewrite* rewrite) {
  Sets(rewrite).Run();
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
