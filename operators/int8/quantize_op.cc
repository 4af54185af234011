#include "operators/int8/quantize_op.h"

#include <optional>

#include "operators/int8/convert.h"
#include "operators/int8/given_parameters.h"
#include "operators/int8/output_parameters.h"
#include "operators/int8/quantized_input.h"
#include "operators/registration.h"

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

template <typename T>
bool Int8QuantizeOp<T>::RunOnDevice() {
  ReadArguments();
  const caffe2::Tensor& x = FloatInput(this, 0);
  if (InputSize() == 2) {
    TakeGivenParameters(this, 1, &params_);
  } else if (!is_static_) {
    ChooseInputParameters(this, 0, x, options_,
                          "expected finite values, or Y_scale and Y_zero_point",
                          &params_);
  }

  auto* y = OperatorBase::Output<Int8TensorCPU>(0);
  y->scale = params_.scales[0];
  y->zero_point = params_.zero_points[0];
  y->t.ResizeLike(x);
  QuantizeTo(x.template data<float>(), x.numel(), params_,
             y->t.template mutable_data<T>());
  return true;
}

template <typename T>
void Int8QuantizeOp<T>::ReadArguments() {
  if (arguments_read_) return;
  std::optional<QuantizationParams> params;
  Status status = ActivationOptions(debug_def(), 8 * sizeof(T), &options_);
  if (status.ok()) status = StaticParameters(debug_def(), options_, &params);
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  is_static_ = params.has_value();
  params_ = is_static_ ? *params : QuantizationParams(options_.type, 1, 0);
  arguments_read_ = true;
}

template class Int8QuantizeOp<uint8_t>;
template class Int8QuantizeOp<uint16_t>;

void RegisterOnednnQuantize() {
  using Op8 = Int8QuantizeOp<uint8_t>;
  using Op16 = Int8QuantizeOp<uint16_t>;
  RegisterCpuOperator<Op8>("Quantize_ENGINE_ONEDNN");
  RegisterCpuOperator<Op8>("Quantize_ENGINE_ONEDNN_ROWWISE");
  RegisterCpuOperator<Op16>("Quantize_ENGINE_ONEDNN_16");
  RegisterCpuOperator<Op16>("Quantize_ENGINE_ONEDNN_ROWWISE_16");
}

void RegisterOnednnInt8Quantize() {
  using Op8 = Int8QuantizeOp<uint8_t>;
  RegisterCpuOperator<Op8>("Int8Quantize_ENGINE_ONEDNN");
  RegisterCpuOperator<Op8>("Int8Quantize_ENGINE_ONEDNN_ROWWISE");
}

}  // namespace caffe2_quantization
