#include "operators/register_quantization_params_op.h"

#include <string>

#include "caffe2/core/workspace.h"
#include "netdef/static_parameters.h"
#include "observers/register_quantization_params.h"
#include "operators/enforce.h"
#include "operators/net_argument.h"
#include "operators/registration.h"

namespace caffe2_quantization {

bool RegisterQuantizationParamsOp::RunOnDevice() {
  if (!GetSingleArgument<bool>("enable", true)) {
    StopRegisteringQuantizationParams();
    return true;
  }
  RegisterOptions options;
  options.path = GetSingleArgument<std::string>("path", "");
  options.histogram = type() == "RegisterQuantizationParamsWithHistogram";
  options.is_weight = GetSingleArgument<bool>("is_weight", false);
  options.dnnlowp = GetSingleArgument<bool>("dnnlowp", false);
  options.output_path = GetSingleArgument<std::string>("output", "");
  CAFFE_ENFORCE(!options.path.empty(), type(),
                ": argument path is missing, expected the path of a profile");
  Status status;
  if (HasArgument("net")) {
    const auto name = GetSingleArgument<std::string>("net", "");
    caffe2::NetBase* net = workspace_->GetNet(name);
    const std::string others = c10::Join(", ", workspace_->Nets());
    CAFFE_ENFORCE(
        net != nullptr, type(), ": there is no net '", name,
        "' in this workspace; it has: ", others.empty() ? "(none)" : others);
    status = RegisterQuantizationParams(net, options);
  } else {
    status = RegisterQuantizationParamsOfLaterNets(options);
  }
  EnforceOk(*this, status);
  return true;
}

bool AddScaleZeroOffsetArgumentsWithHistogramOp::RunOnDevice() {
  const auto path = GetSingleArgument<std::string>("path", "");
  CAFFE_ENFORCE(!path.empty(), type(),
                ": argument path is missing, expected the path of a profile");
  caffe2::NetDef net = NetArgument(*this);
  const Status status = AddScaleZeroOffsetArgumentsWithHistogram(
      path, &net, GetSingleArgument<bool>("dnnlowp", false));
  EnforceOk(*this, status);
  *Output(0, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
      net.SerializeAsString();
  return true;
}

namespace {

caffe2::OpSchema& RegisterSchema(const char* name) {
  RegisterCpuOperator<RegisterQuantizationParamsOp>(name);
  RegisterNoGradient(name);
  return CAFFE2_QUANTIZATION_SCHEMA(name)
      .NumInputs(0)
      .NumOutputs(0)
      .Arg("net",
           "Name of a net of this workspace. Default: every net that is made "
           "from now on in this process.")
      .Arg("is_weight",
           "1: chooses by the settings of weights. Default 0: activations.")
      .Arg("dnnlowp",
           "1: DNNLOWP's own parameters: no scale below 6.1e-5, percentiles in "
           "bins. Default 0.")
      .Arg("output",
           "File to write what was chosen to, one line an output. Default: "
           "none.")
      .Arg("enable", "0: leaves later nets alone again. Default 1.");
}

}  // namespace

void RegisterRegisterQuantizationParams() {
  RegisterSchema("RegisterQuantizationParams")
      .SetDoc(
          "Sets Y_scale and Y_zero_point of a net's int8 operators, by the "
          "smallest and largest values that a file has of their outputs.")
      .Arg("path", "A .minmax file or a profile.");
}

void RegisterRegisterQuantizationParamsWithHistogram() {
  RegisterSchema("RegisterQuantizationParamsWithHistogram")
      .SetDoc(
          "Sets Y_scale and Y_zero_point of a net's int8 operators, by the "
          "histograms that a file has of their outputs.")
      .Arg("path", "A .hist file or a profile with histograms.");
}

void RegisterAddScaleZeroOffsetArgumentsWithHistogram() {
  RegisterCpuOperator<AddScaleZeroOffsetArgumentsWithHistogramOp>(
      "AddScaleZeroOffsetArgumentsWithHistogram");
  RegisterNoGradient("AddScaleZeroOffsetArgumentsWithHistogram");
  CAFFE2_QUANTIZATION_SCHEMA("AddScaleZeroOffsetArgumentsWithHistogram")
      .NumInputs(0)
      .NumOutputs(1)
      .SetDoc(
          "Adds Y_scale and Y_zero_point to a NetDef's int8 operators, by the "
          "histograms that a file has of their outputs.")
      .Arg("path", "A .hist file or a profile with histograms.")
      .Arg("dnnlowp",
           "1: DNNLOWP's own parameters: no scale below 6.1e-5, percentiles in "
           "bins. Default 0.")
      .Arg("net_def", "A NetDef, binary or text.")
      .Output(0, "result", "Its bytes: string tensor [1]");
}

}  // namespace caffe2_quantization
