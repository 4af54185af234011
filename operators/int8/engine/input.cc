#include "operators/int8/engine/input.h"

#include <memory>
#include <string>

#include "base/return_if_error.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/enforce.h"
#include "operators/int8_quant_blobs.h"
#include "quantization/kernels/min_max.h"
#include "quantization/quantize_one_set.h"

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
  EnforceOk(*op, status, "tensor '", name, "': ");
  params->scales[0] = choice.scale;
  params->zero_points[0] = choice.zero_point;
}

Status SetParameters(float scale, int32_t zero_point,
                     QuantizationParams* params) {
  // Most often they are what they were. (A NaN is not.)
  if (scale == params->scales[0] && zero_point == params->zero_points[0]) {
    return Status::Ok();
  }
  const QuantizationParams changed(params->type, scale, zero_point);
  RETURN_IF_ERROR(changed.Validate());
  params->scales[0] = scale;
  params->zero_points[0] = zero_point;
  return Status::Ok();
}

void TakeGivenParameters(caffe2::OperatorBase* op, int index,
                         QuantizationParams* params) {
  using ParamsPtr = std::unique_ptr<caffe2::Int8QuantParamsBlob>;
  const std::string& name = op->debug_def().input(index);
  const caffe2::Blob& blob = *op->Inputs()[index];
  CAFFE_ENFORCE(blob.IsType<ParamsPtr>(), op->type(), ": blob '", name,
                "' holds a ", blob.TypeName(),
                ", expected an Int8QuantParamsBlob");
  const auto& given = blob.Get<ParamsPtr>();
  CAFFE_ENFORCE(given != nullptr, op->type(), ": blob '", name,
                "' holds an empty Int8QuantParamsBlob");
  EnforceOk(
      *op, SetParameters(given->qparam.scale, given->qparam.zero_point, params),
      "blob '", name, "': ");
}

template <typename T>
void InputCodes<T>::Read(caffe2::OperatorBase* op, int index,
                         const ChooseOptions& options) {
  const std::string& name = op->debug_def().input(index);
  params.type = options.type;
  if (op->InputIsType<Int8TensorCPU>(index)) {
    const auto& x = op->Input<Int8TensorCPU>(index);
    CAFFE_ENFORCE(x.t.template IsType<T>(), op->type(), ": tensor '", name,
                  "' is an Int8TensorCPU of ", x.t.dtype().name(),
                  ", expected ", caffe2::TypeMeta::Make<T>().name());
    EnforceOk(*op, SetParameters(x.scale, x.zero_point, &params), "tensor '",
              name, "': ");
    sizes = x.t.sizes();
    codes = x.t.template data<T>();
  } else {
    const caffe2::Tensor& x = FloatInput(op, index);
    ChooseInputParameters(op, index, x, options, "expected finite values",
                          &params);
    made_.resize(x.numel());
    QuantizeOneSet(x.template data<float>(), x.numel(), params, made_.data());
    sizes = x.sizes();
    codes = made_.data();
  }
  count = c10::multiply_integers(sizes);
}

template class InputCodes<uint8_t>;
template class InputCodes<uint16_t>;

}  // namespace caffe2_quantization
