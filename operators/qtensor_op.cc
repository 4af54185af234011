#include "operators/qtensor_op.h"

#include <vector>

#include "operators/enforce.h"
#include "operators/registration.h"
#include "quantization/kernels/bit_planes.h"
#include "serialization/qtensor_codec.h"
#include "serialization/qtensor_serializer.h"
#include "serialization/qtensor_validation.h"

namespace caffe2_quantization {
namespace {

constexpr char kQTensorsArgument[] = "qtensors";

// The argument's messages; null when there is no such argument.
const caffe2::Argument* FindQTensors(const caffe2::OperatorDef& definition) {
  for (const caffe2::Argument& argument : definition.arg()) {
    if (argument.name() == kQTensorsArgument) return &argument;
  }
  return nullptr;
}

// The float shape of a QTensor. One without dims holds nothing until it was
// resized with a purpose; the host says so by its size alone.
std::vector<int64_t> ShapeOf(const QTensorCPU& tensor) {
  if (tensor.ndim() == 0 && tensor.size() == 0) return {0};
  return std::vector<int64_t>(tensor.sizes().begin(), tensor.sizes().end());
}

}  // namespace

bool GivenQTensorFillOp::RunOnDevice() {
  const caffe2::Argument* argument = FindQTensors(debug_def());
  const int given = argument == nullptr ? 0 : argument->qtensors_size();
  CAFFE_ENFORCE_EQ(given, OutputSize(), type(), ": argument ",
                   kQTensorsArgument, " holds ", given, " QTensors, expected ",
                   OutputSize(), ", one an output");
  std::vector<caffe2::Blob> blobs(given);
  for (int i = 0; i < given; ++i) {
    caffe2::BlobProto proto;
    proto.set_name(debug_def().output(i));
    proto.set_type(kQTensorBlobType);
    *proto.mutable_qtensor() = argument->qtensors(i);
    QTensorDeserializer().Deserialize(proto, &blobs[i]);
  }
  for (int i = 0; i < given; ++i) OutputBlob(i)->swap(blobs[i]);
  return true;
}

bool QTensorDequantizeOp::RunOnDevice() {
  const std::string& name = debug_def().input(0);
  CAFFE_ENFORCE(InputBlob(0).IsType<QTensorCPU>(), type(), ": input '", name,
                "' is a blob of type ", InputBlob(0).meta().name(),
                ", expected a QTensor");
  const auto& tensor = OperatorBase::Input<QTensorCPU>(0);
  const Status status = ValidateQTensor(name, tensor);
  EnforceOk(*this, status);

  const double scale = tensor.scale();
  const double bias = tensor.bias();
  kernels::ChannelParams params;
  params.inner = tensor.size();
  params.scales = &scale;
  params.biases = &bias;
  const PerChannelQTensor* per_channel = AsPerChannel(tensor);
  if (per_channel != nullptr && per_channel->is_per_channel()) {
    const int axis = per_channel->axis();
    params.outer = static_cast<std::size_t>(tensor.size_to_dim(axis));
    params.channels = static_cast<std::size_t>(tensor.dim32(axis));
    params.inner = static_cast<std::size_t>(tensor.size_from_dim(axis + 1));
    params.scales = per_channel->extras().scales.data();
    params.biases = per_channel->extras().biases.data();
  }
  float* dst =
      Output(0, ShapeOf(tensor), at::dtype<float>())->mutable_data<float>();
  if (tensor.size() > 0) {
    kernels::DequantizeBitPlanes(
        tensor.data(), {tensor.precision(), tensor.is_signed()}, params, dst);
  }
  return true;
}

void RegisterGivenQTensorFill() {
  RegisterCpuOperator<GivenQTensorFillOp>("GivenQTensorFill");
  RegisterNoGradient("GivenQTensorFill");
  CAFFE2_QUANTIZATION_SCHEMA("GivenQTensorFill")
      .NumInputs(0)
      .NumOutputs(1, INT_MAX)
      .TensorInferenceFunction([](const caffe2::OperatorDef& definition,
                                  const std::vector<caffe2::TensorShape>&) {
        // The host has no tensor type for a QTensor; its dims are known.
        const caffe2::Argument* argument = FindQTensors(definition);
        std::vector<caffe2::TensorShape> shapes(definition.output_size());
        for (int i = 0; i < definition.output_size(); ++i) {
          shapes[i].set_data_type(caffe2::TensorProto::UNDEFINED);
          if (argument == nullptr || i >= argument->qtensors_size()) {
            shapes[i].set_unknown_shape(true);
            continue;
          }
          const caffe2::QTensorProto& proto = argument->qtensors(i);
          for (const int64_t dim : proto.dims()) {
            if (dim < 0) shapes[i].set_unknown_shape(true);
            shapes[i].add_dims(dim);
          }
          // Without dims there is one element, or without data none.
          if (proto.dims_size() == 0 && proto.data_size() == 0) {
            shapes[i].add_dims(0);
          }
        }
        return shapes;
      })
      .SetDoc("Fills each output with a QTensor that the NetDef carries.")
      .Arg("qtensors", "One QTensorProto an output.");
}

void RegisterQTensorDequantize() {
  RegisterCpuOperator<QTensorDequantizeOp>("QTensorDequantize");
  RegisterNoGradient("QTensorDequantize");
  CAFFE2_QUANTIZATION_SCHEMA("QTensorDequantize")
      .NumInputs(1)
      .NumOutputs(1)
      .TensorInferenceFunction([](const caffe2::OperatorDef&,
                                  const std::vector<caffe2::TensorShape>& in) {
        caffe2::TensorShape shape = in[0];
        shape.set_data_type(caffe2::TensorProto::FLOAT);
        return std::vector<caffe2::TensorShape>{shape};
      })
      .SetDoc("The values of a QTensor as floats: scale * (x + bias).")
      .Input(0, "Q", "QTensor blob")
      .Output(0, "X", "float tensor of Q's dims");
}

}  // namespace caffe2_quantization
