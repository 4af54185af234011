// Weights of FC, BatchMatMul and Conv: as they come, as codes, and in the form
// that is multiplied.
//
// Codes are as DNNLOWP makes them: signed, by parameters chosen for unsigned
// codes and moved down by 2^(precision - 1).
// (caffe2/quantization/server/fbgemm_pack_op.cc of Caffe2, QuantizeWeight.)
//
// Thread rule: pure functions; call from any thread.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WEIGHTS_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WEIGHTS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/products/shared_weights.h"
#include "quantization/choose.h"
#include "quantization/onednn/matmul.h"
#include "quantization/status.h"

namespace caffe2_quantization {

// Weights as a blob has them: floats, or codes with one scale and zero point.
struct WeightValues {
  const caffe2::Tensor* floats = nullptr;
  const caffe2::int8::Int8TensorCPU* codes = nullptr;

  const caffe2::Tensor& tensor() const { return floats ? *floats : codes->t; }
  // Values, and the parameters that codes have.
  void AddTo(WeightsKey* key) const;
};

// Input `index` of op. Enforces that it is floats or codes; messages name the
// operator's type and the blob, and as what was expected a float tensor and
// `others`.
WeightValues WeightInput(caffe2::OperatorBase* op, int index,
                         const char* others);

// Reads the argument constant_weight (default 1). *choose becomes `weights`,
// but weights that are not constant are quantized by their range: as in
// DNNLOWP, what changes from run to run is not searched. An error names the
// argument.
Status ReadConstantWeight(const caffe2::OperatorDef& definition,
                          const ChooseOptions& weights, bool* is_constant,
                          ChooseOptions* choose);

// Weights as codes. T: int8_t or int16_t. w = scales[s] * (code -
// zero_points[s]), where s is the parameter set of the weight's row.
template <typename T>
struct QuantizedWeights {
  std::vector<T> codes;
  // One of each set: a tensor, a group of rows, or a row.
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
};

// w: [rows, columns], of which each of `sets` parameter sets has rows / sets
// rows. options: of weights, unsigned, as DnnlowpOptions gives them. Errors:
// weights that are not finite (the set is named), rows that `sets` does not
// divide, a precision that T does not hold.
template <typename T>
Status QuantizeWeights(const float* w, int64_t rows, int64_t columns,
                       int64_t sets, const ChooseOptions& options,
                       QuantizedWeights<T>* result);

// Codes of an Int8TensorCPU, which are unsigned: one set. Errors: values of
// another type than T's unsigned one, invalid scale or zero point.
template <typename T>
Status WeightsFromInt8Tensor(const caffe2::int8::Int8TensorCPU& w,
                             const ChooseOptions& options,
                             QuantizedWeights<T>* result);

// Either of both: floats in `sets` sets of [rows, ...].
template <typename T>
Status MakeCodes(const WeightValues& values, int64_t rows, int64_t sets,
                 const ChooseOptions& options, QuantizedWeights<T>* result);

// Quantizes the values and makes *result of the codes: make(quantized, &made)
// returns a Status. share: the process makes it once for the same values,
// options and form; form is all else that the result depends on.
template <typename T, typename Made, typename Make>
Status MakeWeights(const WeightValues& values, int64_t rows, int64_t sets,
                   const ChooseOptions& options, bool share,
                   std::initializer_list<int64_t> form, const Make& make,
                   std::shared_ptr<const Made>* result) {
  const auto make_all = [&](std::shared_ptr<const Made>* all) -> Status {
    QuantizedWeights<T> quantized;
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(
        MakeCodes(values, rows, sets, options, &quantized));
    auto made = std::make_shared<Made>();
    CAFFE2_QUANTIZATION_RETURN_IF_ERROR(make(std::move(quantized), made.get()));
    *all = std::move(made);
    return Status::Ok();
  };
  if (!share) return make_all(result);
  WeightsKey key;
  key.Add(rows);
  key.Add(sets);
  for (const int64_t number : form) key.Add(number);
  key.Add(options);
  values.AddTo(&key);
  return SharedWeightsOfProcess<Made>().GetOrMake(key, make_all, result);
}

// Weights in the form that is multiplied: n outputs of k products each. T:
// int8_t or int16_t; Packed: PackedMatrix or PackedFilter of
// quantization/onednn, of 8 bits. Not changed once made.
template <typename T, typename Packed>
struct ProductWeights {
  int64_t n = 0;
  int64_t k = 0;
  // The codes, [n, k], are kept where somebody reads them: always of 16 bits,
  // else on demand.
  QuantizedWeights<T> quantized;
  std::vector<int64_t> column_sums;  // [n]: sum over k of the codes
  std::shared_ptr<const Packed> packed;

  int64_t num_sets() const {
    return static_cast<int64_t>(quantized.scales.size());
  }
  // The parameter set of an output.
  int64_t SetOf(int64_t output) const { return output / (n / num_sets()); }
  // What a code of an output stands for.
  float Value(int64_t output, T code) const {
    const int64_t set = SetOf(output);
    return quantized.scales[set] * (code - quantized.zero_points[set]);
  }
};

template <typename T>
using MatrixWeights = ProductWeights<T, onednn::PackedMatrix>;

// Packs codes, [k, n] or [n, k] by order, whose parameters, n and k weights has
// already. Errors: what PackedMatrix refuses.
template <typename T>
Status PackMatrix(const T* codes, onednn::PackedMatrix::Order order,
                  bool keep_codes, MatrixWeights<T>* weights);

// The sum of each of n rows of k codes.
template <typename T>
std::vector<int64_t> RowSums(const T* codes, int64_t n, int64_t k);

// dst[j][i] = src[i][j], of a src of [rows, columns]; in tiles, so that what is
// read and what is written both stay in the cache.
template <typename T>
void Transpose(const T* src, int64_t rows, int64_t columns, T* dst) {
  constexpr int64_t kTile = 32;
  for (int64_t i0 = 0; i0 < rows; i0 += kTile) {
    const int64_t i_end = std::min(i0 + kTile, rows);
    for (int64_t j0 = 0; j0 < columns; j0 += kTile) {
      const int64_t j_end = std::min(j0 + kTile, columns);
      for (int64_t j = j0; j < j_end; ++j) {
        for (int64_t i = i0; i < i_end; ++i) {
          dst[j * rows + i] = src[i * columns + j];
        }
      }
    }
  }
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_WEIGHTS_H_
