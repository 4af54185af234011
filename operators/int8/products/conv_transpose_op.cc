// Transposed convolutions under the engine ONEDNN: codes to codes, by exact
// sums that become codes as those of Conv do (stage.h).
//
//   X, filter [, bias] -> Y          ConvTranspose, Int8ConvTranspose
//
//   X        Int8TensorCPU of uint8, or uint16 (engines ending in _16); or
//            floats, which become codes by their smallest and largest value.
//            [N, C, H, W] or, with the order NHWC, [N, H, W, C]; N may be 0
//   filter   floats, or an Int8TensorCPU of codes: [C, M / group, kernel...] or
//            [C, kernel..., M / group]
//   bias     M floats, or an Int8TensorCPU of int32 with the scale of X times
//            the filter's
//   Y        Int8TensorCPU with its scale and zero point: [N, M, ...] or [N,
//            ..., M]
//
// Arguments: conv_transpose_geometry.h, arguments.h; quantize_groupwise,
// quantize_channelwise, constant_weight and dequantize_output as of Conv
// (conv_op.cc). Without Y_scale the host's float ConvTranspose runs first, in
// every run, and its output's range gives the parameters.
//
// How: outputs that the stride puts on the same taps are a phase, which is a
// convolution of stride 1 (quantization/onednn/convolution.h). So no product
// with a zero between inputs is made, and sums are never spread over the
// output. With channels first, X is transposed before and Y after.
//
// If a run is refused, Y is unchanged.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/parts.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/products/conv_transpose_geometry.h"
#include "operators/int8/products/conv_transpose_weights.h"
#include "operators/int8/products/stage.h"
#include "operators/int8/products/weight_watch.h"
#include "operators/int8/products/wide_convolution.h"
#include "operators/registration.h"
#include "quantization/kernels/transpose.h"

namespace caffe2_quantization {
namespace {

constexpr int kInput = 0, kFilter = 1, kBias = 2;

// Bytes that one thread moves in the time that waking another one takes.
constexpr int64_t kLeastMoved = 1 << 16;

// Transposes images: [rows, columns] to [columns, rows].
template <typename T>
void TransposeImages(const T* x, int64_t images, int64_t rows, int64_t columns,
                     T* y) {
  constexpr int64_t kStrip = 256;
  const int64_t strips = (columns + kStrip - 1) / kStrip;
  ForEachItem(images * strips, rows * std::min(columns, kStrip),
              kLeastMoved / sizeof(T), [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  const int64_t image = i / strips * rows * columns;
                  const int64_t first = i % strips * kStrip;
                  kernels::Transpose(x + image + first, rows,
                                     std::min(kStrip, columns - first), columns,
                                     y + image + first * rows, rows);
                }
              });
}

template <typename T>
class ConvTransposeOp final : public Int8Operator<T> {
 public:
  ConvTransposeOp(const caffe2::OperatorDef& definition,
                  caffe2::Workspace* workspace)
      : Int8Operator<T>(definition, workspace,
                        {"ConvTranspose", /*float_inputs=*/3, kNoParams}) {
    EnforceOk(*this, ConvTransposeGeometry::Read(definition, &geometry_));
    EnforceOk(*this, ReadConvGranularity(definition, &options_.granularity));
    const int inputs = this->InputSize();
    this->Enforce(inputs == 2 || inputs == 3, inputs,
                  " inputs, expected 2 or 3");
  }

 protected:
  Status ReadArguments() override {
    return ReadConvArguments(this->debug_def(), this->arguments(), &options_);
  }

  void Compute() override {
    const InputCodes<T>& x = this->Input(kInput);
    UpdateWeights(x.sizes);
    UpdateBias(x.scale());
    this->RunReference(/*is_empty=*/false);
    const QuantizationParams& y = this->OutputParameters();
    SetStages(x, y);
    T* const codes = this->OutputCodes(shape_.OutputSizes(), y);
    if (shape_.batch > 0) Write(x, codes);
  }

  void SetReferenceInput(int index, FloatReference* reference) override {
    if (index != kBias || HasBias()) {
      return Int8Operator<T>::SetReferenceInput(index, reference);
    }
    no_bias_.Resize(shape_.out_channels);
    std::fill_n(no_bias_.template mutable_data<float>(), shape_.out_channels,
                0.0f);
    reference->SetInput(kBias, no_bias_);
  }

 private:
  using Weights = ConvTransposeWeights<std::make_signed_t<T>>;

  bool HasBias() const { return this->InputSize() == 3; }

  // Reads filter and bias, if they must be, and sets shape_.
  void UpdateWeights(at::IntArrayRef x) {
    const auto read = [&] {
      bias_is_made_ = false;
      stages_.clear();
      const WeightValues filter =
          WeightInput(this, kFilter, " or an Int8TensorCPU");
      UpdateShape(x, filter.tensor().sizes());
      EnforceOk(*this,
                MakeConvTransposeWeights(filter, shape_, options_, &weights_),
                "filter '", this->Name(kFilter), "': ");
      if (HasBias()) {
        given_bias_ =
            ReadBias(this, kBias, shape_.out_channels, BiasOwner::kConv);
      }
    };
    const bool always = !options_.share || this->NeedsReference();
    const caffe2::Blob* const filter = &this->InputBlob(kFilter);
    if (HasBias()) {
      watch_.Update({filter, &this->InputBlob(kBias)}, always, read);
    } else {
      watch_.Update({filter}, always, read);
    }
    UpdateShape(x, filter_sizes_);
  }

  void UpdateShape(at::IntArrayRef x, at::IntArrayRef filter) {
    if (x == x_sizes_ && filter == filter_sizes_) return;
    EnforceOk(*this,
              geometry_.ShapeFor({this->Name(kInput), x.vec()},
                                 {this->Name(kFilter), filter.vec()}, &shape_));
    x_sizes_ = x.vec();
    filter_sizes_ = filter.vec();
  }

  void UpdateBias(float x_scale) {
    if (bias_is_made_ && x_scale == x_scale_) return;
    bias_is_made_ = false;
    x_scale_ = x_scale;
    stages_.clear();
    if (HasBias()) {
      bias_ = BiasInUnits(*this, kBias, given_bias_, x_scale, weights_->scales,
                          /*check_unit=*/shape_.batch > 0, BiasOwner::kConv);
    } else {
      bias_.codes.assign(shape_.out_channels, 0);
      bias_.large.clear();
    }
    // Without images the bias was not looked at closely.
    bias_is_made_ = shape_.batch > 0;
  }

  // Sets what turns the sums of each phase into codes.
  void SetStages(const InputCodes<T>& x, const QuantizationParams& y) {
    stages_.resize(weights_->phases.size());
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      if (stages_[i].IsOf(x.scale(), x.zero_point(), &y)) continue;
      EnforceOk(*this, stages_[i].SetCodes(
                           ProductStage::Of(weights_->phases[i]), x.scale(),
                           x.zero_point(), &bias_, y, /*relu=*/false));
    }
  }

  void Write(const InputCodes<T>& x, T* y) {
    const int64_t pixels = shape_.input[0] * shape_.input[1];
    const int64_t outputs = shape_.output[0] * shape_.output[1];
    const T* in = x.codes;
    T* out = y;
    if (shape_.channels_first) {
      in_.resize(shape_.batch * shape_.in_channels * pixels);
      out_.resize(shape_.batch * shape_.out_channels * outputs);
      TransposeImages(x.codes, shape_.batch, shape_.in_channels, pixels,
                      in_.data());
      in = in_.data();
      out = out_.data();
    }
    const std::vector<ConvTransposePhase> phases = shape_.Phases();
    for (std::size_t i = 0; i < phases.size(); ++i) {
      WritePhase(phases[i], i, in, x.zero_point(), out);
    }
    if (shape_.channels_first) {
      TransposeImages(out_.data(), shape_.batch, outputs, shape_.out_channels,
                      y);
    }
  }

  // Writes the outputs of a phase to y, which is NHWC as x.
  void WritePhase(const ConvTransposePhase& phase, std::size_t index,
                  const T* x, int32_t x_zero_point, T* y) {
    onednn::ConvolutionShape convolution;
    const auto outputs = shape_.ConvolutionOf(phase, &convolution);
    if (outputs.count[0] == 0 || outputs.count[1] == 0) return;
    const int64_t height = convolution.Output(0), width = convolution.Output(1);
    const Place2D all = {height, width};
    const bool is_whole = outputs.count == all && all == shape_.output;
    if (!is_whole) {
      phase_.resize(shape_.batch * height * width * shape_.out_channels);
    }
    T* const made = is_whole ? y : phase_.data();
    const auto& weights = weights_->phases[index];
    if constexpr (sizeof(T) == 1) {
      EnforceOk(*this,
                onednn::Convolve(*weights.packed, convolution, x, x_zero_point,
                                 stages_[index].kernel_stage(), made));
    } else {
      ConvolveWide(stages_[index], convolution, weights.quantized.codes.data(),
                   x, x_zero_point, made);
    }
    if (!is_whole) Spread(made, height, width, outputs, y);
  }

  // Moves the outputs of a phase to where they belong.
  void Spread(const T* from, int64_t height, int64_t width,
              const ConvTransposeShape::Outputs& outputs, T* y) const {
    const int64_t channels = shape_.out_channels;
    const int64_t rows = outputs.count[0], columns = outputs.count[1];
    const int64_t step = shape_.stride[1] * channels;
    ForEachItem(
        shape_.batch * rows, columns * channels, kLeastMoved / sizeof(T),
        [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const int64_t image = i / rows, row = i % rows;
            const T* const src =
                from + ((image * height + outputs.skipped[0] + row) * width +
                        outputs.skipped[1]) *
                           channels;
            const int64_t y_row = outputs.first[0] + row * shape_.stride[0];
            T* const dst =
                y + ((image * shape_.output[0] + y_row) * shape_.output[1] +
                     outputs.first[1]) *
                        channels;
            if (step == channels) {
              std::copy_n(src, columns * channels, dst);
              continue;
            }
            for (int64_t column = 0; column < columns; ++column) {
              std::copy_n(src + column * channels, channels,
                          dst + column * step);
            }
          }
        });
  }

  ConvTransposeGeometry geometry_;
  ConvWeightsOptions options_;

  // The sizes of input and filter that shape_ is of.
  std::vector<int64_t> x_sizes_, filter_sizes_;
  ConvTransposeShape shape_;
  WeightWatch watch_;
  std::shared_ptr<const Weights> weights_;
  Bias given_bias_;

  // The bias in the units of the products, for an input of this scale.
  bool bias_is_made_ = false;
  float x_scale_ = 1;
  onednn::ProductBias bias_;
  std::vector<ProductStage> stages_;  // of the phases
  // Images with their channels last, and the outputs of a phase.
  std::vector<T> in_, out_, phase_;
  caffe2::Tensor no_bias_{caffe2::CPU};  // of a run beside the float operator
};

// The output's shape; the host's schema infers none.
std::vector<caffe2::TensorShape> InferShape(
    const caffe2::OperatorDef& definition,
    const std::vector<caffe2::TensorShape>& in) {
  std::vector<caffe2::TensorShape> out(1);
  out[0].set_data_type(in[0].data_type());
  const auto sizes = [](const caffe2::TensorShape& shape) {
    return std::vector<int64_t>(shape.dims().begin(), shape.dims().end());
  };
  ConvTransposeGeometry geometry;
  ConvTransposeShape shape;
  const bool is_known =
      in.size() > 1 && !in[0].unknown_shape() && !in[1].unknown_shape() &&
      ConvTransposeGeometry::Read(definition, &geometry).ok() &&
      geometry.ShapeFor({"X", sizes(in[0])}, {"filter", sizes(in[1])}, &shape)
          .ok();
  if (!is_known) {
    out[0].set_unknown_shape(true);
    return out;
  }
  for (const int64_t size : shape.OutputSizes()) out[0].add_dims(size);
  return out;
}

}  // namespace

void RegisterOnednnConvTranspose(const char* name,
                                 const EngineSuffixes& suffixes) {
  RegisterEngine<ConvTransposeOp>(name, suffixes);
  ReplaceInference(name, InferShape);
}

}  // namespace caffe2_quantization
