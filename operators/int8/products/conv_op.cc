// Convolutions under the engine ONEDNN: codes to codes, by exact sums that
// become codes as DNNLOWP's do (quantization/onednn/convolution.h and stage.h
// have the equations; engines ending in _16: wide_convolution.h).
//
//   X, filter [, bias] -> Y          Conv, Int8Conv; ConvRelu, Int8ConvRelu
//   X, filter [, bias], S -> Y       Int8ConvSum; Int8ConvSumRelu
//
//   X        Int8TensorCPU of uint8, or uint16 (engines ending in _16); or
//            floats, which become codes by their smallest and largest value.
//            [N, C, in...] or, with the order NHWC, [N, in..., C], of 1 to 3
//            dimensions; N may be 0
//   filter   floats, an Int8TensorCPU of codes, or what Int8ConvPackWeight
//            (order NHWC alone) or Int8GivenPackedWeightFill makes: [M, C /
//            group, kernel...] or [M, kernel..., C / group]
//   bias     M floats, or an Int8TensorCPU of int32 with the scale of X times
//            the filter's; a packed filter's own goes before it
//   S        Int8TensorCPU or floats of Y's shape, added to Y before it is
//            rounded and rectified; Y may be the same blob
//   Y        Int8TensorCPU with its scale and zero point
//
// Arguments: conv_geometry.h, arguments.h; quantize_groupwise,
// quantize_channelwise (conv_weights.h); constant_weight (default 1): filter
// and bias are read in the first run, and again if another tensor, or packed
// form, is in the place of one of them (weight_watch.h); values that change in
// place are not noticed. With 0 both are read in every run, and the filter is
// quantized by its smallest and largest value. If the host's float Conv runs
// beside it, both are read in every run too, and shared by content. Without
// Y_scale the host's float Conv runs first, in every run, and its output's
// range gives the parameters. dequantize_output must be 0, as in DNNLOWP. Where
// padding reaches, the input is its zero point.
//
// If a run is refused, Y is unchanged.
#include <cmath>

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/products/conv_geometry.h"
#include "operators/int8/products/conv_weights.h"
#include "operators/int8/products/stage.h"
#include "operators/int8/products/weight_watch.h"
#include "operators/int8/products/wide_convolution.h"

namespace caffe2_quantization {
namespace {

constexpr int kInput = 0, kFilter = 1, kBias = 2;

bool Contains(const std::string& type, const char* part) {
  return type.find(part) != std::string::npos;
}

template <typename T>
class ConvOp final : public Int8Operator<T> {
 public:
  ConvOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace)
      // The float operator always has a bias: a packed filter may have one, or
      // not, in each run.
      : Int8Operator<T>(definition, workspace,
                        {"Conv", /*float_inputs=*/3, kNoParams,
                         Contains(definition.type(), "Relu")}),
        sum_(Contains(definition.type(), "Sum")) {
    EnforceOk(*this, ConvGeometry::Read(definition, &geometry_));
    EnforceOk(*this, ReadConvGranularity(definition, &options_.granularity));
    const int inputs = this->InputSize(), least = sum_ ? 3 : 2;
    this->Enforce(inputs == least || inputs == least + 1, inputs,
                  " inputs, expected ", least, " or ", least + 1,
                  sum_ ? ", the last of them S" : "");
  }

 protected:
  Status ReadArguments() override {
    return ReadConvArguments(this->debug_def(), this->arguments(), &options_);
  }

  void Compute() override {
    const InputCodes<T>& x = this->Input(kInput);
    UpdateWeights(x.sizes);
    UpdateBias(x.scale());
    if (sum_) {
      const int last = this->InputSize() - 1;
      addend_ = &this->Input(last);
      this->Enforce(addend_->sizes == y_sizes_, "tensor '", this->Name(last),
                    "' has sizes ", addend_->sizes, ", expected the output's, ",
                    at::IntArrayRef(y_sizes_));
    }
    this->RunReference(/*is_empty=*/false);
    const QuantizationParams& y = this->OutputParameters();
    SetStage(x, y);
    T* const codes = this->OutputCodes(y_sizes_, y);
    if (shape_.batch == 0) return;
    if constexpr (sizeof(T) == 1) {
      EnforceOk(*this,
                onednn::Convolve(*weights_->packed, shape_, x.codes,
                                 x.zero_point(), stage_.kernel_stage(), codes));
    } else {
      ConvolveWide(stage_, shape_, weights_->quantized.codes.data(), x.codes,
                   x.zero_point(), codes);
    }
  }

  void SetReferenceInput(int index, FloatReference* reference) override {
    const PackedConvWeights* const packed = PackedInput();
    const int64_t channels = shape_.out_channels;
    if (index == kFilter && packed != nullptr) {
      this->Enforce(
          !packed->codes.empty(), "filter '", this->Name(kFilter),
          "' is packed, and the host's float operator cannot run beside this "
          "one; expected Y_scale and no measure_quantization_error, or a "
          "filter that was packed with save_unpacked_weights");
      reference_filter_.Resize(packed->sizes);
      auto* const values = reference_filter_.template mutable_data<float>();
      for (int64_t i = 0; i < reference_filter_.numel(); ++i) {
        values[i] =
            packed->weights->Value(i / packed->weights->k, packed->codes[i]);
      }
      reference->SetInput(kFilter, reference_filter_);
    } else if (index == kBias && (!HasBiasInput() || packed_bias_ != nullptr)) {
      const std::vector<float>& scales = weights_->quantized.scales;
      reference_bias_.Resize(channels);
      auto* const values = reference_bias_.template mutable_data<float>();
      for (int64_t m = 0; m < channels; ++m) {
        values[m] = bias_.codes[m] * (x_scale_ * scales[weights_->SetOf(m)]);
        if (!bias_.large.empty()) values[m] += bias_.large[m];
      }
      reference->SetInput(kBias, reference_bias_);
    } else {
      Int8Operator<T>::SetReferenceInput(index, reference);
    }
  }

  void FinishReference(caffe2::Tensor* y) override {
    if (!sum_) return;
    auto* const values = y->template mutable_data<float>();
    for (int64_t i = 0; i < y->numel(); ++i) {
      values[i] +=
          addend_->scale() * (addend_->codes[i] - addend_->zero_point());
    }
  }

 private:
  using Weights = ConvWeights<std::make_signed_t<T>>;

  bool HasBiasInput() const { return this->InputSize() == (sum_ ? 4 : 3); }
  // Reads filter and bias, if they must be, and sets shape_.
  void UpdateWeights(at::IntArrayRef x) {
    const auto read = [&] {
      stage_.Forget();
      bias_is_made_ = false;
      const PackedConvWeights* const packed = PackedInput();
      ReadFilter(x, packed);
      packed_bias_ = packed == nullptr ? nullptr : packed->bias;
      packed_in_scale_ = packed == nullptr ? 0 : packed->in_scale;
      if (HasBiasInput() && packed_bias_ == nullptr) {
        given_bias_ =
            ReadBias(this, kBias, shape_.out_channels, BiasOwner::kConv);
      }
    };
    const bool always = !options_.share || this->NeedsReference();
    const caffe2::Blob* const filter = &this->InputBlob(kFilter);
    if (HasBiasInput()) {
      weight_watch_.Update({filter, &this->InputBlob(kBias)}, always, read);
    } else {
      weight_watch_.Update({filter}, always, read);
    }
    UpdateShape(x, filter_sizes_);
  }

  void ReadFilter(at::IntArrayRef x, const PackedConvWeights* packed) {
    if constexpr (sizeof(T) == 1) {
      if (packed != nullptr) {
        this->Enforce(
            packed->channels_first == geometry_.channels_first(), "filter '",
            this->Name(kFilter), "' is packed, for the order ",
            packed->channels_first ? "NCHW" : "NHWC", "; argument order is ",
            geometry_.channels_first() ? "NCHW" : "NHWC");
        this->Enforce(packed->groups == geometry_.groups(), "filter '",
                      this->Name(kFilter), "' is packed for ", packed->groups,
                      " groups, expected the argument group's ",
                      geometry_.groups());
        UpdateShape(x, packed->sizes);
        weights_ = packed->weights;
        return;
      }
    }
    const WeightValues filter = WeightInput(
        this, kFilter,
        sizeof(T) > 1 ? ", an Int8TensorCPU"
                      : ", an Int8TensorCPU or what Int8ConvPackWeight of this "
                        "engine makes");
    UpdateShape(x, filter.tensor().sizes());
    EnforceOk(*this, MakeConvWeights(filter, shape_, options_, &weights_),
              "filter '", this->Name(kFilter), "': ");
  }

  // The filter if it is packed, else null.
  const PackedConvWeights* PackedInput() const {
    const caffe2::Blob& filter = *this->Inputs()[kFilter];
    return sizeof(T) == 1 && filter.IsType<PackedConvWeights>()
               ? &filter.Get<PackedConvWeights>()
               : nullptr;
  }

  void UpdateShape(at::IntArrayRef x, at::IntArrayRef filter) {
    if (x == x_sizes_ && filter == filter_sizes_) return;
    EnforceOk(*this,
              geometry_.ShapeFor({this->Name(kInput), x.vec()},
                                 {this->Name(kFilter), filter.vec()}, &shape_));
    x_sizes_ = x.vec();
    filter_sizes_ = filter.vec();
    y_sizes_ = ConvGeometry::OutputSizes(shape_);
  }

  void UpdateBias(float x_scale) {
    if (bias_is_made_ && x_scale == x_scale_) return;
    bias_is_made_ = false;
    x_scale_ = x_scale;
    if (packed_bias_ != nullptr) {
      SetPackedBias(x_scale);
    } else if (HasBiasInput()) {
      bias_ = BiasInUnits(*this, kBias, given_bias_, x_scale,
                          weights_->quantized.scales,
                          /*check_unit=*/shape_.batch > 0, BiasOwner::kConv);
    } else {
      bias_.codes.assign(shape_.out_channels, 0);
      bias_.large.clear();
    }
    // Without images the bias was not looked at closely.
    bias_is_made_ = shape_.batch > 0;
  }

  // The packed bias, for an input of another scale than that which it was
  // packed for too.
  void SetPackedBias(float x_scale) {
    bias_ = *packed_bias_;
    if (x_scale == packed_in_scale_) return;
    const std::vector<float>& scales = weights_->quantized.scales;
    std::vector<float> units(bias_.codes.size());
    for (std::size_t m = 0; m < units.size(); ++m) {
      units[m] = packed_in_scale_ * scales[weights_->SetOf(m)];
    }
    std::vector<float> large = std::move(bias_.large);
    bias_ = onednn::ConvertBias(bias_.codes.data(), bias_.codes.size(), units,
                                x_scale, scales);
    // What no code held stays a value, beside those that no longer fit.
    if (bias_.large.empty()) {
      bias_.large = std::move(large);
    } else {
      for (std::size_t m = 0; m < large.size(); ++m) {
        bias_.large[m] += large[m];
      }
    }
  }

  // Sets what turns sums into codes.
  void SetStage(const InputCodes<T>& x, const QuantizationParams& y) {
    if (!stage_.IsOf(x.scale(), x.zero_point(), &y)) {
      EnforceOk(*this, stage_.SetCodes(ProductStage::Of(*weights_), x.scale(),
                                       x.zero_point(), &bias_, y,
                                       this->form().rectifies));
    }
    if constexpr (sizeof(T) == 1) {
      if (!sum_) return;
      const float y_scale = y.scales[0];
      this->Enforce(std::isfinite(y.type.qmax() * (addend_->scale() / y_scale)),
                    "scales ", addend_->scale(), " of tensor '",
                    this->Name(this->InputSize() - 1), "' and ", y_scale,
                    " of the output, expected a finite quotient of them");
      stage_.SetAddend(addend_->codes, addend_->scale(), addend_->zero_point(),
                       y_scale);
    }
  }

  const bool sum_;
  ConvGeometry geometry_;
  ConvWeightsOptions options_;

  // The sizes of input and filter that shape_ is of, and the output's.
  std::vector<int64_t> x_sizes_, filter_sizes_, y_sizes_;
  onednn::ConvolutionShape shape_{};
  WeightWatch weight_watch_;
  std::shared_ptr<const Weights> weights_;
  Bias given_bias_;  // of input kBias, if packed_bias_ is null
  std::shared_ptr<const onednn::ProductBias> packed_bias_;
  float packed_in_scale_ = 0;

  // The bias in the units of the products, for an input of this scale.
  bool bias_is_made_ = false;
  float x_scale_ = 1;
  onednn::ProductBias bias_;
  const InputCodes<T>* addend_ = nullptr;  // of this run
  ProductStage stage_;
  // Of a run beside the float operator.
  caffe2::Tensor reference_filter_{caffe2::CPU}, reference_bias_{caffe2::CPU};
};

}  // namespace

void RegisterOnednnConv(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<ConvOp>(name, suffixes);
}

}  // namespace caffe2_quantization
