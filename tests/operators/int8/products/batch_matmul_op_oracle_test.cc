// BatchMatMul and Int8BatchMatMul under the engine ONEDNN against the host's
// under DNNLOWP, in the same process, on the same blobs.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/operators/int8/engine/operator_tester.h"

namespace caffe2_quantization {
namespace {

TestTensor RandomOperand(TestRandom* random, const OperatorCase& c,
                         std::vector<int64_t> shape) {
  const int64_t count = NumValues(shape);
  if (random->OneIn(2)) {
    const float low = random->Float(-3, 0.5f), high = random->Float(0.75f, 4);
    return FloatTensor(RandomFloats(random, count, low, high),
                       std::move(shape));
  }
  const float scale = std::ldexp(random->Float(1, 2), random->Integer(-9, -3));
  const int32_t zero_point = random->Integer(0, c.largest_code);
  return CodeTensor(c.kind.is_wide() ? TestTensor::kUint16 : TestTensor::kUint8,
                    RandomCodes(random, count, 0, c.largest_code),
                    std::move(shape), scale, zero_point);
}

void DrawBatchMatMul(TestRandom* random, OperatorCase* c) {
  const bool wide = c->kind.is_wide();
  const int precision =
      random->OneIn(5) ? random->Integer(4, wide ? 12 : 8) : 8;
  c->largest_code = c->host_limit = (1 << precision) - 1;
  const bool trans_a = random->OneIn(2), trans_b = random->OneIn(2);
  const bool broadcast = random->OneIn(2);
  const int64_t m = random->OneIn(20) ? 0 : random->Integer(1, 40);
  const int64_t n = random->Integer(1, 40), k = random->Integer(1, 70);
  std::vector<int64_t> outer(random->Integer(0, 2));
  for (int64_t& size : outer) size = random->Integer(random->OneIn(10), 4);
  std::vector<int64_t> a = outer, b = outer;
  if (broadcast && !outer.empty()) {
    std::vector<int64_t>& shorter = random->OneIn(2) ? a : b;
    shorter.erase(shorter.begin(),
                  shorter.begin() + random->Integer(0, outer.size()));
  }
  a.push_back(trans_a ? k : m);
  a.push_back(trans_a ? m : k);
  b.push_back(trans_b ? n : k);
  b.push_back(trans_b ? k : n);
  if (broadcast && random->OneIn(8)) {
    if (!trans_a) a = {k};
    if (!trans_b && (trans_a || random->OneIn(2))) b = {k};
  }
  const bool b_is_vector = b.size() == 1;
  const bool constant_b = random->OneIn(2);
  const bool dequantizes = constant_b && !wide && random->OneIn(3);

  OpBuilder op(&c->definition, c->kind.type, {}, {"y"});
  c->AddInput("a", RandomOperand(random, *c, a));
  c->AddInput("b", RandomOperand(random, *c, b));
  // As in fc_op_oracle_test.cc.
  if (c->HasFloats() && (wide || precision != 8)) c->host_within = kAnyDistance;
  if (trans_a) op.Int("trans_a", 1);
  if (trans_b) op.Int("trans_b", 1);
  if (broadcast) op.Int("broadcast", 1);
  if (constant_b) op.Int("constant_B", 1);
  if (precision != 8) {
    op.Int("activation_precision", precision);
    op.Int("weight_precision", precision);
  }
  if (random->OneIn(4)) op.Int("preserve_activation_sparsity", 1);
  if (random->OneIn(4)) op.Int("preserve_weight_sparsity", 1);
  if (dequantizes) {
    op.Int("dequantize_output", 1);
  } else if (random->OneIn(2) || (trans_a && b_is_vector)) {
    // Else the range is that of the host's float operator, which writes past
    // its output for a vector with a transposed matrix.
    op.Float("Y_scale",
             std::ldexp(random->Float(1, 2), random->Integer(-5, 1)));
    op.Int("Y_zero_point", random->Integer(0, c->largest_code));
  }
}

TEST(BatchMatMulOpOracle, LikeTheHostOver2000RandomOperators) {
  OperatorTester("BatchMatMul")
      .Cases(DrawBatchMatMul)
      .HostLeavesEmptyParameters()
      .AgainstDnnlowp(2000);
}

}  // namespace
}  // namespace caffe2_quantization
