// The arguments input_order of Quantize and output_order of Dequantize, against
// the operators without them and a plain move of channels.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "quantization/onednn/parallel.h"
#include "tests/operators/int8/engine/operator_case.h"
#include "tests/operators/int8/engine/test_tensor.h"
#include "tests/support/int8_blobs.h"
#include "tests/support/net_builder.h"
#include "tests/support/test_size.h"

namespace caffe2_quantization {
namespace {

using Sizes = std::vector<int64_t>;

const OperatorKind kQuantizes[] = {
    {"Quantize", ""},         {"Quantize", "_16"},
    {"Quantize", "_ROWWISE"}, {"Quantize", "_ROWWISE_16"},
    {"Int8Quantize", ""},     {"Int8Quantize", "_ROWWISE"}};
const OperatorKind kDequantizes[] = {
    {"Dequantize", ""},           {"Dequantize", "_16"},
    {"Dequantize", "_ROWWISE"},   {"Dequantize", "_ROWWISE_16"},
    {"Int8Dequantize", ""},       {"Int8Dequantize", "_ROWWISE"},
    {"Int8DequantizeRowWise", ""}};

// [N, C, ...]: few channels, three most of all, or many; seldom none.
Sizes RandomImages(TestRandom* random) {
  Sizes sizes = {random->Integer(1, 3), 3};
  if (!random->OneIn(3)) {
    sizes[1] = random->Integer(1, random->OneIn(3) ? 150 : 20);
  }
  for (int64_t dims = random->Integer(1, 3); dims > 0; --dims) {
    sizes.push_back(random->Integer(1, random->OneIn(4) ? 40 : 7));
  }
  if (random->OneIn(20)) {
    sizes[random->Integer(0, static_cast<int64_t>(sizes.size()) - 1)] = 0;
  }
  return sizes;
}

// The values of images with their channels last, or of ones that have them last
// with their channels first.
template <typename T>
std::vector<T> Moved(const std::vector<T>& x, const Sizes& nchw, bool last) {
  std::vector<T> y(x.size());
  if (x.empty()) return y;
  const int64_t channels = nchw[1];
  const int64_t pixels = NumValues(nchw) / nchw[0] / channels;
  for (int64_t n = 0; n < nchw[0]; ++n) {
    for (int64_t c = 0; c < channels; ++c) {
      for (int64_t p = 0; p < pixels; ++p) {
        const int64_t first = (n * channels + c) * pixels + p;
        const int64_t behind = (n * pixels + p) * channels + c;
        y[last ? behind : first] = x[last ? first : behind];
      }
    }
  }
  return y;
}

Sizes ChannelsLast(const Sizes& nchw) {
  Sizes sizes = nchw;
  sizes.erase(sizes.begin() + 1);
  sizes.push_back(nchw[1]);
  return sizes;
}

caffe2::OperatorDef Definition(const OperatorKind& kind) {
  caffe2::OperatorDef definition;
  OpBuilder(&definition, kind.type, {"x"}, {"y"});
  definition.set_engine("ONEDNN" + kind.suffix);
  return definition;
}

TestTensor RunOne(const caffe2::OperatorDef& definition, const TestTensor& x) {
  caffe2::Workspace workspace;
  FeedTensor(&workspace, "x", x);
  CAFFE_ENFORCE(workspace.RunOperatorOnce(definition));
  return FetchTensor(workspace, "y");
}

TEST(QuantizeOrder, LikeQuantizeAndThenAMove) {
  TestRandom random;
  const int64_t cases = CaseCount(300, 2000);
  for (const OperatorKind& kind : kQuantizes) {
    for (int64_t i = 0; i < cases / 6 + 1; ++i) {
      const Sizes sizes = RandomImages(&random);
      const TestTensor x = FloatTensor(
          RandomFloats(&random, NumValues(sizes), random.Float(-4, 0), 3),
          sizes);
      auto definition = Definition(kind);
      if (random.OneIn(2)) {
        OpBuilder(&definition)
            .Float("Y_scale", random.Float(0.001f, 0.1f))
            .Int("Y_zero_point", random.Integer(0, 255));
      }
      if (random.OneIn(3)) {
        OpBuilder(&definition)
            .Int("activation_precision",
                 random.Integer(kind.is_wide() ? 9 : 8,
                                kind.is_wide() ? 16 : 8));
      }
      TestTensor expected = RunOne(definition, x);
      expected.codes = Moved(expected.codes, sizes, /*last=*/true);
      expected.shape = ChannelsLast(sizes);
      OpBuilder(&definition)
          .String("input_order", random.OneIn(2) ? "NCHW" : "nchw");
      const onednn::ThreadsScope threads(
          static_cast<int>(random.Integer(1, 3)));
      ASSERT_TRUE(RunOne(definition, x) == expected)
          << definition.ShortDebugString() << "\n"
          << x << "\n"
          << expected << "\n"
          << RunOne(definition, x);
    }
  }
}

TEST(QuantizeOrder, LikeDequantizeAndThenAMove) {
  TestRandom random;
  const int64_t cases = CaseCount(300, 2000);
  for (const OperatorKind& kind : kDequantizes) {
    for (int64_t i = 0; i < cases / 7 + 1; ++i) {
      const Sizes sizes = RandomImages(&random);
      const int64_t most = kind.is_wide() ? 65535 : 255;
      const TestTensor x = CodeTensor(
          kind.is_wide() ? TestTensor::kUint16 : TestTensor::kUint8,
          RandomCodes(&random, NumValues(sizes), 0, most), ChannelsLast(sizes),
          random.Float(0.001f, 9), static_cast<int>(random.Integer(0, most)));
      auto definition = Definition(kind);
      TestTensor expected = RunOne(definition, x);
      expected.floats = Moved(expected.floats, sizes, /*last=*/false);
      expected.shape = sizes;
      OpBuilder(&definition).String("output_order", "NCHW");
      const onednn::ThreadsScope threads(
          static_cast<int>(random.Integer(1, 3)));
      ASSERT_TRUE(RunOne(definition, x) == expected)
          << definition.ShortDebugString() << "\n"
          << x;
    }
  }
}

// Large enough for several threads and strips.
TEST(QuantizeOrder, OfManyValuesAndBack) {
  TestRandom random;
  const onednn::ThreadsScope threads(3);
  for (const Sizes& sizes : {Sizes{1, 3, 224, 224}, Sizes{2, 70, 31, 37}}) {
    std::vector<float> values(NumValues(sizes));
    for (float& x : values) x = static_cast<float>(random.Integer(0, 255));
    values[0] = 0;
    values[1] = 255;
    caffe2::Workspace workspace;
    FeedFloats(&workspace, "x", values, sizes);
    caffe2::OperatorDef quantize, dequantize;
    OpBuilder(&quantize, "Int8Quantize", {"x"}, {"q"})
        .String("input_order", "NCHW");
    OpBuilder(&dequantize, "Int8Dequantize", {"q"}, {"y"})
        .String("output_order", "NCHW");
    quantize.set_engine("ONEDNN");
    dequantize.set_engine("ONEDNN");
    ASSERT_TRUE(workspace.RunOperatorOnce(quantize));
    ASSERT_TRUE(workspace.RunOperatorOnce(dequantize));
    const auto codes = Moved(values, sizes, /*last=*/true);
    const Int8Values q = FetchCodes(workspace, "q");
    EXPECT_EQ(q.sizes, ChannelsLast(sizes));
    EXPECT_EQ(q.scale, 1);
    EXPECT_TRUE(std::equal(codes.begin(), codes.end(), q.codes.begin()));
    EXPECT_EQ(Fetch<float>(workspace, "y"), values);
    EXPECT_EQ(workspace.GetBlob("y")->Get<caffe2::Tensor>().sizes(),
              at::IntArrayRef(sizes));
  }
}

TEST(QuantizeOrder, NhwcLeavesThemWhereTheyAre) {
  for (const OperatorKind& kind : kQuantizes) {
    const TestTensor x = FloatTensor({0, 1, 2, 255}, {4});
    auto definition = Definition(kind);
    const TestTensor expected = RunOne(definition, x);
    OpBuilder(&definition).String("input_order", "NHWC");
    EXPECT_TRUE(RunOne(definition, x) == expected) << kind.type << kind.suffix;
  }
  for (const OperatorKind& kind : kDequantizes) {
    const TestTensor x =
        CodeTensor(kind.is_wide() ? TestTensor::kUint16 : TestTensor::kUint8,
                   {0, 1, 2, 255}, {2, 2}, 0.5f, 9);
    auto definition = Definition(kind);
    const TestTensor expected = RunOne(definition, x);
    OpBuilder(&definition).String("output_order", "NHWC");
    EXPECT_TRUE(RunOne(definition, x) == expected) << kind.type << kind.suffix;
  }
}

TEST(QuantizeOrder, RefusesAndLeavesTheOutput) {
  const auto expect = [](const OperatorKind& kind, const TestTensor& x,
                         const std::string& order, const std::string& part) {
    const std::string argument =
        kind.has("Dequantize") ? "output_order" : "input_order";
    caffe2::Workspace workspace;
    FeedTensor(&workspace, "x", x);
    FeedTensor(&workspace, "y", FloatTensor({5, 6}, {2}));
    auto definition = Definition(kind);
    OpBuilder(&definition).String(argument, order);
    const std::string error =
        ErrorOf([&] { workspace.RunOperatorOnce(definition); });
    EXPECT_NE(error.find(kind.type + ": " + part), std::string::npos) << error;
    EXPECT_TRUE(FetchTensor(workspace, "y") == FloatTensor({5, 6}, {2}));
  };
  const TestTensor floats = FloatTensor({1, 2, 3, 4}, {2, 2});
  for (const OperatorKind& kind : kQuantizes) {
    expect(kind, floats, "NCWH",
           "argument input_order is 'NCWH', expected NCHW or NHWC (did you "
           "mean 'NCHW'?)");
    expect(kind, floats, "rows", "argument input_order is 'rows', expected ");
    expect(kind, floats, "NCHW",
           "tensor 'x' has sizes [2, 2], and argument input_order is NCHW, "
           "expected 3 to 5 dimensions: [N, C, ...]");
    expect(kind, FloatTensor({1}, {1, 1, 1, 1, 1, 1}), "NCHW",
           "tensor 'x' has sizes [1, 1, 1, 1, 1, 1], and");
  }
  for (const OperatorKind& kind : kDequantizes) {
    const auto form = kind.is_wide() ? TestTensor::kUint16 : TestTensor::kUint8;
    const TestTensor codes = CodeTensor(form, {1, 2, 3, 4}, {2, 2}, 0.5f, 9);
    expect(kind, codes, "NHCW",
           "argument output_order is 'NHCW', expected NCHW or NHWC (did you "
           "mean 'NCHW'?)");
    expect(kind, codes, "NCHW",
           "tensor 'x' has sizes [2, 2], and argument output_order is NCHW, "
           "expected 3 to 5 dimensions: [N, ..., C]");
  }
  caffe2::Workspace workspace;
  FeedFloats(&workspace, "x", {1, 2, 3, 4}, {1, 2, 2});
  auto wrong = Definition({"Quantize", ""});
  OpBuilder(&wrong).Int("input_order", 1);
  EXPECT_NE(ErrorOf([&] {
              workspace.RunOperatorOnce(wrong);
            }).find("Quantize: argument input_order is not a string"),
            std::string::npos);
}

TEST(QuantizeOrder, ShapesAreInferred) {
  const auto infer = [](caffe2::OperatorDef definition, const Sizes& sizes,
                        const std::string& argument) {
    caffe2::TensorShape x;
    for (const int64_t size : sizes) x.add_dims(size);
    x.set_data_type(caffe2::TensorProto::FLOAT);
    if (!argument.empty()) OpBuilder(&definition).String(argument, "NCHW");
    return caffe2::OpSchemaRegistry::Schema(definition.type())
        ->InferTensor(definition, {x})[0];
  };
  const auto dims = [](const caffe2::TensorShape& shape) {
    return Sizes(shape.dims().begin(), shape.dims().end());
  };
  for (const char* type : {"Quantize", "Int8Quantize"}) {
    const auto definition = Definition({type, ""});
    EXPECT_EQ(dims(infer(definition, {2, 3, 4, 5}, "")), (Sizes{2, 3, 4, 5}));
    EXPECT_EQ(dims(infer(definition, {2, 3, 4, 5}, "input_order")),
              (Sizes{2, 4, 5, 3}));
    EXPECT_EQ(dims(infer(definition, {2, 3}, "input_order")), (Sizes{2, 3}));
  }
  // As the host has it.
  EXPECT_EQ(infer(Definition({"Int8Quantize", ""}), {2}, "").data_type(),
            caffe2::TensorProto::UINT8);
  EXPECT_EQ(infer(Definition({"Quantize", ""}), {2}, "").data_type(),
            caffe2::TensorProto::FLOAT);
  for (const char* type :
       {"Dequantize", "Int8Dequantize", "Int8DequantizeRowWise"}) {
    const auto definition = Definition({type, ""});
    EXPECT_EQ(dims(infer(definition, {2, 4, 5, 3}, "")), (Sizes{2, 4, 5, 3}));
    EXPECT_EQ(dims(infer(definition, {2, 4, 5, 3}, "output_order")),
              (Sizes{2, 3, 4, 5}));
    EXPECT_EQ(infer(definition, {2, 4, 5, 3}, "").data_type(),
              caffe2::TensorProto::FLOAT);
  }
}

}  // namespace
}  // namespace caffe2_quantization
