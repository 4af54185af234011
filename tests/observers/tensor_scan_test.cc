#include "observers/tensor_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "caffe2/core/qtensor.h"
#include "caffe2/core/tensor_int8.h"
#include "quantization/kernels/bit_planes.h"
#include "serialization/per_channel_qtensor.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using Kind = TensorScan::Kind;

template <typename T>
caffe2::Tensor MakeTensor(const std::vector<T>& values) {
  caffe2::Tensor tensor(
      std::vector<int64_t>{static_cast<int64_t>(values.size())}, caffe2::CPU);
  T* data = tensor.mutable_data<T>();
  for (std::size_t i = 0; i < values.size(); ++i) data[i] = values[i];
  return tensor;
}

TEST(ScanTensor, EveryType) {
  const auto expect = [](const TensorScan& scan, double min, double max) {
    EXPECT_EQ(scan.kind, Kind::kValues);
    EXPECT_EQ(scan.range.min(), min);
    EXPECT_EQ(scan.range.max(), max);
    EXPECT_EQ(scan.count, 3u);
  };
  expect(ScanTensor(MakeTensor<float>({1.5f, -2.25f, 0})), -2.25, 1.5);
  expect(ScanTensor(MakeTensor<double>({1.5, -2.25, 0})), -2.25, 1.5);
  expect(ScanTensor(MakeTensor<at::Half>({1.5f, -2.25f, 0.f})), -2.25, 1.5);
  expect(ScanTensor(MakeTensor<int8_t>({-128, 127, 0})), -128, 127);
  expect(ScanTensor(MakeTensor<uint8_t>({3, 255, 9})), 3, 255);
  expect(ScanTensor(MakeTensor<int16_t>({-3, 255, 9})), -3, 255);
  expect(ScanTensor(MakeTensor<uint16_t>({3, 65535, 9})), 3, 65535);
  expect(ScanTensor(MakeTensor<int32_t>({-3, 1 << 30, 9})), -3, 1 << 30);
  expect(ScanTensor(MakeTensor<bool>({true, false, true})), 0, 1);
  const int64_t big = (int64_t{1} << 60) + 1;
  const TensorScan scan = ScanTensor(MakeTensor<int64_t>({-big, big, 0}));
  EXPECT_EQ(scan.range.integer_min(), -big);
  EXPECT_EQ(scan.range.integer_max(), big);
}

TEST(ScanTensor, NonFiniteValuesAreCountedOnly) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const TensorScan scan = ScanTensor(
      MakeTensor<float>({nan, 2, infinity, -infinity, -1, nan, infinity}));
  EXPECT_EQ(scan.range.min(), -1);
  EXPECT_EQ(scan.range.max(), 2);
  EXPECT_EQ(scan.count, 7u);
  EXPECT_EQ(scan.nan_count, 2u);
  EXPECT_EQ(scan.positive_infinity_count, 2u);
  EXPECT_EQ(scan.negative_infinity_count, 1u);
}

TEST(ScanTensor, EmptyAndUnfilledTensors) {
  const TensorScan empty = ScanTensor(MakeTensor<float>({}));
  EXPECT_EQ(empty.kind, Kind::kValues);
  EXPECT_TRUE(empty.range.empty());
  EXPECT_EQ(empty.count, 0u);
  EXPECT_EQ(ScanTensor(caffe2::Tensor(caffe2::CPU)).kind, Kind::kMissing);
  caffe2::Tensor shaped(std::vector<int64_t>{4}, caffe2::CPU);
  EXPECT_EQ(ScanTensor(shaped).kind, Kind::kMissing);
  EXPECT_EQ(ScanBlob(nullptr).kind, Kind::kMissing);
  const caffe2::Blob nothing;
  EXPECT_EQ(ScanBlob(&nothing).kind, Kind::kMissing);
}

TEST(ScanTensor, ATypeWithoutOrderIsNotSupported) {
  EXPECT_EQ(ScanTensor(MakeTensor<std::string>({"a", "b"})).kind,
            Kind::kUnsupported);
}

// ---- Against the plainest loop ----------------------------------------------

// What a scan has to find in these values.
template <typename T>
struct Plain {
  uint64_t zeros = 0, nans = 0, plus = 0, minus = 0;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  Histogram histogram{64};

  explicit Plain(const std::vector<T>& values) {
    for (const T& value : values) {
      const auto v = static_cast<double>(value);
      if (std::isnan(v)) {
        ++nans;
      } else if (std::isinf(v)) {
        ++(v > 0 ? plus : minus);
      } else {
        zeros += v == 0;
        min = std::min(min, v);
        max = std::max(max, v);
        histogram.AddRepeated(v, 1);
      }
    }
  }

  void Expect(const TensorScan& scan, std::size_t count,
              const Histogram* found) const {
    EXPECT_EQ(scan.kind, Kind::kValues);
    EXPECT_EQ(scan.count, count);
    EXPECT_EQ(scan.zero_count, zeros);
    EXPECT_EQ(scan.nan_count, nans);
    EXPECT_EQ(scan.positive_infinity_count, plus);
    EXPECT_EQ(scan.negative_infinity_count, minus);
    EXPECT_EQ(scan.range.min(), min);
    EXPECT_EQ(scan.range.max(), max);
    if (found != nullptr) {
      EXPECT_TRUE(*found == histogram);
    }
  }
};

template <typename T>
T RandomValue(TestRandom* random) {
  if (random->OneIn(4)) return T(0);
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(random->generator()()) >> random->Integer(0, 7);
  } else {
    using Limits = std::numeric_limits<T>;
    switch (random->Integer(0, 40)) {
      case 0:
        return Limits::quiet_NaN();
      case 1:
        return Limits::infinity();
      case 2:
        return -Limits::infinity();
      case 3:
        return -T(0);
      case 4:
        return Limits::denorm_min();
      case 5:
        return Limits::lowest();
      default:
        return static_cast<T>(random->Float(-4, 9));
    }
  }
}

template <typename T>
void ScanRandomTensors() {
  TestRandom random;
  for (int round = 0; round < 60; ++round) {
    std::vector<T> values(random.Integer(0, round % 10 == 0 ? 40000 : 300));
    for (T& value : values) value = RandomValue<T>(&random);
    const auto tensor = MakeTensor(values);
    const Plain<T> plain(values);
    plain.Expect(ScanTensor(tensor), values.size(), nullptr);
    Histogram histogram(64);
    plain.Expect(ScanTensor(tensor, &histogram), values.size(), &histogram);
  }
}

TEST(ScanTensor, RandomTensorsOfEveryType) {
  ScanRandomTensors<float>();
  ScanRandomTensors<double>();
  ScanRandomTensors<at::Half>();
  ScanRandomTensors<int8_t>();
  ScanRandomTensors<uint8_t>();
  ScanRandomTensors<int16_t>();
  ScanRandomTensors<uint16_t>();
  ScanRandomTensors<int32_t>();
  ScanRandomTensors<int64_t>();
}

// ---- Int8TensorCPU ----------------------------------------------------------

template <typename T>
void ScanRandomInt8(const std::vector<float>& scales) {
  TestRandom random;
  for (int round = 0; round < 120; ++round) {
    std::vector<T> stored(random.Integer(0, round % 10 == 0 ? 40000 : 300));
    for (T& q : stored) q = RandomValue<T>(&random);
    caffe2::Blob blob;
    auto* tensor = blob.GetMutable<caffe2::int8::Int8TensorCPU>();
    tensor->scale = scales[random.Integer(0, scales.size() - 1)];
    tensor->zero_point = random.OneIn(3) ? 0 : random.Integer(-200, 200);
    tensor->t = MakeTensor(stored);
    std::vector<float> real;
    for (const T q : stored) {
      real.push_back(tensor->scale *
                     static_cast<float>(int64_t{q} - tensor->zero_point));
    }
    SCOPED_TRACE("scale " + std::to_string(tensor->scale));
    const Plain<float> plain(real);
    plain.Expect(ScanBlob(&blob), real.size(), nullptr);
    Histogram histogram(64);
    const TensorScan scan = ScanBlob(&blob, &histogram);
    plain.Expect(scan, real.size(), &histogram);
    if (stored.empty()) {
      EXPECT_TRUE(scan.raw_range.empty());
      continue;
    }
    const auto [min, max] = std::minmax_element(stored.begin(), stored.end());
    EXPECT_EQ(scan.raw_range.integer_min(), *min);
    EXPECT_EQ(scan.raw_range.integer_max(), *max);
  }
}

TEST(ScanBlob, Int8Tensors) {
  const std::vector<float> scales = {0.5f,
                                     0.1f,
                                     -0.3f,
                                     0.0f,
                                     std::numeric_limits<float>::denorm_min(),
                                     std::numeric_limits<float>::max(),
                                     std::numeric_limits<float>::infinity(),
                                     std::numeric_limits<float>::quiet_NaN()};
  ScanRandomInt8<uint8_t>(scales);
  ScanRandomInt8<int8_t>(scales);
  ScanRandomInt8<int16_t>(scales);
  ScanRandomInt8<uint16_t>(scales);
  ScanRandomInt8<int32_t>(scales);
}

TEST(ScanBlob, AnInt8TensorOfAnotherTypeIsNotSupported) {
  caffe2::Blob blob;
  auto* tensor = blob.GetMutable<caffe2::int8::Int8TensorCPU>();
  EXPECT_EQ(ScanBlob(&blob).kind, Kind::kMissing);
  tensor->t = MakeTensor<float>({1});
  EXPECT_EQ(ScanBlob(&blob).kind, Kind::kUnsupported);
  EXPECT_EQ(TypeNameOf(&blob), blob.meta().name());
}

// ---- QTensor ----------------------------------------------------------------

TEST(ScanBlob, QTensors) {
  TestRandom random;
  for (int round = 0; round < 200; ++round) {
    const int precision = static_cast<int>(random.Integer(1, 64));
    const bool is_signed = random.OneIn(2);
    const std::vector<int> dims = {
        static_cast<int>(random.Integer(round % 20 == 0 ? 0 : 1, 7)),
        static_cast<int>(random.Integer(1, 5)),
        static_cast<int>(random.Integer(1, 200))};
    auto tensor = std::make_unique<PerChannelQTensor>(
        dims, static_cast<unsigned char>(precision), is_signed);
    tensor->SetScale(random.Float(0.01f, 2));
    tensor->SetBias(random.Float(-3, 3));
    const bool per_channel = random.OneIn(2) && dims[0] > 0;
    const int axis = static_cast<int>(random.Integer(0, 2));
    QTensorExtras extras;
    if (per_channel) {
      for (int c = 0; c < dims[axis]; ++c) {
        extras.scales.push_back(random.Float(0.01f, 2));
        extras.biases.push_back(random.Float(-3, 3));
      }
      extras.axis = axis;
      extras.is_multiparam = true;
      tensor->SetExtras(extras);
    }
    uint8_t* data = tensor->mutable_data();
    for (std::size_t i = 0; i < tensor->nbytes(); ++i) data[i] = random.Byte();
    // The values as the operator QTensorDequantize computes them.
    std::vector<float> values(tensor->size());
    const double scale = tensor->scale(), bias = tensor->bias();
    kernels::ChannelParams params;
    params.inner = tensor->size();
    params.scales = &scale;
    params.biases = &bias;
    if (per_channel) {
      params.outer = tensor->size_to_dim(axis);
      params.channels = dims[axis];
      params.inner = tensor->size_from_dim(axis + 1);
      params.scales = extras.scales.data();
      params.biases = extras.biases.data();
    }
    kernels::reference::DequantizeBitPlanes(data, {precision, is_signed},
                                            params, values.data());
    std::vector<int64_t> stored(values.size());
    if (precision <= 63) {
      kernels::reference::UnpackBitPlanes(
          data, values.size(), {precision, is_signed}, stored.data());
    }
    caffe2::Blob blob;
    blob.Reset<caffe2::QTensor<caffe2::CPUContext>>(tensor.release());
    SCOPED_TRACE("precision " + std::to_string(precision));
    const Plain<float> plain(values);
    Histogram histogram(64);
    const TensorScan scan = ScanBlob(&blob, &histogram);
    plain.Expect(scan, values.size(), &histogram);
    if (precision == 64 || values.empty()) {
      EXPECT_TRUE(scan.raw_range.empty());
      continue;
    }
    const auto [min, max] = std::minmax_element(stored.begin(), stored.end());
    EXPECT_EQ(scan.raw_range.integer_min(), *min);
    EXPECT_EQ(scan.raw_range.integer_max(), *max);
  }
}

TEST(ScanBlob, AQTensorThatWasNeverFilledIsMissing) {
  caffe2::Blob blob;
  blob.GetMutable<caffe2::QTensor<caffe2::CPUContext>>();
  EXPECT_EQ(ScanBlob(&blob).kind, Kind::kMissing);
  blob.Reset(new caffe2::QTensor<caffe2::CPUContext>({2, 3}, 4));
  EXPECT_EQ(ScanBlob(&blob).kind, Kind::kMissing);
}

// ---- Column maxima ----------------------------------------------------------

template <typename T>
caffe2::Blob TensorBlob(const std::vector<T>& values,
                        const std::vector<int64_t>& shape) {
  caffe2::Tensor tensor = MakeTensor(values);
  tensor.Reshape(shape);
  caffe2::Blob blob;
  caffe2::BlobSetTensor(&blob, std::move(tensor));
  return blob;
}

TEST(ColumnMaxima, TheLargestFiniteValueOfEachColumn) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const auto blob =
      TensorBlob<float>({-1, nan, 3, infinity, -2, infinity, 2, 7}, {2, 4});
  ColumnMaxima maxima;
  ASSERT_TRUE(maxima.Scan(&blob));
  std::vector<Histogram> found;
  maxima.AddTo(16, &found);
  maxima.AddTo(16, &found);
  ASSERT_EQ(found.size(), 4u);
  const auto expect = [](const Histogram& histogram, double value) {
    Histogram expected(16);
    expected.AddRepeated(value, 2);
    EXPECT_TRUE(histogram == expected);
  };
  expect(found[0], -1);
  EXPECT_TRUE(found[1].empty());
  expect(found[2], 3);
  expect(found[3], 7);
}

TEST(ColumnMaxima, EveryType) {
  const auto expect = [](const caffe2::Blob& blob, double first) {
    ColumnMaxima maxima;
    ASSERT_TRUE(maxima.Scan(&blob));
    std::vector<Histogram> found;
    maxima.AddTo(16, &found);
    ASSERT_EQ(found.size(), 2u);
    Histogram expected(16);
    expected.AddRepeated(first, 1);
    EXPECT_TRUE(found[0] == expected);
  };
  const std::vector<int64_t> shape = {2, 2};
  expect(TensorBlob<double>({1, 2, 3, 0}, shape), 3);
  expect(TensorBlob<at::Half>({1.f, 2.f, 3.f, 0.f}, shape), 3);
  expect(TensorBlob<uint8_t>({1, 2, 3, 0}, shape), 3);
  expect(TensorBlob<int8_t>({-1, 2, -3, 0}, shape), -1);
  expect(TensorBlob<int32_t>({1, 2, 3, 0}, shape), 3);
  caffe2::Blob int8;
  auto* tensor = int8.GetMutable<caffe2::int8::Int8TensorCPU>();
  tensor->scale = 0.5f;
  tensor->zero_point = 2;
  tensor->t = MakeTensor<uint8_t>({1, 2, 8, 0});
  tensor->t.Reshape(shape);
  expect(int8, 3);
  // A double holds no such number, its bin does.
  const int64_t big = (int64_t{1} << 60) + 1;
  ColumnMaxima maxima;
  const auto blob = TensorBlob<int64_t>({big, 2, -3, 0}, shape);
  ASSERT_TRUE(maxima.Scan(&blob));
  std::vector<Histogram> found;
  maxima.AddTo(16, &found);
  Histogram expected(16);
  expected.Add(&big, 1);
  EXPECT_TRUE(found[0] == expected);
}

TEST(ColumnMaxima, RefusesOtherShapes) {
  ColumnMaxima maxima;
  const auto one = TensorBlob<float>({1, 2}, {2});
  EXPECT_FALSE(maxima.Scan(&one));
  const auto three = TensorBlob<float>({1, 2}, {1, 1, 2});
  EXPECT_FALSE(maxima.Scan(&three));
  const int64_t wide = ColumnMaxima::kMaxColumns + 1;
  const auto columns = TensorBlob<float>(std::vector<float>(wide), {1, wide});
  EXPECT_FALSE(maxima.Scan(&columns));
  const auto strings = TensorBlob<std::string>({"a"}, {1, 1});
  EXPECT_FALSE(maxima.Scan(&strings));
  EXPECT_FALSE(maxima.Scan(nullptr));
  const auto empty = TensorBlob<float>({}, {0, 3});
  ASSERT_TRUE(maxima.Scan(&empty));
  std::vector<Histogram> found;
  maxima.AddTo(16, &found);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_TRUE(found[0].empty());
}

}  // namespace
}  // namespace caffe2_quantization
