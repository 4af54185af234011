// Dequantize, Int8Dequantize and Int8DequantizeRowWise under the engine ONEDNN:
// unsigned codes to floats.
//
//   X -> Y
//
//   X   Int8TensorCPU of any shape, of uint8, or uint16 (engines ending in
//       _16), with its scale and zero point
//   Y   float tensor of X's shape: scale * (X - zero_point), rounded once
//
// Int8DequantizeRowWise is the same operator, as in DNNLOWP: an Int8TensorCPU
// has one scale. It takes no arguments.

#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/registration.h"

namespace caffe2_quantization {
namespace {

template <typename T>
class DequantizeOp final : public Int8Operator<T> {
 public:
  DequantizeOp(const caffe2::OperatorDef& definition,
               caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace, KeepsParameters(nullptr)) {}

 protected:
  void Compute() override {
    const std::string& name = this->Name(0);
    CAFFE_ENFORCE(this->IsCodes(0), this->type(), ": blob '", name,
                  "' holds a ", this->InputBlob(0).TypeName(),
                  ", expected an Int8TensorCPU");
    const auto& x = this->Int8Input(0);
    CAFFE_ENFORCE(x.t.template IsType<T>(), this->type(), ": tensor '", name,
                  "' is of type ", x.t.dtype().name(), ", expected ",
                  params_.type.Name());
    EnforceOk(*this, SetParameters(x.scale, x.zero_point, &params_), "tensor '",
              name, "': ");
    DequantizeOneSet(x.t.template data<T>(), x.t.numel(), params_,
                     this->OutputFloats(x.t.sizes()));
  }

 private:
  QuantizationParams params_{{8 * sizeof(T), false}, 1, 0};
};

}  // namespace

void RegisterOnednnDequantize(const char* name,
                              const EngineSuffixes& suffixes) {
  RegisterEngine<DequantizeOp>(name, suffixes);
  if (std::string(name) != "Int8DequantizeRowWise") return;
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
