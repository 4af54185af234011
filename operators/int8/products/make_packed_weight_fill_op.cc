// MakeInt8GivenPackedWeightFill: quantizes float weights, and makes the
// operator that fills a blob with their codes, for an init net.
//
//   W [, bias] -> fill, scales, zero_points
//
//   W            floats: [N, K...] for the order FC, else the filter of a
//                convolution
//   bias         floats, one per output; needs in_scale
//   fill         the bytes of an OperatorDef Int8GivenPackedWeightFill, a
//                string [1]
//   scales, zero_points   those of its signed codes
//
// Arguments: blob, what is to be filled; order, group, in_scale,
// save_unpacked_weights (netdef/given_weights.h); granularity: tensor, group or
// channel (default), which says what has a scale of its own; and those that
// choose parameters (operators/choose_quantization_params_op.h; flags is
// "weight" for those of int8 operators). Codes are what the operators make of
// the same floats (quantization/quantize_weights.h).
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "netdef/given_weights.h"
#include "operators/choose_quantization_params_op.h"
#include "operators/enforce.h"
#include "operators/int8/engine/input.h"
#include "operators/registration.h"
#include "quantization/kernels/min_max.h"
#include "quantization/onednn/product_bias.h"
#include "quantization/quantization_params.h"
#include "quantization/quantize_weights.h"

namespace caffe2_quantization {
namespace {

constexpr char kType[] = "MakeInt8GivenPackedWeightFill";
constexpr int kWeights = 0, kBias = 1;

class MakePackedWeightFillOp final : public ChooseQuantizationParamsOpBase {
 public:
  using ChooseQuantizationParamsOpBase::ChooseQuantizationParamsOpBase;

  bool RunOnDevice() override {
    const caffe2::Tensor& w = FloatInput(this, kWeights);
    const std::string& name = debug_def().input(kWeights);
    CAFFE_ENFORCE(w.dim() >= 2 && w.numel() > 0, type(), ": tensor '", name,
                  "' has sizes ", w.sizes(),
                  ", expected weights of 2 or more dimensions, none of them 0");
    const int64_t rows = w.size(0);
    QuantizedWeights<int8_t> quantized;
    EnforceOk(*this,
              QuantizeWeights(w.data<float>(), rows, w.numel() / rows,
                              NumSets(rows), options_, &quantized),
              "tensor '", name, "': ");

    GivenWeights given;
    EnforceOk(*this, OrderFromName(GetSingleArgument<std::string>("order", ""),
                                   &given.order));
    given.shape = w.sizes().vec();
    given.groups = GetSingleArgument<int64_t>("group", 1);
    given.values = {reinterpret_cast<const char*>(quantized.codes.data()),
                    quantized.codes.size()};
    given.scales = std::move(quantized.scales);
    given.zero_points = std::move(quantized.zero_points);
    given.save_unpacked_weights =
        GetSingleArgument<bool>("save_unpacked_weights", false);
    if (InputSize() > kBias) QuantizeBias(rows, &given);
    const caffe2::OperatorDef fill =
        GivenWeightsFill(GetSingleArgument<std::string>("blob", ""), given);
    GivenWeights read;
    EnforceOk(*this, ReadGivenWeights(fill, &read));
    SetOutputs(fill, read);
    return true;
  }

 private:
  int64_t NumSets(int64_t rows) {
    const auto granularity =
        GetSingleArgument<std::string>("granularity", "channel");
    if (granularity == "channel") return rows;
    if (granularity == "tensor") return 1;
    CAFFE_ENFORCE(granularity == "group", type(), ": argument granularity is '",
                  granularity, "', expected tensor, group or channel");
    return GetSingleArgument<int64_t>("group", 1);
  }

  void QuantizeBias(int64_t rows, GivenWeights* given) {
    const std::string& name = debug_def().input(kBias);
    const caffe2::Tensor& bias = FloatInput(this, kBias);
    CAFFE_ENFORCE(bias.numel() == rows, type(), ": tensor '", name, "' has ",
                  bias.numel(), " values, expected ", rows,
                  ", one for each output");
    CAFFE_ENFORCE(
        kernels::MinMax(bias.data<float>(), rows).left_out() == 0, type(),
        ": tensor '", name,
        "' has values that are NaN or infinite, expected finite values");
    CAFFE_ENFORCE(HasSingleArgumentOfType<float>("in_scale"), type(),
                  ": argument in_scale is missing, expected the scale of the "
                  "product's input, in which the bias becomes codes");
    given->in_scale = GetSingleArgument<float>("in_scale", 0);
    EnforceOk(*this,
              QuantizationParams(QuantizedType::UInt8(), given->in_scale, 0)
                  .Validate(),
              "argument in_scale: ");
    onednn::ProductBias made = onednn::QuantizeBias(
        bias.data<float>(), rows, given->in_scale, given->scales);
    const auto large = std::find_if(made.large.begin(), made.large.end(),
                                    [](float value) { return value != 0; });
    CAFFE_ENFORCE(large == made.large.end(), type(), ": value ",
                  large - made.large.begin(), " of tensor '", name, "' is ",
                  ShortestText(*large),
                  ", beyond 32 bits in units of in_scale times the weights' "
                  "scale; expected a smaller one, or the bias as floats, an "
                  "input of the operator that takes the weights");
    given->bias = std::move(made.codes);
  }

  void SetOutputs(const caffe2::OperatorDef& fill, const GivenWeights& given) {
    const auto sets = static_cast<int64_t>(given.scales.size());
    *Output(0, {1}, at::dtype<std::string>())->mutable_data<std::string>() =
        fill.SerializeAsString();
    std::copy(given.scales.begin(), given.scales.end(),
              Output(1, {sets}, at::dtype<float>())->mutable_data<float>());
    std::copy(given.zero_points.begin(), given.zero_points.end(),
              Output(2, {sets}, at::dtype<int32_t>())->mutable_data<int32_t>());
  }
};

}  // namespace

void RegisterMakeInt8GivenPackedWeightFill() {
  RegisterCpuOperator<MakePackedWeightFillOp>(kType);
  RegisterNoGradient(kType);
  AddChooseArguments(
      &CAFFE2_QUANTIZATION_SCHEMA(kType).NumInputs(1, 2).NumOutputs(3))
      .SetDoc(
          "Quantizes float weights, and makes the operator that fills a blob "
          "with their codes, packed for the engine ONEDNN.")
      .Arg("blob", "The blob that is to be filled.")
      .Arg("order",
           "FC, or the order of a convolution: NHWC or NCHW. Required.")
      .Arg("granularity",
           "What has a scale of its own: tensor, group or channel (an output). "
           "Default channel.")
      .Arg("group", "Groups of a convolution. Default 1.")
      .Arg("in_scale", "The scale of the product's input, for a bias.")
      .Arg("save_unpacked_weights",
           "1: the operator keeps the codes beside the packed form. Default 0.")
      .Input(0, "W", "float tensor: weights of FC, or a filter")
      .Input(1, "bias", "Optional: float tensor, one value per output.")
      .Output(0, "fill",
              "An OperatorDef Int8GivenPackedWeightFill: string tensor [1]")
      .Output(1, "scales", "float tensor: of its codes")
      .Output(2, "zero_points", "int32 tensor: of its codes, which are signed");
}

}  // namespace caffe2_quantization
