// The bit plane kernels: every target against the plain reference, and the
// reference against the definition worked by hand.
#include "quantization/kernels/bit_planes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "quantization/kernels/isa.h"
#include "tests/support/every_target.h"

namespace caffe2_quantization {
namespace kernels {
namespace {

using Bytes = std::vector<uint8_t>;
using Integers = std::vector<int32_t>;
using Floats = std::vector<float>;

std::vector<size_t> Sizes() {
  std::vector<size_t> sizes;
  for (size_t n = 0; n <= 200; ++n) sizes.push_back(n);
  for (size_t base : {256, 512, 1024, 2048, 3072}) {
    for (size_t n = base - 9; n <= base + 9; n += 3) sizes.push_back(n);
    sizes.push_back(base);
  }
  return sizes;
}

Integers RandomIntegers(size_t n, BitPlaneFormat format, uint32_t seed) {
  std::mt19937 random(seed);
  const int32_t high = LargestOf(format);
  std::uniform_int_distribution<int32_t> any(format.is_signed ? -high : 0,
                                             high);
  Integers integers(n);
  for (int32_t& x : integers) {
    const uint32_t kind = random() % 8;
    x = kind == 0 ? 0 : kind == 1 ? high : any(random);
  }
  return integers;
}

Bytes RandomBytes(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(n);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// Floats compared as bits: -0 is not 0, and a NaN is itself.
std::vector<uint32_t> BitsOf(const Floats& values) {
  std::vector<uint32_t> bits(values.size());
  if (!values.empty()) {
    std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  }
  return bits;
}

class BitPlanesTest : public TargetTest {};
INSTANTIATE_ON_EVERY_TARGET(BitPlanesTest);

TEST_P(BitPlanesTest, LayoutWorkedByHand) {
  const Integers src = {1, -2, 3, 0, -1, 2, 3, -3, 1};
  const BitPlaneFormat format{2, true};
  Bytes planes(6, 0xFF);
  PackBitPlanes(src.data(), src.size(), format, planes.data());
  EXPECT_EQ(planes, (Bytes{0b10101011, 0b10000000,     // bit 0
                           0b01100111, 0b00000000,     // bit 1
                           0b01001001, 0b00000000}));  // signs
  Integers back(src.size());
  UnpackBitPlanes(planes.data(), src.size(), format, back.data());
  EXPECT_EQ(back, src);
  Floats values(src.size());
  DequantizeBitPlanes(planes.data(), src.size(), format, 0.5, 1, values.data());
  EXPECT_EQ(values, (Floats{1, -0.5, 2, 0.5, 0, 1.5, 2, -1, 1}));
  Bytes again(6, 0xFF);
  QuantizeToBitPlanes(values.data(), src.size(), format, 0.5, 1, again.data());
  EXPECT_EQ(again, planes);
}

TEST_P(BitPlanesTest, PackAndUnpackAsReference) {
  for (int precision = 1; precision <= 20; ++precision) {
    for (bool is_signed : {false, true}) {
      const BitPlaneFormat format{precision, is_signed};
      for (size_t n : Sizes()) {
        SCOPED_TRACE(testing::Message()
                     << "precision " << precision << " signed " << is_signed
                     << " n " << n);
        const Integers src =
            RandomIntegers(n, format, static_cast<uint32_t>(n + precision));
        const size_t size = format.planes() * BitPlaneBytes(n);
        constexpr size_t kMargin = 70;
        Bytes want(size + kMargin, 0xAA);
        Bytes got(size + kMargin, 0xAA);
        reference::PackBitPlanes(src.data(), n, format, want.data());
        PackBitPlanes(src.data(), n, format, got.data());
        ASSERT_EQ(got, want);
        Integers back(n + kMargin, 77);
        UnpackBitPlanes(got.data(), n, format, back.data());
        Integers expected = src;
        expected.resize(n + kMargin, 77);
        ASSERT_EQ(back, expected);
      }
    }
  }
}

// Planes from elsewhere may have pad bits and a sign on 0.
TEST_P(BitPlanesTest, UnpackArbitraryBytesFromAnyAddress) {
  for (int precision : {1, 2, 7, 8, 9, 15, 16}) {
    const BitPlaneFormat format{precision, true};
    for (size_t n : {1, 7, 8, 63, 65, 129, 1023, 1025}) {
      for (size_t offset = 0; offset < 9; ++offset) {
        const Bytes all =
            RandomBytes(offset + format.planes() * BitPlaneBytes(n), 5);
        // A copy of the exact size: one byte too many is AddressSanitizer's.
        const Bytes planes(all.begin() + offset, all.end());
        Integers want(n), got(n);
        reference::UnpackBitPlanes(planes.data(), n, format, want.data());
        UnpackBitPlanes(planes.data(), n, format, got.data());
        ASSERT_EQ(got, want);
        UnpackBitPlanes(all.data() + offset, n, format, got.data());
        ASSERT_EQ(got, want);
        Floats want_values(n), got_values(n);
        const double scale = 0.01, bias = -0.0;
        const ChannelParams params{1, 1, n, &scale, &bias};
        reference::DequantizeBitPlanes(planes.data(), format, params,
                                       want_values.data());
        DequantizeBitPlanes(planes.data(), format, params, got_values.data());
        ASSERT_EQ(BitsOf(got_values), BitsOf(want_values));
      }
    }
  }
}

TEST_P(BitPlanesTest, WideFormats) {
  for (int precision : {17, 31, 32, 40, 53, 62, 63, 64}) {
    const BitPlaneFormat format{precision, true};
    const size_t n = 77;
    const Bytes planes = RandomBytes(format.planes() * BitPlaneBytes(n), 9);
    Floats values(n);
    DequantizeBitPlanes(planes.data(), n, format, 3.0, 0.0, values.data());
    for (size_t i = 0; i < n; ++i) {
      uint64_t magnitude = 0;
      for (int bit = precision; bit-- > 0;) {
        const uint8_t byte = planes[bit * BitPlaneBytes(n) + i / 8];
        magnitude = 2 * magnitude + ((byte >> (7 - i % 8)) & 1);
      }
      const bool negative =
          (planes[precision * BitPlaneBytes(n) + i / 8] >> (7 - i % 8)) & 1;
      const double x = static_cast<double>(magnitude) * (negative ? -1 : 1);
      ASSERT_EQ(values[i], static_cast<float>(3.0 * x));
      if (precision < 64) {
        std::vector<int64_t> integers(n);
        UnpackBitPlanes(planes.data(), n, format, integers.data());
        const int64_t integer = static_cast<int64_t>(magnitude);
        ASSERT_EQ(integers[i], negative ? -integer : integer);
      }
    }
  }
}

struct Shape {
  size_t outer, channels, inner;
};

const std::vector<Shape>& ChannelShapes() {
  static const std::vector<Shape> shapes = {
      {1, 1, 0},    {1, 1, 1},   {1, 1, 1500}, {1, 3, 1},  {700, 3, 1},
      {5, 70, 1},   {1, 2, 5},   {40, 7, 9},   {3, 5, 31}, {3, 5, 32},
      {2, 3, 1024}, {2, 3, 333}, {0, 3, 4},    {3, 4, 0},  {1, 3000, 1}};
  return shapes;
}

TEST_P(BitPlanesTest, FloatsAsReferencePerTensorAndPerChannel) {
  uint32_t seed = 0;
  for (int precision = 1; precision <= 16; ++precision) {
    for (bool is_signed : {false, true}) {
      for (const Shape& shape : ChannelShapes()) {
        SCOPED_TRACE(testing::Message() << "seed " << ++seed);
        std::mt19937 random(seed);
        std::uniform_real_distribution<double> scale_of(1e-3, 2.0);
        std::uniform_real_distribution<double> bias_of(-20, 20);
        std::vector<double> scales, biases;
        for (size_t c = 0; c < shape.channels; ++c) {
          scales.push_back(scale_of(random));
          biases.push_back(c % 3 == 0 ? 0.0 : bias_of(random));
        }
        const ChannelParams params{shape.outer, shape.channels, shape.inner,
                                   scales.data(), biases.data()};
        const BitPlaneFormat format{precision, is_signed};
        const size_t n = params.size();
        Floats src(n);
        std::normal_distribution<float> normal(0, LargestOf(format) + 10.0f);
        for (float& v : src) v = normal(random);
        if (n > 3) {
          src[0] = std::numeric_limits<float>::infinity();
          src[1] = -src[0];
          src[2] = -0.0f;
          src[3] = std::numeric_limits<float>::denorm_min();
        }
        Bytes want(format.planes() * BitPlaneBytes(n), 1);
        Bytes got(want.size(), 2);
        reference::QuantizeToBitPlanes(src.data(), format, params, want.data());
        QuantizeToBitPlanes(src.data(), format, params, got.data());
        ASSERT_EQ(got, want);
        Floats want_values(n), got_values(n);
        reference::DequantizeBitPlanes(want.data(), format, params,
                                       want_values.data());
        DequantizeBitPlanes(want.data(), format, params, got_values.data());
        ASSERT_EQ(BitsOf(got_values), BitsOf(want_values));
      }
    }
  }
}

TEST_P(BitPlanesTest, RoundingTiesAndLimits) {
  const float inf = std::numeric_limits<float>::infinity();
  const Floats src = {0.5f,  1.5f,  2.5f, -0.5f, -1.5f, -2.5f, 6.5f,
                      7.49f, 7.51f, 100,  -100,  inf,   -inf,  3.0f};
  Integers got(src.size());
  QuantizeToIntegers(src.data(), src.size(), 1.0, 0.0, -7, 7, got.data());
  EXPECT_EQ(got, (Integers{0, 2, 2, 0, -2, -2, 6, 7, 7, 7, -7, 7, -7, 3}));
  // x = v / 0.5 - 1
  QuantizeToIntegers(src.data(), src.size(), 0.5, 1.0, 0, 3, got.data());
  EXPECT_EQ(got, (Integers{0, 2, 3, 0, 0, 0, 3, 3, 3, 3, 0, 3, 0, 3}));
}

TEST_P(BitPlanesTest, QuantizeToIntegersAsReference) {
  for (size_t n : Sizes()) {
    std::mt19937 random(static_cast<uint32_t>(n));
    std::normal_distribution<float> normal(0, 100);
    Floats src(n);
    for (float& v : src) v = normal(random);
    Integers want(n), got(n);
    reference::QuantizeToIntegers(src.data(), n, 0.37, -3.0, -127, 127,
                                  want.data());
    QuantizeToIntegers(src.data(), n, 0.37, -3.0, -127, 127, got.data());
    ASSERT_EQ(got, want) << "n " << n;
  }
}

TEST_P(BitPlanesTest, RowsAsReference) {
  for (size_t columns :
       {0, 1, 7, 31, 32, 33, 64, 65, 500, 1023, 1024, 1025, 1057, 2100}) {
    for (int planes : {1, 2, 7, 8, 9, 16}) {
      const size_t rows = 3;
      const Integers src =
          RandomIntegers(rows * columns, BitPlaneFormat{16, true}, 3);
      const size_t size = planes * rows * BitRowBytes(columns);
      Bytes want(size + 70, 0xAA), got(size + 70, 0xAA);
      reference::PackBitRows(src.data(), rows, columns, planes, want.data());
      PackBitRows(src.data(), rows, columns, planes, got.data());
      ASSERT_EQ(got, want) << "columns " << columns << " planes " << planes;
    }
  }
}

}  // namespace
}  // namespace kernels
}  // namespace caffe2_quantization
