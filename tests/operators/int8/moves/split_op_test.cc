// Int8Split under the engine ONEDNN, against a plain definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "quantization/kernels/isa.h"
#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

void Vary(TestRandom* random, OperatorCase* c) {
  Shape shape = c->Input(0).shape;
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t outputs = random->Integer(1, 5);
  int64_t axis = random->Integer(0, rank - 1);
  if (rank == 4 && random->OneIn(4)) {
    axis = 3;
    c->Arguments().String("order", "NHWC");
  } else if (axis != 1 || random->OneIn(2)) {
    c->Arguments().Int("axis", random->OneIn(2) ? axis : axis - rank);
  }
  Shape parts(outputs, random->Integer(0, 9));
  if (random->OneIn(2)) {
    for (int64_t& part : parts) part = random->Integer(0, 9);
    c->Arguments().Ints("split", parts);
  }
  shape[axis] = 0;
  for (const int64_t part : parts) shape[axis] += part;
  c->Input(0) = c->RandomInput(random, shape);
  for (int64_t i = 1; i < outputs; ++i) {
    c->definition.add_output("y" + std::to_string(i));
  }
}

std::vector<Expected> Parts(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const auto rank = static_cast<int64_t>(x.shape.size());
  int64_t axis = c.Argument<int64_t>("axis", 1);
  if (axis < 0) axis += rank;
  if (c.Argument<std::string>("order", "NCHW") == "NHWC") axis = 3;
  const int outputs = c.definition.output_size();
  auto split = caffe2::ArgumentHelper(c.definition)
                   .GetRepeatedArgument<int64_t>("split");
  if (split.empty()) split.assign(outputs, x.shape[axis] / outputs);
  const int64_t inner =
      NumValues(Shape(x.shape.begin() + axis + 1, x.shape.end()));
  const int64_t outer =
      NumValues(Shape(x.shape.begin(), x.shape.begin() + axis));
  std::vector<Expected> parts(outputs);
  int64_t begin = 0;
  for (int i = 0; i < outputs; ++i) {
    parts[i].shape = x.shape;
    parts[i].shape[axis] = split[i];
    for (int64_t row = 0; row < outer; ++row) {
      for (int64_t k = 0; k < split[i] * inner; ++k) {
        parts[i].values.push_back(
            x.Real((row * x.shape[axis] + begin) * inner + k));
      }
    }
    begin += split[i];
  }
  return parts;
}

TEST(SplitOp, LikeTheDefinition) {
  OperatorTester("Split")
      .Rank(2, 5)
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .KeepsParameters()
      .Vary(Vary)
      .Reference(Parts)
      .ExactCodes()
      .AgainstReference(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(const std::vector<std::string>& outputs) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8Split", {"x"}, outputs);
  definition.set_engine("ONEDNN");
  return definition;
}

TEST(SplitOp, ByHandOfOtherShapesInTheSameOperator) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6}, {2, 3}, 0.5f, 9);
  caffe2::OperatorDef definition = Definition({"a", "b"});
  OpBuilder(&definition).Ints("split", {1, 2});
  const auto op = caffe2::CreateOperator(definition, &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "a"), (Int8Values{{2, 1}, {1, 4}, 0.5f, 9}));
  EXPECT_EQ(FetchCodes(workspace, "b"),
            (Int8Values{{2, 2}, {2, 3, 5, 6}, 0.5f, 9}));
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3}, {1, 3, 1}, 2, 3);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "a"), (Int8Values{{1, 1, 1}, {1}, 2, 3}));
  EXPECT_EQ(FetchCodes(workspace, "b"), (Int8Values{{1, 2, 1}, {2, 3}, 2, 3}));
}

// In parts: equal ones, unlike ones, and whole halves.
TEST(SplitOp, OfManyValuesByThreads) {
  const int64_t rows = 3000, columns = 300;
  std::vector<uint8_t> codes(rows * columns);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  }
  const onednn::ThreadsScope threads(3);
  for (const auto& split :
       {Shape{150, 150}, Shape{101, 199}, Shape{1500, 1500}}) {
    caffe2::Workspace workspace;
    FeedCodes(&workspace, "x", codes, {rows, columns}, 0.5f, 9);
    caffe2::OperatorDef definition = Definition({"a", "b"});
    const bool by_rows = split[0] == 1500;
    OpBuilder(&definition).Int("axis", by_rows ? 0 : 1).Ints("split", split);
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const Int8Values a = FetchCodes(workspace, "a");
    const Int8Values b = FetchCodes(workspace, "b");
    int64_t wrong = 0;
    for (int64_t i = 0; i < rows * columns; ++i) {
      const int64_t width = by_rows ? rows * columns : columns;
      const int64_t first = by_rows ? split[0] * columns : split[0];
      const int64_t row = i / width, at = i % width;
      const int y = at < first ? a.codes[row * first + at]
                               : b.codes[row * (width - first) + at - first];
      wrong += y != codes[i];
    }
    EXPECT_EQ(wrong, 0) << split[0];
  }
}

TEST(SplitOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6}, {2, 3}, 0.5f, 9);
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
  const auto expect = [&](const std::vector<std::string>& outputs,
                          const std::string& part, const auto& change) {
    caffe2::OperatorDef definition = Definition(outputs);
    change(OpBuilder(&definition));
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(error.find("Int8Split: " + part), std::string::npos) << error;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 0.25f, 3}));
  };
  const auto nothing = [](OpBuilder) {};
  expect({"y", "z"},
         "tensor 'x' has sizes [2, 3], 3 along axis 1, expected a multiple of "
         "2, the number of outputs, or an argument split",
         nothing);
  expect({"y", "y", "z"}, "outputs 0 and 1 are blob 'y', expected a blob for",
         nothing);
  expect({"y"},
         "axis is 2, tensor 'x' has sizes [2, 3], expected an axis from "
         "-2 to 1",
         [](OpBuilder b) { b.Int("axis", 2); });
  expect({"y"}, "arguments axis and order are both there, expected one",
         [](OpBuilder b) { b.Int("axis", 1).String("order", "NCHW"); });
  expect({"y"}, "argument add_axis is 1, expected 0",
         [](OpBuilder b) { b.Int("axis", 1).Int("add_axis", 1); });
  expect({"y", "z"}, "argument split has 1 integers, expected 2, one for each",
         [](OpBuilder b) { b.Ints("split", {3}); });
  expect({"y", "z"},
         "argument split leaves 1 of 3, tensor 'x' has sizes [2, 3]",
         [](OpBuilder b) {
           b.Ints("split", {1, 1});
         });
  expect({"y", "z"}, "argument split has 3 where 2 of 3 are left",
         [](OpBuilder b) {
           b.Ints("split", {1, 3});
         });
  expect({"y", "z"}, "argument split has -1 where 3 of 3 are left",
         [](OpBuilder b) {
           b.Ints("split", {-1, 4});
         });
}

// So many codes are written past the cache.
TEST(SplitOp, PastTheCache) {
  const int64_t width = 180;
  const int64_t rows =
      static_cast<int64_t>(kernels::LastLevelCacheBytes() / 2) / width + 1;
  std::vector<uint8_t> codes(rows * width);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  }
  caffe2::Workspace workspace;
  FeedCodes(&workspace, "x", codes, {rows, width}, 0.5f, 9);
  for (const int threads : {1, 3}) {
    const onednn::ThreadsScope scope(threads);
    for (const std::vector<int>& split :
         {std::vector<int>{80, 0, 100}, {60, 60, 60}}) {
      caffe2::OperatorDef definition;
      OpBuilder(&definition, "Int8Split", {"x"}, {"a", "b", "c"})
          .Int("axis", 1)
          .Ints("split", {split[0], split[1], split[2]});
      definition.set_engine("ONEDNN");
      ASSERT_TRUE(workspace.RunOperatorOnce(definition));
      int64_t wrong = 0, first = 0;
      for (int i = 0; i < 3; ++i) {
        const auto& y = workspace.GetBlob(std::string(1, "abc"[i]))
                            ->Get<caffe2::int8::Int8TensorCPU>();
        ASSERT_EQ(y.t.sizes().vec(), (std::vector<int64_t>{rows, split[i]}));
        for (int64_t row = 0; row < rows && split[i] > 0; ++row) {
          const uint8_t* const out = y.t.data<uint8_t>() + row * split[i];
          wrong +=
              !std::equal(out, out + split[i], &codes[row * width + first]);
        }
        first += split[i];
      }
      EXPECT_EQ(wrong, 0) << threads << " threads";
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
