#include "operators/int8/products/weights.h"

#include <limits>
#include <numeric>
#include <type_traits>

#include "base/return_if_error.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"
#include "operators/int8/engine/input.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {
namespace {

// By how much codes are moved to become signed ones.
int32_t MiddleOf(QuantizedType type) { return 1 << (type.precision - 1); }

}  // namespace

void WeightValues::AddTo(WeightsKey* key) const {
  key->Add(int64_t{codes != nullptr});
  if (codes != nullptr) {
    key->Add(static_cast<double>(codes->scale));
    key->Add(static_cast<int64_t>(codes->zero_point));
    key->Add(static_cast<int64_t>(codes->t.itemsize()));
  }
  key->Add(tensor().raw_data(), tensor().nbytes());
}

Status ReadConstantWeight(const caffe2::OperatorDef& definition,
                          const ChooseOptions& weights, bool* is_constant,
                          ChooseOptions* choose) {
  const Status status =
      ReadBoolArgument(definition, "constant_weight", is_constant);
  *choose = weights;
  if (!*is_constant) choose->method = ChooseMethod::kMinMax;
  return status;
}

WeightValues WeightInput(caffe2::OperatorBase* op, int index,
                         const char* others) {
  WeightValues values;
  if (op->InputIsType<caffe2::int8::Int8TensorCPU>(index)) {
    values.codes = &op->Input<caffe2::int8::Int8TensorCPU>(index);
    return values;
  }
  CAFFE_ENFORCE(op->InputIsTensorType(index, caffe2::CPU), op->type(),
                ": blob '", op->debug_def().input(index), "' holds a ",
                op->Inputs()[index]->TypeName(),
                ", expected a float tensor of the CPU", others);
  values.floats = &FloatInput(op, index);
  return values;
}

template <typename T>
Status WeightsFromInt8Tensor(const caffe2::int8::Int8TensorCPU& w,
                             const ChooseOptions& options,
                             QuantizedWeights<T>* result) {
  using Unsigned = std::make_unsigned_t<T>;
  if (!w.t.template IsType<Unsigned>()) {
    return Refuse("weights are an Int8TensorCPU of ", w.t.dtype().name(),
                  ", expected ", caffe2::TypeMeta::Make<Unsigned>().name());
  }
  RETURN_IF_ERROR(
      QuantizationParams({8 * sizeof(T), false}, w.scale, w.zero_point)
          .Validate());
  const int32_t middle = MiddleOf(options.type);
  QuantizedWeights<T> weights;
  weights.codes.resize(w.t.numel());
  const auto* const codes = w.t.template data<Unsigned>();
  for (std::size_t i = 0; i < weights.codes.size(); ++i) {
    const int32_t code = codes[i] - middle;
    if (code != static_cast<T>(code)) {
      return Refuse("weight code ", int32_t{codes[i]}, ", expected 0 to ",
                    2 * middle - 1, " for ", options.type.precision, " bits");
    }
    weights.codes[i] = static_cast<T>(code);
  }
  weights.scales.push_back(w.scale);
  weights.zero_points.push_back(w.zero_point - middle);
  *result = std::move(weights);
  return Status::Ok();
}

template <typename T>
Status MakeCodes(const WeightValues& values, int64_t rows, int64_t sets,
                 const ChooseOptions& options, QuantizedWeights<T>* result) {
  if (values.codes != nullptr) {
    return WeightsFromInt8Tensor(*values.codes, options, result);
  }
  return QuantizeWeights(values.floats->data<float>(), rows,
                         values.floats->numel() / rows, sets, options, result);
}

template <typename T>
std::vector<int64_t> RowSums(const T* codes, int64_t n, int64_t k) {
  std::vector<int64_t> sums(n);
  for (int64_t row = 0; row < n; ++row) {
    sums[row] =
        std::accumulate(codes + row * k, codes + (row + 1) * k, int64_t{0});
  }
  return sums;
}

template <typename T>
Status PackMatrix(const T* codes, onednn::PackedMatrix::Order order,
                  bool keep_codes, MatrixWeights<T>* weights) {
  const int64_t n = weights->n, k = weights->k;
  if constexpr (sizeof(T) == 1) {
    RETURN_IF_ERROR(
        onednn::PackedMatrix::Pack(codes, k, n, order, &weights->packed));
    weights->column_sums = weights->packed->column_sums();
    if (!keep_codes) return Status::Ok();
  }
  std::vector<T>& kept = weights->quantized.codes;
  kept.resize(n * k);
  if (order == onednn::PackedMatrix::Order::kRowsOfN) {
    std::copy_n(codes, n * k, kept.data());
  } else {
    Transpose(codes, k, n, kept.data());
  }
  weights->column_sums = RowSums(kept.data(), n, k);
  return Status::Ok();
}

#define INSTANTIATE(T)                                                      \
  template Status WeightsFromInt8Tensor(const caffe2::int8::Int8TensorCPU&, \
                                        const ChooseOptions&,               \
                                        QuantizedWeights<T>*);              \
  template Status MakeCodes(const WeightValues&, int64_t, int64_t,          \
                            const ChooseOptions&, QuantizedWeights<T>*);    \
  template std::vector<int64_t> RowSums(const T*, int64_t, int64_t);        \
  template Status PackMatrix(const T*, onednn::PackedMatrix::Order, bool,   \
                             MatrixWeights<T>*)
INSTANTIATE(int8_t);
INSTANTIATE(int16_t);
#undef INSTANTIATE

}  // namespace caffe2_quantization
