// The host's two blob types of int8 quantization, which its library knows and
// its headers do not declare: what a quantization scheme and what chosen
// parameters are called in a workspace. Blobs hold them as std::unique_ptr.
//
// Name, members and their order are the host's own, so that both sides read
// what the other one made: its Int8GenQuantParams takes a scheme and gives
// parameters; its Int8Quantize and Int8FC (engine DNNLOWP) take parameters.
//
// Both have default visibility, although everything else of ours is hidden:
// the type ids, TypeMeta::Id<std::unique_ptr<…>>(), are the host's.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANT_BLOBS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANT_BLOBS_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace caffe2 {

// How to choose parameters.
struct __attribute__((visibility("default"))) Int8QuantSchemeBlob {
  std::string quantization_kind_;  // DNNLOWP's name: "MIN_MAX_QUANTIZATION" …
  bool preserve_sparsity_ = false;
};

// Chosen parameters of one tensor.
struct __attribute__((visibility("default"))) Int8QuantParamsBlob {
  struct TensorQuantizationParams {
    float scale = 1;
    int32_t zero_point = 0;
    // The host leaves it uninitialised in the blobs that it makes: written,
    // never read.
    int precision = 8;
  };
  TensorQuantizationParams qparam;
};

static_assert(offsetof(Int8QuantSchemeBlob, preserve_sparsity_) ==
                  sizeof(std::string),
              "the host's layout");
static_assert(sizeof(Int8QuantParamsBlob) == 12, "the host's layout");

}  // namespace caffe2

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_QUANT_BLOBS_H_
