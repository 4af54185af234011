#include "observers/tensor_scan.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

#include "caffe2/core/qtensor.h"
#include "caffe2/core/tensor_int8.h"
#include "quantization/kernels/bit_planes.h"
#include "quantization/kernels/histogram.h"
#include "quantization/kernels/min_max.h"
#include "serialization/per_channel_qtensor.h"
#include "serialization/qtensor_validation.h"

namespace caffe2_quantization {
namespace {

using Int8Tensor = caffe2::int8::Int8TensorCPU;
using QTensor = caffe2::QTensor<caffe2::CPUContext>;

// Half is its bits to the kernels.
struct HalfBits {
  uint16_t bits;
};

// ---- One run of values -----------------------------------------------------

template <typename T>
ValueRange RangeOf(const kernels::FloatExtremes<T>& extremes) {
  return std::is_same_v<T, double>
             ? ValueRange::OfDoubles(extremes.min, extremes.max)
             : ValueRange::OfFloats(static_cast<float>(extremes.min),
                                    static_cast<float>(extremes.max));
}

template <typename T>
ValueRange RangeOf(const kernels::IntegerExtremes<T>& extremes) {
  return ValueRange::OfIntegers(extremes.min, extremes.max);
}

template <typename T>
void Take(const kernels::FloatExtremes<T>& extremes, TensorScan* scan) {
  scan->range.Merge(RangeOf(extremes));
  scan->zero_count += extremes.zero_count;
  scan->nan_count += extremes.nan_count;
  scan->positive_infinity_count += extremes.positive_infinity_count;
  scan->negative_infinity_count += extremes.negative_infinity_count;
}

template <typename T>
void Take(const kernels::IntegerExtremes<T>& extremes, TensorScan* scan) {
  scan->range.Merge(RangeOf(extremes));
  scan->zero_count += extremes.zero_count;
}

// The next two are all that looks at values of a plain tensor; each is one pass
// over memory.
template <typename T>
void AddValues(const T* values, std::size_t count, Histogram* histogram,
               TensorScan* scan) {
  using Extremes = decltype(kernels::MinMax(values, count));
  Extremes extremes;
  if (histogram != nullptr) {
    histogram->Add(values, count, &extremes);
  } else {
    extremes = kernels::MinMax(values, count);
  }
  Take(extremes, scan);
}

void AddHalves(const uint16_t* values, std::size_t count, Histogram* histogram,
               TensorScan* scan) {
  kernels::FloatExtremes<float> extremes;
  if (histogram != nullptr) {
    histogram->AddHalf(values, count, &extremes);
  } else {
    extremes = kernels::MinMaxHalf(values, count);
  }
  Take(extremes, scan);
}

// ---- Tensors ---------------------------------------------------------------

bool HasElements(const caffe2::Tensor& tensor) {
  return tensor.defined() && tensor.dtype_initialized() &&
         (tensor.numel() == 0 || tensor.storage_initialized());
}

// Calls function(values, count) with the type that the tensor has; false for
// one that has no values to compare.
template <typename Function>
bool WithValues(const caffe2::Tensor& tensor, const Function& function) {
  if (tensor.GetDeviceType() != caffe2::CPU) return false;
  const auto type = tensor.dtype();
  const auto count = static_cast<std::size_t>(tensor.numel());
  const void* data = count > 0 ? tensor.raw_data() : nullptr;
  if (type.Match<float>()) {
    function(static_cast<const float*>(data), count);
  } else if (type.Match<double>()) {
    function(static_cast<const double*>(data), count);
  } else if (type.Match<at::Half>()) {
    function(static_cast<const HalfBits*>(data), count);
  } else if (type.Match<bool>()) {
    function(static_cast<const uint8_t*>(data), count);
#define INTEGER(T)            \
  }                           \
  else if (type.Match<T>()) { \
    function(static_cast<const T*>(data), count);
    CAFFE2_QUANTIZATION_MIN_MAX_INTEGERS(INTEGER)
#undef INTEGER
  } else {
    return false;
  }
  return true;
}

// ---- Int8TensorCPU ---------------------------------------------------------

// What the integer q stands for.
struct Int8Value {
  float scale;
  int64_t zero_point;

  float operator()(int64_t q) const {
    return scale * static_cast<float>(q - zero_point);
  }
};

// Adds `times` times what one integer stands for.
void AddRepeated(float value, uint64_t times, Histogram* histogram,
                 TensorScan* scan) {
  if (std::isnan(value)) {
    scan->nan_count += times;
  } else if (std::isinf(value)) {
    (value > 0 ? scan->positive_infinity_count
               : scan->negative_infinity_count) += times;
  } else {
    value += 0.0f;  // -0 is 0
    if (value == 0) scan->zero_count += times;
    scan->range.Merge(ValueRange::OfFloats(value, value));
    if (histogram != nullptr) histogram->AddRepeated(value, times);
  }
}

// Any integer by way of floats.
template <typename T>
void AddByValue(const T* values, std::size_t count, const Int8Value& value_of,
                Histogram* histogram, TensorScan* scan) {
  std::array<float, 1024> floats;
  for (std::size_t at = 0; at < count; at += floats.size()) {
    const std::size_t n = std::min(floats.size(), count - at);
    for (std::size_t i = 0; i < n; ++i) floats[i] = value_of(values[at + i]);
    AddValues(floats.data(), n, histogram, scan);
  }
}

// Integers of 8 bits, which have 256 values at most: each is looked at once.
template <typename T>
void AddByCount(const T* values, std::size_t count, const Int8Value& value_of,
                Histogram* histogram, TensorScan* scan) {
  std::array<uint64_t, 256> counts{};
  kernels::CountBytes(reinterpret_cast<const uint8_t*>(values), count,
                      counts.data());
  for (std::size_t bits = 0; bits < 256; ++bits) {
    const uint64_t times = counts[bits];
    if (times == 0) continue;
    const int64_t q = static_cast<T>(bits);
    AddRepeated(value_of(q), times, histogram, scan);
  }
}

template <typename T>
void AddInt8(const T* values, std::size_t count, const Int8Value& value_of,
             Histogram* histogram, TensorScan* scan) {
  if (count == 0) return;
  const T zero_point = static_cast<T>(value_of.zero_point);
  const auto raw = kernels::MinMax(values, count, zero_point);
  scan->raw_range = RangeOf(raw);
  // A value grows with its integer or falls with it, so the ends of the one
  // range are those of the other, as long as they are numbers.
  const float first = value_of(scan->raw_range.integer_min());
  const float last = value_of(scan->raw_range.integer_max());
  const bool plain = std::isnormal(value_of.scale) && std::isfinite(first) &&
                     std::isfinite(last);
  if (plain && histogram == nullptr) {
    const bool stored = zero_point == value_of.zero_point;
    scan->zero_count = stored ? raw.zero_count : 0;
    // Adding 0 makes 0 of -0.
    scan->range = ValueRange::OfFloats(std::min(first, last) + 0.0f,
                                       std::max(first, last) + 0.0f);
  } else if (sizeof(T) == 1) {
    AddByCount(values, count, value_of, histogram, scan);
  } else {
    AddByValue(values, count, value_of, histogram, scan);
  }
}

// Calls function(values, count, value_of) with the type of the stored integers,
// which are of 8, 16 or 32 bits; false for any other.
template <typename Function>
bool WithIntegers(const Int8Tensor& tensor, const Function& function) {
  const Int8Value value_of{tensor.scale, tensor.zero_point};
  bool known = false;
  const bool any =
      WithValues(tensor.t, [&](const auto* values, std::size_t count) {
        using T = std::remove_cv_t<std::remove_reference_t<decltype(*values)>>;
        if constexpr (std::is_integral_v<T> && sizeof(T) <= sizeof(int32_t)) {
          known = !tensor.t.dtype().Match<bool>();
          if (known) function(values, count, value_of);
        }
      });
  return any && known;
}

// ---- QTensor ---------------------------------------------------------------

// A QTensor's integers and values, part by part: no copy of the whole is made.
class QTensorParts {
 public:
  // Of a tensor that ValidateQTensor() passed.
  explicit QTensorParts(const QTensor& tensor)
      : tensor_(tensor),
        format_{tensor.precision(), tensor.is_signed()},
        scale_(tensor.scale()),
        bias_(tensor.bias()),
        scales_(&scale_),
        biases_(&bias_),
        inner_(std::max<std::size_t>(tensor.size(), 1)),
        planes_(static_cast<std::size_t>(format_.planes()) * kBytes) {
    const PerChannelQTensor* per_channel = AsPerChannel(tensor);
    if (per_channel == nullptr || !per_channel->is_per_channel()) return;
    const int axis = per_channel->axis();
    channels_ = static_cast<std::size_t>(tensor.dim32(axis));
    inner_ = static_cast<std::size_t>(tensor.size_from_dim(axis + 1));
    scales_ = per_channel->extras().scales.data();
    biases_ = per_channel->extras().biases.data();
  }

  // Calls function(first, count, integers, floats) for one part after another;
  // integers is null where an int64 cannot hold them.
  template <typename Function>
  void ForEach(const Function& function) {
    const std::size_t plane_bytes = kernels::BitPlaneBytes(tensor_.size());
    for (std::size_t at = 0; at < tensor_.size(); at += kValues) {
      const std::size_t n = std::min(kValues, tensor_.size() - at);
      const std::size_t bytes = kernels::BitPlaneBytes(n);
      for (int plane = 0; plane < format_.planes(); ++plane) {
        const auto p = static_cast<std::size_t>(plane);
        std::copy_n(tensor_.data() + p * plane_bytes + at / 8, bytes,
                    planes_.data() + p * bytes);
      }
      const bool fits = format_.precision <= 63;
      fits ? Unpack(n) : UnpackWide(n, bytes);
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t c = (at + i) / inner_ % channels_;
        floats_[i] =
            static_cast<float>(scales_[c] * (doubles_[i] + biases_[c]));
      }
      function(at, n, fits ? integers_.data() : nullptr, floats_.data());
    }
  }

 private:
  static constexpr std::size_t kValues = 1024;
  static constexpr std::size_t kBytes = kValues / 8;

  void Unpack(std::size_t n) {
    if (format_.precision <= 31) {
      kernels::UnpackBitPlanes(planes_.data(), n, format_, small_.data());
      std::copy_n(small_.data(), n, integers_.data());
    } else {
      kernels::UnpackBitPlanes(planes_.data(), n, format_, integers_.data());
    }
    for (std::size_t i = 0; i < n; ++i) {
      doubles_[i] = static_cast<double>(integers_[i]);
    }
  }

  // 64 bits of magnitude: the two halves, and the signs, are read one by one.
  void UnpackWide(std::size_t n, std::size_t bytes) {
    constexpr kernels::BitPlaneFormat kHalf{32, false};
    std::array<int64_t, kValues> high;
    kernels::UnpackBitPlanes(planes_.data(), n, kHalf, integers_.data());
    kernels::UnpackBitPlanes(planes_.data() + 32 * bytes, n, kHalf,
                             high.data());
    const uint8_t* signs = planes_.data() + 64 * bytes;
    for (std::size_t i = 0; i < n; ++i) {
      const auto magnitude =
          static_cast<double>(static_cast<uint64_t>(high[i]) << 32 |
                              static_cast<uint64_t>(integers_[i]));
      const bool negative =
          format_.is_signed && (signs[i / 8] & (0x80 >> i % 8)) != 0;
      doubles_[i] = negative ? -magnitude : magnitude;
    }
  }

  const QTensor& tensor_;
  const kernels::BitPlaneFormat format_;
  const double scale_;
  const double bias_;
  std::size_t channels_ = 1;
  const double* scales_;
  const double* biases_;
  std::size_t inner_;
  std::vector<uint8_t> planes_;
  std::array<int32_t, kValues> small_;
  std::array<int64_t, kValues> integers_;
  std::array<double, kValues> doubles_;
  std::array<float, kValues> floats_;
};

TensorScan ScanQTensor(const QTensor& tensor, Histogram* histogram) {
  TensorScan scan;
  if (tensor.data() == nullptr && (tensor.size() > 0 || tensor.ndim() == 0)) {
    return scan;
  }
  if (!ValidateQTensor("", tensor).ok()) {
    scan.kind = TensorScan::Kind::kUnsupported;
    return scan;
  }
  scan.kind = TensorScan::Kind::kValues;
  scan.count = tensor.size();
  QTensorParts(tensor).ForEach([&](std::size_t, std::size_t n,
                                   const int64_t* integers,
                                   const float* floats) {
    if (integers != nullptr) {
      scan.raw_range.Merge(RangeOf(kernels::MinMax(integers, n)));
    }
    AddValues(floats, n, histogram, &scan);
  });
  return scan;
}

TensorScan ScanInt8(const Int8Tensor& tensor, Histogram* histogram) {
  TensorScan scan;
  if (!HasElements(tensor.t)) return scan;
  const bool known = WithIntegers(
      tensor,
      [&](const auto* values, std::size_t count, const Int8Value& value_of) {
        AddInt8(values, count, value_of, histogram, &scan);
        scan.count = count;
      });
  scan.kind =
      known ? TensorScan::Kind::kValues : TensorScan::Kind::kUnsupported;
  return scan;
}

}  // namespace

TensorScan ScanTensor(const caffe2::Tensor& tensor, Histogram* histogram) {
  TensorScan scan;
  if (!HasElements(tensor)) return scan;
  const bool known =
      WithValues(tensor, [&](const auto* values, std::size_t count) {
        using T = std::remove_cv_t<std::remove_reference_t<decltype(*values)>>;
        if constexpr (std::is_same_v<T, HalfBits>) {
          AddHalves(reinterpret_cast<const uint16_t*>(values), count, histogram,
                    &scan);
        } else {
          AddValues(values, count, histogram, &scan);
        }
        scan.count = count;
      });
  scan.kind =
      known ? TensorScan::Kind::kValues : TensorScan::Kind::kUnsupported;
  return scan;
}

TensorScan ScanBlob(const caffe2::Blob* blob, Histogram* histogram) {
  TensorScan scan;
  if (blob == nullptr || blob->GetRaw() == nullptr) return scan;
  if (blob->IsType<caffe2::Tensor>()) {
    return ScanTensor(blob->Get<caffe2::Tensor>(), histogram);
  }
  if (blob->IsType<Int8Tensor>()) {
    return ScanInt8(blob->Get<Int8Tensor>(), histogram);
  }
  if (blob->IsType<QTensor>()) {
    return ScanQTensor(blob->Get<QTensor>(), histogram);
  }
  scan.kind = TensorScan::Kind::kUnsupported;
  return scan;
}

c10::string_view TypeNameOf(const caffe2::Blob* blob) {
  if (blob == nullptr || blob->GetRaw() == nullptr) return {};
  if (!blob->IsType<caffe2::Tensor>()) return blob->meta().name();
  const auto& tensor = blob->Get<caffe2::Tensor>();
  if (!tensor.defined() || !tensor.dtype_initialized()) return {};
  return tensor.dtype().name();
}

bool ShapeOf(const caffe2::Blob* blob, std::vector<int64_t>* shape) {
  if (blob == nullptr || blob->GetRaw() == nullptr) return false;
  if (blob->IsType<QTensor>()) {
    const auto dims = blob->Get<QTensor>().sizes();
    shape->assign(dims.begin(), dims.end());
    return true;
  }
  const caffe2::Tensor* tensor = nullptr;
  if (blob->IsType<caffe2::Tensor>()) tensor = &blob->Get<caffe2::Tensor>();
  if (blob->IsType<Int8Tensor>()) tensor = &blob->Get<Int8Tensor>().t;
  if (tensor == nullptr || !HasElements(*tensor)) return false;
  const auto dims = tensor->sizes();
  shape->assign(dims.begin(), dims.end());
  return true;
}

bool ColumnMaxima::Scan(const caffe2::Blob* blob) {
  std::vector<int64_t> shape;
  if (!ShapeOf(blob, &shape) || shape.size() != 2 || shape[1] > kMaxColumns) {
    return false;
  }
  const auto columns = static_cast<std::size_t>(shape[1]);
  any_.assign(columns, false);
  maxima_.assign(columns, 0);
  floats_.clear();
  integers_.clear();
  const auto take = [&](std::size_t column, double value) {
    if (!std::isfinite(value)) return;
    if (!any_[column] || value > maxima_[column]) maxima_[column] = value;
    any_[column] = true;
  };
  if (blob->IsType<QTensor>()) {
    const auto& tensor = blob->Get<QTensor>();
    if (!ValidateQTensor("", tensor).ok()) return false;
    QTensorParts(tensor).ForEach([&](std::size_t first, std::size_t n,
                                     const int64_t*, const float* floats) {
      for (std::size_t i = 0; i < n; ++i) {
        take((first + i) % columns, floats[i]);
      }
    });
    return true;
  }
  if (blob->IsType<Int8Tensor>()) {
    return WithIntegers(
        blob->Get<Int8Tensor>(),
        [&](const auto* values, std::size_t count, const Int8Value& value_of) {
          for (std::size_t i = 0; i < count; ++i) {
            take(i % columns, value_of(values[i]));
          }
        });
  }
  return WithValues(
      blob->Get<caffe2::Tensor>(), [&](const auto* values, std::size_t count) {
        using T = std::remove_cv_t<std::remove_reference_t<decltype(*values)>>;
        if (count == 0) return;
        if constexpr (std::is_same_v<T, float>) {
          std::vector<float> minima(columns);
          floats_.resize(columns);
          kernels::MinMaxColumns(values, count / columns, columns,
                                 minima.data(), floats_.data());
        } else if constexpr (std::is_same_v<T, int64_t>) {
          integers_.assign(values, values + columns);
          for (std::size_t i = columns; i < count; ++i) {
            int64_t& largest = integers_[i % columns];
            largest = std::max(largest, values[i]);
          }
          any_.assign(columns, true);
        } else {
          for (std::size_t i = 0; i < count; ++i) {
            if constexpr (std::is_same_v<T, HalfBits>) {
              take(i % columns, kernels::HalfToFloat(values[i].bits));
            } else {
              take(i % columns, static_cast<double>(values[i]));
            }
          }
        }
      });
}

void ColumnMaxima::AddTo(int bins, std::vector<Histogram>* histograms) const {
  if (histograms->size() < any_.size()) {
    histograms->resize(any_.size(), Histogram(bins));
  }
  for (std::size_t c = 0; c < any_.size(); ++c) {
    Histogram& histogram = (*histograms)[c];
    if (!floats_.empty()) {
      histogram.Add(&floats_[c], 1);  // -infinity: no value, and left out
    } else if (!integers_.empty()) {
      histogram.Add(&integers_[c], 1);
    } else if (any_[c]) {
      histogram.AddRepeated(maxima_[c], 1);
    }
  }
}

}  // namespace caffe2_quantization
