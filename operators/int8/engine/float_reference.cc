#include "operators/int8/engine/float_reference.h"

#include <algorithm>

#include "quantization/onednn/parallel.h"
#include "quantization/quantization_params.h"
#include "quantization/quantize_one_set.h"

namespace caffe2_quantization {

using caffe2::int8::Int8TensorCPU;

FloatReference::FloatReference(const caffe2::OperatorDef& definition,
                               const char* type, int num_inputs)
    : type_(type), shares_(num_inputs, false) {
  // Names of its own: an operator that runs in place would write over its
  // input.
  caffe2::OperatorDef float_definition = definition;
  float_definition.set_type(type);
  float_definition.clear_engine();
  float_definition.clear_input();
  float_definition.clear_output();
  for (int i = 0; i < num_inputs; ++i) {
    const std::string name = "input_" + std::to_string(i);
    float_definition.add_input(name);
    inputs_.push_back(workspace_.CreateBlob(name));
    caffe2::BlobGetMutableTensor(inputs_.back(), caffe2::CPU);
  }
  float_definition.add_output("output");
  for (int i = 1; i < definition.output_size(); ++i) {
    float_definition.add_output("output_" + std::to_string(i));
  }
  op_ = caffe2::CPUOperatorRegistry()->Create(type, float_definition,
                                              &workspace_);
  CAFFE_ENFORCE(op_ != nullptr, definition.type(),
                ": the host has no operator ", type,
                " to run beside it, expected one of floats");
}

void FloatReference::SetInput(int index, const caffe2::Tensor& values) {
  inputs_[index]->ShareExternal<caffe2::Tensor>(
      const_cast<caffe2::Tensor*>(&values));
  shares_[index] = true;
}

void FloatReference::SetInput(int index, const Int8TensorCPU& codes) {
  // What it shares is not ours to write to.
  if (shares_[index]) inputs_[index]->Reset();
  shares_[index] = false;
  auto& x = *caffe2::BlobGetMutableTensor(inputs_[index], caffe2::CPU);
  x.ResizeLike(codes.t);
  auto* const values = x.mutable_data<float>();
  const int64_t count = codes.t.numel();
  const auto params = [&](int bits) {
    QuantizationParams result({bits, false}, codes.scale, codes.zero_point);
    const Status status = result.Validate();
    CAFFE_ENFORCE(status.ok(), type_, " of floats: input ", index, ": ",
                  status.message());
    return result;
  };
  if (codes.t.IsType<uint8_t>()) {
    DequantizeOneSet(codes.t.data<uint8_t>(), count, params(8), values);
  } else if (codes.t.IsType<uint16_t>()) {
    DequantizeOneSet(codes.t.data<uint16_t>(), count, params(16), values);
  } else {
    CAFFE_ENFORCE(codes.t.IsType<int32_t>(), type_, " of floats: input ", index,
                  " is an Int8TensorCPU of ", codes.t.dtype().name(),
                  ", expected uint8, uint16 or int32");
    const auto* const sums = codes.t.data<int32_t>();
    std::transform(sums, sums + count, values, [&](int64_t sum) {
      return codes.scale * static_cast<float>(sum - codes.zero_point);
    });
  }
}

caffe2::Tensor& FloatReference::Run() {
  // The host computes on the same pool, of which a forked process has none.
  const onednn::ThreadsScope threads(onednn::MaxThreads());
  CAFFE_ENFORCE(op_->Run(), type_, " of floats failed");
  return Output(0);
}

caffe2::Tensor& FloatReference::Output(int index) {
  const std::string name =
      index == 0 ? "output" : "output_" + std::to_string(index);
  return *caffe2::BlobGetMutableTensor(workspace_.GetBlob(name), caffe2::CPU);
}

}  // namespace caffe2_quantization
