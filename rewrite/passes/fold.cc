// Takes what scales and shifts the channels of a Conv, ConvTranspose or FC into
// its weights: SpatialBN, AffineChannel, and Mul and Add by constants.
//
//   y = k (Σ x w + b) + c   for each output channel:   w' = k w,  b' = k b + c
//
// in double; w' and b' are rounded to floats once.
#include <algorithm>
#include <cmath>

#include "base/return_if_error.h"
#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

// y = factor * x + shift, for each channel or for all (one value).
struct Affine {
  std::vector<double> factors;
  std::vector<double> shifts;
};

const Constant* FloatsOf(const Graph& graph, const Node& node,
                         std::size_t slot) {
  if (slot >= node.inputs.size()) return nullptr;
  const Value& value = graph.value(node.inputs[slot]);
  if (!value.constant.has_value() ||
      value.constant->type != Constant::Type::kFloat) {
    return nullptr;
  }
  return &*value.constant;
}

std::vector<double> Doubles(const Constant& constant) {
  return std::vector<double>(constant.floats,
                             constant.floats + constant.count());
}

// Whether operand B of Add or Mul has one value for each channel of A, or one
// for all of A.
bool IsPerChannel(const Node& node, const Value& a, const Constant& b,
                  int64_t channels, bool channels_first) {
  if (b.count() == 1 &&
      static_cast<int>(b.shape.size()) <= std::max(a.rank(), 1)) {
    return true;
  }
  if (b.count() != channels || a.rank() < 2) return false;
  const int channel_axis = channels_first ? 1 : a.rank() - 1;
  const int rank = static_cast<int>(b.shape.size());
  int axis = a.rank() - rank;  // the axis of A where B's begin
  if (IntArgument(node.op, "broadcast", 0) != 0) {
    if (HasArgument(node.op, "axis_str")) return false;
    const int64_t given = IntArgument(node.op, "axis", -1);
    if (given < -1 || given >= a.rank()) return false;
    if (given != -1) axis = static_cast<int>(given);
  }
  if (axis < 0) return false;
  for (int i = 0; i < rank; ++i) {
    const bool has_channels = b.shape[static_cast<std::size_t>(i)] == channels;
    if (axis + i == channel_axis && has_channels) {
      // The one axis that is not 1, for all others are: the counts agree.
      return true;
    }
  }
  return false;
}

// What node `id`, the user of a product of `channels`, does to its channels.
bool AffineOf(const Graph& graph, const Node& node, int64_t channels,
              bool channels_first, Affine* affine) {
  const std::string& type = node.type();
  if (node.outputs.size() != 1) return false;
  if (type == "SpatialBN") {
    if (IntArgument(node.op, "is_test", 0) != 1) return false;
    const Constant* read[4];
    for (std::size_t i = 0; i < 4; ++i) {
      read[i] = FloatsOf(graph, node, i + 1);
      if (read[i] == nullptr || read[i]->count() != channels) return false;
    }
    const double epsilon = FloatArgument(node.op, "epsilon", 1e-5f);
    for (int64_t c = 0; c < channels; ++c) {
      const double factor =
          read[0]->floats[c] / std::sqrt(read[3]->floats[c] + epsilon);
      affine->factors.push_back(factor);
      affine->shifts.push_back(read[1]->floats[c] -
                               read[2]->floats[c] * factor);
    }
  } else if (type == "AffineChannel") {
    const Constant* const scale = FloatsOf(graph, node, 1);
    const Constant* const bias = FloatsOf(graph, node, 2);
    if (scale == nullptr || bias == nullptr || scale->count() != channels ||
        bias->count() != channels ||
        IntArgument(node.op, "is_learnable", 0) != 0) {
      return false;
    }
    affine->factors = Doubles(*scale);
    affine->shifts = Doubles(*bias);
  } else if (type == "Mul" || type == "Add") {
    if (node.inputs.size() != 2) return false;
    const Constant* const b = FloatsOf(graph, node, 1);
    if (b == nullptr || !IsPerChannel(node, graph.value(node.inputs[0]), *b,
                                      channels, channels_first)) {
      return false;
    }
    std::vector<double> values = Doubles(*b);
    if (values.size() == 1) {
      values.resize(static_cast<std::size_t>(channels), values[0]);
    }
    const bool is_mul = type == "Mul";
    affine->factors = is_mul ? values : std::vector<double>(values.size(), 1);
    affine->shifts = is_mul ? std::vector<double>(values.size(), 0) : values;
  } else {
    return false;
  }
  for (std::size_t i = 0; i < affine->factors.size(); ++i) {
    if (!std::isfinite(affine->factors[i]) ||
        !std::isfinite(affine->shifts[i])) {
      return false;
    }
  }
  return true;
}

// The axis of a product's weight that its output channels are on; -1: none.
int OutputAxis(const Node& node, const Constant& weight) {
  const std::string& type = node.type();
  if (type == "FC") return weight.shape.size() == 2 ? 0 : -1;
  if (type == "Conv") return weight.shape.size() >= 3 ? 0 : -1;
  if (type == "ConvTranspose") {
    if (IntArgument(node.op, "group", 1) != 1 || weight.shape.size() < 3) {
      return -1;
    }
    return IsChannelsFirst(node) ? 1
                                 : static_cast<int>(weight.shape.size()) - 1;
  }
  return -1;
}

// Folds the node after `id` into it, if it can be; sets *folded.
Status FoldNext(Rewrite* rewrite, int id, int* merged) {
  Graph* const graph = &rewrite->graph;
  *merged = kNone;
  const Node& node = graph->node(id);
  if (node.outputs.size() != 1 || node.inputs.size() < 2) return Status::Ok();
  const Constant* const w = FloatsOf(*graph, node, 1);
  if (w == nullptr) return Status::Ok();
  const int axis = OutputAxis(node, *w);
  if (axis < 0) return Status::Ok();
  const Value& y = graph->value(node.outputs[0]);
  if (y.uses.size() != 1 || y.uses[0].slot != 0) return Status::Ok();
  const int next = y.uses[0].node;
  const int64_t channels = w->shape[static_cast<std::size_t>(axis)];
  const Constant* b = nullptr;
  if (node.inputs.size() > 2) {
    b = FloatsOf(*graph, node, 2);
    if (b == nullptr || b->count() != channels) return Status::Ok();
  }
  if (node.type() == "FC" && y.rank() != 2) return Status::Ok();
  const bool channels_first = node.type() == "FC" || IsChannelsFirst(node);
  Affine affine;
  if (!graph->IsUsedByAlone(node.outputs[0], next) ||
      !graph->MayMoveTo(id, next) || graph->WritesOver(next, node.inputs[0]) ||
      !AffineOf(*graph, graph->node(next), channels, channels_first, &affine)) {
    return Status::Ok();
  }
  if (graph->node(next).op.device_option().device_type() !=
      node.op.device_option().device_type()) {
    return Status::Ok();
  }
  // BN's own order of axes must be the product's.
  const std::string& type = graph->node(next).type();
  if ((type == "SpatialBN" || type == "AffineChannel") && node.type() != "FC" &&
      IsChannelsFirst(graph->node(next)) != channels_first) {
    return Status::Ok();
  }
  std::vector<float> weights(w->floats, w->floats + w->count());
  int64_t inner = 1;
  for (std::size_t i = static_cast<std::size_t>(axis) + 1; i < w->shape.size();
       ++i) {
    inner *= w->shape[i];
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const auto channel =
        static_cast<std::size_t>((static_cast<int64_t>(i) / inner) % channels);
    weights[i] = static_cast<float>(weights[i] * affine.factors[channel]);
  }
  std::vector<float> bias(static_cast<std::size_t>(channels));
  for (std::size_t c = 0; c < bias.size(); ++c) {
    bias[c] = static_cast<float>((b == nullptr ? 0.0 : b->floats[c]) *
                                     affine.factors[c] +
                                 affine.shifts[c]);
  }
  const std::string w_name = graph->value(node.inputs[1]).name;
  const std::string b_name =
      b == nullptr ? w_name + "_bias" : graph->value(node.inputs[2]).name;
  const int new_w = graph->AddConstant(
      w_name + "_folded", Constant::OfFloats(w->shape, std::move(weights)));
  const int new_b = graph->AddConstant(
      b_name + "_folded", Constant::OfFloats({channels}, std::move(bias)));
  const caffe2::OperatorDef op = graph->node(id).op;
  graph->Merge(id, next, op);
  graph->SetInput(next, 1, new_w);
  if (graph->node(next).inputs.size() > 2) {
    graph->SetInput(next, 2, new_b);
  } else {
    graph->AddInput(next, new_b);
  }
  *merged = next;
  return Status::Ok();
}

}  // namespace

Status Fold(Rewrite* rewrite) {
  for (int id = 0; id < rewrite->graph.num_nodes(); ++id) {
    if (rewrite->graph.node(id).is_removed) continue;
    const std::string& type = rewrite->graph.node(id).type();
    if (type != "Conv" && type != "ConvTranspose" && type != "FC") continue;
    // The merged node stands later, and is met there again.
    int merged = kNone;
    RETURN_IF_ERROR(FoldNext(rewrite, id, &merged));
  }
  rewrite->graph.RemoveUnused();
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
