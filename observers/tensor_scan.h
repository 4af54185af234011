// The pass over one blob that feeds every observer.
#ifndef CAFFE2_QUANTIZATION_OBSERVERS_TENSOR_SCAN_H_
#define CAFFE2_QUANTIZATION_OBSERVERS_TENSOR_SCAN_H_

#include <cstdint>

#include "caffe2/core/blob.h"
#include "caffe2/core/tensor.h"
#include "observers/output_info.h"

namespace caffe2_quantization {

struct TensorScan {
  bool supported = false;  // false: the type has no min and max
  ValueRange range;        // finite values only
  uint64_t count = 0;
  uint64_t nan_count = 0;
  uint64_t positive_infinity_count = 0;
  uint64_t negative_infinity_count = 0;
};

// Scans a CPU tensor of float, double, half, bool or any integer type. A tensor
// that was never filled has count 0.
//
// Thread rule: the caller sees to it that nobody writes the tensor meanwhile.
TensorScan ScanTensor(const caffe2::Tensor& tensor);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OBSERVERS_TENSOR_SCAN_H_
