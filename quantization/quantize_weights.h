// Quantizes the weights of products, each parameter set by itself: the one
// place in which floats become the codes of FC, Conv and BatchMatMul.
//
// Codes are as DNNLOWP makes them: signed, with parameters that are chosen for
// unsigned codes and then moved down by 2^(precision - 1). (Source:
// QuantizeWeight in caffe2/quantization/server/fbgemm_pack_op.cc of Caffe2.)
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "quantization/choose.h"

namespace caffe2_quantization {

// Weights as codes. T: int8_t or int16_t. w = scales[s] * (code -
// zero_points[s]), where s is the parameter set of the weight's row.
template <typename T>
struct QuantizedWeights {
  std::vector<T> codes;
  // One per set: the tensor, a group of rows, or a row.
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
};

// Quantizes w [rows, columns], in which each of `sets` parameter sets has
// rows / sets rows. A row is the weights of one output: for a filter the rows
// are its output channels, in both orders. options: those of weights, unsigned,
// as DnnlowpOptions of netdef/dnnlowp_settings.h gives them. Errors, which
// leave *result unchanged: weights that are not finite (the set is named), a
// number of rows that `sets` does not divide, a precision that T does not hold.
template <typename T>
Status QuantizeWeights(const float* w, int64_t rows, int64_t columns,
                       int64_t sets, const ChooseOptions& options,
                       QuantizedWeights<T>* result);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_QUANTIZATION_QUANTIZE_WEIGHTS_H_
