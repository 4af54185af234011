#include "operators/quantize_net_op.h"

#include <utility>
#include <vector>

#include "base/return_if_error.h"
#include "netdef/load_net.h"
#include "netdef/operator_keys.h"
#include "operators/enforce.h"
#include "operators/registration.h"
#include "operators/string_arguments.h"
#include "profiles/profile.h"
#include "rewrite/measurements.h"
#include "rewrite/recipe_json.h"

namespace caffe2_quantization {
namespace {

enum Inputs { kInit, kPredict, kProfile, kRecipe };
constexpr const char* kInputNames[] = {"init", "predict", "profile", "recipe"};

Status ParseProfile(const std::string& contents, NetInfo* info) {
  const std::size_t first = contents.find_first_not_of(" \t\r\n");
  const bool is_json = first != std::string::npos && contents[first] == '{';
  return is_json ? ProfileFromJson(contents, info)
                 : ProfileFromBytes(contents, info);
}

Status Within(const std::string& what, const Status& status) {
  return status.ok() ? status
                     : Status::InvalidArgument(what + ": " + status.message());
}

}  // namespace

QuantizeNetOp::QuantizeNetOp(const caffe2::OperatorDef& definition,
                             caffe2::Workspace* workspace)
    : Operator(definition, workspace) {
  const auto method = [this](const char* argument, ChooseMethod* chosen,
                             double* percentile) {
    const auto name =
        GetSingleArgument<std::string>(argument, Name(ChooseMethod::kMinMax));
    EnforceOk(*this, ChooseMethodFromName(name, chosen, percentile),
              "argument ", argument, ": ");
  };
  options_.engine =
      GetSingleArgument<std::string>("int8_engine", options_.engine);
  options_.per_channel =
      GetSingleArgument<bool>("per_channel", options_.per_channel);
  for (auto [argument, percentile] :
       {std::pair<const char*, double*>("activation_percentile",
                                        &options_.activation_percentile),
        {"weight_percentile", &options_.weight_percentile}}) {
    if (!HasArgument(argument)) continue;
    const float share = GetSingleArgument<float>(argument, 0);
    CAFFE_ENFORCE(share > 0 && share <= 1, type(), ": argument ", argument,
                  " is ", share, ", expected one above 0, up to 1");
    *percentile = static_cast<double>(share);
  }
  method("activation_method", &options_.activation_method,
         &options_.activation_percentile);
  method("weight_method", &options_.weight_method, &options_.weight_percentile);
  options_.activation_bits =
      GetSingleArgument<int>("activation_bits", options_.activation_bits);
  options_.weight_bits =
      GetSingleArgument<int>("weight_bits", options_.weight_bits);
  options_.keep_float = StringArguments(*this, "keep_float");
  options_.only = StringArguments(*this, "only");
  options_.int8_io = GetSingleArgument<bool>("int8_io", options_.int8_io);
}

const std::string& QuantizeNetOp::Text(int index) {
  const std::string name = std::string("input ") + kInputNames[index] + " ('" +
                           debug_def().input(index) + "')";
  const caffe2::Blob& blob = OperatorBase::InputBlob(index);
  if (blob.IsType<std::string>()) return blob.Get<std::string>();
  CAFFE_ENFORCE(caffe2::BlobIsTensorType(blob, caffe2::CPU), type(), ": ", name,
                " is a ", blob.TypeName(), ", expected a string");
  const auto& tensor = blob.Get<caffe2::Tensor>();
  CAFFE_ENFORCE(tensor.IsType<std::string>() && tensor.numel() == 1, type(),
                ": ", name, " has ", tensor.numel(), " values of type ",
                tensor.dtype().name(), ", expected one string");
  return tensor.data<std::string>()[0];
}

Status QuantizeNetOp::Quantize(const caffe2::NetDef& init,
                               const caffe2::NetDef& predict,
                               rewrite::QuantizedNets* nets) {
  const std::string& profile = Text(kProfile);
  const std::string& recipe = Text(kRecipe);
  if (profile.empty() == recipe.empty()) {
    return Status::InvalidArgument(
        std::string("inputs profile and recipe are both ") +
        (profile.empty() ? "empty" : "given") + ", expected one of them");
  }
  if (!recipe.empty()) {
    if (debug_def().arg_size() > 0) {
      return Status::InvalidArgument("argument " + debug_def().arg(0).name() +
                                     " is given, but the recipe has all "
                                     "options: expected no arguments");
    }
    rewrite::Recipe read;
    RETURN_IF_ERROR(
        Within("input recipe", rewrite::RecipeFromJson(recipe, &read)));
    return rewrite::QuantizeNetBy(read, init, predict, HasOperator, nets);
  }
  NetInfo info;
  RETURN_IF_ERROR(Within("input profile", ParseProfile(profile, &info)));
  rewrite::Measurements measurements;
  RETURN_IF_ERROR(
      rewrite::Measurements::FromProfile(info, predict, &measurements));
  return rewrite::QuantizeNet(init, predict, measurements, options_,
                              HasOperator, nets);
}

void QuantizeNetOp::Write(int index, std::string text) {
  *Output(index, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
      std::move(text);
}

bool QuantizeNetOp::RunOnDevice() {
  caffe2::NetDef init, predict;
  EnforceOk(*this, ParseNetDef(Text(kInit), &init), "input init: ");
  EnforceOk(*this, ParseNetDef(Text(kPredict), &predict), "input predict: ");
  if (predict.name().empty()) predict.set_name("net");
  rewrite::QuantizedNets nets;
  EnforceOk(*this, Quantize(init, predict, &nets));
  std::string texts[4];
  EnforceOk(*this, FirstError({rewrite::NetToBytes(nets.init, &texts[0]),
                               rewrite::NetToBytes(nets.predict, &texts[1]),
                               rewrite::RecipeToJson(nets.recipe, &texts[2]),
                               rewrite::ReportToJson(nets, {}, &texts[3])}));
  for (int i = 0; i < 4; ++i) Write(i, std::move(texts[i]));
  return true;
}

namespace {

std::vector<caffe2::TensorShape> InferShapes(
    const caffe2::OperatorDef&, const std::vector<caffe2::TensorShape>&) {
  return std::vector<caffe2::TensorShape>(
      4, caffe2::CreateTensorShape(std::vector<int64_t>{1},
                                   caffe2::TensorProto::STRING));
}

}  // namespace

void RegisterQuantizeNet() {
  RegisterCpuOperator<QuantizeNetOp>("QuantizeNet");
  RegisterNoGradient("QuantizeNet");
  CAFFE2_QUANTIZATION_SCHEMA("QuantizeNet")
      .NumInputs(4)
      .NumOutputs(4)
      .TensorInferenceFunction(InferShapes)
      .SetDoc(
          "Makes an int8 net of a float net, by a profile of a calibration or "
          "by a recipe. Nothing is run.")
      .Arg("int8_engine",
           "ONEDNN, or DNNLOWP for a net that needs no plugin. Default ONEDNN.")
      .Arg("per_channel",
           "1: weights have a scale for each output channel. Default 1.")
      .Arg("activation_method",
           "MIN_MAX, MSE, L1, L2, L2_APPROX, KL, P99, P99.9 and so on. Default "
           "MIN_MAX. All but MIN_MAX need histograms in the profile.")
      .Arg("activation_percentile",
           "The share of P99; P99.9 says it itself. Default 0.99.")
      .Arg("activation_bits", "2 to 8. Default 8.")
      .Arg("weight_method", "As activation_method. Default MIN_MAX.")
      .Arg("weight_percentile", "As activation_percentile. Default 0.99.")
      .Arg("weight_bits", "2 to 8. Default 8.")
      .Arg("keep_float",
           "Operators that stay float: names, first outputs, types, or regular "
           "expressions of these.")
      .Arg("only", "The only operators that may be int8, as keep_float.")
      .Arg("int8_io",
           "1: inputs and outputs that are quantized become int8 tensors. "
           "Default 0.")
      .Input(0, "init", "A NetDef whose fills make the weights, one string.")
      .Input(1, "predict", "The NetDef that is run, one string.")
      .Input(
          2, "profile",
          "A profile of it, binary or JSON, one string; empty with a recipe.")
      .Input(3, "recipe",
             "A recipe, JSON, one string; empty with a profile. It has all "
             "options.")
      .Output(0, "int8_init", "The NetDef that makes the int8 net's weights.")
      .Output(1, "int8_predict", "The int8 NetDef.")
      .Output(2, "recipe", "What makes the same nets again, JSON.")
      .Output(3, "report", "What became of operators and tensors, JSON.");
}

}  // namespace caffe2_quantization
