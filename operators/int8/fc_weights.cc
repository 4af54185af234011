#include "operators/int8/fc_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/process.h"
#include "base/text.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/shared_weights.h"
#include "quantization/kernels/min_max.h"
#include "quantization/quantization_params.h"

namespace caffe2 {
CAFFE_KNOWN_TYPE_NOEXPORT(caffe2_quantization::PackedFcWeights);
}  // namespace caffe2

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

// DNNLOWP takes a bias whose unit is this close to the product of the scales.
constexpr float kLargestUnitDifference = 1e-4f;

template <typename T>
SharedWeights<FcWeights<T>>& TheSharedWeights() {
  static PerProcess<SharedWeights<FcWeights<T>>> weights;
  return weights.Get();
}

std::string ShapeText(const caffe2::Tensor& tensor) {
  return c10::str(tensor.sizes());
}

Status MatrixShape(const caffe2::Tensor& w, int axis_w, int64_t* n,
                   int64_t* k) {
  if (axis_w < -w.dim() || axis_w >= w.dim()) {
    return Status::InvalidArgument(
        "argument axis_w is " + std::to_string(axis_w) +
        ", expected a dimension of weights of shape " + ShapeText(w));
  }
  const int axis = axis_w < 0 ? axis_w + w.dim() : axis_w;
  *n = w.size_to_dim(axis);
  *k = w.size_from_dim(axis);
  if (*n > 0 && *k > 0) return Status::Ok();
  return Status::InvalidArgument(
      "weights have the shape " + ShapeText(w) +
      ", which is N = " + std::to_string(*n) +
      " outputs of K = " + std::to_string(*k) + " inputs with axis_w " +
      std::to_string(axis_w) + ", expected 1 or more of both");
}

template <typename T>
Status Pack(QuantizedWeights<T> quantized, int64_t n, int64_t k,
            bool keep_codes, std::shared_ptr<const FcWeights<T>>* weights) {
  auto result = std::make_shared<FcWeights<T>>();
  result->n = n;
  result->k = k;
  result->quantized = std::move(quantized);
  std::vector<T>& codes = result->quantized.codes;
  if constexpr (sizeof(T) == 1) {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(onednn::PackedMatrix::Pack(
        codes.data(), k, n, onednn::PackedMatrix::Order::kRowsOfN,
        &result->matrix));
    const auto& sums = result->matrix->column_sums();
    result->column_sums.assign(sums.begin(), sums.end());
    if (!keep_codes) std::vector<T>().swap(codes);
  } else {
    for (int64_t row = 0; row < n; ++row) {
      int64_t sum = 0;
      for (int64_t i = 0; i < k; ++i) sum += codes[row * k + i];
      result->column_sums.push_back(sum);
    }
  }
  *weights = std::move(result);
  return Status::Ok();
}

}  // namespace

template <typename T>
std::size_t FcWeights<T>::bytes() const {
  return quantized.codes.size() * sizeof(T) +
         quantized.scales.size() * (sizeof(float) + sizeof(int32_t)) +
         column_sums.size() * sizeof(int64_t) +
         (matrix == nullptr ? 0 : matrix->bytes());
}

template <typename T>
Status MakeFcWeights(const caffe2::Blob& w, const FcWeightsOptions& options,
                     std::shared_ptr<const FcWeights<T>>* weights) {
  const bool is_codes = w.IsType<Int8TensorCPU>();
  const bool is_tensor = caffe2::BlobIsTensorType(w, caffe2::CPU);
  if (!is_codes && !(is_tensor && w.Get<caffe2::Tensor>().IsType<float>())) {
    return Status::InvalidArgument(
        "weights are a " +
        (is_tensor ? "tensor of " +
                         std::string(w.Get<caffe2::Tensor>().dtype().name())
                   : std::string(w.TypeName())) +
        ", expected a float tensor, an Int8TensorCPU, or what Int8FCPackWeight "
        "of an engine ONEDNN makes");
  }
  const auto* const int8_tensor = is_codes ? &w.Get<Int8TensorCPU>() : nullptr;
  const caffe2::Tensor& tensor =
      is_codes ? int8_tensor->t : w.Get<caffe2::Tensor>();
  int64_t n, k;
  CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
      MatrixShape(tensor, options.axis_w, &n, &k));

  const auto make = [&](std::shared_ptr<const FcWeights<T>>* result) -> Status {
    QuantizedWeights<T> quantized;
    if (is_codes) {
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
          WeightsFromInt8Tensor(*int8_tensor, options.choose, &quantized));
      if (options.per_row) {
        quantized.scales.resize(n, quantized.scales[0]);
        quantized.zero_points.resize(n, quantized.zero_points[0]);
      }
    } else {
      CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
          QuantizeWeights(tensor.data<float>(), n, k, options.per_row ? n : 1,
                          options.choose, &quantized));
    }
    return Pack(std::move(quantized), n, k, options.keep_codes, result);
  };
  if (!options.share) return make(weights);

  WeightsKey key;
  key.Add(n);
  key.Add(k);
  key.Add(static_cast<int64_t>(options.per_row));
  key.Add(static_cast<int64_t>(options.keep_codes));
  key.Add(options.choose);
  key.Add(static_cast<int64_t>(is_codes));
  if (is_codes) {
    key.Add(static_cast<double>(int8_tensor->scale));
    key.Add(static_cast<int64_t>(int8_tensor->zero_point));
    key.Add(static_cast<int64_t>(tensor.itemsize()));
  }
  key.Add(tensor.raw_data(), tensor.nbytes());
  return TheSharedWeights<T>().GetOrMake(key, make, weights);
}

std::size_t NumSharedFcWeights() { return TheSharedWeights<int8_t>().Count(); }

Status ReadFcBias(const caffe2::Blob& blob, int64_t n, FcBias* bias) {
  FcBias result;
  const bool is_codes = blob.IsType<Int8TensorCPU>();
  if (!is_codes && !caffe2::BlobIsTensorType(blob, caffe2::CPU)) {
    return Status::InvalidArgument(
        "bias is a " + std::string(blob.TypeName()) +
        ", expected a float tensor or an Int8TensorCPU of int32");
  }
  const caffe2::Tensor& tensor =
      is_codes ? blob.Get<Int8TensorCPU>().t : blob.Get<caffe2::Tensor>();
  if (!(is_codes ? tensor.IsType<int32_t>() : tensor.IsType<float>())) {
    return Status::InvalidArgument(
        std::string("bias is ") +
        (is_codes ? "an Int8TensorCPU of " : "a tensor of ") +
        std::string(tensor.dtype().name()) + ", expected " +
        (is_codes ? "int32" : "float"));
  }
  if (tensor.dim() != 1 || tensor.numel() != n) {
    return Status::InvalidArgument("bias has the shape " + ShapeText(tensor) +
                                   ", expected [" + std::to_string(n) +
                                   "], one for each output");
  }
  if (is_codes) {
    const auto& codes = blob.Get<Int8TensorCPU>();
    if (codes.zero_point != 0) {
      return Status::InvalidArgument("bias has the zero point " +
                                     std::to_string(codes.zero_point) +
                                     ", expected 0");
    }
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        QuantizationParams(QuantizedType::Int32(), codes.scale, 0).Validate());
    const auto* const data = tensor.data<int32_t>();
    result.codes.assign(data, data + n);
    result.units = {codes.scale};
  } else {
    const auto* const data = tensor.data<float>();
    const auto extremes = kernels::MinMax(data, n);
    if (extremes.left_out() > 0) {
      return Status::InvalidArgument("bias has " +
                                     std::to_string(extremes.left_out()) +
                                     " of " + std::to_string(n) +
                                     " values that are NaN or infinite, "
                                     "expected finite values");
    }
    result.values.assign(data, data + n);
  }
  *bias = std::move(result);
  return Status::Ok();
}

template <typename T>
Status BiasCodes(const FcBias& bias, float x_scale, const FcWeights<T>& weights,
                 ProductBias* result) {
  const std::vector<float>& scales = weights.quantized.scales;
  if (!bias.is_codes()) {
    *result = QuantizeBias(bias.values.data(), weights.n, x_scale, scales);
    return Status::Ok();
  }
  const float unit = bias.unit(0);
  const float expected = x_scale * scales[0];
  if (!bias.is_packed && scales.size() == 1 &&
      std::fabs(unit - expected) > kLargestUnitDifference) {
    return Status::InvalidArgument("bias has the scale " + NineDigits(unit) +
                                   ", expected " + NineDigits(expected) +
                                   ", the input's times the weights'");
  }
  *result =
      ConvertBias(bias.codes.data(), weights.n, bias.units, x_scale, scales);
  return Status::Ok();
}

std::vector<float> BiasValues(const FcBias& bias) {
  if (!bias.is_codes()) return bias.values;
  std::vector<float> values;
  for (std::size_t i = 0; i < bias.codes.size(); ++i) {
    values.push_back(static_cast<float>(double{bias.unit(i)} * bias.codes[i]));
  }
  return values;
}

std::string PackedFcWeights::ToString() const {
  return "int8 weights [" + std::to_string(weights->n) + ", " +
         std::to_string(weights->k) + "], " +
         (weights->is_per_row() ? "a parameter set a row"
                                : "one parameter set") +
         (bias != nullptr ? ", with bias, " : ", ") +
         std::to_string(weights->bytes()) + " bytes";
}

template struct FcWeights<int8_t>;
template struct FcWeights<int16_t>;
template Status MakeFcWeights(const caffe2::Blob&, const FcWeightsOptions&,
                              std::shared_ptr<const FcWeights<int8_t>>*);
template Status MakeFcWeights(const caffe2::Blob&, const FcWeightsOptions&,
                              std::shared_ptr<const FcWeights<int16_t>>*);
template Status BiasCodes(const FcBias&, float, const FcWeights<int8_t>&,
                          ProductBias*);
template Status BiasCodes(const FcBias&, float, const FcWeights<int16_t>&,
                          ProductBias*);

}  // namespace caffe2_quantization
