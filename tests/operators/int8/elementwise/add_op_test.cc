// Add, Int8Add and Int8AddRelu under the engine ONEDNN, against doubles and
// against DNNLOWP; then what Add and Mul have in common: shapes, in place,
// refusals.
#include <gtest/gtest.h>
#include <omp.h>

#include "tests/operators/int8/elementwise/operand_pairs.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

std::vector<Expected> SumOfPairs(const OperatorCase& c) {
  return ExpectedOfPairs(c, [](double a, double b) { return a + b; });
}

OperatorTester Tester() {
  OperatorTester tester("Add", {"Int8AddRelu"});
  tester.Inputs(2)
      .TakesDequantizeOutput()
      .Broadcast()
      .InPlace(0)
      .InPlace(1)
      .Reference(SumOfPairs)
      .ExactCodes()
      .Vary([](TestRandom* random, OperatorCase* c) {
        VaryShapes(random, c);
        // DNNLOWP repeats nothing unless it is asked to.
        c->host_is_wrong = c->Argument("broadcast", 0) == 0 &&
                           c->Input(0).shape != c->Input(1).shape;
        // Of tensors of one size it adds the zero point before it rounds.
        c->host_within = 1;
      });
  return tester;
}

TEST(AddOp, LikeDoubles) {
  Tester().TakesFloats().AgainstReference(CaseCount(400, 2000));
}

// Of codes alone: DNNLOWP cuts floats where their 8-bit codes would end.
TEST(AddOp, LikeDnnlowp) {
  const int64_t count = CaseCount(400, 2000);
  Tester()
      // With broadcast it makes 16 bits.
      .Incomparable(
          0, count * 3 / 4,
          [](const OperatorCase& c, const TestTensor& ours, const TestTensor&) {
            return c.Argument("broadcast", 0) == 1 && SixteenBitsShow(c, ours);
          })
      .InexactShare(0.01, 1, 100)
      .AgainstDnnlowp(count);
}

caffe2::OperatorDef Definition(const std::string& type,
                               const std::string& y = "y") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"a", "b"}, {y});
  definition.set_engine("ONEDNN");
  return definition;
}

caffe2::OperatorDef With(caffe2::OperatorDef definition, float scale,
                         int zero_point) {
  OpBuilder(&definition)
      .Float("Y_scale", scale)
      .Int("Y_zero_point", zero_point);
  return definition;
}

class BinaryOpTest : public testing::Test {
 protected:
  void FeedA(const std::vector<uint8_t>& codes, const Shape& sizes,
             float scale = 1, int zero_point = 0) {
    FeedCodes(&workspace_, "a", codes, sizes, scale, zero_point);
  }
  void FeedB(const std::vector<uint8_t>& codes, const Shape& sizes,
             float scale = 1, int zero_point = 0) {
    FeedCodes(&workspace_, "b", codes, sizes, scale, zero_point);
  }
  Int8Values Run(const caffe2::OperatorDef& definition) {
    EXPECT_TRUE(workspace_.RunOperatorOnce(definition));
    return FetchCodes(workspace_, definition.output(0));
  }
  // Expects an error that says so, and that "y" is left as it was.
  void ExpectError(const caffe2::OperatorDef& definition,
                   const std::string& wanted) {
    FeedCodes<uint8_t>(&workspace_, "y", {5, 6}, {2}, 0.5f, 1);
    const std::string error =
        ErrorOf([&] { workspace_.RunOperatorOnce(definition); });
    EXPECT_NE(error.find(definition.type() + ": "), std::string::npos) << error;
    EXPECT_NE(error.find(wanted), std::string::npos) << error;
    EXPECT_EQ(FetchCodes(workspace_, "y"), (Int8Values{{2}, {5, 6}, 0.5f, 1}));
  }

  caffe2::Workspace workspace_;
};

// Values -1.5, -0.5, 0.5, 1.5, 2.5 and 300: halves to even, then the zero
// point, which is odd. DNNLOWP gives 2, 2, 4, 4, 6 and 255.
TEST_F(BinaryOpTest, AddRoundsHalfToEvenBeforeItAddsTheZeroPoint) {
  FeedA({7, 9, 11, 13, 15, 255}, {2, 3}, 0.25f, 10);
  FeedB({1, 1, 1, 1, 1, 90}, {2, 3}, 1, 1);
  for (const char* type : {"Add", "Int8Add"}) {
    EXPECT_EQ(Run(With(Definition(type), 0.5f, 3)),
              (Int8Values{{2, 3}, {1, 3, 3, 5, 5, 255}, 0.5f, 3}));
  }
}

// Given parameters of 0.5, 3 end at 126, which is 255 steps from 0.
TEST_F(BinaryOpTest, AddReluBeginsAtZero) {
  FeedA({0, 20, 255}, {3}, 1, 10);
  FeedB({0, 0, 255}, {3}, 1, 10);
  const Int8Values y = Run(With(Definition("Int8AddRelu"), 0.5f, 3));
  EXPECT_FLOAT_EQ(y.scale, 126.0f / 255);
  EXPECT_EQ(y.zero_point, 0);
  EXPECT_EQ(y.codes, (std::vector<int>{0, 0, 255}));
}

// A zero of a wide scale adds nothing. Through 16 bits of the wide scale 75 %
// of DNNLOWP's codes change, if B is one value.
TEST_F(BinaryOpTest, AddsZerosOfAWideScaleExactly) {
  std::vector<uint8_t> codes(256);
  for (int i = 0; i < 256; ++i) codes[i] = static_cast<uint8_t>(i);
  FeedA(codes, {256}, 1e-4f, 128);
  FeedB({77}, {1}, 0.1f, 77);
  auto definition = With(Definition("Add"), 1e-4f, 128);
  OpBuilder(&definition).Int("broadcast", 1);
  EXPECT_EQ(Run(definition).codes,
            std::vector<int>(codes.begin(), codes.end()));
}

TEST_F(BinaryOpTest, MulRoundsHalfToEvenBeforeItAddsTheZeroPoint) {
  FeedA({7, 9, 11, 13, 15, 0, 255}, {7}, 0.25f, 10);
  FeedB({2, 2, 2, 2, 2, 255, 255}, {7}, 0.5f, 1);
  for (const char* type : {"Mul", "Int8Mul"}) {
    EXPECT_EQ(Run(With(Definition(type), 0.25f, 3)),
              (Int8Values{{7}, {1, 3, 3, 5, 5, 0, 255}, 0.25f, 3}));
  }
}

// 100 * a + b, or a * b.
TEST_F(BinaryOpTest, RepeatsB) {
  FeedA({1, 2, 3, 4, 5, 6}, {2, 3});
  const auto run = [&](const char* type, const char* axis_str, int axis) {
    auto definition = With(Definition(type), 1, 0);
    OpBuilder builder(&definition);
    builder.Int("broadcast", 1);
    if (axis_str != nullptr) {
      builder.String("axis_str", axis_str).String("order", "NCHW");
    } else {
      builder.Int("axis", axis);
    }
    return Run(definition).codes;
  };
  FeedB({10, 20, 30}, {3});
  EXPECT_EQ(run("Add", nullptr, -1),
            (std::vector<int>{11, 22, 33, 14, 25, 36}));
  EXPECT_EQ(run("Int8Mul", "C", 0),
            (std::vector<int>{10, 40, 90, 40, 100, 180}));
  FeedB({10, 20}, {2});
  EXPECT_EQ(run("Int8Add", nullptr, 0),
            (std::vector<int>{11, 12, 13, 24, 25, 26}));
  EXPECT_EQ(run("Mul", "N", 0), (std::vector<int>{10, 20, 30, 80, 100, 120}));
  FeedB({10}, {1, 1, 1});  // one value, of any rank
  EXPECT_EQ(run("Add", nullptr, -1),
            (std::vector<int>{11, 12, 13, 14, 15, 16}));
}

// Without broadcast either side is repeated, as the host's floats are.
TEST_F(BinaryOpTest, RepeatsAsNumpy) {
  FeedA({1, 2}, {2, 1});
  FeedB({10, 20, 30}, {3});
  EXPECT_EQ(Run(With(Definition("Add"), 1, 0)),
            (Int8Values{{2, 3}, {11, 21, 31, 12, 22, 32}, 1, 0}));
  EXPECT_EQ(Run(With(Definition("Mul"), 1, 0)),
            (Int8Values{{2, 3}, {10, 20, 30, 20, 40, 60}, 1, 0}));
  FeedA({}, {0, 1});
  EXPECT_EQ(Run(Definition("Mul")).sizes, (Shape{0, 3}));
}

TEST_F(BinaryOpTest, RefusesShapesThatDoNotFit) {
  FeedA({1, 2, 3, 4, 5, 6}, {2, 3});
  FeedB({1, 2, 3, 4, 5, 6}, {3, 2});
  const std::string tensors = ": A is tensor 'a', B is 'b': A has sizes [2, 3]";
  // DNNLOWP adds them in memory's order.
  for (const char* type : {"Add", "Int8Add", "Int8AddRelu", "Mul", "Int8Mul"}) {
    ExpectError(With(Definition(type), 1, 0),
                type + tensors + ", B [3, 2], of which 3 and 2 meet");
  }
  auto definition = Definition("Mul");
  OpBuilder(&definition).Int("broadcast", 1);
  ExpectError(definition, tensors + ", B [3, 2], with broadcast = 1");
}

TEST_F(BinaryOpTest, RefusesToWriteOverASmallerInput) {
  FeedA({1, 2, 3, 4, 5, 6}, {2, 3});
  FeedB({1, 2, 3}, {3});
  for (const char* type : {"Add", "Int8Mul"}) {
    ExpectError(With(Definition(type, "b"), 1, 0),
                "the output, of sizes [2, 3], is in place of tensor 'b', of "
                "sizes [3], expected the same sizes, or another blob");
  }
  EXPECT_EQ(FetchCodes(workspace_, "b"), (Int8Values{{3}, {1, 2, 3}, 1, 0}));
}

TEST_F(BinaryOpTest, RefusesArguments) {
  FeedA({1}, {1});
  FeedB({1}, {1});
  const auto error = [&](const std::string& wanted, const auto& change) {
    for (const char* type : {"Add", "Mul"}) {
      auto definition = Definition(type);
      change(OpBuilder(&definition));
      ExpectError(definition, wanted);
    }
  };
  error("argument broadcast is 2, expected 0 or 1",
        [](OpBuilder op) { op.Int("broadcast", 2); });
  error("argument axis is given without broadcast = 1",
        [](OpBuilder op) { op.Int("axis", 0); });
  error("argument axis_str is given without broadcast = 1",
        [](OpBuilder op) { op.String("axis_str", "C"); });
  error("argument axis is not an integer",
        [](OpBuilder op) { op.Int("broadcast", 1).String("axis", "C"); });
  error("argument axis_str is 'D', expected one letter of the order, 'NCHW'",
        [](OpBuilder op) { op.Int("broadcast", 1).String("axis_str", "D"); });
  error("argument axis_str is 'CH', expected one letter",
        [](OpBuilder op) { op.Int("broadcast", 1).String("axis_str", "CH"); });
  error("arguments axis, 0, and axis_str, 'N', are both given",
        [](OpBuilder op) {
          op.Int("broadcast", 1).Int("axis", 0).String("axis_str", "N");
        });
}

// Int8Mul has no schema in the host.
TEST_F(BinaryOpTest, RefusesOtherNumbersOfInputs) {
  FeedA({1}, {1});
  for (const char* type : {"Add", "Int8Add", "Int8Mul"}) {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, type, {"a"}, {"y"});
    definition.set_engine("ONEDNN");
    EXPECT_NE(ErrorOf([&] { workspace_.RunOperatorOnce(definition); }), "");
    OpBuilder(&definition, type, {"a", "a"}, {});
    EXPECT_NE(ErrorOf([&] { workspace_.RunOperatorOnce(definition); }), "");
  }
}

// The host counts the values of its float operators in 32 bits.
TEST_F(BinaryOpTest, RefusesToChooseForMoreValuesThanTheHostCounts) {
  const int64_t size = 1 << 16;
  FeedA(std::vector<uint8_t>(size), {size, 1});
  FeedB(std::vector<uint8_t>(size), {size});
  ExpectError(Definition("Add"),
              "the output has 4294967296 values, for which the float operator "
              "cannot be run, expected at most 2147483647; or int8 tensors "
              "alone with Y_scale and Y_zero_point");
}

TEST_F(BinaryOpTest, RefusesValuesThatHaveNoRange) {
  FeedFloats(&workspace_, "a", {1, 1e38f * 10, 2});
  FeedB({1, 2, 3}, {3});
  ExpectError(Definition("Mul"),
              "tensor 'a' has 1 of 3 values that are NaN or infinite");
  EXPECT_EQ(Run(With(Definition("Mul"), 1, 10)).codes,
            (std::vector<int>{11, 255, 16}));
}

// Later runs have other sizes, forms and parameters.
TEST_F(BinaryOpTest, FollowsItsInputs) {
  FeedA({1, 2, 3}, {3}, 2);
  FeedB({1}, {1}, 3);
  workspace_.CreateBlob("y");
  const auto op =
      caffe2::CreateOperator(With(Definition("Add"), 1, 0), &workspace_);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace_, "y").codes, (std::vector<int>{5, 7, 9}));
  FeedA({1, 2, 3, 4}, {2, 2}, 1, 1);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace_, "y"),
            (Int8Values{{2, 2}, {3, 4, 5, 6}, 1, 0}));
  workspace_.RemoveBlob("b");
  FeedFloats(&workspace_, "b", {100, 50}, {2});
  const auto of_floats =
      caffe2::CreateOperator(With(Definition("Add"), 1, 0), &workspace_);
  ASSERT_TRUE(of_floats->Run());
  EXPECT_EQ(FetchCodes(workspace_, "y").codes,
            (std::vector<int>{100, 51, 102, 53}));
}

// A row's codes do not depend on the others, and none on the threads.
TEST_F(BinaryOpTest, IsTheSameForAnyNumberOfThreads) {
  TestRandom random;
  const int64_t rows = 1000, columns = 203;
  std::vector<uint8_t> a(rows * columns), b(columns);
  for (uint8_t& code : a) code = random.Byte();
  for (uint8_t& code : b) code = random.Byte();
  FeedA(a, {rows, columns}, 0.011f, 17);
  FeedB(b, {columns}, 0.023f, 200);
  const int before = omp_get_max_threads();
  for (const char* type : {"Add", "Mul"}) {
    const auto definition = With(Definition(type), 0.031f, 128);
    std::vector<Int8Values> results;
    for (const int threads : {1, 2, 3}) {
      omp_set_num_threads(threads);
      results.push_back(Run(definition));
    }
    omp_set_num_threads(before);
    EXPECT_EQ(results[1], results[0]);
    EXPECT_EQ(results[2], results[0]);
    FeedA({a.begin() + 5 * columns, a.begin() + 6 * columns}, {1, columns},
          0.011f, 17);
    const std::vector<int>& all = results[0].codes;
    EXPECT_EQ(
        Run(definition).codes,
        std::vector<int>(all.begin() + 5 * columns, all.begin() + 6 * columns));
    FeedA(a, {rows, columns}, 0.011f, 17);
  }
}

}  // namespace
}  // namespace caffe2_quantization
