// Weights and bias of the FC family of the engine ONEDNN, as codes, in the form
// that is multiplied; and the blob in which Int8FCPackWeight leaves them.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "caffe2/core/blob.h"
#include "caffe2/core/tensor.h"
#include "operators/int8/quantized_weights.h"
#include "quantization/choose.h"
#include "quantization/onednn/matmul.h"

namespace caffe2_quantization {

// Weights [n, k]. T: int8_t, or int16_t of engines ending in _16.
// Thread rule: not changed once made; any thread.
template <typename T>
struct FcWeights {
  int64_t n = 0;
  int64_t k = 0;
  // One set, or one a row. The codes, [n, k], are kept where somebody reads
  // them: always of 16 bits, else on demand.
  QuantizedWeights<T> quantized;
  std::vector<int64_t> column_sums;  // [n]: sum over k of the codes
  std::shared_ptr<const onednn::PackedMatrix> matrix;  // of 8 bits

  bool is_per_row() const { return n > 1 && num_sets() > 1; }
  int64_t num_sets() const {
    return static_cast<int64_t>(quantized.scales.size());
  }
  float scale(int64_t row) const {
    return quantized.scales[num_sets() == 1 ? 0 : row];
  }
  int32_t zero_point(int64_t row) const {
    return quantized.zero_points[num_sets() == 1 ? 0 : row];
  }
  // Bytes that it holds.
  std::size_t bytes() const;
};

// How weights become codes.
struct FcWeightsOptions {
  int axis_w = 1;        // the first dimension of W that counts as K
  bool per_row = false;  // a parameter set a row
  bool keep_codes = false;
  // Once in a process for the same content; for weights that do not change.
  bool share = true;
  ChooseOptions choose;  // of weights, as DnnlowpOptions gives them
};

// Of a blob with a float tensor or an Int8TensorCPU, whose one parameter set
// then holds for every row. Errors: another type; a dimension of K or N that is
// 0; what QuantizeWeights and PackedMatrix refuse.
template <typename T>
Status MakeFcWeights(const caffe2::Blob& w, const FcWeightsOptions& options,
                     std::shared_ptr<const FcWeights<T>>* weights);

// How many different weights of 8 bits the operators of this process hold now.
std::size_t NumSharedFcWeights();

// A bias [n] as it came: values, or codes of 32 bits with what 1 of them is
// worth. Thread rule: a value.
struct FcBias {
  std::vector<float> values;
  std::vector<int32_t> codes;
  std::vector<float> units;  // of codes: one, or one a row
  bool is_packed = false;    // with weights, for some input's scale

  // Codes that were packed and do not hold all values have these beside them.
  bool is_codes() const { return values.empty(); }
  float unit(int64_t row) const { return units[units.size() == 1 ? 0 : row]; }
};

// Of a blob with a float tensor, or an Int8TensorCPU of int32 with the zero
// point 0. Errors: another type or shape; values that are not finite.
Status ReadFcBias(const caffe2::Blob& blob, int64_t n, FcBias* bias);

// The bias in units of x_scale * weights.scale(i), rounded half to even:
// quantized_weights.h. An error where DNNLOWP has one: codes that are not
// packed with their weights, of one parameter set, whose unit is farther than
// 1e-4 from it.
template <typename T>
Status BiasCodes(const FcBias& bias, float x_scale, const FcWeights<T>& weights,
                 ProductBias* result);

// The same as floats: codes times their unit.
std::vector<float> BiasValues(const FcBias& bias);

// What Int8FCPackWeight makes of weights and, where it gets one, of a bias. A
// blob of it serves any number of operators and nets.
struct PackedFcWeights {
  std::shared_ptr<const FcWeights<int8_t>> weights;
  std::shared_ptr<const FcBias> bias;  // codes; null: none
  // "int8 weights [16, 8], one parameter set, with bias, 256 bytes"
  std::string ToString() const;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_FC_WEIGHTS_H_
