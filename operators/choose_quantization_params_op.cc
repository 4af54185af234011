#include "operators/choose_quantization_params_op.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/text.h"
#include "netdef/dnnlowp_settings.h"
#include "operators/enforce.h"
#include "operators/registration.h"

namespace caffe2_quantization {
namespace {

// The number that was meant: 0.9999, not the float next to it, of which the 1
// in 10,000 values that is left out would be another.
double ShortestDecimal(float value) {
  return std::strtod(ShortestText(value).c_str(), nullptr);
}

}  // namespace

ChooseQuantizationParamsOpBase::ChooseQuantizationParamsOpBase(
    const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
    : Operator(definition, workspace) {
  const auto flags = GetSingleArgument<std::string>("flags", "");
  CAFFE_ENFORCE(flags.empty() || flags == "activation" || flags == "weight",
                type(), ": flags is '", flags,
                "', expected activation or weight");
  if (!flags.empty()) Enforce(DnnlowpOptions(flags == "weight", &options_));
  if (HasArgument("method")) {
    Enforce(ChooseMethodFromName(GetSingleArgument<std::string>("method", ""),
                                 &options_.method, &options_.percentile));
  }
  options_.type.precision =
      GetSingleArgument<int>("precision", options_.type.precision);
  options_.type.is_signed =
      GetSingleArgument<bool>("is_signed", options_.type.is_signed);
  options_.preserve_sparsity =
      GetSingleArgument<bool>("preserve_sparsity", options_.preserve_sparsity);
  options_.force_scale_power_of_two = GetSingleArgument<bool>(
      "force_scale_power_of_two", options_.force_scale_power_of_two);
  options_.reduced_range =
      GetSingleArgument<bool>("reduced_range", options_.reduced_range);
  if (HasArgument("percentile")) {
    options_.percentile =
        ShortestDecimal(GetSingleArgument<float>("percentile", 0));
  }
  if (GetSingleArgument<bool>("dnnlowp", false)) ChooseLikeDnnlowp(&options_);
  options_.smallest_scale =
      GetSingleArgument<float>("smallest_scale", options_.smallest_scale);
  Enforce(options_.Validate());
}

void ChooseQuantizationParamsOpBase::Enforce(const Status& status) const {
  EnforceOk(*this, status);
}

void ChooseQuantizationParamsOpBase::SetOutputs(const Choice& choice) {
  LOG_IF(WARNING, !choice.warning.empty())
      << type() << ": blob '" << debug_def().input(0)
      << "': " << choice.warning;
  *Output(0, {1}, at::dtype<float>())->mutable_data<float>() = choice.scale;
  *Output(1, {1}, at::dtype<int32_t>())->mutable_data<int32_t>() =
      choice.zero_point;
  if (OutputSize() < 3) return;
  const nlohmann::json json = {{"scale", choice.scale},
                               {"zero_point", choice.zero_point},
                               {"min", choice.min},
                               {"max", choice.max},
                               {"clipped_share", choice.clipped_share},
                               {"objective", choice.objective},
                               {"warning", choice.warning}};
  *Output(2, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
      json.dump();
}

bool ChooseQuantizationParamsOp::RunOnDevice() {
  const auto& x = Input(0);
  CAFFE_ENFORCE(x.IsType<float>(), type(), ": tensor '", debug_def().input(0),
                "' is of type ", x.dtype().name(), ", expected float");
  Choice choice;
  const Status status =
      ChooseFromArray(x.numel() == 0 ? nullptr : x.data<float>(),
                      static_cast<std::size_t>(x.numel()), options_, &choice);
  EnforceOk(*this, status, "tensor '", debug_def().input(0), "': ");
  SetOutputs(choice);
  return true;
}

ChooseStaticQuantizationParamsOp::ChooseStaticQuantizationParamsOp(
    const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
    : ChooseQuantizationParamsOpBase(definition, workspace),
      min_(GetSingleArgument<float>("min", 0)),
      max_(GetSingleArgument<float>("max", 0)) {
  CAFFE_ENFORCE(HasArgument("min") && HasArgument("max"), type(), ": argument ",
                HasArgument("min") ? "max" : "min",
                " is missing, expected the edge of the bins");
}

bool ChooseStaticQuantizationParamsOp::RunOnDevice() {
  const auto& input = Input(0);
  const std::string& name = debug_def().input(0);
  CAFFE_ENFORCE(input.IsType<int64_t>(), type(), ": tensor '", name,
                "' is of type ", input.dtype().name(), ", expected int64");
  CAFFE_ENFORCE(input.dim() == 1, type(), ": tensor '", name, "' has ",
                input.dim(), " dimensions, expected 1");
  BinCounts counts{min_, max_, {}};
  counts.counts.resize(static_cast<std::size_t>(input.numel()));
  for (std::size_t i = 0; i < counts.counts.size(); ++i) {
    const int64_t count = input.data<int64_t>()[i];
    CAFFE_ENFORCE(count >= 0, type(), ": count ", i, " of tensor '", name,
                  "' is ", count, ", expected 0 or more");
    counts.counts[i] = static_cast<uint64_t>(count);
  }
  Choice choice;
  Enforce(ChooseFromCounts(counts, options_, &choice));
  SetOutputs(choice);
  return true;
}

namespace {

std::vector<caffe2::TensorShape> InferShapes(
    const caffe2::OperatorDef& definition,
    const std::vector<caffe2::TensorShape>&) {
  std::vector<caffe2::TensorShape> out;
  for (const auto type :
       {caffe2::TensorProto::FLOAT, caffe2::TensorProto::INT32,
        caffe2::TensorProto::STRING}) {
    if (static_cast<int>(out.size()) == definition.output_size()) break;
    out.push_back(caffe2::CreateTensorShape(std::vector<int64_t>{1}, type));
  }
  return out;
}

caffe2::OpSchema& ChooseSchema(const char* name) {
  RegisterNoGradient(name);
  return AddChooseArguments(&CAFFE2_QUANTIZATION_SCHEMA(name)
                                 .NumInputs(1)
                                 .NumOutputs(2, 3)
                                 .TensorInferenceFunction(InferShapes))
      .Arg("is_signed", "1: codes of both signs. Default 0.")
      .Output(0, "scale", "float tensor [1]")
      .Output(1, "zero_point", "int32 tensor [1]")
      .Output(2, "choice",
              "Optional: scale, zero_point, min, max, clipped_share, objective "
              "and warning as JSON, string tensor [1].");
}

}  // namespace

caffe2::OpSchema& AddChooseArguments(caffe2::OpSchema* schema) {
  return schema
      ->Arg("method",
            "MIN_MAX (default), MSE (the least squared error), L2, L2_APPROX, "
            "L1, KL, or P and a percentage, such as P99.9: exact of a tensor, "
            "to a bin of counts. P99_DNNLOWP: in bins of the whole range.")
      .Arg("precision", "Bits, 1 to 16. Default 8.")
      .Arg("preserve_sparsity",
           "1: 0 is one end of the codes or their middle. Default 0.")
      .Arg("force_scale_power_of_two", "1: the next larger one. Default 0.")
      .Arg("reduced_range", "1: leaves one bit unused. Default 0.")
      .Arg("percentile",
           "Of method P99: the share of values to represent. Default 0.99.")
      .Arg("smallest_scale",
           "A smaller one becomes this one; 0: none does. Default 2^-63.")
      .Arg("dnnlowp",
           "1: DNNLOWP's own parameters: no scale below 6.1e-5, percentiles in "
           "bins. Default 0.")
      .Arg("flags",
           "activation or weight: other defaults, those of the flags "
           "caffe2_dnnlowp_*.");
}

void RegisterChooseQuantizationParams() {
  RegisterCpuOperator<ChooseQuantizationParamsOp>("ChooseQuantizationParams");
  ChooseSchema("ChooseQuantizationParams")
      .SetDoc("Chooses scale and zero point for a tensor's values.")
      .Input(0, "X", "float tensor of finite values");
}

void RegisterChooseStaticQuantizationParams() {
  RegisterCpuOperator<ChooseStaticQuantizationParamsOp>(
      "ChooseStaticQuantizationParams");
  ChooseSchema("ChooseStaticQuantizationParams")
      .SetDoc("Chooses scale and zero point for values that were counted.")
      .Arg("min", "Lower edge of the first bin. Required.")
      .Arg("max", "Upper edge of the last bin. Required.")
      .Input(0, "counts", "int64 tensor [n]: of n bins of one width");
}

}  // namespace caffe2_quantization
