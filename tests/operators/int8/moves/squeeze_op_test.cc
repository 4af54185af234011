// Int8Squeeze under the engine ONEDNN, against a plain definition.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

// Some of the dimensions become ones, which go.
void Vary(TestRandom* random, OperatorCase* c) {
  Shape shape = c->Input(0).shape, dims;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (!random->OneIn(2) && !(dims.empty() && i + 1 == shape.size())) continue;
    dims.insert(random->OneIn(2) ? dims.begin() : dims.end(), i);
    if (random->OneIn(9)) dims.push_back(i);
    shape[i] = 1;
  }
  c->Input(0) = c->RandomInput(random, shape);
  c->Arguments().Ints("dims", dims);
}

std::vector<Expected> Squeezed(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const auto dims =
      caffe2::ArgumentHelper(c.definition).GetRepeatedArgument<int64_t>("dims");
  Expected y;
  for (std::size_t i = 0; i < x.shape.size(); ++i) {
    if (std::count(dims.begin(), dims.end(), i) == 0) {
      y.shape.push_back(x.shape[i]);
    }
  }
  for (int64_t i = 0; i < x.count(); ++i) y.values.push_back(x.Real(i));
  return {y};
}

TEST(SqueezeOp, LikeTheDefinition) {
  OperatorTester("Squeeze")
      .Rank(1, 5)
      .TakesFloats()
      .TakesNonFinite()
      .TakesDequantizeOutput()
      .KeepsParameters()
      .Vary(Vary)
      .Reference(Squeezed)
      .ExactCodes()
      .AgainstReference(CaseCount(400, 2000));
}

caffe2::OperatorDef Definition(const Shape& dims, const std::string& y = "y") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Int8Squeeze", {"x"}, {y}).Ints("dims", dims);
  definition.set_engine("ONEDNN");
  return definition;
}

TEST(SqueezeOp, InPlaceTooAndOfOtherShapes) {
  for (const std::string y : {"x", "y"}) {
    caffe2::Workspace workspace;
    FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3}, {1, 3, 1}, 0.5f, 9);
    const auto op = caffe2::CreateOperator(Definition({0, 2}, y), &workspace);
    ASSERT_TRUE(op->Run());
    EXPECT_EQ(FetchCodes(workspace, y), (Int8Values{{3}, {1, 2, 3}, 0.5f, 9}));
    FeedCodes<uint8_t>(&workspace, "x", {4, 5}, {1, 2, 1, 1}, 2, 3);
    ASSERT_TRUE(op->Run());
    EXPECT_EQ(FetchCodes(workspace, y), (Int8Values{{2, 1}, {4, 5}, 2, 3}));
    // Floats in their place, of an input that is floats.
    FeedFloats(&workspace, "f", {1.5f, -2}, {1, 2, 1});
    caffe2::OperatorDef definition = Definition({0}, y == "x" ? "f" : "g");
    definition.set_input(0, "f");
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const auto& z =
        workspace.GetBlob(definition.output(0))->Get<caffe2::Tensor>();
    EXPECT_EQ(z.sizes(), (Shape{2, 1}));
    EXPECT_EQ(z.data<float>()[0], 1.5f);
    EXPECT_EQ(z.data<float>()[1], -2);
  }
}

TEST(SqueezeOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3}, {1, 3}, 0.5f, 9);
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
  const auto expect = [&](const Shape& dims, const std::string& part) {
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(Definition(dims)); });
    EXPECT_NE(error.find("Int8Squeeze: " + part), std::string::npos) << error;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 0.25f, 3}));
  };
  expect({}, "argument dims is no list of integers, expected one");
  expect({-1}, "argument dims has -1, expected 0 or more");
  expect({0, 1}, "tensor 'x' has sizes [1, 3] and argument dims has 1");
  expect({2},
         "tensor 'x' has sizes [1, 3] and argument dims has 2, expected a");
}

}  // namespace
}  // namespace caffe2_quantization
