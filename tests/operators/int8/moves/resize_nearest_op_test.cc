// Int8ResizeNearest and Int8ResizeNearest3D under the engine ONEDNN, against
// the equations, and against the host's default engine and float operators.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quantization/kernels/isa.h"
#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

bool Is3D(const OperatorCase& c) {
  return c.kind.type.find("3D") != std::string::npos;
}

const std::vector<std::string>& Scales(const OperatorCase& c) {
  static const std::vector<std::string> of_2d = {"height_scale", "width_scale"};
  static const std::vector<std::string> of_3d = {"temporal_scale",
                                                 "height_scale", "width_scale"};
  return Is3D(c) ? of_3d : of_2d;
}

void Draw(TestRandom* random, OperatorCase* c) {
  std::vector<int64_t> shape = {random->OneIn(15) ? 0 : random->Integer(1, 3)};
  for (const std::string& name : Scales(*c)) {
    shape.push_back(random->Integer(1, Is3D(*c) ? 6 : 14));
    const float scales[] = {2, 0.5f, random->Float(0.1f, 4), 0.7f, 1.3f, 3.3f};
    if (random->OneIn(5)) continue;  // the default
    c->Arguments().Float(name, scales[random->Integer(0, 5)]);
  }
  shape.push_back(random->Integer(1, int64_t{1} << random->Integer(0, 6)));
  c->Input(0) = c->RandomInput(random, shape);
  if (random->OneIn(2)) c->Arguments().String("order", "NHWC");
}

// The equations, in float as the host's operators have them.
std::vector<Expected> Reference(const OperatorCase& c) {
  const TestTensor& x = c.Input(0);
  Expected y;
  y.shape = x.shape;
  const auto& names = Scales(c);
  std::vector<float> scales;
  for (std::size_t dim = 0; dim < names.size(); ++dim) {
    scales.push_back(c.Argument(names[dim], 1.0f));
    y.shape[1 + dim] = static_cast<int64_t>(x.shape[1 + dim] * scales[dim]);
  }
  y.values.resize(NumValues(y.shape));
  for (std::size_t i = 0; i < y.values.size(); ++i) {
    // From the last coordinate to the first.
    int64_t left = static_cast<int64_t>(i), from = 0, step = 1;
    for (auto dim = static_cast<int>(x.shape.size()) - 1; dim >= 0; --dim) {
      int64_t at = left % y.shape[dim];
      left /= y.shape[dim];
      if (dim > 0 && dim <= static_cast<int>(scales.size())) {
        at = std::min<int64_t>(static_cast<int64_t>(at / scales[dim - 1]),
                               x.shape[dim] - 1);
      }
      from += at * step;
      step *= x.shape[dim];
    }
    y.values[i] = x.Real(from);
  }
  return {y};
}

// Floats stay floats, so that they have no parameters.
TEST(ResizeNearestOp, LikeTheEquations) {
  OperatorTester("ResizeNearest", {"Int8ResizeNearest3D"})
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
  OpBuilder(&definition, type, {"x"}, {"y"});
  definition.set_engine(engine);
  return definition;
}

// The host's float operator in the order NHWC, and its default int8 engine,
// which takes output parameters that are the input's alone.
TEST(ResizeNearestOp, LikeTheHostsOther) {
  TestRandom random;
  for (int64_t i = 0; i < CaseCount(200, 1000); ++i) {
    OperatorCase c;
    c.kind = {"Int8ResizeNearest", ""};
    c.definition = Definition(c.kind.type);
    c.AddInput("x", TestTensor());
    c.definition.clear_input();
    c.definition.add_input("x");
    do {
      c.definition.clear_arg();
      Draw(&random, &c);
    } while (c.Input(0).count() == 0 || NumValues(Reference(c)[0].shape) == 0);
    SCOPED_TRACE(c.Text());
    const TestTensor ours = RunOurs(c)[0];
    OperatorCase host = c;
    host.Arguments()
        .Float("Y_scale", c.Input(0).scale)
        .Int("Y_zero_point", c.Input(0).zero_point);
    ASSERT_EQ(ours, RunCase(host, "")[0]);
    OperatorCase floats = c;
    if (!floats.Argument("order", std::string()).empty()) {
      const Expected y = RunFloatOperator(floats)[0];
      ASSERT_EQ(y.shape, ours.shape);
      for (std::size_t k = 0; k < y.values.size(); ++k) {
        ASSERT_FLOAT_EQ(y.values[k], ours.Real(k));
      }
    }
  }
}

TEST(ResizeNearestOp, ByHand) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6}, {1, 2, 3, 1}, 0.5f,
                     7);
  auto definition = Definition("Int8ResizeNearest");
  OpBuilder(&definition).Float("height_scale", 0.5f).Float("width_scale", 2);
  const auto op = caffe2::CreateOperator(definition, &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 1, 6, 1}, {1, 1, 2, 2, 3, 3}, 0.5f, 7}));
  // Another shape in the same operator; and none, where nothing is left.
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 1, 2}, 2,
                     3);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{2, 1, 2, 2}, {1, 2, 1, 2, 5, 6, 5, 6}, 2, 3}));
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {1, 1, 2, 1}, 2, 3);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1, 0, 4, 1}, {}, 2, 3}));
}

TEST(ResizeNearestOp, ShapeOf3DIsInferred) {
  caffe2::TensorShape x;
  for (const int64_t size : {2, 3, 4, 5, 6}) x.add_dims(size);
  x.set_data_type(caffe2::TensorProto::UINT8);
  auto definition = Definition("Int8ResizeNearest3D");
  OpBuilder(&definition).Float("temporal_scale", 2).Float("width_scale", 0.5f);
  const auto y = caffe2::OpSchemaRegistry::Schema(definition.type())
                     ->InferTensor(definition, {x});
  ASSERT_EQ(y.size(), 1);
  EXPECT_EQ(std::vector<int64_t>(y[0].dims().begin(), y[0].dims().end()),
            (std::vector<int64_t>{2, 6, 4, 2, 6}));
}

// Outputs that are written past the cache, of short and of long lines.
TEST(ResizeNearestOp, LargeOutputs) {
  const auto bytes = static_cast<int64_t>(kernels::LastLevelCacheBytes()) / 2;
  if (bytes > int64_t{1} << 29) GTEST_SKIP() << "a cache of " << bytes;
  constexpr int64_t kWidth = 50;
  for (const int64_t channels : {7, 1500}) {
    const onednn::ThreadsScope scope(channels == 7 ? 2 : 1);
    const int64_t line = kWidth * channels;
    const int64_t height = bytes / (4 * line) + 10;
    caffe2::Workspace workspace;
    std::vector<uint8_t> x(height * line);
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
    }
    FeedCodes<uint8_t>(&workspace, "x", x, {1, height, kWidth, channels}, 1, 0);
    auto definition = Definition("Int8ResizeNearest");
    OpBuilder(&definition).Float("height_scale", 2).Float("width_scale", 2);
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const auto& y = workspace.GetBlob("y")->Get<caffe2::int8::Int8TensorCPU>();
    ASSERT_EQ(y.t.sizes(),
              at::IntArrayRef({1, 2 * height, 2 * kWidth, channels}));
    const auto* codes = y.t.data<uint8_t>();
    for (int64_t h = 0; h < 2 * height; ++h) {
      for (int64_t w = 0; w < 2 * kWidth; ++w, codes += channels) {
        const uint8_t* const from = &x[h / 2 * line + w / 2 * channels];
        ASSERT_TRUE(std::equal(from, from + channels, codes)) << h << ' ' << w;
      }
    }
  }
}

TEST(ResizeNearestOp, Refuses) {
  const auto expect = [](const std::string& type,
                         const std::vector<int64_t>& sizes, const auto& add,
                         const std::string& message) {
    caffe2::Workspace workspace;
    FeedCodes<uint8_t>(&workspace, "x", std::vector<uint8_t>(NumValues(sizes)),
                       sizes, 1, 0);
    FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 2, 3);
    auto definition = Definition(type);
    OpBuilder builder(&definition);
    add(&builder);
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(error.find(type + ": " + message), std::string::npos)
        << error << "\nexpected: " << message;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 2, 3}));
  };
  using B = OpBuilder*;
  const std::string of_2d = "Int8ResizeNearest", of_3d = of_2d + "3D";
  expect(
      of_2d, {1, 2, 2}, [](B) {},
      "tensor 'x' has sizes [1, 2, 2], expected 4 dimensions: [N, H, W, C]");
  expect(
      of_3d, {1, 2, 2, 2}, [](B) {},
      "tensor 'x' has sizes [1, 2, 2, 2], expected 5 dimensions: [N, T, H, "
      "W, C]");
  expect(
      of_2d, {1, 2, 2, 1}, [](B b) { b->String("order", "NCHW"); },
      "argument order is 'NCHW', expected NHWC");
  expect(
      of_2d, {1, 2, 2, 1},
      [](B b) {
        b->Ints("output_size", {3, 3});
      },
      "it has no argument output_size, expected height_scale and");
  for (const float scale : {0.0f, -1.0f, NAN, HUGE_VALF}) {
    expect(
        of_3d, {1, 2, 2, 2, 1}, [&](B b) { b->Float("temporal_scale", scale); },
        "argument temporal_scale is ");
  }
  expect(
      of_2d, {1, 2, 2, 1}, [](B b) { b->Int("width_scale", 2); },
      "argument width_scale is not a float");
  expect(
      of_2d, {1, 2, 2, 1}, [](B b) { b->Float("height_scale", 2e9f); },
      "tensor 'x' has sizes [1, 2, 2, 1] and argument height_scale is "
      "2e+09, expected an output size below 2^31");
  expect(
      of_2d, {9, 2, 2, 1},
      [](B b) { b->Float("height_scale", 1e9f).Float("width_scale", 1e9f); },
      "tensor 'x' has sizes [9, 2, 2, 1] and would get [9, 2000000000, "
      "2000000000, 1], expected fewer values");
}

}  // namespace
}  // namespace caffe2_quantization
