#include "rewrite/quantize_net.h"

#include "base/return_if_error.h"
#include "netdef/net_hash.h"
#include "rewrite/rewrite.h"

namespace caffe2_quantization {
namespace rewrite {
namespace {

Status CheckOptions(const QuantizeOptions& options) {
  if (options.engine != "ONEDNN" && options.engine != "DNNLOWP") {
    return Status::InvalidArgument("engine is '" + options.engine +
                                   "', expected ONEDNN or DNNLOWP");
  }
  const auto bits = [](const char* what, int found) {
    return found >= 2 && found <= 8
               ? Status::Ok()
               : Status::InvalidArgument(std::string(what) + " are " +
                                         std::to_string(found) +
                                         " bits, expected 2 to 8");
  };
  RETURN_IF_ERROR(bits("activations", options.activation_bits));
  return bits("weights", options.weight_bits);
}

// The constants of an init net: blobs that one fill alone writes.
Status ReadWeights(const caffe2::NetDef& init,
                   std::map<std::string, Constant>* weights,
                   std::set<std::string>* made) {
  std::map<std::string, int> writers;
  for (const caffe2::OperatorDef& op : init.op()) {
    for (const std::string& output : op.output()) {
      ++writers[output];
      made->insert(output);
    }
  }
  for (const caffe2::OperatorDef& op : init.op()) {
    if (!IsConstantFill(op) || writers[op.output(0)] != 1) continue;
    std::optional<Constant> constant;
    RETURN_IF_ERROR(ReadConstant(op, &constant));
    if (constant.has_value()) {
      weights->emplace(op.output(0), std::move(*constant));
    }
  }
  return Status::Ok();
}

// Some exporters fill the data's places, too: what was fed is no weight.
void DropPlaceholders(const Measurements& measurements,
                      std::map<std::string, Constant>* weights) {
  for (auto weight = weights->begin(); weight != weights->end();) {
    const Measured* const fed = measurements.Input(weight->first);
    if (fed != nullptr && !fed->IsOf(weight->second)) {
      weight = weights->erase(weight);
    } else {
      ++weight;
    }
  }
}

void TakeMeasurements(Rewrite* rewrite) {
  for (int id = 0; id < rewrite->graph.num_values(); ++id) {
    Value& value = rewrite->graph.value(id);
    if (value.constant.has_value() || value.slot == kNone) continue;
    const Measured* const measured =
        value.origin == kNone
            ? rewrite->measurements->Input(value.name)
            : rewrite->measurements->Output(value.origin, value.origin_slot);
    if (measured == nullptr) continue;
    value.type = measured->type;
    value.has_shape = measured->has_shape;
    value.shape = measured->shape;
  }
}

void CountOperators(const caffe2::NetDef& net,
                    std::map<std::string, int>* counts) {
  for (const caffe2::OperatorDef& op : net.op()) {
    ++(*counts)[op.type() +
                (op.engine().empty() ? "" : " (" + op.engine() + ")")];
  }
}

// What the float net's tensors have become.
void ListTensors(const Rewrite& rewrite, const Graph& float_graph,
                 Recipe* recipe) {
  for (int id = 0; id < float_graph.num_values(); ++id) {
    const Value& value = float_graph.value(id);
    if (value.slot == kNone) continue;
    if (value.constant.has_value()) continue;
    const Measured* const measured =
        value.origin == kNone
            ? rewrite.measurements->Input(value.name)
            : rewrite.measurements->Output(value.origin, value.origin_slot);
    if (measured == nullptr) continue;
    TensorChoice8 tensor;
    tensor.op_index = value.origin;
    tensor.output_index = value.origin_slot;
    tensor.name = value.name;
    tensor.type = measured->type;
    tensor.has_shape = measured->has_shape;
    tensor.shape = measured->shape;
    const int set = rewrite.values[static_cast<std::size_t>(id)].set;
    if (set != kNone) {
      const ParameterSet& of = rewrite.sets[static_cast<std::size_t>(set)];
      tensor.is_int8 = true;
      tensor.parameters = of.parameters;
      tensor.min = of.min;
      tensor.max = of.max;
      tensor.clipped_share = of.clipped_share;
      tensor.warning = of.warning;
    }
    recipe->tensors.push_back(std::move(tensor));
  }
}

Status Run(Rewrite* rewrite, QuantizedNets* nets) {
  RETURN_IF_ERROR(CheckOptions(rewrite->options));
  std::set<std::string> made;
  RETURN_IF_ERROR(ReadWeights(*rewrite->init, &rewrite->weights, &made));
  DropPlaceholders(*rewrite->measurements, &rewrite->weights);
  RETURN_IF_ERROR(
      rewrite->graph.Read(*rewrite->predict, rewrite->weights, made));
  rewrite->decisions.assign(
      static_cast<std::size_t>(rewrite->predict->op_size()), {});
  for (Decision& decision : rewrite->decisions) {
    decision.reason = Reason::kUnused;
  }
  TakeMeasurements(rewrite);
  const int num_values = rewrite->graph.num_values();
  for (const Pass& pass : Passes()) {
    RETURN_IF_ERROR(pass.run(rewrite));
    const Status status = rewrite->graph.Check();
    if (!status.ok()) {
      return Status::Corruption("after the pass " + std::string(pass.name) +
                                ", " + status.message());
    }
  }
  QuantizedNets result;
  result.init = std::move(rewrite->new_init);
  result.predict = std::move(rewrite->new_predict);
  result.recipe.options = rewrite->options;
  result.recipe.net_hash = NetHash(*rewrite->predict);
  for (int i = 0; i < rewrite->predict->op_size(); ++i) {
    const caffe2::OperatorDef& op = rewrite->predict->op(i);
    OperatorChoice choice;
    choice.op_index = i;
    choice.type = op.type();
    choice.name = op.name();
    if (op.output_size() > 0) choice.output = op.output(0);
    choice.decision = rewrite->decisions[static_cast<std::size_t>(i)];
    result.recipe.operators.push_back(std::move(choice));
  }
  rewrite->values.resize(static_cast<std::size_t>(
      std::max(num_values, rewrite->graph.num_values())));
  ListTensors(*rewrite, rewrite->graph, &result.recipe);
  CountOperators(result.predict, &result.operator_counts);
  result.float_bytes = static_cast<int64_t>(rewrite->init->ByteSizeLong() +
                                            rewrite->predict->ByteSizeLong());
  result.int8_bytes = static_cast<int64_t>(result.init.ByteSizeLong() +
                                           result.predict.ByteSizeLong());
  result.warnings = std::move(rewrite->warnings);
  *nets = std::move(result);
  return Status::Ok();
}

}  // namespace

Status QuantizeNet(const caffe2::NetDef& init, const caffe2::NetDef& predict,
                   const Measurements& measurements,
                   const QuantizeOptions& options,
                   const std::function<bool(const std::string&)>& has_key,
                   QuantizedNets* nets) {
  Rewrite rewrite;
  rewrite.init = &init;
  rewrite.predict = &predict;
  rewrite.measurements = &measurements;
  rewrite.options = options;
  rewrite.has_key = has_key;
  return Run(&rewrite, nets);
}

Status QuantizeNetBy(const Recipe& recipe, const caffe2::NetDef& init,
                     const caffe2::NetDef& predict,
                     const std::function<bool(const std::string&)>& has_key,
                     QuantizedNets* nets) {
  const std::string hash = NetHash(predict);
  if (recipe.net_hash != hash) {
    return Status::InvalidArgument(
        "the recipe is of another net: its hash is '" + recipe.net_hash +
        "', that of net '" + predict.name() + "' is '" + hash + "'");
  }
  if (recipe.operators.size() != static_cast<std::size_t>(predict.op_size())) {
    return Status::InvalidArgument(
        "the recipe has " + std::to_string(recipe.operators.size()) +
        " operators, expected " + std::to_string(predict.op_size()));
  }
  Measurements measurements;
  for (const TensorChoice8& tensor : recipe.tensors) {
    Measured measured;
    measured.type = tensor.type;
    measured.has_shape = tensor.has_shape;
    measured.shape = tensor.shape;
    measured.range = ValueRange::OfDoubles(tensor.min, tensor.max);
    measured.has_parameters = tensor.is_int8;
    measured.parameters = tensor.parameters;
    if (tensor.op_index < 0) {
      measurements.SetInput(tensor.name, std::move(measured));
    } else {
      measurements.SetOutput(tensor.op_index, tensor.output_index,
                             std::move(measured));
    }
  }
  Rewrite rewrite;
  rewrite.init = &init;
  rewrite.predict = &predict;
  rewrite.measurements = &measurements;
  rewrite.recipe = &recipe;
  rewrite.options = recipe.options;
  // The recipe says what the selectors came to.
  rewrite.options.keep_float.clear();
  rewrite.options.only.clear();
  rewrite.has_key = has_key;
  Status status = Run(&rewrite, nets);
  if (status.ok()) nets->recipe.options = recipe.options;
  return status;
}

}  // namespace rewrite
}  // namespace caffe2_quantization
