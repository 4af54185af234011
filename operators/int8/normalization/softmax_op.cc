// Int8Softmax under the engine ONEDNN.
//
//   X -> Y
//
//   X   Int8TensorCPU of uint8, or floats, of one dimension or more
//   Y   Int8TensorCPU of X's sizes, or with dequantize_output floats. Its scale
//       and zero point are 1/256 and 0, as of the host's default engine (with
//       an activation_precision of p, 2^-p), unless Y_scale gives others. Not X
//
// The argument axis (default 1) is that of the host's float Softmax: the
// dimensions from it on are one row, which adds up to 1; a negative one counts
// from the end.
//
// A code of Y is the rule of kernels/rounded_code.h for exp(x) / sum of exp(x),
// in double. It depends on differences of codes alone, so that a table holds
// exp(-scale * d) of all 256, which is made anew when X's scale changes. Sums
// are in an order that depends on a row's length alone: the codes are the same
// on every instruction set and number of threads.
//
// The host's, of QNNPACK, ends the process unless Y_scale and Y_zero_point are
// 1/256 and 0, takes no notice of axis, and approximates.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/return_if_error.h"
#include "operators/int8/elementwise/code_table.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "quantization/kernels/byte_table.h"
#include "quantization/kernels/min_max.h"

namespace caffe2_quantization {
namespace {

// From this length on the codes of a row are counted.
constexpr int64_t kLongRow = 256;

// terms[0] + terms[1] + ...: four sums, so that no addition waits for the one
// before it.
template <typename Term>
double Sum(int64_t count, const Term& term) {
  double sums[4] = {};
  for (int64_t i = 0; i < count; ++i) sums[i % 4] += term(i);
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

class SoftmaxOp final : public Int8Operator<uint8_t> {
 public:
  SoftmaxOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      : Int8Operator(definition, workspace, ComputesCodes("Softmax", 1)) {}

 protected:
  Status ReadArguments() override {
    if (InputSize() != 1 || OutputSize() != 1) {
      return Refuse(InputSize(), " inputs and ", OutputSize(),
                    " outputs, expected 1 and 1");
    }
    default_.type = arguments().activations.type;
    default_.scales[0] = std::ldexp(1.0f, -default_.type.precision);
    return ReadIntArgument(debug_def(), "axis", &axis_);
  }

  bool NeedsReference() const override {
    return arguments().measure_quantization_error;
  }

  void Compute() override {
    if (!IsCodes(0)) return ComputeFloats();
    const InputCodes<uint8_t>& x = Input(0);
    const int64_t row = RowLength(x.sizes);
    if (x.scale() != scale_) MakeTable(x.scale());
    Write(x.sizes, row,
          [&](int64_t begin, double y_scale, const kernels::CodeRange& range,
              uint8_t* y) {
            if (row < kLongRow) {
              ShortRow(x.codes + begin, row, y_scale, range, y);
            } else {
              LongRow(x.codes + begin, row, y_scale, range, y);
            }
          });
  }

 private:
  // The number of values from the axis on. Enforces that X has the axis.
  int64_t RowLength(at::IntArrayRef sizes) const {
    const auto rank = static_cast<int64_t>(sizes.size());
    Enforce(axis_ < rank && axis_ >= -rank, "argument axis is ", axis_,
            ", and tensor '", Name(0), "' has sizes ", sizes,
            ", expected one of its dimensions");
    int64_t length = 1;
    for (int64_t i = axis_ < 0 ? axis_ + rank : axis_; i < rank; ++i) {
      length *= sizes[i];
    }
    return length;
  }

  // Writes Y: compute(begin, y_scale, range, y) makes the row that begins
  // there.
  template <typename Row>
  void Write(at::IntArrayRef sizes, int64_t row, const Row& compute) {
    const QuantizationParams& y =
        HasGivenParameters() ? OutputParameters() : default_;
    const kernels::CodeRange range = CodeRangeOf(y);
    const int64_t count = c10::multiply_integers(sizes);
    WriteCodes(sizes, y, [&](uint8_t* codes) {
      if (count == 0) return;
      constexpr int64_t kLeast = 1 << 13;
      ForEachItem(count / row, row, kLeast, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          compute(i * row, double{y.scales[0]}, range, codes + i * row);
        }
      });
    });
  }

  void MakeTable(float scale) {
    scale_ = scale;
    for (int d = 0; d < kTableCodes; ++d) {
      table_[d] = std::exp(-double{scale} * d);
    }
  }

  void ShortRow(const uint8_t* x, int64_t count, double y_scale,
                const kernels::CodeRange& range, uint8_t* y) const {
    const double* const terms = table_ + *std::max_element(x, x + count);
    const double sum = Sum(count, [&](int64_t i) { return *(terms - x[i]); });
    const double factor = 1 / (sum * y_scale);
    for (int64_t i = 0; i < count; ++i) {
      y[i] = static_cast<uint8_t>(
          kernels::RoundedCode(*(terms - x[i]) * factor, range));
    }
  }

  // Counts codes, and looks those of the output up.
  void LongRow(const uint8_t* x, int64_t count, double y_scale,
               const kernels::CodeRange& range, uint8_t* y) const {
    int64_t counts[4][kTableCodes] = {};
    for (int64_t i = 0; i < count; ++i) ++counts[i % 4][x[i]];
    int largest = -1;
    double sum = 0;
    for (int code = kTableCodes - 1; code >= 0; --code) {
      counts[0][code] += counts[1][code] + counts[2][code] + counts[3][code];
      if (counts[0][code] == 0) continue;
      largest = std::max(largest, code);
      sum += static_cast<double>(counts[0][code]) * table_[largest - code];
    }
    const double factor = 1 / (sum * y_scale);
    uint8_t codes[kTableCodes] = {};
    for (int code = 0; code <= largest; ++code) {
      if (counts[0][code] == 0) continue;
      codes[code] = static_cast<uint8_t>(
          kernels::RoundedCode(table_[largest - code] * factor, range));
    }
    kernels::LookUpBytes(x, count, codes, y);
  }

  void ComputeFloats() {
    const caffe2::Tensor& x = FloatInput(this, 0);
    const auto* const values = x.data<float>();
    const int64_t row = RowLength(x.sizes());
    const auto extremes = kernels::MinMax(values, x.numel());
    Enforce(extremes.left_out() == 0, "tensor '", Name(0), "' has ",
            extremes.left_out(), " of ", x.numel(),
            " values that are NaN or infinite, expected finite values");
    Write(x.sizes(), row,
          [&](int64_t begin, double y_scale, const kernels::CodeRange& range,
              uint8_t* y) {
            const float* const in = values + begin;
            const double largest = *std::max_element(in, in + row);
            std::vector<double> terms(row);
            for (int64_t i = 0; i < row; ++i)
              terms[i] = std::exp(in[i] - largest);
            const double sum = Sum(row, [&](int64_t i) { return terms[i]; });
            const double factor = 1 / (sum * y_scale);
            for (int64_t i = 0; i < row; ++i) {
              y[i] = static_cast<uint8_t>(
                  kernels::RoundedCode(terms[i] * factor, range));
            }
          });
  }

  int64_t axis_ = 1;
  QuantizationParams default_{{8, false}, 1, 0};
  // Of X's scale when it was made; 0 is the scale of none.
  float scale_ = 0;
  double table_[kTableCodes];  // exp(-scale_ * d)
};

}  // namespace

void RegisterOnednnSoftmax(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<SoftmaxOp>(name, suffixes);
}

}  // namespace caffe2_quantization
