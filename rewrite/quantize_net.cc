#include "rewrite/quantize_net.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/nearest_name.h"
#include "base/return_if_error.h"
#include "base/text.h"
#include "base/utf8_text.h"
#include "netdef/net_hash.h"
#include "netdef/net_inputs.h"
#include "quantization/kernels/min_max.h"
#include "rewrite/passes/passes.h"
#include "rewrite/rewrite.h"
#include "rewrite/selector.h"

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
  int64_t fill_budget = kMostFilled;
  for (const caffe2::OperatorDef& op : init.op()) {
    if (!IsConstantFill(op) || writers[op.output(0)] != 1) continue;
    std::optional<Constant> constant;
    RETURN_IF_ERROR(ReadConstant(op, &constant, &fill_budget));
    if (constant.has_value()) {
      weights->emplace(op.output(0), std::move(*constant));
    }
  }
  return Status::Ok();
}

// Whether a shape is one of those that were measured.
bool Fits(const std::vector<int64_t>& shape, const Measured& measured) {
  return std::equal(
      shape.begin(), shape.end(), measured.shape.begin(), measured.shape.end(),
      [](int64_t found, int64_t seen) { return seen == -1 || found == seen; });
}

// Whether a fill may only hold the place of data, as exporters write it: one
// value alone, or the same value everywhere.
bool IsPlaceholder(const Constant& constant) {
  if (constant.count() <= 1) return true;
  if (constant.type != Constant::Type::kFloat) {
    return std::equal(constant.integers.begin() + 1, constant.integers.end(),
                      constant.integers.begin());
  }
  return std::equal(constant.floats + 1, constant.floats + constant.count(),
                    constant.floats);
}

// Compares the constants with what was measured in their blobs. Leaves out
// those that data take the place of.
Status CompareWeights(Rewrite* rewrite) {
  for (auto at = rewrite->weights.begin(); at != rewrite->weights.end();) {
    const Constant& constant = at->second;
    const Measured* const measured = rewrite->measurements->Input(at->first);
    const auto current = at++;
    if (measured == nullptr) continue;
    // The recipe lists the tensors that are no constants.
    if (rewrite->recipe != nullptr) {
      rewrite->weights.erase(current);
      continue;
    }
    if (!measured->has_shape || !Fits(constant.shape, *measured)) {
      if (IsPlaceholder(constant)) {
        rewrite->weights.erase(current);
        continue;
      }
      return Status::InvalidArgument(
          "the init net makes '" + current->first + "' with sizes " +
          DimsText(constant.shape) + ", expected " +
          (measured->has_shape ? DimsText(measured->shape) : "those") +
          " which the profile saw there");
    }
    if (constant.type != Constant::Type::kFloat || measured->range.empty() ||
        constant.count() == 0) {
      continue;
    }
    const auto extremes = kernels::MinMax(
        constant.floats, static_cast<std::size_t>(constant.count()));
    if (extremes.min > extremes.max) continue;  // no finite value
    const double min = extremes.min, max = extremes.max;
    if (min != measured->range.min() || max != measured->range.max()) {
      if (IsPlaceholder(constant)) {
        rewrite->weights.erase(current);
        continue;
      }
      rewrite->warnings.push_back(
          "weight '" + current->first + "' is from " + ShortestText(min) +
          " to " + ShortestText(max) + ", but the profile is of one from " +
          ShortestText(measured->range.min()) + " to " +
          ShortestText(measured->range.max()) +
          ": the net was calibrated with other weights");
    }
  }
  return Status::Ok();
}

void TakeMeasurements(Rewrite* rewrite) {
  for (int id = 0; id < rewrite->graph.num_values(); ++id) {
    Value& value = rewrite->graph.value(id);
    if (value.constant.has_value() || value.slot == kNone) continue;
    const Measured* const measured = MeasuredOf(*rewrite, value);
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
void ListTensors(const Rewrite& rewrite, Recipe* recipe) {
  for (int id = 0; id < rewrite.graph.num_values(); ++id) {
    const Value& value = rewrite.graph.value(id);
    if (value.slot == kNone) continue;
    if (value.constant.has_value()) continue;
    const Measured* const measured = MeasuredOf(rewrite, value);
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
      tensor.has_range =
          rewrite.recipe == nullptr && !of.is_fixed && of.is_chosen;
      tensor.min = of.min;
      tensor.max = of.max;
      tensor.clipped_share = of.clipped_share;
      tensor.warning = of.warning;
    }
    recipe->tensors.push_back(std::move(tensor));
  }
}

// Every int8 operator of the engine must be one that is registered: the host
// would take another one without a word.
Status CheckKeys(const Rewrite& rewrite) {
  for (const caffe2::OperatorDef& op : rewrite.new_predict.op()) {
    if (op.engine() != rewrite.options.engine ||
        op.type().compare(0, 4, "Int8") != 0 || rewrite.Has(op.type())) {
      continue;
    }
    return Status::Corruption("operator " + op.type() + " of '" +
                              (op.output_size() > 0 ? op.output(0) : "") +
                              "' would be made, which the engine " +
                              rewrite.options.engine + " does not have");
  }
  return Status::Ok();
}

std::vector<OperatorChoice> ListOperators(const Rewrite& rewrite,
                                          const std::vector<bool>& is_int8) {
  std::vector<OperatorChoice> operators;
  for (int i = 0; i < rewrite.predict->op_size(); ++i) {
    const caffe2::OperatorDef& op = rewrite.predict->op(i);
    OperatorChoice choice;
    choice.op_index = i;
    choice.type = op.type();
    choice.name = op.name();
    if (op.output_size() > 0) choice.output = op.output(0);
    choice.is_int8 = is_int8[static_cast<std::size_t>(i)];
    choice.decision = rewrite.decisions[static_cast<std::size_t>(i)];
    if (choice.is_int8 && choice.decision.reason == Reason::kUnused) {
      choice.decision.reason = Reason::kInt8;  // nothing is left to do
    }
    if (!choice.is_int8 && rewrite.recipe != nullptr) {
      // What kept it float is what the recipe says: its selectors, for one, are
      // not read again.
      choice.decision =
          rewrite.recipe->operators[static_cast<std::size_t>(i)].decision;
    }
    operators.push_back(std::move(choice));
  }
  for (const int id : rewrite.graph.Order()) {
    const std::vector<int>& origins = rewrite.graph.node(id).origins;
    for (std::size_t i = 1; i < origins.size(); ++i) {
      OperatorChoice& choice = operators[static_cast<std::size_t>(origins[i])];
      if (choice.decision.reason == Reason::kFolded) {
        choice.folded_into = origins[0];
      }
    }
  }
  return operators;
}

// An operator that stays float for another reason and was asked to stay float
// has the reason that it was asked to.
Status NameWhatWasAskedFor(const Rewrite& rewrite,
                           std::vector<OperatorChoice>* operators) {
  if (rewrite.recipe != nullptr) return Status::Ok();
  const QuantizeOptions& options = rewrite.options;
  std::vector<bool> keep_float, only;
  RETURN_IF_ERROR(SelectOperators(*rewrite.predict, "keep_float",
                                  options.keep_float, &keep_float));
  RETURN_IF_ERROR(
      SelectOperators(*rewrite.predict, "only", options.only, &only));
  for (std::size_t i = 0; i < operators->size(); ++i) {
    Decision& decision = (*operators)[i].decision;
    if (!IsLeftFloat(decision.reason)) continue;
    if (keep_float[i]) {
      decision = Decision{Reason::kKeptFloat, "", ""};
    } else if (!options.only.empty() && !only[i]) {
      decision = Decision{Reason::kNotSelected, "", ""};
    }
  }
  return Status::Ok();
}

Status Run(Rewrite* rewrite, QuantizedNets* nets) {
  RETURN_IF_ERROR(CheckOptions(rewrite->options));
  std::set<std::string> made;
  RETURN_IF_ERROR(ReadWeights(*rewrite->init, &rewrite->weights, &made));
  RETURN_IF_ERROR(CompareWeights(rewrite));
  RETURN_IF_ERROR(
      rewrite->graph.Read(*rewrite->predict, rewrite->weights, made));
  rewrite->decisions.assign(
      static_cast<std::size_t>(rewrite->predict->op_size()), {});
  for (Decision& decision : rewrite->decisions) {
    decision.reason = Reason::kUnused;
  }
  TakeMeasurements(rewrite);
  const int num_values = rewrite->graph.num_values();
  std::vector<bool> is_int8(rewrite->decisions.size(), false);
  for (const Pass& pass : Passes()) {
    RETURN_IF_ERROR(pass.run(rewrite));
    const Status status = rewrite->graph.Check();
    if (!status.ok()) {
      return Status::Corruption("after the pass " + std::string(pass.name) +
                                ", " + status.message());
    }
    if (pass.run != Regions) continue;
    for (const int id : rewrite->graph.Order()) {
      if (!rewrite->nodes[static_cast<std::size_t>(id)].is_int8) continue;
      for (const int origin : rewrite->graph.node(id).origins) {
        is_int8[static_cast<std::size_t>(origin)] = true;
      }
    }
  }
  RETURN_IF_ERROR(CheckKeys(*rewrite));
  QuantizedNets result;
  result.init = std::move(rewrite->new_init);
  result.predict = std::move(rewrite->new_predict);
  result.recipe.options = rewrite->options;
  result.recipe.net_hash = NetHash(*rewrite->predict);
  result.recipe.operators = ListOperators(*rewrite, is_int8);
  RETURN_IF_ERROR(NameWhatWasAskedFor(*rewrite, &result.recipe.operators));
  rewrite->values.resize(static_cast<std::size_t>(
      std::max(num_values, rewrite->graph.num_values())));
  ListTensors(*rewrite, &result.recipe);
  CountOperators(result.predict, &result.operator_counts);
  result.float_bytes = static_cast<int64_t>(rewrite->init->ByteSizeLong() +
                                            rewrite->predict->ByteSizeLong());
  result.int8_bytes = static_cast<int64_t>(result.init.ByteSizeLong() +
                                           result.predict.ByteSizeLong());
  result.warnings = std::move(rewrite->warnings);
  *nets = std::move(result);
  return Status::Ok();
}

// Takes what a recipe says of tensors. Errors: one that the net does not have.
Status TakeTensors(const Recipe& recipe, const caffe2::NetDef& net,
                   Measurements* measurements) {
  // A recipe has names in UTF-8.
  std::map<std::string, std::string> inputs;
  for (const std::string& name : InputsOf(net)) {
    inputs.emplace(ValidUtf8(name), name);
  }
  for (const TensorChoice8& tensor : recipe.tensors) {
    Measured measured;
    measured.type = tensor.type;
    measured.has_shape = tensor.has_shape;
    measured.shape = tensor.shape;
    measured.range = ValueRange::OfDoubles(tensor.min, tensor.max);
    measured.has_parameters = tensor.is_int8;
    measured.parameters = tensor.parameters;
    if (tensor.op_index < 0) {
      const auto input = inputs.find(ValidUtf8(tensor.name));
      if (input == inputs.end()) {
        std::vector<std::string> known;
        for (const auto& each : inputs) known.push_back(each.first);
        return Status::InvalidArgument(
            "the recipe has an input '" + tensor.name +
            "', which the net does not have" + NameHint(tensor.name, known));
      }
      measurements->SetInput(input->second, std::move(measured));
      continue;
    }
    if (tensor.op_index >= net.op_size() || tensor.output_index < 0 ||
        tensor.output_index >= net.op(tensor.op_index).output_size()) {
      return Status::InvalidArgument(
          "the recipe has tensor '" + tensor.name + "', output " +
          std::to_string(tensor.output_index) + " of operator " +
          std::to_string(tensor.op_index) + ", which the net does not have");
    }
    measurements->SetOutput(tensor.op_index, tensor.output_index,
                            std::move(measured));
  }
  return Status::Ok();
}

bool IsAskedFor(const OperatorChoice& choice) {
  const Reason reason = choice.decision.reason;
  return reason == Reason::kInt8 ||
         (choice.is_int8 && reason == Reason::kFolded);
}

// Sets the reason of each operator of a recipe to kInt8 exactly if it is to be
// int8: those that are folded follow the one that does their work.
Status ResolveRecipe(const caffe2::NetDef& net, Recipe* recipe) {
  const std::vector<OperatorChoice> given = recipe->operators;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const OperatorChoice& choice = given[i];
    const std::string where = "the recipe's operator " + std::to_string(i);
    const caffe2::OperatorDef& op = net.op(static_cast<int>(i));
    if (choice.type != op.type()) {
      return Status::InvalidArgument(where + " is " + choice.type +
                                     ", expected " + op.type() +
                                     " as in the net");
    }
    Decision& decision = recipe->operators[i].decision;
    bool is_asked = IsAskedFor(choice);
    if (choice.folded_into >= 0) {
      const auto into = static_cast<std::size_t>(choice.folded_into);
      if (into >= given.size() || given[into].folded_into >= 0 || into == i) {
        return Status::InvalidArgument(
            where + " is folded into operator " + std::to_string(into) +
            ", expected another one that is not folded itself");
      }
      const bool follows = IsAskedFor(given[into]);
      if (follows && !is_asked) {
        return Status::InvalidArgument(
            where + " (" + choice.type + ", output '" + choice.output +
            "') is asked to be float, but operator " + std::to_string(into) +
            " (" + given[into].type +
            ") does its work: change the decision of that one");
      }
      is_asked = follows;
    }
    if (is_asked) {
      decision.reason = Reason::kInt8;
    } else if (decision.reason == Reason::kInt8 ||
               decision.reason == Reason::kFolded) {
      decision = Decision{Reason::kRecipe, "", ""};
    }
  }
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
  Recipe resolved = recipe;
  RETURN_IF_ERROR(ResolveRecipe(predict, &resolved));
  Measurements measurements;
  RETURN_IF_ERROR(TakeTensors(recipe, predict, &measurements));
  Rewrite rewrite;
  rewrite.init = &init;
  rewrite.predict = &predict;
  rewrite.measurements = &measurements;
  rewrite.recipe = &resolved;
  rewrite.options = recipe.options;
  // The recipe says what the selectors came to.
  rewrite.options.keep_float.clear();
  rewrite.options.only.clear();
  rewrite.has_key = has_key;
  Status status = Run(&rewrite, nets);
  if (status.ok()) nets->recipe.options = recipe.options;
  return status;
}

Status NetToBytes(const caffe2::NetDef& net, std::string* bytes) {
  constexpr std::size_t kMost = std::numeric_limits<int32_t>::max();
  const std::size_t size = net.ByteSizeLong();
  if (size > kMost) {
    return Status::OutOfRange("net '" + net.name() + "' has " +
                              std::to_string(size) + " bytes, expected " +
                              std::to_string(kMost) + " at most");
  }
  *bytes = net.SerializeAsString();
  return Status::Ok();
}

}  // namespace rewrite
}  // namespace caffe2_quantization
