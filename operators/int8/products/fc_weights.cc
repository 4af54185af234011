#include "operators/int8/products/fc_weights.h"

#include <utility>

#include "base/return_if_error.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"

namespace caffe2 {
CAFFE_KNOWN_TYPE_NOEXPORT(caffe2_quantization::PackedFcWeights);
}  // namespace caffe2

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

Status MatrixShape(const caffe2::Tensor& w, int axis_w, int64_t* n,
                   int64_t* k) {
  if (axis_w < -w.dim() || axis_w >= w.dim()) {
    return Refuse("argument axis_w is ", axis_w,
                  ", expected a dimension of weights of shape ", w.sizes());
  }
  const int axis = axis_w < 0 ? axis_w + w.dim() : axis_w;
  *n = w.size_to_dim(axis);
  *k = w.size_from_dim(axis);
  if (*n > 0 && *k > 0) return Status::Ok();
  return Refuse("weights have the shape ", w.sizes(), ", which is N = ", *n,
                " outputs of K = ", *k, " inputs with axis_w ", axis_w,
                ", expected 1 or more of both");
}

Status ValuesOf(const caffe2::Blob& w, WeightValues* values) {
  const bool is_tensor = caffe2::BlobIsTensorType(w, caffe2::CPU);
  if (w.IsType<Int8TensorCPU>()) {
    values->codes = &w.Get<Int8TensorCPU>();
  } else if (is_tensor && w.Get<caffe2::Tensor>().IsType<float>()) {
    values->floats = &w.Get<caffe2::Tensor>();
  } else {
    return Refuse(
        "weights are a ", is_tensor ? "tensor of " : "",
        is_tensor ? w.Get<caffe2::Tensor>().dtype().name() : w.TypeName(),
        ", expected a float tensor, an Int8TensorCPU, or what Int8FCPackWeight "
        "of an engine ONEDNN makes");
  }
  return Status::Ok();
}

}  // namespace

Status ReadAxis(const caffe2::OperatorDef& definition, const char* name,
                int* axis) {
  int64_t value = *axis;
  RETURN_IF_ERROR(ReadIntArgument(definition, name, &value));
  *axis = static_cast<int>(value);
  if (*axis == value) return Status::Ok();
  return Refuse("argument ", name, " is ", value, ", expected a dimension");
}

Status ReadFcWeightsOptions(const caffe2::OperatorDef& definition,
                            FcWeightsOptions* options) {
  bool channelwise = false;
  const Status status = FirstError(
      {ReadAxis(definition, "axis_w", &options->axis_w),
       ReadBoolArgument(definition, "quantize_channelwise", &channelwise)});
  options->per_row = options->per_row || channelwise;
  return status;
}

template <typename T>
Status MakeFcWeights(const caffe2::Blob& w, const FcWeightsOptions& options,
                     std::shared_ptr<const FcWeights<T>>* weights) {
  WeightValues values;
  RETURN_IF_ERROR(ValuesOf(w, &values));
  int64_t n, k;
  RETURN_IF_ERROR(MatrixShape(values.tensor(), options.axis_w, &n, &k));

  const auto make = [&](QuantizedWeights<T> quantized, FcWeights<T>* made) {
    if (options.per_row) {
      quantized.scales.resize(n, quantized.scales[0]);
      quantized.zero_points.resize(n, quantized.zero_points[0]);
    }
    made->n = n;
    made->k = k;
    made->quantized.scales = std::move(quantized.scales);
    made->quantized.zero_points = std::move(quantized.zero_points);
    return PackMatrix(quantized.codes.data(),
                      onednn::PackedMatrix::Order::kRowsOfN, options.keep_codes,
                      made);
  };
  return MakeWeights<T>(values, n, options.per_row ? n : 1, options.choose,
                        options.share, {k, options.per_row, options.keep_codes},
                        make, weights);
}

std::size_t NumSharedFcWeights() {
  return SharedWeightsOfProcess<FcWeights<int8_t>>().Count();
}

std::string PackedFcWeights::ToString() const {
  const std::size_t bytes =
      weights->quantized.codes.size() +
      weights->num_sets() * (sizeof(float) + sizeof(int32_t)) +
      weights->n * sizeof(int64_t) + weights->packed->bytes();
  return c10::str("int8 weights [", weights->n, ", ", weights->k, "], ",
                  weights->n > 1 && weights->num_sets() > 1
                      ? "a parameter set a row"
                      : "one parameter set",
                  bias != nullptr ? ", with bias, " : ", ", bytes, " bytes");
}

template Status MakeFcWeights(const caffe2::Blob&, const FcWeightsOptions&,
                              std::shared_ptr<const FcWeights<int8_t>>*);
template Status MakeFcWeights(const caffe2::Blob&, const FcWeightsOptions&,
                              std::shared_ptr<const FcWeights<int16_t>>*);

}  // namespace caffe2_quantization
