// The geometry of convolutions, against the host's ConvPoolOpBase, and what it
// refuses.
#include "operators/int8/products/conv_geometry.h"

#include <gtest/gtest.h>

#include "caffe2/operators/conv_pool_op_base.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

// What the host's base class makes of a definition and an input.
class HostGeometry final : public caffe2::ConvPoolOpBase<caffe2::CPUContext> {
 public:
  using ConvPoolOpBase::ConvPoolOpBase;
  std::vector<int64_t> OutputSizes(const std::vector<int64_t>& x, int m) {
    return GetOutputSize(caffe2::Tensor(x, caffe2::CPU), m);
  }
  int pad(int dim) const { return pads_[dim]; }
};

caffe2::OperatorDef Definition() {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, "Conv", {"x", "w"}, {"y"});
  return definition;
}

NamedShape Input(const ConvGeometry& geometry, int64_t batch, int64_t channels,
                 const std::vector<int64_t>& sizes) {
  NamedShape x{"x", {batch}};
  if (geometry.channels_first()) x.sizes.push_back(channels);
  x.sizes.insert(x.sizes.end(), sizes.begin(), sizes.end());
  if (!geometry.channels_first()) x.sizes.push_back(channels);
  return x;
}

NamedShape Filter(const ConvGeometry& geometry, int64_t m, int64_t channels,
                  const std::vector<int64_t>& kernel) {
  NamedShape filter = Input(geometry, m, channels / geometry.groups(), kernel);
  filter.name = "w";
  return filter;
}

// One argument for each dimension in one of the forms that the host takes.
std::vector<int64_t> AddForm(OpBuilder* builder, TestRandom* random,
                             const std::string& name, int dims, int64_t low,
                             int64_t high) {
  std::vector<int64_t> values(dims);
  for (int64_t& value : values) value = random->Integer(low, high);
  if (dims == 2 && random->OneIn(3)) {
    values[1] = values[0];
    builder->Int(name, values[0]);
  } else if (dims == 2 && random->OneIn(2)) {
    builder->Int(name + "_h", values[0]).Int(name + "_w", values[1]);
  } else {
    builder->Ints(name + "s", values);
  }
  return values;
}

TEST(ConvGeometry, LikeTheHostsOver2000Definitions) {
  TestRandom random;
  caffe2::Workspace workspace;
  workspace.CreateBlob("x");
  workspace.CreateBlob("w");
  int refused = 0;
  for (int i = 0; i < 2000; ++i) {
    const int dims = random.Integer(1, 3);
    auto definition = Definition();
    OpBuilder builder(&definition);
    const auto kernel = AddForm(&builder, &random, "kernel", dims, 1, 4);
    const bool strides = random.OneIn(2), dilations = random.OneIn(3);
    if (strides) AddForm(&builder, &random, "stride", dims, 1, 4);
    if (dilations) AddForm(&builder, &random, "dilation", dims, 1, 3);
    const int64_t legacy = random.OneIn(3) ? random.Integer(0, 3) : 0;
    if (legacy > 0 || random.OneIn(5)) builder.Int("legacy_pad", legacy);
    if (legacy != 1 && legacy != 2 && random.OneIn(2)) {
      if (dims == 2 && random.OneIn(3)) {
        builder.Int("pad", random.Integer(0, 3));
      } else if (dims == 2 && random.OneIn(2)) {
        for (const char* name : {"pad_t", "pad_l", "pad_b", "pad_r"}) {
          builder.Int(name, random.Integer(0, 3));
        }
      } else {
        std::vector<int64_t> pads(2 * dims);
        for (int64_t& pad : pads) pad = random.Integer(0, 3);
        builder.Ints("pads", pads);
      }
    }
    if (random.OneIn(2)) {
      builder.String("order", random.OneIn(2) ? "NHWC" : "NCHW");
    }
    std::vector<int64_t> sizes(dims);
    for (int64_t& size : sizes) size = random.Integer(1, 12);
    SCOPED_TRACE(definition.ShortDebugString() + " of " + SizesText(sizes));

    ConvGeometry geometry;
    const Status read = ConvGeometry::Read(definition, &geometry);
    ASSERT_TRUE(read.ok()) << read.message();
    ASSERT_EQ(geometry.dims(), dims);
    const NamedShape x = Input(geometry, random.Integer(0, 2), 3, sizes);
    onednn::ConvolutionShape shape;
    const Status status =
        geometry.ShapeFor(x, Filter(geometry, 5, 3, kernel), &shape);
    HostGeometry host(definition, &workspace);
    std::vector<int64_t> expected;
    const std::string error = ErrorOf([&] {
      auto with_batch = x.sizes;  // the host refuses an empty one here
      with_batch[0] = 1;
      expected = host.OutputSizes(with_batch, 5);
    });
    if (!status.ok()) {
      ++refused;
      // The host computes sizes also where a legacy padding cuts the input, or
      // the kernel is larger than it.
      if (legacy == 0) {
        EXPECT_NE(error, "") << status.message();
      }
      continue;
    }
    ASSERT_EQ(error, "");
    expected[0] = x.sizes[0];
    EXPECT_EQ(ConvGeometry::OutputSizes(shape), expected);
    for (int dim = 0; dim < dims; ++dim) {
      EXPECT_EQ(shape.pad_begin[dim], host.pad(dim)) << dim;
      EXPECT_EQ(shape.kernel[dim], kernel[dim]);
      EXPECT_EQ(shape.input[dim], sizes[dim]);
    }
  }
  EXPECT_LT(refused, 800);
}

// legacy_pad SAME with a stride larger than the kernel leaves values out at the
// end (served) or on both sides (refused).
TEST(ConvGeometry, LegacySameLeavesValuesOutAtTheEnd) {
  auto definition = Definition();
  OpBuilder(&definition).Int("kernel", 1).Int("stride", 2).Int("legacy_pad", 2);
  ConvGeometry geometry;
  ASSERT_TRUE(ConvGeometry::Read(definition, &geometry).ok());
  onednn::ConvolutionShape shape;
  const NamedShape filter = Filter(geometry, 1, 1, {1, 1});
  ASSERT_TRUE(
      geometry.ShapeFor(Input(geometry, 1, 1, {4, 5}), filter, &shape).ok());
  EXPECT_EQ(ConvGeometry::OutputSizes(shape),
            (std::vector<int64_t>{1, 1, 2, 3}));

  definition = Definition();
  OpBuilder(&definition).Int("kernel", 1).Int("stride", 4).Int("legacy_pad", 2);
  ASSERT_TRUE(ConvGeometry::Read(definition, &geometry).ok());
  const Status status =
      geometry.ShapeFor(Input(geometry, 1, 1, {8, 8}), filter, &shape);
  EXPECT_NE(status.message().find("legacy_pad SAME would cut 1 values off"),
            std::string::npos)
      << status.message();
}

TEST(ConvGeometry, RefusesArguments) {
  const auto expect_error = [](const auto& add, const std::string& expected) {
    auto definition = Definition();
    OpBuilder builder(&definition);
    add(&builder);
    ConvGeometry geometry;
    const Status status = ConvGeometry::Read(definition, &geometry);
    EXPECT_NE(status.message().find(expected), std::string::npos)
        << status.message() << "\nexpected: " << expected;
  };
  using B = OpBuilder*;
  expect_error([](B b) {}, "no kernel size, expected the argument kernel");
  expect_error([](B b) { b->Int("kernel_h", 3); }, "no kernel size");
  expect_error([](B b) { b->Int("kernel", 0); },
               "kernel sizes are [0, 0], expected numbers from 1 to");
  expect_error([](B b) { b->Float("kernel", 3); },
               "argument kernel is not an integer");
  expect_error(
      [](B b) {
        b->Floats("kernels", {3, 3});
      },
      "argument kernels is not a list of integers");
  expect_error(
      [](B b) {
        b->Ints("kernels", {1, 1, 1, 1});
      },
      "kernel sizes are [1, 1, 1, 1], expected 1 to 3 dimensions");
  expect_error(
      [](B b) {
        b->Ints("kernels", {1, 1, 1}).Int("stride", 2);
      },
      "strides are [2, 2], expected 3 of them");
  expect_error([](B b) { b->Int("kernel", 1).Int("stride", 0); },
               "strides are [0, 0], expected numbers from 1 to");
  expect_error([](B b) { b->Int("kernel", 1).Int("dilation", -1); },
               "dilations are [-1, -1], expected");
  expect_error(
      [](B b) {
        b->Int("kernel", 1).Ints("pads", {1, 1});
      },
      "pads are [1, 1], expected 4 of them");
  expect_error([](B b) { b->Int("kernel", 1).Int("pad", -1); },
               "pads are [-1, -1, -1, -1], expected numbers from 0 to");
  expect_error([](B b) { b->Int("kernel", int64_t{1} << 40); },
               "kernel sizes are [1099511627776, 1099511627776], expected");
  expect_error(
      [](B b) { b->Int("kernel", 1).Int("legacy_pad", 1).Int("pad", 1); },
      "arguments legacy_pad 1 and pads [1, 1, 1, 1], expected one of them");
  expect_error([](B b) { b->Int("kernel", 1).Int("legacy_pad", 4); },
               "argument legacy_pad is 4, expected 0 to 3");
  expect_error([](B b) { b->Int("kernel", 1).Int("global_pooling", 1); },
               "argument global_pooling is 1, expected 0");
  expect_error([](B b) { b->Int("kernel", 1).Int("group", 0); },
               "argument group is 0, expected a number from 1");
  expect_error([](B b) { b->Int("kernel", 1).String("order", "CHWN"); },
               "argument order is 'CHWN', expected NCHW or NHWC");
}

TEST(ConvGeometry, RefusesShapes) {
  auto definition = Definition();
  OpBuilder(&definition).Int("kernel", 3).Int("group", 2);
  ConvGeometry geometry;
  ASSERT_TRUE(ConvGeometry::Read(definition, &geometry).ok());
  const auto expect_error = [&](const std::vector<int64_t>& x,
                                const std::vector<int64_t>& w,
                                const std::string& expected) {
    onednn::ConvolutionShape shape;
    const Status status = geometry.ShapeFor({"x", x}, {"w", w}, &shape);
    EXPECT_NE(status.message().find(expected), std::string::npos)
        << status.message() << "\nexpected: " << expected;
  };
  expect_error({1, 4, 5}, {6, 2, 3, 3},
               "tensor 'x' has sizes [1, 4, 5], expected 4 dimensions for a "
               "kernel of [3, 3]");
  expect_error({1, 4, 5, 5}, {6, 2, 3}, "tensor 'w' has sizes [6, 2, 3]");
  expect_error({}, {}, "tensor 'x' has sizes [], expected 4 dimensions");
  expect_error({1, 4, 0, 5}, {6, 2, 3, 3}, "nothing but the batch to be 0");
  expect_error(
      {1, 4, 5, 5}, {6, 2, 3, 2},
      "tensor 'w' has sizes [6, 2, 3, 2], expected a kernel of [3, 3]");
  expect_error({1, 4, 5, 5}, {5, 2, 3, 3}, "output channels that 2 groups");
  expect_error({1, 4, 5, 5}, {0, 2, 3, 3}, "output channels that 2 groups");
  expect_error({1, 5, 5, 5}, {6, 2, 3, 3}, "channels that 2 groups divide");
  expect_error({1, 4, 5, 5}, {6, 4, 3, 3},
               "tensor 'w' has sizes [6, 4, 3, 3], expected 2 channels, for an "
               "input of 4 in 2 groups");
  expect_error({1, 4, 5, 2}, {6, 2, 3, 3},
               "tensor 'x' has sizes [1, 4, 5, 2]: with padding 2 values, "
               "expected the kernel's 3 at least, in dimension 1");
}

}  // namespace
}  // namespace caffe2_quantization
