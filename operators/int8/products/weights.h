// The weights of FC, BatchMatMul and Conv: as a blob holds them, as codes, and
// in the form that is multiplied.
//
// Codes are signed, and quantization/quantize_weights.h makes them of floats.
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

#include "base/return_if_error.h"
#include "base/status.h"
#include "caffe2/core/operator.h"
#include "caffe2/core/tensor_int8.h"
#include "operators/int8/products/shared_weights.h"
#include "quantization/choose.h"
#include "quantization/onednn/matmul.h"
#include "quantization/quantize_weights.h"

namespace caffe2_quantization {

// Weights as a blob holds them: floats, or codes with one scale and zero point.
struct WeightValues {
  const caffe2::Tensor* floats = nullptr;
  const caffe2::int8::Int8TensorCPU* codes = nullptr;

  const caffe2::Tensor& tensor() const { return floats ? *floats : codes->t; }
  // Adds the values, and the parameters of codes, to a key.
  void AddTo(WeightsKey* key) const;
};

// Returns input `index` of op. Enforces that it is floats or codes; messages
// name the operator's type and the blob, and say that a float tensor or
// `others` was expected.
WeightValues WeightInput(caffe2::OperatorBase* op, int index,
                         const char* others);

// Reads the argument constant_weight (default 1). *choose becomes `weights`,
// but with the method min/max if the weights are not constant: as in DNNLOWP,
// there is no search for weights that change from run to run. An error names
// the argument.
Status ReadConstantWeight(const caffe2::OperatorDef& definition,
                          const ChooseOptions& weights, bool* is_constant,
                          ChooseOptions* choose);

// Takes the codes of an Int8TensorCPU, which are unsigned and have one set.
// Errors: values of another type than the unsigned form of T, an invalid scale
// or zero point.
template <typename T>
Status WeightsFromInt8Tensor(const caffe2::int8::Int8TensorCPU& w,
                             const ChooseOptions& options,
                             QuantizedWeights<T>* result);

// Does one of the two: floats are quantized in `sets` sets of [rows, ...].
template <typename T>
Status MakeCodes(const WeightValues& values, int64_t rows, int64_t sets,
                 const ChooseOptions& options, QuantizedWeights<T>* result);

// Quantizes the values and makes *result from the codes by make(quantized,
// &made), which returns a Status. With `share` the process makes it once for
// the same values, options and form; form is all else that the result depends
// on.
template <typename T, typename Made, typename Make>
Status MakeWeights(const WeightValues& values, int64_t rows, int64_t sets,
                   const ChooseOptions& options, bool share,
                   std::initializer_list<int64_t> form, const Make& make,
                   std::shared_ptr<const Made>* result) {
  const auto make_all = [&](std::shared_ptr<const Made>* all) -> Status {
    QuantizedWeights<T> quantized;
    RETURN_IF_ERROR(MakeCodes(values, rows, sets, options, &quantized));
    auto made = std::make_shared<Made>();
    RETURN_IF_ERROR(make(std::move(quantized), made.get()));
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
// quantization/onednn, for 8 bits. It does not change once it is made.
template <typename T, typename Packed>
struct ProductWeights {
  int64_t n = 0;
  int64_t k = 0;
  // The codes, [n, k], are kept if somebody reads them: always for 16 bits, for
  // 8 bits on demand.
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

// Packs codes, which are [k, n] or [n, k] by `order`. *weights already has
// their parameters, n and k. Errors: what PackedMatrix refuses.
template <typename T>
Status PackMatrix(const T* codes, onednn::PackedMatrix::Order order,
                  bool keep_codes, MatrixWeights<T>* weights);

// Returns the sum of each of n rows of k codes.
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
