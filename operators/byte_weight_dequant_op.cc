#include "operators/byte_weight_dequant_op.h"

#include <limits>

#include "operators/registration.h"

namespace caffe2_quantization {

ByteWeightDequantOp::ByteWeightDequantOp(const caffe2::OperatorDef& definition,
                                         caffe2::Workspace* workspace)
    : Operator(definition, workspace),
      shape_(GetRepeatedArgument<int64_t>("shape")),
      count_(CheckedElementCount(type(), shape_)),
      equation_(caffe2::ArgumentHelper(definition), type()) {
  std::vector<float> mins;
  std::vector<float> maxs;
  if (HasArgument("axis")) {
    layout_ = SplitAtAxis(type(), shape_, GetSingleArgument<int>("axis", 0));
    mins = GetRepeatedArgument<float>("mins");
    maxs = GetRepeatedArgument<float>("maxs");
    const auto channels = static_cast<std::size_t>(layout_.channels);
    CAFFE_ENFORCE(mins.size() == channels && maxs.size() == channels, type(),
                  ": mins has ", mins.size(), " and maxs has ", maxs.size(),
                  " numbers, expected ", channels, ", one a channel of axis ",
                  GetSingleArgument<int>("axis", 0));
    CAFFE_ENFORCE(!HasArgument("min") && !HasArgument("max"), type(),
                  ": with axis the range is given by mins and maxs, not by min "
                  "and max");
  } else {
    CAFFE_ENFORCE(!HasArgument("mins") && !HasArgument("maxs"), type(),
                  ": mins and maxs need the argument axis");
    layout_.inner = count_;
    mins = {GetSingleArgument<float>("min", -3)};
    maxs = {GetSingleArgument<float>("max", 3)};
  }
  for (std::size_t c = 0; c < mins.size(); ++c) {
    const auto parameters = equation_.ForRange(mins[c], maxs[c]);
    scales_.push_back(parameters.scale);
    offsets_.push_back(parameters.offset);
  }
}

bool ByteWeightDequantOp::RunOnDevice() {
  const caffe2::Tensor& input = Input(0);
  const uint8_t* src;
  std::size_t available;
  if (input.IsType<uint8_t>()) {
    src = input.data<uint8_t>();
    available = input.nbytes();
  } else if (input.IsType<std::string>()) {
    CAFFE_ENFORCE_GE(input.numel(), 1, type(), ": input '",
                     debug_def().input(0),
                     "' is a string tensor with no string in it");
    const std::string& bytes = input.data<std::string>()[0];
    src = reinterpret_cast<const uint8_t*>(bytes.data());
    available = bytes.size();
  } else {
    CAFFE_THROW(type(), ": input '", debug_def().input(0), "' is a tensor of ",
                input.dtype().name(), ", expected uint8 or string");
  }
  CAFFE_ENFORCE_GE(available, static_cast<std::size_t>(count_), type(),
                   ": input '", debug_def().input(0), "' holds ", available,
                   " bytes, but shape (", c10::Join(", ", shape_),
                   ") asks for ", count_);

  // An output that shares the input's memory (Alias) must not write over it.
  if (OutputBlob(0)->IsType<caffe2::Tensor>()) {
    const auto* former =
        OutputBlob(0)->Get<caffe2::Tensor>().unsafeGetTensorImpl();
    if (former->has_storage() &&
        former->storage().is_alias_of(input.unsafeGetTensorImpl()->storage())) {
      OutputBlob(0)->Reset();
    }
  }
  caffe2::Tensor* output = Output(0, shape_, at::dtype<float>());
  float* dst = output->mutable_data<float>();
  if (count_ == 0) return true;
  if (layout_.channels == 1) {
    kernels::DequantizeByteWeights(equation_.formula(), src, count_, scales_[0],
                                   offsets_[0], dst);
  } else {
    kernels::DequantizeByteWeightsPerChannel(
        equation_.formula(), src, layout_.outer, layout_.channels,
        layout_.inner, scales_.data(), offsets_.data(), dst);
  }
  return true;
}

// The host has the schema and the no-gradient mark.
void RegisterByteWeightDequant() {
  RegisterCpuOperator<ByteWeightDequantOp>("ByteWeightDequant");
}

}  // namespace caffe2_quantization
