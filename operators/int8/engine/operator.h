// Int8Operator: the base of the operators of the engine ONEDNN. It owns their
// arguments, their inputs as codes, the parameters of their output, the output,
// the host's float operator beside them and the report of the error against it.
// An operator says what it is in an OperatorForm, and computes:
//
//   template <typename T>
//   class ReluOp final : public Int8Operator<T> {
//     …
//     void Compute() override {
//       const auto& x = this->Input(0);
//       this->WriteCodes(x.sizes, x.params, [&](T* y) { … });
//     }
//   };
//
// Code below it returns errors as Status; from it on they are the host's
// enforce error (enforce.h). They name the operator, the blob or argument, its
// value and what was expected.
//
// A run does this in order. It reads the arguments, if it is the first run. It
// calls Compute, which reads the inputs, runs the float operator if the run
// needs it, and writes the output. At the end it compares the two outputs, if
// that was asked for. The float operator must run before the output is written,
// since the output may be in the place of an input: if Compute has not run it,
// OutputCodes and OutputFloats do, and an output is written only through these.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_OPERATOR_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_OPERATOR_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/enforce.h"
#include "operators/int8/engine/arguments.h"
#include "operators/int8/engine/error_report.h"
#include "operators/int8/engine/float_reference.h"
#include "operators/int8/engine/input.h"
#include "quantization/kernels/rounded_code.h"
#include "quantization/quantization_params.h"
#include "quantization/quantize_one_set.h"

namespace caffe2_quantization {

// The params_input of an operator that gets its output's parameters from no
// input.
inline constexpr int kNoParams = std::numeric_limits<int>::max();

// What an operator is.
struct OperatorForm {
  // The host's float operator, which gets the first float_inputs inputs. Null:
  // none is run.
  const char* float_type = nullptr;
  int float_inputs = 0;
  // The index of the input that holds the output's parameters, if it is given.
  int params_input = kNoParams;
  // The operator sets negative outputs to 0.
  bool rectifies = false;
  ArgumentSet arguments = {};
  // The output has the input's parameters, and no argument gives others. Codes
  // may have as many bits as T.
  bool keeps_parameters = false;
  // The operator computes only codes: with dequantize_output its output is the
  // values that they stand for (WriteCodes), so it needs parameters too.
  bool codes_alone = false;

  // Outputs 0 to code_outputs() - 1 are codes, with parameters of their own.
  int code_outputs() const { return arguments.code_outputs; }
};

// The form of an operator that computes codes by the rule of
// kernels/rounded_code.h, and leaves inputs that are floats to the float
// operator.
inline OperatorForm ComputesCodes(const char* float_type, int float_inputs,
                                  bool rectifies = false,
                                  int code_outputs = 1) {
  const ArgumentSet set{true, /*weights=*/false, true, code_outputs};
  return {float_type,          float_inputs, kNoParams, rectifies, set, false,
          /*codes_alone=*/true};
}

// The form of an operator with one input, whose parameters its output keeps.
inline OperatorForm KeepsParameters(const char* float_type) {
  const auto set = float_type == nullptr ? kNoArguments : kOutputFormAlone;
  return {float_type, 1, kNoParams, false, set, /*keeps_parameters=*/true};
}

// T: uint8_t or uint16_t, which hold the codes.
// Thread rule: one run at a time, as the host has it.
template <typename T>
class Int8Operator : public caffe2::Operator<caffe2::CPUContext> {
 public:
  bool RunOnDevice() final;

 protected:
  Int8Operator(const caffe2::OperatorDef& definition,
               caffe2::Workspace* workspace, const OperatorForm& form);
  // Logs a warning with the error that was measured, if that was asked for.
  ~Int8Operator() override;

  // Reads the operator's own arguments, in the first run.
  virtual Status ReadArguments() { return Status::Ok(); }
  // Computes one run.
  virtual void Compute() = 0;
  // Gives the float operator its input `index`: by default the operator's own
  // input as floats. Enforces that it can be turned to floats.
  virtual void SetReferenceInput(int index, FloatReference* reference);
  // The definition of the float operator, whose type, engine, inputs and
  // outputs are not looked at: by default the operator's own. Its arguments may
  // not lead the host's operator out of bounds.
  virtual caffe2::OperatorDef ReferenceDefinition() const {
    return debug_def();
  }
  // Adds to the float operator's output what the operator computes beyond it,
  // except for `rectifies`, which is already handled.
  virtual void FinishReference(caffe2::Tensor* y) {}

  const OperatorForm& form() const { return form_; }
  const EngineArguments& arguments() const { return arguments_; }

  // Input `index` of this run as codes (input.h); valid until its next run.
  const InputCodes<T>& Input(int index);
  bool IsCodes(int index) {
    return this->template InputIsType<caffe2::int8::Int8TensorCPU>(index);
  }
  // Whether one of the first `count` inputs is not codes.
  bool HasFloats(int count);
  const caffe2::int8::Int8TensorCPU& Int8Input(int index) {
    return OperatorBase::Input<caffe2::int8::Int8TensorCPU>(index);
  }
  caffe2::int8::Int8TensorCPU* Int8Output(int index) {
    return OperatorBase::Output<caffe2::int8::Int8TensorCPU>(index);
  }

  // Throws the host's enforce error, with the operator's type and the parts,
  // unless the condition holds.
  template <typename... Parts>
  void Enforce(bool condition, const Parts&... parts) const {
    CAFFE_ENFORCE(condition, type(), ": ", parts...);
  }
  // Returns the name of an input.
  const std::string& Name(int input) const { return debug_def().input(input); }

  // Returns whether a run that is not empty needs the float operator: for the
  // range of an output without given parameters, or for comparison. An operator
  // that finds its output's range itself says so here.
  virtual bool NeedsReference() const;
  // Runs the float operator on this run's inputs if the run needs it.
  void RunReference(bool is_empty);

  bool HasGivenParameters(int output = 0) const {
    return InputSize() > form_.params_input ||
           arguments_.outputs[output].has_value();
  }
  // Returns the parameters of this run's codes: those of input params_input, if
  // it is given; else those that the arguments give; else those chosen for the
  // range of the float operator's output, or of an empty output if it was not
  // run. They are valid until the next run.
  const QuantizationParams& OutputParameters(int output = 0);

  // Shape an output and return where its values go. An input in the same blob
  // is lost here, unless both are codes, or both floats, of one shape.
  T* OutputCodes(at::IntArrayRef sizes, const QuantizationParams& params,
                 int output = 0);
  float* OutputFloats(at::IntArrayRef sizes, int output = 0);

  // Writes output 0 of an operator that computes both forms itself: floats with
  // dequantize_output, else codes. Unless the output is empty, it calls
  // prepare(params) with the codes' parameters, or null for floats, before the
  // output is shaped; then write(y) with T* or float*, which returns a Status.
  template <typename Prepare, typename Write>
  void WriteEither(at::IntArrayRef sizes, const Prepare& prepare,
                   const Write& write) {
    const bool is_empty = c10::multiply_integers(sizes) == 0;
    const auto* const params =
        arguments_.dequantize_output ? nullptr : &OutputParameters();
    if (!is_empty) prepare(params);
    const auto finish = [&](auto* y) {
      if (!is_empty) EnforceOk(*this, write(y));
    };
    params ? finish(OutputCodes(sizes, *params)) : finish(OutputFloats(sizes));
  }

  // Writes output 0 of an operator that computes only codes: those that
  // write(T* y) makes or, with dequantize_output, the values they stand for.
  template <typename Write>
  void WriteCodes(at::IntArrayRef sizes, const QuantizationParams& params,
                  const Write& write) {
    write(BeginCodes(sizes, params));
    EndCodes();
  }
  // The same in two steps, for several outputs that are computed at once:
  // BeginCodes returns where an output's codes go, EndCodes is called when they
  // are there. All outputs are begun before the first one is ended.
  T* BeginCodes(at::IntArrayRef sizes, const QuantizationParams& params,
                int output = 0);
  void EndCodes(int output = 0);

  // Writes all outputs that are codes as those of what the float operator gives
  // for this run's inputs: what an operator that computes only codes does when
  // an input is floats. Nothing is rounded before the codes are. Enforces that
  // the float operator's outputs have these sizes, and that their values are
  // finite if no parameters are given.
  void WriteCodesOfReference(at::IntArrayRef sizes);
  // Returns what the float operator gave in this run, as another output; null
  // if it was not run.
  const caffe2::Tensor* ReferenceOutput(int output) const {
    return reference_ran_ ? &reference_->Output(output) : nullptr;
  }

  // How values become this run's codes.
  kernels::CodeRange CodeRangeOf(const QuantizationParams& params) const {
    const int32_t zero_point = params.zero_points[0];
    const auto qmin = static_cast<int32_t>(params.type.qmin());
    return {zero_point, form_.rectifies ? zero_point : qmin,
            static_cast<int32_t>(params.type.qmax())};
  }

 private:
  // An output that is codes, or the floats that they stand for.
  struct CodeOutput {
    QuantizationParams params{{8 * sizeof(T), false}, 1, 0};  // if not given
    // Codes that are to become floats, and their shape.
    std::vector<T> dequantized;
    std::vector<int64_t> shape;
    // What this run wrote: codes with their parameters, or floats.
    const T* codes = nullptr;
    const QuantizationParams* codes_params = nullptr;
    const float* floats = nullptr;
    int64_t count = 0;
    ErrorReport report;
  };

  void Measure(int output);

  const OperatorForm form_;
  bool arguments_read_ = false;
  EngineArguments arguments_;
  std::vector<InputCodes<T>> inputs_;
  CodeOutput outputs_[kMostCodeOutputs];

  std::unique_ptr<FloatReference> reference_;
  bool reference_is_due_ = false, reference_ran_ = false;  // in this run
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_OPERATOR_H_
