// Finds the shapes of a product of batches of matrices, as the host's
// BatchMatMul has them.
//
// Thread rule: a value, and a pure function.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BATCH_MATMUL_SHAPE_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BATCH_MATMUL_SHAPE_H_

#include <cstdint>
#include <vector>

#include "base/status.h"

namespace caffe2_quantization {

// Which products are to be computed.
struct BatchMatMulShape {
  int64_t m = 0, n = 0, k = 0;
  int64_t a_batches = 1, b_batches = 1;
  int64_t batches = 1;  // of Y; product i takes i mod a_batches of A, and so on
  std::vector<int64_t> y;
};

// Sets *shape for A [..., m, k] and B [..., k, n], or transposed ones. Errors
// name the dimension. batch_matmul_op.cc explains trans_a, trans_b and
// broadcast.
Status MakeBatchMatMulShape(const std::vector<int64_t>& a,
                            const std::vector<int64_t>& b, bool trans_a,
                            bool trans_b, bool broadcast,
                            BatchMatMulShape* shape);

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_PRODUCTS_BATCH_MATMUL_SHAPE_H_
