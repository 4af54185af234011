// ArithmeticOp: what Add, Mul and Sum have in common. Of inputs that are all
// codes they have a kernel; with floats among them the host's float operator
// computes, and its output is rounded.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_ARITHMETIC_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_ARITHMETIC_OP_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "quantization/kernels/add_codes.h"
#include "quantization/kernels/min_max.h"
#include "quantization/kernels/stream_blocks.h"

namespace caffe2_quantization {

template <typename T>
class ArithmeticOp : public Int8Operator<T> {
 protected:
  // float_type: the host's float operator, which takes all inputs. A type that
  // ends in Relu cuts negative values.
  ArithmeticOp(const caffe2::OperatorDef& definition,
               caffe2::Workspace* workspace, const char* float_type)
      : Int8Operator<T>(definition, workspace,
                        ComputesCodes(float_type, definition.input_size(),
                                      EndsWithRelu(definition.type()))) {}

  // Returns the sizes of input `index`. Enforces that it is codes with valid
  // parameters, or floats, which are finite if the output's parameters are to
  // be chosen.
  at::IntArrayRef SizesOf(int index);

  // Writes output 0. Unless all inputs are codes it is the codes of the float
  // operator's output. Else, unless the output is empty, it calls
  // prepare(params) with the output's parameters; then, on each of several
  // threads, compute = make(), and compute(first, n, T* codes) for codes
  // `first` to first + n of the output.
  template <class Prepare, class Make>
  void WriteOutput(const std::vector<int64_t>& sizes, const Prepare& prepare,
                   const Make& make);

  // The inputs of this run, from prepare on: their codes and parameters.
  const std::vector<const T*>& codes() const { return codes_; }
  const std::vector<kernels::CodeScale>& scales() const { return scales_; }

 private:
  // What is worth a thread: some microseconds.
  static constexpr int64_t kLeastPart = int64_t{1} << 15;

  static bool EndsWithRelu(const std::string& type) {
    return type.size() > 4 && type.compare(type.size() - 4, 4, "Relu") == 0;
  }
  void EnforceInPlace(at::IntArrayRef sizes);
  void EnforceFloatsFit(int64_t count);

  std::vector<const T*> codes_;
  std::vector<kernels::CodeScale> scales_;
};

template <typename T>
at::IntArrayRef ArithmeticOp<T>::SizesOf(int index) {
  if (this->IsCodes(index)) return this->Input(index).sizes;
  const caffe2::Tensor& x = FloatInput(this, index);
  if (!this->HasGivenParameters()) {
    const auto extremes = kernels::MinMax(x.data<float>(), x.numel());
    this->Enforce(extremes.left_out() == 0, "tensor '", this->Name(index),
                  "' has ", extremes.left_out(), " of ", x.numel(),
                  " values that are NaN or infinite, of which the output has "
                  "no range to choose parameters of, expected finite values, "
                  "or Y_scale and Y_zero_point");
  }
  return x.sizes();
}

template <typename T>
template <class Prepare, class Make>
void ArithmeticOp<T>::WriteOutput(const std::vector<int64_t>& sizes,
                                  const Prepare& prepare, const Make& make) {
  const int64_t count = c10::multiply_integers(sizes);
  EnforceInPlace(sizes);
  EnforceFloatsFit(count);
  if (this->HasFloats(this->InputSize())) {
    return this->WriteCodesOfReference(sizes);
  }
  this->RunReference(count == 0);
  const QuantizationParams& params = this->OutputParameters();
  // They are read before the output, which may be in the place of one.
  codes_.clear();
  scales_.clear();
  for (int i = 0; i < this->InputSize(); ++i) {
    const InputCodes<T>& x = this->Input(i);
    codes_.push_back(x.codes);
    scales_.push_back({x.scale(), x.zero_point()});
  }
  if (count > 0) prepare(params);
  this->WriteCodes(sizes, params, [&](T* y) {
    if (count == 0) return;
    const bool streams =
        kernels::StreamsOutput(count * sizeof(T)) &&
        std::find(codes_.begin(), codes_.end(), y) == codes_.end();
    WriteParts(count, kLeastPart, streams, make, y);
  });
}

// Each value of an input that is written over is read for that of its place.
template <typename T>
void ArithmeticOp<T>::EnforceInPlace(at::IntArrayRef sizes) {
  for (int i = 0; i < this->InputSize(); ++i) {
    if (!this->IsInputOutputAlias(i, 0)) continue;
    const auto of_input = SizesOf(i);
    this->Enforce(of_input == sizes, "the output, of sizes ", sizes,
                  ", is in place of tensor '", this->Name(i), "', of sizes ",
                  of_input, ", expected the same sizes, or another blob");
  }
}

// The host counts the values of these operators in 32 bits.
template <typename T>
void ArithmeticOp<T>::EnforceFloatsFit(int64_t count) {
  if (!this->NeedsReference() && !this->HasFloats(this->InputSize())) return;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  this->Enforce(count <= kMost, "the output has ", count,
                " values, for which the float operator cannot be run, expected "
                "at most ",
                kMost,
                "; or int8 tensors alone with Y_scale and Y_zero_point, "
                "without measure_quantization_error");
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_ARITHMETIC_OP_H_
