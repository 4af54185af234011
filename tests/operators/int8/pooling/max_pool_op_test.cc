// MaxPool and its kin under the engine ONEDNN, against maxima by the host's own
// geometry and against DNNLOWP.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "quantization/choose.h"
#include "quantization/kernels/isa.h"
#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_tester.h"
#include "tests/operators/int8/pooling/pool_case.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

// The step of the codes that floats become.
double StepOf(const TestTensor& x, int64_t largest_code) {
  double low = 0, high = 0;
  for (const double value : x.floats) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  return (high - low) / static_cast<double>(largest_code);
}

void Draw(TestRandom* random, OperatorCase* c) {
  DrawPool(random, c);
  const TestTensor& x = c->Input(0);
  if (x.is_float()) {
    // They become codes of activation_precision bits, 8 if it is not given.
    int precision = 8;
    if (random->OneIn(2)) {
      precision =
          static_cast<int>(random->Integer(2, c->kind.is_wide() ? 16 : 8));
      c->Arguments().Int("activation_precision", precision);
    }
    c->largest_code = (1 << precision) - 1;
    // DNNLOWP rounds them twice if the codes have not 8 bits.
    if (precision != 8) c->host_within = 1;
    for (const char* name :
         {"preserve_activation_sparsity", "force_scale_power_of_two"}) {
      if (random->OneIn(6)) c->Arguments().Int(name, 1);
    }
  }
  // DNNLOWP refuses dequantize_output. It pools globally in two dimensions
  // alone without going out of bounds. Small scales are not its own.
  c->host_is_wrong =
      c->Argument("dequantize_output", 0) == 1 ||
      (IsGlobal(*c) && x.shape.size() != 4) ||
      (x.is_float() && StepOf(x, c->largest_code) < 2 * kDnnlowpSmallestScale);
}

std::vector<Expected> Reference(const OperatorCase& c) {
  const bool rectifies = IsFusedWithRelu(c.kind);
  Expected y = PoolReference(c, [&](const std::vector<double>& x, int64_t) {
    const double most = *std::max_element(x.begin(), x.end());
    return rectifies ? std::max(most, 0.0) : most;
  });
  // Floats are rounded to codes, and become floats again.
  const TestTensor& x = c.Input(0);
  if (x.is_float() && c.Argument("dequantize_output", 0) == 1) {
    double step = StepOf(x, c.largest_code);
    if (c.Argument("preserve_activation_sparsity", 0)) step *= 4;
    if (c.Argument("force_scale_power_of_two", 0)) step *= 2;
    // As Quantize rounds them: with 16 bits not quite to the nearest one.
    y.slack.assign(y.values.size(), 0.51 * step);
  }
  return {y};
}

TEST(MaxPoolOp, LikeTheFloatOperatorAndDnnlowp) {
  OperatorTester("MaxPool", {"Int8MaxPoolRelu"})
      .TakesFloats()
      .TakesDequantizeOutput()
      .KeepsParameters()
      .Vary(Draw)
      .Reference(Reference)
      .ExactCodes()
      .InexactShare(0.0003, 0, 3)
      .AgainstReference(static_cast<int>(CaseCount(400, 2000)))
      .AgainstDnnlowp(static_cast<int>(CaseCount(400, 2000)));
}

caffe2::OperatorDef Definition(const std::string& type,
                               const std::string& suffix = "") {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, type, {"x"}, {"y"});
  definition.set_engine("ONEDNN" + suffix);
  return definition;
}

TEST(MaxPoolOp, PaddingNeverWins) {
  caffe2::Workspace workspace;
  // All values are below 0, which padding might stand for.
  FeedCodes<uint8_t>(&workspace, "x", {3, 1, 2, 0, 7, 5}, {1, 1, 2, 3}, 0.5f,
                     100);
  auto definition = Definition("MaxPool");
  OpBuilder(&definition).Int("kernel", 3).Int("pad", 2).Int("stride", 2);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 1, 2, 3}, {3, 3, 2, 3, 7, 5}, 0.5f, 100}));
}

TEST(MaxPoolOp, ReluRaisesCodesToTheZeroPoint) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {3, 1, 120, 0}, {1, 2, 2}, 0.5f, 100);
  auto definition = Definition("Int8MaxPoolRelu");
  OpBuilder(&definition).Int("global_pooling", 1);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 2, 1}, {100, 120}, 0.5f, 100}));
  OpBuilder(&definition).Int("dequantize_output", 1);
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(Fetch<float>(workspace, "y"), (std::vector<float>{0, 10}));
}

// Codes of 16 bits, although activation_precision is 8.
TEST(MaxPoolOp, CodesOf16Bits) {
  caffe2::Workspace workspace;
  FeedCodes<uint16_t>(&workspace, "x", {1, 40000, 65535, 2}, {1, 1, 4}, 1, 9);
  auto definition = Definition("MaxPool", "_16");
  OpBuilder(&definition).Ints("kernels", {2}).Ints("strides", {2});
  ASSERT_TRUE(workspace.RunOperatorOnce(definition));
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 1, 2}, {40000, 65535}, 1, 9}));
}

// Input 0 of another shape, in the same operator; a batch of none keeps its
// shape.
TEST(MaxPoolOp, ShapesMayChangeFromRunToRun) {
  caffe2::Workspace workspace;
  auto definition = Definition("Int8MaxPool");
  OpBuilder(&definition)
      .Int("kernel", 2)
      .Int("stride", 2)
      .String("order", "NHWC");
  FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 4}, {1, 2, 2, 1}, 1, 0);
  const auto op = caffe2::CreateOperator(definition, &workspace);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1, 1, 1, 1}, {4}, 1, 0}));
  FeedCodes<uint8_t>(&workspace, "x", {9, 1, 2, 8, 3, 7, 4, 6}, {1, 2, 2, 2}, 2,
                     3);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"),
            (Int8Values{{1, 1, 1, 2}, {9, 8}, 2, 3}));
  FeedCodes<uint8_t>(&workspace, "x", {}, {0, 4, 6, 5}, 2, 3);
  ASSERT_TRUE(op->Run());
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{0, 2, 3, 5}, {}, 2, 3}));
}

// Expects that the operator is refused with this message, before it changes
// its output.
void ExpectRefusal(const std::string& type, const std::vector<int64_t>& sizes,
                   const std::function<void(OpBuilder*)>& add,
                   const std::string& message) {
  caffe2::Workspace workspace;
  const std::vector<uint8_t> codes(NumValues(sizes));
  FeedCodes<uint8_t>(&workspace, "x", codes, sizes, 1, 0);
  FeedCodes<uint8_t>(&workspace, "y", {7}, {1}, 2, 3);
  auto definition = Definition(type);
  OpBuilder builder(&definition);
  add(&builder);
  const std::string error =
      ErrorOf([&] { workspace.RunOperatorOnce(definition); });
  EXPECT_NE(error.find(type + ": " + message), std::string::npos)
      << error << "\nexpected: " << message;
  EXPECT_EQ(FetchCodes(workspace, "y"), (Int8Values{{1}, {7}, 2, 3}));
}

TEST(PoolOps, RefuseWhatTheHostCannotPool) {
  using B = OpBuilder*;
  for (const char* type : {"MaxPool", "AveragePool", "Int8AveragePoolRelu"}) {
    const auto expect = [&](const std::vector<int64_t>& sizes, const auto& add,
                            const std::string& message) {
      ExpectRefusal(type, sizes, add, message);
    };
    expect(
        {1, 1, 4, 4}, [](B) {}, "no kernel size, expected the argument");
    expect(
        {1, 1, 4, 4}, [](B b) { b->Int("kernel", 2).Int("dilation", 2); },
        "dilations are [2, 2], expected 1: a pool has none");
    expect(
        {1, 1, 4, 4}, [](B b) { b->Int("kernel", 2).Int("pad", 2); },
        "pads are [2, 2, 2, 2], expected numbers below the kernel's [2, 2]");
    expect(
        {1, 1, 4, 4}, [](B b) { b->Int("kernel", 2).Int("stride", 0); },
        "strides are [0, 0], expected numbers from 1 to");
    expect(
        {1, 1, 4, 4}, [](B b) { b->Int("kernel", 5); },
        "tensor 'x' has sizes [1, 1, 4, 4]: with padding 4 values, expected "
        "the kernel's 5 at least, in dimension 0 of the kernel");
    expect(
        {1, 1, 4}, [](B b) { b->Int("kernel", 2); },
        "tensor 'x' has sizes [1, 1, 4], expected 4 dimensions for a kernel "
        "of [2, 2]");
    expect(
        {1, 0, 4, 4}, [](B b) { b->Int("kernel", 2); },
        "tensor 'x' has sizes [1, 0, 4, 4], expected nothing but the batch "
        "to be 0");
    expect(
        {1, 4}, [](B b) { b->Int("global_pooling", 1); },
        "tensor 'x' has sizes [1, 4], expected 3 to 5 dimensions");
    expect(
        {1, 1, 4, 4}, [](B b) { b->Int("global_pooling", 1).Int("stride", 2); },
        "strides are [2, 2], expected 1 with global_pooling");
    expect(
        {1, 1, 4, 4}, [](B b) { b->Int("global_pooling", 2); },
        "argument global_pooling is 2, expected 0 or 1");
    // The host reads beyond the input there.
    expect(
        {1, 1, 5, 5},
        [](B b) { b->Int("kernel", 1).Int("stride", 5).Int("legacy_pad", 3); },
        "tensor 'x' has sizes [1, 1, 5, 5], expected a window of legacy_pad "
        "CAFFE_LEGACY_POOLING to begin inside of it");
    expect(
        {1, 1, 4, 4},
        [](B b) { b->Int("kernel", 1).Int("stride", 0x7fffffff); },
        "tensor 'x' has sizes [1, 1, 4, 4], expected sizes that add up to "
        "less than 2^31");
    expect(
        {1, 1, 4, 4},
        [](B b) {
          b->Ints("kernels", {70000, 70000});
        },
        "kernel sizes are [70000, 70000], expected at most 536870912");
    expect(
        {1, 1, 4, 4}, [](B b) { b->Int("kernel", 2).String("order", "HWC"); },
        "argument order is 'HWC', expected NCHW or NHWC");
    expect(
        {1, 1, 4, 4},
        [](B b) { b->Int("kernel", 2).Int("activation_precision", 9); },
        "activation_precision is 9, expected 1 to 8");
  }
  ExpectRefusal(
      "AveragePool", {1, 1, 4, 4},
      [](B b) { b->Int("kernel", 2).Int("count_include_pad", 2); },
      "argument count_include_pad is 2, expected 0 or 1");
}

TEST(PoolOps, HaveOneInputAndOneOutput) {
  caffe2::Workspace workspace;
  FeedCodes<uint8_t>(&workspace, "x", {1}, {1, 1, 1, 1}, 1, 0);
  for (const char* type : {"MaxPool", "Int8AveragePool"}) {
    auto definition = Definition(type);
    OpBuilder(&definition).Int("kernel", 1);
    definition.add_input("x");
    EXPECT_NE(ErrorOf([&] { workspace.RunOperatorOnce(definition); }), "");
  }
}

// The host's list of kernel sizes is for two dimensions, unless some are given.
TEST(PoolOps, PoolGloballyInEveryDimensionBesideTheFloatOperator) {
  for (const char* type : {"MaxPool", "AveragePool"}) {
    for (const std::vector<int64_t>& sizes :
         {std::vector<int64_t>{1, 1, 4}, {1, 1, 2, 2}, {1, 1, 1, 2, 2}}) {
      caffe2::Workspace workspace;
      FeedCodes<uint8_t>(&workspace, "x", {1, 2, 3, 6}, sizes, 1, 0);
      auto definition = Definition(type);
      OpBuilder(&definition)
          .Int("global_pooling", 1)
          .Int("measure_quantization_error", 1)
          .Int("dequantize_output", 1);
      testing::internal::CaptureStderr();
      ASSERT_TRUE(workspace.RunOperatorOnce(definition));
      const std::string log = testing::internal::GetCapturedStderr();
      EXPECT_NE(log.find("1 runs, L2 relative error 0"), std::string::npos)
          << log;
      EXPECT_FLOAT_EQ(Fetch<float>(workspace, "y")[0], type[0] == 'M' ? 6 : 3);
    }
  }
}

// What one image has passes 64 bits.
TEST(PoolOps, PoolNoImagesOfAnySize) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP()
      << "the host's own header lets the strides of such a tensor wrap";
#endif
  constexpr int64_t kHuge = int64_t{1} << 32;
  for (const char* type : {"MaxPool", "AveragePool"}) {
    caffe2::Workspace workspace;
    FeedCodes<uint8_t>(&workspace, "x", {}, {0, kHuge, kHuge, kHuge}, 1, 0);
    auto definition = Definition(type);
    OpBuilder(&definition)
        .Int("global_pooling", 1)
        .Float("Y_scale", 1)
        .Int("Y_zero_point", 0);
    ASSERT_TRUE(workspace.RunOperatorOnce(definition));
    EXPECT_EQ(FetchCodes(workspace, "y").sizes,
              (std::vector<int64_t>{0, kHuge, 1, 1}));
  }
}

// So many codes are written past the cache, in lines that begin and end inside
// cache lines. Windows of one code and scales that are equal give the input.
TEST(PoolOps, PoolPastTheCache) {
  const int64_t channels = 72, width = 28, height = 28;
  const auto half = static_cast<int64_t>(kernels::LastLevelCacheBytes() / 2);
  const int64_t images = half / (channels * width * height) + 1;
  caffe2::Workspace workspace;
  std::vector<uint8_t> codes(images * height * width * channels);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    codes[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  }
  FeedCodes(&workspace, "x", codes, {images, height, width, channels}, 0.5f, 9);
  for (const char* type : {"MaxPool", "AveragePool"}) {
    for (const int threads : {1, 3}) {
      const onednn::ThreadsScope scope(threads);
      auto definition = Definition(type);
      OpBuilder(&definition)
          .Int("kernel", 1)
          .String("order", "NHWC")
          .Float("Y_scale", 0.5f)
          .Int("Y_zero_point", 9);
      ASSERT_TRUE(workspace.RunOperatorOnce(definition));
      const auto* const y = workspace.GetBlob("y")
                                ->Get<caffe2::int8::Int8TensorCPU>()
                                .t.data<uint8_t>();
      EXPECT_TRUE(std::equal(codes.begin(), codes.end(), y))
          << type << ", " << threads << " threads";
      workspace.RemoveBlob("y");
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
