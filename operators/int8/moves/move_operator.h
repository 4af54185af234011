// MoveOperator: the base of operators whose output has values of input 0 and
// its parameters, in another order: codes and floats are moved alike.
//
//   X       Int8TensorCPU of uint8 or uint16, or a float tensor
//   Y       as X, with its scale and zero point; with dequantize_output the
//           values of X's codes as floats
//
// measure_quantization_error has no effect, since a move has no error.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_MOVES_MOVE_OPERATOR_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_MOVES_MOVE_OPERATOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/enforce.h"
#include "operators/int8/engine/operator.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// Bytes that one thread moves in the time that waking another one takes.
inline constexpr int64_t kLeastMovedBytes = 1 << 16;

// Any number of outputs.
inline constexpr int kManyOutputs = -1;

// Returns input 0 of an operator that moves codes alone. Throws the host's
// enforce error for anything but an Int8TensorCPU of uint8 or uint16 with valid
// parameters.
inline const caffe2::int8::Int8TensorCPU& CodesToMove(
    caffe2::OperatorBase* op) {
  using caffe2::int8::Int8TensorCPU;
  const std::string& name = op->debug_def().input(0);
  CAFFE_ENFORCE(op->InputIsType<Int8TensorCPU>(0), op->type(), ": blob '", name,
                "' holds a ", op->InputBlob(0).TypeName(),
                ", expected an Int8TensorCPU");
  const auto& x = op->Input<Int8TensorCPU>(0);
  const bool is_wide = x.t.IsType<uint16_t>();
  CAFFE_ENFORCE(is_wide || x.t.IsType<uint8_t>(), op->type(), ": tensor '",
                name, "' is an Int8TensorCPU of ", x.t.dtype().name(),
                ", expected uint8 or uint16");
  const QuantizationParams params({is_wide ? 16 : 8, false}, x.scale,
                                  x.zero_point);
  EnforceOk(*op, params.Validate(), "tensor '", name, "': ");
  return x;
}

// T: uint8_t or uint16_t, which hold the codes.
template <typename T>
class MoveOperatorOf : public Int8Operator<T> {
 protected:
  MoveOperatorOf(const caffe2::OperatorDef& definition,
                 caffe2::Workspace* workspace, int inputs, int outputs = 1)
      : Int8Operator<T>(definition, workspace, Form()) {
    const bool fits = outputs == kManyOutputs ? this->OutputSize() > 0
                                              : this->OutputSize() == outputs;
    this->Enforce(this->InputSize() == inputs && fits, this->InputSize(),
                  " inputs and ", this->OutputSize(), " outputs, expected ",
                  inputs, " and ", outputs == kManyOutputs ? "at least " : "",
                  outputs == kManyOutputs ? 1 : outputs);
  }

  // The sizes of X; valid until the output is written.
  at::IntArrayRef SizesOfX() {
    return this->IsCodes(0) ? this->Input(0).sizes
                            : FloatInput(this, 0).sizes();
  }

  // Writes Y: move(x, value_bytes, y) moves values of so many bytes from x to
  // y; it is not called if Y has none.
  template <class Move>
  void WriteMoved(const std::vector<int64_t>& sizes, const Move& move) {
    const bool is_empty = c10::multiply_integers(sizes) == 0;
    if (!this->IsCodes(0)) {
      const auto* const x = FloatInput(this, 0).template data<float>();
      float* const y = this->OutputFloats(sizes);
      if (!is_empty) move(x, int64_t{sizeof(float)}, y);
      return;
    }
    const InputCodes<T>& x = this->Input(0);
    this->WriteCodes(sizes, x.params, [&](T* y) {
      if (!is_empty) move(x.codes, int64_t{sizeof(T)}, y);
    });
  }

 private:
  // No float operator is run.
  static OperatorForm Form() {
    OperatorForm form = KeepsParameters(nullptr);
    form.arguments = kOutputFormAlone;
    return form;
  }
};

using MoveOperator = MoveOperatorOf<uint8_t>;

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_MOVES_MOVE_OPERATOR_H_
