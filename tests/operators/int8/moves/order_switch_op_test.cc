// Int8NCHW2NHWC and Int8NHWC2NCHW under the engine ONEDNN, against a plain
// definition.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Shape = std::vector<int64_t>;

std::vector<Expected> Switched(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  const bool last = c.kind.type == "Int8NCHW2NHWC";
  Expected y;
  y.shape = x.shape;
  if (last) {
    y.shape.erase(y.shape.begin() + 1);
    y.shape.push_back(x.shape[1]);
  } else {
    y.shape.pop_back();
    y.shape.insert(y.shape.begin() + 1, x.shape.back());
  }
  if (x.count() == 0) return {y};
  const int64_t channels = last ? x.shape[1] : x.shape.back();
  const int64_t pixels = x.count() / x.shape[0] / channels;
  for (int64_t i = 0; i < x.count(); ++i) {
    const int64_t n = i / (channels * pixels), at = i % (channels * pixels);
    const int64_t channel = last ? at % channels : at / pixels;
    const int64_t pixel = last ? at / channels : at % pixels;
    y.values.push_back(
        x.Real(n * channels * pixels +
               (last ? channel * pixels + pixel : pixel * channels + channel)));
  }
  return {y};
}

TEST(OrderSwitchOp, LikeTheDefinition) {
  for (const char* type : {"NCHW2NHWC", "NHWC2NCHW"}) {
    OperatorTester(type)
        .Rank(3, 5)
        .TakesFloats()
        .TakesNonFinite()
        .TakesDequantizeOutput()
        .KeepsParameters()
        .Reference(Switched)
        .ExactCodes()
        .AgainstReference(CaseCount(400, 2000));
  }
}

caffe2::OperatorDef Definition(const std::string& type, const std::string& x,
                               const std::string& y,
                               const std::string& engine = "ONEDNN") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {x}, {y});
  definition.set_engine(engine);
  return definition;
}

TEST(OrderSwitchOp, ByHandAndBack) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6}, {1, 2, 3}, 0.5f, 9);
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition("Int8NCHW2NHWC", "x", "y")));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 3, 2}, {1, 4, 2, 5, 3, 6}, 0.5f, 9}));
  ASSERT_TRUE(workspace.RunOperatorOnce(Definition("Int8NHWC2NCHW", "y", "z")));
  EXPECT_EQ(FetchCodes(workspace, "z"),
            (Int8Values{{1, 2, 3}, {1, 2, 3, 4, 5, 6}, 0.5f, 9}));
}

// In strips, by several threads, of either type.
TEST(OrderSwitchOp, OfManyValuesAndBack) {
  const onednn::ThreadsScope threads(3);
  const Shape shape = {2, 70, 31, 37};
  std::vector<uint8_t> bytes(NumValues(shape));
  std::vector<uint16_t> words(bytes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    words[i] = static_cast<uint16_t>(i * 2654435761u >> 13);
    bytes[i] = static_cast<uint8_t>(words[i]);
  }
  for (const char* engine : {"ONEDNN", "ONEDNN_16"}) {
    caffe2::Workspace workspace;
    if (std::string(engine) == "ONEDNN") {
      FeedCodes(&workspace, "x", bytes, shape, 0.5f, 9);
    } else {
      FeedCodes(&workspace, "x", words, shape, 0.5f, 9);
    }
    ASSERT_TRUE(workspace.RunOperatorOnce(
        Definition("Int8NCHW2NHWC", "x", "y", engine)));
    const Int8Values x = FetchCodes(workspace, "x");
    const Int8Values y = FetchCodes(workspace, "y");
    EXPECT_EQ(y.sizes, (Shape{2, 31, 37, 70}));
    const int64_t channels = 70, pixels = 31 * 37;
    int64_t wrong = 0;
    for (std::size_t i = 0; i < x.codes.size(); ++i) {
      const int64_t image = i / (channels * pixels) * channels * pixels;
      const int64_t c = i % (channels * pixels) / pixels, p = i % pixels;
      wrong += y.codes[image + p * channels + c] != x.codes[i];
    }
    EXPECT_EQ(wrong, 0) << engine;
    ASSERT_TRUE(workspace.RunOperatorOnce(
        Definition("Int8NHWC2NCHW", "y", "z", engine)));
    EXPECT_EQ(FetchCodes(workspace, "z"), x) << engine;
  }
}

// Of the other moves too.
TEST(OrderSwitchOp, ShapesAreInferred) {
  const auto infer = [](const caffe2::OperatorDef& definition,
                        const Shape& sizes) {
    caffe2::TensorShape x;
    for (const int64_t size : sizes) x.add_dims(size);
    x.set_data_type(caffe2::TensorProto::UINT8);
    std::vector<Shape> shapes;
    for (const auto& y : caffe2::OpSchemaRegistry::Schema(definition.type())
                             ->InferTensor(definition, {x})) {
      shapes.emplace_back(y.dims().begin(), y.dims().end());
    }
    return shapes;
  };
  EXPECT_EQ(infer(Definition("Int8NCHW2NHWC", "x", "y"), {2, 3, 4, 5}),
            (std::vector<Shape>{{2, 4, 5, 3}}));
  EXPECT_EQ(infer(Definition("Int8NHWC2NCHW", "x", "y"), {2, 4, 5, 3}),
            (std::vector<Shape>{{2, 3, 4, 5}}));
  auto squeeze = Definition("Int8Squeeze", "x", "y");
  OpBuilder(&squeeze).Ints("dims", {1, 3});
  EXPECT_EQ(infer(squeeze, {2, 1, 3, 1}), (std::vector<Shape>{{2, 3}}));
  auto split = Definition("Int8Split", "x", "y");
  split.add_output("z");
  OpBuilder(&split).Int("axis", 1).Ints("split", {1, 4});
  EXPECT_EQ(infer(split, {2, 5, 3}),
            (std::vector<Shape>{{2, 1, 3}, {2, 4, 3}}));
}

TEST(OrderSwitchOp, Refuses) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4}, {2, 2}, 0.5f, 9);
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
  for (const std::string type : {"Int8NCHW2NHWC", "Int8NHWC2NCHW"}) {
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(Definition(type, "x", "y")); });
    EXPECT_NE(error.find(type +
                         ": tensor 'x' has sizes [2, 2], expected 3 dimensions "
                         "or more: [N, "),
              std::string::npos)
        << error;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 0.25f, 3}));
    // The schema.
    EXPECT_NE(
        ErrorOf([&] { workspace.RunOperatorOnce(Definition(type, "x", "x")); }),
        "");
  }
}

}  // namespace
}  // namespace caffe2_quantization
