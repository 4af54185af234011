// BinaryOp: what Add and Mul have in common: two operands A and B of codes of 8
// bits, or floats, and the arguments by which one is repeated for the other.
#ifndef CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_BINARY_OP_H_
#define CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_BINARY_OP_H_

#include <cstdint>

#include "operators/int8/elementwise/arithmetic_op.h"

namespace caffe2_quantization {

// Arguments, as the host's float operators have them:
//
//   broadcast   0 (default): sizes are those of numpy. 1: the output has A's
//               sizes, and those of B are a part of them (broadcast.h)
//   axis        of A: where B's sizes begin; -1 (default): B's are A's last
//   axis_str    the same as a letter of `order` ("NCHW"), in place of axis
//
// Without broadcast = 1 an axis is refused, as DNNLOWP does.
class BinaryOp : public ArithmeticOp<uint8_t> {
 protected:
  using ArithmeticOp::ArithmeticOp;

  Status ReadArguments() final;
  void Compute() final;

  // Makes the kernel's parameters for a run: those of A, of B, and of the
  // output.
  virtual void Prepare(const kernels::CodeScale& a, const kernels::CodeScale& b,
                       float scale, const kernels::CodeRange& range) = 0;
  // Computes `count` codes; on several threads at once.
  virtual void ComputeCodes(const uint8_t* a, const uint8_t* b, int64_t count,
                            uint8_t* y) const = 0;

 private:
  bool broadcasts_ = false;
  int64_t axis_ = -1;
};

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_OPERATORS_INT8_ELEMENTWISE_BINARY_OP_H_
