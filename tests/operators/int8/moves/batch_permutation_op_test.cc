// BatchPermutation and Int8BatchPermutation under the engine ONEDNN, against
// the host's float operator.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

void Draw(TestRandom* random, OperatorCase* c) {
  const int64_t rows = c->Input(0).shape[0];
  std::vector<int> indices(rows);
  for (int64_t i = 0; i < rows; ++i) indices[i] = static_cast<int>(i);
  std::shuffle(indices.begin(), indices.end(), random->generator());
  if (random->OneIn(3)) {
    for (int& i : indices) i = static_cast<int>(random->Integer(0, rows - 1));
  }
  c->AddInput("indices", IntegerTensor(TestTensor::kInt32, indices, {rows}));
}

std::vector<Expected> Reference(const OperatorCase& c) {
  const TestTensor &x = c.Input(0), &indices = c.Input(1);
  Expected y;
  y.shape = x.shape;
  const int64_t row = x.count() == 0 ? 0 : x.count() / x.shape[0];
  for (int64_t i = 0; i < x.count(); ++i) {
    y.values.push_back(x.Real(indices.codes[i / row] * row + i % row));
  }
  return {y};
}

// Floats stay floats, so that they have no parameters.
TEST(BatchPermutationOp, MovesRows) {
  OperatorTester("BatchPermutation")
      .Rank(1, 5)
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .KeepsParameters()
      .Vary(Draw)
      .Reference(Reference)
      .ExactCodes()
      .AgainstReference(static_cast<int>(CaseCount(400, 2000)));
}

caffe2::OperatorDef Definition(const std::string& type,
                               const std::string& engine = "ONEDNN") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"x", "indices"}, {"y"});
  definition.set_engine(engine);
  return definition;
}

TEST(BatchPermutationOp, LikeTheFloatOperator) {
  TestRandom random;
  for (int64_t i = 0; i < CaseCount(200, 1000); ++i) {
    OperatorCase c;
    c.kind = {"BatchPermutation", ""};
    c.definition = Definition(c.kind.type);
    c.definition.clear_input();
    c.AddInput("x", c.RandomInput(&random, {random.Integer(1, 20),
                                            random.Integer(1, 70)}));
    Draw(&random, &c);
    SCOPED_TRACE(c.Text());
    const TestTensor ours = RunOurs(c)[0];
    const Expected y = RunFloatOperator(c)[0];
    ASSERT_EQ(y.shape, ours.shape);
    for (std::size_t k = 0; k < y.values.size(); ++k) {
      ASSERT_FLOAT_EQ(y.values[k], ours.Real(k));
    }
  }
}

TEST(BatchPermutationOp, ByHandOfOtherShapesInTheSameOperator) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6}, {3, 2}, 0.5f, 7);
  Feed<int32_t>(&workspace, "indices", {2, 0, 2});
  const auto op =
      caffe2::CreateOperator(Definition("Int8BatchPermutation"), &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{3, 2}, {5, 6, 1, 2, 5, 6}, 0.5f, 7}));
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {2}, 2, 3);
  Feed<int32_t>(&workspace, "indices", {1, 0});
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{2}, {2, 1}, 2, 3}));
  FeedCodes<uint8_t>(&workspace, "x", {}, {0, 5}, 2, 3);
  Feed<int32_t>(&workspace, "indices", {}, {0});
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{0, 5}, {}, 2, 3}));
}

TEST(BatchPermutationOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4}, {2, 2}, 0.5f, 7);
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 2, 3);
  const auto expect = [&](const std::string& message) {
    for (const std::string type :
         {"BatchPermutation", "Int8BatchPermutation"}) {
      const std::string error =
          ErrorOf([&] { workspace.RunOperatorOnce(Definition(type)); });
      EXPECT_NE(error.find(type + ": " + message), std::string::npos)
          << error << "\nexpected: " << message;
      EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 2, 3}));
    }
  };
  workspace.CreateBlob("indices");
  expect("blob 'indices' holds a nullptr (uninitialized), expected an int32");
  Feed<int64_t>(&workspace, "indices", {0, 1});
  expect("tensor 'indices' is of type long int, expected int32");
  workspace.RemoveBlob("indices");
  Feed<int32_t>(&workspace, "indices", {0});
  expect("tensor 'indices' has sizes [1], expected [2], as many as 'x' has");
  Feed<int32_t>(&workspace, "indices", {0, 1}, {2, 1});
  expect("tensor 'indices' has sizes [2, 1], expected [2]");
  Feed<int32_t>(&workspace, "indices", {0, 2});
  expect("tensor 'indices' has 2 at 1, expected a row of 'x', 0 to 1");
  Feed<int32_t>(&workspace, "indices", {-1, 1});
  expect("tensor 'indices' has -1 at 0, expected a row of 'x', 0 to 1");
  FeedCodes<uint8_t>(&workspace, "x", {1}, {}, 0.5f, 7);
  expect("tensor 'x' is a scalar, expected one or more dimensions");
}

}  // namespace
}  // namespace caffe2_quantization
