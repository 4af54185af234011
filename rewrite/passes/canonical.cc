// Brings operators that mean the same into one form: what only hands a value on
// goes; a product with a constant is an FC; an FC flattens its input itself.
#include <algorithm>
#include <limits>

#include "base/return_if_error.h"
#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

bool IsFloatConstant(const Value& value, std::size_t rank) {
  return value.constant.has_value() &&
         value.constant->type == Constant::Type::kFloat &&
         value.constant->shape.size() == rank;
}

// An operator whose first output is its first input.
bool HandsOn(const Graph& graph, const Node& node) {
  const std::string& type = node.type();
  if (node.inputs.empty() || node.outputs.empty()) return false;
  if (node.op.device_option().device_type() != 0) return false;
  if (type == "Alias" || type == "Copy" || type == "StopGradient") {
    return node.outputs.size() == 1;
  }
  if (type == "Sum") return node.inputs.size() == 1;
  if (type == "Dropout" && IntArgument(node.op, "is_test", 0) == 1) {
    return node.outputs.size() == 1 ||
           (graph.value(node.outputs[1]).uses.empty() &&
            !graph.value(node.outputs[1]).is_external_output &&
            !graph.value(node.outputs[1]).is_pinned);
  }
  return false;
}

// FCTransposed, MatMul and BatchMatMul by a constant matrix become FC.
void MakeFc(Graph* graph, int id) {
  Node& node = graph->node(id);
  const std::string type = node.type();
  if (node.inputs.size() < 2 || node.outputs.size() != 1) return;
  const Value& x = graph->value(node.inputs[0]);
  const Value w = graph->value(node.inputs[1]);
  if (!IsFloatConstant(w, 2)) return;
  int64_t axis = 1;
  bool is_transposed = false;  // [K, N]
  if (type == "FCTransposed") {
    if (IntArgument(node.op, "axis_w", 1) != 1) return;
    axis = IntArgument(node.op, "axis", 1);
    is_transposed = true;
  } else if (type == "MatMul") {
    if (IntArgument(node.op, "trans_a", 0) != 0 ||
        IntArgument(node.op, "axis_b", 1) != 1) {
      return;
    }
    axis = IntArgument(node.op, "axis_a", 1);
    is_transposed = IntArgument(node.op, "trans_b", 0) == 0;
    // A MatMul's output has two dimensions, whatever its input has.
    if (x.rank() != 2) return;
  } else if (type == "BatchMatMul") {
    if (IntArgument(node.op, "trans_a", 0) != 0 || x.rank() < 2) return;
    if (x.rank() > 2 && IntArgument(node.op, "broadcast", 0) == 0) return;
    axis = x.rank() - 1;
    is_transposed = IntArgument(node.op, "trans_b", 0) == 0;
  } else {
    return;
  }
  if (is_transposed) {
    graph->SetInput(id, 1,
                    graph->AddConstant(w.name + "_transposed",
                                       Transposed(*w.constant, {1, 0})));
  }
  const int64_t outputs = w.constant->shape[is_transposed ? 1 : 0];
  if (node.inputs.size() == 2) {
    graph->AddInput(
        id, graph->AddConstant(
                w.name + "_zero_bias",
                Constant::OfFloats(
                    {outputs},
                    std::vector<float>(static_cast<std::size_t>(outputs), 0))));
  }
  Node& fc = graph->node(id);
  fc.op.clear_arg();
  fc.op.set_type("FC");
  if (axis != 1) SetInt("axis", axis, &fc.op);
}

// An FC whose weight has more than two dimensions.
void FlattenWeight(Graph* graph, int id) {
  Node& node = graph->node(id);
  if (node.type() != "FC" || node.inputs.size() < 2) return;
  const Value w = graph->value(node.inputs[1]);
  if (!w.constant.has_value() || w.constant->shape.size() <= 2 ||
      w.constant->type != Constant::Type::kFloat) {
    return;
  }
  const int64_t axis = IntArgument(node.op, "axis_w", 1);
  if (axis < 1 || axis >= static_cast<int64_t>(w.constant->shape.size()))
    return;
  Constant flat = *w.constant;
  int64_t rows = 1, columns = 1;
  for (std::size_t i = 0; i < flat.shape.size(); ++i) {
    (static_cast<int64_t>(i) < axis ? rows : columns) *= flat.shape[i];
  }
  flat.shape = {rows, columns};
  RemoveArgument("axis_w", &node.op);
  graph->SetInput(id, 1, graph->AddConstant(w.name + "_flat", std::move(flat)));
}

// Whether y is x with all axes but the first one joined.
bool JoinsAxes(const Value& x, const Value& y) {
  if (!x.has_shape || !y.has_shape || x.rank() < 2 || y.rank() != 2)
    return false;
  int64_t columns = 1;
  for (std::size_t i = 1; i < x.shape.size(); ++i) {
    if (x.shape[i] < 1 || columns > y.shape[1] / x.shape[i]) return false;
    columns *= x.shape[i];
  }
  return y.shape[1] == columns && y.shape[0] == x.shape[0];
}

// Flatten, Reshape or Squeeze before an FC, which joins axes itself. So a batch
// size that a Reshape fixes has no effect any more.
void SkipFlatten(Graph* graph, int id) {
  Node& node = graph->node(id);
  if (node.type() != "FC" || node.inputs.empty() ||
      IntArgument(node.op, "axis", 1) != 1) {
    return;
  }
  for (;;) {
    const Value& y = graph->value(node.inputs[0]);
    if (y.producer == kNone) return;
    const Node& before = graph->node(y.producer);
    const std::string& type = before.type();
    if ((type != "Flatten" && type != "Reshape" && type != "Squeeze") ||
        y.slot != 0 || before.inputs.empty()) {
      return;
    }
    const int x = before.inputs[0];
    const bool joins =
        (type == "Flatten" && IntArgument(before.op, "axis", 1) == 1 &&
         graph->value(x).rank() >= 2) ||
        JoinsAxes(graph->value(x), y);
    if (!joins) return;
    // This use alone moves to the value before.
    if (!graph->MayRead(x, id) || graph->WritesOver(id, x)) return;
    graph->SetInput(id, 0, x);
  }
}

}  // namespace

Status Canonical(Rewrite* rewrite) {
  Graph* const graph = &rewrite->graph;
  for (const int id : graph->Order()) {
    if (HandsOn(*graph, graph->node(id))) {
      const int output = graph->node(id).outputs[0];
      const int input = graph->node(id).inputs[0];
      if (graph->MayReplace(output, input)) {
        graph->ReplaceUses(output, input);
        rewrite->Decide(graph->node(id), Reason::kUnused,
                        "it hands on '" + graph->value(input).name + "'");
        graph->Remove(id);
        continue;
      }
    }
    MakeFc(graph, id);
    FlattenWeight(graph, id);
    SkipFlatten(graph, id);
    Node& node = graph->node(id);
    if (node.type() == "Clip" && FloatArgument(node.op, "min", -1) == 0 &&
        FloatArgument(node.op, "max", std::numeric_limits<float>::max()) >=
            std::numeric_limits<float>::max()) {
      node.op.clear_arg();
      node.op.set_type("Relu");
    }
  }
  graph->RemoveUnused();
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
