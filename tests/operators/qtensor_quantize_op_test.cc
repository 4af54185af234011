#include "operators/qtensor_quantize_op.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "serialization/qtensor_codec.h"
#include "tests/support/every_target.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

class QTensorQuantizeOpTest : public testing::Test {
 protected:
  OpBuilder Op() {
    definition_.Clear();
    return OpBuilder(&definition_, "QTensorQuantize", {"x"}, {"q"});
  }
  bool Run() { return workspace_.RunOperatorOnce(definition_); }
  const QTensorCPU& Result() {
    return workspace_.GetBlob("q")->Get<QTensorCPU>();
  }
  // Element i, read bit by bit.
  int64_t IntegerAt(std::size_t i) {
    const QTensorCPU& q = Result();
    int64_t x = 0;
    for (int b = 0; b < q.precision(); ++b) {
      if (q.GetBitAtIndex(b, i)) x |= int64_t{1} << b;
    }
    return q.is_signed() && q.GetBitAtIndex(q.precision(), i) ? -x : x;
  }
  std::vector<float> Dequantized() {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "QTensorDequantize", {"q"}, {"y"});
    EXPECT_TRUE(workspace_.RunOperatorOnce(definition));
    return Fetch<float>(workspace_, "y");
  }

  caffe2::Workspace workspace_;
  caffe2::OperatorDef definition_;
};

TEST_F(QTensorQuantizeOpTest, SignedSpansTheLargestMagnitude) {
  FeedFloats(&workspace_, "x", {-7, 0, 3.4f, 3.5f, 4.5f, 7});
  Op().Int("precision", 3);
  ASSERT_TRUE(Run());
  EXPECT_TRUE(Result().is_signed());
  EXPECT_EQ(Result().precision(), 3);
  EXPECT_EQ(Result().scale(), 1);
  EXPECT_EQ(Result().bias(), 0);
  const int expected[] = {-7, 0, 3, 4, 4, 7};  // ties to even
  for (int i = 0; i < 6; ++i) EXPECT_EQ(IntegerAt(i), expected[i]) << i;
}

TEST_F(QTensorQuantizeOpTest, UnsignedSpansMinToMax) {
  FeedFloats(&workspace_, "x", {-1, 0, 1, 2});
  Op().Int("precision", 2).Int("signed", 0);
  ASSERT_TRUE(Run());
  EXPECT_FALSE(Result().is_signed());
  EXPECT_EQ(Result().scale(), 1);
  EXPECT_EQ(Result().bias(), -1);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(IntegerAt(i), i);
}

// Every integer, on every target, against the equation in plain double.
TEST_F(QTensorQuantizeOpTest, IsTheRoundedInverse) {
  TestRandom random;
  for (int round = 0; round < 60; ++round) {
    std::vector<int64_t> dims(random.Integer(1, 4));
    int64_t count = 1;
    for (auto& dim : dims) count *= dim = random.Integer(1, 12);
    std::vector<float> x(count);
    const float center = random.OneIn(2) ? 0.0f : random.Float(-50, 50);
    for (auto& value : x) value = center + random.Float(-3, 3);
    FeedFloats(&workspace_, "x", x, dims);
    const int precision = random.Integer(1, 16);
    const bool is_signed = random.OneIn(2);
    const int axis = random.OneIn(2) ? random.Integer(0, dims.size() - 1) : -1;
    auto op = Op();
    op.Int("precision", precision).Int("signed", is_signed);
    const int64_t channels = axis < 0 ? 1 : dims[axis];
    if (axis >= 0) op.Int("axis", axis - (random.OneIn(2) ? dims.size() : 0));
    if (random.OneIn(3)) {
      std::vector<float> scales(channels), biases(channels);
      for (auto& scale : scales) scale = random.Float(0.001f, 1);
      for (auto& bias : biases) bias = random.Float(-9, 9);
      if (axis >= 0) {
        op.Floats("scales", scales).Floats("biases", biases);
      } else {
        op.Float("scale", scales[0]).Float("bias", biases[0]);
      }
    }
    int64_t inner = count;
    for (int d = 0; d <= axis; ++d) inner /= dims[d];
    const double largest = std::pow(2, precision) - 1;
    OnEveryTarget([&] {
      ASSERT_TRUE(Run());
      const QTensorCPU& q = Result();
      ASSERT_EQ(std::vector<int64_t>(q.sizes().begin(), q.sizes().end()), dims);
      const PerChannelQTensor* per_channel = AsPerChannel(q);
      ASSERT_EQ(per_channel != nullptr, axis >= 0);
      if (axis >= 0) {
        ASSERT_TRUE(per_channel->is_per_channel());
        ASSERT_EQ(per_channel->axis(), axis);
        ASSERT_EQ(per_channel->extras().data_type, caffe2::TensorProto::FLOAT);
      }
      for (int64_t i = 0; i < count; ++i) {
        const int64_t c = i / inner % channels;
        const double scale =
            axis < 0 ? q.scale() : per_channel->extras().scales[c];
        const double bias =
            axis < 0 ? q.bias() : per_channel->extras().biases[c];
        const double wanted = std::nearbyint(
            std::min(std::max(x[i] / scale - bias, is_signed ? -largest : 0.0),
                     largest));
        ASSERT_EQ(IntegerAt(i), wanted) << definition_.ShortDebugString();
      }
    });
  }
}

TEST_F(QTensorQuantizeOpTest, ComesBackWithinHalfAStep) {
  TestRandom random;
  for (int round = 0; round < 100; ++round) {
    const int channels = random.Integer(1, 5);
    const int64_t columns = random.Integer(1, 70);
    std::vector<float> x(channels * columns);
    for (auto& value : x) value = random.Float(-2, 5);
    FeedFloats(&workspace_, "x", x, {channels, columns});
    const int precision = random.Integer(1, 12);
    const bool is_signed = random.OneIn(2);
    auto op = Op();
    op.Int("precision", precision).Int("signed", is_signed);
    if (random.OneIn(2)) op.Int("axis", random.Integer(0, 1));
    ASSERT_TRUE(Run());
    const auto y = Dequantized();
    const double half_step =
        (is_signed ? 5 : 7) / (std::pow(2, precision) - 1) / 2;
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_NEAR(x[i], y[i], half_step * 1.0001)
          << definition_.ShortDebugString();
    }
  }
}

TEST_F(QTensorQuantizeOpTest, OneValueAloneIsExact) {
  for (const float value : {0.0f, -0.0f, 2.7f, -2.7f, 1e-45f, -1e-45f, 3e38f}) {
    for (const int is_signed : {0, 1}) {
      FeedFloats(&workspace_, "x", {value, value, value});
      Op().Int("signed", is_signed).Int("precision", 16);
      ASSERT_TRUE(Run());
      EXPECT_GT(Result().scale(), 0);
      EXPECT_TRUE(std::isfinite(Result().scale()));
      EXPECT_EQ(Dequantized(), (std::vector<float>{value, value, value}));
    }
  }
}

TEST_F(QTensorQuantizeOpTest, WidestAndNarrowestRanges) {
  const float largest = std::numeric_limits<float>::max();
  for (const auto& x :
       {std::vector<float>{-largest, largest}, std::vector<float>{0, 1e-45f},
        std::vector<float>{1e8f, 1e8f + 8}}) {
    for (const int is_signed : {0, 1}) {
      FeedFloats(&workspace_, "x", x);
      Op().Int("signed", is_signed).Int("precision", 16);
      ASSERT_TRUE(Run());
      const auto y = Dequantized();
      for (int i = 0; i < 2; ++i) {
        EXPECT_NEAR(y[i], x[i], std::fabs(x[i]) * 1e-5) << is_signed;
      }
    }
  }
}

TEST_F(QTensorQuantizeOpTest, EmptyAndScalarTensors) {
  FeedFloats(&workspace_, "x", {}, {0, 3});
  Op();
  ASSERT_TRUE(Run());
  EXPECT_EQ(Result().size(), 0u);
  EXPECT_EQ(Result().sizes(), (std::vector<int>{0, 3}));
  Op().Int("axis", 1);
  ASSERT_TRUE(Run());
  EXPECT_EQ(AsPerChannel(Result())->extras().scales,
            (std::vector<double>{1, 1, 1}));
  caffe2::BlobGetMutableTensor(workspace_.CreateBlob("x"),
                               std::vector<int64_t>{}, at::dtype<float>())
      ->mutable_data<float>()[0] = 5;
  Op();
  ASSERT_TRUE(Run());
  EXPECT_EQ(Result().size(), 1u);
  EXPECT_EQ(IntegerAt(0), 255);
}

TEST_F(QTensorQuantizeOpTest, SaturatesAtAGivenScale) {
  FeedFloats(&workspace_, "x", {-9, 9, 0.5f, 1});
  Op().Int("precision", 2).Float("scale", 0.5f);
  ASSERT_TRUE(Run());
  const int expected[] = {-3, 3, 1, 2};
  for (int i = 0; i < 4; ++i) EXPECT_EQ(IntegerAt(i), expected[i]) << i;
}

TEST_F(QTensorQuantizeOpTest, EveryRefusalNamesItsReasonAndChangesNothing) {
  FeedFloats(&workspace_, "x", {1, 2, 3});
  Op();
  ASSERT_TRUE(Run());
  const void* before = workspace_.GetBlob("q")->GetRaw();
  const auto expect = [&](const std::string& wanted) {
    const std::string error = ErrorOf([&] { Run(); });
    EXPECT_NE(error.find(wanted), std::string::npos)
        << "'" << wanted << "' is not in '" << error << "'";
    EXPECT_EQ(workspace_.GetBlob("q")->GetRaw(), before);
  };
  Op().Int("precision", 17);
  expect("argument precision is 17, expected 1 to 16");
  Op().Int("precision", 0);
  expect("argument precision is 0");
  Op().Float("scale", 0);
  expect("argument scale is 0, expected a finite number above 0");
  Op().Float("scale", 1).Float("bias", std::nanf(""));
  expect("argument bias is nan");
  Op().Float("bias", 1);
  expect("bias is given without scale");
  Op().Floats("scales", {1, 1, 1});
  expect("with axis the parameters are scales and biases");
  Op().Int("axis", 0).Floats("scales", {1, 1});
  expect("scales has 2 numbers, expected 3, one a channel of axis 0");
  Op().Int("axis", 0).Floats("scales", {1, -1, 1});
  expect("argument scales[1] is -1");
  Op().Int("axis", 0).Floats("scales", {1, 1, 1}).Floats("biases", {1});
  expect("scales has 3 and biases 1 numbers");
  Op().Int("axis", 1);
  expect("axis is 1, expected -1 ... 0");
  FeedFloats(&workspace_, "x",
             {1, std::nanf(""), std::numeric_limits<float>::infinity(),
              -std::numeric_limits<float>::infinity()});
  Op();
  expect("input 'x' holds 1 NaN and 2 infinite values");
  Op().Int("axis", 0);
  expect("input 'x' holds 1 NaN and 2 infinite values");
  // Of no elements, so that it takes no memory.
  FeedFloats(&workspace_, "x", {}, {0, int64_t{1} << 31});
  Op();
  expect("field dims[1] is 2147483648, expected 0 to 2147483646");
  Feed<int32_t>(&workspace_, "x", {1});
  expect("expected float");
}

TEST_F(QTensorQuantizeOpTest, InfersTheShape) {
  NetBuilder net("n", "simple");
  net.Op("QTensorQuantize", {"x"}, {"q"});
  caffe2::CaffeMap<std::string, caffe2::TensorShape> shapes;
  shapes["x"] = caffe2::CreateTensorShape(std::vector<int>{2, 3},
                                          caffe2::TensorProto::FLOAT);
  caffe2::NetDef definition = net.Build();
  int found = 0;
  const auto inferred = caffe2::InferBlobShapesAndTypes(shapes, {&definition});
  for (const auto& shape : inferred.shapes()) {
    if (shape.name() != "q") continue;
    ++found;
    EXPECT_EQ(shape.data_type(), caffe2::TensorProto::UNDEFINED);
    ASSERT_EQ(shape.dims_size(), 2);
    EXPECT_EQ(shape.dims(1), 3);
  }
  EXPECT_EQ(found, 1);
}

}  // namespace
}  // namespace caffe2_quantization
