// SpatialBN, Int8SpatialBN and Int8SpatialBNRelu under the engine ONEDNN: a
// batch normalization by given statistics, a linear function of each channel.
//
//   X, scale, bias, mean, variance -> Y
//
//   X       Int8TensorCPU of uint8, or floats: [N, C, ...], with the order NHWC
//           [N, ..., C]; of two dimensions or more, N may be 0
//   others  C floats each; they count anew in every run
//   Y       Int8TensorCPU of X's sizes, or with dequantize_output floats; of
//           SpatialBN it may be X
//
//   Y = scale * (X - mean) / sqrt(variance + epsilon) + bias, with Relu in the
//   name at least 0
//
// Arguments: is_test, which must be 1; epsilon (1e-5), order (NCHW), and those
// of the output (arguments.h). Y is rounded once (kernels/scale_channels.h). Of
// an X of floats it is what the host's float operator gives, rounded.
//
// What differs from DNNLOWP: X may have two dimensions; an empty Y has the
// parameters that it is given; floats are not quantized before they are scaled,
// and X may then be in Y's place, which there ends the process; values that are
// not finite, and variances that have no root, are refused.
#include <cmath>

#include "base/return_if_error.h"
#include "netdef/read_argument.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/normalization/channels.h"

namespace caffe2_quantization {
namespace {

constexpr int kX = 0, kScale = 1, kBias = 2, kMean = 3, kVariance = 4;
constexpr int kInputs = 5;

class SpatialBNOp final : public Int8Operator<uint8_t> {
 public:
  SpatialBNOp(const caffe2::OperatorDef& definition,
              caffe2::Workspace* workspace)
      : Int8Operator(definition, workspace,
                     ComputesCodes("SpatialBN", kInputs,
                                   definition.type() == "Int8SpatialBNRelu")) {}

 protected:
  Status ReadArguments() override {
    const caffe2::ArgumentHelper arguments(debug_def());
    bool is_test = false;
    float momentum = 0.9f;
    RETURN_IF_ERROR(
        FirstError({ReadBoolArgument(debug_def(), "is_test", &is_test),
                    ReadArgument(arguments, "epsilon", "a float", &epsilon_),
                    ReadArgument(arguments, "momentum", "a float", &momentum),
                    ReadOrderArgument(debug_def(), &channels_first_)}));
    if (!is_test) {
      return Refuse("argument is_test is 0, expected 1: it does not train");
    }
    if (!(epsilon_ > 0 && std::isfinite(epsilon_))) {
      return Refuse("argument epsilon is ", epsilon_,
                    ", expected a finite number above 0");
    }
    if (!(momentum >= 0 && momentum <= 1)) {
      return Refuse("argument momentum is ", momentum, ", expected 0 to 1");
    }
    if (InputSize() != kInputs || OutputSize() != 1) {
      return Refuse(InputSize(), " inputs and ", OutputSize(),
                    " outputs, expected 5 and 1");
    }
    return Status::Ok();
  }

  void Compute() override {
    const at::IntArrayRef sizes = SizesOf(this, kX);
    const ChannelShape shape = ShapeOf(this, kX, sizes, channels_first_);
    Enforce(shape.channels > 0, "tensor '", Name(kX), "' has sizes ", sizes,
            ", expected a channel or more");
    const bool values_changed = ReadValues(shape.channels);
    if (!IsCodes(kX)) return WriteCodesOfReference(sizes);
    const InputCodes<uint8_t>& x = Input(kX);
    const bool is_empty = x.count == 0;
    RunReference(is_empty);
    const QuantizationParams& y = OutputParameters();
    if (!is_empty) {
      scaler_.Prepare(values_changed, shape.channels, shape.inner(), x.params,
                      y, CodeRangeOf(y), [&](double* alpha, double* beta) {
                        Fuse(shape.channels, x.scale(), alpha, beta);
                      });
    }
    WriteCodes(x.sizes, y, [&](uint8_t* codes) {
      if (!is_empty) scaler_.Scale(x.codes, x.count, codes);
    });
  }

 private:
  // Sets values_ to the inputs' of a channel, which it checks if they are not
  // those of the run before; returns whether that is so.
  bool ReadValues(int64_t channels) {
    values_.clear();
    for (int i = kScale; i < kInputs; ++i) {
      values_.push_back(ChannelValues(this, i, channels));
    }
    if (watched_.Are(values_, channels)) return values_changed_;
    for (int64_t c = 0; c < channels; ++c) {
      for (int i = kScale; i < kInputs; ++i) {
        const float value = values_[i - kScale][c];
        const bool is_right =
            std::isfinite(value) && (i != kVariance || value + epsilon_ > 0);
        Enforce(is_right, "tensor '", Name(i), "' has ", value, " for channel ",
                c, ", expected a finite number",
                i == kVariance ? ", above 0 with epsilon" : "");
      }
    }
    watched_.Remember(values_, channels);
    return values_changed_ = true;
  }

  void Fuse(int64_t channels, float x_scale, double* alpha, double* beta) {
    const auto value = [&](int input, int64_t c) {
      return double{values_[input - kScale][c]};
    };
    for (int64_t c = 0; c < channels; ++c) {
      const double multiplier =
          value(kScale, c) / std::sqrt(value(kVariance, c) + double{epsilon_});
      alpha[c] = multiplier * x_scale;
      beta[c] = value(kBias, c) - multiplier * value(kMean, c);
    }
    values_changed_ = false;
  }

  float epsilon_ = 1e-5f;
  bool channels_first_ = true;
  std::vector<const float*> values_;  // of this run
  WatchedFloats watched_;
  bool values_changed_ = true;  // since scaler_ was prepared
  ChannelScaler scaler_;
};

}  // namespace

void RegisterOnednnSpatialBN(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<SpatialBNOp>(name, suffixes);
}

}  // namespace caffe2_quantization
