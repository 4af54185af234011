#include "base/text.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace caffe2_quantization {
namespace {

TEST(Text, TheFewestDigitsOfANumber) {
  EXPECT_EQ(ShortestText(0.1f), "0.1");
  EXPECT_EQ(ShortestText(double{0.1f}), "0.10000000149011612");
  EXPECT_EQ(ShortestText(1e30), "1e+30");
  EXPECT_EQ(ShortestText(std::numeric_limits<int64_t>::min()),
            "-9223372036854775808");
  EXPECT_EQ(ShortestText(-std::numeric_limits<double>::denorm_min()),
            "-5e-324");
}

TEST(Text, NineDigitsOfANumber) {
  EXPECT_EQ(NineDigits(0.1f), "0.100000001");
  EXPECT_EQ(NineDigits(3), "3");
}

TEST(Text, Names) {
  EXPECT_EQ(Join(std::vector<std::string>{}), "");
  EXPECT_EQ(Join(std::vector<std::string>{"a", "b"}), "a, b");
  EXPECT_EQ(Join(std::vector<const char*>{"a", "b", "c"}, "; "), "a; b; c");
}

TEST(Text, Shapes) {
  EXPECT_EQ(DimsText(std::vector<int64_t>{}), "[]");
  EXPECT_EQ(DimsText(std::vector<int>{16, 1, 3, 3}), "[16, 1, 3, 3]");
}

}  // namespace
}  // namespace caffe2_quantization
