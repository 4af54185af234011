#include "quantization/quantization_params_json.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <utility>

#include "tests/quantization/quantization_params_testing.h"

namespace caffe2_quantization {
namespace {

std::string JsonOf(const QuantizationParams& params) {
  std::string json;
  const Status status = QuantizationParamsToJson(params, &json);
  EXPECT_TRUE(status.ok()) << status.message();
  return json;
}

std::string PathOf(const std::string& name) {
  return TestDataPath("quantization/data/quantization_params_" + name +
                      "_1.json");
}

// How the files were made; never again for a version that is out.
TEST(QuantizationParamsJson, DISABLED_WriteVersion1) {
  for (const auto& [name, params] : GoldenParams()) {
    std::ofstream(PathOf(name), std::ios::binary) << JsonOf(params);
  }
}

TEST(QuantizationParamsJson, FilesOfVersion1AreReadAndWrittenForGood) {
  for (const auto& [name, params] : GoldenParams()) {
    const std::string json = ReadWhole(PathOf(name));
    EXPECT_EQ(JsonOf(params), json);
    QuantizationParams read;
    const Status status = QuantizationParamsFromJson(json, &read);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(read, params);
  }
}

TEST(QuantizationParamsJson, RandomParamsComeBack) {
  TestRandom random;
  for (int i = 0; i < 2000; ++i) {
    const QuantizationParams params = RandomQuantizationParams(&random);
    QuantizationParams read;
    const Status status = QuantizationParamsFromJson(JsonOf(params), &read);
    ASSERT_TRUE(status.ok()) << status.message();
    ASSERT_EQ(read, params);
  }
}

// Replaces `from` in the JSON of uint8, scale 0.5, zero point 3, extremes
// -1, 1.
std::string ErrorWith(const std::string& from, const std::string& to) {
  QuantizationParams params(QuantizedType::UInt8(), 0.5f, 3);
  params.min = -1;
  params.max = 1;
  std::string json = JsonOf(params);
  const std::size_t at = json.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at != std::string::npos) json.replace(at, from.size(), to);
  const QuantizationParams before = QuantizationParams::Int4Symmetric();
  QuantizationParams read = before;
  const Status status = QuantizationParamsFromJson(json, &read);
  EXPECT_FALSE(status.ok()) << json;
  EXPECT_EQ(read, before);
  return status.message();
}

TEST(QuantizationParamsJson, RefusesAndChangesNothing) {
  const std::pair<std::pair<const char*, const char*>, const char*> cases[] = {
      {{"\"format_version\": 1", "\"format_version\": 2"},
       "format version 2, this program reads 1"},
      {{"\"format_version\": 1", "\"format_version\": -1"},
       "format version -1, this program reads 1"},
      {{"\"format_version\": 1,", ""},
       "no format_version, expected quantization parameters"},
      {{"\"format_version\": 1", "\"format_version\": \"1\""},
       "format_version is \"1\", expected an integer of 32 bits"},
      {{"\"axis\": 0,", ""}, "no member axis"},
      {{"\"axis\": 0", "\"axis\": 0, \"axis\": 0"},
       "member \"axis\" is given twice"},
      {{"\"axis\": 0", "\"axis\": 0, \"more\": 0"},
       "member \"more\" is unknown"},
      {{"\"axis\": 0", "\"axis\": 0.0"},
       "axis is 0.0, expected an integer of 32 bits"},
      {{"\"axis\": 0", "\"axis\": 2147483648"},
       "axis is 2147483648, expected an integer of 32 bits"},
      {{"\"axis\": 0", "\"axis\": 18446744073709551615"},
       "axis is 18446744073709551615, expected an integer of 32 bits"},
      {{"\"uint8\"", "\"uint17\""},
       "type is \"uint17\", expected int1 to int16, uint1 to uint16, or int32"},
      {{"\"uint8\"", "8"}, "type is 8, expected a name, such as int8"},
      {{"\"asymmetric\"", "\"neither\""},
       "symmetry is \"neither\", expected one of: symmetric, asymmetric"},
      {{"\"tensor\"", "null"},
       "granularity is null, expected one of: tensor, channel, block, "
       "channel_block"},
      {{"[0.5]", "0.5"}, "scales is 0.5, expected an array"},
      {{"[0.5]", "[\"a\"]"}, "scales[0] is \"a\", expected a number"},
      {{"[0.5]", "[[0.5]]"},
       "an array or object within another, expected numbers"},
      {{"[3]", "[3.5]"},
       "zero_points[0] is 3.5, expected an integer of 32 bits"},
      {{"[3]", "[256]"},
       "zero_points[0] is 256, expected a value of uint8, 0 to 255"},
      {{"[0.5]", "[-0.5]"}, "scales[0] is -0.5, expected a positive number"},
      {{"[0.5]", "[0.5, 0.5]"},
       "2 scales and 1 zero points, expected as many of each"},
      {{",\n  \"max\": 1", ""},
       "observed min without max, expected both or neither"},
      {{"\"min\": -1", "\"min\": 7"},
       "observed min is 7, expected max at most, 1"},
  };
  for (const auto& [change, message] : cases) {
    EXPECT_EQ(ErrorWith(change.first, change.second),
              std::string("quantization parameters: ") + message);
  }
  // What the parser says is its own.
  EXPECT_NE(ErrorWith("[0.5]", "[1e99]").find("not JSON"), std::string::npos);
  EXPECT_NE(ErrorWith("[0.5]", "[NaN]").find("not JSON"), std::string::npos);
  EXPECT_NE(ErrorWith("uint8", "\xFF").find("not JSON"), std::string::npos);
}

TEST(QuantizationParamsJson, HostileTextIsRefused) {
  QuantizationParams read;
  for (const std::string& json :
       {std::string(), std::string("[]"), std::string("1"),
        std::string(1 << 20, '['),
        std::string("{\"a\":") + std::string(99, '{'),
        std::string("{\"format_version\":1,\"scales\":[1e-99999")}) {
    EXPECT_FALSE(QuantizationParamsFromJson(json, &read).ok());
  }
  TestRandom random;
  const std::string good = JsonOf(GoldenParams()[3].second);
  for (int i = 0; i < 3000; ++i) {
    std::string bad = good;
    bad[random.Integer(0, bad.size() - 1)] = static_cast<char>(random.Byte());
    if (random.OneIn(3)) bad.resize(random.Integer(0, bad.size()));
    if (QuantizationParamsFromJson(bad, &read).ok()) {
      ASSERT_TRUE(read.Validate().ok());
    }
  }
}

TEST(QuantizationParamsJson, WhatIsNotValidIsNotWritten) {
  QuantizationParams params;
  params.scales[0] = 0;
  std::string json = "as it was";
  EXPECT_EQ(QuantizationParamsToJson(params, &json).message(),
            params.Validate().message());
  EXPECT_EQ(json, "as it was");
}

}  // namespace
}  // namespace caffe2_quantization
