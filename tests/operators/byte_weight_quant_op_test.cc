#include "operators/byte_weight_quant_op.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

class ByteWeightQuantOpTest : public testing::Test {
 protected:
  OpBuilder Op() {
    definition_.Clear();
    return OpBuilder(&definition_, "ByteWeightQuant", {"x"},
                     {"bytes", "min", "max"});
  }
  bool Run() { return workspace_.RunOperatorOnce(definition_); }

  caffe2::Workspace workspace_;
  caffe2::OperatorDef definition_;
};

TEST_F(ByteWeightQuantOpTest, TakesTheRangeFromTheData) {
  FeedFloats(&workspace_, "x", {-1, 0, 4, 2});
  Op();
  ASSERT_TRUE(Run());
  EXPECT_EQ(Fetch<uint8_t>(workspace_, "bytes"),
            (std::vector<uint8_t>{0, 51, 255, 153}));
  EXPECT_EQ(Fetch<float>(workspace_, "min"), std::vector<float>{-1});
  EXPECT_EQ(Fetch<float>(workspace_, "max"), std::vector<float>{4});
}

TEST_F(ByteWeightQuantOpTest, SaturatesAtAGivenRange) {
  FeedFloats(&workspace_, "x", {-9, 9, 0.5f});
  Op().Float("min", -1).Float("max", 1);
  ASSERT_TRUE(Run());
  EXPECT_EQ(Fetch<uint8_t>(workspace_, "bytes"),
            (std::vector<uint8_t>{0, 255, 191}));
}

TEST_F(ByteWeightQuantOpTest, DequantizingComesBackWithinHalfAStep) {
  TestRandom random;
  for (int round = 0; round < 200; ++round) {
    std::vector<int64_t> shape(random.Integer(1, 4));
    int64_t count = 1;
    for (auto& dim : shape) count *= dim = random.Integer(1, 8);
    std::vector<float> x(count);
    for (auto& value : x) value = random.Float(-2, 5);
    FeedFloats(&workspace_, "x", x, shape);
    const char* formula = random.OneIn(2) ? "affine" : "centered";
    const bool has_axis = random.OneIn(2);
    const int axis = random.Integer(0, shape.size() - 1);
    auto quant = Op();
    quant.String("formula", formula);
    if (has_axis) quant.Int("axis", axis);
    ASSERT_TRUE(Run());
    const auto mins = Fetch<float>(workspace_, "min");
    const auto maxs = Fetch<float>(workspace_, "max");
    ASSERT_EQ(mins.size(),
              static_cast<std::size_t>(has_axis ? shape[axis] : 1));

    caffe2::OperatorDef back;
    OpBuilder dequant(&back, "ByteWeightDequant", {"bytes"}, {"y"});
    dequant.Ints("shape", shape).String("formula", formula);
    if (has_axis) {
      dequant.Int("axis", axis).Floats("mins", mins).Floats("maxs", maxs);
    } else {
      dequant.Float("min", mins[0]).Float("max", maxs[0]);
    }
    ASSERT_TRUE(workspace_.RunOperatorOnce(back));
    const auto y = Fetch<float>(workspace_, "y");
    float widest = 0;
    for (std::size_t c = 0; c < mins.size(); ++c) {
      widest = std::max(widest, maxs[c] - mins[c]);
    }
    // A centered step is twice as wide for the same max - min.
    const float step = widest / 255 * (formula[0] == 'c' ? 2 : 1);
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_NEAR(x[i], y[i], step / 2 * 1.001f)
          << definition_.ShortDebugString();
    }
  }
}

TEST_F(ByteWeightQuantOpTest, EmptyAndConstantTensors) {
  FeedFloats(&workspace_, "x", {});
  Op();
  ASSERT_TRUE(Run());
  EXPECT_TRUE(Fetch<uint8_t>(workspace_, "bytes").empty());
  FeedFloats(&workspace_, "x", {2.5f, 2.5f});
  ASSERT_TRUE(Run());
  EXPECT_EQ(Fetch<uint8_t>(workspace_, "bytes"), (std::vector<uint8_t>{0, 0}));
  EXPECT_EQ(Fetch<float>(workspace_, "min"), std::vector<float>{2.5f});
}

TEST_F(ByteWeightQuantOpTest, EveryRefusalNamesItsReason) {
  const auto expect = [&](const std::string& wanted) {
    const std::string error = ErrorOf([&] { Run(); });
    EXPECT_NE(error.find(wanted), std::string::npos)
        << "'" << wanted << "' is not in '" << error << "'";
  };
  FeedFloats(&workspace_, "x",
             {1, std::nanf(""), std::numeric_limits<float>::infinity()});
  Op();
  expect("input 'x' holds 1 NaN and 1 infinite values");
  FeedFloats(&workspace_, "x", {1, 2, 3});
  Op().String("formula", "centered")
      .Int("quant_min", -128)
      .Int("quant_max", 127);
  expect("quant_min is -128 and quant_max is 127, expected 0 to 255");
  Op().Float("min", 0);
  expect("one of min and max is given");
  Op().Floats("mins", {0, 0, 0});
  expect("with axis the range is given by mins and maxs");
  Op().Int("axis", 0).Floats("mins", {0, 0}).Floats("maxs", {1, 1});
  expect("mins has 2 and maxs has 2 numbers, expected 3");
  Op().Int("axis", 1);
  expect("axis is 1, expected -1 ... 0");
  FeedFloats(&workspace_, "x", {-3e38f, 3e38f});
  Op();
  expect("overflows float");
  Feed<int32_t>(&workspace_, "x", {1});
  Op();
  expect("expected float");
}

TEST_F(ByteWeightQuantOpTest, InfersShapes) {
  NetBuilder net("n", "simple");
  net.Op("ByteWeightQuant", {"x"}, {"b", "lo", "hi"}).Int("axis", 1);
  caffe2::CaffeMap<std::string, caffe2::TensorShape> shapes;
  shapes["x"] = caffe2::CreateTensorShape(std::vector<int>{2, 3},
                                          caffe2::TensorProto::FLOAT);
  caffe2::NetDef definition = net.Build();
  const auto inferred = caffe2::InferBlobShapesAndTypes(shapes, {&definition});
  for (const auto& shape : inferred.shapes()) {
    if (shape.name() == "b") {
      EXPECT_EQ(shape.data_type(), caffe2::TensorProto::UINT8);
      EXPECT_EQ(shape.dims_size(), 2);
    } else if (shape.name() == "lo" || shape.name() == "hi") {
      ASSERT_EQ(shape.dims_size(), 1);
      EXPECT_EQ(shape.dims(0), 3);
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
