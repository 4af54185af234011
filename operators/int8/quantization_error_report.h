// What an operator with measure_quantization_error finds: how far its outputs
// are from those of the host's float operator, over all its runs.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZATION_ERROR_REPORT_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZATION_ERROR_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "quantization/quantization_error.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// Thread rule: one at a time, as the operator it belongs to.
class QuantizationErrorReport {
 public:
  // Of one run. rectify: negative reference values count as 0.
  void Add(const float* actual, const float* reference, int64_t count,
           bool rectify);
  // T: uint8_t or uint16_t.
  template <typename T>
  void Add(const T* actual, const QuantizationParams& params,
           const float* reference, int64_t count, bool rectify);

  int64_t num_runs() const { return num_runs_; }
  const QuantizationError& error() const { return error_; }

  // "output 'y' of FC: 3 runs, L2 relative error 0.0021, SQNR 53.5 dB, …"
  std::string Text(const caffe2::OperatorDef& definition) const;

 private:
  QuantizationError error_;
  int64_t num_runs_ = 0;
  std::vector<float> actual_, reference_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZATION_ERROR_REPORT_H_
