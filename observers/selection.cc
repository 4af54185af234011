#include "observers/selection.h"

#include <fnmatch.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/nearest_name.h"
#include "base/return_if_error.h"
#include "caffe2/core/operator.h"
#include "caffe2/proto/caffe2_pb.h"
#include "observers/inner_nets.h"
#include "observers/operator_record.h"

namespace caffe2_quantization {
namespace {

// What can be chosen in a net, and in nets within it.
struct Choices {
  std::set<std::string> types, names, outputs;
  bool any_fits_all = false;
  // Of a step net that is told as text, as old nets have them.
  bool has_unknown_steps = false;
};

void AddChoices(const caffe2::NetDef& net, const RecordingOptions& options,
                Choices* choices) {
  for (const caffe2::OperatorDef& op : net.op()) {
    choices->types.insert(op.type());
    if (!op.name().empty()) choices->names.insert(op.name());
    choices->outputs.insert(op.output().begin(), op.output().end());
    choices->any_fits_all |= Admits(options, op.type(), &op);
    for (const caffe2::Argument& argument : op.arg()) {
      if (argument.has_n()) AddChoices(argument.n(), options, choices);
      if (NetMadeInRuns(op.type()) == nullptr) continue;
      choices->has_unknown_steps |=
          argument.has_s() &&
          argument.name().find("step_net") != std::string::npos;
    }
  }
}

std::string OfNet(const std::string& name) { return "net '" + name + "'"; }

bool FitsAny(const std::string& pattern, const std::set<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
  });
}

Status CheckPatterns(const char* option,
                     const std::vector<std::string>& patterns, const char* what,
                     const std::set<std::string>& names, bool literally,
                     const std::string& where) {
  const std::vector<std::string> known(names.begin(), names.end());
  std::string missing;
  for (const std::string& pattern : patterns) {
    const bool fits =
        literally ? names.count(pattern) > 0 : FitsAny(pattern, names);
    if (fits) continue;
    missing += (missing.empty() ? "'" : ", '") + pattern + "'" +
               DidYouMean(pattern, known);
  }
  if (missing.empty()) return Status::Ok();
  return Status::InvalidArgument(std::string(option) + ": " + where +
                                 " has no " + what + " " + missing +
                                 ListOf(known));
}

}  // namespace

Status CheckSelection(const RecordingOptions& options, caffe2::NetBase* net) {
  const bool chooses = !options.op_types.empty() || !options.op_names.empty() ||
                       !options.outputs.empty();
  if (!net->has_debug_def()) return Status::Ok();
  const std::string name = OfNet(net->Name());
  const auto& inputs = net->debug_def().external_input();
  RETURN_IF_ERROR(
      CheckPatterns("inputs", options.inputs, "external input",
                    std::set<std::string>(inputs.begin(), inputs.end()),
                    /*literally=*/false, name));
  if (!chooses && options.column_max_blobs.empty()) return Status::Ok();
  Choices choices;
  AddChoices(net->debug_def(), options, &choices);
  if (choices.has_unknown_steps) return Status::Ok();
  RETURN_IF_ERROR(CheckPatterns("op_types", options.op_types,
                                "operator of type", choices.types,
                                /*literally=*/false, name));
  RETURN_IF_ERROR(CheckPatterns("op_names", options.op_names, "operator called",
                                choices.names, /*literally=*/false, name));
  RETURN_IF_ERROR(CheckPatterns("outputs", options.outputs, "output",
                                choices.outputs,
                                /*literally=*/false, name));
  RETURN_IF_ERROR(CheckPatterns("column_max_blobs", options.column_max_blobs,
                                "output", choices.outputs, /*literally=*/true,
                                name));
  if (choices.any_fits_all) return Status::Ok();
  return Status::InvalidArgument("no operator of " + name +
                                 " fits all of op_types, op_names and "
                                 "outputs: nothing would be observed");
}

Status CheckOperatorTypes(const RecordingOptions& options) {
  if (options.op_types.empty()) return Status::Ok();
  std::set<std::string> types;
  for (auto* registry :
       {caffe2::CPUOperatorRegistry(), caffe2::CUDAOperatorRegistry()}) {
    for (const std::string& key : registry->Keys()) {
      types.insert(key.substr(0, key.find("_ENGINE_")));
    }
  }
  return CheckPatterns("op_types", options.op_types, "operator of type", types,
                       /*literally=*/false, "Caffe2");
}

}  // namespace caffe2_quantization
