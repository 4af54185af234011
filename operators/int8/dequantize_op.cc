#include "operators/int8/dequantize_op.h"

#include <string>

#include "operators/int8/convert.h"
#include "operators/registration.h"

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

template <typename T>
bool Int8DequantizeOp<T>::RunOnDevice() {
  const std::string& name = debug_def().input(0);
  CAFFE_ENFORCE(InputIsType<Int8TensorCPU>(0), type(), ": blob '", name,
                "' holds a ", InputBlob(0).TypeName(),
                ", expected an Int8TensorCPU");
  const auto& x = OperatorBase::Input<Int8TensorCPU>(0);
  CAFFE_ENFORCE(x.t.template IsType<T>(), type(), ": tensor '", name,
                "' is of type ", x.t.dtype().name(), ", expected ",
                params_.type.Name());
  const Status status = SetParameters(x.scale, x.zero_point, &params_);
  CAFFE_ENFORCE(status.ok(), type(), ": tensor '", name,
                "': ", status.message());

  auto* y = Output(0, x.t.sizes(), at::dtype<float>());
  DequantizeFrom(x.t.template data<T>(), x.t.numel(), params_,
                 y->template mutable_data<float>());
  return true;
}

template class Int8DequantizeOp<uint8_t>;
template class Int8DequantizeOp<uint16_t>;

void RegisterOnednnDequantize() {
  using Op8 = Int8DequantizeOp<uint8_t>;
  using Op16 = Int8DequantizeOp<uint16_t>;
  RegisterCpuOperator<Op8>("Dequantize_ENGINE_ONEDNN");
  RegisterCpuOperator<Op8>("Dequantize_ENGINE_ONEDNN_ROWWISE");
  RegisterCpuOperator<Op16>("Dequantize_ENGINE_ONEDNN_16");
  RegisterCpuOperator<Op16>("Dequantize_ENGINE_ONEDNN_ROWWISE_16");
}

void RegisterOnednnInt8Dequantize() {
  using Op8 = Int8DequantizeOp<uint8_t>;
  RegisterCpuOperator<Op8>("Int8Dequantize_ENGINE_ONEDNN");
  RegisterCpuOperator<Op8>("Int8Dequantize_ENGINE_ONEDNN_ROWWISE");
}

void RegisterOnednnInt8DequantizeRowWise() {
  RegisterCpuOperator<Int8DequantizeOp<uint8_t>>(
      "Int8DequantizeRowWise_ENGINE_ONEDNN");
  // The host has the operator and no schema of it.
  RegisterNoGradient("Int8DequantizeRowWise");
  CAFFE2_QUANTIZATION_SCHEMA("Int8DequantizeRowWise")
      .NumInputs(1)
      .NumOutputs(1)
      .SetDoc("Int8 tensor to floats; engines DNNLOWP and ONEDNN.")
      .Input(0, "X", "Int8TensorCPU with its scale and zero point")
      .Output(0, "Y", "float tensor of X's shape")
      .TensorInferenceFunction([](const caffe2::OperatorDef&,
                                  const std::vector<caffe2::TensorShape>& in) {
        std::vector<caffe2::TensorShape> out{in[0]};
        out[0].set_data_type(caffe2::TensorProto::FLOAT);
        return out;
      });
}

}  // namespace caffe2_quantization
