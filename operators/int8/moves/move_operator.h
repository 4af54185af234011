// MoveOperator: the base of operators whose output has values of input 0 and
// its parameters, in another order: codes and floats are moved alike.
//
//   X       Int8TensorCPU of uint8, or a float tensor
//   Y       as X, with its scale and zero point; with dequantize_output the
//           values of X's codes as floats
//
// measure_quantization_error has no effect, since a move has no error.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_MOVES_MOVE_OPERATOR_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_MOVES_MOVE_OPERATOR_H_

#include <cstdint>
#include <vector>

#include "operators/int8/engine/operator.h"

namespace caffe2_quantization {

// Bytes that one thread moves in the time that waking another one takes.
inline constexpr int64_t kLeastMovedBytes = 1 << 16;

class MoveOperator : public Int8Operator<uint8_t> {
 protected:
  MoveOperator(const caffe2::OperatorDef& definition,
               caffe2::Workspace* workspace, int inputs)
      : Int8Operator(definition, workspace, Form()) {
    Enforce(InputSize() == inputs && OutputSize() == 1, InputSize(),
            " inputs and ", OutputSize(), " outputs, expected ", inputs,
            " and 1");
  }

  // The sizes of X; valid until the output is written.
  at::IntArrayRef SizesOfX() {
    return IsCodes(0) ? Input(0).sizes : FloatInput(this, 0).sizes();
  }

  // Writes Y: move(x, value_bytes, y) moves values of so many bytes from x to
  // y; it is not called if Y has none.
  template <class Move>
  void WriteMoved(const std::vector<int64_t>& sizes, const Move& move) {
    const bool is_empty = c10::multiply_integers(sizes) == 0;
    if (!IsCodes(0)) {
      const auto* const x = FloatInput(this, 0).data<float>();
      float* const y = OutputFloats(sizes);
      if (!is_empty) move(x, int64_t{sizeof(float)}, y);
      return;
    }
    const InputCodes<uint8_t>& x = Input(0);
    WriteCodes(sizes, x.params, [&](uint8_t* y) {
      if (!is_empty) move(x.codes, int64_t{1}, y);
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

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_MOVES_MOVE_OPERATOR_H_
