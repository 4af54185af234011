#include "operators/int8/conv_pack_weight_op.h"

#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "operators/int8/conv_geometry.h"
#include "operators/int8/int8_arguments.h"
#include "operators/registration.h"

namespace caffe2_quantization {

namespace {

constexpr int kFilter = 0;
constexpr int kBias = 1;
constexpr int kMostDims = 3;

}  // namespace

bool Int8ConvPackWeightOp::RunOnDevice() {
  const auto enforce = [&](const Status& status) {
    CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  };
  Int8Arguments arguments;
  ConvGranularity granularity;
  bool save_unpacked = false;
  enforce(ReadInt8Arguments(debug_def(), /*storage_bits=*/8,
                            /*relu_fused=*/false, &arguments));
  enforce(ReadConvGranularity(debug_def(), &granularity));
  enforce(
      ReadBoolArgument(debug_def(), "save_unpacked_weights", &save_unpacked));
  const std::string order = GetSingleArgument<std::string>("order", "NHWC");
  CAFFE_ENFORCE(order == "NHWC" || order == "nhwc", type(),
                ": argument order is '", order,
                "', expected NHWC: filters are packed from [M, kernel..., "
                "C / group] alone");

  const FilterValues filter = FilterInput(this, kFilter, "");
  const onednn::ConvolutionShape shape = ShapeOf(filter.tensor());
  const auto enforce_filter = [&](const Status& status) {
    CAFFE_ENFORCE(status.ok(), type(), ": filter '", debug_def().input(kFilter),
                  "': ", status.message());
  };
  PackedConvWeights packed;
  enforce_filter(PackConvWeights(filter, shape, granularity, arguments.weights,
                                 /*share=*/true, &packed.weights));
  if (save_unpacked) {
    QuantizedWeights<int8_t> quantized;
    enforce_filter(QuantizeFilter(filter, shape, granularity, arguments.weights,
                                  &quantized));
    packed.codes = std::move(quantized.codes);
  }
  packed.sizes = filter.tensor().sizes().vec();
  packed.groups = shape.groups;
  if (InputSize() > kBias) {
    const float x_scale = InputScale();
    packed.bias = std::make_shared<const ProductBias>(ConvBiasCodes(
        this, kBias, ReadConvBias(this, kBias, shape.out_channels), x_scale,
        packed.weights->scales, /*any_scale=*/false));
  }
  *OperatorBase::Output<PackedConvWeights>(0) = std::move(packed);
  return true;
}

onednn::ConvolutionShape Int8ConvPackWeightOp::ShapeOf(
    const caffe2::Tensor& filter) {
  const std::string& name = debug_def().input(kFilter);
  int64_t groups = 1;
  const Status status = ReadIntArgument(debug_def(), "group", &groups);
  CAFFE_ENFORCE(status.ok(), type(), ": ", status.message());
  CAFFE_ENFORCE(groups >= 1, type(), ": argument group is ", groups,
                ", expected 1 or more");
  const int dims = filter.dim() - 2;
  const std::string sizes = SizesText(filter.sizes().vec());
  CAFFE_ENFORCE(dims >= 1 && dims <= kMostDims, type(), ": filter '", name,
                "' has sizes ", sizes,
                ", expected [M, kernel..., C / group] with a kernel of 1 to 3 "
                "dimensions");
  CAFFE_ENFORCE(filter.numel() > 0 && filter.size(0) % groups == 0, type(),
                ": filter '", name, "' has sizes ", sizes,
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

float Int8ConvPackWeightOp::InputScale() {
  CAFFE_ENFORCE(HasSingleArgumentOfType<float>("in_scale"), type(),
                ": no argument in_scale, expected the scale of the "
                "convolution's input, a float, to quantize bias '",
                debug_def().input(kBias), "' with");
  const float scale = GetSingleArgument<float>("in_scale", 0);
  const Status status =
      QuantizationParams(QuantizedType::UInt8(), scale, 0).Validate();
  CAFFE_ENFORCE(status.ok(), type(), ": argument in_scale: ", status.message());
  return scale;
}

void RegisterOnednnInt8ConvPackWeight() {
  RegisterCpuOperator<Int8ConvPackWeightOp>("Int8ConvPackWeight_ENGINE_ONEDNN");
  RegisterCpuOperator<Int8ConvPackWeightOp>(
      "Int8ConvPackWeight_ENGINE_ONEDNN_ACC16");
}

}  // namespace caffe2_quantization
