#include "operators/int8/products/bias.h"

#include <cmath>
#include <string>

#include "base/text.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/enforce.h"
#include "operators/int8/engine/input.h"
#include "quantization/kernels/min_max.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

// How far, in DNNLOWP, the unit of a bias may be from that of the products.
constexpr double kUnitTolerance = 1e-4;

// The bias in an error's words.
std::string NameOf(const caffe2::OperatorBase& op, int index, BiasOwner owner) {
  const std::string name = "'" + op.debug_def().input(index) + "'";
  return owner == BiasOwner::kFc ? "blob " + name + ": bias" : "bias " + name;
}

}  // namespace

Bias ReadBias(caffe2::OperatorBase* op, int index, int64_t n, BiasOwner owner) {
  const bool of_fc = owner == BiasOwner::kFc;
  const std::string name = NameOf(*op, index, owner);
  const caffe2::Blob& blob = *op->Inputs()[index];
  const bool is_codes = blob.IsType<Int8TensorCPU>();
  CAFFE_ENFORCE(
      !of_fc || is_codes || caffe2::BlobIsTensorType(blob, caffe2::CPU),
      op->type(), ": ", name, " is a ", blob.TypeName(),
      ", expected a float tensor or an Int8TensorCPU of int32");
  const caffe2::Tensor& tensor = is_codes ? blob.Get<Int8TensorCPU>().t
                                 : of_fc  ? blob.Get<caffe2::Tensor>()
                                          : FloatInput(op, index);
  CAFFE_ENFORCE(
      is_codes ? tensor.IsType<int32_t>() : tensor.IsType<float>(), op->type(),
      ": ", name, " is ", is_codes ? "an Int8TensorCPU of " : "a tensor of ",
      tensor.dtype().name(), ", expected ", is_codes ? "int32" : "float",
      of_fc ? "" : ", or a float tensor");
  CAFFE_ENFORCE(!of_fc || (tensor.dim() == 1 && tensor.numel() == n),
                op->type(), ": ", name, " has the shape ", tensor.sizes(),
                ", expected [", n, "], one for each output");
  CAFFE_ENFORCE(tensor.numel() == n, op->type(), ": ", name, " has ",
                tensor.numel(), " values, expected ", n,
                ", one of each output channel");
  Bias bias;
  if (!is_codes) {
    const auto* const values = tensor.data<float>();
    const auto extremes = kernels::MinMax(values, n);
    CAFFE_ENFORCE(extremes.left_out() == 0, op->type(), ": ", name, " has ",
                  extremes.left_out(), " of ", n,
                  " values that are NaN or infinite, expected finite values");
    bias.values.assign(values, values + n);
    return bias;
  }
  const auto& given = blob.Get<Int8TensorCPU>();
  CAFFE_ENFORCE(given.zero_point == 0, op->type(), ": ", name,
                " has the zero point ", given.zero_point, ", expected 0");
  if (of_fc) {
    const QuantizationParams params(QuantizedType::Int32(), given.scale, 0);
    EnforceOk(*op, params.Validate(), "blob '", op->debug_def().input(index),
              "': ");
  }
  const auto* const codes = tensor.data<int32_t>();
  bias.codes.assign(codes, codes + n);
  bias.units = {given.scale};
  return bias;
}

onednn::ProductBias BiasInUnits(const caffe2::OperatorBase& op, int index,
                                const Bias& bias, float x_scale,
                                const std::vector<float>& weight_scales,
                                bool check_unit, BiasOwner owner) {
  if (!bias.is_codes()) {
    return onednn::QuantizeBias(bias.values.data(), bias.values.size(), x_scale,
                                weight_scales);
  }
  for (std::size_t set = 0; check_unit && set < weight_scales.size(); ++set) {
    const float unit = bias.unit(0), expected = x_scale * weight_scales[set];
    const bool is_near = std::fabs(unit - expected) <= kUnitTolerance;
    CAFFE_ENFORCE(is_near || owner != BiasOwner::kFc, op.type(), ": ",
                  NameOf(op, index, owner), " has the scale ", NineDigits(unit),
                  ", expected ", NineDigits(expected),
                  ", the input's times the weights'");
    CAFFE_ENFORCE(is_near, op.type(), ": ", NameOf(op, index, owner),
                  " has the scale ", ShortestText(unit),
                  ", expected the input's times the filter's, ",
                  ShortestText(expected));
  }
  return onednn::ConvertBias(bias.codes.data(), bias.codes.size(), bias.units,
                             x_scale, weight_scales);
}

std::vector<float> BiasValues(const Bias& bias) {
  std::vector<float> values = bias.values;
  for (std::size_t i = 0; bias.is_codes() && i < bias.codes.size(); ++i) {
    values.push_back(static_cast<float>(double{bias.unit(i)} * bias.codes[i]));
  }
  return values;
}

}  // namespace caffe2_quantization
