// Int8TensorFromCodes: makes an int8 tensor of codes, which is how numpy's
// arrays become int8 blobs.
//
//   codes -> X
//
//   codes   a tensor of uint8, of uint16 (as operators of 16 bits have it), or
//           of int32 (a bias)
//   X       Int8TensorCPU: a copy of the codes, with scale and zero point
//
// Arguments: scale, zero_point; both are required, and valid for the type.
#include <cstdint>

#include "caffe2/core/tensor_int8.h"
#include "operators/enforce.h"
#include "operators/registration.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {
namespace {

class Int8TensorFromCodesOp final
    : public caffe2::Operator<caffe2::CPUContext> {
 public:
  using Operator::Operator;

  bool RunOnDevice() override {
    const std::string& name = debug_def().input(0);
    CAFFE_ENFORCE(InputIsTensorType(0, caffe2::CPU), type(), ": blob '", name,
                  "' holds a ", InputBlob(0).TypeName(),
                  ", expected a tensor of the CPU");
    const caffe2::Tensor& codes = Input(0);
    CAFFE_ENFORCE(codes.IsType<uint8_t>() || codes.IsType<uint16_t>() ||
                      codes.IsType<int32_t>(),
                  type(), ": tensor '", name, "' is of type ",
                  codes.dtype().name(), ", expected uint8, uint16 or int32");
    CAFFE_ENFORCE(HasSingleArgumentOfType<float>("scale"), type(),
                  ": argument scale is missing, expected a float");
    CAFFE_ENFORCE(HasSingleArgumentOfType<int64_t>("zero_point"), type(),
                  ": argument zero_point is missing, expected an integer");
    const auto zero_point = GetSingleArgument<int64_t>("zero_point", 0);
    const QuantizedType kind =
        codes.IsType<int32_t>()
            ? QuantizedType::Int32()
            : QuantizedType{static_cast<int>(8 * codes.itemsize()),
                            /*is_signed=*/false};
    CAFFE_ENFORCE(zero_point >= kind.qmin() && zero_point <= kind.qmax(),
                  type(), ": argument zero_point is ", zero_point,
                  ", expected a code of ", codes.dtype().name(), ", ",
                  kind.qmin(), " to ", kind.qmax());
    const QuantizationParams params(kind, GetSingleArgument<float>("scale", 1),
                                    static_cast<int32_t>(zero_point));
    EnforceOk(*this, params.Validate());

    auto* const x = OperatorBase::Output<caffe2::int8::Int8TensorCPU>(0);
    x->scale = params.scales[0];
    x->zero_point = params.zero_points[0];
    // In a storage of its own: operators that keep weights look at that.
    x->t = codes.Clone();
    return true;
  }
};

}  // namespace

void RegisterInt8TensorFromCodes() {
  RegisterCpuOperator<Int8TensorFromCodesOp>("Int8TensorFromCodes");
  RegisterNoGradient("Int8TensorFromCodes");
  CAFFE2_QUANTIZATION_SCHEMA("Int8TensorFromCodes")
      .NumInputs(1)
      .NumOutputs(1)
      .IdenticalTypeAndShape()
      .SetDoc("An int8 tensor of codes, with a scale and a zero point.")
      .Arg("scale", "Above 0. Required.")
      .Arg("zero_point", "The code of 0. Required.")
      .Input(0, "codes", "tensor of uint8, uint16 or int32")
      .Output(0, "X", "Int8TensorCPU");
}

}  // namespace caffe2_quantization
