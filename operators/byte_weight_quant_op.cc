#include "operators/byte_weight_quant_op.h"

#include <algorithm>

#include "operators/registration.h"
#include "quantization/channel_ranges.h"

namespace caffe2_quantization {

ByteWeightQuantOp::ByteWeightQuantOp(const caffe2::OperatorDef& definition,
                                     caffe2::Workspace* workspace)
    : Operator(definition, workspace),
      equation_(caffe2::ArgumentHelper(definition), type()),
      has_axis_(HasArgument("axis")),
      axis_(GetSingleArgument<int>("axis", 0)) {
  equation_.EnforceBytesReachIt();
  const char* min_name = has_axis_ ? "mins" : "min";
  const char* max_name = has_axis_ ? "maxs" : "max";
  CAFFE_ENFORCE(!HasArgument(has_axis_ ? "min" : "mins") &&
                    !HasArgument(has_axis_ ? "max" : "maxs"),
                type(),
                ": with axis the range is given by mins and maxs, "
                "without it by min and max");
  CAFFE_ENFORCE_EQ(HasArgument(min_name), HasArgument(max_name), type(),
                   ": one of ", min_name, " and ", max_name,
                   " is given, expected both or neither");
  if (!HasArgument(min_name)) return;
  if (has_axis_) {
    given_mins_ = GetRepeatedArgument<float>("mins");
    given_maxs_ = GetRepeatedArgument<float>("maxs");
  } else {
    given_mins_ = {GetSingleArgument<float>("min", 0)};
    given_maxs_ = {GetSingleArgument<float>("max", 0)};
  }
}

bool ByteWeightQuantOp::RunOnDevice() {
  const caffe2::Tensor& input = Input(0);
  CAFFE_ENFORCE(input.IsType<float>(), type(), ": input '",
                debug_def().input(0), "' is a tensor of ", input.dtype().name(),
                ", expected float");
  const float* src = input.data<float>();
  ChannelLayout layout;
  if (has_axis_) {
    layout = SplitAtAxis(type(), input.sizes().vec(), axis_);
  } else {
    layout.inner = input.numel();
  }
  const auto channels = static_cast<std::size_t>(layout.channels);
  if (!given_mins_.empty() || !given_maxs_.empty()) {
    CAFFE_ENFORCE(
        given_mins_.size() == channels && given_maxs_.size() == channels,
        type(), ": mins has ", given_mins_.size(), " and maxs has ",
        given_maxs_.size(), " numbers, expected ", channels,
        ", one a channel of axis ", axis_, " of input '", debug_def().input(0),
        "'");
  }

  // One pass for what no byte can stand for, and for the ranges.
  const ChannelRanges found = FindChannelRanges(src, layout);
  const uint64_t infinities = found.all.infinity_count();
  CAFFE_ENFORCE(found.all.left_out() == 0, type(), ": input '",
                debug_def().input(0), "' holds ", found.all.nan_count,
                " NaN and ", infinities,
                " infinite values, expected finite numbers");

  std::vector<float> mins = given_mins_;
  std::vector<float> maxs = given_maxs_;
  if (mins.empty()) {
    mins.assign(channels, 0.0f);
    maxs.assign(channels, 0.0f);
    if (input.numel() > 0) {
      for (std::size_t c = 0; c < channels; ++c) {
        equation_.CoverData(found.mins[c], found.maxs[c], &mins[c], &maxs[c]);
      }
    }
  }
  std::vector<ByteWeightEquation::Parameters> parameters;
  for (std::size_t c = 0; c < channels; ++c) {
    parameters.push_back(equation_.ForRange(mins[c], maxs[c]));
  }

  const auto block = static_cast<std::size_t>(layout.inner);
  uint8_t* dst =
      Output(0, input.sizes(), at::dtype<uint8_t>())->mutable_data<uint8_t>();
  for (int64_t o = 0; o < layout.outer; ++o) {
    for (std::size_t c = 0; c < channels; ++c) {
      const std::size_t at = (o * channels + c) * block;
      kernels::QuantizeByteWeights(equation_.formula(), src + at, block,
                                   parameters[c].scale, parameters[c].offset,
                                   equation_.lowest_byte(),
                                   equation_.highest_byte(), dst + at);
    }
  }
  const std::vector<int64_t> range_shape{layout.channels};
  std::copy(mins.begin(), mins.end(),
            Output(1, range_shape, at::dtype<float>())->mutable_data<float>());
  std::copy(maxs.begin(), maxs.end(),
            Output(2, range_shape, at::dtype<float>())->mutable_data<float>());
  return true;
}

void RegisterByteWeightQuant() {
  RegisterCpuOperator<ByteWeightQuantOp>("ByteWeightQuant");
  RegisterNoGradient("ByteWeightQuant");
  CAFFE2_QUANTIZATION_SCHEMA("ByteWeightQuant")
      .NumInputs(1)
      .NumOutputs(3)
      .TensorInferenceFunction([](const caffe2::OperatorDef& definition,
                                  const std::vector<caffe2::TensorShape>& in) {
        caffe2::ArgumentHelper arguments(definition);
        caffe2::TensorShape bytes = in[0];
        bytes.set_data_type(caffe2::TensorProto::UINT8);
        int64_t channels = 1;
        if (arguments.HasArgument("axis")) {
          const auto dims = caffe2::GetDimsVector(in[0]);
          channels = SplitAtAxis(definition.type(),
                                 std::vector<int64_t>(dims.begin(), dims.end()),
                                 arguments.GetSingleArgument<int>("axis", 0))
                         .channels;
        }
        const auto range = caffe2::CreateTensorShape(
            std::vector<int64_t>{channels}, caffe2::TensorProto::FLOAT);
        return std::vector<caffe2::TensorShape>{bytes, range, range};
      })
      .SetDoc(
          "Quantizes float weights to bytes; the inverse of "
          "ByteWeightDequant.")
      .Arg("min", "Smallest value of the range; with max. Default: the data's.")
      .Arg("max", "Largest value of the range; with min. Default: the data's.")
      .Arg("axis", "Quantize each channel of this axis by its own range.")
      .Arg("mins", "With axis: one min a channel. Default: the data's.")
      .Arg("maxs", "With axis: one max a channel. Default: the data's.")
      .Arg("formula", "'affine' (default) or 'centered'.")
      .Arg("quant_min", "Of 'centered': smallest byte (0).")
      .Arg("quant_max", "Of 'centered': largest byte (255).")
      .Input(0, "X", "float tensor")
      .Output(0, "bytes", "uint8 tensor of X's shape")
      .Output(1, "min", "float [1], or [channels] with axis")
      .Output(2, "max", "float [1], or [channels] with axis");
}

}  // namespace caffe2_quantization
