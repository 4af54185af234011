#include "tools/progress_bar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace caffe2_quantization {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

class ProgressBarTest : public testing::Test {
 protected:
  // What was drawn since the last call.
  std::string Drawn() {
    const std::string text = out_.str();
    out_.str("");
    return text;
  }

  std::ostringstream out_;
  double now_ = 0;
  ProgressBar::Clock clock_ = [this] { return now_; };
};

TEST_F(ProgressBarTest, DrawsNothingWithoutATerminal) {
  ProgressBar bar(&out_, 0, "images", 0, clock_);
  bar.Update("a", 1, 2);
  bar.Finish();
  EXPECT_EQ(Drawn(), "");
}

TEST_F(ProgressBarTest, ShowsShareRateAndTimeLeft) {
  ProgressBar bar(&out_, 80, "images", 7, clock_);
  bar.Update("float", 0, 4000);
  EXPECT_THAT(Drawn(), HasSubstr("\r\x1b[Kfloat   [-----"));
  now_ = 10;
  bar.Update("float", 1000, 4000);
  const std::string text = Drawn();
  EXPECT_THAT(text, HasSubstr(" 25 %  1,000/4,000 images"));
  EXPECT_THAT(text, HasSubstr("100/s  0:30 left"));
  now_ = 40;
  bar.Update("float", 4000, 4000);
  EXPECT_THAT(Drawn(), EndsWith("100 %  4,000/4,000 images       100/s  0:40"));
  bar.Finish();
  EXPECT_THAT(Drawn(), EndsWith("\n"));
}

TEST_F(ProgressBarTest, TheRateIsOfWhatWasDoneSinceItsStart) {
  ProgressBar bar(&out_, 80, "images", 0, clock_);
  bar.Update("a", 3000, 4000);
  now_ = 5;
  bar.Update("a", 3500, 4000);
  EXPECT_THAT(Drawn(), HasSubstr("100/s  0:05 left"));
}

TEST_F(ProgressBarTest, DrawsTenTimesASecondAndTheEnd) {
  ProgressBar bar(&out_, 80, "images", 0, clock_);
  bar.Update("a", 1, 100);
  Drawn();
  now_ = 0.05;
  bar.Update("a", 2, 100);
  EXPECT_EQ(Drawn(), "");
  now_ = 0.1;
  bar.Update("a", 3, 100);
  EXPECT_NE(Drawn(), "");
  bar.Update("a", 100, 100);
  EXPECT_NE(Drawn(), "");
}

TEST_F(ProgressBarTest, BeginsALineForEachLabel) {
  ProgressBar bar(&out_, 80, "images", 0, clock_);
  bar.Update("a", 1, 2);
  EXPECT_THAT(Drawn(), Not(HasSubstr("\n")));
  bar.Update("b", 1, 2);
  EXPECT_THAT(Drawn(), HasSubstr("\n\r\x1b[Kb"));
}

TEST_F(ProgressBarTest, KeepsToTheTerminalsWidth) {
  for (const int columns : {1, 2, 10, 30, 60, 200}) {
    ProgressBar bar(&out_, columns, "images", 0, clock_);
    bar.Update("a rather long label", 5, 10);
    std::string line = Drawn();
    line = line.substr(line.find("\x1b[K") + 3);
    EXPECT_LT(line.size(), static_cast<size_t>(columns));
    bar.Finish();
    Drawn();
  }
}

TEST_F(ProgressBarTest, KeepsTheBarsWidthWhileNumbersGrow) {
  ProgressBar bar(&out_, 80, "images", 0, clock_);
  const auto bar_end = [this] { return Drawn().rfind(']'); };
  bar.Update("a", 1, 1000000);
  const auto end = bar_end();
  for (int64_t done = 900; done < 1000000; done *= 3) {
    now_ += 1;
    bar.Update("a", done, 1000000);
    EXPECT_EQ(bar_end(), end) << done;
  }
}

TEST_F(ProgressBarTest, TakesNonsenseCalmly) {
  ProgressBar bar(&out_, 80, "images", 0, clock_);
  bar.Update("a", 5, 0);
  bar.Update("a", 20, 10);
  bar.Update("a", -1, 10);
  bar.Finish();
  bar.Finish();
  EXPECT_THAT(Drawn(), HasSubstr("100 %"));
}

}  // namespace
}  // namespace caffe2_quantization
