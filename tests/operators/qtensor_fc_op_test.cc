#include "operators/qtensor_fc_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/every_target.h"
#include "tests/support/net_builder.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using kernels::BitPlaneFormat;

// A matrix of integers with the scale and bias of every row, before any of it
// meets a plane.
struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  BitPlaneFormat format;
  std::vector<int> x;
  std::vector<double> scales;  // one, or one a row
  std::vector<double> biases;

  double scale(int64_t row) const {
    return scales[scales.size() == 1 ? 0 : row];
  }
  double bias(int64_t row) const {
    return biases[biases.size() == 1 ? 0 : row];
  }
};

Matrix RandomMatrix(TestRandom* random, int64_t rows, int64_t columns,
                    BitPlaneFormat format, bool per_row) {
  Matrix matrix{rows, columns, format, {}, {}, {}};
  const int largest = kernels::LargestOf(format);
  const bool extreme = random->OneIn(4);
  matrix.x.resize(rows * columns);
  for (int& x : matrix.x) {
    const int low = format.is_signed ? -largest : 0;
    x = extreme ? (random->OneIn(2) ? low : largest)
                : random->Integer(low, largest);
  }
  const bool biased = random->OneIn(2);
  for (int64_t i = 0; i < (per_row ? rows : 1); ++i) {
    matrix.scales.push_back(random->Float(0.01f, 2));
    matrix.biases.push_back(biased ? random->Float(-9, 9) : 0);
  }
  return matrix;
}

class QTensorFCOpTest : public testing::Test {
 protected:
  // Puts a matrix into the workspace bit by bit. Bits past the end and the
  // signs of zeros are set at random: they mean nothing.
  void FeedQTensor(const std::string& name, const Matrix& matrix,
                   std::vector<int> dims = {}) {
    if (dims.empty()) {
      dims = {static_cast<int>(matrix.rows), static_cast<int>(matrix.columns)};
    }
    auto tensor = std::make_unique<PerChannelQTensor>(
        dims, static_cast<unsigned char>(matrix.format.precision),
        matrix.format.is_signed);
    tensor->SetScale(matrix.scales[0]);
    tensor->SetBias(matrix.biases[0]);
    if (matrix.scales.size() > 1) {
      QTensorExtras extras;
      extras.is_multiparam = true;
      extras.scales = matrix.scales;
      extras.biases = matrix.biases;
      tensor->SetExtras(extras);
    }
    unsigned char* data = tensor->mutable_data();
    for (std::size_t i = 0; i < tensor->nbytes(); ++i) data[i] = random_.Byte();
    for (std::size_t i = 0; i < matrix.x.size(); ++i) {
      const int x = matrix.x[i];
      for (int b = 0; b < matrix.format.precision; ++b) {
        tensor->SetBitAtIndex(b, i, std::abs(x) >> b & 1);
      }
      if (matrix.format.is_signed && x != 0) {
        tensor->SetBitAtIndex(matrix.format.precision, i, x < 0);
      }
    }
    workspace_.CreateBlob(name)->Reset<QTensorCPU>(tensor.release());
  }

  OpBuilder Op(bool with_bias = false) {
    definition_.Clear();
    OpBuilder op(&definition_, "QTensorFC", {"x", "w"}, {"y"});
    if (with_bias) definition_.add_input("b");
    return op;
  }
  bool Run() { return workspace_.RunOperatorOnce(definition_); }

  // The equation of the header on plain integers.
  static std::vector<float> Reference(const Matrix& x, const Matrix& w,
                                      const std::vector<float>& b) {
    std::vector<float> y;
    for (int64_t i = 0; i < x.rows; ++i) {
      for (int64_t j = 0; j < w.rows; ++j) {
        int64_t dot = 0, x_sum = 0, w_sum = 0;
        for (int64_t k = 0; k < x.columns; ++k) {
          dot += int64_t{x.x[i * x.columns + k]} * w.x[j * w.columns + k];
          x_sum += x.x[i * x.columns + k];
          w_sum += w.x[j * w.columns + k];
        }
        const double c = x.bias(i) * w_sum +
                         static_cast<double>(x.columns) * x.bias(i) * w.bias(j);
        const double sum = dot + (w.bias(j) * x_sum + c);
        y.push_back(static_cast<float>(x.scale(i) * w.scale(j) * sum +
                                       (b.empty() ? 0.0 : b[j])));
      }
    }
    return y;
  }

  TestRandom random_;
  caffe2::Workspace workspace_;
  caffe2::OperatorDef definition_;
};

// Every pair of precisions, signed or not, on every target, bit for bit.
TEST_F(QTensorFCOpTest, IsExactForEveryPairOfFormats) {
  for (int formats = 0; formats < 4 * 8 * 8; ++formats) {
    const BitPlaneFormat x_format{1 + formats % 8, (formats & 64) != 0};
    const BitPlaneFormat w_format{1 + formats / 8 % 8, (formats & 128) != 0};
    const int64_t k =
        random_.OneIn(3) ? 32 * random_.Integer(1, 5) : random_.Integer(1, 150);
    const auto x =
        RandomMatrix(&random_, random_.Integer(1, 20), k, x_format, false);
    const auto w = RandomMatrix(&random_, random_.Integer(1, 40), k, w_format,
                                random_.OneIn(2));
    std::vector<float> b;
    if (random_.OneIn(2)) {
      b.resize(w.rows);
      for (float& value : b) value = random_.Float(-99, 99);
      FeedFloats(&workspace_, "b", b);
    }
    FeedQTensor("x", x);
    FeedQTensor("w", w);
    Op(!b.empty());
    const auto expected = Reference(x, w, b);
    OnEveryTarget([&] {
      ASSERT_TRUE(Run());
      ASSERT_EQ(Fetch<float>(workspace_, "y"), expected)
          << x.rows << " x " << w.rows << " x " << k << ", precisions "
          << x_format.precision << ' ' << w_format.precision << ", signed "
          << x_format.is_signed << ' ' << w_format.is_signed;
    });
  }
}

// More rows than one block of products holds, and the largest K of 8 by 8 bits
// at the largest values.
TEST_F(QTensorFCOpTest, IsExactForLargeShapes) {
  struct Case {
    int64_t m, n, k;
    int precision;
    bool is_signed;
  };
  for (const Case& each :
       {Case{300, 513, 40, 2, true}, Case{70, 2000, 33, 1, false},
        Case{2, 3, 33025, 8, true}, Case{3, 2, 33025, 8, false}}) {
    auto x = RandomMatrix(&random_, each.m, each.k,
                          {each.precision, each.is_signed}, false);
    auto w = RandomMatrix(&random_, each.n, each.k,
                          {each.precision, each.is_signed}, true);
    if (each.precision == 8) {
      std::fill(x.x.begin(), x.x.end(), 255);
      std::fill(w.x.begin(), w.x.end(), each.is_signed ? -255 : 255);
    }
    FeedQTensor("x", x);
    FeedQTensor("w", w);
    Op();
    const auto expected = Reference(x, w, {});
    OnEveryTarget([&] {
      ASSERT_TRUE(Run());
      ASSERT_EQ(Fetch<float>(workspace_, "y"), expected);
    });
  }
}

TEST_F(QTensorFCOpTest, QuantizesAFloatXAsQTensorQuantizeDoes) {
  for (int round = 0; round < 60; ++round) {
    const int64_t m = random_.Integer(1, 12), k = random_.Integer(1, 100);
    std::vector<float> floats(m * k);
    for (float& value : floats) value = random_.Float(-3, 5);
    FeedFloats(&workspace_, "x_float", floats, {m, k});
    const auto w = RandomMatrix(
        &random_, random_.Integer(1, 20), k,
        {static_cast<int>(random_.Integer(1, 8)), random_.OneIn(2)}, true);
    FeedQTensor("w", w);
    const int precision = random_.Integer(1, 8);
    const bool is_signed = random_.OneIn(2), given = random_.OneIn(2);
    caffe2::OperatorDef quantize;
    OpBuilder op(&quantize, "QTensorQuantize", {"x_float"}, {"x"});
    op.Int("precision", precision).Int("signed", is_signed);
    if (given) op.Float("scale", 0.125f).Float("bias", -3);
    ASSERT_TRUE(workspace_.RunOperatorOnce(quantize));
    OnEveryTarget([&] {
      Op();
      ASSERT_TRUE(Run());
      const auto expected = Fetch<float>(workspace_, "y");
      auto fc = Op();
      fc.Int("X_precision", precision).Int("X_signed", is_signed);
      if (given) fc.Float("X_scale", 0.125f).Float("X_bias", -3);
      definition_.set_input(0, "x_float");
      ASSERT_TRUE(Run());
      ASSERT_EQ(Fetch<float>(workspace_, "y"), expected);
    });
  }
}

// As a whole: close to the host's float FC, by the width of a step.
TEST_F(QTensorFCOpTest, ApproachesTheHostsFC) {
  const int64_t m = 5, n = 7, k = 64;
  std::vector<float> x(m * k), w(n * k), b(n);
  for (float& value : x) value = random_.Float(-1, 1);
  for (float& value : w) value = random_.Float(-1, 1);
  for (float& value : b) value = random_.Float(-1, 1);
  FeedFloats(&workspace_, "x", x, {m, k});
  FeedFloats(&workspace_, "w_float", w, {n, k});
  FeedFloats(&workspace_, "b", b);
  caffe2::OperatorDef quantize, host;
  OpBuilder(&quantize, "QTensorQuantize", {"w_float"}, {"w"})
      .Int("axis", 0)
      .Int("signed", 0);
  ASSERT_TRUE(workspace_.RunOperatorOnce(quantize));
  OpBuilder(&host, "FC", {"x", "w_float", "b"}, {"y_host"});
  ASSERT_TRUE(workspace_.RunOperatorOnce(host));
  Op(true).Int("X_signed", 0);
  ASSERT_TRUE(Run());
  const auto expected = Fetch<float>(workspace_, "y_host");
  const auto y = Fetch<float>(workspace_, "y");
  // An operand is at most half a step of 2/255 away, and at most 1 itself.
  for (std::size_t i = 0; i < y.size(); ++i) {
    EXPECT_NEAR(y[i], expected[i], k * 2.1 / 255);
  }
}

TEST_F(QTensorFCOpTest, FlattensXFromAxisAndWAfterItsRows) {
  const auto x = RandomMatrix(&random_, 6, 20, {3, true}, false);
  const auto w = RandomMatrix(&random_, 5, 20, {3, true}, false);
  const auto expected = Reference(x, w, {});
  FeedQTensor("w", w, {5, 4, 5});
  FeedQTensor("x", x, {6, 2, 10});
  Op();
  ASSERT_TRUE(Run());
  const auto& y = workspace_.GetBlob("y")->Get<caffe2::Tensor>();
  EXPECT_EQ(y.sizes(), (std::vector<int64_t>{6, 5}));
  EXPECT_EQ(Fetch<float>(workspace_, "y"), expected);
  FeedQTensor("x", x, {2, 3, 20});
  Op().Int("axis", 2);
  ASSERT_TRUE(Run());
  EXPECT_EQ(workspace_.GetBlob("y")->Get<caffe2::Tensor>().sizes(),
            (std::vector<int64_t>{2, 3, 5}));
  EXPECT_EQ(Fetch<float>(workspace_, "y"), expected);
}

TEST_F(QTensorFCOpTest, EmptyShapes) {
  const auto run = [&](int64_t m, int64_t n, int64_t k, bool is_signed) {
    FeedQTensor("x", RandomMatrix(&random_, m, k, {2, is_signed}, false));
    FeedQTensor("w", RandomMatrix(&random_, n, k, {2, is_signed}, false));
    FeedFloats(&workspace_, "b", std::vector<float>(n, 2.5f), {n});
    Op(true);
    ASSERT_TRUE(Run());
    ASSERT_EQ(workspace_.GetBlob("y")->Get<caffe2::Tensor>().sizes(),
              (std::vector<int64_t>{m, n}));
    for (const float y : Fetch<float>(workspace_, "y")) ASSERT_EQ(y, 2.5f);
  };
  OnEveryTarget([&] {
    for (const bool is_signed : {false, true}) {
      run(0, 3, 4, is_signed);
      run(3, 0, 4, is_signed);
      run(3, 2, 0, is_signed);
    }
  });
  FeedFloats(&workspace_, "x", {}, {0, 4});
  FeedQTensor("w", RandomMatrix(&random_, 2, 4, {2, true}, false));
  Op();
  EXPECT_TRUE(Run());
}

// One operator object, whose W changes between runs in every way it can.
TEST_F(QTensorFCOpTest, SeesEveryChangeOfW) {
  const int64_t k = 70;
  const auto x = RandomMatrix(&random_, 4, k, {3, true}, false);
  auto w = RandomMatrix(&random_, 6, k, {3, true}, false);
  FeedQTensor("x", x);
  FeedQTensor("w", w);
  Op();
  auto op = caffe2::CreateOperator(definition_, &workspace_);
  const auto check = [&](const char* what) {
    ASSERT_TRUE(op->Run());
    ASSERT_EQ(Fetch<float>(workspace_, "y"), Reference(x, w, {})) << what;
  };
  check("the first");
  check("again");
  auto* tensor = workspace_.GetBlob("w")->GetMutable<QTensorCPU>();
  for (int round = 0; round < 20; ++round) {
    const int i = random_.Integer(0, w.x.size() - 1);
    const int magnitude = std::abs(w.x[i]) ^ 1;  // one bit, in place
    w.x[i] = w.x[i] < 0 ? -magnitude : magnitude;
    tensor->SetBitAtIndex(0, i, magnitude & 1);
    tensor->SetBitAtIndex(3, i, w.x[i] < 0);
    check("one bit");
  }
  tensor->SetScale(w.scales[0] = 0.75);
  tensor->SetBias(w.biases[0] = 3);
  check("scale and bias");
  FeedQTensor("w", w = RandomMatrix(&random_, 6, k, {3, true}, false));
  check("a new blob");
  FeedQTensor("w", w = RandomMatrix(&random_, 9, k, {3, true}, true));
  check("more rows");
  FeedQTensor("w", w = RandomMatrix(&random_, 9, k, {4, false}, true));
  check("as many planes, another format");
  const std::string error = ErrorOf([&] {
    FeedQTensor("w", RandomMatrix(&random_, 9, k + 1, {4, false}, true));
    op->Run();
  });
  EXPECT_NE(error.find("has 71 columns, expected 70"), std::string::npos)
      << error;
  FeedQTensor("w", w);
  check("after a refusal");
}

TEST_F(QTensorFCOpTest, EveryRefusalNamesItsReasonAndChangesNothing) {
  const auto matrix = [&](int64_t rows, int64_t columns, int precision,
                          bool per_row = false) {
    return RandomMatrix(&random_, rows, columns, {precision, true}, per_row);
  };
  FeedQTensor("x", matrix(2, 5, 2));
  FeedQTensor("w", matrix(3, 5, 2));
  FeedFloats(&workspace_, "b", {1, 2, 3});
  Op(true);
  ASSERT_TRUE(Run());
  const auto before = Fetch<float>(workspace_, "y");
  const auto expect = [&](const std::string& wanted) {
    const std::string error = ErrorOf([&] { Run(); });
    EXPECT_NE(error.find(wanted), std::string::npos)
        << "'" << wanted << "' is not in '" << error << "'";
    EXPECT_EQ(Fetch<float>(workspace_, "y"), before);
  };
  FeedFloats(&workspace_, "b", {1, 2});
  expect("input 'b' has the shape [2], expected [3], the N of QTensor 'w'");
  FeedFloats(&workspace_, "b", {1, 2, 3}, {3, 1});
  expect("input 'b' has the shape [3, 1]");
  Feed<int32_t>(&workspace_, "b", {1, 2, 3});
  expect("input 'b' is no float tensor");

  Op().Int("X_precision", 9);
  expect("argument X_precision is 9, expected 1 to 8");
  Op().Float("X_scale", -1);
  expect("argument X_scale is -1");
  Op().Float("X_bias", 1);
  expect("X_bias is given without X_scale");
  Op().Int("axis", 2);
  expect("argument axis is 2, expected 1 to 1");
  Op();
  FeedQTensor("x", matrix(2, 5, 9));
  expect("QTensor 'x' has a precision of 9 bits, expected 1 to 8");
  FeedQTensor("x", matrix(2, 5, 2, true));
  expect("QTensor 'x' has a scale a channel");
  FeedQTensor("x", matrix(2, 6, 2));
  expect("QTensor 'w' has 5 columns, expected 6");
  FeedQTensor("x", matrix(2, 10, 2), {20});
  expect("argument axis is 1, expected 1 to 0");

  FeedFloats(&workspace_, "x",
             {1, std::nanf(""), std::numeric_limits<float>::infinity(), 1, 1},
             {1, 5});
  expect("input 'x' holds 1 NaN and 1 infinite values");
  Feed<int32_t>(&workspace_, "x", {1, 2, 3, 4, 5}, {1, 5});
  expect("input 'x' is a tensor of int");
  *workspace_.CreateBlob("x")->GetMutable<std::string>() = "text";
  expect("expected a float tensor or a QTensor");

  FeedQTensor("x", matrix(2, 5, 2));
  FeedQTensor("w", matrix(3, 5, 2), {15});
  expect("QTensor 'w' has 1 dimensions, expected 2");
  FeedQTensor("w", matrix(3, 5, 16));
  expect("QTensor 'w' has a precision of 16 bits, expected 1 to 8");
  auto per_column =
      std::make_unique<PerChannelQTensor>(std::vector<int>{3, 5}, 2, true);
  QTensorExtras extras;
  extras.axis = 1;
  extras.is_multiparam = true;
  extras.scales.assign(5, 1);
  extras.biases.assign(5, 0);
  per_column->SetExtras(extras);
  per_column->SetScale(1);
  per_column->SetBias(0);
  per_column->mutable_data();
  workspace_.CreateBlob("w")->Reset<QTensorCPU>(per_column.release());
  expect("QTensor 'w' has its channels on axis 1, expected 0");
  FeedFloats(&workspace_, "w", {1, 2, 3, 4, 5}, {1, 5});
  expect("expected a QTensor");

  FeedQTensor("x", matrix(1, 33026, 8));
  FeedQTensor("w", matrix(1, 33026, 8));
  expect(
      "K is 33026, expected at most 33025: sums of products of 8 by 8 bits, "
      "up to 65025 each");
}

TEST_F(QTensorFCOpTest, InfersTheShape) {
  NetBuilder net("n", "simple");
  net.Op("QTensorQuantize", {"w_float"}, {"w"});
  net.Op("QTensorFC", {"x", "w"}, {"y"});
  caffe2::CaffeMap<std::string, caffe2::TensorShape> shapes;
  shapes["x"] = caffe2::CreateTensorShape(std::vector<int>{2, 3},
                                          caffe2::TensorProto::FLOAT);
  shapes["w_float"] = caffe2::CreateTensorShape(std::vector<int>{7, 3},
                                                caffe2::TensorProto::FLOAT);
  caffe2::NetDef definition = net.Build();
  int found = 0;
  const auto inferred = caffe2::InferBlobShapesAndTypes(shapes, {&definition});
  for (const auto& shape : inferred.shapes()) {
    if (shape.name() != "y") continue;
    ++found;
    EXPECT_EQ(shape.data_type(), caffe2::TensorProto::FLOAT);
    ASSERT_EQ(shape.dims_size(), 2);
    EXPECT_EQ(shape.dims(0), 2);
    EXPECT_EQ(shape.dims(1), 7);
  }
  EXPECT_EQ(found, 1);
}

}  // namespace
}  // namespace caffe2_quantization
