// Concat and Int8Concat under the engine ONEDNN, against a plain definition and
// against DNNLOWP.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "quantization/choose.h"
#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

int64_t AxisOf(const OperatorCase& c) {
  const auto rank = static_cast<int64_t>(c.Input(0).shape.size());
  if (!caffe2::ArgumentHelper::HasArgument(c.definition, "axis")) {
    return c.Argument<std::string>("order", "NCHW") == "NCHW" ? 1 : 3;
  }
  const int64_t axis = c.Argument("axis", 0);
  return axis < 0 ? axis + rank + c.Argument("add_axis", 0) : axis;
}

// By the definition: where each value goes.
std::vector<Expected> Joined(const OperatorCase& c) {
  const bool adds_axis = c.Argument("add_axis", 0) == 1;
  const int64_t axis = AxisOf(c);
  Expected y, split;
  y.shape = c.Input(0).shape;
  if (adds_axis) y.shape.insert(y.shape.begin() + axis, 0);
  y.shape[axis] = 0;
  for (int i = 0; i < c.definition.input_size(); ++i) {
    split.integers.push_back(
        adds_axis ? 1 : static_cast<int>(c.Input(i).shape[axis]));
    y.shape[axis] += split.integers.back();
  }
  split.shape = {c.definition.input_size()};
  y.values.resize(NumValues(y.shape));
  const int64_t inner =
      NumValues(Shape(y.shape.begin() + axis + 1, y.shape.end()));
  int64_t first = 0;  // along the axis
  for (int i = 0; i < c.definition.input_size(); ++i) {
    const TestTensor& x = c.Input(i);
    const int64_t size = split.integers[i];
    for (int64_t k = 0; k < x.count(); ++k) {
      const int64_t outer = k / inner / size, at = k / inner % size;
      y.values[(outer * y.shape[axis] + first + at) * inner + k % inner] =
          x.Real(k);
    }
    first += size;
  }
  if (IsFollowedByRelu(c)) {
    for (double& value : y.values) value = std::max(value, 0.0);
  }
  return {y, split};
}

// Whether 255 steps of DNNLOWP's smallest scale are more than the range, which
// a Relu may cut.
bool HasTinyRange(const std::vector<double>& values) {
  return std::all_of(values.begin(), values.end(), [](double value) {
    return value < 256 * kDnnlowpSmallestScale;
  });
}

void Vary(TestRandom* random, OperatorCase* c) {
  const Shape shape = c->Input(0).shape;
  const auto rank = static_cast<int64_t>(shape.size());
  const bool adds_axis = random->OneIn(4);
  int64_t axis = random->Integer(0, adds_axis ? rank : rank - 1);
  bool is_negative = false;
  if (!adds_axis && rank == 4 && random->OneIn(2)) {
    const bool channels_first = random->OneIn(2);
    c->Arguments().String("order", channels_first ? "NCHW" : "NHWC");
    axis = channels_first ? 1 : 3;
  } else {
    is_negative = random->OneIn(3);
    c->Arguments().Int("axis",
                       is_negative ? axis - rank - (adds_axis ? 1 : 0) : axis);
    if (adds_axis) c->Arguments().Int("add_axis", 1);
  }
  bool has_codes = false;
  for (int i = 0; i < c->definition.input_size(); ++i) {
    if (!adds_axis && random->OneIn(2)) {
      Shape other = shape;
      other[axis] = random->Integer(0, 6);
      c->Input(i) = c->RandomInput(random, other);
    } else if (i > 0 && random->OneIn(4)) {
      // The parameters of the first input, and perhaps of the output.
      c->Input(i) = c->Input(0);
      if (!adds_axis) {
        Shape like = shape;
        like[axis] = c->Input(0).shape[axis];
        c->Input(i).shape = like;
      }
    }
    has_codes = has_codes || !c->Input(i).is_float();
  }
  // DNNLOWP refuses negative axes and mixed inputs. Floats do not show that
  // their codes had its smallest scale.
  c->host_is_wrong = is_negative || (c->HasFloats() && has_codes) ||
                     (c->Argument("dequantize_output", 0) == 1 &&
                      HasTinyRange(Joined(*c)[0].values));
  // Its multipliers have 24 bits, and it divides floats by a product with an
  // inverse, so that values beside a tie fall on its other side.
  c->host_within = 1;
}

TEST(ConcatOp, LikeTheDefinitionAndDnnlowp) {
  OperatorTester("Concat")
      .Inputs(1, 4)
      .Outputs(2)
      .Rank(1, 4)
      .TakesFloats()
      .TakesDequantizeOutput()
      .Vary(Vary)
      .Reference(Joined)
      .ExactCodes()
      .InexactShare(0.002, 0.01, 20)
      .AgainstReference(CaseCount(400, 2000))
      .AgainstDnnlowp(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(const std::vector<std::string>& inputs,
                               const std::string& type = "Concat") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, inputs, {"y", "split"});
  definition.set_engine("ONEDNN");
  return definition;
}

TEST(ConcatOp, RequantizesEachInput) {
  caffe2::Workspace workspace;
  // 0.5, 1.5 and 2.5 times the output's step are ties: to the even number.
  FeedCodes<uint8_t>(&workspace, "a", {10, 11, 12, 13, 15}, {1, 5}, 0.5f, 10);
  FeedCodes<uint8_t>(&workspace, "b", {0, 7, 255}, {1, 3}, 2, 7);
  FeedFloats(&workspace, "c", {-0.5f, 1.5f, 1e30f}, {1, 3});
  auto definition = Definition({"a", "b", "c"}, "Int8Concat");
  OpBuilder(&definition)
      .Int("axis", -1)
      .Float("Y_scale", 1)
      .Int("Y_zero_point", 3);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 11}, {3, 3, 4, 5, 5, 0, 3, 255, 3, 5, 255}, 1, 3}));
  EXPECT_EQ(Fetch<int>(workspace, "split"), (std::vector<int>{5, 3, 3}));
}

// The parameters are those of the float operator's output, to the bit.
TEST(ConcatOp, ChoosesAsOfTheFloatOperatorsOutput) {
  TestRandom random;
  for (int i = 0; i < 200; ++i) {
    caffe2::Workspace workspace;
    std::vector<std::string> inputs, floats;
    for (int k = 0; k < 3; ++k) {
      inputs.push_back("x" + std::to_string(k));
      floats.push_back("f" + std::to_string(k));
      std::vector<uint8_t> codes(random.Integer(1, 5));
      for (uint8_t& code : codes) code = random.Byte();
      FeedCodes(&workspace, inputs.back(), codes,
                {static_cast<int64_t>(codes.size())}, random.Float(0.01f, 2),
                random.Byte());
      caffe2::OperatorDef dequantize;
      OpBuilder(&dequantize, "Dequantize", {inputs.back()}, {floats.back()});
      dequantize.set_engine("ONEDNN");
      ASSERT_TRUE(workspace.RunOperatorOnce(dequantize));
    }
    auto ours = Definition(inputs);
    OpBuilder(&ours).Int("axis", 0);
    ASSERT_TRUE(workspace.RunOperatorOnce(ours));
    caffe2::OperatorDef join, quantize;
    OpBuilder(&join, "Concat", floats, {"joined", "s"}).Int("axis", 0);
    OpBuilder(&quantize, "Quantize", {"joined"}, {"expected"});
    quantize.set_engine("ONEDNN");
    ASSERT_TRUE(workspace.RunOperatorOnce(join));
    ASSERT_TRUE(workspace.RunOperatorOnce(quantize));
    const Int8Values y = FetchCodes(workspace, "y");
    const Int8Values expected = FetchCodes(workspace, "expected");
    ASSERT_EQ(y.scale, expected.scale);
    ASSERT_EQ(y.zero_point, expected.zero_point);
  }
}

// Larger than the last cache level, of rows that are shorter and longer than a
// block.
TEST(ConcatOp, TheSameWithAnyNumberOfThreadsAndPastTheCache) {
  for (const Shape& sizes :
       {Shape{1 << 18, 65, 63}, Shape{3, 1 << 22, 1 << 21}}) {
    caffe2::Workspace workspace;
    const int64_t rows = sizes[0];
    std::vector<std::vector<uint8_t>> inputs;
    for (int i = 0; i < 2; ++i) {
      std::vector<uint8_t> codes(rows * sizes[i + 1]);
      for (std::size_t k = 0; k < codes.size(); ++k) {
        codes[k] = static_cast<uint8_t>(k * 131 >> 7);
      }
      FeedCodes(&workspace, i == 0 ? "a" : "b", codes, {rows, sizes[i + 1]},
                0.5f, i == 0 ? 10 : 20);
      inputs.push_back(std::move(codes));
    }
    auto definition = Definition({"a", "b"});
    OpBuilder(&definition)
        .Int("axis", 1)
        .Float("Y_scale", 0.5f)
        .Int("Y_zero_point", 10);
    for (const int count : {1, 3}) {
      const onednn::ThreadsScope threads(count);
      workspace.RemoveBlob("y");
      ASSERT_TRUE(workspace.RunOperatorOnce(definition));
      const auto* const y = workspace.GetBlob("y")
                                ->Get<caffe2::int8::Int8TensorCPU>()
                                .t.data<uint8_t>();
      int64_t wrong = 0;
      for (int64_t row = 0; row < rows; ++row) {
        const uint8_t* const out = y + row * (sizes[1] + sizes[2]);
        wrong += !std::equal(out, out + sizes[1], &inputs[0][row * sizes[1]]);
        for (int64_t k = 0; k < sizes[2]; ++k) {
          const int expected = inputs[1][row * sizes[2] + k] - 10;
          wrong += out[sizes[1] + k] != std::max(expected, 0);
        }
      }
      EXPECT_EQ(wrong, 0) << count << " threads";
    }
  }
}

TEST(ConcatOp, OtherShapesAndParametersInALaterRun) {
  caffe2::Workspace workspace;
  auto definition = Definition({"a", "b"});
  OpBuilder(&definition).Int("axis", 0).Float("Y_scale", 0.5f);
  FeedCodes<uint8_t>(&workspace, "a", {1, 2}, {2}, 0.5f, 0);
  FeedCodes<uint8_t>(&workspace, "b", {3}, {1}, 0.25f, 1);
  const auto op = caffe2::CreateOperator(definition, &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{3}, {1, 2, 1}, 0.5f, 0}));
  FeedCodes<uint8_t>(&workspace, "a", {1, 2, 3, 4}, {2, 2}, 1, 0);
  FeedCodes<uint8_t>(&workspace, "b", {}, {0, 2}, 0.25f, 1);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{2, 2}, {2, 4, 6, 8}, 0.5f, 0}));
  EXPECT_EQ(Fetch<int>(workspace, "split"), (std::vector<int>{2, 0}));
  FeedFloats(&workspace, "b", {0.75f, 200}, {1, 2});
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{3, 2}, {2, 4, 6, 8, 2, 255}, 0.5f, 0}));
}

TEST(ConcatOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "a", {1, 2, 3, 4, 5, 6}, {2, 3}, 0.5f, 0);
  FeedCodes<uint8_t>(&workspace, "b", {1, 2, 3, 4}, {2, 2}, 0.5f, 0);
  FeedCodes<uint8_t>(&workspace, "c", {1, 2, 3, 4, 5, 6}, {2, 3, 1}, 0.5f, 0);
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
  const Int8Values before = FetchCodes(workspace, "y");
  const auto expect = [&](caffe2::OperatorDef definition,
                          const std::string& part) {
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(error.find("Concat: " + part), std::string::npos) << error;
    EXPECT_EQ(FetchCodes(workspace, "y"), before);
  };
  const auto with = [](const std::vector<std::string>& inputs, int axis) {
    auto definition = Definition(inputs);
    OpBuilder(&definition).Int("axis", axis);
    return definition;
  };
  expect(
      with({"a", "b"}, 0),
      "tensor 'b' has sizes [2, 2], tensor 'a' has [2, 3], expected the same "
      "but for axis 0");
  expect(with({"a", "c"}, 1),
         "tensor 'c' has sizes [2, 3, 1], tensor 'a' has [2, 3], expected the "
         "same but for axis 1");
  for (const int axis : {2, -3}) {
    expect(with({"a", "a"}, axis),
           "axis is " + std::to_string(axis) +
               ", tensor 'a' has sizes [2, 3], expected an axis from -2 to 1");
  }
  auto added = with({"a", "b"}, 0);
  OpBuilder(&added).Int("add_axis", 1);
  expect(added,
         "tensor 'b' has sizes [2, 2], tensor 'a' has [2, 3], expected the "
         "same");
  auto both = with({"a", "a"}, 0);
  OpBuilder(&both).String("order", "NHWC");
  expect(both, "arguments axis and order are both there, expected one");
  auto order = Definition({"a", "a"});
  OpBuilder(&order).String("order", "CHWN");
  expect(order, "argument order is 'CHWN', expected NCHW or NHWC");
  auto outputs = with({"a", "a"}, 0);
  outputs.set_output(1, "y");
  expect(outputs, "outputs 0 and 1 are blob 'y', expected a blob for each");
}

}  // namespace
}  // namespace caffe2_quantization
