#include "observers/tensor_scan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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

}  // namespace
}  // namespace caffe2_quantization
