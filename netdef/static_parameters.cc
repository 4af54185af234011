#include "netdef/static_parameters.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/count_line.h"
#include "base/return_if_error.h"
#include "base/text.h"
#include "c10/util/Logging.h"
#include "netdef/dnnlowp_settings.h"

namespace caffe2_quantization {
namespace {

bool FitsFloat(double value) {
  return std::fabs(value) <= std::numeric_limits<float>::max();
}

Status ChooseOf(const MeasuredOutput& output, bool histogram,
                const caffe2::OperatorDef& definition,
                const StaticParameterOptions& how, ChosenParameters* chosen) {
  ChooseOptions options;
  RETURN_IF_ERROR(DnnlowpOptions(definition, how.is_weight, &options));
  if (how.dnnlowp) ChooseLikeDnnlowp(&options);
  chosen->type = options.Codes();
  if (output.min > output.max) {
    chosen->choice = Choice();
    chosen->choice.scale = 0.1f;
    return Status::Ok();
  }
  if (!FitsFloat(output.min) || !FitsFloat(output.max)) {
    return Status::InvalidArgument("the range is [" + ShortestText(output.min) +
                                   ", " + ShortestText(output.max) +
                                   "], expected limits that are floats");
  }
  const auto min = static_cast<float>(output.min);
  const auto max = static_cast<float>(output.max);
  if (!histogram || min == max) {
    return ChooseFromRange(min, max, options, &chosen->choice);
  }
  if (output.counts.empty()) {
    return ChooseFromHistogram(output.histogram, min, max, options,
                               &chosen->choice);
  }
  return ChooseFromCounts({min, max, output.counts}, options, &chosen->choice);
}

}  // namespace

Status ChooseStaticParameters(const MeasuredOutputs& measured,
                              const std::vector<NetOperator>& operators,
                              const StaticParameterOptions& how,
                              StaticParameters* parameters) {
  *parameters = StaticParameters();
  const OutputMatch match(measured, operators);
  std::size_t num_outputs = 0;
  for (const NetOperator& op : operators) {
    if (op.is_int8 || how.every) num_outputs += op.definition->output_size();
  }
  std::size_t done = 0;
  CountLine progress("'" + measured.path + "': choosing parameters", "tensors",
                     num_outputs);
  for (std::size_t i = 0; i < operators.size(); ++i) {
    const NetOperator& op = operators[i];
    if (!op.is_int8 && !how.every) continue;
    const bool needed = NeedsParameters(op);
    for (int j = 0; j < op.definition->output_size(); ++j) {
      const std::string& name = op.definition->output(j);
      progress.Update(done++);
      const MeasuredOutput* output = nullptr;
      Status found = match.Find(name, i, &output);
      if (found.ok() && output == nullptr && IsQuantize(*op.definition)) {
        found = match.FindFirstInput(i, &output);
      }
      // What is not needed need not be clear either.
      if (!found.ok() && needed) return found;
      if (output == nullptr) {
        if (needed) parameters->missing.push_back(name);
        LOG_IF(WARNING, op.is_int8 && IsQuantize(*op.definition))
            << "'" << measured.path << "' has no line of '" << name
            << "' or of '" << op.definition->input(0)
            << "', which is quantized to it: the operator chooses anew in "
               "every run";
        continue;
      }
      parameters->fits = parameters->fits || needed;
      ChosenParameters each{i,    op.definition->type(), j,
                            name, QuantizedType(),       Choice()};
      const Status status =
          ChooseOf(*output, measured.histogram, *op.definition, how, &each);
      if (!status.ok()) {
        if (!op.is_int8) continue;  // nobody asks for them but the output file
        return Status::InvalidArgument("'" + measured.path + "': tensor '" +
                                       name + "': " + status.message());
      }
      if (!each.choice.warning.empty() && op.is_int8) {
        LOG(WARNING) << "'" << measured.path << "': tensor '" << name
                     << "': " << each.choice.warning;
      }
      parameters->chosen.push_back(std::move(each));
    }
  }
  return Status::Ok();
}

Status MissingOutputs(const MeasuredOutputs& measured,
                      const std::string& net_name,
                      const std::vector<std::string>& missing) {
  if (missing.empty()) return Status::Ok();
  constexpr std::size_t kShown = 8;
  std::string names;
  for (std::size_t i = 0; i < std::min(missing.size(), kShown); ++i) {
    names += (i == 0 ? "'" : ", '") + missing[i] + "'";
  }
  if (missing.size() > kShown) {
    names += " and " + std::to_string(missing.size() - kShown) + " more";
  }
  return Status::InvalidArgument(
      "'" + measured.path + "' has no line of " + names +
      ", expected one for each output of the int8 operators of net '" +
      net_name + "'");
}

namespace {

// `path` is that of the net, with a '/' at its end; "" of the outermost one.
// Nets within need no line: a file of before has none of them.
Status AddArguments(const MeasuredOutputs& measured,
                    const MeasuredOutputs& of_all, const std::string& path,
                    bool dnnlowp, caffe2::NetDef* net) {
  std::vector<NetOperator> operators;
  for (const auto& definition : net->op()) {
    operators.push_back({&definition, IsInt8Engine(definition.engine()) &&
                                          !DequantizesOutput(definition)});
  }
  StaticParameterOptions how;
  how.dnnlowp = dnnlowp;
  StaticParameters parameters;
  RETURN_IF_ERROR(
      ChooseStaticParameters(measured, operators, how, &parameters));
  if (path.empty() || parameters.fits) {
    RETURN_IF_ERROR(MissingOutputs(measured, net->name(), parameters.missing));
  }
  for (const ChosenParameters& each : parameters.chosen) {
    SetStaticParameters(each.output_index, each.choice.scale,
                        each.choice.zero_point,
                        net->mutable_op(static_cast<int>(each.op_index)));
  }
  if (of_all.within.empty()) return Status::Ok();
  for (int i = 0; i < net->op_size(); ++i) {
    for (caffe2::Argument& argument : *net->mutable_op(i)->mutable_arg()) {
      if (!argument.has_n()) continue;
      const std::string at = path + std::to_string(i) + '/' + argument.name();
      RETURN_IF_ERROR(AddArguments(of_all.Within(at), of_all, at + '/', dnnlowp,
                                   argument.mutable_n()));
    }
  }
  return Status::Ok();
}

}  // namespace

Status AddScaleZeroOffsetArgumentsWithHistogram(const std::string& path,
                                                caffe2::NetDef* net,
                                                bool dnnlowp) {
  MeasuredOutputs measured;
  RETURN_IF_ERROR(ReadMeasuredOutputs(path, true, &measured));
  caffe2::NetDef changed = *net;
  RETURN_IF_ERROR(AddArguments(measured, measured, "", dnnlowp, &changed));
  *net = std::move(changed);
  return Status::Ok();
}

}  // namespace caffe2_quantization
