// What tests of Add, Mul and Sum share: which values of A and B meet in an
// element of the output, found one element at a time; and cases of every form
// of it.
#ifndef CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_ELEMENTWISE_OPERAND_PAIRS_H_
#define CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_ELEMENTWISE_OPERAND_PAIRS_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/operators/int8/engine/operator_case.h"

namespace caffe2_quantization {

using Shape = std::vector<int64_t>;

struct OperandPairs {
  Shape shape;  // the output's
  // Of each element of the output, the elements of A and B.
  std::vector<int64_t> a, b;
};

// Of shapes that numpy repeats.
OperandPairs PairsOfEnds(const Shape& a, const Shape& b);
// Of the argument broadcast.
OperandPairs PairsOfAxis(const Shape& a, const Shape& b, int64_t axis);
// By the arguments of a case.
OperandPairs PairsOf(const OperatorCase& c);

// Shapes that numpy repeats, at times of no values.
void DrawEnds(TestRandom* random, Shape* a, Shape* b);

// Whether the 16 bits through which DNNLOWP passes most sums, of the range of
// the widest input, with a step of 6.1e-5 at least, can be seen in the codes of
// an output of this scale. Inputs are codes.
bool SixteenBitsShow(const OperatorCase& c, const TestTensor& y);

// Of a case of OperatorTester's Broadcast: without that argument half of the
// inputs get shapes that numpy repeats, and axis becomes axis_str at times.
void VaryShapes(TestRandom* random, OperatorCase* c);

// What an operator's `compute` makes of pairs of values.
template <typename Compute>
std::vector<Expected> ExpectedOfPairs(const OperatorCase& c,
                                      const Compute& compute) {
  const OperandPairs pairs = PairsOf(c);
  const bool rectifies = IsFusedWithRelu(c.kind) || IsFollowedByRelu(c);
  Expected expected;
  expected.shape = pairs.shape;
  for (std::size_t i = 0; i < pairs.a.size(); ++i) {
    const double a = c.Input(0).Real(pairs.a[i]);
    const double b = c.Input(1).Real(pairs.b[i]);
    const double value = compute(a, b);
    expected.values.push_back(rectifies ? std::max(value, 0.0) : value);
    // Three roundings to float: of both, and of what is made of them.
    const double slack = 0x1p-23 * (compute(std::abs(a), std::abs(b)));
    expected.slack.push_back(slack);
    expected.float_slack = std::max(expected.float_slack, slack);
  }
  return {expected};
}

}  // namespace caffe2_quantization

#endif  // CAFFE2_QUANTIZATION_TESTS_OPERATORS_INT8_ELEMENTWISE_OPERAND_PAIRS_H_
