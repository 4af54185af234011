// Scratch: memory that a thread keeps for intermediate results.
//
// Thread rule: any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_SCRATCH_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_SCRATCH_H_

#include <cstddef>
#include <cstdint>

#include "base/return_if_error.h"
#include "base/status.h"
#include "quantization/onednn/runtime.h"

namespace caffe2_quantization {
namespace onednn {

// A thread keeps at most kMostScratch bytes from one use to the next. Use one
// thread_local object per purpose.
inline constexpr std::size_t kMostScratch = std::size_t{16} << 20;

class Scratch {
 public:
  // Sets *result to at least `bytes` bytes, aligned to a cache line, valid
  // until the next call.
  Status Get(std::size_t bytes, uint8_t** result) {
    if (bytes > size_) {
      size_ = 0;
      bytes_.reset();  // before more is asked for
      RETURN_IF_ERROR(Allocate(bytes, &bytes_));
      size_ = bytes;
    }
    *result = bytes_.get();
    return Status::Ok();
  }

  // Call it after use.
  void GiveBack() {
    if (size_ <= kMostScratch) return;
    bytes_.reset();
    size_ = 0;
  }

 private:
  AlignedBytes bytes_;
  std::size_t size_ = 0;
};

}  // namespace onednn
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_ONEDNN_SCRATCH_H_
