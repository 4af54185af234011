#include "tools/text_table.h"

#include <gtest/gtest.h>

#include <limits>

namespace caffe2_quantization {
namespace {

TEST(TextTableTest, AlignsColumns) {
  TextTable table({{"name"}, {"count", TextTable::Align::kRight}, {"note"}});
  table.AddRow({"a", "1,000,000", "x"});
  table.AddRow({"longer name", "7"});
  EXPECT_EQ(table.ToString(),
            "name             count  note\n"
            "-----------  ---------  ----\n"
            "a            1,000,000  x\n"
            "longer name          7\n");
}

TEST(TextTableTest, CountsCharactersNotBytes) {
  TextTable table({{"a"}, {"b"}});
  table.AddRow({"\xC3\xA4", "1"});
  table.AddRow({"o", "2"});
  EXPECT_EQ(table.ToString(), "a  b\n-  -\n\xC3\xA4  1\no  2\n");
}

TEST(TextTableTest, GroupsDigits) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(-123), "-123");
  EXPECT_EQ(Grouped(-123456), "-123,456");
  EXPECT_EQ(Grouped(std::numeric_limits<int64_t>::min()),
            "-9,223,372,036,854,775,808");
}

TEST(TextTableTest, FormatsNumbers) {
  EXPECT_EQ(Rounded(0.00253319, 3), "0.00253");
  EXPECT_EQ(Fixed(99.0741, 2), "99.07");
  EXPECT_EQ(Fixed(1e300, 2).size(), 304u);
}

}  // namespace
}  // namespace caffe2_quantization
