// An input of an int8 operator as codes: of an Int8TensorCPU as they are, of a
// float tensor made in every run, by its smallest and largest value.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZED_INPUT_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZED_INPUT_H_

#include <cstdint>
#include <vector>

#include "caffe2/core/operator.h"
#include "quantization/choose.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// T: uint8_t or uint16_t, which hold the codes.
template <typename T>
struct InputCodes {
  // Of floats, or of codes. Shapes are read from it.
  const caffe2::Tensor* tensor = nullptr;
  const T* codes = nullptr;  // null when the tensor is empty
  float scale = 1;
  int32_t zero_point = 0;
};

// Keeps the codes that it makes until it makes others. Thread rule: one at a
// time, as the operator it belongs to.
template <typename T>
class QuantizedInput {
 public:
  // Of input `index` of op. Enforces its type, that scale and zero point are
  // valid for options.type, and that floats are finite; messages name the
  // operator's type and the blob.
  InputCodes<T> Get(caffe2::OperatorBase* op, int index,
                    const ChooseOptions& options);

 private:
  QuantizationParams params_{{8 * sizeof(T), false}, 1, 0};
  std::vector<T> codes_;
};

// Input `index` of op. Enforces that it is a float tensor of the CPU.
const caffe2::Tensor& FloatInput(caffe2::OperatorBase* op, int index);

// Sets scale and zero point of params, one set, for the range of x's values;
// x is input `index` of op. Enforces that they are finite; the message ends
// with what was expected.
void ChooseInputParameters(caffe2::OperatorBase* op, int index,
                           const caffe2::Tensor& x,
                           const ChooseOptions& options, const char* expected,
                           QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANTIZED_INPUT_H_
