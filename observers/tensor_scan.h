// Scans one blob in the single pass that feeds every observer.
//
// Values. An Int8TensorCPU that stores q has
//   value = scale * float(q - zero_point)     q - zero_point in int64, the rest
//                                             in float
// and a QTensor that stores x has, as QTensorDequantize computes it,
//   value = float(scale * (x + bias))         in double, rounded once
// per channel if the tensor has parameters per channel. The values of all other
// tensors are their elements. NaN and infinities are counted, and enter neither
// a range nor a histogram.
//
// Thread rule: pure functions, except for what they are given to fill; the
// caller must ensure that nobody writes the blob meanwhile.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_TENSOR_SCAN_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_TENSOR_SCAN_H_

#include <c10/util/string_view.h>

#include <cstdint>
#include <vector>

#include "base/value_counts.h"
#include "caffe2/core/blob.h"
#include "caffe2/core/tensor.h"
#include "profiles/output_info.h"
#include "quantization/histogram.h"

namespace caffe2_quantization {

// What one pass saw. The counts of its base class are of the elements.
struct TensorScan : ValueCounts {
  enum class Kind {
    kMissing,      // no tensor, or one that was never made
    kUnsupported,  // of a type that has no min and max, or not on the CPU
    kValues,
  };
  Kind kind = Kind::kMissing;
  ValueRange range;      // finite values only
  ValueRange raw_range;  // the stored integers of an Int8TensorCPU or a QTensor
                         // (not of 64 bits, which an int64 cannot hold)
};

// Scans a CPU tensor of float, double, half, bool or any integer type. Adds its
// values to the histogram, if one is given.
TensorScan ScanTensor(const caffe2::Tensor& tensor,
                      Histogram* histogram = nullptr);

// Scans whatever a blob holds: a tensor, an Int8TensorCPU of int8, uint8,
// int16, uint16 or int32, or a QTensor. `blob` may be null.
TensorScan ScanBlob(const caffe2::Blob* blob, Histogram* histogram = nullptr);

// Returns the type as it is reported: that of a tensor's elements, or of the
// blob. Empty if there is none.
c10::string_view TypeNameOf(const caffe2::Blob* blob);
// Sets *shape to the dims of what ScanBlob() scans. Returns false, and changes
// nothing, if there are none.
bool ShapeOf(const caffe2::Blob* blob, std::vector<int64_t>* shape);

// The largest finite value of each column of a tensor of two dimensions.
class ColumnMaxima {
 public:
  static constexpr int64_t kMaxColumns = 65536;

  // Returns false for a blob that has other than two dimensions, more than
  // kMaxColumns columns or no values.
  bool Scan(const caffe2::Blob* blob);

  // Adds column c's value to (*histograms)[c], if it has one. Missing
  // histograms are made with `bins` bins.
  void AddTo(int bins, std::vector<Histogram>* histograms) const;

 private:
  std::vector<bool> any_;  // whether a column has a finite value
  std::vector<double> maxima_;
  // Used in their place for a tensor of float or int64.
  std::vector<float> floats_;
  std::vector<int64_t> integers_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_TENSOR_SCAN_H_
