#include "operators/int8/fc_op.h"

#include "caffe2/core/tensor_int8.h"
#include "operators/registration.h"
#include "quantization/onednn/matmul.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

constexpr int kX = 0, kWeights = 1, kBias = 2, kParams = 3;
constexpr int kDebugOutputs = 4;

// One class a kind: the registry makes operators of a definition alone, and the
// definition's engine is empty where a preference chose it.
template <typename T, bool kRelu, bool kPerRow>
class FcOpOfKind final : public FcOp<T> {
 public:
  FcOpOfKind(const caffe2::OperatorDef& definition,
             caffe2::Workspace* workspace)
      : FcOp<T>(definition, workspace, {kRelu, kPerRow}) {}
};

}  // namespace

template <typename T>
FcOp<T>::FcOp(const caffe2::OperatorDef& definition,
              caffe2::Workspace* workspace, Kind kind)
    : Operator(definition, workspace),
      kind_(kind),
      output_(this, "FC", /*num_inputs=*/3) {}

template <typename T>
std::string FcOp<T>::Blob(int input) const {
  return "blob '" + debug_def().input(input) + "'";
}

template <typename T>
void FcOp<T>::ReadArguments() {
  if (arguments_read_) return;
  const caffe2::OperatorDef& definition = debug_def();
  int64_t axis = 1, axis_w = 1;
  FcWeightsOptions options;
  options.per_row = kind_.per_row;
  const auto read = [&]() -> Status {
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadInt8Arguments(definition, 8 * sizeof(T), kind_.relu, &arguments_));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadIntArgument(definition, "axis", &axis));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadIntArgument(definition, "axis_w", &axis_w));
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadBoolArgument(definition, "constant_weight", &constant_weight_));
    bool channelwise = false;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        ReadBoolArgument(definition, "quantize_channelwise", &channelwise));
    options.per_row = options.per_row || channelwise;
    return Status::Ok();
  };
  const Status status = read();
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  CAFFE_ENFORCE(OutputSize() == 1 || OutputSize() == kDebugOutputs, type(),
                ": ", OutputSize(), " outputs, expected 1, or ", kDebugOutputs,
                " for debugging");
  CAFFE_ENFORCE(sizeof(T) == 1 || OutputSize() == 1, type(), ": ", OutputSize(),
                " outputs, expected 1: 16-bit operators have none for "
                "debugging");
  // Dimensions are compared with the tensors' later.
  const auto to_int = [&](const char* name, int64_t value) {
    CAFFE_ENFORCE(value == static_cast<int>(value), type(), ": argument ", name,
                  " is ", value, ", expected a dimension");
    return static_cast<int>(value);
  };
  axis_ = to_int("axis", axis);
  options.axis_w = to_int("axis_w", axis_w);
  options.keep_codes = OutputSize() == kDebugOutputs;
  options.share = constant_weight_;
  options.choose = arguments_.weights;
  // As in DNNLOWP: what changes from run to run is not searched.
  if (!constant_weight_) options.choose.method = ChooseMethod::kMinMax;
  weights_options_ = options;
  arguments_read_ = true;
}

template <typename T>
typename FcOp<T>::Sizes FcOp<T>::CheckX(const caffe2::Tensor& x) const {
  CAFFE_ENFORCE(axis_ >= -x.dim() && axis_ < x.dim(), type(),
                ": argument axis is ", axis_, ", expected a dimension of ",
                Blob(kX), " of shape ", x.sizes());
  const int axis = axis_ < 0 ? axis_ + x.dim() : axis_;
  Sizes sizes;
  sizes.m = x.size_to_dim(axis);
  sizes.k = x.size_from_dim(axis);
  sizes.y.assign(x.sizes().begin(), x.sizes().begin() + axis);
  return sizes;
}

template <typename T>
void FcOp<T>::ReadWeights() {
  stage_is_set_ = false;
  const caffe2::Blob& w = InputBlob(kWeights);
  Status status;
  const FcBias* packed_bias = nullptr;
  std::shared_ptr<const FcWeights<WeightCode>> weights;
  if constexpr (sizeof(T) == 1) {
    if (w.IsType<PackedFcWeights>()) {
      const auto& packed = w.Get<PackedFcWeights>();
      CAFFE_ENFORCE(packed.weights != nullptr, type(), ": ", Blob(kWeights),
                    " holds no weights, expected those of Int8FCPackWeight");
      const int64_t expected = weights_options_.per_row ? packed.weights->n : 1;
      CAFFE_ENFORCE_EQ(
          packed.weights->num_sets(), expected, type(), ": ", Blob(kWeights),
          " holds ", packed.ToString(), ", expected ",
          weights_options_.per_row
              ? "a parameter set a row (quantize_channelwise, engine "
                "ONEDNN_ROWWISE)"
              : "one parameter set");
      CAFFE_ENFORCE(!weights_options_.keep_codes ||
                        !packed.weights->quantized.codes.empty(),
                    type(), ": ", Blob(kWeights),
                    " holds weights packed without their codes, expected "
                    "save_unpacked_weights where they are an output");
      weights = packed.weights;
      packed_bias = packed.bias.get();
    }
  }
  if (weights == nullptr) {
    status = MakeFcWeights(w, weights_options_, &weights);
    CAFFE_ENFORCE(status.ok(), type(), ": ", Blob(kWeights), ": ",
                  status.message());
  }
  FcBias bias;
  if (packed_bias != nullptr) {
    bias = *packed_bias;
  } else {
    status = ReadFcBias(InputBlob(kBias), weights->n, &bias);
    CAFFE_ENFORCE(status.ok(), type(), ": ", Blob(kBias), ": ",
                  status.message());
  }
  bias_ = std::move(bias);
  weights_ = std::move(weights);
}

template <typename T>
void FcOp<T>::CheckSizes(const Sizes& sizes) const {
  CAFFE_ENFORCE_EQ(sizes.k, weights_->k, type(), ": ", Blob(kX),
                   " has K = ", sizes.k, " from dimension axis = ", axis_,
                   " on, expected ", weights_->k, ", the K of the weights ",
                   Blob(kWeights));
}

template <typename T>
void FcOp<T>::SetStage(const InputCodes<T>& x, const QuantizationParams* y) {
  const float y_scale = y == nullptr ? 0 : y->scales[0];
  const int32_t y_zero_point = y == nullptr ? 0 : y->zero_points[0];
  if (stage_is_set_ && x.scale == stage_x_scale_ &&
      x.zero_point == stage_x_zero_point_ && y_scale == stage_y_scale_ &&
      y_zero_point == stage_y_zero_point_) {
    return;
  }
  stage_is_set_ = false;
  const ProductStage::Weights weights{
      weights_->n, weights_->k, &weights_->quantized.scales,
      &weights_->quantized.zero_points, weights_->column_sums.data()};
  Status status;
  if (y == nullptr) {
    bias_values_ = BiasValues(bias_);
    status = stage_.SetFloats(weights, x.scale, x.zero_point,
                              bias_values_.data(), kind_.relu);
  } else {
    status = BiasCodes(bias_, x.scale, *weights_, &product_bias_);
    CAFFE_ENFORCE(status.ok(), type(), ": ", Blob(kBias), ": ",
                  status.message());
    status = stage_.SetCodes(weights, x.scale, x.zero_point, &product_bias_, *y,
                             kind_.relu);
  }
  CAFFE_ENFORCE(status.ok(), type(), ": ", Blob(kX), ": ", status.message());
  stage_x_scale_ = x.scale;
  stage_x_zero_point_ = x.zero_point;
  stage_y_scale_ = y_scale;
  stage_y_zero_point_ = y_zero_point;
  stage_is_set_ = true;
}

template <typename T>
bool FcOp<T>::RunOnDevice() {
  ReadArguments();
  output_.Begin();
  const InputCodes<T> x = x_.Get(this, kX, arguments_.activations);
  Sizes sizes = CheckX(*x.tensor);
  const int64_t m = sizes.m;
  const bool is_empty = m == 0;
  const bool runs_reference =
      !is_empty && output_.RunsReference(arguments_, kParams);
  weight_watch_.Update({&InputBlob(kWeights), &InputBlob(kBias)},
                       !constant_weight_ || runs_reference,
                       [this] { ReadWeights(); });
  CheckSizes(sizes);
  if (runs_reference) output_.RunReference();
  sizes.y.push_back(weights_->n);

  Status status;
  if (arguments_.dequantize_output) {
    if (!is_empty) SetStage(x, nullptr);
    caffe2::Tensor* const y = Output(0, sizes.y, at::dtype<float>());
    auto* const values = y->template mutable_data<float>();
    if (is_empty) {
    } else if constexpr (sizeof(T) == 1) {
      status = onednn::MultiplyToFloats(*weights_->matrix, x.codes, m,
                                        stage_.kernel_stage(), values);
    } else {
      stage_.ToFloats(x.codes, weights_->quantized.codes.data(), m, values);
    }
    CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
    output_.Measure(arguments_, values, y->numel());
  } else {
    const QuantizationParams& params =
        output_.Parameters(arguments_, kParams, is_empty);
    if (!is_empty) SetStage(x, &params);
    auto* const y = OperatorBase::Output<Int8TensorCPU>(0);
    y->scale = params.scales[0];
    y->zero_point = params.zero_points[0];
    y->t.Resize(sizes.y);
    auto* const codes = y->t.template mutable_data<T>();
    if (is_empty) {
    } else if constexpr (sizeof(T) == 1) {
      status = onednn::MultiplyToCodes(*weights_->matrix, x.codes, m,
                                       stage_.kernel_stage(), codes);
    } else {
      stage_.ToCodes(x.codes, weights_->quantized.codes.data(), m, codes);
    }
    CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
    output_.Measure(arguments_, codes, params, y->t.numel());
  }
  if (OutputSize() == kDebugOutputs) WriteDebugOutputs(x, m);
  return true;
}

template <typename T>
caffe2::Tensor* FcOp<T>::OutputTensor(int index) {
  return arguments_.dequantize_output
             ? Output(index)
             : &OperatorBase::Output<Int8TensorCPU>(index)->t;
}

template <typename T>
void FcOp<T>::WriteDebugOutputs(const InputCodes<T>& x, int64_t m) {
  if constexpr (sizeof(T) == 1) {
    const auto write = [&](int index, int64_t rows, int64_t columns,
                           const auto* codes) {
      caffe2::Tensor* const tensor = OutputTensor(index);
      tensor->Resize(rows, columns);
      std::copy_n(codes, rows * columns,
                  tensor->template mutable_data<float>());
    };
    const int64_t n = weights_->n, k = weights_->k;
    std::vector<int64_t> sums(m * n);
    const Status status = weights_->matrix->Multiply(x.codes, m, sums.data());
    CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
    write(1, m, k, x.codes);
    write(2, n, k, weights_->quantized.codes.data());
    write(3, m, n, sums.data());
  }
}

template class FcOp<uint8_t>;
template class FcOp<uint16_t>;

void RegisterOnednnFC() {
  using Op8 = FcOpOfKind<uint8_t, false, false>;
  using RowWiseOp8 = FcOpOfKind<uint8_t, false, true>;
  RegisterCpuOperator<Op8>("FC_ENGINE_ONEDNN");
  RegisterCpuOperator<Op8>("FC_ENGINE_ONEDNN_ACC16");
  RegisterCpuOperator<RowWiseOp8>("FC_ENGINE_ONEDNN_ROWWISE");
  RegisterCpuOperator<FcOpOfKind<uint16_t, false, false>>(
      "FC_ENGINE_ONEDNN_16");
  RegisterCpuOperator<FcOpOfKind<uint16_t, false, true>>(
      "FC_ENGINE_ONEDNN_ROWWISE_16");
}

void RegisterOnednnInt8FC() {
  using Op8 = FcOpOfKind<uint8_t, false, false>;
  RegisterCpuOperator<Op8>("Int8FC_ENGINE_ONEDNN");
  RegisterCpuOperator<Op8>("Int8FC_ENGINE_ONEDNN_ACC16");
  RegisterCpuOperator<FcOpOfKind<uint8_t, false, true>>(
      "Int8FC_ENGINE_ONEDNN_ROWWISE");
}

void RegisterOnednnInt8FCRelu() {
  using Op8 = FcOpOfKind<uint8_t, true, false>;
  RegisterCpuOperator<Op8>("Int8FCRelu_ENGINE_ONEDNN");
  RegisterCpuOperator<Op8>("Int8FCRelu_ENGINE_ONEDNN_ACC16");
  RegisterCpuOperator<FcOpOfKind<uint8_t, true, true>>(
      "Int8FCRelu_ENGINE_ONEDNN_ROWWISE");
}

}  // namespace caffe2_quantization
