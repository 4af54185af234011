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
  report_.Log(debug_def());
}

template <typename T>
bool Int8Operator<T>::RunOnDevice() {
  if (!arguments_read_) {
    EnforceOk(*this,
              ReadEngineArguments(debug_def(), 8 * sizeof(T), form_.rectifies,
                                  &arguments_, form_.arguments));
    EnforceOk(*this, ReadArguments());
    if (form_.keeps_parameters) arguments_.activations.type = params_.type;
    arguments_read_ = true;
  }
  reference_is_due_ = NeedsReference();
  reference_output_ = nullptr;
  Compute();
  if (reference_output_ != nullptr && arguments_.measure_quantization_error) {
    Measure();
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
  return arguments_.measure_quantization_error ||
         !(form_.keeps_parameters || form_.float_type == nullptr ||
           (arguments_.dequantize_output && !form_.codes_alone) ||
           HasGivenParameters());
}

template <typename T>
bool Int8Operator<T>::HasFloats(int count) {
  for (int i = 0; i < count; ++i) {
    if (!IsCodes(i)) return true;
  }
  return false;
}

template <typename T>
void Int8Operator<T>::WriteCodesOfReference(at::IntArrayRef sizes) {
  // The sizes may be those of an input that the output takes the place of.
  const std::vector<int64_t> shape = sizes.vec();
  const int64_t count = c10::multiply_integers(shape);
  reference_is_due_ = true;
  RunReference(count == 0);
  if (reference_output_ != nullptr) {
    Enforce(reference_output_->sizes() == at::IntArrayRef(shape), "the host's ",
            form_.float_type, " gives an output of ",
            reference_output_->sizes(), ", expected ", at::IntArrayRef(shape));
  }
  const QuantizationParams& params = OutputParameters();
  WriteCodes(shape, params, [&](T* y) {
    if (count == 0) return;
    kernels::RoundReals(reference_output_->data<float>(), count,
                        params.scales[0], CodeRangeOf(params), y);
  });
}

template <typename T>
void Int8Operator<T>::RunReference(bool is_empty) {
  if (is_empty) reference_is_due_ = false;
  if (!reference_is_due_) return;
  reference_is_due_ = false;
  if (reference_ == nullptr) {
    reference_ = std::make_unique<FloatReference>(debug_def(), form_.float_type,
                                                  form_.float_inputs);
  }
  for (int i = 0; i < form_.float_inputs; ++i) {
    SetReferenceInput(i, reference_.get());
  }
  caffe2::Tensor& y = reference_->Run();
  FinishReference(&y);
  reference_output_ = &y;
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
const QuantizationParams& Int8Operator<T>::OutputParameters() {
  if (InputSize() > form_.params_input) {
    params_.type = arguments_.activations.type;
    TakeGivenParameters(this, form_.params_input, &params_);
    return params_;
  }
  if (arguments_.output.has_value()) return *arguments_.output;
  EnforceOk(*this,
            ChooseOutputParameters(reference_output_, arguments_.activations,
                                   arguments_.output_is_rectified, &params_),
            "output '", debug_def().output(0), "': ");
  return params_;
}

template <typename T>
T* Int8Operator<T>::OutputCodes(at::IntArrayRef sizes,
                                const QuantizationParams& params) {
  output_count_ = c10::multiply_integers(sizes);
  if (reference_is_due_) RunReference(output_count_ == 0);
  Int8TensorCPU* const y = Int8Output(0);
  y->scale = params.scales[0];
  y->zero_point = params.zero_points[0];
  y->t.Resize(sizes);
  T* const codes = y->t.template mutable_data<T>();
  codes_ = codes;
  codes_params_ = &params;
  return codes;
}

template <typename T>
float* Int8Operator<T>::OutputFloats(at::IntArrayRef sizes) {
  output_count_ = c10::multiply_integers(sizes);
  if (reference_is_due_) RunReference(output_count_ == 0);
  float* const values =
      Output(0, sizes, at::dtype<float>())->template mutable_data<float>();
  codes_ = nullptr;
  floats_ = values;
  return values;
}

template <typename T>
void Int8Operator<T>::Measure() {
  const caffe2::Tensor& y = *reference_output_;
  CAFFE_ENFORCE_EQ(y.numel(), output_count_, type(), ": the host's ",
                   form_.float_type, " gives ", y.numel(), " values, expected ",
                   output_count_);
  const auto* const expected = y.data<float>();
  if (codes_ == nullptr) {
    report_.Add(floats_, expected, output_count_,
                arguments_.output_is_rectified);
  } else {
    report_.Add(codes_, *codes_params_, expected, output_count_,
                {arguments_.output_is_rectified, HasGivenParameters()});
  }
}

template class Int8Operator<uint8_t>;
template class Int8Operator<uint16_t>;

}  // namespace caffe2_quantization
