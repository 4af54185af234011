#include "operators/qtensor_quantize_op.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "operators/byte_weight_parameters.h"
#include "operators/registration.h"
#include "quantization/channel_ranges.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_validation.h"

namespace caffe2_quantization {
namespace {

constexpr int kMaxPrecision = 16;

std::vector<QTensorScaleBias> ScaleBiasOf(const ChannelRanges& ranges,
                                          kernels::BitPlaneFormat format) {
  std::vector<QTensorScaleBias> chosen;
  chosen.reserve(ranges.mins.size());
  for (std::size_t c = 0; c < ranges.mins.size(); ++c) {
    const float min = ranges.mins[c], max = ranges.maxs[c];
    const bool empty = min > max;
    chosen.push_back(empty ? QTensorScaleBias()
                           : ChooseQTensorScaleBias(min, max, format));
  }
  return chosen;
}

}  // namespace

QTensorScaleBias ChooseQTensorScaleBias(float min, float max,
                                        kernels::BitPlaneFormat format) {
  const double low = min;
  const double high = max;
  const double largest = kernels::LargestOf(format);
  if (format.is_signed) {
    const double magnitude = std::max(std::fabs(low), std::fabs(high));
    return {magnitude > 0 ? magnitude / largest : 1, 0};
  }
  if (low == high) {
    if (low == 0) return {1, 0};
    return {std::fabs(low), low > 0 ? 1.0 : -1.0};
  }
  const double scale = (high - low) / largest;
  return {scale, low / scale};
}

kernels::BitPlaneFormat QTensorFormatArgument(
    const caffe2::ArgumentHelper& arguments, const std::string& op,
    const std::string& prefix, int max_precision) {
  const auto precision =
      arguments.GetSingleArgument<int>(prefix + "precision", 8);
  CAFFE_ENFORCE(precision >= 1 && precision <= max_precision, op, ": argument ",
                prefix, "precision is ", precision, ", expected 1 to ",
                max_precision);
  return {precision,
          arguments.GetSingleArgument<bool>(prefix + "signed", true)};
}

void CheckQTensorScaleBias(const std::string& op, const std::string& prefix,
                           const std::string& which, QTensorScaleBias given) {
  const char* const plural = which.empty() ? "" : "s";
  CAFFE_ENFORCE(std::isfinite(given.scale) && given.scale > 0, op,
                ": argument ", prefix, "scale", plural, which, " is ",
                given.scale, ", expected a finite number above 0");
  CAFFE_ENFORCE(std::isfinite(given.bias), op, ": argument ", prefix, "bias",
                which.empty() ? "" : "es", which, " is ", given.bias,
                ", expected a finite number");
}

QTensorQuantizeOp::QTensorQuantizeOp(const caffe2::OperatorDef& definition,
                                     caffe2::Workspace* workspace)
    : Operator(definition, workspace),
      format_(QTensorFormatArgument(caffe2::ArgumentHelper(definition), type(),
                                    "", kMaxPrecision)),
      has_axis_(HasArgument("axis")),
      axis_(GetSingleArgument<int>("axis", 0)) {
  CAFFE_ENFORCE(!HasArgument(has_axis_ ? "scale" : "scales") &&
                    !HasArgument(has_axis_ ? "bias" : "biases"),
                type(),
                ": with axis the parameters are scales and biases, "
                "without it scale and bias");
  const char* const scale_name = has_axis_ ? "scales" : "scale";
  const char* const bias_name = has_axis_ ? "biases" : "bias";
  if (!HasArgument(scale_name)) {
    CAFFE_ENFORCE(!HasArgument(bias_name), type(), ": argument ", bias_name,
                  " is given without ", scale_name, ", expected both");
    return;
  }
  if (!has_axis_) {
    given_ = {{GetSingleArgument<float>("scale", 1),
               GetSingleArgument<float>("bias", 0)}};
    CheckQTensorScaleBias(type(), "", "", given_[0]);
    return;
  }
  const auto scales = GetRepeatedArgument<float>("scales");
  auto biases = GetRepeatedArgument<float>("biases");
  if (!HasArgument("biases")) biases.assign(scales.size(), 0.0f);
  CAFFE_ENFORCE_EQ(scales.size(), biases.size(), type(), ": scales has ",
                   scales.size(), " and biases ", biases.size(),
                   " numbers, expected as many");
  CAFFE_ENFORCE(!scales.empty(), type(),
                ": argument scales is empty, expected a number a channel");
  for (std::size_t c = 0; c < scales.size(); ++c) {
    given_.push_back({scales[c], biases[c]});
    CheckQTensorScaleBias(type(), "", "[" + std::to_string(c) + "]", given_[c]);
  }
}

bool QTensorQuantizeOp::RunOnDevice() {
  const std::string& name = debug_def().input(0);
  const caffe2::Tensor& input = Input(0);
  CAFFE_ENFORCE(input.IsType<float>(), type(), ": input '", name,
                "' is a tensor of ", input.dtype().name(), ", expected float");
  const float* const src = input.data<float>();
  ChannelLayout layout;
  if (has_axis_) {
    layout = SplitAtAxis(type(), input.sizes().vec(), axis_);
  } else {
    layout.inner = input.numel();
  }
  const auto channels = static_cast<std::size_t>(layout.channels);
  CAFFE_ENFORCE(given_.empty() || given_.size() == channels, type(),
                ": scales has ", given_.size(), " numbers, expected ", channels,
                ", one a channel of axis ", axis_, " of input '", name, "'");

  // The message of the output, which states its limits.
  caffe2::QTensorProto fields;
  for (const int64_t dim : input.sizes()) fields.add_dims(dim);
  fields.set_precision(format_.precision);
  fields.set_is_signed(format_.is_signed);
  fields.set_scale(1);
  fields.set_bias(0);
  QTensorCounts counts;
  counts.data = format_.planes() *
                kernels::BitPlaneBytes(static_cast<std::size_t>(input.numel()));
  QTensorLayout planes;
  const Status valid =
      ValidateQTensorProto(debug_def().output(0), fields, counts, &planes);
  CAFFE_ENFORCE(valid.ok(), type(), ": ", valid.message());

  const ChannelRanges ranges = FindChannelRanges(src, layout);
  const uint64_t infinities = ranges.all.infinity_count();
  CAFFE_ENFORCE(ranges.all.left_out() == 0, type(), ": input '", name,
                "' holds ", ranges.all.nan_count, " NaN and ", infinities,
                " infinite values, expected finite numbers");

  const std::vector<QTensorScaleBias> parameters =
      given_.empty() ? ScaleBiasOf(ranges, format_) : given_;
  std::vector<double> scales;
  std::vector<double> biases;
  for (const QTensorScaleBias& each : parameters) {
    scales.push_back(each.scale);
    biases.push_back(each.bias);
  }
  QTensorExtras extras;
  if (has_axis_) {
    extras.is_multiparam = true;
    extras.axis = input.canonical_axis_index(axis_);
    extras.data_type = caffe2::TensorProto::FLOAT;
    extras.scales = scales;
    extras.biases = biases;
  } else {
    fields.set_scale(scales[0]);
    fields.set_bias(biases[0]);
  }
  std::unique_ptr<QTensorCPU> tensor;
  const Status made = MakeQTensor(debug_def().output(0), fields, planes,
                                  std::move(extras), &tensor);
  CAFFE_ENFORCE(made.ok(), type(), ": ", made.message());
  if (input.numel() > 0) {
    kernels::ChannelParams params;
    params.outer = static_cast<std::size_t>(layout.outer);
    params.channels = channels;
    params.inner = static_cast<std::size_t>(layout.inner);
    params.scales = scales.data();
    params.biases = biases.data();
    kernels::QuantizeToBitPlanes(src, format_, params, tensor->mutable_data());
  }
  OutputBlob(0)->Reset(tensor.release());
  return true;
}

void RegisterQTensorQuantize() {
  RegisterCpuOperator<QTensorQuantizeOp>("QTensorQuantize");
  RegisterNoGradient("QTensorQuantize");
  CAFFE2_QUANTIZATION_SCHEMA("QTensorQuantize")
      .NumInputs(1)
      .NumOutputs(1)
      // The shape is the input's; the host has no name for the type of a
      // QTensor.
      .TensorInferenceFunction([](const caffe2::OperatorDef&,
                                  const std::vector<caffe2::TensorShape>& in) {
        caffe2::TensorShape shape = in[0];
        shape.set_data_type(caffe2::TensorProto::UNDEFINED);
        return std::vector<caffe2::TensorShape>{shape};
      })
      .SetDoc(
          "Quantizes a float tensor to a QTensor: value = scale * (x + "
          "bias). The inverse of QTensorDequantize.")
      .Arg("precision", "Bits of magnitude, 1 to 16 (default 8).")
      .Arg("signed", "1 (default): a further plane of signs. 0: x >= 0.")
      .Arg("scale",
           "Default: by the data. Signed: the largest magnitude over "
           "2^precision - 1; else the span over that.")
      .Arg("bias",
           "Only with scale (then default 0). Default: signed 0, else "
           "the data's min / scale.")
      .Arg("axis", "Quantize each channel of this axis by itself.")
      .Arg("scales", "With axis: a scale a channel. Default: by the data.")
      .Arg("biases", "With scales: a bias a channel (default 0).")
      .Input(0, "X", "float tensor of finite values")
      .Output(0, "Q", "QTensor blob of X's dims");
}

}  // namespace caffe2_quantization
