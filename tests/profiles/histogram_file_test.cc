#include "profiles/histogram_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>

#include "tests/support/random.h"

namespace caffe2_quantization {
namespace {

using testing::HasSubstr;

NetInfo OneOutput(const std::string& type, const std::string& tensor,
                  const Histogram& histogram) {
  NetInfo info;
  info.operators.resize(1);
  info.operators[0].op_index = 3;
  info.operators[0].op_type = type;
  info.operators[0].outputs.resize(2);  // the second one saw nothing
  info.operators[0].outputs[0].output_index = 1;
  info.operators[0].outputs[0].tensor_name = tensor;
  info.operators[0].outputs[0].total.histogram = histogram;
  info.operators[0].outputs[0].total.column_max = {Histogram(4), histogram};
  return info;
}

Histogram Of(int max_bins, const std::vector<double>& values) {
  Histogram histogram(max_bins);
  histogram.Add(values.data(), values.size());
  return histogram;
}

TEST(HistogramFile, WritesTheBinsOfTheValuesAndNoEmptyOutput) {
  const NetInfo info = OneOutput("FC", "fc1", Of(8, {-1.5, -1, 0, 1.5, 1.5}));
  EXPECT_EQ(FormatHistograms(info, RangeSince::kAttach),
            "3 FC 1 fc1 -1.5 2 7 1 1 0 1 0 0 2\n");
  EXPECT_EQ(FormatHistograms(info, RangeSince::kReset), "");
  EXPECT_EQ(FormatColumnMax(info, RangeSince::kAttach, ","),
            "3,1,fc1,1,-1.5,2,7,1,1,0,1,0,0,2\n");
}

// Edges are less than a bin beyond the values, and bins of equal width between
// them count what they hold.
TEST(HistogramFile, TheRangeIsThatOfTheValues) {
  TestRandom random;
  for (int round = 0; round < 300; ++round) {
    const float unit = std::ldexp(1.0f, random.Integer(-60, 60));
    const float middle = random.OneIn(2) ? 0 : random.Float(-50, 50);
    std::vector<double> values;
    for (int64_t n = random.Integer(1, 200); n > 0; --n) {
      values.push_back(unit * (random.Float(-1, 1) + middle));
    }
    const auto [min, max] = std::minmax_element(values.begin(), values.end());
    const NetInfo info =
        OneOutput("FC", "y", Of(random.OneIn(3) ? 16 : 2048, values));
    std::vector<HistogramLine> lines;
    ASSERT_TRUE(
        ParseHistograms(FormatHistograms(info, RangeSince::kAttach), &lines)
            .ok());
    const HistogramLine& line = lines[0];
    const double width = (line.max - line.min) / line.counts.size();
    EXPECT_LE(line.min, *min);
    EXPECT_GT(line.min, *min - width);
    EXPECT_GT(line.max, *max);
    EXPECT_LE(line.max, *max + width);
    std::vector<uint64_t> expected(line.counts.size());
    for (const double x : values) {
      ++expected[static_cast<std::size_t>((x - line.min) / width)];
    }
    EXPECT_EQ(line.counts, expected);
  }
}

TEST(HistogramFile, ReadsBothForms) {
  std::vector<HistogramLine> lines;
  // The name and the counts of the second one would fit the other form too.
  const Status status = ParseHistograms(
      "0 Conv 0 conv1 -0.5 1.5 2 7 18446744073709551615\n\n"
      "0 0 5 -1 1 4 3 1 1 1\r\n",
      &lines);
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].op_type, "Conv");
  EXPECT_EQ(lines[0].tensor_name, "conv1");
  EXPECT_EQ(lines[0].min, -0.5);
  EXPECT_EQ(lines[0].max, 1.5);
  EXPECT_EQ(lines[0].counts, (std::vector<uint64_t>{7, ~uint64_t{0}}));
  EXPECT_EQ(lines[1].op_type, "");
  EXPECT_EQ(lines[1].tensor_name, "5");
  EXPECT_EQ(lines[1].min, -1);
  EXPECT_EQ(lines[1].max, 1);
  EXPECT_EQ(lines[1].counts, (std::vector<uint64_t>{3, 1, 1, 1}));
}

TEST(HistogramFile, AnEdgeBeyondDoubleIsTheLargestDouble) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  const NetInfo info = OneOutput("FC", "x", Of(4, {-kLargest, kLargest}));
  std::vector<HistogramLine> lines;
  ASSERT_TRUE(
      ParseHistograms(FormatHistograms(info, RangeSince::kAttach), &lines)
          .ok());
  EXPECT_EQ(lines[0].min, -kLargest);
  EXPECT_EQ(lines[0].max, kLargest);
}

TEST(HistogramFile, ReadsBackAnyNameWithAnyDelimiter) {
  TestRandom random;
  const std::string alphabet = "ab/_.:;,|\"\\ \t\n\r#0123456789-";
  const char* const kDelimiters[] = {" ", ",", ";", "\t", "|", "::", ", "};
  const auto name = [&] {
    std::string text;
    for (int64_t n = random.Integer(0, 6); n > 0; --n) {
      text += alphabet[random.Integer(0, alphabet.size() - 1)];
    }
    return text;
  };
  for (int i = 0; i < 2000; ++i) {
    const std::string delimiter = kDelimiters[random.Integer(0, 6)];
    std::vector<double> values;
    for (int64_t n = random.Integer(1, 10); n > 0; --n) {
      values.push_back(std::ldexp(random.Float(-1, 1), random.Integer(-9, 9)));
    }
    const Histogram histogram =
        Of(static_cast<int>(random.Integer(4, 20)), values);
    const NetInfo info = OneOutput(name(), name(), histogram);
    const std::vector<uint64_t>& counts = histogram.counts();

    const std::string text =
        FormatHistograms(info, RangeSince::kAttach, delimiter);
    std::vector<HistogramLine> lines;
    Status status = ParseHistograms(text, &lines, delimiter);
    ASSERT_TRUE(status.ok()) << status.message() << " in " << text;
    ASSERT_EQ(lines.size(), 1u) << text;
    EXPECT_EQ(lines[0].op_index, 3);
    EXPECT_EQ(lines[0].op_type, info.operators[0].op_type) << text;
    EXPECT_EQ(lines[0].output_index, 1);
    EXPECT_EQ(lines[0].tensor_name, info.operators[0].outputs[0].tensor_name);
    EXPECT_EQ(lines[0].min, histogram.lower_edge());
    EXPECT_EQ(lines[0].max, histogram.upper_edge());
    EXPECT_EQ(lines[0].counts, counts);

    std::vector<ColumnMaxLine> columns;
    const std::string column_text =
        FormatColumnMax(info, RangeSince::kAttach, delimiter);
    status = ParseColumnMax(column_text, &columns, delimiter);
    ASSERT_TRUE(status.ok()) << status.message() << " in " << column_text;
    ASSERT_EQ(columns.size(), 1u) << column_text;
    EXPECT_EQ(columns[0].tensor_name, lines[0].tensor_name);
    EXPECT_EQ(columns[0].column, 1);
    EXPECT_EQ(columns[0].counts, counts);
  }
}

TEST(HistogramFile, RefusalsNameTheLine) {
  const struct {
    const char* text;
    const char* wanted;
  } cases[] = {
      {"0 FC 0 x 0 1\n", "line 1: 6 fields"},
      {"0 FC 0 x 0 1 1 5\n0 FC 0 x 0 1 2 5\n",
       "line 2: nbins is '2', expected the number of counts, which is 1"},
      {"0 FC 0 x 0 1 0\n", "line 1: nbins is 0"},
      {"0 FC 0 x 1 0 1 5\n", "min and max are '1' and '0'"},
      {"0 FC 0 x nan 0 1 5\n", "min and max are 'nan' and '0'"},
      {"0 FC 0 x 0 inf 1 5\n", "min and max are '0' and 'inf'"},
      {"0 FC 0 x 0 1 1 -5\n", "count 0 is '-5'"},
      {"0 FC 0 x 0 1 1 1.5\n", "count 0 is '1.5'"},
      {"0 FC 0 x 0 1 1 18446744073709551616\n", "count 0 is '1844"},
      {"0 FC x x 0 1 1 5\n", "output_index is 'x'"},
      {"- FC 0 x 0 1 1 5\n", "op_index is '-'"},
      {"0 FC 0 \"x 0 1 1 5\n", "a quote is left open"},
  };
  for (const auto& each : cases) {
    std::vector<HistogramLine> lines;
    const Status status = ParseHistograms(each.text, &lines);
    EXPECT_EQ(status.kind(), Status::Kind::kCorruption) << each.text;
    EXPECT_THAT(status.message(), HasSubstr(each.wanted));
  }
  std::vector<ColumnMaxLine> lines;
  EXPECT_THAT(ParseColumnMax("0 0 x 1.5 0 1 1 5\n", &lines).message(),
              HasSubstr("line 1: column is '1.5'"));
  EXPECT_THAT(ParseColumnMax("0 0 x 1 0 1 5\n", &lines).message(),
              HasSubstr("line 1: 7 fields"));
  EXPECT_THAT(ParseColumnMax("", &lines, "x").message(),
              HasSubstr("the delimiter is 'x'"));
}

TEST(HistogramFile, ErrorsNameTheFile) {
  std::vector<HistogramLine> lines;
  EXPECT_EQ(ReadHistogramFile("no/such.hist", &lines).kind(),
            Status::Kind::kIoError);
  const std::string path = testing::TempDir() + "broken.hist";
  std::ofstream(path) << "0 FC 0 x 0 1 1 5\nbroken\n";
  EXPECT_THAT(ReadHistogramFile(path, &lines).message(),
              HasSubstr("'" + path + "', line 2: 1 fields"));
  std::vector<ColumnMaxLine> columns;
  EXPECT_THAT(ReadColumnMaxFile(path, &columns).message(),
              HasSubstr("'" + path + "', line 1: "));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace caffe2_quantization
