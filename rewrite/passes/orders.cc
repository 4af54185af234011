// Decides which int8 values lie channels last: those that convolutions, pools
// and the like make or read, and what is computed of them value by value.
#include <algorithm>

#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

bool IsLast(const Rewrite& rewrite, int value) {
  return rewrite.values[static_cast<std::size_t>(value)].order ==
         Order::kChannelsLast;
}

// Whether one of the inputs that int8 operators make lies channels last.
bool AnyLast(const Rewrite& rewrite, const Node& node) {
  const std::vector<int> slots = DataSlots(node);
  return std::any_of(slots.begin(), slots.end(), [&](int slot) {
    const int input = node.inputs[static_cast<std::size_t>(slot)];
    return rewrite.values[static_cast<std::size_t>(input)].is_int8 &&
           IsLast(rewrite, input);
  });
}

// Whether all data inputs have the same number of axes.
bool HaveOneRank(const Rewrite& rewrite, const Node& node) {
  const int rank = rewrite.graph.value(node.inputs[0]).rank();
  const std::vector<int> slots = DataSlots(node);
  return rank >= 3 && std::all_of(slots.begin(), slots.end(), [&](int slot) {
           return rewrite.graph
                      .value(node.inputs[static_cast<std::size_t>(slot)])
                      .rank() == rank;
         });
}

// Whether the columns of an FC's weight can follow an input that lies channels
// last: its sizes are known.
bool MayPermuteColumns(const Rewrite& rewrite, const Node& node) {
  const Value& x = rewrite.graph.value(node.inputs[0]);
  const Value& w = rewrite.graph.value(node.inputs[1]);
  if (IntArgument(node.op, "axis", 1) != 1 || x.rank() < 3 ||
      !w.constant.has_value() || w.constant->shape.size() != 2) {
    return false;
  }
  const int64_t columns = w.constant->shape[1];
  int64_t count = 1;
  for (std::size_t i = 1; i < x.shape.size(); ++i) {
    if (x.shape[i] < 1 || count > columns / x.shape[i]) return false;
    count *= x.shape[i];
  }
  return count == columns;
}

}  // namespace

bool SwitchesNothing(const Rewrite& rewrite, const Node& node) {
  return FindInt8Form(node.type())->layout == Layout::kOrderSwitch &&
         !(rewrite.options.int8_io &&
           rewrite.graph.value(node.outputs[0]).is_external_output);
}

Order InputOrder(const Rewrite& rewrite, int id) {
  const Node& node = rewrite.graph.node(id);
  const int rank = rewrite.graph.value(node.inputs[0]).rank();
  const auto last_if = [](bool is_last) {
    return is_last ? Order::kChannelsLast : Order::kNatural;
  };
  switch (FindInt8Form(node.type())->layout) {
    case Layout::kWindow:
      return last_if(IsChannelsFirst(node) && rank >= 3);
    case Layout::kAny:
    case Layout::kAxis:
    case Layout::kSlices:
      return last_if(AnyLast(rewrite, node) && HaveOneRank(rewrite, node));
    case Layout::kBroadcast:
      // Where a smaller operand is put at an axis, the axes stay.
      return last_if(AnyLast(rewrite, node) && HaveOneRank(rewrite, node) &&
                     !HasArgument(node.op, "axis"));
    case Layout::kColumns:
      return last_if(AnyLast(rewrite, node) &&
                     MayPermuteColumns(rewrite, node));
    case Layout::kOrderSwitch:
      return last_if(node.type() == "NCHW2NHWC" &&
                     SwitchesNothing(rewrite, node));
    case Layout::kNatural:
      break;
  }
  return Order::kNatural;
}

Status Orders(Rewrite* rewrite) {
  for (const int id : rewrite->graph.Order()) {
    if (!rewrite->nodes[static_cast<std::size_t>(id)].is_int8) continue;
    const Node& node = rewrite->graph.node(id);
    const Layout layout = FindInt8Form(node.type())->layout;
    Order order = InputOrder(*rewrite, id);
    if (layout == Layout::kColumns) order = Order::kNatural;
    if (layout == Layout::kOrderSwitch) {
      order = node.type() == "NHWC2NCHW" && SwitchesNothing(*rewrite, node)
                  ? Order::kChannelsLast
                  : Order::kNatural;
    }
    for (int i = 0; i < NumDataOutputs(node); ++i) {
      rewrite
          ->values[static_cast<std::size_t>(
              node.outputs[static_cast<std::size_t>(i)])]
          .order = order;
    }
  }
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
