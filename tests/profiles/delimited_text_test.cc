#include "profiles/delimited_text.h"

#include <gtest/gtest.h>

namespace caffe2_quantization {
namespace {

std::vector<std::string> Split(const std::string& line,
                               const std::string& delimiter) {
  std::vector<TextField> fields;
  const Status status = SplitLine(line, delimiter, &fields);
  if (!status.ok()) return {"error", status.message()};
  std::vector<std::string> texts;
  for (const TextField& field : fields) {
    texts.push_back((field.quoted ? "q:" : "") + field.text);
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(DelimitedText, SplitsAtBlanks) {
  for (const char* delimiter : {" ", "\t", "  "}) {
    EXPECT_EQ(Split("a  b\tc\r", delimiter), (Texts{"a", "b", "c"}));
    EXPECT_EQ(Split(" \"a b\" ,;| ", delimiter), (Texts{"q:a b", ",;|"}));
    EXPECT_EQ(Split(" \r", delimiter), Texts());
  }
}

TEST(DelimitedText, SplitsAtMarks) {
  EXPECT_EQ(Split("a,b, c ,\"d, \\\"e\"\r", ","),
            (Texts{"a", "b", "c", "q:d, \"e"}));
  EXPECT_EQ(Split("a | b|c", " | "), (Texts{"a", "b", "c"}));
  EXPECT_EQ(Split("a::b:c", "::"), (Texts{"a", "b:c"}));
  EXPECT_EQ(Split("a;b;", ";"), (Texts{"a", "b"}));
}

TEST(DelimitedText, RefusesWhatIsNoList) {
  EXPECT_EQ(Split("a,,b", ","), (Texts{"error", "field 2 is empty"}));
  EXPECT_EQ(Split(",a", ","), (Texts{"error", "field 1 is empty"}));
  EXPECT_EQ(Split("a b", ","),
            (Texts{"error", "no delimiter ',' behind field 1"}));
  EXPECT_EQ(Split("\"a\"b", " "),
            (Texts{"error", "no delimiter ' ' behind field 1"}));
  EXPECT_EQ(Split("\"a\"b", ","),
            (Texts{"error", "no delimiter ',' behind field 1"}));
  EXPECT_EQ(Split("a \"b", " "), (Texts{"error", "a quote is left open"}));
  EXPECT_EQ(Split("a \"b\\\"", " "), (Texts{"error", "a quote is left open"}));
}

TEST(DelimitedText, KnowsWhatMayBeADelimiter) {
  for (const char* delimiter : {" ", ",", ";", "\t", "|", "::", " / ", "#"}) {
    EXPECT_TRUE(CheckDelimiter(delimiter).ok()) << delimiter;
  }
  for (const std::string delimiter : {"", "a", "0", "+", "-", ".", "\"", "\\",
                                      "\n", "\r", ", x", "\xC3\xA9"}) {
    EXPECT_EQ(CheckDelimiter(delimiter).kind(), Status::Kind::kInvalidArgument)
        << delimiter;
  }
  EXPECT_FALSE(CheckDelimiter(std::string(1, '\0')).ok());
}

TEST(DelimitedText, QuotesWhatWouldBeNoField) {
  EXPECT_EQ(QuotedName("conv1", " "), "conv1");
  EXPECT_EQ(QuotedName("a,b", " "), "a,b");
  EXPECT_EQ(QuotedName("a,b", ","), "\"a,b\"");
  EXPECT_EQ(QuotedName("a:", "::"), "\"a:\"");
  EXPECT_EQ(QuotedName("a b", ","), "\"a b\"");
  EXPECT_EQ(QuotedName("", ","), "\"\"");
  EXPECT_EQ(QuotedName("12", " "), "12");
  EXPECT_EQ(QuotedName("12", " ", true), "\"12\"");
  EXPECT_EQ(QuotedName("1e5", " ", true), "\"1e5\"");
}

}  // namespace
}  // namespace caffe2_quantization
