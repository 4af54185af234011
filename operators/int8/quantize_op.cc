#include "operators/int8/quantize_op.h"

#include <memory>
#include <optional>
#include <string>

#include "operators/int8/convert.h"
#include "operators/int8/output_parameters.h"
#include "operators/int8_quant_blobs.h"
#include "operators/registration.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

template <typename T>
bool Int8QuantizeOp<T>::RunOnDevice() {
  ReadArguments();
  const caffe2::Tensor& x = FloatInput();
  if (InputSize() == 2) {
    TakeGivenParameters();
  } else if (!is_static_) {
    ChooseParameters(x);
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

template <typename T>
const caffe2::Tensor& Int8QuantizeOp<T>::FloatInput() {
  const std::string& name = debug_def().input(0);
  CAFFE_ENFORCE(InputIsTensorType(0, caffe2::CPU), type(), ": blob '", name,
                "' holds a ", InputBlob(0).TypeName(),
                ", expected a float tensor of the CPU");
  const caffe2::Tensor& x = Input(0);
  CAFFE_ENFORCE(x.IsType<float>(), type(), ": tensor '", name, "' is of type ",
                x.dtype().name(), ", expected float");
  return x;
}

template <typename T>
void Int8QuantizeOp<T>::TakeGivenParameters() {
  using ParamsPtr = std::unique_ptr<caffe2::Int8QuantParamsBlob>;
  const std::string& name = debug_def().input(1);
  const caffe2::Blob& blob = InputBlob(1);
  CAFFE_ENFORCE(blob.IsType<ParamsPtr>(), type(), ": blob '", name,
                "' holds a ", blob.TypeName(),
                ", expected an Int8QuantParamsBlob");
  const auto& given = blob.Get<ParamsPtr>();
  CAFFE_ENFORCE(given != nullptr, type(), ": blob '", name,
                "' holds an empty Int8QuantParamsBlob");
  const Status status =
      SetParameters(given->qparam.scale, given->qparam.zero_point, &params_);
  CAFFE_ENFORCE(status.ok(), type(), ": blob '", name, "': ", status.message());
}

template <typename T>
void Int8QuantizeOp<T>::ChooseParameters(const caffe2::Tensor& x) {
  const auto extremes = kernels::MinMax(x.data<float>(), x.numel());
  CAFFE_ENFORCE(extremes.left_out() == 0, type(), ": tensor '",
                debug_def().input(0), "' has ", extremes.left_out(), " of ",
                x.numel(),
                " values that are NaN or infinite and no range to choose "
                "parameters of; expected finite values, or Y_scale and "
                "Y_zero_point");
  Choice choice;
  const Status status =
      x.numel() == 0
          ? ChooseFromRange(0, 0, options_, &choice)
          : ChooseFromRange(extremes.min, extremes.max, options_, &choice);
  CAFFE_ENFORCE(status.ok(), type(), ": tensor '", debug_def().input(0),
                "': ", status.message());
  params_.scales[0] = choice.scale;
  params_.zero_points[0] = choice.zero_point;
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
