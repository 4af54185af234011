// QTensorFC: a fully connected layer whose products are computed on bit planes.
//
//   Y = X * transpose(W) + b
//
// With integers x, w and their scales and biases (value = scale * (x + bias)):
//   dot = sum over k of x[i][k] * w[j][k]
//       = sum over planes p, q of +-2^(p + q) * popcount(x_p[i] AND w_q[j])
//   Y[i][j] = float(sx * sw[j] * (dot + (bw[j] * sum_k x[i][k] + c[j])) + b[j])
//   c[j]    = bx * sum_k w[j][k] + K * bx * bw[j]
// dot and the sums of x and w are exact integers; the rest is computed in
// double, in the order written, and rounded to float once. The planes are those
// of two's complement: `precision` of them for unsigned operands, one more for
// signed ones. A product takes the time of planes(X) * planes(W) products of
// bits, so unsigned operands of few bits are fastest.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_FC_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_FC_OP_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "caffe2/core/operator.h"
#include "operators/qtensor_quantize_op.h"
#include "quantization/kernels/bit_matmul.h"
#include "quantization/kernels/bit_planes.h"
#include "serialization/qtensor_codec.h"

namespace caffe2_quantization {

// A matrix of integers as the kernels need it: rows of whole words, in planes
// of two's complement.
class BitMatrix {
 public:
  // Takes the integers in the planes of a QTensor of rows * columns elements.
  // The planes must outlive the matrix, which uses them in place if it can
  // (unsigned, columns a multiple of 32).
  void Assign(const uint8_t* planes, kernels::BitPlaneFormat format,
              std::size_t rows, std::size_t columns);

  // Returns rows [first, first + count); count is at most rows() - first.
  kernels::BitRows Rows(std::size_t first, std::size_t count) const;

  const uint8_t* data() const { return data_; }
  std::size_t rows() const { return rows_; }
  std::size_t row_bytes() const { return row_bytes_; }
  int planes() const { return planes_; }

 private:
  const uint8_t* data_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t row_bytes_ = 0;
  int planes_ = 0;
  bool is_signed_ = false;
  std::vector<uint8_t> storage_;
};

// Input 0   X, float tensor or QTensor with one scale and bias; [M, K], or more
//           dimensions, of which those from `axis` (default 1) on are K.
// Input 1   W, QTensor [N, K] or [N, ...] with K elements per row; with one
//           scale and bias, or one pair per channel of axis 0.
// Input 2   b, optional: float [N].
// Output 0  float tensor: the first `axis` dims of X, then N.
//
// Precisions are 1 to 8, signed or not. A K whose sums might not fit into 32
// bits is refused: K * (2^px - 1) * (2^pw - 1) must be at most 2^31 - 1, which
// for 8 by 8 bits means K <= 33025.
//
// Arguments for a float X: X_precision (default 8), X_signed (default 1),
// X_scale and X_bias (default 0). Without X_scale they are chosen from the data
// of each run, as QTensorQuantize does.
//
// W is packed in the first run, and again whenever its dims, format or planes
// differ from those that were packed. The operator keeps a copy of the planes
// and compares it with W byte for byte in every run, so a blob may be replaced
// or changed in place between runs. That costs the time of reading W twice, and
// twice the memory of W's planes.
class QTensorFCOp final : public caffe2::Operator<caffe2::CPUContext> {
 public:
  QTensorFCOp(const caffe2::OperatorDef& definition,
              caffe2::Workspace* workspace);
  bool RunOnDevice() override;

 private:
  // The shapes of a run, validated.
  struct Sizes {
    std::vector<int64_t> output;  // dims of Y
    std::size_t m = 0;
    std::size_t n = 0;
    std::size_t k = 0;
  };

  // X's integers, in X itself or as quantized from floats.
  struct Activations {
    const uint8_t* planes = nullptr;
    kernels::BitPlaneFormat format;
    QTensorScaleBias parameters;
  };

  // W's packed form, and what it was made from.
  struct PackedWeights {
    std::size_t n = 0;
    std::size_t k = 0;
    kernels::BitPlaneFormat format;
    std::vector<uint8_t> source;
    std::vector<uint32_t> panels;
    std::vector<int32_t> sums;  // one per row
    kernels::BitPanels View() const;
  };

  const QTensorCPU& QTensorInput(int index) const;
  Sizes CheckSizes(const QTensorCPU& weights) const;
  const float* CheckBias(std::size_t n) const;
  void CheckSums(const Sizes& sizes, kernels::BitPlaneFormat x,
                 kernels::BitPlaneFormat w) const;
  Activations QuantizeActivations(const caffe2::Tensor& tensor);
  Activations ReadActivations(const QTensorCPU& tensor) const;
  void PackWeights(const QTensorCPU& tensor, std::size_t n, std::size_t k);
  void Multiply(const Sizes& sizes, const Activations& x,
                const QTensorCPU& weights, const float* bias, float* dst);

  int axis_;
  kernels::BitPlaneFormat x_format_;
  std::optional<QTensorScaleBias> x_given_;

  PackedWeights weights_;
  // These are kept between runs only to reuse their memory.
  std::vector<uint8_t> x_planes_;
  BitMatrix x_matrix_;
  std::vector<int32_t> products_;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_QTENSOR_FC_OP_H_
