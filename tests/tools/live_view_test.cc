#include "tools/live_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace caffe2_quantization {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class LiveViewTest : public testing::Test {
 protected:
  LiveViewTest() {
    OutputInfo output;
    output.tensor_name = "y";
    output.runs = 3;
    output.nan_count = 5;
    OperatorInfo op;
    op.op_type = "Relu";
    op.outputs = {output};
    info_.operators = {op};
  }
  std::string Drawn() {
    const std::string text = out_.str();
    out_.str("");
    return text;
  }

  NetInfo info_;
  int asked_ = 0;
  std::function<NetInfo()> get_info_ = [this] {
    ++asked_;
    return info_;
  };
  std::ostringstream out_;
  double now_ = 0;
  LiveView::Clock clock_ = [this] { return now_; };
};

TEST_F(LiveViewTest, DrawsOverItself) {
  LiveView view(&out_, 80, 24, clock_);
  view.Update("float", 1, 10, get_info_);
  EXPECT_EQ(Drawn(),
            "\r\x1b[Jfloat  1/10 images\n"
            "op  type  tensor  runs  min  max  NaN  inf\n"
            "--  ----  ------  ----  ---  ---  ---  ---\n"
            " 0  Relu  y          3    -    -    5    0\n");
  now_ = 0.1;
  view.Update("float", 2, 10, get_info_);
  EXPECT_EQ(Drawn(), "");
  EXPECT_EQ(asked_, 1);
  now_ = 0.3;
  view.Update("float", 3, 10, get_info_);
  EXPECT_THAT(Drawn(), StartsWith("\x1b[4A\r\x1b[Jfloat  3/10"));
  view.Update("float", 10, 10, get_info_);
  EXPECT_THAT(Drawn(), HasSubstr("10/10"));
  view.Update("byte", 1, 10, get_info_);  // below what stands there
  EXPECT_THAT(Drawn(), StartsWith("\r\x1b[Jbyte  1/10"));
}

TEST(HistogramBarTest, ShowsWhereTheValuesAre) {
  Histogram histogram(8);
  EXPECT_EQ(HistogramBar(histogram, 4), "    ");
  histogram.AddRepeated(0, 1000000);
  histogram.AddRepeated(1, 1000);
  histogram.AddRepeated(3, 1);
  EXPECT_EQ(HistogramBar(histogram, 4), "@+ .");
  EXPECT_EQ(HistogramBar(histogram, 1), "@");
}

TEST_F(LiveViewTest, DrawsBarsWhereThereIsRoom) {
  info_.options.histogram_bins = 8;
  info_.operators[0].outputs[0].total.histogram.AddRepeated(1, 2);
  for (const int columns : {40, 65, 200}) {
    LiveView view(&out_, columns, 24, clock_);
    view.Update("a", 1, 10, get_info_);
    std::istringstream lines(Drawn());
    std::string line, last;
    while (std::getline(lines, line)) {
      EXPECT_LT(line.size(), static_cast<size_t>(columns + 4));  // the escapes
      last = line;
    }
    if (columns > 40) {
      EXPECT_EQ(last.back(), ']');
    }
  }
}

TEST_F(LiveViewTest, KeepsToTheTerminal) {
  OperatorInfo op = info_.operators[0];
  op.outputs[0].tensor_name = std::string(100, 'n') + "\x1b[2J";
  info_.operators.assign(50, op);
  for (const int columns : {1, 20, 80, 200}) {
    for (const int lines : {1, 2, 10, 100}) {
      LiveView view(&out_, columns, lines, clock_);
      view.Update("a", 1, 10, get_info_);
      std::string text = Drawn();
      EXPECT_THAT(text.substr(4), Not(HasSubstr("\x1b")));
      std::istringstream drawn(text.substr(4));
      std::string line, last;
      int count = 0;
      for (; std::getline(drawn, line); ++count) {
        EXPECT_LT(line.size(), static_cast<size_t>(std::max(columns, 2)));
        last = line;
      }
      EXPECT_LE(count, std::max(lines - 1, 1));
      if (lines == 10) {
        EXPECT_THAT(std::string("45 more"), StartsWith(last));
      }
    }
  }
}

}  // namespace
}  // namespace caffe2_quantization
