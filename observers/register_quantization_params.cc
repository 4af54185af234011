#include "observers/register_quantization_params.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/no_destructor.h"
#include "base/return_if_error.h"
#include "base/text.h"
#include "netdef/dnnlowp_settings.h"
#include "netdef/static_parameters.h"
#include "observers/attachment.h"
#include "observers/inner_nets.h"
#include "observers/later_nets.h"
#include "profiles/delimited_text.h"
#include "profiles/measured_outputs.h"

namespace caffe2_quantization {
namespace {

std::vector<NetOperator> OperatorsOf(const caffe2::NetBase& net) {
  std::vector<NetOperator> operators;
  for (const caffe2::OperatorBase* op : net.GetOperators()) {
    const auto& definition = op->debug_def();
    operators.push_back({&definition, IsInt8Engine(definition.engine()) ||
                                          IsInt8Engine(op->engine())});
  }
  return operators;
}

std::string FormatParameters(const std::vector<ChosenParameters>& chosen) {
  const std::string blank = " ";
  std::string text;
  for (const ChosenParameters& each : chosen) {
    text += std::to_string(each.op_index) + blank +
            QuotedName(each.op_type, blank) + blank +
            std::to_string(each.output_index) + blank +
            QuotedName(each.tensor_name, blank) + blank +
            ShortestText(each.choice.RepresentedMin(each.type)) + blank +
            ShortestText(each.choice.RepresentedMax(each.type)) + blank +
            ShortestText(each.choice.scale) + blank +
            std::to_string(each.choice.zero_point) + blank +
            std::to_string(each.type.precision) + '\n';
  }
  return text;
}

Status RegisterWithin(const MeasuredOutputs& measured,
                      const RegisterOptions& options, const std::string& path,
                      const caffe2::NetBase& net);

// True if nets within have all of these tensors, of which the net itself has no
// line: then this may be one of them, which the net that it is in will give its
// parameters.
bool MayBeWithin(const MeasuredOutputs& measured,
                 const std::vector<std::string>& missing) {
  return !missing.empty() && std::all_of(missing.begin(), missing.end(),
                                         [&](const std::string& name) {
                                           return measured.HasWithin(name);
                                         });
}

// Gives a net its parameters, but not the nets within. With `or_none`, a net
// that does not fit at all is left alone.
Status RegisterAlone(const MeasuredOutputs& measured,
                     const RegisterOptions& options, bool or_none,
                     caffe2::NetBase* net) {
  const auto operators = OperatorsOf(*net);
  StaticParameterOptions how;
  how.is_weight = options.is_weight;
  how.dnnlowp = options.dnnlowp;
  how.every = !options.output_path.empty();
  StaticParameters parameters;
  RETURN_IF_ERROR(
      ChooseStaticParameters(measured, operators, how, &parameters));
  const std::vector<ChosenParameters>& chosen = parameters.chosen;
  const Status missing =
      MissingOutputs(measured, net->Name(), parameters.missing);
  if (or_none && MayBeWithin(measured, parameters.missing)) {
    return Status::Ok();
  }
  if (or_none && !parameters.fits && !missing.ok()) {
    LOG(WARNING) << missing.message()
                 << "; it has none, so the net is left alone";
    return Status::Ok();
  }
  if (or_none && std::none_of(chosen.begin(), chosen.end(),
                              [&](const ChosenParameters& each) {
                                return operators[each.op_index].is_int8;
                              })) {
    return Status::Ok();
  }
  RETURN_IF_ERROR(missing);
  if (!options.output_path.empty()) {
    RETURN_IF_ERROR(
        WriteFileAtomically(options.output_path, FormatParameters(chosen)));
  }
  const auto live = net->GetOperators();
  for (const ChosenParameters& each : chosen) {
    if (!operators[each.op_index].is_int8) continue;
    caffe2::OperatorBase* op = live[each.op_index];
    auto definition = std::make_shared<caffe2::OperatorDef>(op->debug_def());
    SetStaticParameters(each.output_index, each.choice.scale,
                        each.choice.zero_point, definition.get());
    op->set_debug_def(definition);
  }
  return Status::Ok();
}

// Gives a net and the nets that its operators hold their parameters. What a
// file of before says of nets within, it does not tell from the net's own.
Status Register(const MeasuredOutputs& measured, const RegisterOptions& options,
                bool or_none, caffe2::NetBase* net) {
  RETURN_IF_ERROR(RegisterAlone(measured, options, or_none, net));
  if (measured.within.empty()) return Status::Ok();
  return RegisterWithin(measured, options, "", *net);
}

// `path` is that of the net, with a '/' at its end; "" of the outermost one.
Status RegisterWithin(const MeasuredOutputs& measured,
                      const RegisterOptions& options, const std::string& path,
                      const caffe2::NetBase& net) {
  RegisterOptions of_inner = options;
  of_inner.output_path.clear();  // its lines are of the net's own operators
  const auto operators = net.GetOperators();
  for (std::size_t i = 0; i < operators.size(); ++i) {
    for (const InnerNet& inner : InnerNetsOf(operators[i])) {
      const std::string at = path + std::to_string(i) + '/' + inner.argument;
      RETURN_IF_ERROR(RegisterAlone(measured.Within(at), of_inner,
                                    /*or_none=*/true, inner.net));
      RETURN_IF_ERROR(RegisterWithin(measured, options, at + '/', *inner.net));
    }
  }
  return Status::Ok();
}

// Gives parameters to every later net. A child goes on with what its parent
// registered.
class ParametersOfLaterNets final : public LaterNets {
 public:
  // Never destroyed: nets may be made while the process exits.
  static ParametersOfLaterNets& Get() {
    static NoDestructor<ParametersOfLaterNets> parameters;
    return *parameters;
  }

  ParametersOfLaterNets() : LaterNets(AfterFork::kGoesOn) {}

  void Add(MeasuredOutputs measured, const RegisterOptions& options) {
    std::lock_guard<std::mutex> lock(mutex());
    plans_.push_back(
        std::make_shared<const Plan>(Plan{std::move(measured), options}));
    Listen();
  }

  void Clear() {
    std::lock_guard<std::mutex> lock(mutex());
    plans_.clear();
  }

 private:
  struct Plan {
    MeasuredOutputs measured;
    RegisterOptions options;
  };

  std::unique_ptr<caffe2::NetObserver> OnNet(caffe2::NetBase* net) override {
    std::vector<std::shared_ptr<const Plan>> plans;
    {
      std::lock_guard<std::mutex> lock(mutex());
      plans = plans_;
    }
    for (const auto& plan : plans) {
      const Status status = Register(plan->measured, plan->options, true, net);
      CAFFE_ENFORCE(status.ok(),
                    plan->options.histogram
                        ? "RegisterQuantizationParamsWithHistogram: "
                        : "RegisterQuantizationParams: ",
                    status.message());
    }
    return NoObserver(net);
  }

  std::vector<std::shared_ptr<const Plan>> plans_;
};

}  // namespace

Status RegisterQuantizationParams(caffe2::NetBase* net,
                                  const RegisterOptions& options) {
  if (net == nullptr) {
    return Status::InvalidArgument(
        "the net is null, expected one that a workspace made");
  }
  MeasuredOutputs measured;
  RETURN_IF_ERROR(
      ReadMeasuredOutputs(options.path, options.histogram, &measured));
  RETURN_IF_ERROR(CheckIsNotRunning(*net, "register parameters"));
  return Register(measured, options, false, net);
}

Status RegisterQuantizationParamsOfLaterNets(const RegisterOptions& options) {
  MeasuredOutputs measured;
  RETURN_IF_ERROR(
      ReadMeasuredOutputs(options.path, options.histogram, &measured));
  ParametersOfLaterNets::Get().Add(std::move(measured), options);
  return Status::Ok();
}

void StopRegisteringQuantizationParams() {
  ParametersOfLaterNets::Get().Clear();
}

}  // namespace caffe2_quantization
