#include "observers/tensor_scan.h"

#include <c10/util/Half.h>

#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

template <typename T>
void Take(const kernels::FloatExtremes<T>& extremes, TensorScan* scan) {
  if constexpr (sizeof(T) == sizeof(double)) {
    scan->range = ValueRange::OfDoubles(extremes.min, extremes.max);
  } else {
    scan->range = ValueRange::OfFloats(extremes.min, extremes.max);
  }
  scan->nan_count = extremes.nan_count;
  scan->positive_infinity_count = extremes.positive_infinity_count;
  scan->negative_infinity_count = extremes.negative_infinity_count;
}

template <typename T>
void Take(const kernels::IntegerExtremes<T>& extremes, TensorScan* scan) {
  scan->range = ValueRange::OfIntegers(extremes.min, extremes.max);
}

}  // namespace

TensorScan ScanTensor(const caffe2::Tensor& tensor) {
  TensorScan scan;
  if (!tensor.defined() || tensor.GetDeviceType() != caffe2::CPU) return scan;
  if (!tensor.dtype_initialized()) return scan;
  const auto type = tensor.dtype();
  const bool filled = tensor.numel() > 0 && tensor.storage_initialized();
  const std::size_t count =
      filled ? static_cast<std::size_t>(tensor.numel()) : 0;
  const void* data = filled ? tensor.raw_data() : nullptr;
  scan.supported = true;
  scan.count = count;
  if (type.Match<float>()) {
    Take(kernels::MinMax(static_cast<const float*>(data), count), &scan);
  } else if (type.Match<double>()) {
    Take(kernels::MinMax(static_cast<const double*>(data), count), &scan);
  } else if (type.Match<at::Half>()) {
    Take(kernels::MinMaxHalf(static_cast<const uint16_t*>(data), count), &scan);
  } else if (type.Match<bool>()) {
    Take(kernels::MinMax(static_cast<const uint8_t*>(data), count), &scan);
#define INTEGER(T)            \
  }                           \
  else if (type.Match<T>()) { \
    Take(kernels::MinMax(static_cast<const T*>(data), count), &scan);
    CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(INTEGER)
#undef INTEGER
  } else {
    scan.supported = false;
  }
  return scan;
}

}  // namespace caffe2_quantization
