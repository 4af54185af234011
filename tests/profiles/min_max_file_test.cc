#include "profiles/min_max_file.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

NetInfo OneOutput(const std::string& tensor, ValueRange range) {
  NetInfo info;
  info.operators.resize(1);
  info.operators[0].op_index = 3;
  info.operators[0].op_type = "Conv";
  info.operators[0].outputs.resize(1);
  info.operators[0].outputs[0].tensor_name = tensor;
  info.operators[0].outputs[0].values.range = range;
  info.operators[0].outputs[0].total.range = range;
  return info;
}

TEST(MinMaxFile, WritesSixFields) {
  EXPECT_EQ(FormatMinMax(OneOutput("conv1", ValueRange::OfFloats(-0.1f, 2.5f)),
                         RangeSince::kAttach),
            "3 Conv 0 conv1 -0.1 2.5\n");
}

TEST(MinMaxFile, ReadsSixAndFiveFields) {
  std::vector<MinMaxLine> lines;
  ASSERT_TRUE(
      ParseMinMax("0 Conv 0 conv1 -0.1 2.5\n\n1 1 relu1 0 7\r\n", &lines).ok());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].op_type, "Conv");
  EXPECT_EQ(lines[0].tensor_name, "conv1");
  EXPECT_EQ(lines[0].range.min(), -0.1);
  EXPECT_EQ(lines[0].range.max(), 2.5);
  EXPECT_EQ(lines[1].op_index, 1);
  EXPECT_EQ(lines[1].op_type, "");
  EXPECT_EQ(lines[1].output_index, 1);
  EXPECT_EQ(lines[1].tensor_name, "relu1");
  EXPECT_EQ(lines[1].range.integer_max(), 7);
}

TEST(MinMaxFile, AnEmptyRangeStaysEmpty) {
  std::vector<MinMaxLine> lines;
  ASSERT_TRUE(ParseMinMax(FormatMinMax(OneOutput("x", ValueRange()),
                                       RangeSince::kReset),
                          &lines)
                  .ok());
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_TRUE(lines[0].range.empty());
}

TEST(MinMaxFile, ReadsBackAnyNameAndFloat) {
  TestRandom random;
  const std::string alphabet = "ab/_.:\"\\ \t\n\r#";
  for (int i = 0; i < 2000; ++i) {
    std::string name;
    for (int64_t n = random.Integer(0, 8); n > 0; --n) {
      name += alphabet[random.Integer(0, alphabet.size() - 1)];
    }
    const float min = random.Float(-1e6f, 0), max = random.Float(0, 1e-6f);
    std::vector<MinMaxLine> lines;
    const std::string text = FormatMinMax(
        OneOutput(name, ValueRange::OfFloats(min, max)), RangeSince::kAttach);
    const Status status = ParseMinMax(text, &lines);
    ASSERT_TRUE(status.ok()) << status.message() << " in " << text;
    ASSERT_EQ(lines.size(), 1u) << text;
    EXPECT_EQ(lines[0].tensor_name, name);
    EXPECT_EQ(static_cast<float>(lines[0].range.min()), min);
    EXPECT_EQ(static_cast<float>(lines[0].range.max()), max);
  }
}

TEST(MinMaxFile, ReadsBackAnyNameWithAnyDelimiter) {
  TestRandom random;
  const std::string alphabet = "ab/_.:;,|\"\\ \t\n\r#0-";
  const char* const kDelimiters[] = {" ", ",", ";", "\t", "|", "::", ", "};
  for (int i = 0; i < 2000; ++i) {
    const std::string delimiter = kDelimiters[random.Integer(0, 6)];
    std::string name;
    for (int64_t n = random.Integer(0, 8); n > 0; --n) {
      name += alphabet[random.Integer(0, alphabet.size() - 1)];
    }
    NetInfo info = OneOutput(name, ValueRange::OfIntegers(-1, 2));
    info.operators[0].op_type = name + "!";
    const std::string text = FormatMinMax(info, RangeSince::kAttach, delimiter);
    std::vector<MinMaxLine> lines;
    const Status status = ParseMinMax(text, &lines, delimiter);
    ASSERT_TRUE(status.ok()) << status.message() << " in " << text;
    ASSERT_EQ(lines.size(), 1u) << text;
    EXPECT_EQ(lines[0].op_type, name + "!");
    EXPECT_EQ(lines[0].tensor_name, name);
    EXPECT_EQ(lines[0].range.integer_min(), -1);
    EXPECT_EQ(lines[0].range.integer_max(), 2);
  }
}

TEST(MinMaxFile, ReadsFiveFieldsWithADelimiter) {
  std::vector<MinMaxLine> lines;
  ASSERT_TRUE(ParseMinMax("1,0,x,0,1\n", &lines, ",").ok());
  EXPECT_EQ(lines[0].op_type, "");
  EXPECT_EQ(ParseMinMax("1,0,x,0,1\n", &lines).kind(),
            Status::Kind::kCorruption);
}

TEST(MinMaxFile, RefusalsNameTheLine) {
  const struct {
    const char* text;
    const char* wanted;
  } cases[] = {
      {"0 Conv 0 x 1\n1 2 3 4\n", "line 1: "},
      {"0 Conv 0 x 1 2\n0 Conv 0 x 1 2 3\n", "line 2: 7 fields"},
      {"zero Conv 0 x 1 2\n", "op_index is 'zero'"},
      {"0 Conv 0x x 1 2\n", "output_index is '0x'"},
      {"0 Conv 0 x nan 2\n", "'nan' and '2'"},
      {"0 Conv 0 x 1 inf\n", "'1' and 'inf'"},
      {"0 Conv 0 \"x 1 2\n", "a quote is left open"},
      {"99999999999 Conv 0 x 1 2\n", "op_index is '99999999999'"},
  };
  for (const auto& each : cases) {
    std::vector<MinMaxLine> lines;
    const Status status = ParseMinMax(each.text, &lines);
    EXPECT_EQ(status.kind(), Status::Kind::kCorruption) << each.text;
    EXPECT_NE(status.message().find(each.wanted), std::string::npos)
        << status.message();
  }
}

TEST(MinMaxFile, AMissingFileIsNamed) {
  std::vector<MinMaxLine> lines;
  const Status status = ReadMinMaxFile("no/such.minmax", &lines);
  EXPECT_EQ(status.kind(), Status::Kind::kIoError);
  EXPECT_NE(status.message().find("no/such.minmax"), std::string::npos);
}

TEST(MinMaxFile, AFolderIsNoFile) {
  std::vector<MinMaxLine> lines;
  EXPECT_EQ(ReadMinMaxFile("/", &lines).kind(), Status::Kind::kIoError);
}

TEST(NumberedPath, GoesBeforeTheExtension) {
  EXPECT_EQ(NumberedPath("net.minmax", 3), "net_3.minmax");
  EXPECT_EQ(NumberedPath("a.b/net", 3), "a.b/net_3");
  EXPECT_EQ(NumberedPath("a.b/.net", 3), "a.b/.net_3");
  EXPECT_EQ(NumberedPath("a/net.x.y", 12), "a/net.x_12.y");
}

}  // namespace
}  // namespace caffe2_quantization
