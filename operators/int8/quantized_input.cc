#include "operators/int8/quantized_input.h"

#include "caffe2/core/tensor_int8.h"
#include "operators/int8/convert.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

const caffe2::Tensor& FloatInput(caffe2::OperatorBase* op, int index) {
  const std::string& name = op->debug_def().input(index);
  CAFFE_ENFORCE(op->InputIsTensorType(index, caffe2::CPU), op->type(),
                ": blob '", name, "' holds a ", op->Inputs()[index]->TypeName(),
                ", expected a float tensor of the CPU");
  const auto& x = op->Input<caffe2::Tensor>(index, caffe2::CPU);
  CAFFE_ENFORCE(x.IsType<float>(), op->type(), ": tensor '", name,
                "' is of type ", x.dtype().name(), ", expected float");
  return x;
}

void ChooseInputParameters(caffe2::OperatorBase* op, int index,
                           const caffe2::Tensor& x,
                           const ChooseOptions& options, const char* expected,
                           QuantizationParams* params) {
  const std::string& name = op->debug_def().input(index);
  const auto extremes = kernels::MinMax(x.data<float>(), x.numel());
  CAFFE_ENFORCE(extremes.left_out() == 0, op->type(), ": tensor '", name,
                "' has ", extremes.left_out(), " of ", x.numel(),
                " values that are NaN or infinite and no range to choose "
                "parameters of, ",
                expected);
  Choice choice;
  const Status status =
      x.numel() == 0
          ? ChooseFromRange(0, 0, options, &choice)
          : ChooseFromRange(extremes.min, extremes.max, options, &choice);
  CAFFE_ENFORCE(status.ok(), op->type(), ": tensor '", name,
                "': ", status.message());
  params->scales[0] = choice.scale;
  params->zero_points[0] = choice.zero_point;
}

template <typename T>
InputCodes<T> QuantizedInput<T>::Get(caffe2::OperatorBase* op, int index,
                                     const ChooseOptions& options) {
  const std::string& name = op->debug_def().input(index);
  params_.type = options.type;
  InputCodes<T> result;
  if (op->InputIsType<Int8TensorCPU>(index)) {
    const auto& x = op->Input<Int8TensorCPU>(index);
    CAFFE_ENFORCE(x.t.template IsType<T>(), op->type(), ": tensor '", name,
                  "' is an Int8TensorCPU of ", x.t.dtype().name(),
                  ", expected ", caffe2::TypeMeta::Make<T>().name());
    const Status status = SetParameters(x.scale, x.zero_point, &params_);
    CAFFE_ENFORCE(status.ok(), op->type(), ": tensor '", name,
                  "': ", status.message());
    result.tensor = &x.t;
    result.codes = x.t.template data<T>();
  } else {
    const caffe2::Tensor& x = FloatInput(op, index);
    ChooseInputParameters(op, index, x, options, "expected finite values",
                          &params_);
    codes_.resize(x.numel());
    QuantizeTo(x.template data<float>(), x.numel(), params_, codes_.data());
    result.tensor = &x;
    result.codes = codes_.data();
  }
  result.scale = params_.scales[0];
  result.zero_point = params_.zero_points[0];
  return result;
}

template class QuantizedInput<uint8_t>;
template class QuantizedInput<uint16_t>;

}  // namespace caffe2_quantization
