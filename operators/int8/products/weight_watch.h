// When an operator reads its weights anew. An operator that keeps something it
// made of input blobs (packed weights, a bias) asks a WeightWatch in every run
// whether the blobs still hold what it was made of:
//
//   weights_watch_.Update({&w, &b}, always, [&] { /* reads all of them */ });
//
// The rule. The blobs are read in the operator's first run, and again, all of
// them, in the first run that finds in one of them
//   - another type of content, or of a tensor's elements;
//   - another storage, another place in it, or other sizes;
//   - another scale or zero point of an Int8TensorCPU;
//   - other packed weights, or another packed bias.
// Storages are told apart as objects, not by their addresses: one that was made
// after another one was freed counts as another, wherever it lies. Other values
// in the same storage are not seen; an operator passes `always` for weights
// that change so.
//
// All blobs are read together, so that an operator never has the weights of one
// state and the bias of another. A reading that throws leaves nothing kept: the
// next run reads again.
//
// Costs: a comparison of a few numbers a blob, no atomic operation. A storage
// is remembered by a weak reference, which does not keep its memory.
// Thread rule: one at a time, as the operator it belongs to; blobs may be
// shared with other operators that run at the same time.
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

  // Calls read() if it must be, by the rule above or because of `always`. read
  // may throw; what it reads of blobs other than these is not watched.
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
    // Of a tensor. The storage object's address is no other's as long as the
    // weak reference is there.
    c10::weak_intrusive_ptr<c10::StorageImpl> storage_;
    const void* data_ = nullptr;
    caffe2::TypeMeta element_type_;
    std::vector<int64_t> sizes_;
    float scale_ = 0;
    int32_t zero_point_ = 0;
    // Of packed weights: these, and their bias.
    std::array<std::weak_ptr<const void>, 2> packed_;
    const void* object_ = nullptr;  // of another form
  };

  bool IsCurrent(Blobs blobs) const;

  std::vector<Content> seen_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WEIGHT_WATCH_H_
