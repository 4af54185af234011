#include "operators/int8/engine/operator.h"

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

template <typename T>
Int8Operator<T>::Int8Operator(const caffe2::OperatorDef& definition,
                              caffe2::Workspace* workspace,
                              const OperatorForm& form)
    : Operator(definition, workspace), form_(form), inputs_(InputSize()) {}

template <typename T>
Int8Operator<T>::~Int8Operator() {
  for (int i = 0; i < form_.code_outputs(); ++i) {
    outputs_[i].report.Log(debug_def(), i);
  }
}

template <typename T>
bool Int8Operator<T>::RunOnDevice() {
  if (!arguments_read_) {
    for (int i = 1; i < OutputSize(); ++i) {
      for (int k = 0; k < i; ++k) {
        Enforce(Outputs()[i] != Outputs()[k], "outputs ", k, " and ", i,
                " are blob '", debug_def().output(i),
                "', expected a blob for each");
      }
    }
    EnforceOk(*this,
              ReadEngineArguments(debug_def(), 8 * sizeof(T), form_.rectifies,
                                  &arguments_, form_.arguments));
    EnforceOk(*this, ReadArguments());
    if (form_.keeps_parameters) {
      arguments_.activations.type = outputs_[0].params.type;
    }
    arguments_read_ = true;
  }
  reference_is_due_ = NeedsReference();
  reference_ran_ = false;
  Compute();
  if (reference_ran_ && arguments_.measure_quantization_error) {
    for (int i = 0; i < form_.code_outputs(); ++i) Measure(i);
  }
  return true;
}

template <typename T>
const InputCodes<T>& Int8Operator<T>::Input(int index) {
  ChooseOptions options = arguments_.activations;
  // activation_precision is that of the output then: an input has its own.
  if (form_.codes_alone) options.type = {8 * sizeof(T), false};
  inputs_[index].Read(this, index, options);
  return inputs_[index];
}

template <typename T>
bool Int8Operator<T>::NeedsReference() const {
  if (form_.float_type == nullptr) return false;
  bool all_given = true;
  for (int i = 0; i < form_.code_outputs(); ++i) {
    all_given = all_given && HasGivenParameters(i);
  }
  return arguments_.measure_quantization_error ||
         !(form_.keeps_parameters ||
           (arguments_.dequantize_output && !form_.codes_alone) || all_given);
}

template <typename T>
bool Int8Operator<T>::HasFloats(int count) {
  for (int i = 0; i < count; ++i) {
    if (!IsCodes(i)) return true;
  }
  return false;
}

template <typename T>
T* Int8Operator<T>::BeginCodes(at::IntArrayRef sizes,
                               const QuantizationParams& params, int output) {
  if (!arguments_.dequantize_output) return OutputCodes(sizes, params, output);
  CodeOutput& y = outputs_[output];
  y.codes_params = &params;
  y.shape = sizes.vec();
  y.dequantized.resize(c10::multiply_integers(sizes));
  return y.dequantized.data();
}

template <typename T>
void Int8Operator<T>::EndCodes(int output) {
  if (!arguments_.dequantize_output) return;
  const CodeOutput& y = outputs_[output];
  DequantizeOneSet(y.dequantized.data(), y.dequantized.size(), *y.codes_params,
                   OutputFloats(y.shape, output));
}

template <typename T>
void Int8Operator<T>::WriteCodesOfReference(at::IntArrayRef sizes) {
  // The sizes may be those of an input that the output takes the place of.
  const std::vector<int64_t> shape = sizes.vec();
  const int64_t count = c10::multiply_integers(shape);
  reference_is_due_ = true;
  RunReference(count == 0);
  const QuantizationParams* params[kMostCodeOutputs];
  for (int i = 0; i < form_.code_outputs(); ++i) {
    const caffe2::Tensor* const y = ReferenceOutput(i);
    Enforce(y == nullptr || y->sizes() == at::IntArrayRef(shape), "the host's ",
            form_.float_type, " gives an output of ",
            y == nullptr ? at::IntArrayRef() : y->sizes(), ", expected ",
            at::IntArrayRef(shape));
    params[i] = &OutputParameters(i);
  }
  for (int i = 0; i < form_.code_outputs(); ++i) {
    T* const codes = BeginCodes(shape, *params[i], i);
    if (count > 0) {
      kernels::RoundReals(ReferenceOutput(i)->template data<float>(), count,
                          params[i]->scales[0], CodeRangeOf(*params[i]), codes);
    }
    EndCodes(i);
  }
}

template <typename T>
void Int8Operator<T>::RunReference(bool is_empty) {
  if (is_empty) reference_is_due_ = false;
  if (!reference_is_due_) return;
  reference_is_due_ = false;
  if (reference_ == nullptr) {
    reference_ = std::make_unique<FloatReference>(
        ReferenceDefinition(), form_.float_type, form_.float_inputs);
  }
  for (int i = 0; i < form_.float_inputs; ++i) {
    SetReferenceInput(i, reference_.get());
  }
  FinishReference(&reference_->Run());
  reference_ran_ = true;
}

template <typename T>
void Int8Operator<T>::SetReferenceInput(int index, FloatReference* reference) {
  if (IsCodes(index)) return reference->SetInput(index, Int8Input(index));
  CAFFE_ENFORCE(this->InputIsTensorType(index, caffe2::CPU), type(), ": blob '",
                debug_def().input(index), "' holds a ",
                InputBlob(index).TypeName(),
                ", of which the float operator cannot be run to find the "
                "output's range or its error; expected Y_scale and "
                "Y_zero_point, or dequantize_output, without "
                "measure_quantization_error");
  reference->SetInput(index,
                      OperatorBase::Input<caffe2::Tensor>(index, caffe2::CPU));
}

template <typename T>
const QuantizationParams& Int8Operator<T>::OutputParameters(int output) {
  QuantizationParams& params = outputs_[output].params;
  if (InputSize() > form_.params_input) {
    params.type = arguments_.activations.type;
    TakeGivenParameters(this, form_.params_input, &params);
    return params;
  }
  const auto& given = arguments_.outputs[output];
  if (given.has_value()) return *given;
  EnforceOk(
      *this,
      ChooseOutputParameters(ReferenceOutput(output), arguments_.activations,
                             arguments_.output_is_rectified, &params),
      "output '", debug_def().output(output), "': ");
  return params;
}

template <typename T>
T* Int8Operator<T>::OutputCodes(at::IntArrayRef sizes,
                                const QuantizationParams& params, int output) {
  CodeOutput& written = outputs_[output];
  written.count = c10::multiply_integers(sizes);
  if (reference_is_due_) RunReference(written.count == 0);
  Int8TensorCPU* const y = Int8Output(output);
  y->scale = params.scales[0];
  y->zero_point = params.zero_points[0];
  y->t.Resize(sizes);
  T* const codes = y->t.template mutable_data<T>();
  written.codes = codes;
  written.codes_params = &params;
  return codes;
}

template <typename T>
float* Int8Operator<T>::OutputFloats(at::IntArrayRef sizes, int output) {
  CodeOutput& written = outputs_[output];
  written.count = c10::multiply_integers(sizes);
  if (reference_is_due_) RunReference(written.count == 0);
  float* const values =
      Output(output, sizes, at::dtype<float>())->template mutable_data<float>();
  written.codes = nullptr;
  written.floats = values;
  return values;
}

template <typename T>
void Int8Operator<T>::Measure(int output) {
  CodeOutput& written = outputs_[output];
  const caffe2::Tensor& y = reference_->Output(output);
  CAFFE_ENFORCE_EQ(y.numel(), written.count, type(), ": the host's ",
                   form_.float_type, " gives ", y.numel(), " values, expected ",
                   written.count);
  const auto* const expected = y.data<float>();
  if (written.codes == nullptr) {
    written.report.Add(written.floats, expected, written.count,
                       arguments_.output_is_rectified);
  } else {
    written.report.Add(
        written.codes, *written.codes_params, expected, written.count,
        {arguments_.output_is_rectified, HasGivenParameters(output)});
  }
}

template class Int8Operator<uint8_t>;
template class Int8Operator<uint16_t>;

}  // namespace caffe2_quantization
