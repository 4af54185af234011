// Int8ConvPackWeight under the engine ONEDNN: a filter, and a bias, in the form
// that convolutions of the engine multiply by.
//
//   filter [, bias] -> W_packed
//
//   filter     floats, or an Int8TensorCPU of uint8 codes; always in the order
//              NHWC, [M, kernel..., C / group], of 1 to 3 dimensions
//   bias       M floats, or an Int8TensorCPU of int32; needs in_scale
//   W_packed   a PackedConvWeights (conv_weights.h); the host's own packed
//              filters, of the engine DNNLOWP, are something else
//
// Arguments: group (1); quantize_groupwise, quantize_channelwise
// (conv_weights.h); in_scale, the scale of the convolution's input, in which
// the bias is quantized; save_unpacked_weights (0), keeps the codes too;
// weight_precision and the like (netdef/dnnlowp_settings.h). Strides,
// paddings and dilations, which DNNLOWP packs for, are not read: the packed
// form serves all of them.

#include "base/return_if_error.h"
#include "operators/int8/engine/operator.h"
#include "operators/int8/engine/register_engine.h"
#include "operators/int8/products/conv_weights.h"

namespace caffe2_quantization {
namespace {

constexpr int kFilter = 0;
constexpr int kBias = 1;
constexpr int kMostDims = 3;

class ConvPackWeightOp final : public Int8Operator<uint8_t> {
 public:
  ConvPackWeightOp(const caffe2::OperatorDef& definition,
                   caffe2::Workspace* workspace)
      : Int8Operator(definition, workspace, OperatorForm()) {}

 protected:
  Status ReadArguments() override {
    options_.choose = arguments().weights;
    RETURN_IF_ERROR(
        FirstError({ReadConvGranularity(debug_def(), &options_.granularity),
                    ReadBoolArgument(debug_def(), "save_unpacked_weights",
                                     &save_unpacked_)}));
    const std::string order = GetSingleArgument<std::string>("order", "NHWC");
    if (order == "NHWC" || order == "nhwc") return Status::Ok();
    return Refuse("argument order is '", order,
                  "', expected NHWC: filters are packed from [M, kernel..., "
                  "C / group] alone");
  }

  void Compute() override {
    const std::string name = "filter '" + Name(kFilter) + "': ";
    const WeightValues filter =
        WeightInput(this, kFilter, ", an Int8TensorCPU");
    const onednn::ConvolutionShape shape = ShapeOf(filter.tensor());
    PackedConvWeights packed;
    EnforceOk(*this, MakeConvWeights(filter, shape, options_, &packed.weights),
              name);
    if (save_unpacked_) {
      QuantizedWeights<int8_t> quantized;
      EnforceOk(*this,
                MakeCodes(filter, shape.out_channels,
                          NumSets(shape, options_.granularity), options_.choose,
                          &quantized),
                name);
      packed.codes = std::move(quantized.codes);
    }
    packed.sizes = filter.tensor().sizes().vec();
    packed.groups = shape.groups;
    if (InputSize() > kBias) {
      Enforce(HasSingleArgumentOfType<float>("in_scale"),
              "no argument in_scale, expected the scale of the convolution's "
              "input, a float, to quantize bias '",
              Name(kBias), "' with");
      const float x_scale = GetSingleArgument<float>("in_scale", 0);
      EnforceOk(
          *this,
          QuantizationParams(QuantizedType::UInt8(), x_scale, 0).Validate(),
          "argument in_scale: ");
      packed.bias = std::make_shared<const onednn::ProductBias>(BiasInUnits(
          *this, kBias,
          ReadBias(this, kBias, shape.out_channels, BiasOwner::kConv), x_scale,
          packed.weights->quantized.scales,
          /*check_unit=*/true, BiasOwner::kConv));
      packed.in_scale = x_scale;
    }
    *OperatorBase::Output<PackedConvWeights>(0) = std::move(packed);
  }

 private:
  // The packed form's part of a convolution's shape.
  onednn::ConvolutionShape ShapeOf(const caffe2::Tensor& filter) {
    const std::string& name = Name(kFilter);
    int64_t groups = 1;
    EnforceOk(*this, ReadIntArgument(debug_def(), "group", &groups));
    Enforce(groups >= 1, "argument group is ", groups, ", expected 1 or more");
    const int dims = filter.dim() - 2;
    Enforce(dims >= 1 && dims <= kMostDims, "filter '", name, "' has sizes ",
            filter.sizes(),
            ", expected [M, kernel..., C / group] with a kernel of 1 to 3 "
            "dimensions");
    Enforce(filter.numel() > 0 && filter.size(0) % groups == 0, "filter '",
            name, "' has sizes ", filter.sizes(),
            ", expected none that is 0, and output channels that ", groups,
            " groups divide");
    onednn::ConvolutionShape shape;
    shape.batch = 0;
    shape.in_channels = filter.size(dims + 1) * groups;
    shape.out_channels = filter.size(0);
    shape.groups = groups;
    shape.dims = dims;
    for (int dim = 0; dim < dims; ++dim) {
      shape.kernel[dim] = filter.size(dim + 1);
      shape.input[dim] = shape.kernel[dim];
    }
    return shape;
  }

  ConvWeightsOptions options_;
  bool save_unpacked_ = false;
};

}  // namespace

void RegisterOnednnConvPackWeight(const char* name,
                                  const EngineSuffixes& suffixes) {
  RegisterEngine<ConvPackWeightOp>(name, suffixes);
}

}  // namespace caffe2_quantization
