// The pass over one blob that feeds every observer.
//
// Values. Of an Int8TensorCPU that stores q:
//   value = scale * float(q - zero_point)     q - zero_point in int64, the rest
//                                             in float
// and of a QTensor that stores x, as QTensorDequantize has it:
//   value = float(scale * (x + bias))         in double, rounded once
// by channel where the tensor has parameters by channel. Of all other tensors
// the elements themselves. NaN and infinities are counted and reach neither a
// range nor a histogram.
//
// Thread rule: pure but for what they are given to fill; the caller sees to it
// that nobody writes the blob meanwhile.
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

// What one pass saw. The counts of its base are of the elements.
struct TensorScan : ValueCounts {
  enum class Kind {
    kMissing,      // no tensor, or one that was never made
    kUnsupported,  // of a type that has no min and max, or not on the CPU
    kValues,
  };
  Kind kind = Kind::kMissing;
  ValueRange range;      // finite values only
  ValueRange raw_range;  // the stored integers of an Int8TensorCPU or a QTensor
                         // (but for one of 64 bits, which an int64 cannot hold)
};

// Scans a CPU tensor of float, double, half, bool or any integer type. With a
// histogram its values are added to it.
TensorScan ScanTensor(const caffe2::Tensor& tensor,
                      Histogram* histogram = nullptr);

// Scans whatever a blob holds: a tensor, an Int8TensorCPU of int8, uint8,
// int16, uint16 or int32, or a QTensor. `blob` may be null.
TensorScan ScanBlob(const caffe2::Blob* blob, Histogram* histogram = nullptr);

// The type as it is reported: of a tensor's elements, or of the blob. Empty
// where there is none.
c10::string_view TypeNameOf(const caffe2::Blob* blob);
// The dims of what ScanBlob() scans; false, and nothing is changed, where there
// are none.
bool ShapeOf(const caffe2::Blob* blob, std::vector<int64_t>* shape);

// The largest finite value of each column of a tensor of two dimensions.
class ColumnMaxima {
 public:
  static constexpr int64_t kMaxColumns = 65536;

  // False for a blob without exactly two dimensions, with more than kMaxColumns
  // columns or without values.
  bool Scan(const caffe2::Blob* blob);

  // Adds column c's value to (*histograms)[c], where it has one. Histograms
  // that are not there yet are made with `bins` bins.
  void AddTo(int bins, std::vector<Histogram>* histograms) const;

 private:
  std::vector<bool> any_;  // whether a column has a finite value
  std::vector<double> maxima_;
  // In their stead, of a tensor of float or int64.
  std::vector<float> floats_;
  std::vector<int64_t> integers_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_TENSOR_SCAN_H_
