#include "profiles/output_info.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

TEST(ValueRange, StartsEmpty) {
  const ValueRange range;
  EXPECT_TRUE(range.empty());
  EXPECT_EQ(range.min(), std::numeric_limits<double>::infinity());
  EXPECT_EQ(range.max(), -std::numeric_limits<double>::infinity());
  // A number to every reader, and min > max.
  EXPECT_EQ(range.MinText(), "3.4028235e+38");
  EXPECT_EQ(range.MaxText(), "-3.4028235e+38");
}

TEST(ValueRange, KeepsEveryInt64) {
  const int64_t odd = (int64_t{1} << 62) + 1;
  const ValueRange range = ValueRange::OfIntegers(-odd, odd);
  EXPECT_EQ(range.MinText(), std::to_string(-odd));
  EXPECT_EQ(range.MaxText(), std::to_string(odd));
}

TEST(ValueRange, MergesWithinAndAcrossKinds) {
  ValueRange range = ValueRange::OfIntegers(3, 4);
  range.Merge(ValueRange());
  range.Merge(ValueRange::OfIntegers(-1, 2));
  EXPECT_EQ(range.kind(), ValueRange::Kind::kInteger);
  EXPECT_EQ(range.integer_min(), -1);
  EXPECT_EQ(range.integer_max(), 4);
  range.Merge(ValueRange::OfFloats(0.5f, 7.5f));
  EXPECT_EQ(range.kind(), ValueRange::Kind::kFloat64);
  EXPECT_EQ(range.min(), -1);
  EXPECT_EQ(range.max(), 7.5);
}

TEST(ValueRange, TextReadsBackAsTheSameFloat) {
  TestRandom random;
  for (int i = 0; i < 20000; ++i) {
    uint32_t bits = static_cast<uint32_t>(random.generator()());
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    if (!std::isfinite(value)) continue;
    const ValueRange range = ValueRange::OfFloats(value, value);
    EXPECT_EQ(std::strtof(range.MinText().c_str(), nullptr), value);
    const double wide = value * 1.1;
    EXPECT_EQ(std::strtod(ValueRange::OfDoubles(wide, wide).MaxText().c_str(),
                          nullptr),
              wide);
  }
}

TEST(ToJson, HoldsEverything) {
  NetInfo info;
  info.net_name = "a \"net\"";
  info.runs = 2;
  info.operators.resize(1);
  info.operators[0].op_type = "Relu";
  info.operators[0].op_name = "first/relu";
  info.operators[0].outputs.resize(1);
  OutputInfo& output = info.operators[0].outputs[0];
  output.tensor_name = "y\xff";  // not UTF-8
  output.shape = {2, 3};
  output.total.range = ValueRange::OfFloats(-1.5f, 2.5f);
  output.nan_count = 4;
  const auto json = nlohmann::json::parse(ToJson(info));
  EXPECT_EQ(json["net"], "a \"net\"");
  EXPECT_EQ(json["runs"], 2);
  EXPECT_EQ(json["operators"][0]["op_name"], "first/relu");
  const auto& parsed = json["operators"][0]["outputs"][0];
  EXPECT_TRUE(parsed["min"].is_null());
  EXPECT_EQ(parsed["total_min"], -1.5);
  EXPECT_EQ(parsed["total_max"], 2.5);
  EXPECT_EQ(parsed["nan"], 4);
  EXPECT_EQ(parsed["shape"], nlohmann::json({2, 3}));
  EXPECT_EQ(
      nlohmann::json::parse(ToJson(std::vector<NetInfo>{info, info})).size(),
      2u);
}

TEST(ToIso8601, IsUtcWithMilliseconds) {
  EXPECT_EQ(ToIso8601(TimePoint{}), "");
  EXPECT_EQ(ToIso8601(TimePoint(std::chrono::milliseconds(1000000000123))),
            "2001-09-09T01:46:40.123Z");
}

}  // namespace
}  // namespace caffe2_quantization
