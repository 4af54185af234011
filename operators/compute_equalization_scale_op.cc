#include "operators/compute_equalization_scale_op.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "operators/registration.h"

namespace caffe2_quantization {
namespace {

// The largest magnitude of each column of a matrix.
std::vector<float> ColumnMaxima(caffe2::OperatorBase* op, int index) {
  const auto& tensor = op->Input<caffe2::Tensor>(index, caffe2::CPU);
  const std::string& name = op->debug_def().input(index);
  CAFFE_ENFORCE(tensor.IsType<float>(), op->type(), ": tensor '", name,
                "' is of type ", tensor.dtype().name(), ", expected float");
  CAFFE_ENFORCE(tensor.dim() == 2, op->type(), ": tensor '", name, "' has ",
                tensor.dim(), " dimensions, expected 2");
  const auto columns = static_cast<std::size_t>(tensor.size(1));
  // Without the sign, floats are in the order of their bits, NaN above
  // infinity.
  std::vector<uint32_t> bits(columns, 0);
  if (tensor.numel() > 0) {
    const float* row = tensor.data<float>();
    for (int64_t i = 0; i < tensor.size(0); ++i, row += columns) {
      for (std::size_t j = 0; j < columns; ++j) {
        uint32_t value;
        std::memcpy(&value, row + j, sizeof(value));
        bits[j] = std::max(bits[j], value & 0x7fffffffu);
      }
    }
  }
  std::vector<float> maxima(columns);
  if (columns > 0) {
    std::memcpy(maxima.data(), bits.data(), columns * sizeof(float));
  }
  const auto bad = std::find_if(maxima.begin(), maxima.end(), [](float each) {
    return !std::isfinite(each);
  });
  CAFFE_ENFORCE(bad == maxima.end(), op->type(), ": column ",
                bad - maxima.begin(), " of tensor '", name, "' holds ",
                std::isnan(*bad) ? "a NaN" : "an infinity",
                ", expected finite values");
  return maxima;
}

std::vector<caffe2::TensorShape> InferShape(
    const caffe2::OperatorDef&, const std::vector<caffe2::TensorShape>& in) {
  std::vector<caffe2::TensorShape> out(1);
  if (in[1].unknown_shape() || in[1].dims_size() != 2) {
    out[0].set_unknown_shape(true);
    return out;
  }
  out[0] = caffe2::CreateTensorShape(std::vector<int64_t>{1, in[1].dims(1)},
                                     caffe2::TensorProto::FLOAT);
  return out;
}

}  // namespace

bool ComputeEqualizationScaleOp::RunOnDevice() {
  const auto x = ColumnMaxima(this, 0);
  const auto w = ColumnMaxima(this, 1);
  CAFFE_ENFORCE(x.size() == w.size(), type(), ": tensor '",
                debug_def().input(0), "' has ", x.size(), " columns and '",
                debug_def().input(1), "' has ", w.size(),
                ", expected as many of both");
  float* scale = Output(0, {static_cast<int64_t>(w.size())}, at::dtype<float>())
                     ->mutable_data<float>();
  for (std::size_t j = 0; j < w.size(); ++j) {
    constexpr double kLargest = std::numeric_limits<float>::max();
    scale[j] = w[j] == 0 || x[j] == 0
                   ? 1.0f
                   : static_cast<float>(
                         std::min(std::sqrt(double{w[j]} / x[j]), kLargest));
  }
  return true;
}

void RegisterComputeEqualizationScale() {
  RegisterCpuOperator<ComputeEqualizationScaleOp>("ComputeEqualizationScale");
  RegisterNoGradient("ComputeEqualizationScale");
  CAFFE2_QUANTIZATION_SCHEMA("ComputeEqualizationScale")
      .NumInputs(2)
      .NumOutputs(1)
      .TensorInferenceFunction(InferShape)
      .SetDoc(
          "S[j] = sqrt(max|W[][j]| / max|X[][j]|), or 1 where either is 0: "
          "what to multiply the columns of X with, and divide those of W by.")
      .Input(0, "X", "float matrix [M, K]: activations")
      .Input(1, "W", "float matrix [N, K]: weights")
      .Output(0, "S", "float tensor [K]");
}

}  // namespace caffe2_quantization
