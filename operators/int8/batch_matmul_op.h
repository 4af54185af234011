// BatchMatMul and Int8BatchMatMul under the engine ONEDNN: products of matrices
// of integer codes, whose sums are exact for every K up to 2^31 - 1.
//
//   A, B -> Y
//
//   A, B    Int8TensorCPU of uint8, or uint16 (engines ending in _16); or float
//           tensors, which become codes by their smallest and largest value in
//           every run. [..., M, K] and [..., K, N]; with trans_a [..., K, M],
//           with trans_b [..., N, K]
//   Y       [..., M, N]: Int8TensorCPU of the same type, or with
//           dequantize_output a float tensor
//
// The equations are in product_stage.h, with B in the place of the weights and
// no bias. Shapes are as the host's BatchMatMul has them: the dimensions before
// the last two are the same, or with `broadcast` those of one operand end with
// the other's; a vector stands for [1, K] as A, for [K, 1] as B, and its
// dimension is left out of Y.
//
// constant_B (default 0; 8 bits alone): B is read in the first run, and again
// when another tensor is in its place (weight_watch.h), by the arguments for
// weights (netdef/dnnlowp_settings.h), with a parameter set for each of its
// matrices if it is of floats; its codes are shared with all that hold the same
// B in the process. Values that change where they are, are not seen, unless the
// host's float operator runs beside it: then B is read in every run.
//
// Parameters of Y: of the arguments (int8_arguments.h), else, in every run, of
// the range of what the host's float operator makes of the same inputs.
//
// What differs from DNNLOWP, beside errors for what it takes without a word:
//   - scales that change from run to run hold for their run (with constant_B it
//     keeps those of the first);
//   - floats come of the sums themselves; without constant_B it makes codes of
//     them, and these floats;
//   - codes of Y stay within activation_precision;
//   - products of 16-bit codes are added in 64 bits.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_BATCH_MATMUL_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_BATCH_MATMUL_OP_H_

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "caffe2/core/operator.h"
#include "operators/int8/int8_arguments.h"
#include "operators/int8/product_output.h"
#include "operators/int8/product_stage.h"
#include "operators/int8/quantized_input.h"
#include "operators/int8/quantized_weights.h"
#include "operators/int8/weight_watch.h"
#include "quantization/onednn/matmul.h"

namespace caffe2_quantization {

// Which products are to be taken.
struct BatchMatMulShape {
  int64_t m = 0, n = 0, k = 0;
  int64_t a_batches = 1, b_batches = 1;
  int64_t batches = 1;  // of Y; product i is of A's and B's i mod theirs
  std::vector<int64_t> y;
};

// Errors name the dimension. trans_a, trans_b, broadcast: as above.
Status MakeBatchMatMulShape(const std::vector<int64_t>& a,
                            const std::vector<int64_t>& b, bool trans_a,
                            bool trans_b, bool broadcast,
                            BatchMatMulShape* shape);

// The matrices of a B. T: int8_t or int16_t.
template <typename T>
struct BatchMatrices {
  // One parameter set, or one a matrix. The codes are kept of 16 bits alone,
  // each matrix as [n, k].
  QuantizedWeights<T> quantized;
  std::vector<int64_t> column_sums;  // [batches, n]
  std::vector<std::shared_ptr<const onednn::PackedMatrix>> packed;  // 8 bits
};

// T: uint8_t or uint16_t, which hold the codes.
template <typename T>
class BatchMatMulOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  BatchMatMulOp(const caffe2::OperatorDef& definition,
                caffe2::Workspace* workspace);
  bool RunOnDevice() override;

 private:
  using WeightCode = std::make_signed_t<T>;
  using Matrices = BatchMatrices<WeightCode>;

  void ReadArguments();
  // Of input B in this run.
  const caffe2::Tensor& BTensor();
  void ReadB(const BatchMatMulShape& shape);
  void ReadConstantB(const BatchMatMulShape& shape);
  Status MakeMatrices(QuantizedWeights<WeightCode> quantized,
                      const BatchMatMulShape& shape,
                      std::shared_ptr<const Matrices>* matrices) const;
  void SetStages(const BatchMatMulShape& shape, const InputCodes<T>& a,
                 const QuantizationParams* y);
  template <typename Y>
  Status Multiply(const BatchMatMulShape& shape, const T* a, Y* y) const;

  bool arguments_read_ = false;
  Int8Arguments arguments_;
  bool trans_a_ = false, trans_b_ = false;
  bool broadcast_ = false;
  bool constant_b_ = false;

  QuantizedInput<T> a_, b_;
  WeightWatch b_watch_;  // of a constant B
  std::shared_ptr<const Matrices> matrices_;
  std::vector<ProductStage> stages_;  // one a matrix of B
  ProductOutput<T> output_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_BATCH_MATMUL_OP_H_
