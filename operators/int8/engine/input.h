// Reads an input of an operator of the engine ONEDNN: as codes, as floats, or
// as parameters of an output.
//
// Messages name the operator's type and the blob.
// Thread rule: one thread at a time, as for the operator.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_INPUT_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_INPUT_H_

#include <cstdint>
#include <vector>

#include "caffe2/core/operator.h"
#include "quantization/choose.h"
#include "quantization/quantization_params.h"

namespace caffe2_quantization {

// An input as codes. An Int8TensorCPU's codes are taken as they are; a float
// tensor is quantized in every run, by its smallest and largest value. T:
// uint8_t or uint16_t, which hold the codes.
template <typename T>
class InputCodes {
 public:
  // Reads input `index` of op. Enforces its type, that scale and zero point are
  // valid for options.type, and that floats are finite.
  void Read(caffe2::OperatorBase* op, int index, const ChooseOptions& options);

  at::IntArrayRef sizes;
  int64_t count = 0;
  const T* codes = nullptr;  // null if the tensor is empty
  QuantizationParams params{{8 * sizeof(T), false}, 1, 0};  // one set

  float scale() const { return params.scales[0]; }
  int32_t zero_point() const { return params.zero_points[0]; }

 private:
  std::vector<T> made_;
};

// Returns input `index` of op. Enforces that it is a float tensor of the CPU.
const caffe2::Tensor& FloatInput(caffe2::OperatorBase* op, int index);

// Sets scale and zero point of params, which has one set, for the range of x's
// values; x is input `index` of op. Enforces that the values are finite; the
// message ends with `expected`.
void ChooseInputParameters(caffe2::OperatorBase* op, int index,
                           const caffe2::Tensor& x,
                           const ChooseOptions& options, const char* expected,
                           QuantizationParams* params);

// Sets scale and zero point of params, which has one set. Returns an error, and
// leaves params unchanged, if they are not valid for its type.
Status SetParameters(float scale, int32_t zero_point,
                     QuantizationParams* params);

// Sets scale and zero point of params, which has one set, to those of input
// `index`, an Int8QuantParamsBlob (operators/int8_quant_blobs.h). Enforces that
// the blob holds parameters and that they are valid for params->type.
void TakeGivenParameters(caffe2::OperatorBase* op, int index,
                         QuantizationParams* params);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ENGINE_INPUT_H_
