#include "operators/int8_quant_blobs_op.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe2/core/workspace.h"
#include "netdef/dnnlowp_settings.h"
#include "operators/enforce.h"
#include "operators/int8_quant_blobs.h"
#include "operators/net_argument.h"
#include "operators/registration.h"
#include "quantization/choose.h"

namespace caffe2_quantization {
namespace {

using SchemePtr = std::unique_ptr<caffe2::Int8QuantSchemeBlob>;
using ParamsPtr = std::unique_ptr<caffe2::Int8QuantParamsBlob>;

// What an input holds; an enforce error names it when it is something else or
// nothing.
template <typename T>
const T& Held(caffe2::OperatorBase* op, int index, const char* type_name) {
  const std::string& name = op->debug_def().input(index);
  const caffe2::Blob& blob = op->InputBlob(index);
  CAFFE_ENFORCE(blob.IsType<std::unique_ptr<T>>(), op->type(), ": blob '", name,
                "' holds a ", blob.TypeName(), ", expected an ", type_name);
  const auto& pointer = blob.Get<std::unique_ptr<T>>();
  CAFFE_ENFORCE(pointer != nullptr, op->type(), ": blob '", name,
                "' holds an empty ", type_name);
  return *pointer;
}

const caffe2::Int8QuantSchemeBlob& Scheme(caffe2::OperatorBase* op, int index) {
  return Held<caffe2::Int8QuantSchemeBlob>(op, index, "Int8QuantSchemeBlob");
}

void SetParams(float scale, int32_t zero_point, ParamsPtr* output) {
  auto params = std::make_unique<caffe2::Int8QuantParamsBlob>();
  params->qparam.scale = scale;
  params->qparam.zero_point = zero_point;
  *output = std::move(params);
}

float OneValue(caffe2::OperatorBase* op, int index) {
  const auto& tensor = op->Input<caffe2::Tensor>(index, caffe2::CPU);
  const std::string& name = op->debug_def().input(index);
  CAFFE_ENFORCE(tensor.IsType<float>(), op->type(), ": tensor '", name,
                "' is of type ", tensor.dtype().name(), ", expected float");
  CAFFE_ENFORCE(tensor.numel() == 1, op->type(), ": tensor '", name, "' has ",
                tensor.numel(), " values, expected 1");
  return *tensor.data<float>();
}

// Parameters are a tensor of one float to shape inference, as upstream.
std::vector<caffe2::TensorShape> ParamsShape(
    const caffe2::OperatorDef&, const std::vector<caffe2::TensorShape>&) {
  return {caffe2::CreateTensorShape(std::vector<int64_t>{1},
                                    caffe2::TensorProto::FLOAT)};
}

}  // namespace

bool Int8QuantSchemeBlobFillOp::RunOnDevice() {
  const auto kind = GetSingleArgument<std::string>("quantization_kind",
                                                   "MIN_MAX_QUANTIZATION");
  ChooseMethod method;
  const Status status = ChooseMethodFromName(kind, &method, nullptr);
  EnforceOk(*this, status);
  // Int8GenQuantParams is the host's.
  CAFFE_ENFORCE(HostKnowsKind(kind), type(), ": quantization_kind is '", kind,
                "', which the host's Int8GenQuantParams would take for "
                "min_max; expected min_max, l1, l2, l2_approx, kl or p99");
  auto scheme = std::make_unique<caffe2::Int8QuantSchemeBlob>();
  scheme->quantization_kind_ = kind;
  scheme->preserve_sparsity_ =
      GetSingleArgument<bool>("preserve_sparsity", false);
  *OperatorBase::Output<SchemePtr>(0) = std::move(scheme);
  return true;
}

bool Int8QuantSchemeBlobInfoOp::RunOnDevice() {
  const auto& scheme = Scheme(this, 0);
  *Output(0, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
      scheme.quantization_kind_;
  *Output(1, {1}, at::dtype<bool>())->mutable_data<bool>() =
      scheme.preserve_sparsity_;
  return true;
}

bool Int8QuantParamsBlobFillOp::RunOnDevice() {
  CAFFE_ENFORCE(HasSingleArgumentOfType<float>("scale"), type(),
                ": argument scale is missing, expected a float");
  CAFFE_ENFORCE(HasSingleArgumentOfType<int>("zero_point"), type(),
                ": argument zero_point is missing, expected an integer");
  const auto scale = GetSingleArgument<float>("scale", 1);
  CAFFE_ENFORCE(scale > 0 && std::isfinite(scale), type(), ": scale is ", scale,
                ", expected a finite number above 0");
  SetParams(scale, GetSingleArgument<int32_t>("zero_point", 0),
            OperatorBase::Output<ParamsPtr>(0));
  return true;
}

bool Int8QuantParamsBlobInfoOp::RunOnDevice() {
  const auto& params =
      Held<caffe2::Int8QuantParamsBlob>(this, 0, "Int8QuantParamsBlob");
  *Output(0, {1}, at::dtype<float>())->mutable_data<float>() =
      params.qparam.scale;
  *Output(1, {1}, at::dtype<int32_t>())->mutable_data<int32_t>() =
      params.qparam.zero_point;
  return true;
}

bool Int8GenQuantParamsMinMaxOp::RunOnDevice() {
  const float min = OneValue(this, 0);
  const float max = OneValue(this, 1);
  ChooseOptions options;
  Choice choice;
  Status status = DnnlowpOptions(/*is_weight=*/false, &options);
  options.type = QuantizedType::UInt8();
  options.preserve_sparsity =
      InputSize() == 3 && Scheme(this, 2).preserve_sparsity_;
  if (GetSingleArgument<bool>("dnnlowp", false)) ChooseLikeDnnlowp(&options);
  if (status.ok()) status = ChooseFromRange(min, max, options, &choice);
  EnforceOk(*this, status);
  SetParams(choice.scale, choice.zero_point,
            OperatorBase::Output<ParamsPtr>(0));
  return true;
}

bool FreezeQuantizationParamsOp::RunOnDevice() {
  caffe2::NetDef net = NetArgument(*this);
  for (auto& op : *net.mutable_op()) {
    const bool quantizes =
        op.type() == "Int8Quantize" || op.type() == "Quantize";
    if (op.input_size() != (quantizes ? 2 : 4) ||
        !(quantizes || op.type() == "Int8FC")) {
      continue;
    }
    const std::string& name = op.input(op.input_size() - 1);
    const caffe2::Blob* blob = workspace_->GetBlob(name);
    if (blob == nullptr || !blob->IsType<ParamsPtr>() ||
        blob->Get<ParamsPtr>() == nullptr) {
      LOG(WARNING) << type() << ": blob '" << name << "' of operator "
                   << op.type() << " is "
                   << (blob == nullptr ? "not in the workspace"
                                       : "no Int8QuantParamsBlob")
                   << "; the operator is left as it is";
      continue;
    }
    const auto& params = blob->Get<ParamsPtr>()->qparam;
    SetStaticParameters(0, params.scale, params.zero_point, &op);
    op.mutable_input()->RemoveLast();
  }
  *Output(0, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
      net.SerializeAsString();
  return true;
}

void RegisterInt8QuantSchemeBlobFill() {
  RegisterCpuOperator<Int8QuantSchemeBlobFillOp>("Int8QuantSchemeBlobFill");
  RegisterNoGradient("Int8QuantSchemeBlobFill");
  CAFFE2_QUANTIZATION_SCHEMA("Int8QuantSchemeBlobFill")
      .NumInputs(0)
      .NumOutputs(1)
      .SetDoc("Says how Int8GenQuantParams shall choose.")
      .Arg("quantization_kind",
           "min_max, l1, l2, l2_approx, kl or p99, or DNNLOWP's long name. "
           "Default: MIN_MAX_QUANTIZATION.")
      .Arg("preserve_sparsity",
           "1: 0 is one end of the codes or their middle. Default 0.")
      .Output(0, "quant_scheme", "Int8QuantSchemeBlob");
}

void RegisterInt8QuantSchemeBlobInfo() {
  RegisterCpuOperator<Int8QuantSchemeBlobInfoOp>("Int8QuantSchemeBlobInfo");
  RegisterNoGradient("Int8QuantSchemeBlobInfo");
  CAFFE2_QUANTIZATION_SCHEMA("Int8QuantSchemeBlobInfo")
      .NumInputs(1)
      .NumOutputs(2)
      .SetDoc("What an Int8QuantSchemeBlob says.")
      .Input(0, "quant_scheme", "Int8QuantSchemeBlob")
      .Output(0, "quantization_kind", "string tensor [1]")
      .Output(1, "preserve_sparsity", "bool tensor [1]");
}

void RegisterInt8QuantParamsBlobFill() {
  RegisterCpuOperator<Int8QuantParamsBlobFillOp>("Int8QuantParamsBlobFill");
  RegisterNoGradient("Int8QuantParamsBlobFill");
  CAFFE2_QUANTIZATION_SCHEMA("Int8QuantParamsBlobFill")
      .NumInputs(0)
      .NumOutputs(1)
      .SetDoc("Parameters for Int8Quantize and Int8FC, by their values.")
      .Arg("scale", "Above 0. Required.")
      .Arg("zero_point", "The code of 0. Required.")
      .Output(0, "quant_param", "Int8QuantParamsBlob");
}

void RegisterInt8QuantParamsBlobInfo() {
  RegisterCpuOperator<Int8QuantParamsBlobInfoOp>("Int8QuantParamsBlobInfo");
  RegisterNoGradient("Int8QuantParamsBlobInfo");
  CAFFE2_QUANTIZATION_SCHEMA("Int8QuantParamsBlobInfo")
      .NumInputs(1)
      .NumOutputs(2)
      .SetDoc("What an Int8QuantParamsBlob holds.")
      .Input(0, "quant_param", "Int8QuantParamsBlob")
      .Output(0, "scale", "float tensor [1]")
      .Output(1, "zero_point", "int32 tensor [1]");
}

void RegisterInt8GenQuantParamsMinMax() {
  RegisterCpuOperator<Int8GenQuantParamsMinMaxOp>("Int8GenQuantParamsMinMax");
  RegisterNoGradient("Int8GenQuantParamsMinMax");
  CAFFE2_QUANTIZATION_SCHEMA("Int8GenQuantParamsMinMax")
      .NumInputs(2, 3)
      .NumOutputs(1)
      .TensorInferenceFunction(ParamsShape)
      .SetDoc("Parameters of 8 bits for the range [min, max].")
      .Arg("dnnlowp", "1: DNNLOWP's own, no scale below 6.1e-5. Default 0.")
      .Input(0, "min", "float tensor of one value")
      .Input(1, "max", "float tensor of one value, not below min")
      .Input(2, "quant_scheme",
             "Optional Int8QuantSchemeBlob, of which preserve_sparsity alone "
             "is used.")
      .Output(0, "quant_param", "Int8QuantParamsBlob");
}

void RegisterFreezeQuantizationParams() {
  RegisterCpuOperator<FreezeQuantizationParamsOp>("FreezeQuantizationParams");
  RegisterNoGradient("FreezeQuantizationParams");
  CAFFE2_QUANTIZATION_SCHEMA("FreezeQuantizationParams")
      .NumInputs(0)
      .NumOutputs(1)
      .SetDoc(
          "Writes the values of a net's Int8QuantParamsBlobs into its "
          "operators, as Y_scale and Y_zero_point in place of the last input.")
      .Arg("net_def", "A NetDef, binary or text.")
      .Output(0, "frozen_net", "Its bytes: string tensor [1]");
}

}  // namespace caffe2_quantization
