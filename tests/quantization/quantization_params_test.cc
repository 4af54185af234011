#include "quantization/quantization_params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <sstream>
#include <utility>

#include "quantization/choose.h"
#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string MessageOf(const Status& status) {
  return status.ok() ? "ok" : status.message();
}

TEST(QuantizationParams, TheNamedOnes) {
  const QuantizationParams plain;
  EXPECT_EQ(plain.type, QuantizedType::UInt8());
  EXPECT_EQ(plain.symmetry, Symmetry::kAsymmetric);
  EXPECT_EQ(plain.NumParameterSets(), 1u);

  const auto int8 = QuantizationParams::Int8Symmetric();
  EXPECT_EQ(int8.type, QuantizedType::Int8());
  EXPECT_EQ(int8.symmetry, Symmetry::kSymmetric);
  EXPECT_EQ(int8.zero_points, std::vector<int32_t>{0});
  EXPECT_EQ(int8.scales, std::vector<float>{1.0f});

  const auto uint8 = QuantizationParams::UInt8Asymmetric();
  EXPECT_EQ(uint8.type, QuantizedType::UInt8());
  EXPECT_EQ(uint8.symmetry, Symmetry::kAsymmetric);
  EXPECT_EQ(uint8.zero_points, std::vector<int32_t>{128});

  EXPECT_EQ(QuantizationParams::Int4Symmetric().type, QuantizedType::Int4());

  const auto channels =
      QuantizationParams::ChannelWise(64, QuantizedType::Int8(), 1);
  EXPECT_EQ(channels.NumParameterSets(), 64u);
  EXPECT_EQ(channels.zero_points.size(), 64u);
  EXPECT_EQ(channels.axis, 1);
  EXPECT_TRUE(channels.IsPerChannel());

  const auto blocks =
      QuantizationParams::BlockWise(128, QuantizedType::Int8(), 3);
  EXPECT_EQ(blocks.block_size, 128);
  EXPECT_EQ(blocks.NumParameterSets(), 3u);
  EXPECT_FALSE(blocks.IsPerChannel());

  for (const auto& params : {plain, int8, uint8, channels, blocks,
                             QuantizationParams::Int4Symmetric()}) {
    EXPECT_EQ(MessageOf(params.Validate()), "ok") << params;
  }
}

struct Inconsistency {
  const char* message;
  std::function<void(QuantizationParams*)> make;
};

// Each from parameters that are valid: int8, two channels of axis 0.
const Inconsistency kInconsistencies[] = {
    {"quantized type: precision is 0, unsigned, expected 1 to 16 bits, or 32 "
     "signed",
     [](QuantizationParams* p) {
       p->type = {0, false};
     }},
    {"quantized type: precision is 17, expected 1 to 16 bits, or 32 signed",
     [](QuantizationParams* p) {
       p->type = {17, true};
     }},
    {"quantized type: precision is 32, unsigned, expected 1 to 16 bits, or 32 "
     "signed",
     [](QuantizationParams* p) {
       p->type = {32, false};
     }},
    {"quantization parameters: axis is -1, expected 0 or more",
     [](QuantizationParams* p) { p->axis = -1; }},
    {"quantization parameters: axis is 1 with granularity block, expected 0",
     [](QuantizationParams* p) {
       p->granularity = Granularity::kBlock;
       p->block_size = 4;
       p->axis = 1;
     }},
    {"quantization parameters: block_size is 0 with granularity channel_block, "
     "expected 1 or more",
     [](QuantizationParams* p) {
       p->granularity = Granularity::kChannelBlock;
     }},
    {"quantization parameters: block_size is -32 with granularity block, "
     "expected 1 or more",
     [](QuantizationParams* p) {
       p->granularity = Granularity::kBlock;
       p->block_size = -32;
     }},
    {"quantization parameters: block_size is 32 with granularity channel, "
     "expected 0",
     [](QuantizationParams* p) { p->block_size = 32; }},
    {"quantization parameters: 3 scales and 2 zero points, expected as many of "
     "each",
     [](QuantizationParams* p) { p->scales.push_back(1); }},
    {"quantization parameters: 0 scales with granularity channel, expected at "
     "least one",
     [](QuantizationParams* p) {
       p->scales.clear();
       p->zero_points.clear();
     }},
    {"quantization parameters: 2 scales with granularity tensor, expected one",
     [](QuantizationParams* p) { p->granularity = Granularity::kTensor; }},
    {"quantization parameters: scales[1] is nan, expected a finite number",
     [](QuantizationParams* p) { p->scales[1] = kNaN; }},
    {"quantization parameters: scales[0] is inf, expected a finite number",
     [](QuantizationParams* p) { p->scales[0] = kInfinity; }},
    {"quantization parameters: scales[1] is 0, expected a positive number",
     [](QuantizationParams* p) { p->scales[1] = 0; }},
    {"quantization parameters: scales[1] is -0.5, expected a positive number",
     [](QuantizationParams* p) { p->scales[1] = -0.5f; }},
    {"quantization parameters: scales[0] is 1e-40, expected "
     "1.1754944e-38 to 8.507059e+37: it and its reciprocal are normal "
     "floats",
     [](QuantizationParams* p) { p->scales[0] = 1e-40f; }},
    {"quantization parameters: scales[0] is 3e+38, expected "
     "1.1754944e-38 to 8.507059e+37: it and its reciprocal are normal "
     "floats",
     [](QuantizationParams* p) { p->scales[0] = 3e38f; }},
    {"quantization parameters: zero_points[0] is 128, expected a value of "
     "int8, -128 to 127",
     [](QuantizationParams* p) {
       p->symmetry = Symmetry::kAsymmetric;
       p->zero_points[0] = 128;
     }},
    {"quantization parameters: zero_points[1] is -129, expected a value of "
     "int8, -128 to 127",
     [](QuantizationParams* p) { p->zero_points[1] = -129; }},
    {"quantization parameters: zero_points[1] is 3 and symmetric, expected 0, "
     "or an end of int8",
     [](QuantizationParams* p) { p->zero_points[1] = 3; }},
    {"quantization parameters: zero_points[0] is 127 and symmetric, expected "
     "128, or an end of uint8",
     [](QuantizationParams* p) {
       p->type = QuantizedType::UInt8();
       p->zero_points[0] = 127;
     }},
    {"quantization parameters: scales[1] is 5e+36 with zero point 0, "
     "so that values of int8 stand for infinities, expected a smaller scale",
     [](QuantizationParams* p) { p->scales[1] = 5e36f; }},
    {"quantization parameters: observed min without max, expected both or "
     "neither",
     [](QuantizationParams* p) { p->min = 0; }},
    {"quantization parameters: observed max without min, expected both or "
     "neither",
     [](QuantizationParams* p) { p->max = 0; }},
    {"quantization parameters: observed min is nan, expected a finite number",
     [](QuantizationParams* p) { p->min = kNaN, p->max = 1; }},
    {"quantization parameters: observed max is inf, expected a finite number",
     [](QuantizationParams* p) { p->min = 0, p->max = kInfinity; }},
    {"quantization parameters: observed min is 2, expected max at most, 1",
     [](QuantizationParams* p) { p->min = 2, p->max = 1; }},
};

TEST(QuantizationParams, ValidateHasAMessageForEachInconsistency) {
  for (const auto& each : kInconsistencies) {
    auto params = QuantizationParams::ChannelWise(2, QuantizedType::Int8());
    ASSERT_EQ(MessageOf(params.Validate()), "ok");
    each.make(&params);
    EXPECT_EQ(MessageOf(params.Validate()), each.message);
    EXPECT_EQ(params.Validate().kind(), Status::Kind::kInvalidArgument);
  }
}

TEST(QuantizationParams, SymmetricZeroPoints) {
  auto params = QuantizationParams::UInt8Asymmetric();
  params.symmetry = Symmetry::kSymmetric;
  for (const int32_t zero_point : {128, 0, 255}) {
    params.zero_points[0] = zero_point;
    EXPECT_EQ(MessageOf(params.Validate()), "ok");
  }
  for (int precision = 1; precision <= 16; ++precision) {
    for (const bool is_signed : {false, true}) {
      params.type = {precision, is_signed};
      params.zero_points[0] = is_signed ? 0 : 1 << (precision - 1);
      EXPECT_EQ(MessageOf(params.Validate()), "ok") << params;
    }
  }
  params.type = QuantizedType::Int32();
  params.zero_points[0] = 0;
  EXPECT_EQ(MessageOf(params.Validate()), "ok");
}

TEST(QuantizationParams, SetsOfAShape) {
  auto params = QuantizationParams::ChannelWise(3, QuantizedType::Int8(), 1);
  int64_t count = 0;
  ASSERT_TRUE(params.NumParameterSetsFor({5, 3, 4}, &count).ok());
  EXPECT_EQ(count, 3);
  ParameterSets sets;
  ASSERT_TRUE(params.SetsFor({5, 3, 4}, &sets).ok());
  EXPECT_TRUE(sets == (ParameterSets{5, 3, 4, 0, 1}));
  EXPECT_EQ(sets.SetOf(0), 0);
  EXPECT_EQ(sets.SetOf(11), 2);
  EXPECT_EQ(sets.SetOf(12), 0);
  EXPECT_EQ(MessageOf(params.ValidateFor({5, 3, 4})), "ok");
  EXPECT_EQ(MessageOf(params.ValidateFor({3})),
            "quantization parameters: axis is 1, expected one of 1 dimensions");
  EXPECT_EQ(MessageOf(params.ValidateFor({5, 4, 4})),
            "quantization parameters: 3 sets with granularity channel, "
            "expected 4 for a tensor of shape [5, 4, 4]");
  EXPECT_EQ(MessageOf(params.ValidateFor({5, 3, -4})),
            "quantization parameters: dimension 2 of the shape is -4, expected "
            "0 or more");

  params = QuantizationParams::BlockWise(4, QuantizedType::Int8());
  ASSERT_TRUE(params.NumParameterSetsFor({3, 3}, &count).ok());
  EXPECT_EQ(count, 3);
  ASSERT_TRUE(params.SetsFor({3, 3}, &sets).ok());
  EXPECT_EQ(sets.SetOf(3), 0);
  EXPECT_EQ(sets.SetOf(4), 1);
  EXPECT_EQ(sets.SetOf(8), 2);

  // Channel 1 of [2, 2, 3] is values 3, 4, 5, 9, 10, 11.
  params.granularity = Granularity::kChannelBlock;
  params.axis = 1;
  ASSERT_TRUE(params.SetsFor({2, 2, 3}, &sets).ok());
  EXPECT_EQ(sets.blocks, 2);
  EXPECT_EQ(sets.num_sets(), 4);
  const std::vector<int64_t> expected = {0, 0, 0, 2, 2, 2, 0, 1, 1, 2, 3, 3};
  for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(sets.SetOf(i), expected[i]) << i;
}

TEST(QuantizationParams, ShapesThatAreEmptyOrHuge) {
  int64_t count = 0;
  const int64_t huge = int64_t{1} << 40;
  const QuantizationParams tensor;
  ASSERT_TRUE(tensor.NumParameterSetsFor({}, &count).ok());
  EXPECT_EQ(count, 1);
  ASSERT_TRUE(tensor.NumParameterSetsFor({huge, 0, huge}, &count).ok());
  EXPECT_EQ(count, 1);
  EXPECT_EQ(MessageOf(tensor.NumParameterSetsFor({huge, huge}, &count)),
            "quantization parameters: a shape of more than 2^63 - 1 values");
  const auto channels =
      QuantizationParams::ChannelWise(64, QuantizedType::Int8(), 1);
  EXPECT_EQ(MessageOf(channels.ValidateFor({0, 64})), "ok");
  EXPECT_EQ(
      MessageOf(QuantizationParams::ChannelWise(1, QuantizedType::Int8(), 1)
                    .ValidateFor({7, 0})),
      "ok");
  EXPECT_EQ(MessageOf(channels.NumParameterSetsFor({huge, huge, 1}, &count)),
            "quantization parameters: a shape of more than 2^63 - 1 values");
  const auto blocks = QuantizationParams::BlockWise(32, QuantizedType::Int8());
  EXPECT_EQ(MessageOf(blocks.ValidateFor({0})), "ok");
  ASSERT_TRUE(
      blocks.NumParameterSetsFor({std::numeric_limits<int64_t>::max()}, &count)
          .ok());
  EXPECT_EQ(count, int64_t{1} << 58);
}

TEST(QuantizationParams, FromStatistics) {
  auto params = QuantizationParams::UInt8Asymmetric();
  ASSERT_TRUE(params.FromStatistics(-1.0f, 3.0f).ok());
  EXPECT_FLOAT_EQ(params.scales[0], 4.0f / 255);
  EXPECT_EQ(params.zero_points[0], 64);
  EXPECT_EQ(params.min, -1.0f);
  EXPECT_EQ(params.max, 3.0f);

  params = QuantizationParams::Int8Symmetric();
  ASSERT_TRUE(params.FromStatistics(-2.0f, 2.0f).ok());
  EXPECT_FLOAT_EQ(params.scales[0], 2.0f / 127);
  EXPECT_EQ(params.zero_points[0], 0);

  // 0 stays the middle code of a range on one side, or of nothing at all.
  ASSERT_TRUE(params.FromStatistics(1.0f, 2.0f).ok());
  EXPECT_FLOAT_EQ(params.scales[0], 2.0f / 127);
  EXPECT_EQ(params.zero_points[0], 0);
  EXPECT_EQ(params.min, 1.0f);
  ASSERT_TRUE(params.FromStatistics(0.0f, 0.0f).ok());
  EXPECT_EQ(params.zero_points[0], 0);

  // A small range keeps its resolution.
  params = QuantizationParams();
  ASSERT_TRUE(params.FromStatistics(0.0f, 1e-10f).ok());
  EXPECT_FLOAT_EQ(params.scales[0], 1e-10f / 255);

  params = QuantizationParams::ChannelWise(2, QuantizedType::UInt8());
  ASSERT_TRUE(params.FromStatistics({0.0f, -1.0f}, {2.55f, 1.55f}).ok());
  EXPECT_FLOAT_EQ(params.scales[0], 0.01f);
  EXPECT_FLOAT_EQ(params.scales[1], 0.01f);
  EXPECT_EQ(params.zero_points, (std::vector<int32_t>{0, 100}));
  EXPECT_EQ(params.min, -1.0f);
  EXPECT_EQ(params.max, 2.55f);
  ASSERT_TRUE(params.FromStatistics(0.0f, 1.0f).ok());
  EXPECT_EQ(params.scales[0], params.scales[1]);
}

TEST(QuantizationParams, FromStatisticsRefusesAndChangesNothing) {
  auto params = QuantizationParams::ChannelWise(2, QuantizedType::UInt8());
  const QuantizationParams before = params;
  for (const auto& [min, max] : {std::pair<float, float>{kNaN, 1},
                                 {0, kNaN},
                                 {0, kInfinity},
                                 {-kInfinity, 0},
                                 {1, -1}}) {
    EXPECT_FALSE(params.FromStatistics(min, max).ok()) << min << " " << max;
    params.symmetry = Symmetry::kSymmetric;
    EXPECT_FALSE(params.FromStatistics(min, max).ok()) << min << " " << max;
    params.symmetry = before.symmetry;
  }
  EXPECT_EQ(MessageOf(params.FromStatistics({0, 5}, {1, 4})),
            "set 1: choosing parameters: the range is [5, 4], expected two "
            "finite numbers, the smaller one first");
  EXPECT_EQ(MessageOf(params.FromStatistics({0}, {1, 4})),
            "quantization parameters: 1 minima and 2 maxima of 2 sets, "
            "expected one of each for a set");
  // The zero point is rounded, and the last code would be beyond all floats.
  const float largest = std::numeric_limits<float>::max();
  EXPECT_FALSE(params.FromStatistics(-largest, largest).ok());
  EXPECT_EQ(params, before);
}

TEST(QuantizationParams, FromStatisticsIsAlwaysValid) {
  TestRandom random;
  for (int i = 0; i < 5000; ++i) {
    QuantizationParams params;
    params.type = {static_cast<int>(random.Integer(1, 16)), random.OneIn(2)};
    if (random.OneIn(2)) params.symmetry = Symmetry::kSymmetric;
    const float size =
        std::ldexp(1.0f, static_cast<int>(random.Integer(-140, 120)));
    float min = random.Float(-1, 1) * size, max = random.Float(-1, 1) * size;
    if (min > max) std::swap(min, max);
    ASSERT_EQ(MessageOf(params.FromStatistics(min, max)), "ok");
    ASSERT_EQ(MessageOf(params.Validate()), "ok");
    if (params.symmetry == Symmetry::kSymmetric) {
      const int32_t middle =
          params.type.is_signed ? 0 : 1 << (params.type.precision - 1);
      ASSERT_EQ(params.zero_points[0], middle) << params;
    }
    // All of the range is represented, but for the rounding of the zero point
    // and, of a symmetric range, the one code that has no opposite.
    if (params.symmetry == Symmetry::kAsymmetric) {
      ASSERT_LE(params.RepresentedMin(0), min + 0.51 * params.scales[0]);
      ASSERT_GE(params.RepresentedMax(0), max - 0.51 * params.scales[0]);
    }
  }
}

TEST(QuantizationParams, CompressionRatioCountsTheParameters) {
  EXPECT_EQ(QuantizationParams::Int8Symmetric().CompressionRatio(1000),
            4000.0 / 1008);
  EXPECT_EQ(QuantizationParams::Int4Symmetric().CompressionRatio(1001),
            4004.0 / (501 + 8));
  QuantizationParams params;
  params.type = {3, false};
  EXPECT_EQ(params.CompressionRatio(1000), 4000.0 / 508);
  params.type = {9, true};
  EXPECT_EQ(params.CompressionRatio(1000), 4000.0 / 2008);
  params.type = QuantizedType::Int32();
  EXPECT_EQ(params.CompressionRatio(1000), 4000.0 / 4008);
  EXPECT_EQ(QuantizationParams::BlockWise(32, QuantizedType::Int8(), 100)
                .CompressionRatio(3200),
            12800.0 / (3200 + 800));
  EXPECT_EQ(params.CompressionRatio(0), 0);
}

TEST(QuantizationParams, ErrorBoundIsAboutHalfAScale) {
  auto params = QuantizationParams::ChannelWise(2, QuantizedType::Int8());
  params.scales = {0.5f, 0.25f};
  EXPECT_GT(params.QuantizationErrorBound(0), 0.25f);
  EXPECT_NEAR(params.QuantizationErrorBound(0), 0.25f, 0.25e-3);
  EXPECT_NEAR(params.QuantizationErrorBound(1), 0.125f, 0.125e-3);
  EXPECT_EQ(params.QuantizationErrorBound(), params.QuantizationErrorBound(0));
}

TEST(QuantizationParams, Equality) {
  const auto base = QuantizationParams::ChannelWise(2, QuantizedType::Int8());
  EXPECT_TRUE(base == base);
  EXPECT_FALSE(base != base);
  const std::function<void(QuantizationParams*)> changes[] = {
      [](QuantizationParams* p) { p->type.precision = 7; },
      [](QuantizationParams* p) { p->type.is_signed = false; },
      [](QuantizationParams* p) { p->symmetry = Symmetry::kAsymmetric; },
      [](QuantizationParams* p) { p->granularity = Granularity::kBlock; },
      [](QuantizationParams* p) { p->scales[1] = 2; },
      [](QuantizationParams* p) { p->zero_points[1] = 2; },
      [](QuantizationParams* p) { p->axis = 1; },
      [](QuantizationParams* p) { p->block_size = 1; },
      [](QuantizationParams* p) { p->min = 0; },
      [](QuantizationParams* p) { p->max = 0; },
  };
  for (const auto& change : changes) {
    QuantizationParams other = base;
    change(&other);
    EXPECT_TRUE(base != other) << other;
  }
}

TEST(QuantizationParams, Printing) {
  std::ostringstream stream;
  auto params = QuantizationParams::ChannelWise(6, QuantizedType::Int8(), 1);
  params.granularity = Granularity::kChannelBlock;
  params.block_size = 32;
  params.scales[1] = 0.1f;
  params.min = -1.5f;
  params.max = 2.0f;
  stream << params;
  EXPECT_EQ(stream.str(),
            "int8 symmetric channel_block, axis 1, blocks of 32, 6 sets: 1 "
            "(0), 0.1 (0), 1 (0), 1 (0), ..., min -1.5, max 2");
  EXPECT_EQ(QuantizationParams().ToString(),
            "uint8 asymmetric tensor, 1 set: 1 (0)");
  params.zero_points.clear();
  params.scales.resize(1);
  EXPECT_EQ(params.ToString(),
            "int8 symmetric channel_block, axis 1, blocks of 32, 1 set: 1 "
            "(?), min -1.5, max 2");
}

}  // namespace
}  // namespace caffe2_quantization
