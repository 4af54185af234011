#include "base/count_line.h"

#include <gtest/gtest.h>

#include <sstream>

namespace caffe2_quantization {
namespace {

TEST(CountLine, IsDrawnAfterASecondAndTakenAway) {
  std::ostringstream out;
  double now = 100;
  {
    CountLine line(
        &out, [&now] { return now; }, "choosing parameters", "tensors", 94);
    line.Update(1);
    now = 100.9;
    line.Update(2);
    EXPECT_EQ(out.str(), "");
    now = 101;
    line.Update(12);
    EXPECT_EQ(out.str(), "\r\x1b[Kchoosing parameters: 12 of 94 tensors");
    now = 101.1;
    line.Update(13);
    EXPECT_EQ(out.str(), "\r\x1b[Kchoosing parameters: 12 of 94 tensors");
    out.str("");
    now = 101.3;
    line.Update(14);
    EXPECT_EQ(out.str(), "\r\x1b[Kchoosing parameters: 14 of 94 tensors");
    out.str("");
  }
  EXPECT_EQ(out.str(), "\r\x1b[K");
}

TEST(CountLine, LeavesNothingOfWhatWasQuick) {
  std::ostringstream out;
  {
    CountLine(
        &out, [] { return 5.0; }, "a", "b", 1)
        .Update(1);
  }
  EXPECT_EQ(out.str(), "");
}

}  // namespace
}  // namespace caffe2_quantization
