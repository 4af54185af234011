// Int8LeakyRelu and Int8PRelu under the engine ONEDNN: values below 0 are
// multiplied by a slope, of the argument alpha or of an input.
//
//   X -> Y                Int8LeakyRelu
//   X, slope -> Y         Int8PRelu
//
//   X       Int8TensorCPU of uint8, or floats; of Int8LeakyRelu of any shape,
//           of Int8PRelu [N, C, ...], or [N, ..., C] with the order NHWC
//   slope   float tensor: one value, or one for each channel; it counts anew in
//           every run
//   Y       Int8TensorCPU of X's sizes, or with dequantize_output floats; may
//           be X
//
// Arguments beside those of arguments.h: alpha (0.01) of Int8LeakyRelu, order
// (NCHW) of Int8PRelu. Slopes are finite.
//
// Parameters of Y come from the arguments; else they are chosen in every run,
// from the range of the host's float operator's output.
//
// A code is the rule of kernels/rounded_code.h for slope * (X's value), or X's
// value, in double: a table of 256 codes for each slope. Floats are left to the
// float operator.
//
// The host's default Int8LeakyRelu, QNNPACK's, gives the same codes but for a
// few next to ties, and takes no alpha of 0 or less or above 1, and without
// given parameters has the scale 1 and the zero point 0.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "netdef/read_argument.h"
#include "operators/int8/elementwise/code_table.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/normalization/channels.h"
#include "operators/registration.h"
#include "quantization/kernels/byte_table.h"

namespace caffe2_quantization {
namespace {

// Computes by tables_, one for each of slopes_.
class SlopeOp : public Int8Operator<uint8_t> {
 protected:
  SlopeOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace,
          const char* float_type, int inputs)
      : Int8Operator(definition, workspace, ComputesCodes(float_type, inputs)) {
  }

  // Sets slopes_, and, if there are several, inner_.
  virtual void ReadSlopes(at::IntArrayRef sizes) = 0;

  Status CheckCounts(int inputs) const {
    if (InputSize() == inputs && OutputSize() == 1) return Status::Ok();
    return Refuse(InputSize(), " inputs and ", OutputSize(),
                  " outputs, expected ", inputs, " and 1");
  }

  void Compute() override {
    const at::IntArrayRef sizes = SizesOf(this, 0);
    ReadSlopes(sizes);
    if (!IsCodes(0)) return WriteCodesOfReference(sizes);
    const InputCodes<uint8_t>& x = Input(0);
    RunReference(x.count == 0);
    const QuantizationParams& y = OutputParameters();
    if (x.count > 0) MakeTables(x, y);
    WriteCodes(x.sizes, y, [&](uint8_t* codes) {
      WriteTableCodes(x.codes, x.count, codes,
                      [&](int64_t i, int64_t n, uint8_t* out) {
                        LookUp(x.codes + i, i, n, out);
                      });
    });
  }

  std::vector<float> slopes_;
  int64_t inner_ = 1;  // values of one channel that follow each other

 private:
  void MakeTables(const InputCodes<uint8_t>& x, const QuantizationParams& y) {
    const kernels::CodeRange range = CodeRangeOf(y);
    const TableKey key = TableKeyOf(x.params, y, range);
    const bool all = !(key == key_) || slopes_.size() != made_of_.size();
    key_ = key;
    made_of_.resize(slopes_.size());
    tables_.resize(slopes_.size() * kTableCodes);
    for (std::size_t c = 0; c < slopes_.size(); ++c) {
      const float slope = slopes_[c];
      if (!all && slope == made_of_[c]) continue;
      made_of_[c] = slope;
      for (int code = 0; code < kTableCodes; ++code) {
        const int32_t step = code - x.zero_point();
        const double unit =
            step < 0 ? double{x.scale()} * slope : double{x.scale()};
        tables_[c * kTableCodes + code] = static_cast<uint8_t>(
            kernels::RoundedCode(unit * step / double{y.scales[0]}, range));
      }
    }
  }

  // Makes n codes of x, which begins at value `begin` of the tensor.
  void LookUp(const uint8_t* x, int64_t begin, int64_t n, uint8_t* y) const {
    const auto channels = static_cast<int64_t>(slopes_.size());
    const uint8_t* const tables = tables_.data();
    if (channels == 1) return kernels::LookUpBytes(x, n, tables, y);
    int64_t c = begin / inner_ % channels;
    if (inner_ == 1) {
      for (int64_t i = 0; i < n;) {
        const int64_t end = std::min(n, i + channels - c);
        const uint8_t* table = tables + c * kTableCodes;
        for (; i < end; ++i, table += kTableCodes) y[i] = table[x[i]];
        c = 0;
      }
      return;
    }
    int64_t left = inner_ - begin % inner_;  // of this channel
    for (int64_t i = 0; i < n;) {
      const int64_t count = std::min(left, n - i);
      kernels::LookUpBytes(x + i, count, tables + c * kTableCodes, y + i);
      i += count;
      left = inner_;
      if (++c == channels) c = 0;
    }
  }

  TableKey key_;
  std::vector<float> made_of_;  // the slopes of tables_
  std::vector<uint8_t> tables_;
};

class LeakyReluOp final : public SlopeOp {
 public:
  LeakyReluOp(const caffe2::OperatorDef& definition,
              caffe2::Workspace* workspace)
      : SlopeOp(definition, workspace, "LeakyRelu", 1) {}

 protected:
  Status ReadArguments() override {
    RETURN_IF_ERROR(CheckCounts(1));
    float alpha = 0.01f;
    RETURN_IF_ERROR(ReadArgument(caffe2::ArgumentHelper(debug_def()), "alpha",
                                 "a float", &alpha));
    if (!std::isfinite(alpha)) {
      return Refuse("argument alpha is ", alpha, ", expected a finite number");
    }
    slopes_ = {alpha};
    return Status::Ok();
  }
  void ReadSlopes(at::IntArrayRef sizes) override {}
};

class PReluOp final : public SlopeOp {
 public:
  PReluOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : SlopeOp(definition, workspace, "PRelu", 2) {}

 protected:
  Status ReadArguments() override {
    RETURN_IF_ERROR(CheckCounts(2));
    return ReadOrderArgument(debug_def(), &channels_first_);
  }

  void ReadSlopes(at::IntArrayRef sizes) override {
    const ChannelShape shape = ShapeOf(this, 0, sizes, channels_first_);
    const caffe2::Tensor& slope = FloatInput(this, 1);
    const int64_t count = slope.numel();
    Enforce(count == 1 || count == shape.channels, "tensor '", Name(1),
            "' has sizes ", slope.sizes(), ", expected one value, or ",
            shape.channels, ", one for each channel of '", Name(0), "'");
    const auto* const values = slope.data<float>();
    for (int64_t i = 0; i < count; ++i) {
      Enforce(std::isfinite(values[i]), "tensor '", Name(1), "' has ",
              values[i], " at ", i, ", expected a finite number");
    }
    slopes_.assign(values, values + count);
    inner_ = shape.inner();
  }

 private:
  bool channels_first_ = true;
};

}  // namespace

void RegisterOnednnLeakyRelu(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<LeakyReluOp>(name, suffixes);
}

void RegisterOnednnPRelu(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<PReluOp>(name, suffixes);
  // The host has neither the operator nor a schema of it.
  RegisterNoGradient("Int8PRelu");
  CAFFE2_QUANTIZATION_SCHEMA("Int8PRelu")
      .NumInputs(2)
      .NumOutputs(1)
      .AllowInplace({{0, 0}})
      .SetDoc("X, or slope * X where X is below 0; engine ONEDNN.")
      .Arg("order", "NCHW, the default, or NHWC: where the channels are")
      .Arg("Y_scale", "scale of the output")
      .Arg("Y_zero_point", "zero point of the output")
      .Arg("dequantize_output", "1: the output is a float tensor")
      .Input(0, "X", "Int8TensorCPU, or floats")
      .Input(1, "slope", "floats: one, or one for each channel")
      .Output(0, "Y", "Int8TensorCPU of X's sizes")
      .IdenticalTypeAndShapeOfInput(0);
}

}  // namespace caffe2_quantization
