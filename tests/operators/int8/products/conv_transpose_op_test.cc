// Transposed convolutions under the engine ONEDNN: exact sums, against a plain
// definition that spreads them, and against the host's float operator.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "operators/int8/engine/window_geometry.h"
#include "operators/int8/products/weights.h"
#include "quantization/choose.h"
#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_case.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/operators/int8/engine/test_tensor.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Sizes = std::vector<int64_t>;

const OperatorKind kKinds[] = {{"ConvTranspose", ""},
                               {"ConvTranspose", "_16"},
                               {"ConvTranspose", "_ACC16"},
                               {"Int8ConvTranspose", ""},
                               {"Int8ConvTranspose", "_ACC16"}};

struct Geometry {
  bool channels_first = false;
  int64_t batch = 1, groups = 1, inputs = 1, outputs = 1;  // of a group
  int64_t in[2] = {1, 1}, kernel[2] = {1, 1}, stride[2] = {1, 1},
          adj[2] = {0, 0}, pads[4] = {0, 0, 0, 0};

  int64_t Out(int dim) const {
    return (in[dim] - 1) * stride[dim] + kernel[dim] + adj[dim] - pads[dim] -
           pads[dim + 2];
  }
  int64_t channels() const { return groups * inputs; }
  int64_t m() const { return groups * outputs; }
  Sizes Order(int64_t first, int64_t c, int64_t h, int64_t w) const {
    return channels_first ? Sizes{first, c, h, w} : Sizes{first, h, w, c};
  }
  Sizes X() const { return Order(batch, channels(), in[0], in[1]); }
  Sizes W() const { return Order(channels(), outputs, kernel[0], kernel[1]); }
  Sizes Y() const { return Order(batch, m(), Out(0), Out(1)); }
  // Where a value of a tensor of these sizes is.
  int64_t At(const Sizes& sizes, int64_t n, int64_t c, int64_t h,
             int64_t w) const {
    return channels_first ? ((n * sizes[1] + c) * sizes[2] + h) * sizes[3] + w
                          : ((n * sizes[1] + h) * sizes[2] + w) * sizes[3] + c;
  }
};

Geometry RandomGeometry(TestRandom* random) {
  Geometry g;
  g.channels_first = random->OneIn(2);
  g.batch = random->OneIn(20) ? 0 : random->Integer(1, 3);
  const bool depthwise = random->OneIn(4);
  g.groups = depthwise          ? random->Integer(1, 20)
             : random->OneIn(2) ? 1
                                : random->Integer(2, 4);
  g.inputs = depthwise ? 1 : random->Integer(1, random->OneIn(4) ? 40 : 6);
  g.outputs = depthwise ? random->Integer(1, 2)
                        : random->Integer(1, random->OneIn(4) ? 40 : 6);
  for (int dim = 0; dim < 2; ++dim) {
    do {
      g.in[dim] = random->Integer(1, 7);
      g.kernel[dim] = random->Integer(1, 5);
      g.stride[dim] = random->Integer(1, 4);
      g.adj[dim] = random->Integer(0, g.stride[dim] - 1);
      // Now and then more than the kernel.
      for (const int i : {dim, dim + 2}) {
        g.pads[i] = random->Integer(
            0, random->OneIn(5) ? g.kernel[dim] + 2 : g.kernel[dim] / 2);
      }
    } while (g.Out(dim) < 1);
  }
  return g;
}

void AddGeometry(TestRandom* random, const Geometry& g,
                 caffe2::OperatorDef* definition) {
  OpBuilder op(definition);
  const bool square = g.kernel[0] == g.kernel[1] &&
                      g.stride[0] == g.stride[1] && g.adj[0] == g.adj[1] &&
                      std::all_of(g.pads, g.pads + 4,
                                  [&](int64_t p) { return p == g.pads[0]; });
  if (square) {
    op.Int("kernel", g.kernel[0]).Int("stride", g.stride[0]);
    op.Int("pad", g.pads[0]).Int("adj", g.adj[0]);
  } else if (random->OneIn(2)) {
    op.Int("kernel_h", g.kernel[0]).Int("kernel_w", g.kernel[1]);
    op.Int("stride_h", g.stride[0]).Int("stride_w", g.stride[1]);
    op.Int("adj_h", g.adj[0]).Int("adj_w", g.adj[1]);
    op.Int("pad_t", g.pads[0]).Int("pad_l", g.pads[1]);
    op.Int("pad_b", g.pads[2]).Int("pad_r", g.pads[3]);
  } else {
    op.Ints("kernels", {g.kernel[0], g.kernel[1]});
    op.Ints("strides", {g.stride[0], g.stride[1]});
    op.Ints("adjs", {g.adj[0], g.adj[1]});
    op.Ints("pads", {g.pads, g.pads + 4});
  }
  if (g.groups != 1) op.Int("group", g.groups);
  if (!g.channels_first) op.String("order", "NHWC");
}

// Spreads every product: exact integers.
std::vector<int64_t> Sums(const Geometry& g, const std::vector<int>& x,
                          int x_zero_point, const std::vector<int>& w,
                          const std::vector<int32_t>& w_zero_points) {
  std::vector<int64_t> sums(NumValues(g.Y()));
  const int64_t per_set = g.m() / static_cast<int64_t>(w_zero_points.size());
  for (int64_t n = 0; n < g.batch; ++n) {
    for (int64_t c = 0; c < g.channels(); ++c) {
      for (int64_t i = 0; i < g.in[0]; ++i) {
        for (int64_t j = 0; j < g.in[1]; ++j) {
          const int64_t a = x[g.At(g.X(), n, c, i, j)] - x_zero_point;
          for (int64_t o = 0; o < g.outputs; ++o) {
            const int64_t m = c / g.inputs * g.outputs + o;
            for (int64_t r = 0; r < g.kernel[0]; ++r) {
              const int64_t row = i * g.stride[0] + r - g.pads[0];
              if (row < 0 || row >= g.Out(0)) continue;
              for (int64_t s = 0; s < g.kernel[1]; ++s) {
                const int64_t column = j * g.stride[1] + s - g.pads[1];
                if (column < 0 || column >= g.Out(1)) continue;
                sums[g.At(g.Y(), n, m, row, column)] +=
                    a *
                    (w[g.At(g.W(), c, o, r, s)] - w_zero_points[m / per_set]);
              }
            }
          }
        }
      }
    }
  }
  return sums;
}

// The codes of weights of floats, in the order of the filter, as the operator's
// options ask for: in sets of output channels.
template <typename T>
std::vector<int> QuantizeFilter(const Geometry& g, const std::vector<float>& w,
                                int64_t sets, int precision,
                                std::vector<float>* scales,
                                std::vector<int32_t>* zero_points) {
  // [M, C / group, kernel...]
  const int64_t columns = g.inputs * g.kernel[0] * g.kernel[1];
  std::vector<float> ordered(g.m() * columns);
  const auto for_each = [&](const auto& body) {
    for (int64_t c = 0; c < g.channels(); ++c) {
      for (int64_t o = 0; o < g.outputs; ++o) {
        for (int64_t r = 0; r < g.kernel[0]; ++r) {
          for (int64_t s = 0; s < g.kernel[1]; ++s) {
            const int64_t m = c / g.inputs * g.outputs + o;
            body(((m * g.inputs + c % g.inputs) * g.kernel[0] + r) *
                         g.kernel[1] +
                     s,
                 g.At(g.W(), c, o, r, s));
          }
        }
      }
    }
  };
  for_each([&](int64_t at, int64_t i) { ordered[at] = w[i]; });
  ChooseOptions options;
  options.type = {precision, false};
  QuantizedWeights<T> quantized;
  EXPECT_TRUE(
      QuantizeWeights(ordered.data(), g.m(), columns, sets, options, &quantized)
          .ok());
  std::vector<int> codes(w.size());
  for_each([&](int64_t at, int64_t i) { codes[i] = quantized.codes[at]; });
  *scales = quantized.scales;
  *zero_points = quantized.zero_points;
  return codes;
}

// One random case: the operator's codes are those of exact sums.
void ExpectExactSums(TestRandom* random, const OperatorKind& kind) {
  const Geometry g = RandomGeometry(random);
  const int64_t largest = kind.is_wide() ? 65535 : 255;
  const int weight_bits = kind.is_wide() ? 10 : 8;
  caffe2::OperatorDef definition;
  OpBuilder op(&definition, kind.type, {"x", "w"}, {"y"});
  definition.set_engine("ONEDNN" + kind.suffix);
  AddGeometry(random, g, &definition);
  if (kind.is_wide()) {
    op.Int("activation_precision", 16).Int("weight_precision", weight_bits);
  }
  caffe2::Workspace workspace;

  const float x_scale = random->Float(0.001f, 0.1f);
  const auto x_zero_point = static_cast<int>(random->Integer(0, largest));
  const auto x = RandomCodes(random, NumValues(g.X()), 0, largest);
  FeedTensor(
      &workspace, "x",
      CodeTensor(kind.is_wide() ? TestTensor::kUint16 : TestTensor::kUint8, x,
                 g.X(), x_scale, x_zero_point));

  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  std::vector<int> w;
  if (!kind.is_wide() && random->OneIn(2)) {
    w = RandomCodes(random, NumValues(g.W()), 0, 255);
    scales = {random->Float(0.001f, 0.1f)};
    zero_points = {static_cast<int32_t>(random->Integer(0, 255))};
    FeedTensor(
        &workspace, "w",
        CodeTensor(TestTensor::kUint8, w, g.W(), scales[0], zero_points[0]));
  } else {
    const auto floats = RandomFloats(random, NumValues(g.W()), -0.5f, 1);
    FeedFloats(&workspace, "w", floats, g.W());
    int64_t sets = 1;
    if (random->OneIn(3)) {
      sets = g.m();
      op.Int("quantize_channelwise", 1);
    } else if (random->OneIn(3)) {
      sets = g.groups;
      op.Int("quantize_groupwise", 1);
    }
    w = kind.is_wide() ? QuantizeFilter<int16_t>(g, floats, sets, weight_bits,
                                                 &scales, &zero_points)
                       : QuantizeFilter<int8_t>(g, floats, sets, weight_bits,
                                                &scales, &zero_points);
  }
  const int64_t per_set = g.m() / static_cast<int64_t>(scales.size());
  std::vector<int64_t> bias(g.m());
  if (random->OneIn(2)) {
    std::vector<float> floats(g.m());
    for (int64_t m = 0; m < g.m(); ++m) {
      const float unit = x_scale * scales[m / per_set];
      floats[m] = unit * static_cast<float>(random->Integer(-9000, 9000));
      bias[m] = static_cast<int64_t>(std::nearbyint(floats[m] / unit));
    }
    FeedFloats(&workspace, "b", floats);
    definition.add_input("b");
  }

  const std::vector<int64_t> sums = Sums(g, x, x_zero_point, w, zero_points);
  int64_t most = 1;
  for (const int64_t sum : sums) most = std::max(most, std::abs(sum));
  const float y_scale = x_scale * scales[0] * static_cast<float>(most) /
                        static_cast<float>(largest) * random->Float(0.8f, 3);
  const int64_t y_zero_point = random->Integer(0, largest);
  op.Float("Y_scale", y_scale).Int("Y_zero_point", y_zero_point);
  if (random->OneIn(3)) op.Int("constant_weight", 0);

  const onednn::ThreadsScope threads(random->OneIn(10) ? 3 : 1);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  const TestTensor y = FetchTensor(workspace, "y");
  ASSERT_EQ(y.shape, g.Y()) << definition.ShortDebugString();
  ASSERT_EQ(y.scale, y_scale);
  int64_t wrong = 0;
  for (int64_t n = 0; n < g.batch; ++n) {
    for (int64_t m = 0; m < g.m(); ++m) {
      const float multiplier = x_scale * scales[m / per_set] / y_scale;
      for (int64_t row = 0; row < g.Out(0); ++row) {
        for (int64_t column = 0; column < g.Out(1); ++column) {
          const int64_t at = g.At(g.Y(), n, m, row, column);
          const auto sum = static_cast<float>(sums[at] + bias[m]);
          const float code = std::nearbyint(sum * multiplier) +
                             static_cast<float>(y_zero_point);
          wrong += y.codes[at] != static_cast<int>(std::clamp<float>(
                                      code, 0, static_cast<float>(largest)));
        }
      }
    }
  }
  ASSERT_EQ(wrong, 0) << definition.ShortDebugString() << " of "
                      << SizesText(g.X()) << " and " << SizesText(g.W());
}

TEST(ConvTransposeOp, ExactSums) {
  TestRandom random;
  const int64_t cases = CaseCount(500, 2000);
  for (int64_t i = 0; i < cases && !testing::Test::HasFatalFailure(); ++i) {
    ExpectExactSums(&random, kKinds[i % 5]);
  }
}

// The host's float operator on the inputs' values, which weights of codes and
// whole numbers keep.
void DrawForTheFloatOperator(TestRandom* random, OperatorCase* c) {
  Geometry g = RandomGeometry(random);
  const bool wide = c->kind.is_wide();
  OpBuilder op(&c->definition, c->kind.type, {"x", "w", "b"}, {"y"});
  AddGeometry(random, g, &c->definition);
  c->largest_code = 255;
  c->blobs["x"] =
      CodeTensor(wide ? TestTensor::kUint16 : TestTensor::kUint8,
                 RandomCodes(random, NumValues(g.X()), 0, 255), g.X(),
                 std::ldexp(random->Float(1, 2), random->Integer(-9, 0)),
                 static_cast<int32_t>(random->Integer(0, 255)));
  std::vector<float> w(NumValues(g.W()));
  for (float& each : w) each = static_cast<float>(random->Integer(-127, 128));
  w[0] = -127;
  w.back() = 128;
  if (w.size() == 1) w[0] = 255;
  c->blobs["w"] = FloatTensor(w, g.W());
  c->blobs["b"] = FloatTensor(RandomFloats(random, g.m(), -9, 9), {g.m()});
  if (!random->OneIn(2)) return;
  op.Float("Y_scale", std::ldexp(random->Float(1, 2), random->Integer(0, 6)));
  op.Int("Y_zero_point", random->Integer(0, 255));
}

TEST(ConvTransposeOp, LikeTheHostsFloatOperator) {
  OperatorTester("ConvTranspose")
      .Cases(DrawForTheFloatOperator)
      .Reference([](const OperatorCase& c) {
        auto expected = RunFloatOperator(c);
        // The host's sums are of floats, and the bias becomes a whole number of
        // units.
        const double unit = c.Input(0).scale;
        double largest = 0;
        for (const double value : expected[0].values) {
          largest = std::max(largest, std::fabs(value));
        }
        expected[0].slack.assign(expected[0].values.size(),
                                 0.51 * unit + 2e-5 * largest);
        expected[0].float_slack = 2e-5 * largest;
        return expected;
      })
      .AgainstReference(CaseCount(300, 1000));
}

caffe2::OperatorDef Definition(const std::string& engine = "ONEDNN",
                               const std::string& type = "Int8ConvTranspose") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"x", "w"}, {"y"})
      .Int("kernel", 2)
      .Int("stride", 2)
      .String("order", "NHWC");
  definition.set_engine(engine);
  return definition;
}

// Each input becomes a block of four.
TEST(ConvTransposeOp, ByHand) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {12, 11, 10, 7}, {1, 2, 2, 1}, 1, 10);
  FeedCodes<uint8_t>(&workspace, "w", {1, 2, 3, 4}, {1, 2, 2, 1}, 1, 0);
  auto definition = Definition();
  OpBuilder(&definition).Float("Y_scale", 1).Int("Y_zero_point", 100);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 4, 4, 1},
                        {102, 104, 101, 102, 106, 108, 103, 104,  //
                         100, 100, 97, 94, 100, 100, 91, 88},
                        1,
                        100}));
}

// QNNPACK's rounds otherwise, to a neighbour.
TEST(ConvTransposeOp, NearTheDefaultEngines) {
  TestRandom random;
  for (int i = 0; i < 50; ++i) {
    const int64_t channels = random.Integer(1, 20), m = random.Integer(1, 20);
    caffe2::Workspace workspace;
    std::vector<uint8_t> x(5 * 4 * channels), w(channels * 4 * m);
    for (uint8_t& code : x) code = random.Byte();
    for (uint8_t& code : w) code = random.Byte();
    FeedCodes(&workspace, "x", x, {1, 5, 4, channels}, 0.02f, 128);
    FeedCodes(&workspace, "w", w, {channels, 2, 2, m}, 0.01f, 100);
    FeedCodes(&workspace, "b", std::vector<int32_t>(m, 321), {m}, 0.02f * 0.01f,
              0);
    auto definition = Definition();
    definition.add_input("b");
    OpBuilder(&definition).Float("Y_scale", 0.3f).Int("Y_zero_point", 120);
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const Int8Values ours = FetchCodes(workspace, "y");
    definition.set_engine("DEFAULT");
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    const Int8Values host = FetchCodes(workspace, "y");
    ASSERT_EQ(ours.sizes, host.sizes);
    for (std::size_t k = 0; k < ours.codes.size(); ++k) {
      ASSERT_NEAR(ours.codes[k], host.codes[k], 1);
    }
  }
}

TEST(ConvTransposeOp, FollowsWeightsAndSizesThatChange) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1, 2}, {1, 1, 2, 1}, 1, 0);
  FeedCodes<uint8_t>(&workspace, "w", {1, 2, 3, 4}, {1, 2, 2, 1}, 1, 0);
  auto definition = Definition();
  OpBuilder(&definition).Float("Y_scale", 1);
  const auto op = caffe2::CreateOperator(definition, &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 2, 4, 1}, {1, 2, 2, 4, 3, 4, 6, 8}, 1, 0}));
  FeedCodes<uint8_t>(&workspace, "x", {1, 0, 3}, {3, 1, 1, 1}, 1, 0);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(
      FetchCodes(workspace, "y"),
      (Int8Values{{3, 2, 2, 1}, {1, 2, 3, 4, 0, 0, 0, 0, 3, 6, 9, 12}, 1, 0}));
  workspace.GetBlob("w")->Reset();
  FeedCodes<uint8_t>(&workspace, "w", {5, 6, 7, 8, 9, 9, 9, 9}, {1, 2, 2, 2}, 1,
                     0);
  FeedCodes<uint8_t>(&workspace, "x", {1}, {1, 1, 1, 1}, 1, 0);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 2, 2, 2}, {5, 6, 7, 8, 9, 9, 9, 9}, 1, 0}));
}

TEST(ConvTransposeOp, ShapesAreInferred) {
  const auto infer = [](const caffe2::OperatorDef& definition, const Sizes& x,
                        const Sizes& w) {
    std::vector<caffe2::TensorShape> in(2);
    for (const int64_t size : x) in[0].add_dims(size);
    for (const int64_t size : w) in[1].add_dims(size);
    return caffe2::OpSchemaRegistry::Schema(definition.type())
        ->InferTensor(definition, in)[0];
  };
  for (const char* type : {"ConvTranspose", "Int8ConvTranspose"}) {
    const auto y = infer(Definition("", type), {2, 3, 4, 5}, {5, 2, 2, 7});
    EXPECT_EQ(Sizes(y.dims().begin(), y.dims().end()), (Sizes{2, 6, 8, 7}));
    EXPECT_TRUE(infer(Definition("", type), {2, 3, 4, 5}, {4, 2, 2, 7})
                    .unknown_shape());
  }
}

TEST(ConvTransposeOp, RefusesAndLeavesTheOutput) {
  caffe2::Workspace workspace;
  const auto expect = [&](const caffe2::OperatorDef& definition,
                          const std::string& part) {
    FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 0.25f, 3);
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(error.find(definition.type() + ": " + part), std::string::npos)
        << error;
    EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 0.25f, 3}));
  };
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4}, {1, 2, 2, 1}, 1, 0);
  FeedCodes<uint8_t>(&workspace, "w", {1, 2, 3, 4}, {1, 2, 2, 1}, 1, 0);
  const auto with = [](const char* name, int64_t value) {
    auto definition = Definition();
    OpBuilder(&definition).Float("Y_scale", 1).Int(name, value);
    return definition;
  };
  expect(with("adj", 2), "adjs are [2, 2], expected numbers below the strides");
  expect(with("adj", -1), "adjs are [-1, -1]");
  expect(with("dilation", 2), "dilations are [2, 2], expected 1");
  expect(with("legacy_pad", 3), "argument legacy_pad is 3, expected 0 to 2");
  expect(with("group", 2),
         "tensor 'x' has sizes [1, 2, 2, 1], expected a "
         "number of channels that 2 groups divide");
  expect(with("group", 0), "argument group is 0");
  expect(with("pad", 2),
         "tensor 'x' has sizes [1, 2, 2, 1], expected an "
         "output of 1 to 2147483647 in dimension 0 of the "
         "kernel, and not 0");
  expect(with("pad", -1), "pads are [-1, -1, -1, -1]");
  expect(with("dequantize_output", 1), "argument dequantize_output is 1");
  auto other = with("constant_weight", 1);
  other.mutable_arg(0)->set_i(3);
  expect(other,
         "tensor 'w' has sizes [1, 2, 2, 1], expected a kernel of [3, "
         "3] as the arguments say");
  other = Definition();
  OpBuilder(&other).Ints("kernels", {2, 2, 2});
  other.mutable_arg()->DeleteSubrange(0, 1);
  expect(other, "kernels are [2, 2, 2], expected 2 of them");
  other = Definition();
  other.mutable_arg()->DeleteSubrange(0, 1);
  expect(other, "no kernel size, expected the argument kernel");
  other = Definition();
  other.mutable_arg(1)->set_i(1 << 20);
  expect(other, "strides are [1048576, 1048576], expected a product of at ");
  FeedCodes<uint8_t>(&workspace, "w", {1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2, 1}, 1,
                     0);
  expect(Definition(),
         "tensor 'w' has sizes [2, 2, 2, 1], expected 1 input "
         "channels first, as tensor 'x' has");
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4}, {1, 4, 1}, 1, 0);
  expect(Definition(), "tensor 'x' has sizes [1, 4, 1], expected 4 dimensions");
}

}  // namespace
}  // namespace caffe2_quantization
