#include "operators/int8/conv_op.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "operators/int8/wide_convolution.h"
#include "operators/registration.h"

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

namespace {

constexpr int kInput = 0;
constexpr int kFilter = 1;
constexpr int kBias = 2;

std::vector<int64_t> SizesOf(const caffe2::Tensor& tensor) {
  return tensor.sizes().vec();
}

}  // namespace

template <typename T>
Int8ConvOp<T>::Int8ConvOp(const caffe2::OperatorDef& definition,
                          caffe2::Workspace* workspace, bool relu, bool sum)
    : Operator(definition, workspace), relu_(relu), sum_(sum) {
  Status status = ConvGeometry::Read(definition, &geometry_);
  if (status.ok()) status = ReadConvGranularity(definition, &granularity_);
  CAFFE_ENFORCE(status.ok(), definition.type(), ": ", status.message());
  const int least = sum_ ? 3 : 2;
  CAFFE_ENFORCE(InputSize() == least || InputSize() == least + 1,
                definition.type(), ": ", InputSize(), " inputs, expected ",
                least, " or ", least + 1, sum_ ? ", the last of them S" : "");
}

template <typename T>
Int8ConvOp<T>::~Int8ConvOp() {
  report_.Log(debug_def());
}

template <typename T>
bool Int8ConvOp<T>::RunOnDevice() {
  ReadArguments();
  const InputCodes<T> x = x_.Get(this, kInput, arguments_.activations);
  UpdateWeights(*x.tensor);
  UpdateBias(x.scale);
  const InputCodes<T> addend = sum_ ? Addend() : InputCodes<T>();

  // Before the output, which may be where the addend is.
  const caffe2::Tensor* reference = nullptr;
  if (RunsReference()) reference = &RunReference(x, addend);
  if (!arguments_.output.has_value()) {
    const Status status =
        ChooseOutputParameters(*reference, arguments_.activations,
                               arguments_.output_is_rectified, &chosen_output_);
    CAFFE_ENFORCE(status.ok(), type(), ": output '", debug_def().output(0),
                  "': ", status.message());
  }
  const QuantizationParams& y_params =
      arguments_.output.has_value() ? *arguments_.output : chosen_output_;
  UpdateStage(x, addend, y_params);

  auto* y = OperatorBase::Output<Int8TensorCPU>(0);
  y->scale = y_params.scales[0];
  y->zero_point = y_params.zero_points[0];
  y->t.Resize(y_sizes_);
  T* const codes = y->t.template mutable_data<T>();
  if (y->t.numel() > 0) Convolve(x, addend, y_params, codes);
  if (arguments_.measure_quantization_error) {
    report_.Add(
        codes, y_params, reference->template data<float>(), y->t.numel(),
        {arguments_.output_is_rectified, arguments_.output.has_value()});
  }
  return true;
}

template <typename T>
void Int8ConvOp<T>::ReadArguments() {
  if (arguments_read_) return;
  Status status =
      ReadInt8Arguments(debug_def(), 8 * sizeof(T), relu_, &arguments_);
  if (status.ok()) {
    status =
        ReadBoolArgument(debug_def(), "constant_weight", &constant_weight_);
  }
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  CAFFE_ENFORCE(!arguments_.dequantize_output, type(),
                ": argument dequantize_output is 1, expected 0: the output of "
                "a convolution is codes, which Dequantize makes floats of");
  arguments_read_ = true;
}

template <typename T>
void Int8ConvOp<T>::UpdateShape(const caffe2::Tensor& x,
                                at::IntArrayRef filter) {
  if (x.sizes() == x_sizes_ && filter == filter_sizes_) return;
  const Status status =
      geometry_.ShapeFor({debug_def().input(kInput), SizesOf(x)},
                         {debug_def().input(kFilter), filter.vec()}, &shape_);
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  x_sizes_ = SizesOf(x);
  filter_sizes_ = filter.vec();
  y_sizes_ = ConvGeometry::OutputSizes(shape_);
}

template <typename T>
void Int8ConvOp<T>::UpdateWeights(const caffe2::Tensor& x) {
  const auto update = [&](WeightWatch::Blobs blobs) {
    weight_watch_.Update(blobs, !constant_weight_ || RunsReference(),
                         [&] { ReadWeights(x); });
  };
  const caffe2::Blob* const filter = &InputBlob(kFilter);
  if (HasBiasInput()) {
    update({filter, &InputBlob(kBias)});
  } else {
    update({filter});
  }
  UpdateShape(x, filter_sizes_);
}

template <typename T>
void Int8ConvOp<T>::ReadWeights(const caffe2::Tensor& x) {
  const PackedConvWeights* const packed = PackedInput();
  ReadFilter(x, packed);
  packed_bias_ = packed == nullptr ? nullptr : packed->bias;
  if (HasBiasInput() && packed_bias_ == nullptr) {
    given_bias_ = ReadConvBias(this, kBias, shape_.out_channels);
  }
}

template <typename T>
const PackedConvWeights* Int8ConvOp<T>::PackedInput() const {
  const caffe2::Blob& filter = *this->Inputs()[kFilter];
  return std::is_same_v<T, uint8_t> && filter.IsType<PackedConvWeights>()
             ? &filter.Get<PackedConvWeights>()
             : nullptr;
}

template <typename T>
void Int8ConvOp<T>::ReadFilter(const caffe2::Tensor& x,
                               const PackedConvWeights* packed) {
  const std::string& name = debug_def().input(kFilter);
  if constexpr (std::is_same_v<T, uint8_t>) {
    if (packed != nullptr) {
      CAFFE_ENFORCE(!geometry_.channels_first(), type(), ": filter '", name,
                    "' is packed, for the order NHWC; argument order is NCHW");
      CAFFE_ENFORCE(packed->groups == geometry_.groups(), type(), ": filter '",
                    name, "' is packed for ", packed->groups,
                    " groups, expected the argument group's ",
                    geometry_.groups());
      UpdateShape(x, packed->sizes);
      weights_ = packed->weights;
      return;
    }
  }
  const FilterValues filter = FilterInput(
      this, kFilter,
      sizeof(T) == 1 ? " or what Int8ConvPackWeight of this engine makes" : "");
  UpdateShape(x, filter.tensor().sizes());
  ChooseOptions options = arguments_.weights;
  // As of FC: what changes from run to run is not searched.
  if (!constant_weight_) options.method = ChooseMethod::kMinMax;
  const Status status = PackConvWeights(filter, shape_, granularity_, options,
                                        /*share=*/constant_weight_, &weights_);
  CAFFE_ENFORCE(status.ok(), type(), ": filter '", name,
                "': ", status.message());
}

template <typename T>
void Int8ConvOp<T>::UpdateBias(float x_scale) {
  if (packed_bias_ != nullptr) {
    bias_ = *packed_bias_;
  } else if (HasBiasInput()) {
    bias_ = ConvBiasCodes(this, kBias, given_bias_, x_scale, weights_->scales,
                          /*any_scale=*/shape_.batch == 0);
  } else {
    bias_.codes.assign(shape_.out_channels, 0);
    bias_.large.clear();
  }
}

template <typename T>
InputCodes<T> Int8ConvOp<T>::Addend() {
  const int index = InputSize() - 1;
  const InputCodes<T> addend = addend_.Get(this, index, arguments_.activations);
  CAFFE_ENFORCE(addend.tensor->sizes() == y_sizes_, type(), ": tensor '",
                debug_def().input(index), "' has sizes ",
                SizesText(SizesOf(*addend.tensor)), ", expected the output's, ",
                SizesText(y_sizes_));
  return addend;
}

template <typename T>
void Int8ConvOp<T>::SetReferenceFilter() {
  const PackedConvWeights* const packed = PackedInput();
  if (packed == nullptr) {
    const FilterValues filter = FilterInput(this, kFilter, "");
    if (filter.floats != nullptr) {
      reference_->SetInput(kFilter, *filter.floats);
    } else {
      reference_->SetInput(kFilter, *filter.codes);
    }
    return;
  }
  CAFFE_ENFORCE(
      !packed->codes.empty(), type(), ": filter '", debug_def().input(kFilter),
      "' is packed, and the host's float operator cannot run beside this one; "
      "expected Y_scale and no measure_quantization_error, or a filter that "
      "was packed with save_unpacked_weights");
  reference_filter_.Resize(packed->sizes);
  auto* const values = reference_filter_.template mutable_data<float>();
  const int64_t count = reference_filter_.numel() / shape_.out_channels;
  const int64_t run = shape_.out_channels / weights_->scales.size();
  for (int64_t i = 0; i < reference_filter_.numel(); ++i) {
    const int64_t m = i / count;
    values[i] = weights_->scales[m / run] *
                (packed->codes[i] - weights_->zero_points[m]);
  }
  reference_->SetInput(kFilter, reference_filter_);
}

template <typename T>
caffe2::Tensor& Int8ConvOp<T>::RunReference(const InputCodes<T>& x,
                                            const InputCodes<T>& addend) {
  if (reference_ == nullptr) {
    // Always with a bias: a packed filter may have one, or not, in each run.
    reference_ = std::make_unique<FloatReference>(debug_def(), "Conv", 3);
  }
  if (OperatorBase::InputIsType<Int8TensorCPU>(kInput)) {
    reference_->SetInput(kInput, OperatorBase::Input<Int8TensorCPU>(kInput));
  } else {
    reference_->SetInput(kInput, *x.tensor);
  }
  SetReferenceFilter();
  if (HasBiasInput() && packed_bias_ == nullptr) {
    if (OperatorBase::InputIsType<Int8TensorCPU>(kBias)) {
      reference_->SetInput(kBias, OperatorBase::Input<Int8TensorCPU>(kBias));
    } else {
      reference_->SetInput(kBias, FloatInput(this, kBias));
    }
  } else {
    const int64_t run = shape_.out_channels / weights_->scales.size();
    reference_bias_.Resize(shape_.out_channels);
    auto* const bias = reference_bias_.template mutable_data<float>();
    for (int64_t m = 0; m < shape_.out_channels; ++m) {
      bias[m] = bias_.codes[m] * (x.scale * weights_->scales[m / run]);
      if (!bias_.large.empty()) bias[m] += bias_.large[m];
    }
    reference_->SetInput(kBias, reference_bias_);
  }

  caffe2::Tensor& y = reference_->Run();
  if (sum_) {
    auto* const values = y.template mutable_data<float>();
    for (int64_t i = 0; i < y.numel(); ++i) {
      values[i] += addend.scale * (addend.codes[i] - addend.zero_point);
    }
  }
  return y;
}

template <typename T>
void Int8ConvOp<T>::UpdateStage(const InputCodes<T>& x,
                                const InputCodes<T>& addend,
                                const QuantizationParams& y) {
  const int64_t channels = shape_.out_channels;
  const int64_t sets = weights_->scales.size();
  multipliers_.resize(channels);
  for (int64_t set = 0; set < sets; ++set) {
    const float scale = weights_->scales[set];
    const float multiplier = x.scale * scale / y.scales[0];
    CAFFE_ENFORCE(std::isfinite(multiplier), type(), ": scales ", x.scale,
                  " of the input, ", scale, " of the filter and ", y.scales[0],
                  " of the output, expected a finite product of the first two "
                  "by the last");
    std::fill_n(multipliers_.begin() + set * (channels / sets), channels / sets,
                multiplier);
  }
  if (sum_) {
    const int index = InputSize() - 1;
    CAFFE_ENFORCE(std::isfinite(y.type.qmax() * (addend.scale / y.scales[0])),
                  type(), ": scales ", addend.scale, " of tensor '",
                  debug_def().input(index), "' and ", y.scales[0],
                  " of the output, expected a finite quotient of them");
  }
  large_bias_ = LargeInCodes(bias_, y.scales[0]);
  if constexpr (std::is_same_v<T, uint8_t>) {
    const onednn::PackedFilter& filter = *weights_->filter;
    column_offsets_.Set(channels, filter.k(), x.zero_point,
                        filter.column_sums().data(),
                        weights_->zero_points.data(), bias_.codes.data());
  }
}

template <typename T>
void Int8ConvOp<T>::Convolve(const InputCodes<T>& x,
                             const InputCodes<T>& addend,
                             const QuantizationParams& y, T* codes) {
  const int32_t zero_point = y.zero_points[0];
  const int32_t low = relu_ ? zero_point : y.type.qmin();
  if constexpr (std::is_same_v<T, uint8_t>) {
    kernels::OutputStage stage;
    stage.columns = shape_.out_channels;
    column_offsets_.Lend(&stage);
    stage.multipliers = multipliers_.data();
    if (!large_bias_.empty()) stage.bias = large_bias_.data();
    stage.zero_point = zero_point;
    stage.low = low;
    stage.high = y.type.qmax();
    if (sum_) {
      stage.addend = addend.codes;
      stage.addend_zero_point = addend.zero_point;
      stage.addend_multiplier = addend.scale / y.scales[0];
    }
    const Status status = onednn::Convolve(*weights_->filter, shape_, x.codes,
                                           x.zero_point, stage, codes);
    CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  } else {
    WideConvolution convolution;
    convolution.filter = weights_->filter.data();
    convolution.weight_zero_points = weights_->zero_points.data();
    convolution.bias = bias_.codes.data();
    convolution.multipliers = multipliers_.data();
    if (!large_bias_.empty()) convolution.large_bias = large_bias_.data();
    convolution.x_zero_point = x.zero_point;
    convolution.zero_point = zero_point;
    convolution.low = low;
    convolution.high = y.type.qmax();
    ConvolveWide(convolution, shape_, x.codes, codes);
  }
}

template class Int8ConvOp<uint8_t>;
template class Int8ConvOp<uint16_t>;

void RegisterOnednnConv() {
  RegisterCpuOperator<Int8ConvForm<uint8_t, false>>("Conv_ENGINE_ONEDNN");
  RegisterCpuOperator<Int8ConvForm<uint8_t, false>>("Conv_ENGINE_ONEDNN_ACC16");
  RegisterCpuOperator<Int8ConvForm<uint16_t, false>>("Conv_ENGINE_ONEDNN_16");
}

void RegisterOnednnConvRelu() {
  RegisterCpuOperator<Int8ConvForm<uint8_t, true>>("ConvRelu_ENGINE_ONEDNN");
  RegisterCpuOperator<Int8ConvForm<uint8_t, true>>(
      "ConvRelu_ENGINE_ONEDNN_ACC16");
  RegisterCpuOperator<Int8ConvForm<uint16_t, true>>(
      "ConvRelu_ENGINE_ONEDNN_16");
}

void RegisterOnednnInt8Conv() {
  RegisterCpuOperator<Int8ConvForm<uint8_t, false>>("Int8Conv_ENGINE_ONEDNN");
  RegisterCpuOperator<Int8ConvForm<uint8_t, false>>(
      "Int8Conv_ENGINE_ONEDNN_ACC16");
}

void RegisterOnednnInt8ConvRelu() {
  RegisterCpuOperator<Int8ConvForm<uint8_t, true>>(
      "Int8ConvRelu_ENGINE_ONEDNN");
  RegisterCpuOperator<Int8ConvForm<uint8_t, true>>(
      "Int8ConvRelu_ENGINE_ONEDNN_ACC16");
}

void RegisterOnednnInt8ConvSum() {
  using Op = Int8ConvForm<uint8_t, false, /*kSum=*/true>;
  RegisterCpuOperator<Op>("Int8ConvSum_ENGINE_ONEDNN");
  RegisterCpuOperator<Op>("Int8ConvSum_ENGINE_ONEDNN_ACC16");
}

void RegisterOnednnInt8ConvSumRelu() {
  using Op = Int8ConvForm<uint8_t, true, /*kSum=*/true>;
  RegisterCpuOperator<Op>("Int8ConvSumRelu_ENGINE_ONEDNN");
  RegisterCpuOperator<Op>("Int8ConvSumRelu_ENGINE_ONEDNN_ACC16");
}

}  // namespace caffe2_quantization
