// Sigmoid, Int8Sigmoid, Tanh and Int8Tanh under the engine ONEDNN.
//
//   X -> Y, which may be the same blob
//
//   X   Int8TensorCPU of uint8, of any shape, or floats
//   Y   Int8TensorCPU of X's sizes, or with dequantize_output floats. Its
//       parameters are 1/254 and 0 of Sigmoid, 1/127 and 128 of Tanh, whatever
//       arguments say
//
// A code of Y is the rule of kernels/rounded_code.h for the function's value in
// double, of X's own scale and zero point: a table of 256 codes, which is made
// anew when these change.
//
// What differs from DNNLOWP: that takes no floats, and counts codes of X as if
// they stood for -6 to 6, and for Tanh -3 to 3, whatever X says; beyond these
// its results are 0 and 1, -1 and 1; dequantize_output has no effect there.
#include <cmath>
#include <string>

#include "operators/int8/elementwise/code_table.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/registration.h"
#include "quantization/kernels/byte_table.h"

namespace caffe2_quantization {
namespace {

double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double Tanh(double x) { return std::tanh(x); }

template <double (*kFunction)(double)>
class TableOp : public Int8Operator<uint8_t> {
 public:
  TableOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace,
          const char* float_type, float y_scale, int32_t y_zero_point)
      : Int8Operator(definition, workspace, KeepsParameters(float_type)),
        y_({8, false}, y_scale, y_zero_point) {}

 protected:
  Status ReadArguments() override {
    if (InputSize() == 1 && OutputSize() == 1) return Status::Ok();
    return Refuse(InputSize(), " inputs and ", OutputSize(),
                  " outputs, expected 1 and 1");
  }

  void Compute() override {
    if (!IsCodes(0)) return ComputeFloats();
    const InputCodes<uint8_t>& x = Input(0);
    if (x.scale() != scale_ || x.zero_point() != zero_point_) MakeTable(x);
    WriteCodes(x.sizes, y_, [&](uint8_t* y) {
      WriteTableCodes(x.codes, x.count, y,
                      [&](int64_t i, int64_t n, uint8_t* out) {
                        kernels::LookUpBytes(x.codes + i, n, table_, out);
                      });
    });
  }

 private:
  void MakeTable(const InputCodes<uint8_t>& x) {
    scale_ = x.scale();
    zero_point_ = x.zero_point();
    for (int code = 0; code < kTableCodes; ++code) {
      table_[code] = CodeOf(double{scale_} * (code - zero_point_));
    }
  }

  uint8_t CodeOf(double x) const {
    return static_cast<uint8_t>(
        kernels::RoundedCode(kFunction(x) / y_.scales[0], CodeRangeOf(y_)));
  }

  void ComputeFloats() {
    const caffe2::Tensor& x = FloatInput(this, 0);
    const std::vector<int64_t> sizes = x.sizes().vec();
    const auto* const values = x.data<float>();
    // The output may be in the place of X.
    codes_.resize(x.numel());
    constexpr int64_t kLeast = 1 << 11;
    ForEachPart(x.numel(), kLeast, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) codes_[i] = CodeOf(values[i]);
    });
    WriteCodes(sizes, y_,
               [&](uint8_t* y) { std::copy(codes_.begin(), codes_.end(), y); });
  }

  const QuantizationParams y_;
  // Of X's scale and zero point when it was made; 0 is the scale of none.
  float scale_ = 0;
  int32_t zero_point_ = 0;
  uint8_t table_[kTableCodes];
  std::vector<uint8_t> codes_;
};

class SigmoidOp final : public TableOp<Sigmoid> {
 public:
  SigmoidOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : TableOp(definition, workspace, "Sigmoid", 1.0f / 254, 0) {}
};

class TanhOp final : public TableOp<Tanh> {
 public:
  TanhOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : TableOp(definition, workspace, "Tanh", 1.0f / 127, 128) {}
};

}  // namespace

void RegisterOnednnSigmoid(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<SigmoidOp>(name, suffixes);
}

void RegisterOnednnTanh(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<TanhOp>(name, suffixes);
  if (std::string(name) != "Int8Tanh") return;
  // The host has the operator and no schema of it.
  RegisterNoGradient("Int8Tanh");
  CAFFE2_QUANTIZATION_SCHEMA("Int8Tanh")
      .NumInputs(1)
      .NumOutputs(1)
      .AllowInplace({{0, 0}})
      .SetDoc("tanh(X); engines DNNLOWP and ONEDNN.")
      .Input(0, "X", "Int8TensorCPU, or floats")
      .Output(0, "Y", "Int8TensorCPU of X's sizes, scale 1/127")
      .IdenticalTypeAndShapeOfInput(0);
}

}  // namespace caffe2_quantization
