// Writes the int8 net: int8 operators, what quantizes and dequantizes between
// them and float ones, and the fills of their weights.
//
// A float value keeps its blob, and is quantized or dequantized right after it
// is made, so that blobs are written in the order of the float net. Codes have
// blobs of their own, one for each value and order of axes.
#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/return_if_error.h"
#include "netdef/dnnlowp_settings.h"
#include "netdef/given_weights.h"
#include "quantization/kernels/min_max.h"
#include "quantization/quantize_weights.h"
#include "rewrite/passes/passes.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

constexpr char kOnednn[] = "ONEDNN";

// From the axes of channels second to those of channels last, and back: axis i
// of the one is axis order[i] of the other.
std::vector<int> ToChannelsLast(int rank) {
  std::vector<int> order = {0};
  for (int i = 2; i < rank; ++i) order.push_back(i);
  order.push_back(1);
  return order;
}

int64_t AxisLast(int64_t axis, int rank) {
  if (axis < 0) axis += rank;  // of Concat and Split
  if (axis == 1) return rank - 1;
  return axis > 1 ? axis - 1 : axis;
}

class Emitter {
 public:
  explicit Emitter(Rewrite* rewrite)
      : rewrite_(rewrite), graph_(rewrite->graph) {}

  Status Run() {
    net_ = graph_.net();
    net_.clear_external_input();
    names_.resize(static_cast<std::size_t>(graph_.num_values()));
    FindDemand();
    for (const int value : graph_.outside()) RETURN_IF_ERROR(AfterFloat(value));
    for (const int id : graph_.Order()) {
      if (rewrite_->nodes[static_cast<std::size_t>(id)].is_int8) {
        RETURN_IF_ERROR(EmitInt8(id));
      } else {
        RETURN_IF_ERROR(EmitFloat(id));
      }
    }
    FinishNets(std::move(net_), std::move(fills_), rewrite_);
    return Status::Ok();
  }

 private:
  // The blobs of a value's codes.
  struct Names {
    std::string natural;
    std::string last;
    std::string& Of(Order order) {
      return order == Order::kNatural ? natural : last;
    }
  };

  const ValuePlan& Plan(int value) const {
    return rewrite_->values[static_cast<std::size_t>(value)];
  }

  bool IsInt8(int node) const {
    return rewrite_->nodes[static_cast<std::size_t>(node)].is_int8;
  }

  const Parameters8& ParametersOf(int value) const {
    return rewrite_->sets[static_cast<std::size_t>(Plan(value).set)].parameters;
  }

  // Finds in which orders the codes of each value are read.
  void FindDemand() {
    for (const int id : graph_.Order()) {
      if (!IsInt8(id)) continue;
      const Node& node = graph_.node(id);
      const Order order = InputOrder(*rewrite_, id);
      for (const int slot : DataSlots(node)) {
        demand_[node.inputs[static_cast<std::size_t>(slot)]].insert(order);
      }
    }
  }

  bool IsReadAsFloat(int value) const {
    const Value& of = graph_.value(value);
    if (of.is_pinned) return true;
    if (of.is_external_output && !rewrite_->options.int8_io) return true;
    return std::any_of(of.uses.begin(), of.uses.end(), [&](const Use& use) {
      if (!IsInt8(use.node)) return true;
      const std::vector<int> slots = DataSlots(graph_.node(use.node));
      return std::find(slots.begin(), slots.end(), use.slot) == slots.end();
    });
  }

  caffe2::OperatorDef* Add(const std::string& type,
                           const std::vector<std::string>& inputs,
                           const std::vector<std::string>& outputs) {
    caffe2::OperatorDef* const op = net_.add_op();
    op->set_type(type);
    for (const std::string& input : inputs) op->add_input(input);
    for (const std::string& output : outputs) op->add_output(output);
    if (type.compare(0, 4, "Int8") == 0) {
      op->set_engine(rewrite_->options.engine);
    }
    OnCpu(op);
    return op;
  }

  // Where the net's own device is another one, the CPU is named.
  void OnCpu(caffe2::OperatorDef* op) const {
    op->clear_device_option();
    if (graph_.net().device_option().device_type() != 0) {
      op->mutable_device_option()->set_device_type(0);
    }
  }

  std::string CodesName(int value, Order order) {
    const std::string& name = graph_.value(value).name;
    return rewrite_->graph.FreshName(
        name + (order == Order::kNatural ? "_int8" : "_int8_nhwc"));
  }

  void SetParameters(int value, caffe2::OperatorDef* op) const {
    const Parameters8& parameters = ParametersOf(value);
    SetStaticParameters(0, parameters.scale, parameters.zero_point, op);
    if (rewrite_->options.activation_bits != 8) {
      SetInt("activation_precision", rewrite_->options.activation_bits, op);
    }
  }

  // Whether an external input is fed as codes.
  bool IsInt8Input(int value) const {
    const Value& of = graph_.value(value);
    return rewrite_->options.int8_io && of.producer == kNone &&
           !of.constant.has_value() && !of.is_pinned && !IsReadAsFloat(value);
  }

  // Quantizes a value that is there as floats, in each order that is read.
  Status AfterFloat(int value) {
    const auto demand = demand_.find(value);
    if (demand == demand_.end()) return Status::Ok();
    const Value& of = graph_.value(value);
    Names& names = names_[static_cast<std::size_t>(value)];
    if (of.constant.has_value()) {
      for (const Order order : demand->second) FillCodes(value, order);
      return Status::Ok();
    }
    if (IsInt8Input(value)) {
      names.natural = of.name;
      return Status::Ok();  // what reads it otherwise transposes it
    }
    for (const Order order : demand->second) {
      std::string source = of.name;
      const bool swaps = order == Order::kChannelsLast;
      if (swaps && !HasFusedOrder()) {
        source = rewrite_->graph.FreshName(of.name + "_nhwc");
        Add("NCHW2NHWC", {of.name}, {source});
      }
      names.Of(order) = CodesName(value, order);
      caffe2::OperatorDef* const op =
          Add("Int8Quantize", {source}, {names.Of(order)});
      SetParameters(value, op);
      if (swaps && HasFusedOrder()) SetString("input_order", "NCHW", op);
    }
    return Status::Ok();
  }

  bool HasFusedOrder() const { return rewrite_->options.engine == kOnednn; }

  // Codes of a constant, made by the init net.
  void FillCodes(int value, Order order) {
    Names& names = names_[static_cast<std::size_t>(value)];
    Constant constant = *graph_.value(value).constant;
    if (order == Order::kChannelsLast) {
      constant = Transposed(
          constant, ToChannelsLast(static_cast<int>(constant.shape.size())));
    }
    const Parameters8& parameters = ParametersOf(value);
    std::string codes(static_cast<std::size_t>(constant.count()), '\0');
    const int most = (1 << rewrite_->options.activation_bits) - 1;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const double code =
          std::nearbyint(static_cast<double>(constant.floats[i]) /
                         parameters.scale) +
          parameters.zero_point;
      codes[i] = static_cast<char>(
          static_cast<uint8_t>(std::min<double>(std::max(code, 0.0), most)));
    }
    names.Of(order) = CodesName(value, order);
    caffe2::OperatorDef fill;
    fill.set_type("Int8GivenTensorFill");
    fill.add_output(names.Of(order));
    caffe2::Argument* const shape = fill.add_arg();
    shape->set_name("shape");
    for (const int64_t dim : constant.shape) shape->add_ints(dim);
    SetString("values", codes, &fill);
    SetFloat("Y_scale", parameters.scale, &fill);
    SetInt("Y_zero_point", parameters.zero_point, &fill);
    fills_.push_back(std::move(fill));
  }

  // The blob of a value's codes in an order; made of the other one if need be.
  std::string Codes(int value, Order order) {
    Names& names = names_[static_cast<std::size_t>(value)];
    std::string& name = names.Of(order);
    if (name.empty()) {
      name = CodesName(value, order);
      SwitchOrder(value, order, name);
    }
    return name;
  }

  // Makes a value's codes in an order of those in the other one.
  void SwitchOrder(int value, Order order, const std::string& name) {
    Names& names = names_[static_cast<std::size_t>(value)];
    const bool to_last = order == Order::kChannelsLast;
    const std::string source =
        names.Of(to_last ? Order::kNatural : Order::kChannelsLast);
    if (HasFusedOrder()) {
      Add(to_last ? "Int8NCHW2NHWC" : "Int8NHWC2NCHW", {source}, {name});
      return;
    }
    // DNNLOWP transposes floats alone. Codes become the same codes again.
    const std::string floats = rewrite_->graph.FreshName(name + "_float");
    const std::string switched = rewrite_->graph.FreshName(name + "_switched");
    Add("Int8Dequantize", {source}, {floats});
    Add(to_last ? "NCHW2NHWC" : "NHWC2NCHW", {floats}, {switched});
    SetParameters(value, Add("Int8Quantize", {switched}, {name}));
  }

  // Floats of a value that an int8 operator has just made, where they are read.
  void AfterInt8(int value) {
    if (!IsReadAsFloat(value)) return;
    const Value& of = graph_.value(value);
    const Order order = Plan(value).order;
    const std::string& codes =
        names_[static_cast<std::size_t>(value)].Of(order);
    if (order == Order::kChannelsLast && !HasFusedOrder()) {
      const std::string floats = rewrite_->graph.FreshName(of.name + "_nhwc");
      Add("Int8Dequantize", {codes}, {floats});
      Add("NHWC2NCHW", {floats}, {of.name});
      return;
    }
    caffe2::OperatorDef* const op = Add("Int8Dequantize", {codes}, {of.name});
    if (order == Order::kChannelsLast) SetString("output_order", "NCHW", op);
  }

  Status EmitFloat(int id) {
    const Node& node = graph_.node(id);
    caffe2::OperatorDef* const op = net_.add_op();
    *op = node.op;
    op->clear_input();
    op->clear_output();
    for (const int input : node.inputs) op->add_input(graph_.value(input).name);
    for (const int output : node.outputs) {
      op->add_output(graph_.value(output).name);
    }
    for (const int output : node.outputs) RETURN_IF_ERROR(AfterFloat(output));
    return Status::Ok();
  }

  Status EmitInt8(int id) {
    const Node& node = graph_.node(id);
    const Int8Form& form = *FindInt8Form(node.type());
    const NodePlan& plan = rewrite_->nodes[static_cast<std::size_t>(id)];
    const Order in = InputOrder(*rewrite_, id);
    const std::vector<int> slots = DataSlots(node);
    std::vector<std::string> inputs;
    for (int slot = 0; slot < static_cast<int>(node.inputs.size()); ++slot) {
      const int input = node.inputs[static_cast<std::size_t>(slot)];
      inputs.push_back(std::find(slots.begin(), slots.end(), slot) !=
                               slots.end()
                           ? Codes(input, in)
                           : graph_.value(input).name);
    }
    if (SwitchesNothing(*rewrite_, node)) {
      // The codes lie as the other order has them already.
      const int output = node.outputs[0];
      names_[static_cast<std::size_t>(output)].Of(Plan(output).order) =
          inputs[0];
      rewrite_->Decide(node, Reason::kInt8, "its codes lie so already");
      AfterInt8(output);
      return Status::Ok();
    }
    std::vector<std::string> outputs;
    for (int slot = 0; slot < static_cast<int>(node.outputs.size()); ++slot) {
      const int output = node.outputs[static_cast<std::size_t>(slot)];
      if (slot >= NumDataOutputs(node)) {
        // Sizes and the like; some int8 operators do not make them.
        if (graph_.value(output).uses.empty() &&
            !graph_.value(output).is_external_output &&
            node.type() != "Concat" && node.type() != "Reshape") {
          continue;
        }
        outputs.push_back(graph_.value(output).name);
        continue;
      }
      const Order order = Plan(output).order;
      std::string& name = names_[static_cast<std::size_t>(output)].Of(order);
      const bool is_given = graph_.value(output).is_external_output &&
                            rewrite_->options.int8_io &&
                            !IsReadAsFloat(output) && order == Order::kNatural;
      name = is_given ? graph_.value(output).name : CodesName(output, order);
      outputs.push_back(name);
    }
    const std::string type = plan.has_relu ? form.with_relu : form.int8_type;
    caffe2::OperatorDef op = node.op;
    op.clear_input();
    op.clear_output();
    op.set_type(type);
    op.set_engine(rewrite_->options.engine);
    OnCpu(&op);
    op.clear_debug_info();
    op.clear_control_input();
    RETURN_IF_ERROR(Adapt(id, in, &inputs, &op));
    for (const std::string& input : inputs) op.add_input(input);
    for (const std::string& output : outputs) op.add_output(output);
    if (form.parameters == Parameters::kOwn) {
      SetParameters(node.outputs[0], &op);
    }
    *net_.add_op() = std::move(op);
    rewrite_->Decide(node, Reason::kInt8, "", type);
    for (int i = 0; i < NumDataOutputs(node); ++i) {
      const int output = node.outputs[static_cast<std::size_t>(i)];
      AfterInt8(output);
      if (graph_.value(output).is_external_output &&
          rewrite_->options.int8_io && !IsReadAsFloat(output) &&
          Plan(output).order == Order::kChannelsLast) {
        // Outputs keep the order that the float net gives them.
        Names& names = names_[static_cast<std::size_t>(output)];
        SwitchOrder(output, Order::kNatural, graph_.value(output).name);
        names.natural = graph_.value(output).name;
      }
    }
    return Status::Ok();
  }

  // Brings arguments and weights to the order of axes of the codes.
  Status Adapt(int id, Order in, std::vector<std::string>* inputs,
               caffe2::OperatorDef* op) {
    const Node& node = graph_.node(id);
    const std::string& type = node.type();
    const int rank = graph_.value(node.inputs[0]).rank();
    const bool is_last = in == Order::kChannelsLast;
    if (type == "Conv" || type == "ConvSum" || type == "ConvTranspose") {
      SetString("order", "NHWC", op);
      return ProductWeight(node,
                           is_last ? ToChannelsLast(rank) : std::vector<int>(),
                           &(*inputs)[1], op);
    }
    if (type == "FC") {
      if (is_last) return ColumnWeight(node, &(*inputs)[1], op);
      return ProductWeight(node, {}, &(*inputs)[1], op);
    }
    if (type == "PRelu" || type == "SpatialBN" || type == "GroupNorm" ||
        type == "MaxPool" || type == "AveragePool" ||
        type == "ChannelShuffle" || type == "ResizeNearest") {
      if (is_last) SetString("order", "NHWC", op);
      return Status::Ok();
    }
    if (type == "Reshape" && inputs->size() == 2) {
      caffe2::Argument shape;
      shape.set_name("shape");
      for (const int64_t dim :
           graph_.value(node.inputs[1]).constant->integers) {
        shape.add_ints(dim);
      }
      inputs->pop_back();
      RemoveArgument("shape", op);
      *op->add_arg() = shape;
      return Status::Ok();
    }
    if (!is_last) {
      // DNNLOWP counts axes from the first one alone.
      const int64_t axis = IntArgument(node.op, "axis", 0);
      if (type == "Concat" && axis < 0) SetInt("axis", axis + rank, op);
      return Status::Ok();
    }
    if (type == "Add" || type == "Mul") {
      // Operands of as many axes meet as in numpy, in any order of axes.
      RemoveArgument("broadcast", op);
    } else if (type == "Concat" || type == "Split") {
      const int64_t by_order = IsChannelsFirst(node) ? 1 : 3;
      const int64_t axis = IntArgument(node.op, "axis", by_order);
      RemoveArgument("order", op);
      SetInt("axis", AxisLast(axis, rank), op);
    } else if (type == "Slice") {
      for (const char* name : {"starts", "ends"}) {
        for (caffe2::Argument& argument : *op->mutable_arg()) {
          if (argument.name() != name || argument.ints_size() < 2) continue;
          std::vector<int64_t> values(argument.ints().begin(),
                                      argument.ints().end());
          // Axes that are not named are whole.
          values.resize(static_cast<std::size_t>(rank),
                        std::string(name) == "starts" ? 0 : -1);
          argument.clear_ints();
          for (const int axis : ToChannelsLast(rank)) {
            argument.add_ints(values[static_cast<std::size_t>(axis)]);
          }
        }
      }
    }
    return Status::Ok();
  }

  // The columns of an FC whose input lies channels last.
  Status ColumnWeight(const Node& node, std::string* input,
                      caffe2::OperatorDef* op) {
    const Value& x = graph_.value(node.inputs[0]);
    Constant weight = *graph_.value(node.inputs[1]).constant;
    std::vector<int64_t> shape = {weight.shape[0]};
    shape.insert(shape.end(), x.shape.begin() + 1, x.shape.end());
    std::vector<int> order = {0};
    for (int i = 2; i < x.rank(); ++i) order.push_back(i);
    order.push_back(1);
    weight.shape = shape;
    if (weight.count() != graph_.value(node.inputs[1]).constant->count()) {
      return Status::InvalidArgument(
          "FC of '" + graph_.value(node.outputs[0]).name + "': weight '" +
          graph_.value(node.inputs[1]).name +
          "' does not fit the sizes that the profile has of its input '" +
          x.name + "'");
    }
    Constant moved = Transposed(weight, order);
    moved.shape = graph_.value(node.inputs[1]).constant->shape;
    std::string key = "columns";
    for (const int64_t dim : shape) key += "," + std::to_string(dim);
    return Weight(node, moved, key, input, op);
  }

  // The weight of a product, its axes in another order if one is given.
  Status ProductWeight(const Node& node, const std::vector<int>& order,
                       std::string* input, caffe2::OperatorDef* op) {
    const Constant& weight = *graph_.value(node.inputs[1]).constant;
    if (order.empty()) return Weight(node, weight, "", input, op);
    return Weight(node, Transposed(weight, order), "last", input, op);
  }

  ChooseOptions WeightOptions() const {
    ChooseOptions choose;
    choose.method = rewrite_->options.weight_method;
    choose.percentile = rewrite_->options.weight_percentile;
    choose.type = {rewrite_->options.weight_bits, false};
    choose.preserve_sparsity = true;
    return choose;
  }

  // Makes the fill of a weight, once for each order and number of groups.
  Status Weight(const Node& node, const Constant& weight,
                const std::string& order, std::string* input,
                caffe2::OperatorDef* op) {
    const bool is_fc = node.type() == "FC";
    const bool is_transposed = node.type() == "ConvTranspose";
    const int64_t groups = IntArgument(node.op, "group", 1);
    const std::string& name = graph_.value(node.inputs[1]).name;
    if (rewrite_->options.per_channel) SetInt("quantize_channelwise", 1, op);
    SetInt("preserve_weight_sparsity", 1, op);
    if (rewrite_->options.weight_bits != 8) {
      SetInt("weight_precision", rewrite_->options.weight_bits, op);
    }
    const auto key = std::make_tuple(node.inputs[1], order, groups, is_fc);
    const auto made = weights_.find(key);
    if (made != weights_.end()) {
      *input = made->second;
      return Status::Ok();
    }
    if (rewrite_->options.engine != kOnednn || is_transposed) {
      if (order.empty() && graph_.value(node.inputs[1]).producer == kNone) {
        return KeepFloats(node.inputs[1], input);
      }
      *input = rewrite_->graph.FreshName(name + "_nhwc");
      fills_.push_back(FillOf(weight, *input));
      weights_[key] = *input;
      return Status::Ok();
    }
    GivenWeights given;
    given.order = is_fc ? GivenWeights::Order::kFc : GivenWeights::Order::kNhwc;
    given.shape = weight.shape;
    given.groups = groups;
    const int64_t rows = weight.shape[0];
    QuantizedWeights<int8_t> quantized;
    const Status status = QuantizeWeights(
        weight.floats, rows, weight.count() / rows,
        rewrite_->options.per_channel ? rows : 1, WeightOptions(), &quantized);
    if (!status.ok()) {
      return Status::InvalidArgument("weight '" + name +
                                     "': " + status.message());
    }
    given.values = {reinterpret_cast<const char*>(quantized.codes.data()),
                    quantized.codes.size()};
    given.scales = quantized.scales;
    given.zero_points = quantized.zero_points;
    *input = rewrite_->graph.FreshName(name + "_int8");
    fills_.push_back(GivenWeightsFill(*input, given));
    weights_[key] = *input;
    return Status::Ok();
  }

  // A weight that stays as it is.
  Status KeepFloats(int value, std::string* input) {
    const Value& of = graph_.value(value);
    *input = of.name;
    return Status::Ok();
  }

  Rewrite* const rewrite_;
  const Graph& graph_;
  caffe2::NetDef net_;
  std::vector<Names> names_;  // by value
  std::map<int, std::set<Order>> demand_;
  std::vector<caffe2::OperatorDef> fills_;
  // By weight, order, groups, and whether it is an FC's.
  std::map<std::tuple<int, std::string, int64_t, bool>, std::string> weights_;
};

}  // namespace

Status Emit(Rewrite* rewrite) { return Emitter(rewrite).Run(); }

}  // namespace rewrite
}  // namespace caffe2_quantization
