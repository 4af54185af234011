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
// in double (kernels/softmax_codes.h). A row's codes do not depend on the other
// rows, nor on the number of threads.
//
// The host's, of QNNPACK, ends the process unless Y_scale and Y_zero_point are
// 1/256 and 0, takes no notice of axis, and approximates.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "quantization/kernels/min_max.h"
#include "quantization/kernels/rounded_code.h"
#include "quantization/kernels/softmax_codes.h"

namespace caffe2_quantization {
namespace {

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
    if (x.scale() != scale_) {
      kernels::MakeSoftmaxTerms(x.scale(), terms_);
      scale_ = x.scale();
    }
    Write(x.sizes, row,
          [&](int64_t begin, float y_scale, const kernels::CodeRange& range,
              uint8_t* y) {
            kernels::SoftmaxCodes(x.codes + begin, row, terms_, y_scale, range,
                                  y);
          });
  }

 private:
  // The number of values from the axis on. Enforces that X has the axis, and
  // that a row is none that the kernel cannot count.
  int64_t RowLength(at::IntArrayRef sizes) const {
    const auto rank = static_cast<int64_t>(sizes.size());
    Enforce(axis_ < rank && axis_ >= -rank, "argument axis is ", axis_,
            ", and tensor '", Name(0), "' has sizes ", sizes,
            ", expected one of its dimensions");
    int64_t length = 1;
    for (int64_t i = axis_ < 0 ? axis_ + rank : axis_; i < rank; ++i) {
      length *= sizes[i];
    }
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
    Enforce(length <= kMost, "tensor '", Name(0), "' has sizes ", sizes,
            ", expected at most ", kMost, " values from axis ", axis_, " on");
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
          compute(i * row, y.scales[0], range, codes + i * row);
        }
      });
    });
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
          [&](int64_t begin, float y_scale, const kernels::CodeRange& range,
              uint8_t* y) {
            const float* const in = values + begin;
            const double largest = *std::max_element(in, in + row);
            std::vector<double> terms(row);
            for (int64_t i = 0; i < row; ++i) {
              terms[i] = std::exp(in[i] - largest);
            }
            const double sum = std::accumulate(terms.begin(), terms.end(), 0.0);
            const double factor = 1 / (double{y_scale} * sum);
            for (int64_t i = 0; i < row; ++i) {
              y[i] = static_cast<uint8_t>(
                  kernels::RoundedCode(terms[i] * factor, range));
            }
          });
  }

  int64_t axis_ = 1;
  QuantizationParams default_{{8, false}, 1, 0};
  // Of X's scale when they were made; 0 is the scale of none.
  float scale_ = 0;
  double terms_[kernels::kSoftmaxTerms];
};

}  // namespace

void RegisterOnednnSoftmax(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<SoftmaxOp>(name, suffixes);
}

}  // namespace caffe2_quantization
