// WeightWatch: decides when an operator reads its weights again. An operator
// that keeps something it made of input blobs (packed weights, a bias) asks a
// WeightWatch in every run whether the blobs still hold what it was made of:
//
//   weights_watch_.Update({&w, &b}, always, [&] { /* reads all of them */ });
//
// The rule. All blobs are read in the operator's first run, and again in the
// first run that finds in one of them
//   - another type of content, or of a tensor's elements;
//   - another storage, another place in it, or other sizes;
//   - another scale or zero point of an Int8TensorCPU;
//   - other packed weights, or another packed bias.
// Storages are told apart as objects, not by their addresses: a storage that
// was made after another one was freed counts as another, even at the same
// address. New values in the same storage are not noticed; an operator passes
// `always` for weights that change in this way.
//
// All blobs are read together, so that an operator never has the weights of one
// state and the bias of another. If reading throws, nothing is kept, and the
// next run reads again.
//
// Cost: a comparison of a few numbers per blob, and no atomic operation. A
// storage is remembered by a weak reference, which does not keep its memory.
// Thread rule: one thread at a time, as for the operator that owns it; blobs
// may be shared with other operators that run at the same time.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WEIGHT_WATCH_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WEIGHT_WATCH_H_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "c10/core/StorageImpl.h"
#include "c10/util/intrusive_ptr.h"
#include "caffe2/core/blob.h"
#include "caffe2/core/tensor.h"

namespace caffe2_quantization {

class WeightWatch {
 public:
  using Blobs = std::initializer_list<const caffe2::Blob*>;

  // Calls read() if the rule above or `always` requires it. read may throw.
  // Other blobs that it reads are not watched.
  template <typename Read>
  void Update(Blobs blobs, bool always, const Read& read) {
    if (!always && IsCurrent(blobs)) return;
    seen_.clear();
    read();
    for (const caffe2::Blob* blob : blobs) seen_.emplace_back(*blob);
  }

 private:
  // What a blob held.
  class Content {
   public:
    explicit Content(const caffe2::Blob& blob);
    bool IsIn(const caffe2::Blob& blob) const;

   private:
    bool IsOf(const caffe2::Tensor& tensor) const;
    void Take(const caffe2::Tensor& tensor);

    enum class Form { kTensor, kInt8Tensor, kPackedFc, kPackedConv, kOther };
    Form form_ = Form::kOther;
    caffe2::TypeMeta type_;
    // For a tensor. No other storage object has this address as long as the
    // weak reference exists.
    c10::weak_intrusive_ptr<c10::StorageImpl> storage_;
    const void* data_ = nullptr;
    caffe2::TypeMeta element_type_;
    std::vector<int64_t> sizes_;
    float scale_ = 0;
    int32_t zero_point_ = 0;
    // For packed weights: the weights and their bias.
    std::array<std::weak_ptr<const void>, 2> packed_;
    const void* object_ = nullptr;  // for any other form
  };

  bool IsCurrent(Blobs blobs) const;

  std::vector<Content> seen_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WEIGHT_WATCH_H_
