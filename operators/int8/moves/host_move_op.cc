// Int8Flatten, Int8Reshape, Int8Slice and Int8Transpose under the engine
// ONEDNN: the host's own operators, which are right, but end the process unless
// Y_scale and Y_zero_point are the input's. Here they are what the input has.
//
//   X, … -> Y, …
//
//   X   Int8TensorCPU of uint8 or uint16, with its scale and zero point
//       (Int8Transpose: of uint8)
//   Y   its codes, with the same scale and zero point
//
// Other inputs, outputs and arguments are the host's: axis of Int8Flatten;
// shape of Int8Reshape, or its second input; starts and ends of Int8Slice, or
// its second and third input; axes of Int8Transpose. Y_scale and Y_zero_point
// are not read.
#include <memory>
#include <string>

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/enforce.h"
#include "operators/int8/engine/input.h"
#include "operators/int8/engine/register_engine.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

class HostMoveOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  HostMoveOp(const caffe2::OperatorDef& definition,
             caffe2::Workspace* workspace)
      : Operator(definition, workspace), workspace_(workspace) {}

  bool RunOnDevice() override {
    const std::string& name = debug_def().input(0);
    CAFFE_ENFORCE(InputIsType<Int8TensorCPU>(0), type(), ": blob '", name,
                  "' holds a ", InputBlob(0).TypeName(),
                  ", expected an Int8TensorCPU");
    const auto& x = OperatorBase::Input<Int8TensorCPU>(0);
    const bool is_wide = x.t.IsType<uint16_t>();
    CAFFE_ENFORCE(is_wide || x.t.IsType<uint8_t>(), type(), ": tensor '", name,
                  "' is an Int8TensorCPU of ", x.t.dtype().name(),
                  ", expected uint8 or uint16");
    QuantizationParams params({is_wide ? 16 : 8, false}, x.scale, x.zero_point);
    EnforceOk(*this, params.Validate(), "tensor '", name, "': ");
    if (host_ == nullptr || x.scale != scale_ || x.zero_point != zero_point_) {
      MakeHost(x.scale, x.zero_point);
    }
    return host_->Run();
  }

 private:
  // Makes the host's operator for these parameters, which it reads when it is
  // made. It is taken by its name: engine preferences would lead back here.
  void MakeHost(float scale, int32_t zero_point) {
    caffe2::OperatorDef definition = debug_def();
    definition.clear_engine();
    definition.clear_arg();
    for (const caffe2::Argument& argument : debug_def().arg()) {
      if (argument.name() == "Y_scale" || argument.name() == "Y_zero_point") {
        continue;
      }
      *definition.add_arg() = argument;
    }
    *definition.add_arg() = caffe2::MakeArgument("Y_scale", scale);
    *definition.add_arg() = caffe2::MakeArgument("Y_zero_point", zero_point);
    host_ =
        caffe2::CPUOperatorRegistry()->Create(type(), definition, workspace_);
    scale_ = scale;
    zero_point_ = zero_point;
  }

  caffe2::Workspace* const workspace_;
  std::unique_ptr<caffe2::OperatorBase> host_;
  float scale_ = 0;
  int32_t zero_point_ = 0;
};

}  // namespace

void RegisterOnednnHostMove(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<HostMoveOp>(name, suffixes);
}

}  // namespace caffe2_quantization
