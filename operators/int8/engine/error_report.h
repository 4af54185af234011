// What an operator with measure_quantization_error finds, over all its runs:
// how far its outputs are from what it is meant to compute. That is what the
// host's float operator makes of the same inputs, and then
//   - max(0, .), of both, if the operator, or the one that reads its output
//     (followed_by), cuts negative values;
//   - cut to what the output's codes represent, if its parameters were given.
//     They may clip on purpose: those of [0, 6] are how a Relu6 is fused.
// What the last step leaves out is told apart: how many values lie outside, by
// more than rounding, and the error with them.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ERROR_REPORT_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ERROR_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "quantization/quantization_error.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// Thread rule: one at a time, as the operator it belongs to.
class ErrorReport {
 public:
  struct Activation {
    bool rectifies = false;
    bool clips = false;  // to what the codes represent
  };

  // Of one run, of floats.
  void Add(const float* actual, const float* reference, int64_t count,
           bool rectifies);
  // Of codes. T: uint8_t or uint16_t; params: one set.
  template <typename T>
  void Add(const T* actual, const QuantizationParams& params,
           const float* reference, int64_t count, Activation activation);

  int64_t num_runs() const { return num_runs_; }
  const QuantizationError& error() const { return error_; }
  // The same without cutting to the codes' range, with the values outside it as
  // `clipped`.
  const QuantizationError& unclipped_error() const { return unclipped_error_; }

  // "output 'y' of FC: 3 runs, L2 relative error 0.0021, SQNR 53.5 dB, …"
  std::string Text(const caffe2::OperatorDef& definition) const;
  // Logs it as a warning, the mildest level that the host shows unless it is
  // told to show more, if there was a run.
  void Log(const caffe2::OperatorDef& definition) const;

 private:
  // Of actual_; params: of codes that clip.
  void AddRun(const float* reference, Activation activation,
              const QuantizationParams* params);

  QuantizationError error_, unclipped_error_;
  int64_t num_runs_ = 0;
  std::vector<float> actual_, reference_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ERROR_REPORT_H_
