// Gather and Int8Gather under the engine ONEDNN, against a plain definition and
// against DNNLOWP.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

// By the definition, of the host's float operator.
std::vector<Expected> Gathered(const OperatorCase& c) {
  const TestTensor& data = c.Input(0);
  const TestTensor& indices = c.Input(1);
  const auto rank = static_cast<int64_t>(data.shape.size());
  int64_t axis = c.Argument("axis", 0);
  if (axis < 0) axis += rank;
  const bool matches = c.Argument("match_outer", 0) == 1;
  Expected y;
  if (data.shape[axis] == 0) {
    y.shape = data.shape;
    return {y};
  }
  const Shape outer(data.shape.begin(), data.shape.begin() + axis);
  const Shape inner(data.shape.begin() + axis + 1, data.shape.end());
  const Shape rows(indices.shape.begin() + (matches ? axis : 0),
                   indices.shape.end());
  for (const Shape& part : {outer, rows, inner}) {
    y.shape.insert(y.shape.end(), part.begin(), part.end());
  }
  for (int64_t o = 0; o < NumValues(outer); ++o) {
    for (int64_t i = 0; i < NumValues(rows); ++i) {
      int64_t row = indices.codes[matches ? o * NumValues(rows) + i : i];
      if (row < 0) row += data.shape[axis];
      for (int64_t k = 0; k < NumValues(inner); ++k) {
        y.values.push_back(
            data.Real((o * data.shape[axis] + row) * NumValues(inner) + k));
      }
    }
  }
  // Codes keep their parameters, and floats that stay floats their values.
  if (IsFollowedByRelu(c) && data.is_float() &&
      c.Argument("dequantize_output", 0) == 0) {
    for (double& value : y.values) value = std::max(value, 0.0);
  }
  return {y};
}

void Vary(TestRandom* random, bool is_float, OperatorCase* c) {
  while (c->Input(0).is_float() != is_float) {
    c->Input(0) = c->RandomInput(random, c->Input(0).shape);
  }
  const Shape shape = c->Input(0).shape;
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t axis = random->OneIn(2) ? 0 : random->Integer(0, rank - 1);
  const bool is_negative = random->OneIn(3);
  if (axis > 0 || is_negative) {
    c->Arguments().Int("axis", is_negative ? axis - rank : axis);
  }
  const bool matches = axis > 0 && random->OneIn(2);
  if (matches) c->Arguments().Int("match_outer", 1);
  bool wraps = axis == 0 && !is_negative;
  if (random->OneIn(3)) {
    wraps = random->OneIn(2);
    c->Arguments().Int("wrap_indices", wraps);
  }
  Shape sizes;
  if (matches) sizes.assign(shape.begin(), shape.begin() + axis);
  const Shape more = RandomShape(random, 0, 2);
  sizes.insert(sizes.end(), more.begin(), more.end());
  const int64_t rows = shape[axis];
  const int64_t least = wraps && random->OneIn(2) ? -rows : 0;
  c->AddInput("i", IntegerTensor(random->OneIn(2) ? TestTensor::kInt32
                                                  : TestTensor::kInt64,
                                 RandomCodes(random, NumValues(sizes), least,
                                             std::max<int64_t>(rows - 1, 0)),
                                 sizes));
  if (is_float) {
    // Few are gathered, of whose range DNNLOWP's smallest scale is far off.
    for (float& value : c->Input(0).floats) value *= 64;
  }
  // DNNLOWP reads no argument if DATA is codes, takes no negative index then,
  // nor any of DATA without rows, and gives no floats.
  c->host_is_wrong = !is_float && (axis > 0 || least < 0 || rows == 0 ||
                                   c->Argument("dequantize_output", 0) == 1);
  // It multiplies floats with an inverse.
  c->host_within = is_float ? 1 : 0;
}

TEST(GatherOp, OfCodesLikeTheDefinitionAndDnnlowp) {
  OperatorTester("Gather")
      .Rank(1, 4)
      .TakesFloats()
      .TakesDequantizeOutput()
      .KeepsParameters()
      .Vary([](TestRandom* random, OperatorCase* c) { Vary(random, false, c); })
      .Reference(Gathered)
      .ExactCodes()
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

TEST(GatherOp, OfFloatsLikeTheDefinitionAndDnnlowp) {
  OperatorTester("Gather")
      .Rank(1, 4)
      .TakesFloats()
      // What is not gathered may be anything.
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .Vary([](TestRandom* random, OperatorCase* c) { Vary(random, true, c); })
      .Reference(Gathered)
      .InexactShare(0.002, 0.01, 20)
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(const std::string& type = "Gather") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"d", "i"}, {"y"});
  definition.set_engine("ONEDNN");
  return definition;
}

// DNNLOWP gives rows of axis 0, of another shape.
TEST(GatherOp, GathersCodesAlongItsAxis) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "d", {1, 2, 3, 4, 5, 6}, {2, 3}, 0.5f, 9);
  Feed<int64_t>(&workspace, "i", {2, 0});
  auto definition = Definition("Int8Gather");
  OpBuilder(&definition).Int("axis", 1);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{2, 2}, {3, 1, 6, 4}, 0.5f, 9}));
}

TEST(GatherOp, CountsFromTheEndAlongAxis0) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "d", {1, 2, 3}, {3}, 0.5f, 9);
  Feed<int32_t>(&workspace, "i", {-1, 0, -3});
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
  EXPECT_EQ(FetchCodes(workspace, "y").codes, (std::vector<int>{3, 1, 1}));
}

TEST(GatherOp, OfFloatsTakesTheRangeOfWhatIsGathered) {
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "d", {-100, 0, 1, 255}, {4, 1});
  Feed<int32_t>(&workspace, "i", {3, 2});
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{2, 1}, {255, 1}, 1, 0}));
}

TEST(GatherOp, RowsOfAnySizePastTheCache) {
  TestRandom random;
  for (const int64_t row : {1, 3, 16, 17, 64, 100, 5000, 1 << 22}) {
    caffe2::Workspace workspace;
    const int64_t rows = 40, gathered = std::max<int64_t>(1, (1 << 25) / row);
    std::vector<uint8_t> codes(rows * row);
    for (uint8_t& code : codes) code = random.Byte();
    std::vector<int64_t> indices(gathered);
    for (int64_t& index : indices) index = random.Integer(0, rows - 1);
    FeedCodes(&workspace, "d", codes, {rows, row}, 0.5f, 9);
    Feed(&workspace, "i", indices);
    const onednn::ThreadsScope threads(row % 2 == 0 ? 1 : 3);
    ASSERT_TRUE(workspace.RunOperatorOnce(Definition()));
    const auto* const y = workspace.GetBlob("y")
                              ->Get<caffe2::int8::Int8TensorCPU>()
                              .t.data<uint8_t>();
    int64_t wrong = 0;
    for (int64_t i = 0; i < gathered; ++i) {
      wrong += !std::equal(y + i * row, y + (i + 1) * row,
                           codes.begin() + indices[i] * row);
    }
    EXPECT_EQ(wrong, 0) << "rows of " << row;
  }
}

TEST(GatherOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
  const Int8Values before = FetchCodes(workspace, "y");
  // Codes and floats alike: the float operator is not run, which would read
  // beyond its input in the last case.
  for (const bool is_float : {false, true}) {
    SCOPED_TRACE(is_float);
    if (is_float) {
      workspace.RemoveBlob("d");
      FeedFloats(&workspace, "d", {1, 2, 3, 4, 5, 6}, {2, 3});
    } else {
      FeedCodes<uint8_t>(&workspace, "d", {1, 2, 3, 4, 5, 6}, {2, 3}, 0.5f, 9);
    }
    const auto expect = [&](const std::vector<int>& indices, const Shape& shape,
                            int axis, int match_outer,
                            const std::string& part) {
      Feed<int32_t>(&workspace, "i", indices, shape);
      auto definition = Definition();
      OpBuilder(&definition).Int("axis", axis).Int("match_outer", match_outer);
      const std::string error =
          ErrorOf([&] { workspace.RunOperatorOnce(definition); });
      EXPECT_NE(error.find("Gather: " + part), std::string::npos) << error;
      EXPECT_EQ(FetchCodes(workspace, "y"), before);
    };
    expect({0, 1, 2}, {3}, 0, 0,
           "tensor 'i' has the index 2 as its value 2, expected -2 to 1, a row "
           "of tensor 'd' along axis 0");
    expect({0, -3}, {2}, 0, 0,
           "tensor 'i' has the index -3 as its value 1, expected -2 to 1");
    expect({-1}, {1}, 1, 0,
           "tensor 'i' has the index -1 as its value 0, expected 0 to 2");
    expect(
        {0}, {1}, 2, 0,
        "axis is 2, tensor 'd' has sizes [2, 3], expected an axis from -2 to "
        "1");
    expect({0}, {1}, -3, 0, "axis is -3, tensor 'd' has sizes [2, 3]");
    expect({0, 0}, {2}, 0, 1,
           "match_outer is 1 and axis is 0, expected an axis");
    expect(
        {0, 0, 0}, {3, 1}, 1, 1,
        "tensor 'i' has sizes [3, 1], expected sizes that begin with [2], as "
        "those of tensor 'd' do: match_outer is 1");
    expect({0, 1 << 30}, {2, 1}, 1, 1,
           "tensor 'i' has the index 1073741824 as its value 1");
  }
  // Of another type.
  FeedFloats(&workspace, "i", {0});
  auto definition = Definition();
  std::string error = ErrorOf([&] { workspace.RunOperatorOnce(definition); });
  EXPECT_NE(error.find("Gather: tensor 'i' is of type float, expected int32 or "
                       "int64"),
            std::string::npos)
      << error;
  workspace.RemoveBlob("i");
  FeedCodes<uint8_t>(&workspace, "i", {0}, {1}, 1, 0);
  error = ErrorOf([&] { workspace.RunOperatorOnce(definition); });
  EXPECT_NE(error.find("Gather: blob 'i' holds a "), std::string::npos)
      << error;
  // DNNLOWP's ends the process in place of the indices.
  for (const char* type : {"Gather", "Int8Gather"}) {
    for (const char* y : {"d", "i"}) {
      auto in_place = Definition(type);
      in_place.set_output(0, y);
      EXPECT_NE(ErrorOf([&] { workspace.RunOperatorOnce(in_place); }), "");
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
