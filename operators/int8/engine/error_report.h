// Reports what an operator with measure_quantization_error finds over all its
// runs: how far its outputs are from what it is meant to compute. That is the
// output of the host's float operator for the same inputs, followed by
//   - max(0, .), on both outputs, if the operator, or the one that reads its
//     output (followed_by), sets negative values to 0;
//   - clipping to what the output's codes represent, if its parameters were
//     given. They may clip on purpose: a Relu6 is fused by those of [0, 6].
// What the last step hides is reported separately: how many values lie outside
// by more than rounding, and the error that includes them.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ERROR_REPORT_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ERROR_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/proto/caffe2_pb.h"
#include "quantization/quantization_error.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// Thread rule: one thread at a time, as for the operator that owns it.
class ErrorReport {
 public:
  struct Activation {
    bool rectifies = false;
    bool clips = false;  // to what the codes represent
  };

  // Adds one run whose output is floats.
  void Add(const float* actual, const float* reference, int64_t count,
           bool rectifies);
  // Adds one run whose output is codes. T: uint8_t or uint16_t; params: one
  // set.
  template <typename T>
  void Add(const T* actual, const QuantizationParams& params,
           const float* reference, int64_t count, Activation activation);

  int64_t num_runs() const { return num_runs_; }
  const QuantizationError& error() const { return error_; }
  // The error without clipping to the codes' range; its `clipped` counts the
  // values outside.
  const QuantizationError& unclipped_error() const { return unclipped_error_; }

  // "output 'y' of FC: 3 runs, L2 relative error 0.0021, SQNR 53.5 dB, …"
  std::string Text(const caffe2::OperatorDef& definition, int output = 0) const;
  // If there was a run, logs the text as a warning, the lowest level that the
  // host shows by default.
  void Log(const caffe2::OperatorDef& definition, int output = 0) const;

 private:
  // Adds a run whose output is in actual_; params: those of codes that clip.
  void AddRun(const float* reference, Activation activation,
              const QuantizationParams* params);

  QuantizationError error_, unclipped_error_;
  int64_t num_runs_ = 0;
  std::vector<float> actual_, reference_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_ERROR_REPORT_H_
