#include "operators/int8/products/weight_watch.h"

#include <algorithm>

#include "caffe2/core/tensor_int8.h"
#include "operators/int8/products/conv_weights.h"
#include "operators/int8/products/fc_weights.h"

namespace caffe2_quantization {
namespace {

using caffe2::int8::Int8TensorCPU;

// Of a tensor that has no values yet too.
const void* DataOf(const caffe2::Tensor& tensor) {
  const auto& impl = *tensor.unsafeGetTensorImpl();
  return static_cast<const char*>(impl.unsafe_storage().data()) +
         impl.storage_offset() * static_cast<int64_t>(impl.itemsize());
}

// By who owns it, also after it is gone: no other object is the same.
bool IsSame(const std::weak_ptr<const void>& seen,
            const std::shared_ptr<const void>& now) {
  return !seen.owner_before(now) && !now.owner_before(seen);
}

}  // namespace

WeightWatch::Content::Content(const caffe2::Blob& blob)
    : type_(blob.meta()), storage_(c10::intrusive_ptr<c10::StorageImpl>()) {
  if (blob.IsType<caffe2::Tensor>() && blob.Get<caffe2::Tensor>()) {
    form_ = Form::kTensor;
    Take(blob.Get<caffe2::Tensor>());
  } else if (blob.IsType<Int8TensorCPU>() && blob.Get<Int8TensorCPU>().t) {
    const auto& codes = blob.Get<Int8TensorCPU>();
    form_ = Form::kInt8Tensor;
    Take(codes.t);
    scale_ = codes.scale;
    zero_point_ = codes.zero_point;
  } else if (blob.IsType<PackedFcWeights>()) {
    const auto& packed = blob.Get<PackedFcWeights>();
    form_ = Form::kPackedFc;
    packed_ = {packed.weights, packed.bias};
  } else if (blob.IsType<PackedConvWeights>()) {
    const auto& packed = blob.Get<PackedConvWeights>();
    form_ = Form::kPackedConv;
    packed_ = {packed.weights, packed.bias};
  } else {
    object_ = blob.GetRaw();
  }
}

void WeightWatch::Content::Take(const caffe2::Tensor& tensor) {
  storage_ =
      tensor.unsafeGetTensorImpl()->unsafe_storage().getWeakStorageImpl();
  data_ = DataOf(tensor);
  element_type_ = tensor.dtype();
  sizes_ = tensor.sizes().vec();
}

bool WeightWatch::Content::IsOf(const caffe2::Tensor& tensor) const {
  return tensor &&
         storage_._unsafe_get_target() == tensor.unsafeGetTensorImpl()
                                              ->unsafe_storage()
                                              .unsafeGetStorageImpl() &&
         data_ == DataOf(tensor) && element_type_ == tensor.dtype() &&
         tensor.sizes() == sizes_;
}

bool WeightWatch::Content::IsIn(const caffe2::Blob& blob) const {
  if (blob.meta() != type_) return false;
  // GetRaw, since the type is known: Get would look it up again.
  const void* const object = blob.GetRaw();
  const auto holds = [&](const auto& packed) {
    return IsSame(packed_[0], packed.weights) &&
           IsSame(packed_[1], packed.bias);
  };
  switch (form_) {
    case Form::kTensor:
      return IsOf(*static_cast<const caffe2::Tensor*>(object));
    case Form::kInt8Tensor: {
      const auto& codes = *static_cast<const Int8TensorCPU*>(object);
      return codes.scale == scale_ && codes.zero_point == zero_point_ &&
             IsOf(codes.t);
    }
    case Form::kPackedFc:
      return holds(*static_cast<const PackedFcWeights*>(object));
    case Form::kPackedConv:
      return holds(*static_cast<const PackedConvWeights*>(object));
    case Form::kOther:
      return object == object_;
  }
  return false;
}

bool WeightWatch::IsCurrent(Blobs blobs) const {
  return std::equal(blobs.begin(), blobs.end(), seen_.begin(), seen_.end(),
                    [](const caffe2::Blob* blob, const Content& seen) {
                      return seen.IsIn(*blob);
                    });
}

}  // namespace caffe2_quantization
