// StoreHint: says where the stores of a large output go.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_STORE_HINT_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_STORE_HINT_H_

namespace caffe2_quantization {
namespace kernels {

// kAuto streams past the cache when what is moved is too large for it; each
// function says when.
enum class StoreHint { kAuto, kCached, kStreaming };

}  // namespace kernels
}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_KERNELS_STORE_HINT_H_
