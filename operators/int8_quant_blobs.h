// Declares the host's two blob types of int8 quantization, which its library
// knows but its headers do not declare: a quantization scheme and chosen
// parameters. Blobs hold them as std::unique_ptr.
//
// Names, members and their order are the host's own, so that each side reads
// what the other one made: the host's Int8GenQuantParams takes a scheme and
// gives parameters; its Int8Quantize and Int8FC (engine DNNLOWP) take
// parameters.
//
// Both have default visibility, although everything else of ours is hidden: the
// type ids, TypeMeta::Id<std::unique_ptr<…>>(), must be the host's.
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
    // We write it but never read it: the host leaves it uninitialised in the
    // blobs that it makes.
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
