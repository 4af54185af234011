// Mul and Int8Mul under the engine ONEDNN, against doubles and against DNNLOWP.
// What they share with Add is in add_op_test.cc.
#include <gtest/gtest.h>

#include "tests/operators/int8/elementwise/operand_pairs.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

std::vector<Expected> ProductOfPairs(const OperatorCase& c) {
  return ExpectedOfPairs(c, [](double a, double b) { return a * b; });
}

OperatorTester Tester() {
  OperatorTester tester("Mul");
  tester.Inputs(2)
      .TakesDequantizeOutput()
      .Broadcast()
      .InPlace(0)
      .InPlace(1)
      .Reference(ProductOfPairs)
      .ExactCodes()
      .Vary([](TestRandom* random, OperatorCase* c) {
        VaryShapes(random, c);
        // DNNLOWP repeats nothing unless it is asked to.
        c->host_is_wrong = c->Argument("broadcast", 0) == 0 &&
                           c->Input(0).shape != c->Input(1).shape;
        // Its float multiplier tips what is nearly a tie.
        c->host_within = 1;
      });
  return tester;
}

TEST(MulOp, LikeDoubles) {
  Tester().TakesFloats().AgainstReference(CaseCount(400, 2000));
}

// Of codes alone: DNNLOWP makes codes of floats first, so that products are off
// by more than a step.
TEST(MulOp, LikeDnnlowp) {
  Tester().InexactShare(0.001, 1, 100).AgainstDnnlowp(CaseCount(400, 2000));
}

TEST(MulOp, Int8MulHasASchema) {
  const auto* const schema = caffe2::OpSchemaRegistry::Schema("Int8Mul");
  ASSERT_NE(schema, nullptr);
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8Mul", {"a", "b"}, {"y"});
  const auto shape = [](const std::vector<int>& sizes) {
    caffe2::TensorShape result;
    for (const int size : sizes) result.add_dims(size);
    result.set_data_type(caffe2::TensorProto::UINT8);
    return result;
  };
  const auto infer = [&] {
    return schema->InferTensor(definition, {shape({2, 1}), shape({3})})[0];
  };
  EXPECT_EQ(infer().data_type(), caffe2::TensorProto::UINT8);
  ASSERT_EQ(infer().dims_size(), 2);
  EXPECT_EQ(infer().dims(0), 2);
  EXPECT_EQ(infer().dims(1), 3);
  OpBuilder(&definition).Int("broadcast", 1).Int("dequantize_output", 1);
  EXPECT_EQ(infer().dims(1), 1);
  EXPECT_EQ(infer().data_type(), caffe2::TensorProto::FLOAT);
}

}  // namespace
}  // namespace caffe2_quantization
