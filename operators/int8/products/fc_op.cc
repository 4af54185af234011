// FC, Int8FC and Int8FCRelu under the engine ONEDNN: a fully connected layer on
// integer codes, whose sums are exact for every K up to 2^31 - 1.
//
//   X, W, b [, params] -> Y [, X codes, W codes, sums]
//
//   X       Int8TensorCPU of uint8, or uint16 (engines ending in _16); or a
//           float tensor, which becomes codes by its smallest and largest value
//           in every run. Dimensions before `axis` are M, from it on K
//   W       float tensor, Int8TensorCPU of X's type, or what Int8FCPackWeight
//           made (8 bits); [N, K] by axis_w in the same way
//   b       float tensor [N], or Int8TensorCPU of int32; W's own, if it was
//           packed with one, stands in for it
//   params  optional: an Int8QuantParamsBlob of Y (int8_quant_blobs.h)
//   Y       Int8TensorCPU of X's type, or with dequantize_output a float
//           tensor; the dimensions of M, then N
//
//   Y = X * transpose(W) + b; the equations are in stage.h. Int8FCRelu cuts
//   negative values.
//
// Parameters of Y come from params; else from the arguments (arguments.h);
// else, in every run, from the range of the host's float FC's output for the
// same inputs. Those of W are chosen by the arguments for weights: one set, or
// one per row (output) with quantize_channelwise or an engine with _ROWWISE.
//
// constant_weight (default 1): W and b are read in the first run, and again if
// another tensor, or packed form, is in the place of one of them
// (weight_watch.h); all operators of the process with the same weights share
// their codes. Values that change in place are not noticed. With 0 both are
// read in every run, and W is quantized by its smallest and largest value. If
// the host's float FC runs beside it, both are read in every run too, and
// shared by content.
//
// What differs from DNNLOWP, beside errors for what it silently accepts:
//   - parameters of Y that are not given are chosen in every run, not in the
//     first one alone;
//   - codes of Y stay within activation_precision (the 8-bit operators of
//     DNNLOWP use all of 8 bits);
//   - a bias of codes stands for code * its scale, whatever is made of it:
//     floats (DNNLOWP takes W's scale), or codes of other units;
//   - constant_weight 0 may have one set per row, too; W may be an
//     Int8TensorCPU under _ROWWISE: its one set applies to all rows;
//   - sums neither wrap nor saturate, also of 16-bit codes, and are the same
//     for _ACC16; nbits_in_non_outlier has no effect.
// Four outputs, for debugging: the last three are the codes of X [M, K] and W
// [N, K] and their products [M, N] as floats, held as Y is (8 bits alone).

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/products/fc_weights.h"
#include "operators/int8/products/stage.h"
#include "operators/int8/products/weight_watch.h"

namespace caffe2_quantization {
namespace {

constexpr int kX = 0, kWeights = 1, kBias = 2, kParams = 3;
constexpr int kDebugOutputs = 4;

template <typename T>
class FcOp final : public Int8Operator<T> {
 public:
  FcOp(const caffe2::OperatorDef& definition, caffe2::Workspace* workspace,
       EngineSuffix suffix)
      : Int8Operator<T>(definition, workspace,
                        {"FC", /*float_inputs=*/3, kParams,
                         definition.type() == "Int8FCRelu"}) {
    options_.per_row = suffix.per_row;
  }

 protected:
  Status ReadArguments() override {
    const caffe2::OperatorDef& definition = this->debug_def();
    RETURN_IF_ERROR(
        FirstError({ReadAxis(definition, "axis", &axis_),
                    ReadFcWeightsOptions(definition, &options_),
                    ReadConstantWeight(definition, this->arguments().weights,
                                       &options_.share, &options_.choose)}));
    const int outputs = this->OutputSize();
    if (outputs != 1 && outputs != kDebugOutputs) {
      return Refuse(outputs, " outputs, expected 1, or ", kDebugOutputs,
                    " for debugging");
    }
    if (sizeof(T) > 1 && outputs != 1) {
      return Refuse(outputs,
                    " outputs, expected 1: 16-bit operators have none "
                    "for debugging");
    }
    options_.keep_codes = outputs == kDebugOutputs;
    return Status::Ok();
  }

  void Compute() override {
    const InputCodes<T>& x = this->Input(kX);
    const int dims = static_cast<int>(x.sizes.size());
    this->Enforce(axis_ >= -dims && axis_ < dims, "argument axis is ", axis_,
                  ", expected a dimension of blob '", this->Name(kX),
                  "' of shape ", x.sizes);
    const int axis = axis_ < 0 ? axis_ + dims : axis_;
    const int64_t m = c10::size_to_dim_(axis, x.sizes);
    const int64_t k = c10::size_from_dim_(axis, x.sizes);
    const bool is_empty = m == 0;
    weight_watch_.Update(
        {&this->InputBlob(kWeights), &this->InputBlob(kBias)},
        !options_.share || (!is_empty && this->NeedsReference()),
        [this] { ReadWeights(); });
    CAFFE_ENFORCE_EQ(k, weights_->k, this->type(), ": blob '", this->Name(kX),
                     "' has K = ", k, " from dimension axis = ", axis_,
                     " on, expected ", weights_->k,
                     ", the K of the weights blob '", this->Name(kWeights),
                     "'");
    this->RunReference(is_empty);
    std::vector<int64_t> sizes(x.sizes.begin(), x.sizes.begin() + axis);
    sizes.push_back(weights_->n);
    this->WriteEither(
        sizes, [&](const QuantizationParams* y) { SetStage(x, y); },
        [&](auto* y) { return Multiply(stage_, *weights_, x.codes, m, y); });
    if (options_.keep_codes) WriteDebugOutputs(x, m);
  }

 private:
  using WeightCode = std::make_signed_t<T>;

  // Reads weights and bias.
  void ReadWeights() {
    stage_.Forget();
    const caffe2::Blob& w = this->InputBlob(kWeights);
    std::shared_ptr<const FcWeights<WeightCode>> weights;
    std::shared_ptr<const Bias> packed_bias;
    if constexpr (sizeof(T) == 1) {
      if (w.IsType<PackedFcWeights>()) {
        const auto& packed = w.Get<PackedFcWeights>();
        CheckPacked(packed);
        weights = packed.weights;
        packed_bias = packed.bias;
      }
    }
    if (weights == nullptr) {
      EnforceOk(*this, MakeFcWeights(w, options_, &weights), "blob '",
                this->Name(kWeights), "': ");
    }
    bias_ = packed_bias != nullptr
                ? *packed_bias
                : ReadBias(this, kBias, weights->n, BiasOwner::kFc);
    weights_ = std::move(weights);
  }

  // Checks weights that Int8FCPackWeight made.
  void CheckPacked(const PackedFcWeights& packed) const {
    const bool per_row = options_.per_row;
    this->Enforce(packed.weights != nullptr, "blob '", this->Name(kWeights),
                  "' holds no weights, expected those of Int8FCPackWeight");
    CAFFE_ENFORCE_EQ(packed.weights->num_sets(),
                     per_row ? packed.weights->n : 1, this->type(), ": ",
                     "blob '", this->Name(kWeights), "' holds ",
                     packed.ToString(), ", expected ",
                     per_row ? "a parameter set a row (quantize_channelwise, "
                               "engine ONEDNN_ROWWISE)"
                             : "one parameter set");
    this->Enforce(
        !options_.keep_codes || !packed.weights->quantized.codes.empty(),
        "blob '", this->Name(kWeights),
        "' holds weights packed without their codes, expected "
        "save_unpacked_weights where they are an output");
  }

  void SetStage(const InputCodes<T>& x, const QuantizationParams* y) {
    if (stage_.IsOf(x.scale(), x.zero_point(), y)) return;
    const ProductStage::Weights weights = ProductStage::Of(*weights_);
    const bool relu = this->form().rectifies;
    Status status;
    if (y == nullptr) {
      bias_values_ = BiasValues(bias_);
      status = stage_.SetFloats(weights, x.scale(), x.zero_point(),
                                bias_values_.data(), relu);
    } else {
      product_bias_ = BiasInUnits(
          *this, kBias, bias_, x.scale(), *weights.scales,
          /*check_unit=*/!bias_.is_packed && weights.scales->size() == 1,
          BiasOwner::kFc);
      status = stage_.SetCodes(weights, x.scale(), x.zero_point(),
                               &product_bias_, *y, relu);
    }
    EnforceOk(*this, status, "blob '", this->Name(kX), "': ");
  }

  void WriteDebugOutputs(const InputCodes<T>& x, int64_t m) {
    if constexpr (sizeof(T) == 1) {
      const auto write = [&](int index, int64_t rows, int64_t columns,
                             const auto* codes) {
        caffe2::Tensor* const tensor = this->arguments().dequantize_output
                                           ? this->Output(index)
                                           : &this->Int8Output(index)->t;
        tensor->Resize(rows, columns);
        std::copy_n(codes, rows * columns,
                    tensor->template mutable_data<float>());
      };
      const int64_t n = weights_->n, k = weights_->k;
      std::vector<int64_t> sums(m * n);
      EnforceOk(*this, weights_->packed->Multiply(x.codes, m, sums.data()));
      write(1, m, k, x.codes);
      write(2, n, k, weights_->quantized.codes.data());
      write(3, m, n, sums.data());
    }
  }

  int axis_ = 1;
  FcWeightsOptions options_;

  WeightWatch weight_watch_;
  std::shared_ptr<const FcWeights<WeightCode>> weights_;
  Bias bias_;

  ProductStage stage_;
  onednn::ProductBias product_bias_;
  std::vector<float> bias_values_;
};

}  // namespace

void RegisterOnednnFC(const char* name, const EngineSuffixes& suffixes) {
  RegisterEngine<FcOp>(name, suffixes);
}

}  // namespace caffe2_quantization
