#include "quantization/quantize.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "quantization/kernels/nibbles.h"
#include "tests/support/every_target.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using kernels::StoreHint;

std::string MessageOf(const Status& status) {
  return status.ok() ? "ok" : status.message();
}

int64_t Count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t dim : shape) count *= dim;
  return count;
}

// Valid parameters of any granularity, and a shape that they fit.
void RandomParams(QuantizedType type, TestRandom* random,
                  std::vector<int64_t>* shape, QuantizationParams* params) {
  *params = QuantizationParams(type, 1, 0);
  params->symmetry = Symmetry::kAsymmetric;
  shape->resize(random->Integer(1, 4));
  for (int64_t& dim : *shape) dim = random->Integer(1, 20);
  if (random->OneIn(3)) {
    shape->at(random->Integer(0, shape->size() - 1)) =
        random->Integer(0, 5000 / (Count(*shape) + 1)) * 16;
  }
  if (random->OneIn(20)) *shape = {random->Integer(1, 9000)};
  switch (random->Integer(0, 3)) {
    case 0:
      params->granularity = Granularity::kTensor;
      break;
    case 1:
      params->granularity = Granularity::kChannel;
      break;
    case 2:
      params->granularity = Granularity::kBlock;
      break;
    default:
      params->granularity = Granularity::kChannelBlock;
  }
  if (params->IsPerChannel()) {
    params->axis = static_cast<int>(random->Integer(0, shape->size() - 1));
  }
  if (params->granularity == Granularity::kBlock ||
      params->granularity == Granularity::kChannelBlock) {
    params->block_size = random->OneIn(2) ? int64_t{16} << random->Integer(0, 4)
                                          : random->Integer(1, 300);
  }
  int64_t sets = 0;
  ASSERT_EQ(MessageOf(params->NumParameterSetsFor(*shape, &sets)), "ok");
  params->scales.resize(sets);
  params->zero_points.resize(sets);
  const int exponent = static_cast<int>(
      random->OneIn(5) ? random->Integer(-120, 90) : random->Integer(-10, 3));
  for (int64_t i = 0; i < sets; ++i) {
    params->scales[i] = std::ldexp(random->Float(0.5f, 2), exponent);
    params->zero_points[i] =
        static_cast<int32_t>(random->Integer(type.qmin(), type.qmax()));
  }
  ASSERT_EQ(MessageOf(params->ValidateFor(*shape)), "ok");
}

// The definition, value by value: with SetOf, and without kernels.
int32_t ToCode(float x, const QuantizationParams& params, int64_t set) {
  if (std::isnan(x)) return params.zero_points[set];
  double code;
  if (params.type.precision == 32) {
    code = std::fma(double{x}, 1 / double{params.scales[set]},
                    double{1} * params.zero_points[set]);
  } else {
    code = std::fma(x, 1 / params.scales[set],
                    static_cast<float>(params.zero_points[set]));
  }
  code = std::nearbyint(code);
  return static_cast<int32_t>(std::min<double>(
      std::max<double>(code, params.type.qmin()), params.type.qmax()));
}

float ToFloat(int32_t code, const QuantizationParams& params, int64_t set) {
  return static_cast<float>(
      double{params.scales[set]} *
      static_cast<double>(int64_t{code} - params.zero_points[set]));
}

constexpr StoreHint kHints[] = {StoreHint::kAuto, StoreHint::kCached,
                                StoreHint::kStreaming};

template <typename T>
void ExpectTheDefinition(QuantizedType type, TestRandom* random) {
  SCOPED_TRACE(type.Name());
  for (int round = 0; round < 60; ++round) {
    std::vector<int64_t> shape;
    QuantizationParams params;
    RandomParams(type, random, &shape, &params);
    if (testing::Test::HasFatalFailure()) return;
    ParameterSets sets;
    ASSERT_TRUE(params.SetsFor(shape, &sets).ok());
    const std::size_t count = Count(shape);
    std::vector<float> src(count);
    std::vector<T> codes(count);
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) {
      const int64_t set = sets.SetOf(i);
      src[i] = random->OneIn(30) ? std::numeric_limits<float>::quiet_NaN()
                                 : random->Float(params.RepresentedMin(set),
                                                 params.RepresentedMax(set));
      codes[i] = static_cast<T>(ToCode(src[i], params, set));
      values[i] = ToFloat(codes[i], params, set);
    }
    // Guards on both sides, and any alignment.
    const std::size_t shift = random->Integer(1, 17);
    const StoreHint hint = kHints[random->Integer(0, 2)];
    std::vector<T> got(count + shift + 1, T{1});
    ASSERT_EQ(MessageOf(Quantize(src.data(), shape, params, got.data() + shift,
                                 hint)),
              "ok");
    ASSERT_EQ(std::vector<T>(got.begin() + shift, got.end() - 1), codes)
        << params;
    ASSERT_EQ(got[shift - 1], T{1});
    ASSERT_EQ(got.back(), T{1});
    std::vector<float> floats(count + shift + 1, 7);
    ASSERT_EQ(MessageOf(Dequantize(codes.data(), shape, params,
                                   floats.data() + shift, hint)),
              "ok");
    ASSERT_EQ(std::vector<float>(floats.begin() + shift, floats.end() - 1),
              values)
        << params;
    ASSERT_EQ(floats[shift - 1], 7);
    ASSERT_EQ(floats.back(), 7);
    if (type.precision > 4) continue;

    std::vector<uint8_t> packed(PackedBytes(count)),
        packed_got(packed.size() + shift + 1, 77);
    kernels::reference::PackNibbles(
        reinterpret_cast<const uint8_t*>(codes.data()), count, packed.data());
    ASSERT_EQ(MessageOf(QuantizePacked(src.data(), shape, params,
                                       packed_got.data() + shift, hint)),
              "ok");
    ASSERT_EQ(
        std::vector<uint8_t>(packed_got.begin() + shift, packed_got.end() - 1),
        packed)
        << params;
    ASSERT_EQ(packed_got[shift - 1], 77);
    ASSERT_EQ(packed_got.back(), 77);
    std::fill(floats.begin(), floats.end(), 7.0f);
    ASSERT_EQ(MessageOf(DequantizePacked(packed.data(), shape, params,
                                         floats.data() + shift, hint)),
              "ok");
    ASSERT_EQ(std::vector<float>(floats.begin() + shift, floats.end() - 1),
              values)
        << params;
    ASSERT_EQ(floats.back(), 7);
  }
}

TEST(Quantize, FollowsTheDefinitionOnEveryTarget) {
  TestRandom random;
  OnEveryTarget([&] {
    for (const int precision : {1, 2, 3, 4, 7, 8}) {
      ExpectTheDefinition<int8_t>({precision, true}, &random);
      ExpectTheDefinition<uint8_t>({precision, false}, &random);
    }
    for (const int precision : {9, 12, 16}) {
      ExpectTheDefinition<int16_t>({precision, true}, &random);
      ExpectTheDefinition<uint16_t>({precision, false}, &random);
    }
    ExpectTheDefinition<int32_t>(QuantizedType::Int32(), &random);
  });
}

TEST(Quantize, MoreSetsThanArePreparedAtOnce) {
  TestRandom random;
  const std::vector<int64_t> shape = {100000 * 16 + 5};
  auto params =
      QuantizationParams::BlockWise(16, QuantizedType::UInt8(), 100001);
  params.symmetry = Symmetry::kAsymmetric;
  std::vector<float> src(shape[0]);
  std::vector<uint8_t> codes(shape[0]);
  for (auto& scale : params.scales) scale = random.Float(0.01f, 1);
  for (auto& each : params.zero_points) each = random.Byte();
  for (auto& x : src) x = random.Float(-50, 50);
  ASSERT_EQ(MessageOf(Quantize(src.data(), shape, params, codes.data())), "ok");
  std::vector<float> values(shape[0]);
  ASSERT_EQ(MessageOf(Dequantize(codes.data(), shape, params, values.data())),
            "ok");
  for (std::size_t i = 0; i < src.size(); ++i) {
    ASSERT_EQ(codes[i], ToCode(src[i], params, i / 16)) << i;
    ASSERT_EQ(values[i], ToFloat(codes[i], params, i / 16)) << i;
  }
}

TEST(Quantize, RowsLongerThanAPiece) {
  TestRandom random;
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{7, 5001}, {3, 1001, 5}, {5, 2048, 2}}) {
    QuantizationParams params = QuantizationParams::ChannelWise(
        static_cast<int>(shape[1]), QuantizedType::Int4(), 1);
    for (auto& scale : params.scales) scale = random.Float(0.01f, 1);
    std::vector<float> src(Count(shape));
    for (auto& x : src) x = random.Float(-5, 5);
    std::vector<int8_t> codes(src.size());
    std::vector<uint8_t> packed(PackedBytes(src.size())), expected(packed);
    for (const StoreHint hint : kHints) {
      ASSERT_TRUE(Quantize(src.data(), shape, params, codes.data(), hint).ok());
      ParameterSets sets;
      ASSERT_TRUE(params.SetsFor(shape, &sets).ok());
      for (std::size_t i = 0; i < src.size(); ++i) {
        ASSERT_EQ(codes[i], ToCode(src[i], params, sets.SetOf(i))) << i;
      }
      kernels::reference::PackNibbles(
          reinterpret_cast<const uint8_t*>(codes.data()), codes.size(),
          expected.data());
      ASSERT_TRUE(
          QuantizePacked(src.data(), shape, params, packed.data(), hint).ok());
      ASSERT_EQ(packed, expected);
      std::vector<float> values(src.size()), unpacked(src.size());
      ASSERT_TRUE(
          Dequantize(codes.data(), shape, params, values.data(), hint).ok());
      ASSERT_TRUE(
          DequantizePacked(packed.data(), shape, params, unpacked.data(), hint)
              .ok());
      ASSERT_EQ(values, unpacked);
    }
  }
}

// quantize(dequantize(q)) = q, for every q of every type up to 16 bits.
template <typename T>
void ExpectEveryCodeComesBack(QuantizedType type, TestRandom* random) {
  const int64_t codes = int64_t{type.qmax()} - type.qmin() + 1;
  std::vector<T> all(codes), back(codes);
  for (int64_t i = 0; i < codes; ++i) {
    all[i] = static_cast<T>(type.qmin() + i);
  }
  std::vector<float> values(codes);
  for (int round = 0; round < 30; ++round) {
    QuantizationParams params(type, 1, 0);
    params.symmetry = Symmetry::kAsymmetric;
    const int exponent = static_cast<int>(random->Integer(-125, 126));
    params.scales[0] = std::ldexp(random->Float(0.5f, 1), exponent);
    if (round == 0) params.scales[0] = QuantizationParams::kSmallestScale;
    params.zero_points[0] =
        static_cast<int32_t>(random->Integer(type.qmin(), type.qmax()));
    if (round < 3) params.zero_points[0] = type.qmin();
    if (round > 26) params.zero_points[0] = type.qmax();
    // The largest scales are refused.
    while (!params.Validate().ok()) params.scales[0] /= 2;
    ASSERT_TRUE(Dequantize(all.data(), {codes}, params, values.data()).ok());
    ASSERT_TRUE(Quantize(values.data(), {codes}, params, back.data()).ok());
    ASSERT_EQ(back, all) << params;
  }
}

TEST(Quantize, EveryCodeComesBack) {
  TestRandom random;
  for (int precision = 1; precision <= 16; ++precision) {
    if (precision <= 8) {
      ExpectEveryCodeComesBack<int8_t>({precision, true}, &random);
      ExpectEveryCodeComesBack<uint8_t>({precision, false}, &random);
    } else {
      ExpectEveryCodeComesBack<int16_t>({precision, true}, &random);
      ExpectEveryCodeComesBack<uint16_t>({precision, false}, &random);
    }
  }
}

TEST(Quantize, Int32CodesWithinFloatsReachComeBack) {
  TestRandom random;
  for (int i = 0; i < 20000; ++i) {
    QuantizationParams params(QuantizedType::Int32(), 1, 0);
    params.symmetry = Symmetry::kAsymmetric;
    params.scales[0] = std::ldexp(random.Float(0.5f, 1),
                                  static_cast<int>(random.Integer(-90, 90)));
    constexpr int64_t kReach = (int64_t{1} << 23) - 1;
    constexpr int64_t kLargest = std::numeric_limits<int32_t>::max();
    const int64_t offset = random.Integer(-kReach, kReach);
    params.zero_points[0] = static_cast<int32_t>(
        random.Integer(std::max(-kLargest - 1 - offset, -kLargest - 1),
                       std::min(kLargest - offset, kLargest)));
    const int32_t code = static_cast<int32_t>(params.zero_points[0] + offset);
    float value;
    int32_t back;
    ASSERT_EQ(MessageOf(Dequantize(&code, {1}, params, &value)), "ok");
    ASSERT_EQ(MessageOf(Quantize(&value, {1}, params, &back)), "ok");
    ASSERT_EQ(back, code) << params;
  }
}

// No value inside the range moves farther than the bound says; some come near.
template <typename T>
void ExpectWithinTheBound(QuantizedType type, TestRandom* random) {
  std::vector<int64_t> shape;
  QuantizationParams params;
  RandomParams(type, random, &shape, &params);
  if (testing::Test::HasFatalFailure()) return;
  ParameterSets sets;
  ASSERT_TRUE(params.SetsFor(shape, &sets).ok());
  const int64_t count = Count(shape);
  std::vector<float> src(count), back(count);
  std::vector<T> codes(count);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t set = sets.SetOf(i);
    const float low = params.RepresentedMin(set);
    const float high = params.RepresentedMax(set);
    // Ends, ties and their neighbours, anything.
    const float at = random->Float(0, 1) * high + random->Float(0, 1) * low;
    const float tie =
        (std::floor(at / params.scales[set]) + 0.5f) * params.scales[set];
    const float choices[] = {low, high, at, tie, std::nextafterf(tie, high)};
    src[i] = std::min(std::max(choices[random->Integer(0, 4)], low), high);
  }
  ASSERT_TRUE(Quantize(src.data(), shape, params, codes.data()).ok());
  ASSERT_TRUE(Dequantize(codes.data(), shape, params, back.data()).ok());
  double largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t set = sets.SetOf(i);
    const double error = std::fabs(double{src[i]} - back[i]);
    ASSERT_LE(error, params.QuantizationErrorBound(set))
        << src[i] << " became " << back[i] << ", scale " << params.scales[set]
        << ", zero point " << params.zero_points[set] << ", " << type.Name();
    largest = std::max(largest, error);
  }
  ASSERT_LE(largest, params.QuantizationErrorBound());
}

TEST(Quantize, ErrorIsWithinTheBound) {
  TestRandom random;
  for (int round = 0; round < 300; ++round) {
    const int precision = static_cast<int>(random.Integer(1, 8));
    ExpectWithinTheBound<int8_t>({precision, true}, &random);
    ExpectWithinTheBound<uint8_t>({precision, false}, &random);
    ExpectWithinTheBound<int16_t>({precision + 8, true}, &random);
    ExpectWithinTheBound<uint16_t>({precision + 8, false}, &random);
    ExpectWithinTheBound<int32_t>(QuantizedType::Int32(), &random);
    if (HasFatalFailure()) return;
  }
}

TEST(Quantize, TheBoundIsNearlyReached) {
  QuantizationParams params(QuantizedType::UInt8(), 1, 0);
  const float src = 100.5f;
  uint8_t code;
  float back;
  ASSERT_TRUE(Quantize(&src, {1}, params, &code).ok());
  ASSERT_TRUE(Dequantize(&code, {1}, params, &back).ok());
  EXPECT_EQ(back, 100);
  EXPECT_NEAR(params.QuantizationErrorBound(), 0.5, 1e-4);
}

TEST(Quantize, RefusesAndWritesNothing) {
  const std::vector<float> src(8, 1.0f);
  std::vector<uint8_t> codes(8, 9);
  QuantizationParams params;
  EXPECT_EQ(
      MessageOf(Quantize(src.data(), {8}, QuantizationParams::Int8Symmetric(),
                         codes.data())),
      "quantization: values of int8 in an array of uint8_t, expected "
      "int8_t");
  params.type = QuantizedType::UInt16();
  EXPECT_EQ(MessageOf(Quantize(src.data(), {8}, params, codes.data())),
            "quantization: values of uint16 in an array of uint8_t, expected "
            "uint16_t");
  EXPECT_EQ(MessageOf(QuantizePacked(src.data(), {8}, params, codes.data())),
            "quantization: packed values of uint16, expected 4 bits or fewer");
  params = QuantizationParams::ChannelWise(3, QuantizedType::UInt8());
  EXPECT_EQ(MessageOf(Quantize(src.data(), {8}, params, codes.data())),
            "quantization parameters: 3 sets with granularity channel, "
            "expected 8 for a tensor of shape [8]");
  params = QuantizationParams();
  params.scales[0] = 0;
  EXPECT_FALSE(Quantize(src.data(), {8}, params, codes.data()).ok());
  std::vector<float> back(8, 7);
  EXPECT_FALSE(Dequantize(codes.data(), {8}, params, back.data()).ok());
  EXPECT_FALSE(DequantizePacked(codes.data(), {8}, params, back.data()).ok());
  EXPECT_EQ(codes, std::vector<uint8_t>(8, 9));
  EXPECT_EQ(back, std::vector<float>(8, 7));
}

TEST(Quantize, EmptyTensors) {
  const QuantizationParams params;
  EXPECT_EQ(MessageOf(Quantize<uint8_t>(nullptr, {0, 5}, params, nullptr)),
            "ok");
  EXPECT_EQ(MessageOf(Dequantize<uint8_t>(nullptr, {0}, params, nullptr,
                                          StoreHint::kStreaming)),
            "ok");
  EXPECT_EQ(MessageOf(QuantizePacked(
                nullptr, {0}, QuantizationParams::Int4Symmetric(), nullptr)),
            "ok");
}

}  // namespace
}  // namespace caffe2_quantization
