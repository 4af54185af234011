// ElementwiseLinear and Int8ElementwiseLinear under the engine ONEDNN: a linear
// function of each column.
//
//   X, a, b -> Y
//
//   X     Int8TensorCPU of uint8, or floats: dimensions before `axis` are N,
//         from it on D
//   a, b  [D] floats; they count anew in every run
//   Y     Int8TensorCPU of X's sizes, or with dequantize_output floats
//
//   Y = a * X + b
//
// Arguments: axis (1; negative counts from the end), and those of the output
// (arguments.h). Y is rounded once (kernels/scale_channels.h). Of an X of
// floats it is what the host's float operator gives, rounded.
//
// What differs from DNNLOWP: that quantizes a, by one scale, in the first run
// alone, and b in units of X's scale times a's: of an a of 0.004 beside one of
// 1000 it makes 0. Here both stay floats. Floats of X are not quantized first.
#include <cmath>

#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/normalization/channels.h"
#include "operators/registration.h"

namespace caffe2_quantization {
namespace {

constexpr int kX = 0, kA = 1, kB = 2, kInputs = 3;

class ElementwiseLinearOp final : public Int8Operator<uint8_t> {
 public:
  ElementwiseLinearOp(const caffe2::OperatorDef& definition,
                      caffe2::Workspace* workspace)
      : Int8Operator(definition, workspace,
                     ComputesCodes("ElementwiseLinear", kInputs)) {}

 protected:
  Status ReadArguments() override {
    if (InputSize() != kInputs || OutputSize() != 1) {
      return Refuse(InputSize(), " inputs and ", OutputSize(),
                    " outputs, expected 3 and 1");
    }
    return ReadIntArgument(debug_def(), "axis", &axis_);
  }

  void Compute() override {
    const at::IntArrayRef sizes = SizesOf(this, kX);
    const auto rank = static_cast<int64_t>(sizes.size());
    Enforce(axis_ >= -rank && axis_ < rank, "argument axis is ", axis_,
            ", expected ", -rank, " to ", rank - 1, " for tensor '", Name(kX),
            "' of sizes ", sizes);
    const int64_t columns =
        c10::multiply_integers(sizes.slice(axis_ < 0 ? axis_ + rank : axis_));
    const bool values_changed = ReadValues(columns);
    if (!IsCodes(kX)) return WriteCodesOfReference(sizes);
    const InputCodes<uint8_t>& x = Input(kX);
    const bool is_empty = x.count == 0;
    RunReference(is_empty);
    const QuantizationParams& y = OutputParameters();
    if (!is_empty) {
      scaler_.Prepare(values_changed, columns, /*inner=*/1, x.params, y,
                      CodeRangeOf(y), [&](double* alpha, double* beta) {
                        for (int64_t c = 0; c < columns; ++c) {
                          alpha[c] = double{values_[0][c]} * x.scale();
                          beta[c] = values_[1][c];
                        }
                        values_changed_ = false;
                      });
    }
    WriteCodes(x.sizes, y, [&](uint8_t* codes) {
      if (!is_empty) scaler_.Scale(x.codes, x.count, codes);
    });
  }

 private:
  // As in spatial_bn_op.cc.
  bool ReadValues(int64_t columns) {
    values_.clear();
    for (const int i : {kA, kB}) {
      const caffe2::Tensor& values = FloatInput(this, i);
      Enforce(values.dim() == 1 && values.numel() == columns, "tensor '",
              Name(i), "' has sizes ", values.sizes(), ", expected [", columns,
              "], the sizes of '", Name(kX), "' from axis ", axis_, " on");
      values_.push_back(values.data<float>());
    }
    if (watched_.Are(values_, columns)) return values_changed_;
    for (const int i : {kA, kB}) {
      for (int64_t c = 0; c < columns; ++c) {
        const float value = values_[i - kA][c];
        Enforce(std::isfinite(value), "tensor '", Name(i), "' has ", value,
                " at ", c, ", expected a finite number");
      }
    }
    watched_.Remember(values_, columns);
    return values_changed_ = true;
  }

  int64_t axis_ = 1;
  std::vector<const float*> values_;  // of this run
  WatchedFloats watched_;
  bool values_changed_ = true;  // since scaler_ was prepared
  ChannelScaler scaler_;
};

}  // namespace

void RegisterOnednnElementwiseLinear(const char* name,
                                     const EngineSuffixes& suffixes) {
  RegisterEngine<ElementwiseLinearOp>(name, suffixes);
  if (std::string(name) != "Int8ElementwiseLinear") return;
  // The host has the operator and no schema of it.
  RegisterNoGradient("Int8ElementwiseLinear");
  CAFFE2_QUANTIZATION_SCHEMA("Int8ElementwiseLinear")
      .NumInputs(3)
      .NumOutputs(1)
      .SetDoc("a * X + b for each column; engines DNNLOWP and ONEDNN.")
      .Arg("axis", "*(type: int; default: 1)* The first axis of columns.")
      .Input(0, "X", "Int8TensorCPU, or floats")
      .Input(1, "a", "floats, one a column")
      .Input(2, "b", "floats, one a column")
      .Output(0, "Y", "Int8TensorCPU of X's sizes")
      .IdenticalTypeAndShapeOfInput(0);
}

}  // namespace caffe2_quantization
