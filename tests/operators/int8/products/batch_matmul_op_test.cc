// BatchMatMul of the engine ONEDNN where it is not DNNLOWP's
// (batch_matmul_op_oracle_test.cc), its shapes, and what it refuses.
#include <gtest/gtest.h>

#include <cmath>

#include "operators/int8/products/batch_matmul_shape.h"
#include "tests/operators/int8/engine/test_tensor.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"

namespace caffe2_quantization {
namespace {

using Sizes = std::vector<int64_t>;

Status ShapeOf(const Sizes& a, const Sizes& b, bool trans_a, bool trans_b,
               bool broadcast, BatchMatMulShape* shape) {
  return MakeBatchMatMulShape(a, b, trans_a, trans_b, broadcast, shape);
}

TEST(BatchMatMulShape, OfEachForm) {
  const auto expect = [](const Sizes& a, const Sizes& b, bool trans_a,
                         bool trans_b, bool broadcast, const Sizes& mnk,
                         const Sizes& batches, const Sizes& y) {
    BatchMatMulShape shape;
    const Status status = ShapeOf(a, b, trans_a, trans_b, broadcast, &shape);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ((Sizes{shape.m, shape.n, shape.k}), mnk);
    EXPECT_EQ((Sizes{shape.a_batches, shape.b_batches, shape.batches}),
              batches);
    EXPECT_EQ(shape.y, y);
  };
  expect({2, 3}, {3, 4}, false, false, false, {2, 4, 3}, {1, 1, 1}, {2, 4});
  expect({3, 2}, {4, 3}, true, true, false, {2, 4, 3}, {1, 1, 1}, {2, 4});
  expect({5, 2, 3}, {5, 3, 4}, false, false, false, {2, 4, 3}, {5, 5, 5},
         {5, 2, 4});
  // One B for all: a product of more rows.
  expect({5, 6, 2, 3}, {3, 4}, false, false, true, {60, 4, 3}, {1, 1, 1},
         {5, 6, 2, 4});
  expect({5, 3, 2}, {3, 4}, true, false, true, {2, 4, 3}, {5, 1, 5}, {5, 2, 4});
  expect({6, 2, 3}, {5, 6, 3, 4}, false, false, true, {2, 4, 3}, {6, 30, 30},
         {5, 6, 2, 4});
  expect({3}, {5, 3, 4}, false, false, true, {1, 4, 3}, {1, 5, 5}, {5, 4});
  expect({5, 3, 2}, {3}, true, false, true, {2, 1, 3}, {5, 1, 5}, {5, 2});
  expect({3}, {3}, true, true, true, {1, 1, 3}, {1, 1, 1}, {1});
  expect({0, 2, 3}, {0, 3, 4}, false, false, false, {2, 4, 3}, {0, 0, 0},
         {0, 2, 4});
}

TEST(BatchMatMulShape, Refused) {
  const auto refused = [](const Sizes& a, const Sizes& b, bool trans_a,
                          bool trans_b, bool broadcast) {
    BatchMatMulShape shape;
    return ShapeOf(a, b, trans_a, trans_b, broadcast, &shape).message();
  };
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(refused({2, 3}, {5, 3, 4}, false, false, false),
         "as many dimensions of both");
  expect(refused({3}, {3}, false, false, false), "2 or more");
  expect(refused({}, {3}, false, false, true), "1 or more dimensions");
  expect(refused({2, 3}, {4, 3}, false, false, false), "3 of A and 4 of B");
  expect(refused({5, 2, 3}, {6, 3, 4}, false, false, true),
         "where A has 5 and B 6");
  expect(refused({3}, {5, 3, 4}, true, false, true), "no transposition");
  expect(refused({5, 2, 3}, {3}, false, true, true), "no transposition");
  expect(refused({2, 0}, {0, 4}, false, false, false), "a K of 1 or more");
}

class BatchMatMulOpTest : public testing::Test {
 protected:
  static caffe2::OperatorDef Definition(const std::string& suffix = "") {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "BatchMatMul", {"a", "b"}, {"y"});
    definition.set_engine("ONEDNN" + suffix);
    return definition;
  }

  caffe2::Workspace workspace_;
};

// Y of float operands is that of the host's float operator, to what codes of 8
// bits hold.
void ExpectNear(const TestTensor& y, const std::vector<float>& expected,
                float tolerance) {
  ASSERT_EQ(NumValues(y.shape), static_cast<int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const float value =
        y.is_float() ? y.floats[i]
                     : y.scale * static_cast<float>(y.codes[i] - y.zero_point);
    ASSERT_NEAR(value, expected[i], tolerance) << i;
  }
}

TEST_F(BatchMatMulOpTest, ScalesOfEachRun) {
  TestRandom random;
  const int64_t batches = 5, m = 6, n = 7, k = 8;
  FeedFloats(&workspace_, "b", RandomFloats(&random, batches * n * k, -1, 1),
             {batches, n, k});
  for (const bool constant : {false, true}) {
    for (const bool dequantize : {false, true}) {
      SCOPED_TRACE(std::to_string(constant) + std::to_string(dequantize));
      NetBuilder net("n", "simple");
      net.Op("BatchMatMul", {"a", "b"}, {"y"})
          .Int("trans_b", 1)
          .Int("constant_B", constant)
          .Int("dequantize_output", dequantize);
      net.Op("BatchMatMul", {"a", "b"}, {"expected"}).Int("trans_b", 1);
      caffe2::NetDef definition = net.Build();
      definition.mutable_op(0)->set_engine("ONEDNN");
      workspace_.DeleteNet("n");
      for (const float magnitude : {1.0f, 100.0f, 0.01f}) {
        FeedFloats(
            &workspace_, "a",
            RandomFloats(&random, batches * m * k, -magnitude, 2 * magnitude),
            {batches, m, k});
        if (magnitude == 1) {
          ASSERT_NE(workspace_.CreateNet(definition), nullptr);
        }
        ASSERT_TRUE(workspace_.RunNet("n"));
        ExpectNear(FetchTensor(workspace_, "y"),
                   Fetch<float>(workspace_, "expected"), 0.1f * magnitude);
      }
    }
  }
}

TEST_F(BatchMatMulOpTest, ConstantBOfAnotherShapeIsReadAgain) {
  NetBuilder net("n", "simple");
  net.Op("BatchMatMul", {"a", "b"}, {"y"})
      .Int("constant_B", 1)
      .Int("dequantize_output", 1);
  caffe2::NetDef definition = net.Build();
  definition.mutable_op(0)->set_engine("ONEDNN");
  FeedFloats(&workspace_, "a", {0, 255}, {1, 1, 2});
  FeedFloats(&workspace_, "b", {0, 255}, {1, 2, 1});
  ASSERT_NE(workspace_.CreateNet(definition), nullptr);
  ASSERT_TRUE(workspace_.RunNet("n"));
  EXPECT_EQ(Fetch<float>(workspace_, "y"), std::vector<float>{255 * 255});
  FeedFloats(&workspace_, "b", {1, 2}, {1, 2, 1});  // not seen
  ASSERT_TRUE(workspace_.RunNet("n"));
  EXPECT_EQ(Fetch<float>(workspace_, "y"), std::vector<float>{255 * 255});
  FeedFloats(&workspace_, "b", {0, 7, 255, 2}, {1, 2, 2});
  ASSERT_TRUE(workspace_.RunNet("n"));
  EXPECT_EQ(Fetch<float>(workspace_, "y"),
            (std::vector<float>{255 * 255, 255 * 2}));
}

// The host's float operator, which gives the range, writes past its output for
// these operands as they are.
TEST_F(BatchMatMulOpTest, VectorWithATransposedMatrix) {
  TestRandom random;
  const auto a = RandomFloats(&random, 50 * 3, -1, 1);
  const auto b = RandomFloats(&random, 50, -1, 1);
  std::vector<float> expected(3);
  for (int i = 0; i < 50; ++i) {
    for (int j = 0; j < 3; ++j) expected[j] += a[i * 3 + j] * b[i];
  }
  for (const char* suffix : {"", "_16"}) {
    FeedFloats(&workspace_, "a", a, {50, 3});
    FeedFloats(&workspace_, "b", b, {50});
    auto definition = Definition(suffix);
    OpBuilder(&definition)
        .Int("trans_a", 1)
        .Int("broadcast", 1)
        .Int("measure_quantization_error", 1);
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
    ExpectNear(FetchTensor(workspace_, "y"), expected, 0.2f);
  }
}

TEST_F(BatchMatMulOpTest, SumsOf16BitsLeave32Bits) {
  const std::vector<uint16_t> codes(70, 65535);
  FeedCodes(&workspace_, "a", codes, {1, 70}, 0x1p-10f, 0);
  FeedCodes(&workspace_, "b", codes, {70, 1}, 0x1p-10f, 0);
  auto definition = Definition("_16");
  OpBuilder(&definition)
      .Int("activation_precision", 16)
      .Int("dequantize_output", 1);
  ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  EXPECT_FLOAT_EQ(Fetch<float>(workspace_, "y")[0],
                  70 * 65535.0 * 65535.0 * 0x1p-20);
}

TEST_F(BatchMatMulOpTest, RefusesWhatItCannotServe) {
  const auto expect_error = [&](const caffe2::OperatorDef& definition,
                                const std::string& part) {
    const std::string error =
        ErrorOf([&] { workspace_.RunOperatorOnce(definition); });
    EXPECT_NE(error.find(part), std::string::npos) << error.substr(0, 400);
  };
  FeedFloats(&workspace_, "a", {1, 2, 3, 4, 5, 6}, {2, 3});
  FeedFloats(&workspace_, "b", {1, 2, 3, 4, 5, 6}, {2, 3});
  expect_error(Definition(),
               "BatchMatMul: A has the shape [2, 3], B [2, 3] (trans_a 0, "
               "trans_b 0, broadcast 0), expected the same K, which is 3 of A "
               "and 2 of B");
  auto definition = Definition();
  OpBuilder(&definition).Int("trans_b", 2);
  expect_error(definition, "argument trans_b is 2, expected 0 or 1");
  definition = Definition();
  OpBuilder(&definition).Int("trans_b", 1).Float("Y_scale", -1);
  expect_error(definition, "argument Y_scale");
  FeedFloats(&workspace_, "b", {1, 2, std::nanf(""), 4, 5, 6}, {2, 3});
  for (const int constant : {0, 1}) {
    definition = Definition();
    OpBuilder(&definition).Int("trans_b", 1).Int("constant_B", constant);
    expect_error(definition, "'b'");
    expect_error(definition, constant == 1 ? "1 NaN" : "1 of 6");
  }
  FeedCodes<uint16_t>(&workspace_, "b", std::vector<uint16_t>(6, 1), {2, 3}, 1,
                      0);
  definition = Definition();
  OpBuilder(&definition).Int("trans_b", 1);
  expect_error(definition, "'b' is an Int8TensorCPU of");
}

}  // namespace
}  // namespace caffe2_quantization
