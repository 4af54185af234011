#include "operators/int8/product_output.h"

#include "operators/int8/given_parameters.h"

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

template <typename T>
ProductOutput<T>::ProductOutput(caffe2::OperatorBase* op,
                                const char* float_type, int num_inputs)
    : op_(op),
      float_type_(float_type),
      num_inputs_(num_inputs),
      reference_shapes_(num_inputs),
      reshaped_(num_inputs) {}

template <typename T>
ProductOutput<T>::~ProductOutput() {
  report_.Log(op_->debug_def());
}

template <typename T>
void ProductOutput<T>::Begin() {
  reference_output_ = nullptr;
  for (auto& shape : reference_shapes_) shape.clear();
}

template <typename T>
bool ProductOutput<T>::RunsReference(const Int8Arguments& arguments,
                                     int params_input) const {
  return arguments.measure_quantization_error ||
         (!arguments.dequantize_output &&
          !HasGivenParameters(arguments, params_input));
}

template <typename T>
const QuantizationParams& ProductOutput<T>::Parameters(
    const Int8Arguments& arguments, int params_input, bool is_empty) {
  params_.type = arguments.activations.type;
  params_are_given_ = HasGivenParameters(arguments, params_input);
  if (op_->InputSize() > params_input) {
    TakeGivenParameters(op_, params_input, &params_);
    return params_;
  }
  if (arguments.output.has_value()) return *arguments.output;
  Status status;
  if (is_empty) {
    Choice choice;
    status = ChooseFromRange(0, 0, arguments.activations, &choice);
    params_.scales[0] = choice.scale;
    params_.zero_points[0] = choice.zero_point;
  } else {
    status = ChooseOutputParameters(*reference_output_, arguments.activations,
                                    arguments.output_is_rectified, &params_);
  }
  CAFFE_ENFORCE(status.ok(), op_->type(), ": output '",
                op_->debug_def().output(0), "': ", status.message());
  return params_;
}

template <typename T>
void ProductOutput<T>::RunReference() {
  if (reference_ == nullptr) {
    reference_ = std::make_unique<FloatReference>(
        op_->debug_def(), float_type_.c_str(), num_inputs_);
  }
  for (int i = 0; i < num_inputs_; ++i) {
    const bool is_codes = op_->InputIsType<Int8TensorCPU>(i);
    CAFFE_ENFORCE(is_codes || op_->InputIsTensorType(i, caffe2::CPU),
                  op_->type(), ": blob '", op_->debug_def().input(i),
                  "' holds a ", op_->Inputs()[i]->TypeName(),
                  ", of which the float operator cannot be run to find the "
                  "output's range or its error; expected Y_scale and "
                  "Y_zero_point, or dequantize_output, without "
                  "measure_quantization_error");
    // Shares the values.
    const auto reshape = [&](const caffe2::Tensor& values) {
      const auto& shape = reference_shapes_[i];
      caffe2::Tensor tensor(shape.empty() ? values.sizes().vec() : shape,
                            caffe2::CPU);
      tensor.ShareData(values);
      return tensor;
    };
    Int8TensorCPU& reshaped = reshaped_[i];
    if (is_codes) {
      const auto& codes = op_->Input<Int8TensorCPU>(i);
      reshaped.scale = codes.scale;
      reshaped.zero_point = codes.zero_point;
      reshaped.t = reshape(codes.t);
      reference_->SetInput(i, reshaped);
    } else {
      reshaped.t = reshape(op_->Input<caffe2::Tensor>(i, caffe2::CPU));
      reference_->SetInput(i, reshaped.t);
    }
  }
  reference_output_ = &reference_->Run();
  // Nothing of the inputs is kept alive until the next run.
  for (Int8TensorCPU& each : reshaped_) each.t = caffe2::Tensor(caffe2::CPU);
}

template <typename T>
const float* ProductOutput<T>::ReferenceValues(int64_t count) const {
  const caffe2::Tensor& y = *reference_output_;
  CAFFE_ENFORCE_EQ(y.numel(), count, op_->type(), ": the host's ", float_type_,
                   " gives ", y.numel(), " values, expected ", count);
  return y.data<float>();
}

template <typename T>
void ProductOutput<T>::Measure(const Int8Arguments& arguments, const T* codes,
                               const QuantizationParams& params,
                               int64_t count) {
  if (!IsMeasured(arguments, count)) return;
  report_.Add(codes, params, ReferenceValues(count), count,
              {arguments.output_is_rectified, params_are_given_});
}

template <typename T>
void ProductOutput<T>::Measure(const Int8Arguments& arguments,
                               const float* values, int64_t count) {
  if (!IsMeasured(arguments, count)) return;
  report_.Add(values, ReferenceValues(count), count,
              arguments.output_is_rectified);
}

template class ProductOutput<uint8_t>;
template class ProductOutput<uint16_t>;

}  // namespace caffe2_quantization
