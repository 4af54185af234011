#include "quantization/quantize_weights.h"

#include <string>
#include <utility>

#include "base/return_if_error.h"
#include "quantization/kernels/quantize.h"
#include "quantization/quantized_type.h"

namespace caffe2_quantization {

template <typename T>
Status QuantizeWeights(const float* w, int64_t rows, int64_t columns,
                       int64_t sets, const ChooseOptions& options,
                       QuantizedWeights<T>* result) {
  const QuantizedType type{options.type.precision, /*is_signed=*/true};
  if (type.precision > static_cast<int>(8 * sizeof(T))) {
    return Status::InvalidArgument(
        "weight_precision is " + std::to_string(type.precision) +
        ", expected 1 to " + std::to_string(8 * sizeof(T)) + " bits");
  }
  if (sets < 1 || rows % sets != 0) {
    return Status::InvalidArgument(
        "weights of " + std::to_string(rows) + " rows in " +
        std::to_string(sets) +
        " parameter sets, expected a number that divides them");
  }
  QuantizedWeights<T> weights;
  weights.codes.resize(rows * columns);
  const int64_t count = rows / sets * columns;
  for (int64_t set = 0; set < sets; ++set) {
    const float* const values = w + set * count;
    Choice choice;
    const Status status = ChooseFromArray(values, count, options, &choice);
    if (!status.ok()) {
      return sets == 1 ? status
                       : Status::InvalidArgument(
                             "parameter set " + std::to_string(set) + " of " +
                             std::to_string(sets) + ": " + status.message());
    }
    const int32_t zero_point =
        choice.zero_point - (int32_t{1} << (type.precision - 1));
    weights.scales.push_back(choice.scale);
    weights.zero_points.push_back(zero_point);
    if (count == 0) continue;
    float inverse, float_zero_point;
    kernels::PrepareRuns(&choice.scale, &zero_point, 1, &inverse,
                         &float_zero_point);
    kernels::QuantizeRuns(values, count, count, &inverse, &float_zero_point,
                          type.qmin(), type.qmax(),
                          weights.codes.data() + set * count);
  }
  *result = std::move(weights);
  return Status::Ok();
}

template Status QuantizeWeights(const float*, int64_t, int64_t, int64_t,
                                const ChooseOptions&,
                                QuantizedWeights<int8_t>*);
template Status QuantizeWeights(const float*, int64_t, int64_t, int64_t,
                                const ChooseOptions&,
                                QuantizedWeights<int16_t>*);

}  // namespace caffe2_quantization
