// The output of an operator of products, FC or BatchMatMul: by which parameters
// it becomes codes, and what it is compared with where that is asked for.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCT_OUTPUT_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCT_OUTPUT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/float_reference.h"
#include "operators/int8/int8_arguments.h"
#include "operators/int8/quantization_error_report.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t, which hold the codes.
// Thread rule: one at a time, as the operator it belongs to.
template <typename T>
class ProductOutput {
 public:
  // Of op, which outlives it. float_type: the host's float operator, which gets
  // the first num_inputs inputs.
  ProductOutput(caffe2::OperatorBase* op, const char* float_type,
                int num_inputs);
  // Logs a warning with what was measured, which was asked for.
  ~ProductOutput();

  ProductOutput(const ProductOutput&) = delete;
  ProductOutput& operator=(const ProductOutput&) = delete;

  // Begins a run.
  void Begin();

  // For this run the float operator gets an input in another shape of as many
  // values.
  void SetReferenceShape(int index, std::vector<int64_t> shape) {
    reference_shapes_[index] = std::move(shape);
  }

  // Whether a run that is not empty needs the float operator: to find the range
  // of codes to which nobody gave parameters, or to be compared with.
  bool RunsReference(const Int8Arguments& arguments, int params_input) const;
  // Runs it; before the output is written, which may be where an input is.
  // Enforces that each input can be turned to floats.
  void RunReference();

  // The parameters of this run's codes: of input params_input, if op has that
  // one; else those that the arguments give; else by the range of what the
  // float operator made of this run's inputs. They are valid until the next
  // run. is_empty: there will be no codes, the float operator was not run.
  const QuantizationParams& Parameters(const Int8Arguments& arguments,
                                       int params_input, bool is_empty);

  // Compares an output with the float operator's, if arguments ask for it.
  void Measure(const Int8Arguments& arguments, const T* codes,
               const QuantizationParams& params, int64_t count);
  void Measure(const Int8Arguments& arguments, const float* values,
               int64_t count);

 private:
  bool IsMeasured(const Int8Arguments& arguments, int64_t count) const {
    return arguments.measure_quantization_error && count > 0;
  }
  const float* ReferenceValues(int64_t count) const;
  bool HasGivenParameters(const Int8Arguments& arguments,
                          int params_input) const {
    return op_->InputSize() > params_input || arguments.output.has_value();
  }

  caffe2::OperatorBase* const op_;
  const std::string float_type_;
  const int num_inputs_;
  QuantizationParams params_{{8 * sizeof(T), false}, 1, 0};
  bool params_are_given_ = false;  // of this run
  std::unique_ptr<FloatReference> reference_;
  const caffe2::Tensor* reference_output_ = nullptr;    // of this run
  std::vector<std::vector<int64_t>> reference_shapes_;  // empty: its own
  std::vector<caffe2::int8::Int8TensorCPU> reshaped_;
  QuantizationErrorReport report_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCT_OUTPUT_H_
