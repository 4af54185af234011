#include "operators/qtensor_op.h"

#include <gtest/gtest.h>

#include <cmath>

#include "caffe2/core/blob_serialization.h"
#include "serialization/per_channel_qtensor.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using QTensorCPU = caffe2::QTensor<caffe2::CPUContext>;

// The message of integers x, written the slowest and plainest way.
caffe2::QTensorProto MakeProto(const std::vector<int64_t>& dims,
                               const std::vector<int>& x, int precision,
                               bool is_signed, double scale, double bias) {
  caffe2::QTensorProto proto;
  for (const int64_t dim : dims) proto.add_dims(dim);
  proto.set_precision(precision);
  proto.set_scale(scale);
  proto.set_bias(bias);
  proto.set_is_signed(is_signed);
  const std::size_t plane_bytes = (x.size() + 7) / 8;
  std::vector<int> data(plane_bytes * (precision + is_signed));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int mask = 0x80 >> i % 8;
    for (int b = 0; b < precision; ++b) {
      if (std::abs(x[i]) >> b & 1) data[b * plane_bytes + i / 8] |= mask;
    }
    if (is_signed && x[i] < 0) data[precision * plane_bytes + i / 8] |= mask;
  }
  for (const int byte : data) proto.add_data(byte);
  return proto;
}

class QTensorOpTest : public testing::Test {
 protected:
  void Fill(const std::vector<caffe2::QTensorProto>& protos,
            const std::vector<std::string>& outputs) {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "GivenQTensorFill", {}, outputs);
    auto* argument = definition.add_arg();
    argument->set_name("qtensors");
    for (const auto& proto : protos) *argument->add_qtensors() = proto;
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }
  void Dequantize(const std::string& q, const std::string& x) {
    caffe2::OperatorDef definition;
    OpBuilder(&definition, "QTensorDequantize", {q}, {x});
    ASSERT_TRUE(workspace_.RunOperatorOnce(definition));
  }

  caffe2::Workspace workspace_;
};

TEST_F(QTensorOpTest, ValuesAreScaleTimesXPlusBias) {
  TestRandom random;
  for (int round = 0; round < 300; ++round) {
    std::vector<int64_t> dims(random.Integer(1, 4));
    int64_t count = 1;
    for (auto& dim : dims) count *= dim = random.Integer(0, 9);
    const int precision = random.Integer(1, 16);
    const bool is_signed = random.OneIn(2);
    const int largest = (1 << precision) - 1;
    std::vector<int> x(count);
    for (int& each : x)
      each = random.Integer(is_signed ? -largest : 0, largest);
    const double scale = random.Float(-2, 2), bias = random.Float(-9, 9);
    Fill({MakeProto(dims, x, precision, is_signed, scale, bias)}, {"q"});
    Dequantize("q", "x");
    ASSERT_EQ(workspace_.GetBlob("x")->Get<caffe2::Tensor>().sizes(), dims);
    const auto values = Fetch<float>(workspace_, "x");
    for (int64_t i = 0; i < count; ++i) {
      ASSERT_EQ(values[i], static_cast<float>(scale * (x[i] + bias)));
    }
  }
}

TEST_F(QTensorOpTest, PerChannel) {
  const std::vector<int> x = {1, 2, 3, -1, -2, -3, 0, 7, -7, 4, 5, 6};
  for (int axis = 0; axis < 3; ++axis) {
    const std::vector<int64_t> dims = {2, 3, 2};
    auto proto = MakeProto(dims, x, 3, true, 1, 0);
    proto.set_is_multiparam(true);
    proto.set_axis(axis);
    for (int64_t c = 0; c < dims[axis]; ++c) {
      proto.add_scales(0.5 * (c + 1));
      proto.add_biases(c);
    }
    Fill({proto}, {"q"});
    EXPECT_TRUE(workspace_.GetBlob("q")->IsType<QTensorCPU>());
    Dequantize("q", "x");
    const auto values = Fetch<float>(workspace_, "x");
    const int64_t inner = axis == 0 ? 6 : axis == 1 ? 2 : 1;
    for (int i = 0; i < 12; ++i) {
      const int64_t c = i / inner % dims[axis];
      EXPECT_EQ(values[i], 0.5 * (c + 1) * (x[i] + c)) << axis << ' ' << i;
    }
  }
}

TEST_F(QTensorOpTest, FillsSeveralOutputsOrNone) {
  const auto good = MakeProto({2}, {1, 2}, 2, false, 1, 0);
  Fill({good, MakeProto({1}, {3}, 2, false, 2, 0)}, {"a", "b"});
  Dequantize("b", "x");
  EXPECT_EQ(Fetch<float>(workspace_, "x"), std::vector<float>{6});
  // The second is bad: the first output must keep what it had.
  auto bad = good;
  bad.set_precision(65);
  const auto* before = workspace_.GetBlob("a")->GetRaw();
  const std::string error = ErrorOf([&] { Fill({good, bad}, {"a", "b"}); });
  EXPECT_NE(error.find("precision"), std::string::npos) << error;
  EXPECT_NE(error.find("65"), std::string::npos) << error;
  EXPECT_EQ(workspace_.GetBlob("a")->GetRaw(), before);
  const std::string count = ErrorOf([&] { Fill({good}, {"a", "b"}); });
  EXPECT_NE(count.find("holds 1 QTensors, expected 2"), std::string::npos);
}

TEST_F(QTensorOpTest, DequantizeRefusesWhatIsNoQTensor) {
  FeedFloats(&workspace_, "f", {1});
  EXPECT_NE(ErrorOf([&] { Dequantize("f", "x"); }).find("expected a QTensor"),
            std::string::npos);
  // A QTensor whose planes were never set.
  auto* tensor = workspace_.CreateBlob("empty")->GetMutable<QTensorCPU>();
  tensor->Resize(std::vector<int>{3});
  tensor->SetScale(1);
  tensor->SetBias(0);
  EXPECT_NE(ErrorOf([&] { Dequantize("empty", "x"); }), "");
}

TEST_F(QTensorOpTest, InfersShapes) {
  NetBuilder net("n", "simple");
  net.Op("QTensorDequantize", {"q"}, {"x"});
  caffe2::NetDef definition;
  auto* fill = definition.add_op();
  fill->set_type("GivenQTensorFill");
  fill->add_output("q");
  auto* argument = fill->add_arg();
  argument->set_name("qtensors");
  *argument->add_qtensors() =
      MakeProto({2, 3}, {1, 0, 1, 0, 1, 0}, 1, false, 1, 0);
  *definition.add_op() = net.Build().op(0);
  caffe2::CaffeMap<std::string, caffe2::TensorShape> none;
  const auto inferred = caffe2::InferBlobShapesAndTypes(none, {&definition});
  bool found = false;
  for (const auto& shape : inferred.shapes()) {
    if (shape.name() != "x") continue;
    found = true;
    EXPECT_EQ(shape.data_type(), caffe2::TensorProto::FLOAT);
    ASSERT_EQ(shape.dims_size(), 2);
    EXPECT_EQ(shape.dims(0), 2);
    EXPECT_EQ(shape.dims(1), 3);
  }
  EXPECT_TRUE(found);
}

TEST_F(QTensorOpTest, SurvivesTheHostsSerialization) {
  TestRandom random;
  std::vector<int> x(1000);
  for (int& each : x) each = random.Integer(-255, 255);
  Fill({MakeProto({10, 100}, x, 8, true, 0.25, 1)}, {"q"});
  const std::string bytes =
      caffe2::SerializeBlob(*workspace_.GetBlob("q"), "q");
  caffe2::DeserializeBlob(bytes, workspace_.CreateBlob("again"));
  Dequantize("again", "y");
  const auto values = Fetch<float>(workspace_, "y");
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(values[i], 0.25f * (x[i] + 1));
}

}  // namespace
}  // namespace caffe2_quantization
