// Decides which operators are int8. Those that compute always are, if they can
// be; those that move values or work element by element are where their
// neighbours are.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/return_if_error.h"
#include "base/text.h"
#include "rewrite/passes/passes.h"
#include "rewrite/selector.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

// Also of a type that no weight has: GivenTensorBoolFill,
// GivenTensorStringFill, ...
bool MakesConstant(const caffe2::OperatorDef& op) {
  const std::string prefix = "GivenTensor", suffix = "Fill";
  const std::string& type = op.type();
  return IsConstantFill(op) || (op.input_size() == 0 &&
                                type.size() >= prefix.size() + suffix.size() &&
                                type.compare(0, prefix.size(), prefix) == 0 &&
                                type.compare(type.size() - suffix.size(),
                                             suffix.size(), suffix) == 0);
}

class Planner {
 public:
  Planner(Rewrite* rewrite, std::vector<bool> keep_float,
          std::vector<bool> only)
      : rewrite_(rewrite),
        graph_(rewrite->graph),
        keep_float_(std::move(keep_float)),
        only_(std::move(only)) {}

  Status Run() {
    rewrite_->nodes.assign(static_cast<std::size_t>(graph_.num_nodes()), {});
    const std::vector<int> order = graph_.Order();
    for (const int id : order) {
      const Node& node = graph_.node(id);
      Decision why;
      const bool can = CanBeInt8(node, &why);
      Plan(id).is_int8 = can;
      if (!can) rewrite_->Decide(node, why.reason, why.detail);
    }
    if (rewrite_->recipe != nullptr) {
      for (const int id : order) RETURN_IF_ERROR(TakeFromRecipe(id));
    } else {
      // Each round can only take operators away, so it ends. One of them looks
      // from the inputs on, the next one back: chains are done in one.
      std::vector<int> sweep = order;
      for (bool changed = true, again = true; changed || again;) {
        again = changed;
        changed = false;
        for (const int id : sweep) {
          if (Plan(id).is_int8 && !IsWorthIt(id)) {
            Plan(id).is_int8 = false;
            changed = true;
          }
        }
        if (DropIslands(order)) changed = true;
        std::reverse(sweep.begin(), sweep.end());
      }
    }
    for (const int id : order) {
      if (Plan(id).is_int8) {
        rewrite_->Decide(graph_.node(id), Reason::kInt8);
      }
    }
    return Status::Ok();
  }

 private:
  NodePlan& Plan(int id) {
    return rewrite_->nodes[static_cast<std::size_t>(id)];
  }

  bool IsSelected(const Node& node, const std::vector<bool>& selected) const {
    return std::any_of(node.origins.begin(), node.origins.end(), [&](int i) {
      return selected[static_cast<std::size_t>(i)];
    });
  }

  static bool Refuse(Decision* why, Reason reason,
                     const std::string& detail = "") {
    why->reason = reason;
    why->detail = detail;
    return false;
  }

  bool CanBeInt8(const Node& node, Decision* why) const {
    if (MakesConstant(node.op)) return Refuse(why, Reason::kConstant);
    if (!node.hidden_inputs.empty() || !node.hidden_outputs.empty()) {
      return Refuse(why, Reason::kControlFlow);
    }
    const Int8Form* const form = FindInt8Form(node.type());
    // ConvSum is what the pass fuse makes; a float net has no such operator.
    if (form == nullptr || node.type() == "ConvSum") {
      return Refuse(why, Reason::kNoInt8Form);
    }
    if (IsSelected(node, keep_float_)) return Refuse(why, Reason::kKeptFloat);
    if (!only_.empty() && !IsSelected(node, only_)) {
      return Refuse(why, Reason::kNotSelected);
    }
    const caffe2::DeviceOption& device =
        node.op.device_option().has_device_type()
            ? node.op.device_option()
            : graph_.net().device_option();
    if (device.device_type() != 0) {
      return Refuse(why, Reason::kDevice,
                    "device_type " + std::to_string(device.device_type()));
    }
    if (!rewrite_->Has(form->int8_type)) {
      return Refuse(why, Reason::kNotRegistered, form->int8_type);
    }
    const std::vector<int> slots = DataSlots(node);
    if (slots.empty() || node.outputs.empty()) {
      return Refuse(why, Reason::kUnsupported, "it has no inputs or outputs");
    }
    const bool has_aside = node.type() == "Concat" || node.type() == "Reshape";
    if (node.outputs.size() > (has_aside ? 2 : 1) && node.type() != "Split") {
      return Refuse(why, Reason::kUnsupported,
                    std::to_string(node.outputs.size()) + " outputs");
    }
    for (const int slot : slots) {
      if (!IsMeasured(graph_.value(node.inputs[static_cast<std::size_t>(slot)]),
                      why)) {
        return false;
      }
    }
    for (int i = 0; i < NumDataOutputs(node); ++i) {
      const Value& output =
          graph_.value(node.outputs[static_cast<std::size_t>(i)]);
      // What keeps its input's parameters needs no range of its own.
      if (!IsMeasured(output, why) && (form->parameters == Parameters::kOwn ||
                                       why->reason != Reason::kNotMeasured)) {
        return false;
      }
    }
    why->reason = Reason::kInt8;
    return AreArgumentsRight(node, *form, why);
  }

  bool IsMeasured(const Value& value, Decision* why) const {
    if (value.constant.has_value()) {
      if (value.constant->type != Constant::Type::kFloat) {
        return Refuse(why, Reason::kNotFloat, "'" + value.name + "'");
      }
      if (!std::all_of(value.constant->floats,
                       value.constant->floats + value.constant->count(),
                       [](float v) { return std::isfinite(v); })) {
        return Refuse(why, Reason::kNotFinite, "'" + value.name + "'");
      }
      return true;
    }
    const Measured* const measured = MeasuredOf(*rewrite_, value);
    if (measured == nullptr) {
      return Refuse(why, Reason::kNotMeasured, "'" + value.name + "'");
    }
    if (measured->type != "float") {
      return Refuse(
          why, Reason::kNotFloat,
          "'" + value.name + "' is " +
              (measured->type.empty() ? "of several types" : measured->type));
    }
    if (measured->nan_count + measured->infinity_count > 0) {
      return Refuse(why, Reason::kNotFinite,
                    "'" + value.name +
                        "': " + std::to_string(measured->nan_count) + " NaN, " +
                        std::to_string(measured->infinity_count) + " infinite");
    }
    if (measured->range.empty() && !measured->has_parameters) {
      return Refuse(why, Reason::kNotMeasured, "'" + value.name + "'");
    }
    return true;
  }

  // Weights of a product: constant, finite floats of so many dimensions.
  bool IsWeight(const Node& node, std::size_t slot, int rank,
                Decision* why) const {
    const Value& value = graph_.value(node.inputs[slot]);
    if (!value.constant.has_value()) {
      return Refuse(why, Reason::kNotConstant, "'" + value.name + "'");
    }
    if (!IsMeasured(value, why)) return false;
    if (static_cast<int>(value.constant->shape.size()) != rank ||
        value.constant->count() == 0) {
      return Refuse(
          why, Reason::kUnsupported,
          "'" + value.name + "' has sizes " + DimsText(value.constant->shape));
    }
    return true;
  }

  bool AreArgumentsRight(const Node& node, const Int8Form& form,
                         Decision* why) const {
    const std::string& type = node.type();
    const caffe2::OperatorDef& op = node.op;
    const Value& x = graph_.value(node.inputs[0]);
    const auto unsupported = [&](const std::string& detail) {
      return Refuse(why, Reason::kUnsupported, detail);
    };
    if (form.layout == Layout::kWindow) {
      const std::string order = StringArgument(op, "order", "NCHW");
      if (order != "NCHW" && order != "NHWC") {
        return unsupported("order '" + order + "'");
      }
      if (x.rank() < 0) {
        return Refuse(why, Reason::kUnknownShape, "'" + x.name + "'");
      }
      // Transposed codes have three to five dimensions.
      if (x.rank() > 5) {
        return unsupported("an input of " + std::to_string(x.rank()) +
                           " dimensions");
      }
    }
    if (form.layout == Layout::kOrderSwitch && (x.rank() < 3 || x.rank() > 5)) {
      return Refuse(why, Reason::kUnknownShape, "'" + x.name + "'");
    }
    float scale = 0;
    int32_t zero_point = 0;
    if (rewrite_->options.activation_bits != 8 &&
        FixedParameters(form.parameters, &scale, &zero_point)) {
      return unsupported("its codes have 8 bits");
    }
    if (rewrite_->options.engine == "DNNLOWP") {
      if (type == "Sigmoid" || type == "Tanh") {
        return unsupported("DNNLOWP does not read the input's scale");
      }
      if (type == "AveragePool" &&
          (x.rank() < 4 || IntArgument(op, "count_include_pad", 0) != 0)) {
        return unsupported(
            "DNNLOWP has neither one dimension nor "
            "count_include_pad");
      }
      if (form.layout == Layout::kBroadcast && !HaveOneShape(node)) {
        return unsupported("DNNLOWP adds and multiplies tensors of one shape");
      }
      if (type == "Gather" && IntArgument(op, "match_outer", 0) != 0) {
        return unsupported("match_outer");
      }
    }
    if (type == "Conv" || type == "ConvTranspose") {
      if (node.inputs.size() < 2 || node.inputs.size() > 3) {
        return unsupported(std::to_string(node.inputs.size()) + " inputs");
      }
      if (x.rank() < 3 || x.rank() > 5) {
        return unsupported("an input of " + std::to_string(x.rank()) +
                           " dimensions");
      }
      if (!IsWeight(node, 1, x.rank(), why) ||
          (node.inputs.size() == 3 && !IsWeight(node, 2, 1, why))) {
        return false;
      }
      const std::vector<int64_t>& filter =
          graph_.value(node.inputs[1]).constant->shape;
      const int64_t groups = IntArgument(op, "group", 1);
      if (groups < 1 || filter[0] % groups != 0) {
        return unsupported(std::to_string(groups) + " groups of " +
                           std::to_string(filter[0]) + " channels");
      }
      return true;
    }
    if (type == "FC") {
      if (node.inputs.size() != 3) return unsupported("no bias");
      return IsWeight(node, 1, 2, why) && IsWeight(node, 2, 1, why);
    }
    if (type == "SpatialBN") {
      if (IntArgument(op, "is_test", 0) != 1) {
        return unsupported("is_test is not 1");
      }
      return true;
    }
    if (type == "ResizeNearest") {
      if (x.rank() != 4 || node.inputs.size() != 1 ||
          StringArgument(op, "order", "NCHW") != "NCHW") {
        return unsupported("an input of scales, or another order than NCHW");
      }
    }
    if (form.layout == Layout::kBroadcast || type == "Sum") {
      for (const int id : node.inputs) {
        if (graph_.value(id).rank() < 0) {
          return Refuse(why, Reason::kUnknownShape,
                        "'" + graph_.value(id).name + "'");
        }
      }
      if (HasArgument(op, "axis_str")) return unsupported("axis_str");
    }
    if (form.layout == Layout::kAxis) {
      if (x.rank() < 0) {
        return Refuse(why, Reason::kUnknownShape, "'" + x.name + "'");
      }
      if (IntArgument(op, "add_axis", 0) != 0) return unsupported("add_axis");
      if (type == "Split" && node.inputs.size() != 1) {
        return unsupported("sizes as an input");
      }
    }
    if (form.layout == Layout::kSlices &&
        (node.inputs.size() != 1 || x.rank() < 0)) {
      return unsupported("starts and ends as inputs");
    }
    if (type == "Reshape") {
      if (node.inputs.size() == 2 &&
          !graph_.value(node.inputs[1]).constant.has_value()) {
        return Refuse(why, Reason::kNotConstant,
                      "'" + graph_.value(node.inputs[1]).name + "'");
      }
    }
    if (type == "Gather" &&
        (HasArgument(op, "axis") || HasArgument(op, "match_outer"))) {
      if (IntArgument(op, "axis", 0) != 0) return unsupported("axis");
    }
    if (type == "Gather" && x.constant.has_value()) {
      return unsupported("a table that is a weight");
    }
    if (type == "Softmax" && x.rank() < 0) {
      return Refuse(why, Reason::kUnknownShape, "'" + x.name + "'");
    }
    return true;
  }

  bool HaveOneShape(const Node& node) const {
    const Value& x = graph_.value(node.inputs[0]);
    return x.has_shape &&
           std::all_of(node.inputs.begin(), node.inputs.end(), [&](int input) {
             const Value& other = graph_.value(input);
             return other.has_shape && other.shape == x.shape;
           });
  }

  // Whether codes of a float value are made anyway, for what computes.
  bool IsQuantizedAnyway(int value) const {
    const Value& of = graph_.value(value);
    return std::any_of(of.uses.begin(), of.uses.end(), [&](const Use& use) {
      return IsInt8Use(use) &&
             FindInt8Form(graph_.node(use.node).type())->region ==
                 Region::kComputing;
    });
  }

  bool IsProducedInt8(int value) const {
    const int producer = graph_.value(value).producer;
    return producer != kNone &&
           rewrite_->nodes[static_cast<std::size_t>(producer)].is_int8;
  }

  bool IsReadAsFloat(int value) const {
    const Value& of = graph_.value(value);
    return of.is_external_output || of.is_pinned ||
           std::any_of(of.uses.begin(), of.uses.end(),
                       [&](const Use& use) { return !IsInt8Use(use); });
  }

  bool IsReadAsInt8(int value) const {
    const Value& of = graph_.value(value);
    return std::any_of(of.uses.begin(), of.uses.end(),
                       [&](const Use& use) { return IsInt8Use(use); });
  }

  bool IsInt8Use(const Use& use) const {
    if (!rewrite_->nodes[static_cast<std::size_t>(use.node)].is_int8) {
      return false;
    }
    const std::vector<int> slots = DataSlots(graph_.node(use.node));
    return std::find(slots.begin(), slots.end(), use.slot) != slots.end();
  }

  bool IsWorthIt(int id) {
    const Node& node = graph_.node(id);
    const Int8Form& form = *FindInt8Form(node.type());
    if (form.region == Region::kComputing) return true;
    bool all_int8 = true, any_int8 = false;
    for (const int slot : DataSlots(node)) {
      const int input = node.inputs[static_cast<std::size_t>(slot)];
      if (IsProducedInt8(input)) {
        any_int8 = true;
      } else if (!graph_.value(input).constant.has_value() &&
                 !IsQuantizedAnyway(input)) {
        all_int8 = false;
      }
    }
    bool read_as_int8 = false, read_as_float = false;
    for (int i = 0; i < NumDataOutputs(node); ++i) {
      const int output = node.outputs[static_cast<std::size_t>(i)];
      read_as_int8 = read_as_int8 || IsReadAsInt8(output);
      read_as_float = read_as_float || IsReadAsFloat(output);
    }
    if (form.parameters == Parameters::kSoftmax && !read_as_int8) {
      rewrite_->Decide(node, Reason::kLastSoftmax);
      return false;
    }
    // A Relu before codes are made lets them have the range that it leaves.
    const bool may_begin =
        read_as_int8 && !read_as_float && node.type() != "Relu";
    const bool worth = form.region == Region::kMoving
                           ? any_int8 || may_begin
                           : any_int8 && (all_int8 || read_as_int8);
    if (!worth) rewrite_->Decide(node, Reason::kIsland);
    return worth;
  }

  // Takes away what hangs together without one operator that computes.
  bool DropIslands(const std::vector<int>& order) {
    std::vector<int> group(static_cast<std::size_t>(graph_.num_nodes()));
    for (std::size_t i = 0; i < group.size(); ++i) {
      group[i] = static_cast<int>(i);
    }
    const auto find = [&](int id) {
      while (group[static_cast<std::size_t>(id)] != id) {
        int& above = group[static_cast<std::size_t>(id)];
        id = above = group[static_cast<std::size_t>(above)];
      }
      return id;
    };
    for (const int id : order) {
      if (!Plan(id).is_int8) continue;
      for (const int slot : DataSlots(graph_.node(id))) {
        const int input =
            graph_.node(id).inputs[static_cast<std::size_t>(slot)];
        if (!IsProducedInt8(input)) continue;
        group[static_cast<std::size_t>(find(graph_.value(input).producer))] =
            find(id);
      }
    }
    std::vector<bool> computes(group.size(), false);
    for (const int id : order) {
      if (Plan(id).is_int8 &&
          FindInt8Form(graph_.node(id).type())->region == Region::kComputing) {
        computes[static_cast<std::size_t>(find(id))] = true;
      }
    }
    bool dropped = false;
    for (const int id : order) {
      if (!Plan(id).is_int8 || computes[static_cast<std::size_t>(find(id))]) {
        continue;
      }
      Plan(id).is_int8 = false;
      rewrite_->Decide(graph_.node(id), Reason::kIsland);
      dropped = true;
    }
    return dropped;
  }

  // Whether the recipe wants an operator to be int8, by itself or within
  // another one.
  bool IsAsked(int origin) const {
    const auto& operators = rewrite_->recipe->operators;
    const Decision& decision =
        operators[static_cast<std::size_t>(origin)].decision;
    if (decision.reason == Reason::kInt8) return true;
    if (decision.reason != Reason::kFolded) return false;
    const std::string prefix = "operator ";
    const std::string& detail = decision.detail;
    std::size_t by = operators.size();
    if (detail.compare(0, prefix.size(), prefix) != 0 ||
        std::from_chars(detail.data() + prefix.size(),
                        detail.data() + detail.size(), by)
                .ec != std::errc()) {
      return false;
    }
    return by < operators.size() &&
           operators[by].decision.reason == Reason::kInt8;
  }

  Status TakeFromRecipe(int id) {
    const Node& node = graph_.node(id);
    const bool asked = std::any_of(node.origins.begin(), node.origins.end(),
                                   [&](int origin) { return IsAsked(origin); });
    if (asked && !Plan(id).is_int8) {
      const Decision& why =
          rewrite_->decisions[static_cast<std::size_t>(node.origins.back())];
      return Status::InvalidArgument(
          "the recipe wants " + NameOf(graph_, id) + " to be int8, but " +
          Explanation(why.reason) +
          (why.detail.empty() ? "" : " (" + why.detail + ")"));
    }
    if (!asked && Plan(id).is_int8) {
      const Decision& given =
          rewrite_->recipe
              ->operators[static_cast<std::size_t>(node.origins.front())]
              .decision;
      // The reason that the recipe gives stays, so that it gives itself again.
      rewrite_->Decide(node, given.reason, given.detail);
    }
    Plan(id).is_int8 = asked;
    return Status::Ok();
  }

  Rewrite* const rewrite_;
  const Graph& graph_;
  const std::vector<bool> keep_float_;
  const std::vector<bool> only_;
};

}  // namespace

std::vector<int> DataSlots(const Node& node) {
  const std::string& type = node.type();
  std::size_t count = 1;
  if (type == "BatchMatMul" || type == "Add" || type == "Mul") count = 2;
  if (type == "Sum" || type == "Concat") count = node.inputs.size();
  std::vector<int> slots;
  if (type == "ConvSum") return {0, static_cast<int>(node.inputs.size()) - 1};
  for (std::size_t i = 0; i < std::min(count, node.inputs.size()); ++i) {
    slots.push_back(static_cast<int>(i));
  }
  return slots;
}

const Measured* MeasuredOf(const Rewrite& rewrite, const Value& value) {
  if (value.slot == kNone) return nullptr;
  return value.origin == kNone
             ? rewrite.measurements->Input(value.name)
             : rewrite.measurements->Output(value.origin, value.origin_slot);
}

int NumDataOutputs(const Node& node) {
  return node.type() == "Split" ? static_cast<int>(node.outputs.size()) : 1;
}

bool IsChannelsFirst(const Node& node) {
  return StringArgument(node.op, "order", "NCHW") != "NHWC";
}

Status Regions(Rewrite* rewrite) {
  std::vector<bool> keep_float, only;
  RETURN_IF_ERROR(SelectOperators(*rewrite->predict, "keep_float",
                                  rewrite->options.keep_float, &keep_float));
  RETURN_IF_ERROR(
      SelectOperators(*rewrite->predict, "only", rewrite->options.only, &only));
  if (rewrite->options.only.empty()) only.clear();
  return Planner(rewrite, std::move(keep_float), std::move(only)).Run();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
